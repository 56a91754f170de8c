//! What a task's models are scored on, and the answers to its questions.

use super::{Evaluated, Trained, check_tokens, finite_logits};
use crate::{
    engine::Machine,
    error::{Error, Result},
    experiment::{
        text::Text,
        words::{self, Texts, hidden},
        workload::{head, in_windows},
    },
    model::Head,
    task::{
        self, EvalSet, Labels, TaskSpec,
        squad::{self, Questions},
    },
    text::WindowRules,
    train::Dataset,
};
use std::path::Path;

/// A task's development sets.
pub enum Development {
    Sentences(Vec<EvalSet>),
    Questions(Questions),
    Text(Text),
}

impl Development {
    /// Of the folder, or of the text.
    pub fn load(task: &TaskSpec, dir: &Path, texts: Option<&Texts>) -> Result<Self> {
        match task.labels {
            Labels::Spans => squad::load_dev(dir).map(Self::Questions),
            Labels::Words => Ok(Self::Text(texts.ok_or_else(words::no_text)?.read()?.dev)),
            Labels::Classes(_) | Labels::Score { .. } => task::load_dev(task, dir).map(Self::Sentences),
        }
    }
}

/// Refuses a model whose head is not of the task's kind.
pub fn check_head(task: &TaskSpec, trained: &Trained) -> Result<()> {
    let Trained { name, bert, .. } = trained;
    let asks = match task.labels {
        Labels::Spans => "asks for spans of a text",
        Labels::Words => "asks for hidden words",
        Labels::Classes(_) | Labels::Score { .. } => "has classes or a score",
    };
    let gives = match bert.head {
        Head::Spans => "finds spans of a text",
        Head::MaskedLm => "finds hidden words",
        Head::Classifier { .. } => "gives classes or a score",
    };
    let fits = match head(task) {
        Head::Classifier { .. } => matches!(bert.head, Head::Classifier { .. }),
        own => bert.head == own,
    };
    if fits {
        return Ok(());
    }
    Err(Error::data(format!(
        "{name}: {} {asks}, and the head of this model {gives}. Choose a model that was fine-tuned on such a task.",
        task.name
    )))
}

/// Blocks of a text with the words hidden that a run hides.
pub fn blocks(trained: &Trained, text: &Text, max_length: usize, limit: usize) -> Result<Dataset> {
    let masking = words::masking(&trained.tokenizer)?;
    let mut blocks = text.blocks(&trained.tokenizer, &masking, max_length)?;
    blocks.truncate(limit);
    check_tokens(trained, &blocks)?;
    Ok(hidden(blocks, &masking))
}

/// Finds the hidden words of these blocks.
pub fn find_words(trained: &Trained, data: Dataset, machine: &Machine) -> Result<Evaluated> {
    Ok(Evaluated { outputs: finite_logits(trained, &data, machine)?, data, index: Vec::new() })
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
