//! Trained models on a task's data: scores, predictions for each example, and GLUE's submission files.

mod labels;
mod source;
mod submission;

pub use labels::{Matching, label_names};
pub use source::{RecordFile, Source, Trained, record_of};
pub use submission::{file_names, write as write_submission};

use crate::{
    engine::Machine,
    error::{Error, Result},
    experiment::stages::{Metrics, predictions},
    store::atomic_write_with,
    task::{self, EvalSet, Example, TaskSpec},
    text::Encoded,
    train::{Dataset, logits},
};
use std::path::{Path, PathBuf};

/// A model's outputs for a task's examples, in the order of the task's classes.
pub struct Evaluated {
    /// (examples, classes)
    pub outputs: Vec<f32>,
    pub data: Dataset,
    /// What the files call each example.
    pub index: Vec<String>,
}

/// Computes the outputs for these examples, of at most `max_length` tokens each.
pub fn evaluate(
    trained: &Trained,
    matching: &Matching,
    set: EvalSet,
    max_length: usize,
    machine: &Machine,
) -> Result<Evaluated> {
    let EvalSet { index, examples, .. } = set;
    let encoded = encode(trained, &examples, max_length)?;
    let data =
        Dataset { encoded, labels: examples.iter().map(|example| example.label).collect(), questioned: None };
    let mut engine = machine.reader(&trained.bert)?;
    let outputs = matching.apply(&logits(&mut *engine, &data)?);
    if let Some(value) = outputs.iter().find(|output| !output.is_finite()) {
        return Err(Error::data(format!(
            "{}: the model's outputs are not finite ({value}). Fine-tune it again with a lower learning rate.",
            trained.name
        )));
    }
    Ok(Evaluated { outputs, data, index })
}

/// The tokens of these examples, all of which the model has.
pub fn encode(trained: &Trained, examples: &[Example], max_length: usize) -> Result<Vec<Encoded>> {
    let encoded = trained.tokenizer.encode_all(examples, max_length)?;
    let config = &trained.bert.config;
    let words = encoded.iter().flat_map(|e| e.ids.iter()).max().map_or(0, |id| *id as usize + 1);
    let segments = encoded.iter().flat_map(|e| e.segments.iter()).max().map_or(0, |id| usize::from(*id) + 1);
    let has_segments = config.family.token_types.is_some();
    if words > config.vocab_size || has_segments && segments > config.type_vocab_size {
        return Err(Error::data(format!(
            "{}: the tokens of these examples go beyond the model's {} words and {} segments (config.json). Tokenizer, \
             model and task do not belong together; choose another model.",
            trained.name, config.vocab_size, config.type_vocab_size
        )));
    }
    Ok(encoded)
}

/// All metrics of the evaluation sets of a task; of a second set with the suffix `_mismatched`.
pub fn metrics(task: &TaskSpec, sets: &[Evaluated]) -> Metrics {
    let of = |(nth, set): (usize, &Evaluated)| {
        let suffix = if nth == 0 { "" } else { "_mismatched" };
        let found = task::evaluate(task, &set.outputs, &set.data.labels);
        found.into_iter().map(move |(name, value)| (format!("{name}{suffix}"), value))
    };
    sets.iter().enumerate().flat_map(of).collect()
}

/// Writes a line for each example, as `predictions.jsonl` of a stage; of a second set to a file beside it. Returns the
/// paths.
pub fn write_predictions(path: &Path, sets: &[Evaluated]) -> Result<Vec<PathBuf>> {
    let write = |(nth, set): (usize, &Evaluated)| {
        let path = if nth == 0 { path.to_owned() } else { mismatched(path) };
        atomic_write_with(&path, |out| predictions(&set.outputs, &set.data, out))?;
        Ok(path)
    };
    sets.iter().enumerate().map(write).collect()
}

/// `a/b_mismatched.jsonl` for `a/b.jsonl`.
fn mismatched(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}_mismatched{ending}"))
}
