//! The levels of one-shot pruning that a store has, with the predictions of their models.

use super::super_ticket::{Seed, SuperTicket, super_ticket};
use crate::{
    choice::Choice,
    error::{Error, Result},
    experiment::stages::PREDICTIONS,
    prune::{Method, Mode},
    store::{Done, StageId, Store, canonical_json},
    sweep::records::{self, Summary},
    task::{Label, Labels, TaskId},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// All runs of one task that differ in level, mode and seed alone.
#[derive(Clone, Debug, Serialize)]
pub struct Levels {
    pub task: String,
    pub metric: String,
    pub model: String,
    /// As runs were asked for them: a level, or a sparsity.
    pub levels: Vec<String>,
    /// Share of the encoder's weights that each level keeps, of the first seed.
    pub weights_kept: Vec<f64>,
    pub seeds: Vec<u64>,
    /// Means over seeds of the retrained winning, random and losing tickets by level, as far as there are any.
    pub winning: Vec<f64>,
    pub random: Vec<Option<f64>>,
    pub losing: Vec<Option<f64>>,
    pub full: f64,
    pub super_ticket: SuperTicket,
}

struct Run {
    level: String,
    mode: String,
    seed: u64,
    score: f64,
    full: f64,
    kept: f64,
    retrain: StageId,
    finetune: StageId,
}

/// The levels of every task, model and recipe in the store of which at least one seed has all.
///
/// # Errors
/// Data: a stage's predictions cannot be read.
pub fn levels(store: &Store, task: Option<TaskId>) -> Result<Vec<Levels>> {
    let mut groups: BTreeMap<String, (Summary, Vec<Run>)> = BTreeMap::new();
    for (_, record, ()) in records::all(store)?.found {
        let wanted = task.is_none_or(|task| record.task == task.name());
        if record.method != Method::OneShot.name() || !wanted {
            continue;
        }
        if let Some((key, run)) = run(&record)? {
            groups.entry(key).or_insert_with(|| (record, Vec::new())).1.push(run);
        }
    }
    let found = groups.into_values().map(|(record, runs)| of_group(store, &record, &runs));
    Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A run, and what it has in common with those of other levels, modes and seeds.
fn run(record: &Summary) -> Result<Option<(String, Run)>> {
    let mut config = record.config();
    let level = match (&config["prune"]["level"], &config["prune"]["sparsity"]) {
        (_, Value::String(sparsity)) => format!("sparsity {sparsity}"),
        (Value::Null, _) => "level 1".to_owned(),
        (level, _) => format!("level {level}"),
    };
    for (section, key) in
        [("", "mode"), ("", "seed"), ("", "run"), ("/prune", "level"), ("/prune", "sparsity")]
    {
        if let Some(Value::Object(section)) = config.pointer_mut(section) {
            section.remove(key);
        }
    }
    let id = |node: &str| record.stage(node).and_then(StageId::parse);
    let ids = id("retrain").zip(id("finetune")).zip(record.ticket.encoder_weights_kept);
    let Some(((retrain, finetune), kept)) = ids else { return Ok(None) };
    let [full, _, score] = record.scores();
    let key = canonical_json(&json!([config, record.model.sha256, record.data.sha256]))?;
    let (mode, seed) = (record.mode.clone(), record.seed);
    Ok(Some((key, Run { level, mode, seed, score, full, kept, retrain, finetune })))
}

fn of_group(store: &Store, record: &Summary, runs: &[Run]) -> Result<Option<Levels>> {
    let good = Mode::Good.name();
    let number =
        |level: &str| level.split([' ', ':']).nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    let mut names: Vec<String> = runs.iter().map(|run| run.level.clone()).collect();
    names.sort_by(|a, b| number(a).total_cmp(&number(b)).then(a.cmp(b)));
    names.dedup();
    let of = |level: &str, mode: &str, seed: u64| {
        runs.iter().find(|run| run.level == level && run.mode == mode && run.seed == seed)
    };
    let seeds: BTreeSet<u64> = runs.iter().map(|run| run.seed).collect();
    let complete = |seed: &u64| names.iter().all(|level| of(level, good, *seed).is_some());
    let seeds: Vec<u64> = seeds.into_iter().filter(complete).collect();
    let Ok(task) = record.task.parse::<TaskId>() else { return Ok(None) };
    // Of masked words and of questions the predictions hold no logits.
    let has_logits = !matches!(task.spec().labels, Labels::Spans | Labels::Words);
    if seeds.is_empty() || !has_logits {
        return Ok(None);
    }
    let mut labels = Vec::new();
    let mut read = Vec::new();
    for seed in &seeds {
        let logits = |mode: &str| -> Result<Option<Vec<Vec<f32>>>> {
            let found: Option<Vec<&Run>> = names.iter().map(|level| of(level, mode, *seed)).collect();
            let Some(found) = found else { return Ok(None) };
            found
                .into_iter()
                .map(|run| Ok(predictions(store, &run.retrain)?.0))
                .collect::<Result<_>>()
                .map(Some)
        };
        let Some(first) = of(&names[0], good, *seed) else { continue };
        let (full, own) = predictions(store, &first.finetune)?;
        labels = own;
        let (winning, random) = (logits(good)?.unwrap_or_default(), logits(Mode::Random.name())?);
        read.push(Seed { seed: *seed, full, winning, random });
    }
    let mean = |mode: &str, level: &String, value: &dyn Fn(&Run) -> f64| {
        let found: Option<Vec<f64>> = seeds.iter().map(|seed| of(level, mode, *seed).map(value)).collect();
        found.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    };
    let each = |mode: &str| names.iter().map(|level| mean(mode, level, &|run| run.score)).collect::<Vec<_>>();
    Ok(Some(Levels {
        task: record.task.clone(),
        metric: record.metric.clone(),
        model: record.model.name.clone(),
        weights_kept: names.iter().filter_map(|level| mean(good, level, &|run| run.kept)).collect(),
        winning: each(good).into_iter().flatten().collect(),
        random: each(Mode::Random.name()),
        losing: each(Mode::Bad.name()),
        full: mean(good, &names[0], &|run| run.full).unwrap_or_default(),
        super_ticket: super_ticket(task.spec(), &labels, &read),
        levels: names,
        seeds,
    }))
}

/// The logits and labels of a stage's development examples.
fn predictions(store: &Store, id: &StageId) -> Result<(Vec<f32>, Vec<Label>)> {
    let gone = || {
        Error::data(format!(
            "the predictions of {id} are not in {} any more. Run its sweep again with --keep tickets or models.",
            store.dir().display()
        ))
    };
    let done: Done = store.stage(id).load()?.ok_or_else(gone)?;
    let bytes = done.read(PREDICTIONS).map_err(|_| gone())?;
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line)
            .map_err(|e| done.damaged(PREDICTIONS, &format!("has a line that is not JSON ({e})")))?;
        let row = line["logits"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        logits.extend(row.map(|logit| logit as f32));
        labels.push(match (line["label"].as_u64(), line["label"].as_f64()) {
            (Some(class), _) if line["prediction"].is_u64() => Label::Class(class as u32),
            (_, Some(score)) => Label::Score(score as f32),
            _ => return Err(done.damaged(PREDICTIONS, "has a line without a label")),
        });
    }
    Ok((logits, labels))
}
