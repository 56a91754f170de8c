//! A sweep and its runs as text and JSON.

use crate::{
    cli::{
        marks::{Marks, failures},
        means::kept,
        table::{Column, Sheet},
    },
    config::ExperimentConfig,
    error::{Error, Result, excerpt},
    report::place,
    store::Store,
    sweep::{Run, Sweep, records::Summary, run_result::RunResult, state::Status},
};
use serde_json::{Value, json};
use std::collections::HashMap;

pub fn count(results: &[RunResult], status: Status) -> usize {
    results.iter().filter(|result| result.state.status == status).count()
}

pub fn some_failed(sweep: &Sweep, store: &Store, results: &[RunResult]) -> Error {
    let pending = count(results, Status::Pending);
    let rest = if pending > 0 { format!(" and {pending} were not finished") } else { String::new() };
    Error::SomeFailed(format!(
        "{} of {} runs failed{rest}; their logs are in {}. Fix the cause, then run: lottery sweep retry {} --store {}",
        count(results, Status::Failed),
        results.len(),
        sweep.dir.join("logs").display(),
        sweep.id,
        quoted(&store.dir().to_string_lossy())
    ))
}

/// All runs; in a table of at most `width` columns.
pub fn table(sweep: &Sweep, results: &[RunResult], width: Option<usize>) -> Result<String> {
    let varying = sweep.varying()?;
    let names = ["task", "mode", "seed"].into_iter().chain(varying.iter().map(String::as_str));
    let summaries: Vec<&Summary> = results.iter().filter_map(|result| result.summary.as_ref()).collect();
    let marks = Marks::of(&summaries);
    let mut head: Vec<(&str, Column)> = names.clone().map(|name| (name, Column::Text)).collect();
    head.extend([("status", Column::Text), ("metric", Column::Text)]);
    head.extend(["full", "pruned", "retrained", "heads", "FFNs"].map(|name| (name, Column::Number)));
    head.push(("weights", Column::Extra));
    if !marks.is_empty() {
        head.push(("!", Column::Mark));
    }
    let mut table = Sheet::new(head.iter().copied());
    for (run, result) in by_mode(sweep, results)? {
        let settings = run.config.settings()?;
        let value = |key: &str| {
            settings.get(key).map(|value| excerpt(&plain(value)).into_owned()).unwrap_or_default()
        };
        let mut row: Vec<String> = names.clone().map(value).collect();
        row.push(result.state.status.to_string());
        if let Some(summary) = &result.summary {
            row.push(excerpt(&summary.metric).into_owned());
            row.extend(summary.scores().map(|score| format!("{score:.4}")));
            row.extend(kept(&[&summary.ticket]));
            if !marks.is_empty() {
                row.push(marks.mark(&[summary]));
            }
        }
        row.resize(head.len(), String::new());
        table.row(row);
    }
    let failed = sweep.runs.iter().zip(results).filter(|(_, result)| result.state.status == Status::Failed);
    let failed = failed.filter_map(|(run, result)| Some((run, result.state.error.as_deref()?)));
    let failed = failed.map(|(run, error)| Ok((label(run, &varying)?, error))).collect::<Result<Vec<_>>>()?;
    Ok(format!("{}{}{}", table.text(width), marks.legend("runs"), failures(failed)))
}

/// The runs in their order, those that differ in their mode alone by [`place`].
fn by_mode<'a>(sweep: &'a Sweep, results: &'a [RunResult]) -> Result<Vec<(&'a Run, &'a RunResult)>> {
    let (mut first, mut rows) = (HashMap::new(), Vec::new());
    for (n, (run, result)) in sweep.runs.iter().zip(results).enumerate() {
        let mut others = run.config.settings()?;
        others.remove("mode");
        let others: Vec<String> = others.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let group = *first.entry(others).or_insert(n);
        rows.push(((group, place(&run.config.mode.to_string())), (run, result)));
    }
    rows.sort_by_key(|(at, _)| *at);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// All runs, and what more is to be said of them together.
pub fn document(
    sweep: &Sweep,
    store: &Store,
    results: &[RunResult],
    more: &[(&str, Value)],
) -> Result<String> {
    let runs = sweep.runs.iter().zip(results).map(|(run, result)| {
        let mut value = serde_json::to_value(&result.state).unwrap_or_default();
        value["log"] = json!(sweep.log(run));
        value["config"] = json!(run.config);
        let scores = result.summary.as_ref().map(|summary| {
            let [full, pruned, retrained] = summary.scores();
            json!({ "metric": summary.metric, "full": full, "pruned": pruned, "retrained": retrained })
        });
        value["scores"] = json!(scores);
        value
    });
    let mut value = json!({
        "format_version": 1,
        "sweep": sweep.id,
        "store": store.dir(),
        "runs": runs.collect::<Vec<_>>(),
    });
    for (key, part) in more {
        value[*key] = part.clone();
    }
    super::super::output::document(&value)
}

/// A short description of a run.
pub fn label(run: &Run, varying: &[String]) -> Result<String> {
    let config = &run.config;
    let mut label = format!("{} {} seed {}", config.task, config.mode, config.seed);
    let settings = config.settings()?;
    for key in varying {
        let value = settings.get(key).map_or_else(|| "none".to_owned(), plain);
        label += &format!(" {key}={value}");
    }
    Ok(label)
}

/// `demo good 42`
pub fn short_label(config: &ExperimentConfig) -> String {
    format!("{} {} {}", config.task, config.mode, config.seed)
}

/// A TOML value; text without its quotes.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |word| word.into_owned())
}

/// Hours and minutes, or minutes and seconds.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
