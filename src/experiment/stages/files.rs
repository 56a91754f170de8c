//! Files that several stages write or read: weights, predictions, scores.

use crate::{
    error::{Error, Result},
    experiment::Inputs,
    model::{Bert, weights::Pretrained},
    store::{Done, StageWriter, WEIGHTS},
    task::{self, Label, squad::Scores},
    text::Tokenizer,
    train::{self, Dataset, Questioned, Summary, logits},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Scores of one model on the development set, by metric.
pub type Metrics = BTreeMap<String, f64>;

/// Their file in stages that evaluate.
pub const METRICS: &str = "metrics.json";

/// A line for each development example, beside the scores.
pub const PREDICTIONS: &str = "predictions.jsonl";

/// The scores that a stage wrote, which include the task's metric.
pub fn scores(inputs: &Inputs, stage: &Done) -> Result<Metrics> {
    let metrics = metrics(stage)?;
    let wanted = inputs.task.metric.name();
    match metrics.get(wanted) {
        Some(_) => Ok(metrics),
        None => Err(stage.damaged(METRICS, &format!("has no {wanted}"))),
    }
}

pub fn metrics(stage: &Done) -> Result<Metrics> {
    stage.read_json(METRICS)
}

pub fn load_model(inputs: &Inputs, stage: &Done) -> Result<Bert> {
    stage.verified_path(WEIGHTS)?;
    Pretrained::load(stage.dir())?.build(inputs.head(), 0, false)
}

pub fn metric_text(inputs: &Inputs, metrics: &Metrics) -> String {
    let name = inputs.task.metric.name();
    format!("{name} {:.4}", metrics[name])
}

/// The model's scores on the development sets, and its outputs for each of them.
pub fn score(inputs: &Inputs, bert: &Bert) -> Result<(Metrics, Vec<Vec<f32>>)> {
    let mut engine = inputs.machine.reader(bert)?;
    let first = logits(&mut *engine, &inputs.dev)?;
    let mut metrics = train::metrics(inputs.task, &inputs.dev, &first);
    let mut outputs = vec![first];
    if let Some(data) = &inputs.dev_mismatched {
        let second = logits(&mut *engine, data)?;
        let found = train::metrics(inputs.task, data, &second);
        metrics.extend(found.into_iter().map(|(name, value)| (format!("{name}_mismatched"), value)));
        outputs.push(second);
    }
    if let Some((name, value)) = metrics.iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::internal(format!(
            "{name} on the development set is {value}: the model's outputs are not finite. Lower the learning rate \
             with `--set train.learning_rate=…`."
        )));
    }
    Ok((metrics, outputs))
}

pub fn evaluate(inputs: &Inputs, bert: &Bert, writer: &StageWriter) -> Result<Metrics> {
    let (metrics, outputs) = score(inputs, bert)?;
    let sets =
        [(PREDICTIONS, Some(&inputs.dev)), ("predictions_mismatched.jsonl", inputs.dev_mismatched.as_ref())];
    for ((name, data), outputs) in sets.into_iter().zip(&outputs) {
        data.map_or(Ok(()), |data| write_predictions(writer, name, outputs, data))?;
    }
    write_json(writer, METRICS, &metrics)?;
    Ok(metrics)
}

/// A line for each example, in `name`; of questions, all answers by id beside it, which the official scorer reads.
fn write_predictions(writer: &StageWriter, name: &str, outputs: &[f32], data: &Dataset) -> Result<()> {
    if let Some(answers) = answers_by_id(outputs, data) {
        writer.write("predictions.json", answers.as_bytes())?;
    }
    writer.write_with(name, |out| predictions(outputs, data, out))
}

/// The text of all answers by id, as the official scorer reads them; none where there are no questions.
pub fn answers_by_id(outputs: &[f32], data: &Dataset) -> Option<String> {
    let answers = data.questioned.as_ref()?.answers(&data.encoded, outputs);
    let by_id: Map<String, Value> =
        answers.iter().map(|answer| (answer.question.id.clone(), json!(answer.text))).collect();
    Some(format!("{}\n", json!(by_id)))
}

/// A line for each example or question.
pub fn predictions(outputs: &[f32], data: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    if let Some(questioned) = &data.questioned {
        return answers(outputs, data, questioned, out);
    }
    if data.masking.is_some() {
        return found_words(outputs, data, out);
    }
    let width = (outputs.len() / data.len().max(1)).max(1);
    for (index, (row, label)) in outputs.chunks(width).zip(&data.labels).enumerate() {
        let (label, prediction) = match label {
            Label::Class(class) => (json!(class), json!(task::argmax(row))),
            Label::Score(score) => (json!(score), json!(row[0])),
            Label::Span(place) => (json!(place), Value::Null),
            Label::Unknown if width == 1 => (json!(null), json!(row[0])),
            Label::Unknown => (json!(null), json!(task::argmax(row))),
        };
        let line = json!({ "index": index, "label": label, "prediction": prediction, "logits": row });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A line for each block: how many words were hidden and found in it, and their mean loss.
fn found_words(outputs: &[f32], data: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    let mut rest = outputs;
    for index in 0..data.len() {
        // What is hidden in a sequence does not depend on the batch that it is in.
        let (own, others) = rest.split_at(2 * data.hidden(index));
        rest = others;
        let sum = |at: usize| own.iter().skip(at).step_by(2).map(|x| f64::from(*x)).sum::<f64>();
        let hidden = own.len() / 2;
        let line =
            json!({ "index": index, "hidden": hidden, "found": sum(1), "loss": sum(0) / hidden as f64 });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn answers(outputs: &[f32], data: &Dataset, questioned: &Questioned, out: &mut dyn Write) -> io::Result<()> {
    for (index, answer) in questioned.answers(&data.encoded, outputs).iter().enumerate() {
        let (id, label) = (&answer.question.id, &answer.question.answers);
        let [exact_match, f1] = Scores::default().add(Some(answer.text), label);
        let line = json!({
            "index": index, "id": id, "label": label, "prediction": answer.text, "logits": answer.logits,
            "exact_match": exact_match, "f1": f1,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes a folder that Hugging Face's class for this head loads by `from_pretrained`, unless units were removed.
pub fn write_model(
    bert: &Bert,
    label_names: &[&str],
    tokenizer: &Tokenizer,
    writer: &StageWriter,
) -> Result<()> {
    writer.write(WEIGHTS, &bert.to_safetensors()?)?;
    writer.write("config.json", bert.to_config_json(label_names)?.as_bytes())?;
    // The bytes that were read: the original folder may have changed since.
    tokenizer.files().iter().try_for_each(|(name, bytes)| writer.write(name, bytes))
}

/// What `stage.json` has of a training.
pub fn trained(summary: &Summary) -> Value {
    json!({
        "seconds_before": summary.seconds_before,
        "computed_by": summary.computed_by,
        "train_seconds": summary.seconds,
        "train_tokens_per_s": summary.rate(),
        "steps": summary.steps,
        "epoch_losses": summary.epoch_losses,
    })
}

pub fn write_json(writer: &StageWriter, name: &str, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    writer.write(name, format!("{text}\n").as_bytes())
}
