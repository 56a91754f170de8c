//! `lottery config`: the keys of the configuration.

use super::{
    output::{document, print, show},
    terminal::{self, wrapped},
};
use crate::{
    config::{Key, keys_of},
    error::Result,
};
use clap::Args;
use serde_json::json;

const ABOUT: &str = "\
Lists the settings: each key with its default, what it may hold and what it means.

A key is set by --set KEY=VALUE, or in a file for --config, where train.epochs = 5 may also stand as epochs = 5 below \
[train]. Below tasks.NAME it is of that task alone: tasks.rte.prune.level=2. `lottery run --dry-run` prints the values of a \
run.";

const EXAMPLES: &str = "\
Examples:
  lottery config
  lottery config train importance.split";

/// The flags of `lottery config`.
#[derive(Args, Debug)]
#[command(about = "List the settings: every key with type, range, default and meaning", long_about = ABOUT, after_help = EXAMPLES)]
pub struct ConfigArgs {
    /// Only these keys, or those below these sections, with all names that they may hold
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &ConfigArgs) -> Result<()> {
    let keys = keys_of(&arguments.keys)?;
    if arguments.json {
        return print(&document(&json!({ "format_version": 1, "keys": keys }))?);
    }
    let with_names = !arguments.keys.is_empty();
    show(&keys.iter().map(|key| text(key, with_names, terminal::width())).collect::<String>())
}

fn text(key: &Key, with_names: bool, width: Option<usize>) -> String {
    let Key { key, holds, default, about, names } = key;
    let default =
        default.as_ref().map_or_else(|| " has no default".to_owned(), |value| format!(" = {value}"));
    let holds = if with_names && !names.is_empty() { "one of" } else { holds };
    let mut text = format!("{key}{default}\n{}", wrapped(&format!("{about}; {holds}"), "    ", width));
    if with_names {
        for (name, about) in names {
            text += &wrapped(&format!("{name}: {about}"), "      ", width);
        }
    }
    text
}
