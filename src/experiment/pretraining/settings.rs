//! The complete settings of one pre-training, as its record has them under `config`.

use super::DEMO_TEXT;
use crate::{
    error::{Error, Result},
    ops::{
        Format,
        optimizer::{AdamW, Optimizer},
    },
    text::Unit,
    train::{Batches, Recipe, Schedule},
};
use serde::Serialize;

/// The default number of tokens per sequence, as for GLUE.
pub const DEFAULT_LENGTH: usize = 128;

/// The weights that training starts from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// A model folder, or a name on the hub: its weights, its tokenizer, and its masked-LM head if it has one.
    Model(String),
    /// A `config.json`: random weights of that shape.
    Config(String),
}

/// The source of the vocabulary.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// The vocabulary of the model that training starts from.
    OfModel,
    /// A folder with `tokenizer.json` or `vocab.txt`.
    Folder(String),
    /// A WordPiece vocabulary of this many tokens, trained on the training text.
    Trained(usize),
}

/// One pre-training or continuation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PretrainSettings {
    pub start: Start,
    pub vocabulary: Vocabulary,
    /// Initialise the masked-LM head at random although the model has one.
    pub fresh_head: bool,
    /// UTF-8 files, `.gz` and `.zst` among them, or [`DEMO_TEXT`].
    pub text: Vec<String>,
    /// A file to score on; without it, `heldout_fraction` of the lines is held out of training.
    pub heldout: Option<String>,
    pub heldout_fraction: f64,
    /// The number of sentence pairs if the text is [`DEMO_TEXT`].
    pub demo_pairs: usize,
    pub unit: Unit,
    /// Tokens per sequence, including `[CLS]` and `[SEP]`; by default [`DEFAULT_LENGTH`], or the model's number of
    /// positions if that is smaller.
    pub max_length: Option<usize>,
    pub learning_rate: f64,
    pub batch_size: usize,
    pub epochs: usize,
    pub max_steps: Option<u64>,
    pub warmup: f64,
    pub weight_decay: f64,
    pub clip: f64,
    pub dropout: f64,
    pub seed: u64,
    /// Steps between evaluations on held-out text; by default a tenth of all steps.
    pub evaluate_every: Option<u64>,
    /// The format of the matrix products' operands; not part of the stage's hash if it is the default.
    #[serde(skip_serializing_if = "Format::is_default")]
    pub dtype: Format,
}

impl PretrainSettings {
    /// Refuses numbers out of range and options that contradict each other.
    pub fn check(&self) -> Result<()> {
        let within = |flag: &str, value: f64, low: f64, high: f64| {
            if value >= low && value < high {
                return Ok(());
            }
            Err(Error::usage(format!("{flag} {value}: expected a number from {low} to below {high}.")))
        };
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(Error::usage(format!(
                "--learning-rate {}: expected a number above 0; 1e-4 is usual.",
                self.learning_rate
            )));
        }
        within("--warmup", self.warmup, 0.0, 1.0)?;
        within("--weight-decay", self.weight_decay, 0.0, 1.0)?;
        within("--dropout", self.dropout, 0.0, 1.0)?;
        if self.heldout.is_none() && !(self.heldout_fraction > 0.0 && self.heldout_fraction < 1.0) {
            return Err(Error::usage(format!(
                "--heldout-fraction {}: expected a number between 0 and 1, both excluded; 0.05 is usual.",
                self.heldout_fraction
            )));
        }
        let demo = self.text.iter().filter(|text| *text == DEMO_TEXT).count();
        if demo > 0 && self.text.len() > 1 {
            return Err(Error::usage(format!(
                "--text {DEMO_TEXT} means the demo grammar's text and excludes other texts. For a file of that \
                 name, write ./{DEMO_TEXT}."
            )));
        }
        match (&self.start, &self.vocabulary) {
            (Start::Config(_), Vocabulary::OfModel) => Err(Error::usage(
                "a model from --config has no vocabulary. Give --vocab-size N to train one on the text, or \
                 --tokenizer DIR to use an existing one.",
            )),
            (Start::Model(_), Vocabulary::Folder(_) | Vocabulary::Trained(_)) => Err(Error::usage(
                "a model from --model keeps its own vocabulary: drop --vocab-size and --tokenizer, or start from \
                 random weights with --config.",
            )),
            _ => Ok(()),
        }
    }

    pub fn recipe(&self) -> Recipe {
        Recipe {
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            epochs: self.epochs,
            max_steps: self.max_steps,
            until: None,
            part: None,
            warmup: self.warmup,
            clip: self.clip,
            schedule: Schedule::Linear,
            batches: Batches::Shuffled,
            optimizer: Optimizer::AdamW(AdamW {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-6,
                weight_decay: self.weight_decay,
            }),
            dropout: self.dropout as f32,
            attention_dropout: self.dropout as f32,
            classifier_dropout: self.dropout as f32,
            order_seed: self.seed,
            dropout_seed: self.seed,
        }
    }
}
