//! One run, top to bottom.

use super::{
    Experiment, Record,
    devices::Devices,
    record::{self, Scores},
    stages::{self, Metrics},
    warnings::warnings,
};
use crate::{
    choice::Choice,
    error::{Error, Result},
    prune::{Mode, control},
    store::{Done, Store, WEIGHTS},
    task,
    train::{Event, Progress},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Fine-tune, score and search, apply the control, evaluate pruned, rewind and retrain; the record is written last.
pub fn run(experiment: &Experiment, store: &Store, progress: &mut dyn Progress) -> Result<(Record, PathBuf)> {
    let whole = stages::full_mask(experiment);
    let finetuned = stages::train(experiment, &whole, store, progress)?;
    // Whoever clears the store meanwhile leaves the weights that are still wanted here.
    let pinned = store.pin(finetuned.id(), WEIGHTS)?;
    let full = scores("full", experiment, &finetuned, progress)?;
    let found = match experiment.mode {
        Mode::Full => None,
        _ => Some(stages::find_ticket(experiment, &finetuned, store, progress)?),
    };
    let mask = match &found {
        None => whole,
        Some((ticket, _)) => control(
            experiment.mode,
            experiment.method,
            &ticket.mask,
            experiment.config.seed,
            experiment.random,
        ),
    };
    let pruned = stages::evaluate_pruned(experiment, &finetuned, &mask, store, progress)?;
    drop(pinned);
    let before = scores("pruned", experiment, &pruned, progress)?;
    let retrained = stages::train(experiment, &mask, store, progress)?;
    let after = scores("retrained", experiment, &retrained, progress)?;
    let baseline = task::majority_baseline(experiment.task, &experiment.dev.labels);
    let ticket = found.as_ref().map(|(ticket, _)| ticket);
    let search = found.as_ref().map(|(_, stage)| stage);
    let mut done = BTreeMap::from([("finetune", &finetuned), ("evaluate", &pruned), ("retrain", &retrained)]);
    done.extend(search.map(|stage| ("search", stage)));
    let devices = Devices::of(&done);
    let mut warnings = warnings(experiment, &full, &after, baseline, ticket, &mask);
    warnings.extend(devices.mixture());
    let record = Record {
        format_version: 1,
        lottery_version: env!("CARGO_PKG_VERSION"),
        task: experiment.task.name,
        metric: experiment.task.metric.name(),
        model: record::model(experiment)?,
        data: record::data(experiment),
        method: experiment.method,
        mode: experiment.mode,
        seed: experiment.config.seed,
        preset: experiment.config.preset.clone(),
        warnings,
        full: Scores { metrics: full, baseline: Some(baseline) },
        ticket: record::ticket(experiment, &mask, search.map(Done::id)),
        pruned: Scores { metrics: before, baseline: None },
        retrained: Scores { metrics: after, baseline: None },
        importance: json!({
            "estimator": experiment.estimator,
            "norm": ticket.map(|t| t.norm.as_str()),
            "split": experiment.config.importance.split,
        }),
        timing: timing(&finetuned, search, &pruned, &retrained),
        device: retrained.info()["device"].clone(),
        devices,
        config: experiment.config.clone(),
        stages: done.iter().map(|(name, stage)| (*name, stage.id().to_string())).collect(),
    };
    still_there(done.values().copied(), store)?;
    let path = record_path(experiment, store);
    let text = serde_json::to_string_pretty(&record).map_err(|e| Error::internal(e.to_string()))?;
    if let Some(moved) = store.write_record(&path, &format!("{text}\n"))? {
        progress.note(&format!("the earlier record, of other settings, is now {}", moved.display()));
    }
    progress.event(&Event::RecordWritten { path: &path });
    Ok((record, path))
}

/// A record names its stages. A data error when one of them was removed or damaged by hand since it was found or
/// computed.
fn still_there<'a>(stages: impl Iterator<Item = &'a Done>, store: &Store) -> Result<()> {
    for done in stages {
        let now = store.stage(done.id()).look()?;
        if !now.is_some_and(|now| now.is_same(done)) {
            return Err(Error::data(format!(
                "stage {} has gone from {} while this run went on, so no record is written that names it. Run the same \
                 command again: what is left is found, the rest is computed.",
                done.id(),
                done.dir().display()
            )));
        }
    }
    Ok(())
}

/// What a stage scored, told.
fn scores(
    model: &'static str,
    experiment: &Experiment,
    stage: &Done,
    progress: &mut dyn Progress,
) -> Result<Metrics> {
    let metrics = stages::scores(experiment, stage)?;
    progress.event(&Event::Scores { model, metrics: &metrics });
    Ok(metrics)
}

fn record_path(experiment: &Experiment, store: &Store) -> PathBuf {
    let config = &experiment.config;
    store.results_path(config.task.name(), config.method.name(), config.mode.name(), config.seed)
}

/// Seconds of every stage as it was computed, now or earlier.
fn timing(finetuned: &Done, search: Option<&Done>, pruned: &Done, retrained: &Done) -> Value {
    let seconds = |stage: &Done| stage.info()["seconds"].clone();
    json!({
        "finetune_s": seconds(finetuned),
        "search_s": search.map(seconds),
        "evaluate_s": seconds(pruned),
        "retrain_s": seconds(retrained),
        "train_tokens_per_s": finetuned.info()["train_tokens_per_s"],
    })
}

/// What [`run`] would do, stage by stage, and what of it is in the store already. Computes nothing.
pub fn plan(experiment: &Experiment, store: &Store) -> Result<Vec<String>> {
    let whole = stages::full_mask(experiment);
    let state = |id: &crate::store::StageId| -> Result<&'static str> {
        Ok(match store.stage(id).load()? {
            Some(done) if done.is_removed(WEIGHTS) => "in the store, without its weights",
            Some(_) => "in the store",
            None => "to be computed",
        })
    };
    let steps = experiment.recipe.steps(experiment.train.len());
    let finetune = stages::train_id(experiment, &whole);
    let mut lines = vec![format!("{finetune}: {steps} steps, {}", state(&finetune)?)];
    if experiment.mode != Mode::Full {
        let search = stages::search_id(experiment, &finetune);
        lines.push(format!("{search}: {}, {}", experiment.method, state(&search)?));
        lines.push(format!("evaluate: the {} subnetwork, pruned", experiment.mode));
        lines.push(format!("retrain: {steps} steps from the pre-trained weights"));
    }
    lines.push(format!("record: {}", record_path(experiment, store).display()));
    Ok(lines)
}
