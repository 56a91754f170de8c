//! The command line: one file for each verb. Nothing below this folder knows clap.

pub mod args;
mod contents;
mod doctor;
mod gc;
mod listeners;
mod means;
mod pretrain;
mod run;
mod signals;
mod slurm;
mod status;
mod sweep;
mod talk;
mod worker;

use crate::{cores, error::Error, ops::simd};
use args::{Cli, Verb};
use clap::Parser;

/// Parses, dispatches, tells the error; the process's exit code.
pub fn main() -> i32 {
    let verb = Cli::parse().verb;
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
    cores::leave();
    let Err(error) = outcome else { return 0 };
    match &error {
        Error::Stopped(_) => talk::to_stderr(&format!("{error}. To go on: {}", typed())),
        _ => talk::to_stderr(&format!("error: {error}")),
    }
    error.exit_code()
}

/// The command line of this process, as a shell takes it.
fn typed() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "the same command".to_owned())
}
