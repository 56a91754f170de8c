//! The meaning of one pre-training, complete: what its record repeats under `config`.

use crate::{
    error::{Error, Result},
    ops::{
        Format,
        optimizer::{AdamW, Optimizer},
    },
    text::Unit,
    train::Recipe,
};
use serde::Serialize;

/// Text that the demo task's grammar writes, in the place of a file.
pub const DEMO_TEXT: &str = "demo";

/// Words of a sequence that are hidden (Devlin et al. 2019, section 3.1).
pub const MASK_RATE: f64 = 0.15;

/// Tokens per sequence unless told (GLUE's, too).
pub const USUAL_LENGTH: usize = 128;

/// What the first weights are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// A model folder, or a name on the hub: its weights, its tokenizer, its masked-LM head if it has one.
    Model(String),
    /// A `config.json`: random weights of that shape.
    Config(String),
}

/// Where the words of a model that starts from random weights come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// That of the model training starts from.
    OfModel,
    /// A folder with `tokenizer.json` or `vocab.txt`.
    Folder(String),
    /// A WordPiece vocabulary of this many tokens, made from the training text.
    Trained(usize),
}

/// One pre-training or continuation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PretrainSettings {
    pub start: Start,
    pub vocabulary: Vocabulary,
    /// Draw the masked-LM head anew although the model has one.
    pub fresh_head: bool,
    /// UTF-8 files, `.gz` and `.zst` among them, or [`DEMO_TEXT`].
    pub text: Vec<String>,
    /// A file to score on; without it, `heldout_fraction` of the lines is kept out of training.
    pub heldout: Option<String>,
    pub heldout_fraction: f64,
    /// Pairs of sentences, where the text is [`DEMO_TEXT`].
    pub demo_pairs: usize,
    pub unit: Unit,
    /// Tokens per sequence, `[CLS]` and `[SEP]` included; without it, [`USUAL_LENGTH`] or as many as the model has
    /// positions.
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
    /// Steps from one score on held-out text to the next; without it, ten in all.
    pub evaluate_every: Option<u64>,
    /// Of the matrix products' operands; left out of what names the stage where it is the usual one.
    #[serde(skip_serializing_if = "Format::is_default")]
    pub dtype: Format,
}

impl PretrainSettings {
    /// Refuses numbers that cannot be meant.
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
                "--text {DEMO_TEXT} stands for the demo grammar and takes no other text beside it. A file of that \
                 name is ./{DEMO_TEXT}."
            )));
        }
        match (&self.start, &self.vocabulary) {
            (Start::Config(_), Vocabulary::OfModel) => Err(Error::usage(
                "a model from --config has no vocabulary yet. Give --vocab-size N to make one from the text, or \
                 --tokenizer DIR to use an existing one.",
            )),
            (Start::Model(_), Vocabulary::Folder(_) | Vocabulary::Trained(_)) => Err(Error::usage(
                "a model from --model keeps its own vocabulary: leave --vocab-size and --tokenizer out, or begin from \
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
            warmup: self.warmup,
            clip: self.clip,
            optimizer: Optimizer::AdamW(AdamW {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-6,
                weight_decay: self.weight_decay,
            }),
            dropout: self.dropout as f32,
            attention_dropout: self.dropout as f32,
            order_seed: self.seed,
            dropout_seed: self.seed,
        }
    }
}
