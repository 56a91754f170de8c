//! The flags of `lottery run`, and the settings that they make up.

use super::{
    choice::{one_of, presets},
    options::{add_environment, keep, numbers, store_folder, variable},
    ticket,
};
use crate::{
    config::{ExperimentConfig, Layers, parse_toml},
    engine::Machine,
    error::{Error, Result},
    ops::Format,
    prune::{Method, Mode},
    store::Keep,
    task::TaskId,
};
use clap::Args;
use std::path::PathBuf;
use tempfile::TempDir;
use toml::{Table, Value};

const ABOUT: &str = "\
One task × mode × seed: the whole experiment.

Fine-tunes the model on the task, scores every attention head and FFN by the gradient of its gate, prunes the least \
important ones as long as the score stays at 90 % of the full model's, evaluates what is left (pruned), rewinds it to the \
pre-trained weights and fine-tunes it again (retrained). The result is a record, a JSON file in the store.

Stages that are already in the store are loaded: running the same command again trains nothing, and another mode with \
the same seed shares the fine-tuned model and the search. Training that was stopped or killed resumes from its last \
checkpoint, with the same result.";

const EXAMPLES: &str = "\
Examples:
  A first look, in about a minute and without any files: a generated task on a tiny model
    lottery run

  The good subnetwork of RTE, as in Prasanna et al. 2020:
    lottery run --task rte

  Its controls, which share everything up to the search:
    lottery run --task rte --mode bad
    lottery run --task rte --mode random

  A smaller model from a folder, another recipe and less data; show the plan only:
    lottery run --task sst2 --model models/MiniLM --data glue \\
        --preset small --set data.train_limit=10000 --dry-run

Settings, each overriding those before it: defaults, preset, --config file, flags, --set.";

/// The demo on few examples, scored on some that are not trained on, so that the protocol itself gives no warning.
const SMOKE: &str = "\
task = 'demo'
data = { train_limit = 512, dev_limit = 128 }
train = { epochs = 1 }
importance = { split = 'heldout:0.25' }
";

// What is to run, with which settings, where and how. A doc comment would be the help of the verbs that have these flags.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// The task
    ///
    /// GLUE's own spellings (SST-2, STS-B) are accepted. The path of a TOML file names a task of your own
    /// (docs/models-and-data.md). demo runs when neither task, model nor data are given.
    #[arg(long, value_name = "TASK|FILE.toml", value_parser = one_of::<TaskId>(), help_heading = "What to run")]
    pub task: Option<String>,

    /// Which subnetwork to retrain [default: good]
    #[arg(long, value_name = "MODE", value_parser = one_of::<Mode>(), help_heading = "What to run")]
    pub mode: Option<String>,

    /// Seed of example order, classifier initialisation and dropout [default: 1337]
    ///
    /// The paper's seeds are 1337, 42, 86, 71 and 166. --set seeds.order=N, seeds.init=N or seeds.dropout=N changes
    /// one of the three.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(0..), help_heading = "What to run")]
    pub seed: Option<u64>,

    /// How the ticket is found, and of what [default: heads+ffns]
    #[arg(long, value_name = "METHOD", value_parser = one_of::<Method>(), help_heading = "What to run")]
    pub method: Option<String>,

    /// How much is pruned, in the place of a search that prunes while the score holds
    ///
    /// A share of the heads and of the FFNs, or of the single weights that the method may prune: 0.5. Of the encoder's weights:
    /// 0.5:weights; of its FLOPs: 0.5:flops (one-shot).
    #[arg(long, value_name = "SHARE", help_heading = "What to run")]
    pub sparsity: Option<String>,

    /// Which weights the subnetwork is retrained from [default: pretrained]
    ///
    /// pretrained rewinds; random draws all anew, and random-masked what the mask is over; shuffle-layers and shuffle-within rewind and shuffle; step:N and epoch:F
    /// rewind to that point of the fine-tuning; finetuned does not rewind; source continues the run of --ticket-from, with a fresh
    /// classifier and its ticket: domain adaptation.
    #[arg(long, value_name = "WEIGHTS", help_heading = "What to run")]
    pub init: Option<String>,

    /// A model folder, a name on the Hugging Face hub (owner/name or owner/name@revision), or tiny
    ///
    /// tiny is built into the program and is the demo task's model; write ./tiny for a folder of that name. A folder
    /// holds config.json of a BERT, RoBERTa or DistilBERT, its weights (model.safetensors or pytorch_model.bin, in one
    /// file or several), and the tokenizer's files. A hub model is looked up in the cache first; HF_HOME, HF_ENDPOINT,
    /// HF_HUB_OFFLINE and HF_TOKEN are honoured. Without the flag: LOTTERY_MODEL, else the preset's model
    /// (google-bert/bert-base-uncased).
    #[arg(long, value_name = "DIR|OWNER/NAME|tiny", help_heading = "What to run")]
    pub model: Option<String>,

    /// The folder that holds GLUE's folders (RTE/train.tsv, RTE/dev.tsv, …), or SQuAD's files; not for demo
    ///
    /// Without the flag: LOTTERY_DATA, else the task's data set on the Hugging Face hub.
    #[arg(long, value_name = "DIR", help_heading = "What to run")]
    pub data: Option<String>,

    /// Of mlm: the text whose hidden words are found, UTF-8 with a paragraph a line (also .gz or .zst); or demo
    ///
    /// Lines are joined and cut into blocks of data.max_length tokens. 5 % of the lines, by their content, score; or give
    /// another text that scores: --set data.dev_text=FILE. With --ticket-from mlm it is the text that the ticket is found on.
    #[arg(long, value_name = "FILE|demo", help_heading = "What to run")]
    pub text: Option<String>,

    /// Take up the ticket of this file (`lottery export --ticket`) in the place of a search
    ///
    /// Task, seed, preset and a model on the hub are the ticket's unless they are given. All modes are controls of it.
    #[arg(long, value_name = "FILE", help_heading = "What to run")]
    pub ticket: Option<String>,

    /// Take the ticket of this task, found by the method, in the place of one of the run's own: a transfer
    ///
    /// The source's ticket is found first, or taken from the store; pre-trained weights and a fresh classifier are trained
    /// under its mask.
    #[arg(long, value_name = "TASK", value_parser = one_of::<TaskId>(), conflicts_with = "ticket", help_heading = "What to run")]
    pub ticket_from: Option<String>,

    /// Train the task's subnetwork together with those of these tasks, on one encoder: ticket sharing
    ///
    /// Each task's subnetwork is found first, by the method, or taken from the store; --mode full shares the whole encoder.
    /// The record is this task's; the other tasks' runs find the training in the store.
    #[arg(
        long = "with",
        value_name = "TASK,…",
        value_delimiter = ',',
        value_parser = one_of::<TaskId>(),
        conflicts_with = "ticket",
        help_heading = "What to run"
    )]
    pub with: Vec<String>,

    /// A model that is fine-tuned on the task already, a folder or a name on the hub; fine-tuning is then not done
    ///
    /// --model stays the pre-trained model, whose weights the subnetwork is rewound to.
    #[arg(long, value_name = "DIR|OWNER/NAME", help_heading = "What to run")]
    pub finetuned: Option<String>,

    /// The recipe [default: prasanna2020, and tiny for the model tiny]
    #[arg(long, value_name = "NAME", value_parser = presets(), help_heading = "Settings")]
    pub preset: Option<String>,

    /// A TOML file of settings, or a record, whose settings are repeated; overrides the preset, and flags override it
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub config: Option<PathBuf>,

    /// A setting by its dotted key, such as train.epochs=5 or importance.split=heldout:0.1; repeatable
    ///
    /// --dry-run shows all keys with their values.
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Settings")]
    pub set: Vec<String>,

    /// Where finished stages and records are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Where and how")]
    pub store: Option<PathBuf>,

    /// Where to compute: auto, cpu or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Where and how")]
    pub device: Option<String>,

    /// The format of the matrix products [default: f32]
    #[arg(long, value_name = "DTYPE", value_parser = one_of::<Format>(), help_heading = "Where and how")]
    pub dtype: Option<String>,

    /// CPU threads; the result does not depend on them [default: one per core, less those that other runs use]
    ///
    /// Runs on one machine share its cores, and a run takes all of them again once the others have ended. A run that is
    /// given a number uses exactly that many threads, and the others leave it as many cores.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = numbers(1..=1024), help_heading = "Where and how")]
    pub threads: Option<u64>,
}

/// The flags of `lottery run`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    about = "One experiment: fine-tune, score, search the ticket, prune, rewind, retrain, write the record"
)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct RunArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// What to keep once the record is written: models (everything), tickets (no weights) or none (no predictions either) [default: models]
    ///
    /// Records, tickets and metrics are always kept, and repeating the run computes nothing. Weights that another search
    /// needs later are restored by training. `lottery gc` applies the same policy to a whole store.
    #[arg(long, value_name = "POLICY", help_heading = "Where and how")]
    pub keep: Option<String>,

    /// Write scalars for TensorBoard (losses, learning rates, search, scores) to a folder of this run in DIR
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub tensorboard: Option<PathBuf>,

    /// Print the record as JSON on stdout, and nothing else; with --dry-run, the settings and the plan
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Print the resolved configuration and the plan without computing anything
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// With --dry-run: time a few real training steps, for an estimate without records
    #[arg(long, requires = "dry_run", help_heading = "Output")]
    pub measure: bool,

    /// Print no progress and no notes; errors are still printed
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,

    /// Exit with code 6 if the record has warnings; it is written all the same
    #[arg(long, help_heading = "Output")]
    pub deny_warnings: bool,

    /// A test that this program works here: every stage of the demo on a few examples, in a second or two, in a store that is removed afterwards unless --store names one
    #[arg(long, conflicts_with_all = ["task", "model", "data", "text", "ticket", "finetuned", "config", "preset"], help_heading = "What to run")]
    pub smoke: bool,

    /// Keep the run's stage and progress in this file
    // A sweep reads it to follow its runs.
    #[arg(long, value_name = "FILE", hide = true)]
    pub report: Option<PathBuf>,

    /// Without --threads: CPU threads where other processes on this machine cannot be counted
    #[arg(long, hide = true)]
    pub threads_alone: Option<usize>,

    /// With --keep: leave the fine-tuned model, which other runs of the sweep may need
    #[arg(long, hide = true)]
    pub leave_shared: bool,
}

/// The options of `lottery run` that are no settings of the experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    pub store: PathBuf,
    pub tensorboard: Option<PathBuf>,
    pub json: bool,
    pub dry_run: bool,
    pub quiet: bool,
    pub keep: Keep,
    /// Notes on how the settings came about, for the user.
    pub notes: Vec<String>,
}

impl RunArgs {
    /// The validated configuration and options of the run, with the environment taken into account.
    ///
    /// # Errors
    /// Usage: they name the key or flag, where its value came from, and the remedy.
    pub fn resolve(&self) -> Result<(ExperimentConfig, RunOptions)> {
        self.resolve_in(variable)
    }

    /// The store of a smoke run.
    pub fn temporary_store(&self) -> Result<Option<TempDir>> {
        if !self.smoke || self.settings.store.is_some() {
            return Ok(None);
        }
        let made = tempfile::Builder::new().prefix("lottery-smoke-").tempdir();
        made.map(Some).map_err(|error| Error::io(&std::env::temp_dir(), "write", &error))
    }

    fn resolve_in(&self, env: impl Fn(&str) -> Option<String>) -> Result<(ExperimentConfig, RunOptions)> {
        let smoke = self.smoke.then(|| parse_toml(SMOKE, "--smoke")).transpose()?;
        let (config, notes) =
            self.settings.resolve_in(smoke.as_ref().map(|table| (table, "--smoke")), &env)?;
        let options = RunOptions {
            store: store_folder(self.settings.store.as_deref(), &env),
            tensorboard: self.tensorboard.clone(),
            json: self.json,
            dry_run: self.dry_run,
            quiet: self.quiet,
            keep: keep(self.keep.as_deref())?,
            notes,
        };
        Ok((config, options))
    }
}

impl SettingsArgs {
    /// The validated configuration, with the environment taken into account, and notes on how it came about. `middle` is as
    /// for [`layers`](Self::layers).
    pub fn resolve(&self, middle: Option<(&Table, &str)>) -> Result<(ExperimentConfig, Vec<String>)> {
        self.resolve_in(middle, &variable)
    }

    fn resolve_in(
        &self,
        middle: Option<(&Table, &str)>,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<(ExperimentConfig, Vec<String>)> {
        let mut layers = self.layers(middle)?;
        ticket::fill_in(&mut layers)?;
        let mut notes = add_environment(&mut layers, env)?;
        let mut config = layers.resolve()?;
        notes.extend(Machine::settle(config.run.device, &mut config.run.dtype));
        Ok((config, notes))
    }

    /// The configuration file with the flags over it, and between them `middle` with its origin.
    pub(super) fn layers(&self, middle: Option<(&Table, &str)>) -> Result<Layers> {
        let mut layers = Layers::new();
        if let Some(path) = &self.config {
            layers.file(path)?;
        }
        if let Some((table, origin)) = middle {
            layers.table(table, origin)?;
        }
        for (key, flag, value) in [
            ("task", "--task", &self.task),
            ("mode", "--mode", &self.mode),
            ("method", "--method", &self.method),
            ("model", "--model", &self.model),
            ("ticket", "--ticket", &self.ticket),
            ("ticket_from", "--ticket-from", &self.ticket_from),
            ("prune.sparsity", "--sparsity", &self.sparsity),
            ("init", "--init", &self.init),
            ("finetuned", "--finetuned", &self.finetuned),
            ("data.dir", "--data", &self.data),
            ("data.text", "--text", &self.text),
            ("preset", "--preset", &self.preset),
            ("run.device", "--device", &self.device),
            ("run.dtype", "--dtype", &self.dtype),
        ] {
            if let Some(value) = value {
                layers.value(key, value.as_str(), flag)?;
            }
        }
        for (key, flag, value) in [("seed", "--seed", self.seed), ("run.threads", "--threads", self.threads)]
        {
            if let Some(value) = value {
                // The parser of either flag keeps to a range within i64.
                layers.value(key, i64::try_from(value).unwrap_or(-1), flag)?;
            }
        }
        if !self.with.is_empty() {
            let tasks: Vec<Value> = self.with.iter().map(|task| Value::String(task.clone())).collect();
            layers.value("shared.tasks", tasks, "--with")?;
        }
        for assignment in &self.set {
            layers.set(assignment)?;
        }
        Ok(layers)
    }
}

#[cfg(test)]
mod tests;
