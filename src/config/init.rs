//! Which weights a subnetwork is trained from.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The starting weights of the retraining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Init {
    /// The pre-trained ones and a fresh head (Frankle and Carbin 2019: rewinding).
    #[default]
    Pretrained,
    /// All drawn anew (Chen et al. 2020: θ0′).
    Random,
    /// Those that the mask is over drawn anew, all others pre-trained.
    RandomMasked,
    /// The pre-trained ones, with the matrices of whole layers exchanged (Chen et al. 2020, in code: θ0″).
    ShuffleLayers,
    /// The pre-trained ones, with the weights of each of the layers' matrices shuffled.
    ShuffleWithin,
    /// Those of the fine-tuning after so many steps: late rewinding (Frankle et al. 2020).
    Step(u64),
    /// Those of the fine-tuning after so many epochs.
    Epoch(f64),
    /// The fine-tuned ones: no rewinding.
    Finetuned,
    /// Those that the run of `ticket_from` ends with, and a fresh head: domain adaptation (Liang et al. 2021, section 4.4).
    Source,
}

pub const EXPECTED: &str = "expected pretrained, random, random-masked, shuffle-layers, shuffle-within, step:N, epoch:F (after so much of the \
                            fine-tuning), finetuned or source (what the task of ticket_from has learnt)";

impl Init {
    pub fn is_pretrained(&self) -> bool {
        *self == Self::Pretrained
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Pretrained => f.pad("pretrained"),
            Self::Random => f.pad("random"),
            Self::RandomMasked => f.pad("random-masked"),
            Self::ShuffleLayers => f.pad("shuffle-layers"),
            Self::ShuffleWithin => f.pad("shuffle-within"),
            Self::Step(step) => write!(f, "step:{step}"),
            Self::Epoch(epochs) => write!(f, "epoch:{epochs}"),
            Self::Finetuned => f.pad("finetuned"),
            Self::Source => f.pad("source"),
        }
    }
}

impl FromStr for Init {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let init = match text.split_once(':') {
            None => match text {
                "pretrained" => Some(Self::Pretrained),
                "random" => Some(Self::Random),
                "random-masked" => Some(Self::RandomMasked),
                "shuffle-layers" => Some(Self::ShuffleLayers),
                "shuffle-within" => Some(Self::ShuffleWithin),
                "finetuned" => Some(Self::Finetuned),
                "source" => Some(Self::Source),
                _ => None,
            },
            Some(("step", step)) => step.parse().ok().filter(|step| *step > 0).map(Self::Step),
            Some(("epoch", epochs)) => epochs
                .parse()
                .ok()
                .filter(|epochs: &f64| *epochs > 0.0 && epochs.is_finite())
                .map(Self::Epoch),
            _ => None,
        };
        init.ok_or_else(|| Error::usage(EXPECTED))
    }
}

crate::choice::as_string!(Init);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_weights_are_read_as_they_are_written() {
        for text in [
            "pretrained",
            "random",
            "random-masked",
            "shuffle-layers",
            "shuffle-within",
            "step:100",
            "epoch:0.5",
            "finetuned",
            "source",
        ] {
            assert_eq!(text.parse::<Init>().unwrap().to_string(), text);
        }
        for text in ["", "step", "step:0", "step:-1", "epoch:0", "epoch:inf", "pre-trained"] {
            assert!(text.parse::<Init>().unwrap_err().to_string().contains("expected pretrained"), "{text}");
        }
    }
}
