//! `lottery sweep --dry-run`: what a sweep consists of, what is done, and what the rest will take.

use super::{
    ExecutionArgs,
    show::{document, duration, table},
};
use crate::{
    cli::{
        output::{print, show},
        status::warn_of,
        terminal,
    },
    error::Result,
    experiment::{
        Contents,
        cost::{self, Measured},
    },
    store::{Keep, Store},
    sweep::{
        Options, Run, Sweep,
        estimate::{Estimate, estimate},
        records,
        run_result::{RunResult, run_results},
        state::Status,
    },
};
use indicatif::DecimalBytes;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// What is left of a sweep, and what it will take.
pub struct Forecast {
    left: usize,
    estimate: Estimate,
    bytes: u64,
    /// `about 3 h 20 min for one process, ±30 %, from 20 measured steps`
    pub time: String,
    pub disk: String,
}

impl Forecast {
    /// `keep` and `jobs` decide how much is on the disk at a time; `measure` times a few steps of each model.
    pub fn new(
        sweep: &Sweep,
        store: &Store,
        results: &[RunResult],
        (keep, jobs): (Keep, usize),
        measure: bool,
    ) -> Result<Self> {
        let done = |result: &RunResult| result.state.status == Status::Done;
        let runs: Vec<(&Run, bool)> = sweep.runs.iter().zip(results.iter().map(done)).collect();
        let records::Records { found, ignored } = records::all(store)?;
        warn_of(&ignored);
        let records: Vec<_> = found.into_iter().map(|(_, summary, ())| summary).collect();
        let mut contents = Contents::new(&sweep.directory, store);
        let measured = if measure { measured(sweep, results)? } else { HashMap::new() };
        let estimate = estimate(&runs, &records, &measured, store, &mut contents)?;
        let left = runs.iter().filter(|(_, done)| !done).count();
        // With this policy a process keeps a fine-tuned and a retrained model at most.
        let at_a_time = 2 * jobs as u64 * estimate.largest;
        let bytes = if keep == Keep::Models { estimate.bytes } else { estimate.bytes.min(at_a_time) };
        let but = |n: usize| match n {
            0 => String::new(),
            n => format!(", not counting {n} runs without an estimate"),
        };
        let time = if estimate.without_time == left && left > 0 {
            "unknown: the store has no record of this model; --measure times a few steps".to_owned()
        } else {
            let from = match measured.values().map(|measured| measured.steps).sum::<u64>() {
                steps if estimate.measured > 0 => format!("±30 %, from {steps} measured steps"),
                _ => "from the store's records".to_owned(),
            };
            let seconds = duration(estimate.seconds);
            format!("about {seconds} for one process, {from}{}", but(estimate.without_time))
        };
        let disk = if estimate.without_size == left && left > 0 {
            "unknown: the model is not a folder, and the store has no record of it".to_owned()
        } else {
            let some = if records.is_empty() { "at most" } else { "about" };
            format!("{some} {} of weights{}", DecimalBytes(bytes), but(estimate.without_size))
        };
        Ok(Self { left, estimate, bytes, time, disk })
    }

    pub fn json(&self) -> Value {
        let Self { left, estimate, bytes, .. } = self;
        json!({
            "runs": left,
            "seconds": (estimate.without_time < *left).then_some(estimate.seconds),
            "runs_without_time": estimate.without_time,
            "runs_measured": estimate.measured,
            "bytes": (estimate.without_size < *left).then_some(bytes),
            "runs_without_size": estimate.without_size,
        })
    }
}

pub fn dry_run(
    sweep: &Sweep,
    store: &Store,
    execution: &ExecutionArgs,
    options: &Options,
    list: bool,
    measure: bool,
) -> Result<()> {
    let results = run_results(sweep, store)?;
    let forecast = Forecast::new(sweep, store, &results, (options.keep, options.jobs), measure)?;
    if execution.json {
        return print(&document(sweep, store, &results, &[("estimate", forecast.json())])?);
    }
    let rows = if list { table(sweep, &results, terminal::width())? } else { String::new() };
    let Forecast { left, time, disk, .. } = forecast;
    let counts = format!("{}: {} already done, {left} to do", composition(sweep)?, sweep.runs.len() - left);
    show(&format!("{counts}\n{rows}sweep: {}\ntime: {time}\ndisk: {disk}\n", sweep.id))
}

/// Times a few steps of each model, on the first of its runs that is not done.
fn measured(sweep: &Sweep, results: &[RunResult]) -> Result<HashMap<String, Measured>> {
    let mut found = HashMap::new();
    for (run, result) in sweep.runs.iter().zip(results) {
        if result.state.status != Status::Done && !found.contains_key(&run.config.model) {
            found.insert(run.config.model.clone(), cost::measure(&run.config)?);
        }
    }
    Ok(found)
}

/// `135 runs = 9 tasks × 3 modes × 5 seeds`, or what they differ in where they are no grid.
fn composition(sweep: &Sweep) -> Result<String> {
    let settings = sweep.runs.iter().map(|run| run.config.settings()).collect::<Result<Vec<_>>>()?;
    let varying = sweep.varying()?;
    let keys = ["task", "mode", "seed"].into_iter().chain(varying.iter().map(String::as_str));
    let numbers: Vec<(&str, usize)> = keys
        .map(|key| {
            let values = settings.iter().map(|settings| settings.get(key).map(ToString::to_string));
            (key, values.collect::<BTreeSet<_>>().len())
        })
        .filter(|(_, n)| *n > 1)
        .collect();
    let one = |(key, n): &(&str, usize)| match *key {
        "task" | "mode" | "seed" | "method" | "model" => format!("{n} {key}s"),
        key => format!("{n} values of {key}"),
    };
    let runs = sweep.runs.len();
    let all = format!("{runs} run{}", if runs == 1 { "" } else { "s" });
    let is_product = numbers.iter().map(|(_, n)| n).product::<usize>() == runs;
    let parts: Vec<String> = numbers.iter().map(one).collect();
    Ok(match (parts.is_empty(), is_product) {
        (true, _) => all,
        (_, true) => format!("{all} = {}", parts.join(" × ")),
        (_, false) => format!("{all} of {}", parts.join(", ")),
    })
}
