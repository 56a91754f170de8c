//! What the stages of tickets say of importances.

use super::run::{Run, gone};
use crate::{
    error::Result,
    experiment::{stages::SCORED, ticket::TICKET},
    store::StageId,
};
use serde::{Deserialize, de::DeserializeOwned};

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

impl From<Scores> for Importances {
    fn from(Scores { heads, ffns }: Scores) -> Self {
        let numbers =
            |row: Vec<Option<f64>>| row.into_iter().map(|score| score.unwrap_or(f64::NAN)).collect();
        Self { heads: heads.into_iter().map(numbers).collect(), ffns: numbers(ffns) }
    }
}

/// The importances in the full model, of the search's first step or of the one scoring that levels share; none where the run
/// has no search by importance.
///
/// # Errors
/// Data: the stage is not in the store any more, or is damaged.
pub fn first_importance(run: &Run) -> Result<Option<Importances>> {
    match run.stage("score") {
        Some(id) => read(run, &id, SCORED).map(|scores: Scores| Some(scores.into())),
        None => Ok(importances(run)?.into_iter().next().flatten()),
    }
}

/// The importances by which each step of the run's search pruned; empty where it has no search of several steps.
///
/// # Errors
/// Data: the stage is not in the store any more, or is damaged.
pub fn importances(run: &Run) -> Result<Vec<Option<Importances>>> {
    let Some(id) = run.ticket().filter(|_| run.stage("score").is_none()) else { return Ok(Vec::new()) };
    let file: File = read(run, &id, TICKET)?;
    Ok(file.steps.into_iter().map(|step| step.importance.map(Importances::from)).collect())
}

fn read<T: DeserializeOwned>(run: &Run, id: &StageId, name: &str) -> Result<T> {
    let done = run.open()?.stage(id).load()?.ok_or_else(|| gone(run, "the importance of units"))?;
    let unexpected = |e: serde_json::Error| done.damaged(name, &format!("has unexpected content ({e})"));
    serde_json::from_value(done.read_json(name)?).map_err(unexpected)
}
