//! `lottery completions` and `lottery man`: from the same definitions as the parser.

use super::{Cli, output::print};
use crate::error::{Error, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::{fs, path::PathBuf};

const COMPLETIONS: &str = "\
Examples:
  lottery completions bash > ~/.local/share/bash-completion/completions/lottery
  lottery completions zsh > ~/.zfunc/_lottery
  lottery completions fish > ~/.config/fish/completions/lottery.fish";

/// The flags of `lottery completions`.
#[derive(Args, Debug)]
#[command(about = "Print a script that completes this program's commands in a shell", after_help = COMPLETIONS)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// The flags of `lottery man`.
#[derive(Args, Debug)]
#[command(about = "Print the manual page, or write one for each verb")]
pub struct ManArgs {
    /// Write lottery.1, lottery-run.1, … into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn completions(arguments: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "lottery", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub fn man(arguments: &ManArgs) -> Result<()> {
    let command = Cli::command();
    if let Some(dir) = &arguments.out {
        return fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|error| Error::io(dir, "write", &error));
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Error::internal(error.to_string()))?;
    print(&String::from_utf8_lossy(&page))
}
