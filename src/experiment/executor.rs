//! Executes a graph: each stage is loaded from the store, waited for or computed.

use super::{
    Inputs,
    graph::Graph,
    record,
    restore::weights_for,
    stage::{Given, Known, Outcomes, read_too_early},
    stages::{METRICS, metrics, scores},
};
use crate::{
    cores,
    engine::Machine,
    error::{Error, Result},
    store::{Begin, Done, Pinned, StageId, StageWriter, Store, WEIGHTS},
    train::{Event, Progress},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Executes all stages of the graph in order. Weights that a stage loads are restored if they were removed, and pinned
/// in the store until the last stage that loads them is done.
pub fn execute(
    graph: &Graph,
    inputs: &Inputs,
    checkpoint_every: Duration,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<Outcomes> {
    let mut done = Outcomes::new();
    let mut pins: BTreeMap<&str, Option<Pinned>> = BTreeMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        let stage = &*node.stage;
        let identity =
            stage.identity(&Known::of(inputs.hashes(), &done))?.ok_or_else(|| read_too_early(node.name))?;
        let id = identity.id();
        let mut loaded = None;
        if let Some(name) = stage.weights_of()
            && let Some(source) = graph.node(name)
            && store.stage(&id).load()?.is_none()
        {
            let given = Given { id: &id, inputs, done: &done, checkpoint_every };
            let pin = weights_for(source, &given, store, progress)?;
            done.insert(source.name, pin.done().clone());
            loaded = Some(pin);
        }
        let given = Given { id: &id, inputs, done: &done, checkpoint_every };
        let found =
            find_or_compute(&inputs.machine, store, &id, &identity.inputs, progress, |writer, progress| {
                stage.run(&given, writer, progress)
            })?;
        drop(loaded);
        if let Some(model) = node.model {
            let metrics = scores(inputs, &found)?;
            progress.event(&Event::Scores { model, metrics: &metrics });
        }
        pins.retain(|name, _| graph.is_loaded_after(index, name));
        if graph.is_loaded_after(index, node.name) {
            pins.insert(node.name, store.pin(&id, WEIGHTS)?);
        }
        done.insert(node.name, found);
    }
    Ok(done)
}

/// Loads the stage or computes it. `compute` writes the stage's files and returns additional fields of `stage.json`.
pub(super) fn find_or_compute(
    machine: &Machine,
    store: &Store,
    id: &StageId,
    inputs: &Value,
    progress: &mut dyn Progress,
    compute: impl FnOnce(&StageWriter, &mut dyn Progress) -> Result<Value>,
) -> Result<Done> {
    let mut announced = false;
    let stage = id.as_str();
    let begun = store.begin(id, &mut |id| {
        if progress.stop_wanted() {
            return Err(Error::stopped(&format!("while another process computes {id}")));
        }
        cores::release();
        if !announced {
            progress.note(&format!("{id}: waiting for another process that is computing it"));
            progress.event(&Event::StageWaits { stage });
        }
        announced = true;
        Ok(())
    })?;
    match begun {
        Begin::Done(done) => {
            progress.note(&format!("{id}: found in the store"));
            progress.event(&Event::StageFound { stage });
            Ok(done)
        }
        Begin::Compute(_) if progress.stop_wanted() => Err(Error::stopped(&format!("before {id}"))),
        Begin::Compute(writer) => {
            progress.event(&Event::StageBegins { stage });
            let started = Instant::now();
            let mut info = compute(&writer, progress)?;
            let before = info["seconds_before"].as_f64().unwrap_or(0.0);
            let seconds = before + started.elapsed().as_secs_f64();
            info["seconds"] = json!(seconds);
            info["inputs"] = inputs.clone();
            info["device"] = record::device(machine);
            let done = writer.finish(info)?;
            let scored = done.info()["files"].get(METRICS).is_some();
            let metrics = if scored { Some(metrics(&done)?) } else { None };
            progress.event(&Event::StageEnds { stage, seconds, metrics: metrics.as_ref() });
            Ok(done)
        }
    }
}
