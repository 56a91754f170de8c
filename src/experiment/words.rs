//! The masked-LM task: a text in blocks whose hidden words are found (Chen et al. 2020, section 3; Devlin et al. 2019).

use super::text::{DEMO_TEXT, MASK_RATE, Text, refuse_same};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    file,
    task::{Label, Labels, TaskId},
    text::{Encoded, Masking, Tokenizer, Unit},
    train::Dataset,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The share of a text's lines that scores where no second text is named.
pub const HELD_OUT: f64 = 0.05;

/// Pairs of sentences of the demo grammar, where that is the text.
const DEMO_PAIRS: usize = 4000;

/// The names of the files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Texts {
    pub train: String,
    /// Without it [`HELD_OUT`] of the lines of the first one.
    pub dev: Option<String>,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Words {
    pub train: Text,
    pub dev: Text,
    pub sha256: BTreeMap<String, String>,
}

impl Texts {
    /// Those of a run of a task that has a text.
    pub fn of(config: &ExperimentConfig) -> Option<Self> {
        Self::named(config.task, config.data.text.clone(), config.data.dev_text.clone())
    }

    /// [`of`](Self::of) these settings.
    pub fn named(task: TaskId, train: Option<String>, dev: Option<String>) -> Option<Self> {
        train.filter(|_| task.spec().labels == Labels::Words).map(|train| Self { train, dev })
    }

    /// The same with paths that start from `directory`.
    pub fn below(&self, directory: &Path) -> Self {
        let below = |name: &String| match name.as_str() {
            DEMO_TEXT => name.clone(),
            path => directory.join(path).to_string_lossy().into_owned(),
        };
        Self { train: below(&self.train), dev: self.dev.as_ref().map(below) }
    }

    /// SHA-256 of the files, by the caller's function.
    pub fn hashes(&self, sha256: impl Fn(&Path) -> Result<String>) -> Result<BTreeMap<String, String>> {
        let of = |name: &str| match name {
            DEMO_TEXT => {
                let lines = Text::read(name, DEMO_PAIRS)?.lines().join("\n");
                Ok(format!("{:x}", Sha256::digest(lines)))
            }
            path => sha256(Path::new(path)),
        };
        let named = [("train", Some(&self.train)), ("dev", self.dev.as_ref())];
        named
            .into_iter()
            .filter_map(|(role, name)| Some((role, name?)))
            .map(|(role, name)| Ok((role.to_owned(), of(name)?)))
            .collect()
    }

    /// Reads them.
    ///
    /// # Errors
    /// Usage: the two are the same text. Data: unreadable, no text, or too few lines to hold some of them out.
    pub fn read(&self) -> Result<Words> {
        let sha256 = self.hashes(|path| Ok(format!("{:x}", Sha256::digest(file::read_all(path)?))))?;
        let train = Text::read(&self.train, DEMO_PAIRS)?;
        let (train, dev) = match &self.dev {
            Some(name) => {
                let dev = Text::read(name, DEMO_PAIRS)?;
                refuse_same(std::slice::from_ref(&train), Some(&dev), "data.dev_text")?;
                (train, dev)
            }
            None => train.split(HELD_OUT),
        };
        Ok(Words { train, dev, sha256 })
    }
}

/// The error of a task whose settings name no text; a run's settings are checked before.
pub fn no_text() -> Error {
    Error::usage("the task mlm hides words of a text. Give --text FILE.")
}

impl Text {
    /// Blocks of `max_length` tokens, of the demo grammar its pairs, without those that have no word to hide; lines are
    /// joined, and a last block that is not full is left out unless it is the only one.
    ///
    /// # Errors
    /// Usage: `max_length` leaves no room. Data: there is no block.
    pub fn blocks(
        &self,
        tokenizer: &Tokenizer,
        masking: &Masking,
        max_length: usize,
    ) -> Result<Vec<Encoded>> {
        let mut blocks = self.encode(tokenizer, Unit::File, max_length)?;
        let running = self.name != DEMO_TEXT && blocks.len() > 1;
        if running && blocks.last().is_some_and(|last| last.ids.len() < max_length) {
            blocks.pop();
        }
        blocks.retain(|block| masking.maskable(&block.ids) > 0);
        match blocks.is_empty() {
            false => Ok(blocks),
            true => Err(Error::data(format!(
                "{}: it has no block of words to hide, or too few lines to hold {HELD_OUT} of them out. Give more text, in lines \
                 of a paragraph each, or a second one with --set data.dev_text=FILE.",
                self.name
            ))),
        }
    }
}

/// The published rule: 15 %, of which 80 % become `[MASK]`, 10 % another word and 10 % stay.
pub fn masking(tokenizer: &Tokenizer) -> Result<Arc<Masking>> {
    Masking::new(tokenizer, MASK_RATE).map(Arc::new)
}

/// These blocks with their words hidden.
pub fn hidden(encoded: Vec<Encoded>, masking: &Arc<Masking>) -> Dataset {
    let labels = vec![Label::Unknown; encoded.len()];
    Dataset { encoded, labels, questioned: None, masking: Some(masking.clone()) }
}
