//! How much of a model is pruned, where that is given and not found.

use super::{Kind, Mask};
use crate::{
    error::{Error, Result},
    model::BertConfig,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Tokens of a sequence that the attention's part of the FLOPs is counted for.
const TOKENS: usize = 128;

/// `0.5`, `0.5:units`, `0.5:weights` or `0.5:flops`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sparsity {
    /// What is pruned, in 0..1.
    pub share: f64,
    pub of: Whole,
}

/// What the share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// The heads and the FFNs, each kind by itself; or the single weights that the method may prune.
    Units,
    /// The weights of the encoder's layers, LayerNorms and biases included.
    Weights,
    /// The multiplications of the encoder's layers, on sequences of 128 tokens.
    Flops,
}

pub const EXPECTED: &str = "expected a share such as 0.5 (at least 0, below 1), or 0.5:weights of the encoder's weights, or \
                            0.5:flops";

impl Sparsity {
    /// Of units, or of the weights that may be pruned.
    pub fn units(share: f64) -> Self {
        Self { share, of: Whole::Units }
    }

    /// How many of `total` single weights are pruned, of an encoder of so many weights.
    ///
    /// # Errors
    /// `Usage` when it cannot be reached, or is one of FLOPs, which single weights do not save.
    pub fn of_weights(self, total: usize, encoder: usize) -> Result<usize> {
        let n = match self.of {
            Whole::Units => (self.share * total as f64).round(),
            Whole::Weights => (self.share * encoder as f64).round(),
            Whole::Flops => {
                return Err(Error::usage(format!(
                    "the sparsity is {self}, but single weights that are zero save no FLOPs. Give a share of weights, such \
                     as {}.",
                    self.share
                )));
            }
        };
        if n > total as f64 {
            return Err(Error::usage(format!(
                "the sparsity is {self}, which is more of the encoder's weights than the method may prune ({total} of \
                 {encoder}). Give a smaller share, or another prune.weights.",
            )));
        }
        Ok(n as usize)
    }

    /// The place in a row of nested masks, the largest first, of the first that is at least so sparse.
    pub fn reached(self, masks: &[Mask], model: &BertConfig) -> Option<usize> {
        masks.iter().position(|mask| self.is_reached(mask, model))
    }

    fn is_reached(self, mask: &Mask, model: &BertConfig) -> bool {
        let (all, left) = match self.of {
            Whole::Units => {
                let pruned = |kind| {
                    let count = mask.count(kind);
                    (count.total - count.kept) as f64 >= (self.share * count.total as f64).floor()
                };
                return pruned(Kind::Heads) && pruned(Kind::Ffns);
            }
            // Biases and LayerNorms are a thousandth of it.
            Whole::Weights => {
                (cost(&Mask::full(mask.layers(), mask.heads_per_layer()), model, 0), cost(mask, model, 0))
            }
            Whole::Flops => (
                cost(&Mask::full(mask.layers(), mask.heads_per_layer()), model, TOKENS),
                cost(mask, model, TOKENS),
            ),
        };
        all - left >= (self.share * all as f64) as usize
    }
}

/// Multiplications for one token of a sequence of `tokens`; without any, the matrices' weights.
fn cost(mask: &Mask, model: &BertConfig, tokens: usize) -> usize {
    let head = 4 * model.hidden_size * model.head_size() + 2 * tokens * model.head_size();
    mask.heads_kept() * head + mask.ffns_kept() * 2 * model.hidden_size * model.intermediate_size
}

impl fmt::Display for Sparsity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.of {
            Whole::Units => write!(f, "{}", self.share),
            Whole::Weights => write!(f, "{}:weights", self.share),
            Whole::Flops => write!(f, "{}:flops", self.share),
        }
    }
}

impl FromStr for Sparsity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (share, of) = text.split_once(':').unwrap_or((text, "units"));
        let of = match of {
            "units" => Some(Whole::Units),
            "weights" => Some(Whole::Weights),
            "flops" => Some(Whole::Flops),
            _ => None,
        };
        let share = share.parse().ok().filter(|share| (0.0..1.0).contains(share));
        share.zip(of).map(|(share, of)| Self { share, of }).ok_or_else(|| Error::usage(EXPECTED))
    }
}

crate::choice::as_string!(Sparsity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_they_are_written_and_out_of_range_ones_are_refused() {
        for text in ["0", "0.5", "0.7:weights", "0.25:flops"] {
            assert_eq!(text.parse::<Sparsity>().unwrap().to_string(), text);
        }
        assert_eq!("0.5:units".parse::<Sparsity>().unwrap(), Sparsity::units(0.5));
        for text in ["", "1", "-0.1", "50%", "0.5:heads", "nan", "0.5:"] {
            assert!(text.parse::<Sparsity>().unwrap_err().to_string().contains("such as 0.5"), "{text}");
        }
    }

    #[test]
    fn a_share_of_single_weights_is_a_number_of_them() {
        let of = |text: &str| text.parse::<Sparsity>().unwrap().of_weights(80, 100);
        assert_eq!(
            (of("0.5").unwrap(), of("0.5:weights").unwrap(), of("0.8:weights").unwrap()),
            (40, 50, 80)
        );
        assert!(of("0.9:weights").unwrap_err().to_string().contains("80 of 100"));
        assert!(of("0.5:flops").unwrap_err().to_string().contains("save no FLOPs"));
    }
}
