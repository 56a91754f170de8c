//! What the stages of tickets say of importances.

use super::run::{Run, gone};
use crate::{error::Result, experiment::ticket::TICKET};
use serde::Deserialize;

/// Scores of heads (layer by layer) and FFNs; what was not a candidate is NaN.
#[derive(Clone, Debug)]
pub struct Importances {
    pub heads: Vec<Vec<f64>>,
    pub ffns: Vec<f64>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    importance: Option<Scores>,
}

#[derive(Deserialize)]
struct Scores {
    #[serde(default)]
    heads: Vec<Vec<Option<f64>>>,
    #[serde(default)]
    ffns: Vec<Option<f64>>,
}

/// The importances of the first step, in the full model; none where the run has no search by importance.
///
/// # Errors
/// Data: the search is not in the store any more, or its ticket is damaged.
pub fn first_importance(run: &Run) -> Result<Option<Importances>> {
    let Some(id) = run.ticket() else { return Ok(None) };
    let done = run.open()?.stage(&id).load()?.ok_or_else(|| gone(run, "the ticket"))?;
    let file: File = serde_json::from_value(done.read_json(TICKET)?)
        .map_err(|e| done.damaged(TICKET, &format!("has unexpected content ({e})")))?;
    let numbers = |row: Vec<Option<f64>>| row.into_iter().map(|score| score.unwrap_or(f64::NAN)).collect();
    let first = file.steps.into_iter().next().and_then(|step| step.importance);
    Ok(first.map(|scores| Importances {
        heads: scores.heads.into_iter().map(numbers).collect(),
        ffns: numbers(scores.ffns),
    }))
}
