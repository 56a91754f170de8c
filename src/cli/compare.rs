//! `lottery compare`: two stores, settings or records side by side.

use super::{
    choice::one_of,
    options::{real, store_folder, variable},
    output::{document, print, show, to_stderr},
    report::texts,
    status::warn_of,
    terminal,
};
use crate::{
    error::{Error, Result, excerpt, message},
    report::{
        Compared, Run, Runs, compared,
        table::{self, Table},
        tables,
    },
    store::Store,
    task::TaskId,
};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const ABOUT: &str = "\
Two sets of runs side by side: what differs between them, and whether it matters.

A and B are each a store, a record, or settings such as mode=bad or train.epochs=3,model=tiny, which choose among the runs of \
--store. Runs are paired by seed, and by everything else that they have in common; the differences are A minus B, with the \
statistics of `lottery report`, by seed and by example.";

const EXAMPLES: &str = "\
Examples:
  Two stores:
    lottery compare runs-before runs-after
  Two learning rates, and two modes, of one store:
    lottery compare train.learning_rate=2e-5 train.learning_rate=3e-5 --store runs
    lottery compare mode=good mode=random --task mrpc
  Two records:
    lottery compare runs/results/mrpc/heads+ffns/good/seed-42.json other/results/mrpc/heads+ffns/good/seed-42.json";

/// The flags of `lottery compare`.
#[derive(Args, Debug)]
#[command(about = "Two stores, settings or records side by side: what differs, and whether it matters")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct CompareArgs {
    /// A store, a record, or settings (key=value,…)
    #[arg(value_name = "A")]
    first: String,

    /// What it is compared with
    #[arg(value_name = "B")]
    second: String,

    /// Where settings choose runs [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Only these tasks
    #[arg(long, value_name = "TASKS", value_delimiter = ',', value_parser = one_of::<TaskId>())]
    task: Vec<String>,

    /// Means that differ by less than this count as equivalent, in the equivalence tests
    #[arg(long, value_name = "DIFFERENCE", default_value = "0.01", value_parser = real)]
    margin: f64,

    /// Leave out the tests by example, which read the stages' predictions
    #[arg(long)]
    no_examples: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One side.
enum Side {
    Store(PathBuf),
    /// A record, and its store.
    Record(PathBuf, PathBuf),
    Settings(Vec<(String, String)>, PathBuf),
}

impl Side {
    fn of(word: &str, store: &Path) -> Result<Self> {
        let path = Path::new(word);
        if path.is_dir() {
            return Ok(Self::Store(path.to_owned()));
        }
        if path.is_file() {
            let whole = path.canonicalize().map_err(|e| Error::io(path, "read", &e))?;
            let results = whole.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "results"));
            let Some(own) = results.and_then(Path::parent) else {
                return Err(Error::usage(format!(
                    "{word} is not in the results of a store. Give a record in its place, results/<task>/<method>/<mode>/."
                )));
            };
            return Ok(Self::Record(whole.clone(), own.to_owned()));
        }
        let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let pairs: Option<Vec<(String, String)>> = word.split(',').map(pair).collect();
        pairs.map(|pairs| Self::Settings(pairs, store.to_owned())).ok_or_else(|| {
            Error::usage(format!(
                "{} is no store, no record and no settings. Give a folder, a file, or key=value.",
                excerpt(word)
            ))
        })
    }

    fn store(&self) -> &Path {
        match self {
            Self::Store(store) | Self::Record(_, store) | Self::Settings(_, store) => store,
        }
    }

    fn has(&self, run: &Run) -> bool {
        // A key that all runs have the same value of distinguishes none.
        let value = |key: &str| match key {
            "task" => Some(run.task.clone()),
            "method" => Some(run.method.clone()),
            "mode" => Some(run.mode.clone()),
            "model" => Some(run.model.clone()),
            "seed" => Some(run.seed.to_string()),
            key => run.settings.get(key).cloned(),
        };
        let is = |(key, wanted): &(String, String)| value(key).is_some_and(|value| is_same(&value, wanted));
        match self {
            Self::Store(_) => true,
            Self::Record(path, _) => run.path.canonicalize().is_ok_and(|own| own == *path),
            Self::Settings(pairs, _) => pairs.iter().all(is),
        }
    }
}

/// Equal as texts, or as numbers: 2e-5 is 0.00002.
fn is_same(a: &str, b: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    a == b || number(a).zip(number(b)).is_some_and(|(a, b)| a == b)
}

pub fn run(arguments: &CompareArgs) -> Result<()> {
    let store = store_folder(arguments.store.as_deref(), variable);
    let tasks = arguments.task.iter().map(|task| task.parse()).collect::<Result<Vec<TaskId>>>()?;
    let sides = [Side::of(&arguments.first, &store)?, Side::of(&arguments.second, &store)?];
    let mut stores = vec![Store::at(sides[0].store())?];
    if Store::at(sides[1].store())?.dir() != stores[0].dir() {
        stores.push(Store::at(sides[1].store())?);
    }
    let runs = Runs::of(&stores.iter().collect::<Vec<_>>(), &tasks)?;
    warn_of(&runs.ignored);
    let last = stores.last().unwrap_or(&stores[0]);
    let of = |side: &Side, word: &str, store: &Store| -> Result<Vec<Run>> {
        let own = runs.found.iter().filter(|run| run.store == store.dir() && side.has(run));
        let own: Vec<Run> = own.cloned().collect();
        if own.is_empty() {
            return Err(Error::usage(format!(
                "{} has no records in {}. `lottery report` lists what is there, with the settings that differ.",
                excerpt(word),
                store.dir().display()
            )));
        }
        Ok(own)
    };
    let (first, second) =
        (of(&sides[0], &arguments.first, &stores[0])?, of(&sides[1], &arguments.second, last)?);
    let found = compared(&first, &second, arguments.margin, !arguments.no_examples);
    for text in &found.left_out {
        to_stderr(&format!("warning: {}", message(text)));
    }
    let tables: Vec<Table> = [tables::comparisons(&found.comparisons), tables::masks(&found.masks)]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect();
    if arguments.json {
        return print(&document(&json(&found, &tables))?);
    }
    show(&text(arguments, &found, &tables))
}

fn text(arguments: &CompareArgs, found: &Compared, tables: &[Table]) -> String {
    let mut text = format!("A: {}\nB: {}\n\n", excerpt(&arguments.first), excerpt(&arguments.second));
    if tables.is_empty() {
        text += "no runs of both have the same task and seed\n";
    }
    text += &texts(tables, terminal::width());
    for (side, alone) in ["A", "B"].iter().zip(&found.alone) {
        for name in alone {
            text += &format!("only in {side}: {}\n", excerpt(name));
        }
    }
    text
}

fn json(found: &Compared, tables: &[Table]) -> Value {
    let all: Map<String, Value> =
        tables.iter().map(|table| (table.name.to_owned(), table::json(table))).collect();
    json!({
        "format_version": 1,
        "only_in_a": found.alone[0],
        "only_in_b": found.alone[1],
        "left_out": found.left_out,
        "tables": all,
    })
}
