//! Trained models on a task's data: scores, predictions for each example, and GLUE's submission files.

mod development;
mod labels;
mod source;
mod submission;

pub use development::{Development, answer, blocks, check_head, find_words};
pub use labels::{Matching, label_names};
pub use source::{RecordFile, Source, Trained, record_of};
pub use submission::{file_names, write as write_submission};

use crate::{
    engine::Machine,
    error::{Error, Result},
    experiment::stages::{Metrics, answers_by_id, predictions},
    store::{atomic_write, atomic_write_with},
    task::{EvalSet, Example, TaskSpec},
    text::Encoded,
    train::{self, Dataset, logits},
};
use std::path::{Path, PathBuf};

/// A model's outputs for a task's examples.
pub struct Evaluated {
    /// (examples, classes) in the order of the task's classes; of a span head (tokens, 2), of hidden words (words, 2)
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
    let data = Dataset {
        encoded,
        labels: examples.iter().map(|example| example.label).collect(),
        ..Dataset::default()
    };
    let outputs = matching.apply(&finite_logits(trained, &data, machine)?);
    Ok(Evaluated { outputs, data, index })
}

fn finite_logits(trained: &Trained, data: &Dataset, machine: &Machine) -> Result<Vec<f32>> {
    let outputs = logits(&mut *machine.reader(&trained.bert)?, data)?;
    match outputs.iter().find(|output| !output.is_finite()) {
        None => Ok(outputs),
        Some(value) => Err(Error::data(format!(
            "{}: the model's outputs are not finite ({value}). Fine-tune it again with a lower learning rate.",
            trained.name
        ))),
    }
}

/// The tokens of these examples, all of which the model has.
pub fn encode(trained: &Trained, examples: &[Example], max_length: usize) -> Result<Vec<Encoded>> {
    let encoded = trained.tokenizer.encode_all(examples, max_length)?;
    check_tokens(trained, &encoded)?;
    Ok(encoded)
}

/// Refuses tokens that the model does not have.
pub fn check_tokens(trained: &Trained, encoded: &[Encoded]) -> Result<()> {
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
    Ok(())
}

/// All metrics of the evaluation sets of a task; of a second set with the suffix `_mismatched`.
pub fn metrics(task: &TaskSpec, sets: &[Evaluated]) -> Metrics {
    let of = |(nth, set): (usize, &Evaluated)| {
        let suffix = if nth == 0 { "" } else { "_mismatched" };
        let found = train::metrics(task, &set.data, &set.outputs);
        found.into_iter().map(move |(name, value)| (format!("{name}{suffix}"), value))
    };
    sets.iter().enumerate().flat_map(of).collect()
}

/// Writes a line for each example, as `predictions.jsonl` of a stage; of a second set to a file beside it. Of questions the
/// lines are in `path` with the ending `jsonl`, and all answers by id with the ending `json`. Returns the paths.
pub fn write_predictions(path: &Path, sets: &[Evaluated]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (nth, Evaluated { outputs, data, .. }) in sets.iter().enumerate() {
        let mut path = if nth == 0 { path.to_owned() } else { mismatched(path) };
        if let Some(answers) = answers_by_id(outputs, data) {
            path.set_extension("json");
            atomic_write(&path, answers.as_bytes())?;
            paths.push(path.clone());
            path.set_extension("jsonl");
        }
        atomic_write_with(&path, |out| predictions(outputs, data, out))?;
        paths.push(path);
    }
    Ok(paths)
}

/// `a/b_mismatched.jsonl` for `a/b.jsonl`.
fn mismatched(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}_mismatched{ending}"))
}
