//! The command line: one file for each verb. Nothing below this folder knows clap.

pub mod args;
mod doctor;
mod run;
mod talk;

use args::{Cli, Verb};
use clap::Parser;

/// Parses, dispatches, tells the error; the process's exit code.
pub fn main() -> i32 {
    let outcome = match Cli::parse().verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Doctor => doctor::run(),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            talk::to_stderr(&format!("error: {error}"));
            error.exit_code()
        }
    }
}
