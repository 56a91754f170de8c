//! The command line: one file for each verb. Nothing outside this folder knows clap.

mod ablate;
mod attention;
mod choice;
mod compare;
mod config;
mod console;
mod data;
mod doctor;
mod eval;
mod export;
mod gc;
mod generate;
mod importance;
mod levels;
mod marks;
mod matching;
mod means;
mod near_miss;
mod options;
mod output;
mod overlap;
mod pretrain;
mod report;
mod reproduce;
mod run;
mod run_args;
mod show;
mod signals;
mod slurm;
mod status;
mod subject;
mod sweep;
mod table;
mod telemetry;
mod terminal;
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
    experiment::provenance::{VERSION, command_line},
    ops::simd,
};
use ablate::AblateArgs;
use attention::AttentionArgs;
use clap::{Parser, Subcommand};
use compare::CompareArgs;
use config::ConfigArgs;
use data::DataArgs;
use doctor::DoctorArgs;
use eval::EvalArgs;
use export::ExportArgs;
use gc::GcArgs;
use generate::{CompletionsArgs, ManArgs};
use importance::ImportanceArgs;
use levels::LevelsArgs;
use near_miss::near_miss;
use output::to_stderr;
use overlap::OverlapArgs;
use pretrain::PretrainArgs;
use report::ReportArgs;
use reproduce::ReproduceArgs;
use run_args::RunArgs;
use serde_json::json;
use show::ShowArgs;
use status::StatusArgs;
use sweep::SweepArgs;
use worker::WorkerArgs;

/// Lottery-ticket experiments on pre-trained BERT, RoBERTa and DistilBERT: fine-tune, prune, rewind, retrain
///
/// Does a subnetwork of a pre-trained model, rewound to its pre-trained weights, still learn a task? lottery fine-tunes the
/// model, searches the subnetwork that keeps its score (the ticket), and trains that again from the pre-trained weights.
#[derive(Debug, Parser)]
#[command(
    name = "lottery",
    version = VERSION.as_str(),
    propagate_version = true,
    after_help = "Results go to stdout, messages to stderr. Exit codes: 0 success, 1 internal error, 2 usage or \
                  configuration, 3 data or model file, 4 stopped by a signal (run the same command to resume), 5 some \
                  runs of a sweep failed, 6 warnings with --deny-warnings.",
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
    Report(Box<ReportArgs>),
    Reproduce(Box<ReproduceArgs>),
    Compare(CompareArgs),
    Levels(LevelsArgs),
    Overlap(OverlapArgs),
    Show(ShowArgs),
    Config(ConfigArgs),
    Gc(GcArgs),
    Export(Box<ExportArgs>),
    Eval(Box<EvalArgs>),
    Importance(Box<ImportanceArgs>),
    Ablate(Box<AblateArgs>),
    Attention(Box<AttentionArgs>),
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
        Err(error) => {
            return match near_miss(&error, &std::env::args().nth(1).unwrap_or_default()) {
                Some(meant) => failed(&Error::usage(meant)),
                None => usage_error(&error),
            };
        }
    };
    let outcome = simd::limit().and_then(|_| match verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Sweep(arguments) => sweep::run(&arguments),
        Verb::Worker(arguments) => worker::run(&arguments),
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Report(arguments) => report::run(&arguments),
        Verb::Reproduce(arguments) => reproduce::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
        Verb::Levels(arguments) => levels::run(&arguments),
        Verb::Overlap(arguments) => overlap::run(&arguments),
        Verb::Show(arguments) => show::run(&arguments),
        Verb::Config(arguments) => config::run(&arguments),
        Verb::Gc(arguments) => gc::run(&arguments),
        Verb::Export(arguments) => export::run(&arguments),
        Verb::Eval(arguments) => eval::run(&arguments),
        Verb::Importance(arguments) => importance::run(&arguments),
        Verb::Attention(arguments) => attention::run(&arguments),
        Verb::Ablate(arguments) => ablate::run(&arguments),
        Verb::Pretrain(arguments) => pretrain::run(&arguments),
        Verb::Data(arguments) => data::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Completions(arguments) => generate::completions(&arguments),
        Verb::Man(arguments) => generate::man(&arguments),
    });
    // Statics are not dropped at the end of a process.
    cores::release();
    terminal::end_bar();
    outcome.map_or_else(|error| failed(&error), |()| 0)
}

/// Reports an error. Returns the exit code.
fn failed(error: &Error) -> i32 {
    if output::wants_json() && !output::has_printed() {
        let _ = output::print(&failure(error.exit_code(), error.meaning(), &error.to_string()));
    }
    match error {
        Error::Stopped(_) => to_stderr(&format!("{error}. To resume: {}", command_line())),
        _ => to_stderr(&format!("error: {error}")),
    }
    error.exit_code()
}

/// What a program gets on stdout in the place of the document that it asked for.
fn failure(exit_code: i32, meaning: &str, message: &str) -> String {
    let error = json!({ "exit_code": exit_code, "meaning": meaning, "message": message });
    format!("{:#}\n", json!({ "format_version": 1, "error": error }))
}

/// Shows the help that was asked for, or what is wrong with the command line. Returns the exit code.
fn usage_error(error: &clap::Error) -> i32 {
    if error.use_stderr() && output::wants_json() {
        let message = error.render().to_string();
        let message = message.trim_start_matches("error: ");
        let _ = output::print(&failure(
            error.exit_code(),
            Error::usage("").meaning(),
            &crate::error::message(message),
        ));
    }
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
