//! The command line: one file for each verb. Nothing outside this folder knows clap.

mod choice;
mod console;
mod contents;
mod data;
mod doctor;
mod eval;
mod export;
mod gc;
mod generate;
mod levels;
mod means;
mod options;
mod output;
mod pretrain;
mod run;
mod run_args;
mod signals;
mod slurm;
mod status;
mod sweep;
mod telemetry;
mod ticket;
mod worker;

// For the mutation tests, which are outside the crate.
#[doc(hidden)]
pub use status::shown;
#[doc(hidden)]
pub use sweep::show::{document, table};

use crate::{
    cores,
    error::{Error, excerpt, message},
    ops::simd,
};
use clap::{Parser, Subcommand};
use data::DataArgs;
use doctor::DoctorArgs;
use eval::EvalArgs;
use export::ExportArgs;
use gc::GcArgs;
use generate::{CompletionsArgs, ManArgs};
use levels::LevelsArgs;
use output::to_stderr;
use pretrain::PretrainArgs;
use run_args::RunArgs;
use status::StatusArgs;
use sweep::SweepArgs;
use worker::WorkerArgs;

/// Does this subnetwork of a pre-trained BERT, rewound to its pre-trained weights, still learn this task?
#[derive(Debug, Parser)]
#[command(
    name = "lottery",
    version,
    propagate_version = true,
    after_help = "Results go to stdout, progress and messages to stderr. Exit codes: 0 success, 1 internal error, 2 usage \
                  or configuration, 3 data or model file, 4 stopped by a signal (run the same command to resume), 5 some \
                  runs of a sweep failed.",
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    // Its help is that of `RunArgs`; a doc comment here would hide the long form.
    Run(Box<RunArgs>),
    Sweep(Box<SweepArgs>),
    Worker(WorkerArgs),
    Status(StatusArgs),
    Levels(LevelsArgs),
    Gc(GcArgs),
    Export(Box<ExportArgs>),
    Eval(Box<EvalArgs>),
    Pretrain(Box<PretrainArgs>),
    Data(DataArgs),
    Doctor(DoctorArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Parses the command line, runs the verb, and reports its error. Returns the exit code of the process.
pub fn main() -> i32 {
    signals::survive_large_files();
    let verb = match Cli::try_parse() {
        Ok(cli) => cli.verb,
        Err(error) => return usage_error(&error),
    };
    let outcome = simd::limit().and_then(|_| match verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Sweep(arguments) => sweep::run(&arguments),
        Verb::Worker(arguments) => worker::run(&arguments),
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Levels(arguments) => levels::run(&arguments),
        Verb::Gc(arguments) => gc::run(&arguments),
        Verb::Export(arguments) => export::run(&arguments),
        Verb::Eval(arguments) => eval::run(&arguments),
        Verb::Pretrain(arguments) => pretrain::run(&arguments),
        Verb::Data(arguments) => data::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Completions(arguments) => generate::completions(&arguments),
        Verb::Man(arguments) => generate::man(&arguments),
    });
    // Statics are not dropped at the end of a process.
    cores::release();
    let Err(error) = outcome else { return 0 };
    match &error {
        Error::Stopped(_) => to_stderr(&format!("{error}. To resume: {}", typed())),
        _ => to_stderr(&format!("error: {error}")),
    }
    error.exit_code()
}

/// Shows the help that was asked for, or what is wrong with the command line. Returns the exit code.
fn usage_error(error: &clap::Error) -> i32 {
    // The message repeats arguments, whose control characters must not reach the terminal.
    let needs_escaping = |word: &str| excerpt(word) != word;
    if error.use_stderr() && std::env::args_os().any(|word| needs_escaping(&word.to_string_lossy())) {
        to_stderr(message(&error.render().to_string()).trim_end());
    } else {
        // stdout or stderr may be closed.
        let _ = error.print();
    }
    error.exit_code()
}

/// The command line of this process, quoted for a shell.
fn typed() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "the same command".to_owned())
}
