//! What a task's models are scored on, and the answers to its questions.

use super::{Evaluated, Trained, check_tokens, finite_logits};
use crate::{
    engine::Machine,
    error::{Error, Result},
    experiment::workload::in_windows,
    model::Head,
    task::{
        self, EvalSet, Labels, TaskSpec,
        squad::{self, Questions},
    },
    text::WindowRules,
};
use std::path::Path;

/// A task's development sets.
pub enum Development {
    Sentences(Vec<EvalSet>),
    Questions(Questions),
}

impl Development {
    pub fn load(task: &TaskSpec, dir: &Path) -> Result<Self> {
        match task.labels {
            Labels::Spans => squad::load_dev(dir).map(Self::Questions),
            Labels::Classes(_) | Labels::Score { .. } => task::load_dev(task, dir).map(Self::Sentences),
        }
    }
}

/// Refuses a model whose head is not of the task's kind.
pub fn check_head(task: &TaskSpec, trained: &Trained) -> Result<()> {
    let Trained { name, bert, .. } = trained;
    let what = match (task.labels == Labels::Spans, bert.head == Head::Spans) {
        (true, false) => "asks for spans of a text, and the head of this model gives classes or a score",
        (false, true) => "has classes or a score, and the head of this model finds spans of a text",
        _ => return Ok(()),
    };
    Err(Error::data(format!(
        "{name}: {} {what}. Choose a model that was fine-tuned on such a task.",
        task.name
    )))
}

/// Computes the outputs for all windows of these questions.
pub fn answer(
    trained: &Trained,
    questions: Questions,
    rules: WindowRules,
    machine: &Machine,
) -> Result<Evaluated> {
    let data = in_windows(questions, &trained.tokenizer, rules, None)?;
    check_tokens(trained, &data.encoded)?;
    Ok(Evaluated { outputs: finite_logits(trained, &data, machine)?, data, index: Vec::new() })
}
