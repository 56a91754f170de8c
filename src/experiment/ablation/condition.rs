//! What is done to which parts of which layers, as one word: `randomise:query+key@3`.

use crate::{
    choice::{Choice, choices},
    error::{Error, Result, excerpt},
};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

choices! {
    /// Tensors of a layer, or the embeddings'.
    pub enum Part ("part") {
        /// the word embeddings
        WordEmbeddings = "word-embeddings",
        /// queries: weight and bias
        Query = "query",
        /// keys
        Key = "key",
        /// values
        Value = "value",
        /// the attention's output
        AttentionOutput = "attention-output",
        /// the FFN's first matrix
        Intermediate = "intermediate",
        /// the FFN's second matrix
        Output = "output",
    }
}

impl Part {
    pub const QKV: [Self; 3] = [Self::Query, Self::Key, Self::Value];
    /// The three that are no queries, keys or values.
    pub const FC: [Self; 3] = [Self::AttentionOutput, Self::Intermediate, Self::Output];

    /// The parts that a word of a condition stands for.
    fn of(word: &str) -> Result<Vec<Self>> {
        match word {
            "qkv" => Ok(Self::QKV.to_vec()),
            "fc" => Ok(Self::FC.to_vec()),
            "layer" => Ok([Self::QKV, Self::FC].concat()),
            word => Self::read(word).map(|part| vec![part]),
        }
    }
}

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    /// Weights are drawn from N(0, initializer_range); biases stay.
    Randomise,
    /// The same, and biases become 0.
    Reset,
    /// Weights and biases get their pre-trained values.
    Revert,
    /// As revert, each row in the place of the next one: the values are there, and in no right place.
    Rotate,
    /// Weights become 0; biases stay.
    Zero,
    /// This share of all weights and biases together becomes 0, the smallest first.
    PruneSmallest(f64),
    /// The same, drawn at random.
    PruneRandom(f64),
}

const WORDS: [(&str, Option<How>); 7] = [
    ("randomise", Some(How::Randomise)),
    ("reset", Some(How::Reset)),
    ("revert", Some(How::Revert)),
    ("rotate", Some(How::Rotate)),
    ("zero", Some(How::Zero)),
    ("prune-smallest=SHARE", None),
    ("prune-random=SHARE", None),
];

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PruneSmallest(share) => write!(f, "prune-smallest={share}"),
            Self::PruneRandom(share) => write!(f, "prune-random={share}"),
            plain => {
                let word = WORDS.iter().find(|(_, how)| how.as_ref() == Some(plain));
                f.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}

impl FromStr for How {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let share = |text: &str| text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        let found = match word.split_once('=') {
            Some(("prune-smallest", text)) => share(text).map(Self::PruneSmallest),
            Some(("prune-random", text)) => share(text).map(Self::PruneRandom),
            _ => WORDS.iter().find(|(name, _)| *name == word).and_then(|(_, how)| *how),
        };
        found.ok_or_else(|| {
            let words = WORDS.map(|(word, _)| word).join(", ");
            Error::usage(format!("{} is none of {words} (SHARE from 0 to 1).", excerpt(word)))
        })
    }
}

/// One ablation.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub how: How,
    pub parts: Vec<Part>,
    /// Counted from 0; none are all.
    pub layers: Vec<usize>,
}

impl Condition {
    /// # Errors
    /// Usage: a layer that the model has not; rotated rows of something else than the embeddings.
    pub fn check(&self, layers: usize) -> Result<()> {
        if let Some(layer) = self.layers.iter().find(|layer| **layer >= layers) {
            return Err(Error::usage(format!(
                "--condition {self}: the model has no layer {layer}. Its layers are 0 to {}.",
                layers.saturating_sub(1)
            )));
        }
        if self.how == How::Rotate && self.parts != [Part::WordEmbeddings] {
            return Err(Error::usage(format!(
                "--condition {self}: only word embeddings are rotated. Write rotate:word-embeddings."
            )));
        }
        Ok(())
    }
}

/// `HOW:PART+PART@LAYER+LAYER`, with `qkv`, `fc` and `layer` for three, three and all six parts of layers.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match &self.parts[..] {
            parts if parts == Part::QKV => "qkv".to_owned(),
            parts if parts == Part::FC => "fc".to_owned(),
            parts if parts == [Part::QKV, Part::FC].concat() => "layer".to_owned(),
            parts => parts.iter().map(|part| part.name()).collect::<Vec<_>>().join("+"),
        };
        write!(f, "{}:{parts}", self.how)?;
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        if layers.is_empty() { Ok(()) } else { write!(f, "@{}", layers.join("+")) }
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (how, what) = text.split_once(':').ok_or_else(|| Error::usage(EXPECTED))?;
        let (parts, layers) =
            what.split_once('@').map_or((what, None), |(parts, layers)| (parts, Some(layers)));
        let parts = parts.split('+').map(Part::of).collect::<Result<Vec<_>>>()?.concat();
        let number = |layer: &str| layer.parse().map_err(|_| Error::usage(EXPECTED));
        let layers = layers.map(|layers| layers.split('+').map(number).collect::<Result<_>>());
        Ok(Self { how: how.parse()?, parts, layers: layers.transpose()?.unwrap_or_default() })
    }
}

const EXPECTED: &str = "expected HOW:PARTS@LAYERS, such as randomise:query+key@3, revert:word-embeddings or \
                        prune-smallest=0.5:layer; without @LAYERS all layers are meant.";

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_reads_back_as_it_is_written() {
        for text in [
            "randomise:word-embeddings",
            "randomise:query@3",
            "reset:layer@0+1",
            "revert:qkv",
            "zero:query+key",
            "prune-smallest=0.5:layer",
            "rotate:word-embeddings",
            "revert:fc@11",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        let spelled: Condition = "revert:query+key+value@2".parse().unwrap();
        assert_eq!(spelled.to_string(), "revert:qkv@2");
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_is_one() {
        for (text, wanted) in [
            ("randomise", "expected HOW:PARTS@LAYERS"),
            ("shuffle:query", "shuffle is none of randomise"),
            ("zero:querry", "query"),
            ("zero:query@one", "expected HOW:PARTS@LAYERS"),
            ("prune-random=2:layer", "SHARE from 0 to 1"),
            ("prune-random=SHARE:layer", "SHARE from 0 to 1"),
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.to_string().contains(wanted), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let of = |text: &str| text.parse::<Condition>().unwrap().check(12);
        assert!(of("zero:query@12").unwrap_err().to_string().contains("0 to 11"));
        assert!(
            of("rotate:query").is_err() && of("rotate:word-embeddings").is_ok() && of("zero:fc@11").is_ok()
        );
    }
}
