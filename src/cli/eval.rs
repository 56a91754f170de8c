//! `lottery eval`: a trained model on a task's data.

use super::{
    choice::one_of,
    console::{Console, report_share},
    options::{numbers, store_folder, variable},
    output::{document, print, show},
    table::Sheet,
    terminal,
};
use crate::{
    config::DataConfig,
    cores,
    engine::{Device, Machine},
    error::{Error, Result},
    eval::{
        Development, Evaluated, Matching, Source, Trained, answer, blocks, check_head, evaluate, file_names,
        find_words, metrics, write_predictions, write_submission,
    },
    experiment::{data_folder, words::Texts},
    hub::HubSettings,
    model::Head,
    ops::Format,
    store::Store,
    task::{self, Definition, EvalSet, Labels, TaskId, TaskSpec},
    text::WindowRules,
    train::{Progress, baseline},
};
use clap::Args;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const ABOUT: &str = "\
Scores a trained model on a task's development set, or predicts its test set.

WHAT is a model's folder (fine-tuned by any program, or exported), a name on the Hugging Face hub, a finished stage (its id or \
its folder), a record (its retrained model), or a ticket file with --model.

The task may be another than the model's where its labels have the same names (id2label in config.json): they are matched by \
name, never by position. A model of entailment, neutral and contradiction also answers tasks of entailment alone.";

const EXAMPLES: &str = "\
Examples:
  A folder that transformers saved, with a line for each example:
    lottery eval my-rte-model --task rte --data glue --predictions rte.jsonl

  A stage, and a record's retrained model:
    lottery eval finetune-ce806c214e11 --task demo
    lottery eval runs/results/rte/heads+ffns/good/seed-1337.json --task rte --data glue

  Answers to SQuAD's questions, as its official scorer reads them:
    lottery eval finetune-0123456789ab --task squad --data squad --predictions answers.json

  GLUE's submission, one task after the other:
    lottery eval finetune-0123456789ab --task rte --data glue --test submission";

/// The flags of `lottery eval`.
#[derive(Args, Clone, Debug)]
#[command(about = "Score a model, stage or ticket on a task; predictions and GLUE submission files")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct EvalArgs {
    /// A model's folder or name, a stage's id or folder, a record, or a ticket file
    #[arg(value_name = "WHAT")]
    what: String,

    /// The task
    #[arg(long, value_name = "TASK|FILE.toml", value_parser = one_of::<TaskId>())]
    task: String,

    /// The folder that holds the task's data [default: LOTTERY_DATA, else the task's data set on the hub]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,

    /// Of mlm: the text whose held-out lines are scored, as a run of --text does, or demo
    #[arg(long, value_name = "FILE|demo")]
    text: Option<String>,

    /// Of mlm: the text that is scored as a whole, as a run's data.dev_text
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    dev_text: Option<String>,

    /// With a ticket file: the fine-tuned model that its mask is applied to (a folder, a stage, or a name on the hub)
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// The names of the model's outputs in their order, separated by commas, where config.json does not say them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Option<Vec<String>>,

    /// Tokens per example, including [CLS] and [SEP] [default: 128; 384 of questions; 512 of mlm]
    #[arg(long, value_name = "N", value_parser = numbers(8..=1_000_000_000))]
    max_length: Option<u64>,

    /// Of questions: tokens of a paragraph that two neighbouring windows share (data.doc_stride) [default: 128]
    #[arg(long, value_name = "N", value_parser = numbers(0..=1_000_000_000))]
    doc_stride: Option<u64>,

    /// Of questions: tokens of a question (data.max_question_length) [default: 64]
    #[arg(long, value_name = "N", value_parser = numbers(1..=1_000_000_000))]
    max_question_length: Option<u64>,

    /// Evaluate only the first N examples
    #[arg(long, value_name = "N", value_parser = numbers(1..))]
    limit: Option<u64>,

    /// Write a line of JSON for each example: index, label, prediction, logits; of questions FILE.jsonl, and FILE.json with
    /// all answers by id
    #[arg(long, value_name = "FILE", conflicts_with = "test", help_heading = "Output")]
    predictions: Option<PathBuf>,

    /// Predict the test set instead, and write GLUE's submission files (RTE.tsv, …) into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "limit", help_heading = "Output")]
    test: Option<PathBuf>,

    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Where and how")]
    store: Option<PathBuf>,

    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Where and how")]
    device: Device,

    /// The format of the matrix products
    #[arg(long, value_name = "TYPE", default_value = "f32", help_heading = "Where and how")]
    dtype: Format,

    /// CPU threads; the result does not depend on them [default: one per core, less those that other runs use]
    #[arg(long, value_name = "N", value_parser = numbers(1..=1024), help_heading = "Where and how")]
    threads: Option<u64>,

    /// Print the scores as JSON on stdout, and nothing else
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print no progress and no notes, only errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

pub fn run(arguments: &EvalArgs) -> Result<()> {
    let mut console = Console::new(arguments.quiet, Arc::default());
    let id = task_of(&arguments.task)?;
    let task = id.spec();
    if arguments.test.is_some() {
        file_names(task)?;
    }
    let threads = arguments.threads.map(|n| n as usize);
    let share = cores::begin(threads, None)?;
    report_share(threads, share, &mut console);
    let machine = Machine::open(arguments.device, arguments.dtype, &mut |why| console.note(why))?;
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let source = Source::find(&arguments.what, &store, &mut console)?;
    let with =
        arguments.model.as_deref().map(|model| Source::find(model, &store, &mut console)).transpose()?;
    let words = (task.labels == Labels::Words).then_some(Head::MaskedLm);
    let mut trained = source.trained(with.as_ref(), words, &mut console)?;
    named(&mut trained, arguments.labels.as_deref())?;
    check_head(task, &trained)?;
    let dir = folder(id, arguments)?;
    let limit = arguments.limit.map_or(usize::MAX, |limit| limit as usize);
    let of = |sets: Vec<EvalSet>| -> Result<Vec<Evaluated>> {
        let matching = Matching::new(task, &trained.labels, &trained.name)?;
        let length = arguments.length(128, &trained);
        let sets = sets.into_iter().map(|mut set| {
            set.examples.truncate(limit);
            evaluate(&trained, &matching, set, length, &machine)
        });
        sets.collect()
    };
    if let Some(out) = &arguments.test {
        let sets = task::load_test(task, &dir)?;
        notes(&sets, &mut console);
        let sets = of(sets)?;
        let files = write_submission(out, task, &sets)?;
        let written: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        if arguments.json {
            let examples: usize = sets.iter().map(|set| set.data.len()).sum();
            let report =
                json!({ "format_version": 1, "task": task.name, "examples": examples, "files": written });
            return print(&document(&report)?);
        }
        return show(&(written.join("\n") + "\n"));
    }
    let sets = match Development::load(task, &dir, arguments.texts(id).as_ref())? {
        Development::Sentences(sets) => {
            notes(&sets, &mut console);
            of(sets)?
        }
        Development::Questions(mut all) => {
            all.truncate(limit);
            vec![answer(&trained, all, arguments.windows(&trained), &machine)?]
        }
        Development::Text(text) => {
            let data = blocks(&trained, &text, arguments.length(512, &trained), limit)?;
            vec![find_words(&trained, data, &machine)?]
        }
    };
    let files = match &arguments.predictions {
        Some(path) => write_predictions(path, &sets)?,
        None => Vec::new(),
    };
    shown(arguments, task, &trained, &sets, &files)
}

impl EvalArgs {
    /// Of a text that is scored as a whole, no part is trained on.
    fn texts(&self, task: TaskId) -> Option<Texts> {
        let whole = self.dev_text.clone().map(|dev| Texts { train: "demo".into(), dev: Some(dev) });
        whole.or_else(|| Texts::named(task, self.text.clone(), None))
    }

    fn length(&self, usual: usize, trained: &Trained) -> usize {
        let length = self.max_length.map_or(usual, |n| n as usize);
        length.min(trained.bert.config.longest_sequence())
    }

    fn windows(&self, trained: &Trained) -> WindowRules {
        let usual = DataConfig::default();
        let or = |typed: Option<u64>, usual| typed.map_or(usual, |n| n as usize);
        WindowRules {
            max_length: self.length(384, trained),
            overlap: or(self.doc_stride, usual.doc_stride),
            max_question_length: or(self.max_question_length, usual.max_question_length),
        }
    }
}

/// The task of this name, or that of a user's file.
fn task_of(word: &str) -> Result<TaskId> {
    match Definition::is_path(word) {
        true => Definition::read(Path::new(word))?.task(),
        false => word.parse::<TaskId>().map_err(|e| Error::usage(format!("--task {word}: {e}"))),
    }
}

fn notes(sets: &[EvalSet], progress: &mut dyn Progress) {
    sets.iter().flat_map(|set| &set.notes).for_each(|note| progress.note(note));
}

/// The names that were typed, in the place of those in `config.json`.
fn named(trained: &mut Trained, typed: Option<&[String]>) -> Result<()> {
    let Some(typed) = typed else { return Ok(()) };
    if typed.len() != trained.labels.len() {
        return Err(Error::usage(format!(
            "--labels has {} names, and {} has {} outputs. Give one name for each, in their order.",
            typed.len(),
            trained.name,
            trained.labels.len()
        )));
    }
    trained.labels = typed.to_vec();
    Ok(())
}

/// The folder of the task's data: as a run finds it.
fn folder(task: TaskId, arguments: &EvalArgs) -> Result<PathBuf> {
    let usual = || variable("LOTTERY_DATA");
    let named = arguments.data.clone().or_else(usual);
    Ok(data_folder(task, named.as_deref(), &HubSettings::from_env())?.dir)
}

fn shown(
    arguments: &EvalArgs,
    task: &TaskSpec,
    trained: &Trained,
    sets: &[Evaluated],
    files: &[impl AsRef<Path>],
) -> Result<()> {
    let scores = metrics(task, sets);
    let baseline = sets.first().map(|set| baseline(task, &set.data));
    let files: Vec<String> = files.iter().map(|path| path.as_ref().display().to_string()).collect();
    let examples: Vec<usize> = sets.iter().map(|set| set.data.examples()).collect();
    if arguments.json {
        let report = json!({
            "format_version": 1,
            "task": task.name,
            "metric": task.metric.name(),
            "model": trained.name,
            "labels": trained.labels,
            "examples": examples,
            "metrics": scores,
            "baseline": baseline,
            "predictions": files,
        });
        return print(&document(&report)?);
    }
    let mut table = Sheet::of_numbers([task.name, "score"]);
    for (name, value) in &scores {
        table.row([name.clone(), format!("{value:.4}")]);
    }
    let metric = task.metric.name();
    let count = examples.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
    let baseline = baseline.map(Value::from).and_then(|value| value.as_f64()).unwrap_or(f64::NAN);
    let files: String = files.iter().map(|path| format!("predictions: {path}\n")).collect();
    let text = format!(
        "{}{}: {count} examples; majority class: {metric} {baseline:.4}\n{files}",
        table.text(terminal::width()),
        trained.name
    );
    show(&text)
}
