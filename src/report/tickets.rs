//! What the stages of tickets say of importances.

use super::run::{Run, gone};
use crate::{
    error::Result,
    experiment::{stages::SCORED, ticket::TICKET},
};
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

/// The importances in the full model, of the search's first step or of the one scoring that levels share; none where the run
/// has no search by importance.
///
/// # Errors
/// Data: the stage is not in the store any more, or is damaged.
pub fn first_importance(run: &Run) -> Result<Option<Importances>> {
    let (id, name) = match (run.stage("score"), run.ticket()) {
        (Some(score), _) => (score, SCORED),
        (None, Some(search)) => (search, TICKET),
        (None, None) => return Ok(None),
    };
    let done = run.open()?.stage(&id).load()?.ok_or_else(|| gone(run, "the importance of units"))?;
    let json = done.read_json(name)?;
    let unexpected = |e: serde_json::Error| done.damaged(name, &format!("has unexpected content ({e})"));
    let scores = if name == SCORED {
        Some(serde_json::from_value(json).map_err(unexpected)?)
    } else {
        let file: File = serde_json::from_value(json).map_err(unexpected)?;
        file.steps.into_iter().next().and_then(|step| step.importance)
    };
    let numbers = |row: Vec<Option<f64>>| row.into_iter().map(|score| score.unwrap_or(f64::NAN)).collect();
    Ok(scores.map(|Scores { heads, ffns }| Importances {
        heads: heads.into_iter().map(numbers).collect(),
        ffns: numbers(ffns),
    }))
}
