//! `lottery levels`: curves over one-shot levels, and the super ticket.

use super::{
    choice::one_of,
    options::{store_folder, variable},
    output::{counted, document, print},
    table::Sheet,
    terminal,
};
use crate::{
    error::{Error, Result, printable},
    report::{Levels, levels, super_ticket::Gain},
    store::Store,
    task::TaskId,
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

const ABOUT: &str = "\
What a store's one-shot runs say over their levels: the mean score of winning (good), random and losing (bad) tickets, and the \
super ticket, the best level.

The best of several scores is above their mean even where no level helps. So beside the gain by the published rule (the level \
is chosen and reported on the same development examples) stands the cross-fitted one (chosen on one half, reported on the \
other), and what the same rule gains with as many random tickets.";

const EXAMPLES: &str = "\
Examples:
  Eight levels of three kinds of tickets over five seeds, then their curves and the super ticket:
    lottery sweep --tasks mrpc --methods one-shot --set prune.level=1,2,3,4,5,6,7,8 --modes good,random,bad \\
        --seeds 1337,42,86,71,166 --model MODEL --data GLUE
    lottery levels --task mrpc";

/// The flags of `lottery levels`.
#[derive(Args, Debug)]
#[command(
    about = "Curves over one-shot levels, and the super ticket with the part of its gain that is selection"
)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct LevelsArgs {
    /// The task [default: all of the store]
    #[arg(long, value_name = "TASK", value_parser = one_of::<TaskId>())]
    task: Option<String>,

    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &LevelsArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let task = arguments.task.as_deref().map(str::parse).transpose()?;
    let found = levels(&store, task)?;
    if arguments.json {
        return print(&document(&json!({ "format_version": 1, "levels": found }))?);
    }
    if found.is_empty() {
        return Err(Error::usage(format!(
            "{} has no one-shot runs of which a seed has all levels. Run a sweep with --methods one-shot first.",
            store.dir().display()
        )));
    }
    let texts: Vec<String> = found.iter().map(text).collect();
    print(&printable(&texts.join("\n")))
}

fn text(levels: &Levels) -> String {
    let score = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    let mut sheet = Sheet::of_numbers(["level", "encoder weights", "winning", "random", "losing"]);
    for (at, level) in levels.levels.iter().enumerate() {
        sheet.row([
            level.clone(),
            format!("{:.1} %", 100.0 * levels.weights_kept[at]),
            score(Some(levels.winning[at])),
            score(levels.random[at]),
            score(levels.losing[at]),
        ]);
    }
    let table = sheet.text(terminal::width());
    let Levels { task, metric, model, seeds, full, .. } = levels;
    let found = &levels.super_ticket;
    let gain = |name: &str, gain: &Gain| {
        let error = gain.standard_error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
        format!(
            "{name}: {} is best; gain {:+.4} by the published rule, {:+.4}{error} cross-fitted",
            levels.levels[gain.best], gain.published, gain.cross_fitted
        )
    };
    let null = found.null.as_ref().map(|null| format!("\n{}", gain("as many random tickets", null)));
    format!(
        "{task}, {model}: mean {metric} over {}, retrained; full model {full:.4}\n{table}{}{}\n",
        counted(seeds.len(), "seed"),
        gain("super ticket", &found.winning),
        null.unwrap_or_default()
    )
}
