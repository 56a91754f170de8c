//! What an analysis is of: the fine-tuned model of a record, of a stage, or of settings as those of a run.

use super::{
    console::{Console, report_share},
    options::{store_folder, variable},
    output::{document, print},
    run_args::SettingsArgs,
    signals,
};
use crate::{
    config::{ExperimentConfig, without_nulls},
    cores,
    error::{Error, Result, excerpt, printable},
    eval::{Source, record_of},
    store::{Store, atomic_write},
    train::Progress,
};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::{path::PathBuf, str::FromStr};
use toml::Table;

// What the verbs that analyse a fine-tuned model have in common.
#[derive(Args, Clone, Debug)]
pub struct SubjectArgs {
    /// A record, or a stage's id or folder, whose settings to take [default: the settings below]
    ///
    /// Its fine-tuned model is analysed. Settings that are given as well override the record's.
    #[arg(value_name = "RECORD|STAGE")]
    what: Option<String>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Write the JSON document to a file too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: Option<PathBuf>,

    /// Print everything as JSON on stdout, and nothing else
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print no progress and no notes, only errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// What is analysed, and where that is told and kept.
pub struct Subject {
    pub config: ExperimentConfig,
    pub store: Store,
    pub console: Console,
}

impl SubjectArgs {
    /// Resolves the settings and takes this process's share of the cores.
    pub fn open(&self) -> Result<Subject> {
        let mut console = Console::new(self.quiet, signals::stop_flag()?);
        let typed = store_folder(self.settings.store.as_deref(), variable);
        let (record, store) = match &self.what {
            None => (None, Store::open(&typed)?),
            Some(word) => {
                let (record, store) = record(word, &Store::at(&typed)?, &mut console)?;
                (Some(record), store)
            }
        };
        let origin = self.what.as_deref().map(|word| format!("the record of {}", excerpt(word)));
        let table = record.as_ref().map(settings).transpose()?;
        let (config, notes) = self.settings.resolve(table.as_ref().zip(origin.as_deref()))?;
        notes.iter().for_each(|note| console.note(note));
        let share = cores::begin(config.run.threads, None)?;
        report_share(config.run.threads, share, &mut console);
        Ok(Subject { config, store, console })
    }

    /// Shows a report as it was asked for.
    pub fn show(&self, report: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        let json = document(report)?;
        if let Some(path) = &self.out {
            atomic_write(path, json.as_bytes())?;
        }
        if self.json { print(&json) } else { print(&printable(&text())) }
    }
}

/// The value of a flag, or an error that names the flag.
pub fn read<T: FromStr<Err = Error>>(flag: &str, word: &str) -> Result<T> {
    word.parse().map_err(|error| Error::usage(format!("{flag} {}: {error}", excerpt(word))))
}

/// The record that is named, or that names the stage, and the store that it is in.
fn record(word: &str, store: &Store, progress: &mut dyn Progress) -> Result<(Value, Store)> {
    match Source::find(word, store, progress)? {
        Source::Record(file) => Ok((file.record, file.store)),
        Source::Stage(done, store) => match record_of(&store, done.id()) {
            Some(record) => Ok((record, store)),
            None => Err(Error::data(format!(
                "no record in {} names {}. Give the settings of its run instead (--task, --seed, …).",
                store.dir().display(),
                done.id()
            ))),
        },
        Source::Model(_) | Source::Ticket(_) => Err(Error::usage(format!(
            "{} is no record and no stage. Give one of them, or settings as those of `lottery run` (--task, --model, …).",
            excerpt(word)
        ))),
    }
}

/// What of a record's settings its fine-tuned model and its search follow from.
fn settings(record: &Value) -> Result<Table> {
    let mut config = record["config"].clone();
    without_nulls(&mut config);
    let Value::Object(mut config) = config else {
        return Err(Error::data("the record has no settings (config). Give a record that lottery wrote."));
    };
    let dtype = config.get("run").and_then(|run| run.get("dtype")).cloned();
    config.insert(
        "run".to_owned(),
        Value::Object(dtype.map(|dtype| ("dtype".to_owned(), dtype)).into_iter().collect()),
    );
    if config.shift_remove("ticket").is_some() {
        config.shift_remove("method");
    }
    Table::try_from(config)
        .map_err(|error| Error::data(format!("the record's settings cannot be read: {error}")))
}
