//! A sweep and its runs as text and JSON.

use crate::{
    error::{Error, Result, excerpt, message, printable},
    store::Store,
    sweep::{Run, Sweep, run_result::RunResult, state::Status},
};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

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

pub fn table(sweep: &Sweep, results: &[RunResult]) -> Result<String> {
    let varying = sweep.varying()?;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let names = ["task", "mode", "seed"].into_iter().chain(varying.iter().map(String::as_str));
    let scores = ["status", "metric", "full", "pruned", "retrained"];
    table.set_header(names.clone().chain(scores));
    let mut failures = String::new();
    for (run, result) in sweep.runs.iter().zip(results) {
        let settings = run.config.settings()?;
        let value = |key: &str| {
            settings.get(key).map(|value| excerpt(&plain(value)).into_owned()).unwrap_or_default()
        };
        let mut row: Vec<String> = names.clone().map(value).collect();
        row.push(result.state.status.to_string());
        match &result.summary {
            Some(summary) => {
                row.push(excerpt(&summary.metric).into_owned());
                row.extend(summary.scores().map(|score| format!("{score:.4}")));
            }
            None => row.extend(std::iter::repeat_n(String::new(), 4)),
        }
        table.add_row(row);
        if let (Status::Failed, Some(error)) = (result.state.status, &result.state.error) {
            failures += &format!("failed: {}: {}\n", printable(&label(run, &varying)?), message(error));
        }
    }
    let numbers = names.count() + 2;
    table.column_iter_mut().skip(numbers).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    Ok(format!("{table}\n{failures}"))
}

pub fn document(
    sweep: &Sweep,
    store: &Store,
    results: &[RunResult],
    estimate: Option<Value>,
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
    if let Some(estimate) = estimate {
        value["estimate"] = estimate;
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
