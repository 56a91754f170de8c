//! Everything that a report says, computed once for every format.

use super::{
    agreement::{Agreement, agreement},
    comparison::{Comparison, correct, sides},
    group::{Group, groups},
    levels::{Levels, levels},
    matching::{Highest, Matching, matching},
    published::Paper,
    run::{Run, Runs},
    sensitivity::sensitivity,
    table::Table,
    tables,
    task_share::{TaskShares, task_shares},
    transfer::{Transfer, transfers},
};
use crate::{choice::Choice, error::Result, prune::Method, store::Store, sweep::records::Ignored};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What is computed beside the means.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of the equivalence tests, in units of the score.
    pub margin: f64,
    /// Whether predictions and tickets of the stages are read.
    pub stages: bool,
    pub paper: Option<Paper>,
}

/// A warning of records, without its numbers, and the records that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub text: String,
    pub records: usize,
    pub of: usize,
}

/// The report on some runs.
pub struct Report<'a> {
    pub runs: &'a [Run],
    pub ignored: &'a [Ignored],
    pub groups: Vec<Group<'a>>,
    pub comparisons: Vec<Comparison>,
    pub agreement: Vec<Agreement>,
    pub matching: Vec<Matching>,
    pub highest: Vec<Highest>,
    pub transfers: Vec<Transfer>,
    /// Empty unless the stages are read.
    pub levels: Vec<Levels>,
    /// Empty unless the stages are read.
    pub task_shares: Vec<TaskShares>,
    pub warnings: Vec<Warning>,
    /// What the report itself could not do, and left out.
    pub left_out: Vec<String>,
    published: Option<Table>,
}

impl<'a> Report<'a> {
    /// # Errors
    /// Internal: the published numbers cannot be read.
    pub fn new(runs: &'a Runs, options: Options) -> Result<Self> {
        let groups = groups(&runs.found);
        let mut left_out = Vec::new();
        let grouped: usize = groups.iter().map(|group| group.runs.len()).sum();
        if grouped < runs.found.len() {
            left_out.push(format!(
                "{} records have the settings, model, data and seed of another one and are not averaged",
                runs.found.len() - grouped
            ));
        }
        let mut agreement = agreement(&groups);
        let sides = sides(&groups);
        let compare = |(first, second)| (Comparison::of(first, second, options.margin), first, second);
        let mut comparisons: Vec<_> = sides.into_par_iter().map(compare).collect();
        if options.stages {
            let tested: Vec<Result<()>> = comparisons
                .par_iter_mut()
                .map(|(one, first, second)| one.test_examples(*first, *second))
                .collect();
            left_out.extend(tested.into_iter().filter_map(Result::err).map(|error| error.to_string()));
            for one in &mut agreement {
                let Some(group) = groups.iter().find(|group| one.is_of(group)) else { continue };
                left_out.extend(one.read_importance(group).err().map(|error| error.to_string()));
            }
        }
        let (mut shares, mut of_levels) = (Vec::new(), Vec::new());
        if options.stages {
            match task_shares(&groups) {
                Ok(found) => shares = found,
                Err(error) => left_out.push(error.to_string()),
            }
            match levels_of(&runs.found) {
                Ok(found) => of_levels = found,
                Err(error) => left_out.push(error.to_string()),
            }
        }
        let mut comparisons: Vec<Comparison> = comparisons.into_iter().map(|(one, ..)| one).collect();
        correct(&mut comparisons);
        let (matching, highest) = matching(&groups, options.margin);
        let published = options.paper.map(|paper| {
            let numbers = paper.numbers()?;
            Ok(tables::published(&numbers, numbers.beside(&groups)))
        });
        left_out.sort();
        left_out.dedup();
        Ok(Self {
            warnings: warnings(&runs.found),
            runs: &runs.found,
            ignored: &runs.ignored,
            published: published.transpose()?,
            transfers: transfers(&groups),
            levels: of_levels,
            groups,
            comparisons,
            agreement,
            matching,
            highest,
            task_shares: shares,
            left_out,
        })
    }

    /// All tables that have rows, the results first, but for those with a row for each run or unit; with `long` the former
    /// alone.
    pub fn tables(&self, long: bool) -> Vec<Table> {
        if long {
            return vec![tables::runs(self.runs)];
        }
        let mut all = vec![
            tables::results(&self.groups),
            tables::comparisons(&self.comparisons),
            tables::agreement(&self.agreement),
            tables::matching(&self.matching),
            tables::highest(&self.highest),
            tables::transfer(&self.transfers),
            tables::sensitivity(&sensitivity(&self.groups)),
        ];
        all.extend(self.published.clone());
        all.retain(|table| !table.rows.is_empty() || table.name == "results");
        all
    }

    /// A row for each unit and task, if tickets of several tasks were read.
    pub fn units(&self) -> Option<Table> {
        Some(tables::task_share(&self.task_shares)).filter(|table| !table.rows.is_empty())
    }
}

/// The one-shot levels of the stores and tasks of these runs.
fn levels_of(runs: &[Run]) -> Result<Vec<Levels>> {
    let one_shot = runs.iter().filter(|run| run.method == Method::OneShot.name());
    let places: BTreeSet<(&Path, &str)> =
        one_shot.map(|run| (run.store.as_path(), run.task.as_str())).collect();
    // A task that is none of the program's has no levels.
    let places = places.into_iter().filter_map(|(store, task)| Some((store, task.parse().ok()?)));
    let found = places.map(|(store, task)| levels(&Store::at(store)?, Some(task)));
    Ok(found.collect::<Result<Vec<_>>>()?.concat())
}

/// The kinds of warnings: their texts up to the numbers.
fn warnings(runs: &[Run]) -> Vec<Warning> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for run in runs {
        let mut own: Vec<&str> = run.warnings.iter().map(|text| kind(text)).collect();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
    }
    let warning = |(text, records): (&str, usize)| Warning { text: text.to_owned(), records, of: runs.len() };
    counts.into_iter().map(warning).collect()
}

fn kind(warning: &str) -> &str {
    warning.split_once([':', ';']).map_or(warning, |(kind, _)| kind)
}
