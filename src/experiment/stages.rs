//! The stages of a run. Each is found in the store or computed once; `stage.json` is its last file.

use super::{Experiment, restore::weights_for, ticket::Ticket};
use crate::{
    config::essential,
    cores,
    engine::Machine,
    error::{Error, Result},
    model::{Bert, weights::Pretrained},
    prune::{Mask, PrunedUnits, Tried, scorer::ModelScorer, search},
    store::{Begin, Done, Pinned, StageId, StageWriter, Store, WEIGHTS, stage_id},
    task::{self, Label, Labels},
    text::Tokenizer,
    train::{Checkpoints, Dataset, Event, Progress, Summary, event::SearchPass, finetune, logits},
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Scores of one model on the development set, by metric.
pub type Metrics = BTreeMap<String, f64>;

/// The file with them, in stages that evaluate.
const METRICS: &str = "metrics.json";

/// The file with the mask, in stages that search.
const TICKET: &str = "ticket.json";

/// Loads the stage or computes it. The closure writes the stage's files and returns what `stage.json` adds.
pub(super) fn once(
    machine: &Machine,
    store: &Store,
    id: &StageId,
    inputs: &Value,
    progress: &mut dyn Progress,
    compute: impl FnOnce(&StageWriter, &mut dyn Progress) -> Result<Value>,
) -> Result<Done> {
    let mut told = false;
    let stage = id.as_str();
    let begun = store.begin(id, &mut |id| {
        if progress.stop_wanted() {
            return Err(Error::stopped(&format!("while another process computes {id}")));
        }
        cores::release();
        if !told {
            progress.note(&format!("{id}: another process computes it; waiting"));
            progress.event(&Event::StageWaits { stage });
        }
        told = true;
        Ok(())
    })?;
    match begun {
        Begin::Done(done) => {
            progress.note(&format!("{id}: found in the store, nothing computed"));
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
            info["device"] = super::record::device(machine);
            let done = writer.finish(info)?;
            let scored = done.info()["files"].get(METRICS).is_some();
            let metrics = if scored { Some(metrics(&done)?) } else { None };
            progress.event(&Event::StageEnds { stage, seconds, metrics: metrics.as_ref() });
            Ok(done)
        }
    }
}

/// Fine-tunes the pre-trained model with the units of `mask`, and evaluates it. The full mask gives the stage that all
/// modes of a seed share.
pub fn train(
    experiment: &Experiment,
    mask: &Mask,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<Done> {
    let (kind, inputs) = train_inputs(experiment, mask);
    let id = stage_id(kind, &inputs);
    once(&experiment.machine, store, &id, &inputs, progress, |writer, progress| {
        let (mut bert, summary) = trained(experiment, mask, kind, writer.checkpoint_dir(), progress)?;
        let recipe = &experiment.config.train;
        bert.config.set_dropouts(recipe.dropout, recipe.attention_dropout);
        let metrics = evaluate_into(experiment, &bert, writer)?;
        let names: &[&str] = match experiment.task.labels {
            Labels::Classes(names) => names,
            Labels::Score => &[],
        };
        write_model(&bert, names, &experiment.tokenizer, writer)?;
        let rate = summary.tokens as f64 / summary.seconds;
        progress.end(&format!(
            "{id}: {} steps in {:.1} s, {rate:.0} tokens/s, {}",
            summary.steps,
            summary.seconds,
            said(experiment, &metrics)
        ));
        Ok(json!({
            "seconds_before": summary.seconds_before,
            "computed_by": summary.computed_by,
            "train_seconds": summary.seconds,
            "train_tokens_per_s": rate,
            "steps": summary.steps,
            "epoch_losses": summary.epoch_losses,
        }))
    })
}

/// The pre-trained model with the units of `mask`, fine-tuned; from the checkpoint in this folder if there is one.
pub(super) fn trained(
    experiment: &Experiment,
    mask: &Mask,
    kind: &str,
    checkpoints: PathBuf,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    let mut pretrained = experiment.model.clone();
    let whole = pretrained.build(experiment.head(), experiment.config.init_seed(), true)?;
    pretrained.notes.iter().for_each(|note| progress.note(note));
    let bert = whole.shrunk(&mask.layer_shapes());
    drop(whole);
    progress.begin(kind, experiment.recipe.steps(experiment.train.len()));
    let every = Duration::try_from_secs_f64(experiment.config.run.checkpoint_every).unwrap_or(Duration::MAX);
    let mut checkpoints = Checkpoints::new(checkpoints, every);
    finetune(&experiment.machine, bert, &experiment.train, &experiment.recipe, &mut checkpoints, progress)
}

fn train_inputs(experiment: &Experiment, mask: &Mask) -> (&'static str, Value) {
    let mut inputs = experiment.training_inputs();
    if *mask == full_mask(experiment) {
        return ("finetune", inputs);
    }
    inputs["mask"] = json!(mask);
    ("retrain", inputs)
}

/// Every unit of the pre-trained model.
pub fn full_mask(experiment: &Experiment) -> Mask {
    Mask::full(experiment.model.config.num_hidden_layers, experiment.model.config.num_attention_heads)
}

/// The id of the stage that [`train`] would load or compute.
pub fn train_id(experiment: &Experiment, mask: &Mask) -> StageId {
    let (kind, inputs) = train_inputs(experiment, mask);
    stage_id(kind, &inputs)
}

/// What a search's outcome depends on.
fn search_inputs(experiment: &Experiment, finetuned: &StageId) -> Value {
    let config = &experiment.config;
    let settings = essential(&json!(config));
    json!({
        "finetune": finetuned.as_str(),
        "method": config.method,
        "importance": settings["importance"],
        "search": settings["search"],
        "split_seed": experiment.scoring.as_ref().map(|_| config.seed),
    })
}

pub fn search_id(experiment: &Experiment, finetuned: &StageId) -> StageId {
    stage_id("search", &search_inputs(experiment, finetuned))
}

/// Searches the good ticket of the fine-tuned model.
pub fn find_ticket(
    experiment: &Experiment,
    finetuned: &Done,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<(Ticket, Done)> {
    let inputs = search_inputs(experiment, finetuned.id());
    let id = stage_id("search", &inputs);
    let pinned = weights_for(&id, experiment, finetuned.id(), store, progress)?;
    let finetuned = pinned.as_ref().map_or(finetuned, Pinned::done);
    let done = once(&experiment.machine, store, &id, &inputs, progress, |writer, progress| {
        let bert = load_model(experiment, finetuned)?;
        let (layers, heads) = (bert.config.num_hidden_layers, bert.config.num_attention_heads);
        progress.begin("search", 0);
        // The scorer tells of batches, the search of passes.
        let progress = RefCell::new(progress);
        let pruned_units =
            if experiment.search.stale { PrunedUnits::Included } else { experiment.search.pruned_units };
        let mut scorer = ModelScorer {
            machine: &experiment.machine,
            bert: &bert,
            data: experiment.scoring_data(),
            task: experiment.task,
            estimator: experiment.estimator,
            pruned_units,
            batch_size: experiment.config.importance.batch_size,
            progress: &progress,
            passes: 0,
        };
        let outcome = search(&experiment.search, layers, heads, &mut scorer, &mut |tried| {
            progress.borrow_mut().event(&Event::SearchPass(told(tried)));
        })?;
        progress.borrow_mut().end(&format!(
            "{id}: {} passes, {} of {} heads and {} of {} FFNs kept, {} {:.4} of {:.4}",
            outcome.passes,
            outcome.mask.heads_kept(),
            outcome.mask.heads_total(),
            outcome.mask.ffns_kept(),
            outcome.mask.ffns_total(),
            experiment.task.metric.name(),
            outcome.score,
            outcome.full_score
        ));
        let passes = outcome.passes;
        let ticket = Ticket::new(experiment, outcome);
        write_json(writer, TICKET, &ticket)?;
        Ok(json!({ "passes": passes }))
    })?;
    let ticket: Ticket = done.read_json(TICKET)?;
    let (model, mask) = (&experiment.model.config, &ticket.mask);
    let shapes = [mask.layers, mask.heads_per_layer, ticket.layers, ticket.heads_per_layer];
    if shapes != [model.num_hidden_layers, model.num_attention_heads].repeat(2)[..] {
        return Err(done.damaged(TICKET, "is of a model of another shape"));
    }
    Ok((ticket, done))
}

fn told<'a>(tried: &Tried<'a>) -> SearchPass<'a> {
    let Tried { number, mask, score, threshold, step } = *tried;
    SearchPass {
        pass: number,
        phase: step.map_or("full", |step| step.phase.name()),
        pruned_heads: step.map_or(&[], |step| &step.pruned_heads),
        pruned_ffns: step.map_or(&[], |step| &step.pruned_ffns),
        heads_kept: mask.heads_kept(),
        ffns_kept: mask.ffns_kept(),
        score,
        threshold,
        accepted: step.is_none_or(|step| step.accepted),
    }
}

/// Evaluates the fine-tuned model without the units that `mask` prunes, untrained.
pub fn evaluate_pruned(
    experiment: &Experiment,
    finetuned: &Done,
    mask: &Mask,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<Done> {
    let inputs = json!({ "finetune": finetuned.id().as_str(), "mask": mask });
    let id = stage_id("evaluate", &inputs);
    let pinned = weights_for(&id, experiment, finetuned.id(), store, progress)?;
    let finetuned = pinned.as_ref().map_or(finetuned, Pinned::done);
    once(&experiment.machine, store, &id, &inputs, progress, |writer, progress| {
        let bert = load_model(experiment, finetuned)?.shrunk(&mask.layer_shapes());
        let metrics = evaluate_into(experiment, &bert, writer)?;
        progress.note(&format!("{id}: {}", said(experiment, &metrics)));
        Ok(json!({}))
    })
}

/// The scores that a stage wrote, with the deciding one among them.
pub fn scores(experiment: &Experiment, stage: &Done) -> Result<Metrics> {
    let metrics = metrics(stage)?;
    let wanted = experiment.task.metric.name();
    match metrics.get(wanted) {
        Some(_) => Ok(metrics),
        None => Err(stage.damaged(METRICS, &format!("has no {wanted}"))),
    }
}

fn metrics(stage: &Done) -> Result<Metrics> {
    stage.read_json(METRICS)
}

fn load_model(experiment: &Experiment, stage: &Done) -> Result<Bert> {
    stage.verified_path(WEIGHTS)?;
    Pretrained::load(stage.dir())?.build(experiment.head(), 0, false)
}

fn said(experiment: &Experiment, metrics: &Metrics) -> String {
    let name = experiment.task.metric.name();
    format!("{name} {:.4}", metrics[name])
}

fn evaluate_into(experiment: &Experiment, bert: &Bert, writer: &StageWriter) -> Result<Metrics> {
    let mut engine = experiment.machine.reader(bert)?;
    let outputs = logits(&mut *engine, &experiment.dev)?;
    let mut metrics = task::evaluate(experiment.task, &outputs, &experiment.dev.labels);
    write_predictions(writer, "predictions.jsonl", &outputs, &experiment.dev)?;
    if let Some(second) = &experiment.dev_mismatched {
        let outputs = logits(&mut *engine, second)?;
        write_predictions(writer, "predictions_mismatched.jsonl", &outputs, second)?;
        for (name, value) in task::evaluate(experiment.task, &outputs, &second.labels) {
            metrics.insert(format!("{name}_mismatched"), value);
        }
    }
    if let Some((name, value)) = metrics.iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::internal(format!(
            "{name} on the development set is {value}: the model's outputs are not finite. Lower the learning rate \
             with `--set train.learning_rate=…`."
        )));
    }
    write_json(writer, METRICS, &metrics)?;
    Ok(metrics)
}

fn write_predictions(writer: &StageWriter, name: &str, outputs: &[f32], data: &Dataset) -> Result<()> {
    let width = outputs.len() / data.len().max(1);
    writer.write_with(name, |out| {
        for (index, (row, label)) in outputs.chunks(width).zip(&data.labels).enumerate() {
            let (label, prediction) = match label {
                Label::Class(class) => (json!(class), json!(task::argmax(row))),
                Label::Score(score) => (json!(score), json!(row[0])),
            };
            let line = json!({ "index": index, "label": label, "prediction": prediction, "logits": row });
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
}

/// A folder that the `from_pretrained` of Hugging Face's class for this head loads, when no unit is missing.
pub(super) fn write_model(
    bert: &Bert,
    label_names: &[&str],
    tokenizer: &Tokenizer,
    writer: &StageWriter,
) -> Result<()> {
    writer.write(WEIGHTS, &bert.to_safetensors()?)?;
    writer.write("config.json", bert.to_config_json(label_names)?.as_bytes())?;
    // As they were read: the folder may have changed since.
    tokenizer.files().iter().try_for_each(|(name, bytes)| writer.write(name, bytes))
}

pub(super) fn write_json(writer: &StageWriter, name: &str, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    writer.write(name, format!("{text}\n").as_bytes())
}
