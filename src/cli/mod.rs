//! The command line: one file for each verb. Nothing below this folder knows clap.

pub mod args;
mod choice;
mod console;
mod contents;
mod doctor;
mod gc;
mod means;
mod pretrain;
mod run;
mod signals;
mod slurm;
mod status;
mod sweep;
mod telemetry;
mod worker;

// For the mutation test, which is outside the crate.
#[doc(hidden)]
pub use status::shown;
#[doc(hidden)]
pub use sweep::show::{document, table};

use crate::{
    cores,
    error::{Error, excerpt, message},
    ops::simd,
};
use args::{Cli, Verb};
use clap::Parser;

/// Parses, dispatches, tells the error; the process's exit code.
pub fn main() -> i32 {
    signals::survive_large_files();
    let verb = match Cli::try_parse() {
        Ok(cli) => cli.verb,
        Err(error) => return misspelt(&error),
    };
    let outcome = simd::limit().and_then(|_| match verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Sweep(arguments) => sweep::run(&arguments),
        Verb::Worker(arguments) => worker::run(&arguments),
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Gc(arguments) => gc::run(&arguments),
        Verb::Pretrain(arguments) => pretrain::run(&arguments),
        Verb::Doctor => doctor::run(),
    });
    // Nothing is destroyed at the end of a process.
    cores::release();
    let Err(error) = outcome else { return 0 };
    match &error {
        Error::Stopped(_) => console::to_stderr(&format!("{error}. To go on: {}", typed())),
        _ => console::to_stderr(&format!("error: {error}")),
    }
    error.exit_code()
}

/// Shows the help that was asked for, or what is wrong with the command line; the exit code.
fn misspelt(error: &clap::Error) -> i32 {
    // It repeats arguments, which are not to reach a terminal as they are.
    let harmful = |word: &str| excerpt(word) != word;
    if error.use_stderr() && std::env::args_os().any(|word| harmful(&word.to_string_lossy())) {
        console::to_stderr(message(&error.render().to_string()).trim_end());
    } else {
        // Nobody may be there to read it.
        let _ = error.print();
    }
    error.exit_code()
}

/// The command line of this process, as a shell takes it.
fn typed() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "the same command".to_owned())
}
