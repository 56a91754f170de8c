//! `lottery data`: the data sets and models that runs use by default.

mod table;
mod verify;

use super::{
    choice::one_of,
    options::variable,
    output::{print, to_stderr},
};
use crate::{
    choice::Choice,
    config::presets,
    error::{Error, Result, excerpt},
    experiment::{DataFolder, data_folder},
    hub::{HubSettings, resolve_dataset, resolve_model},
    task::TaskId,
};
use clap::{Args, Subcommand};

const ABOUT: &str = "\
Lists, downloads and checks the data sets and models that runs use where none are named.

They come from the Hugging Face hub, each at a fixed commit, and are kept in the hub's own cache (HF_HOME). A run \
downloads what it needs by itself. To prepare a machine without a network: `lottery data fetch` on another one, then \
copy its cache and set HF_HOME to it.";

const EXAMPLES: &str = "\
Examples:
  What there is, and what is in the cache:
    lottery data list

  Prepare for the paper's experiments on RTE and MRPC, then on all of GLUE:
    lottery data fetch rte mrpc --model google-bert/bert-base-uncased
    lottery data fetch glue

  Check the hashes of what was downloaded and count the examples:
    lottery data verify rte";

/// The flags of `lottery data`.
#[derive(Args, Debug)]
#[command(about = "List, download and check data sets and models", long_about = ABOUT, after_help = EXAMPLES)]
pub struct DataArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show all tasks, where their data come from, and whether they are in the cache
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Download data sets and models into the hub's cache; what is there already is not downloaded again
    Fetch {
        #[command(flatten)]
        what: What,
        /// Download the unlabelled test sets too
        #[arg(long)]
        test: bool,
    },
    /// Check the hashes of the files in the cache, read them, and count their examples
    Verify {
        #[command(flatten)]
        what: What,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct What {
    /// Tasks; glue means GLUE's nine
    #[arg(value_name = "TASK", value_parser = one_of::<TaskId>(), hide_possible_values = true)]
    tasks: Vec<String>,
    /// A model, by its name on the hub; may be repeated
    #[arg(long = "model", value_name = "OWNER/NAME")]
    models: Vec<String>,
    /// The folder with the tasks' files, to verify it instead of the cache [default: LOTTERY_DATA]
    #[arg(long = "data", value_name = "DIR")]
    dir: Option<String>,
}

impl What {
    /// The tasks, each once.
    fn tasks(&self) -> Result<Vec<TaskId>> {
        let mut tasks = Vec::new();
        for word in &self.tasks {
            let named = match word.as_str() {
                "glue" => TaskId::glue(),
                word => vec![
                    (word.parse()).map_err(|error| Error::usage(format!("{}: {error}", excerpt(word))))?,
                ],
            };
            for task in named {
                if !tasks.contains(&task) {
                    tasks.push(task);
                }
            }
        }
        match tasks.is_empty() && self.models.is_empty() {
            true => Err(Error::usage(
                "nothing is named. Give one or more tasks, for example rte, or glue for all nine; or --model OWNER/NAME.",
            )),
            false => Ok(tasks),
        }
    }

    fn dir(&self) -> Option<String> {
        self.dir.clone().or_else(|| variable("LOTTERY_DATA"))
    }
}

/// The models that presets name, each once.
pub(super) fn default_models() -> Vec<String> {
    let mut models: Vec<String> = presets().iter().filter_map(|preset| preset.model()).collect();
    models.dedup();
    models.retain(|model| model.contains('/'));
    models
}

pub fn run(arguments: &DataArgs) -> Result<()> {
    match &arguments.action {
        Action::List { json } => list(*json),
        Action::Fetch { what, test } => fetch(what, *test),
        Action::Verify { what, json } => {
            verify::verify(&what.tasks()?, &what.models, what.dir().as_deref(), *json)
        }
    }
}

fn list(json: bool) -> Result<()> {
    let hub = HubSettings::cache_only();
    let tasks = TaskId::all().iter().map(|task| table::Task::new(*task, &hub)).collect::<Vec<_>>();
    let models = default_models().iter().map(|model| table::Model::new(model, &hub)).collect::<Vec<_>>();
    let text = if json { table::json(&tasks, &models)? } else { table::table(&tasks, &models) };
    print(&text)
}

fn fetch(what: &What, test: bool) -> Result<()> {
    let hub = HubSettings::from_env();
    let tasks = what.tasks()?;
    for task in tasks {
        let name = task.name();
        let Some(source) = task.source() else {
            to_stderr(&format!("{name}: needs no download"));
            continue;
        };
        let DataFolder { mut dir, .. } = data_folder(task, None, &hub)?;
        if test {
            dir = resolve_dataset(source.name, &source.test_files, &hub)?.dir;
        }
        print(&format!("{name}: {}\n", dir.display()))?;
    }
    for model in &what.models {
        print(&format!("{model}: {}\n", resolve_model(model)?.dir.display()))?;
    }
    Ok(())
}
