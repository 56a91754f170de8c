//! Which examples score the units and decide when the search stops.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `dev`, `train`, `train:N` or `heldout:FRACTION`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Split {
    /// The development set, which is also the one reported: as published (Prasanna et al. 2020).
    Dev,
    /// All training examples, in file order (Michel et al. 2019, Liang et al. 2021).
    AllTrain,
    /// N of the training examples. The model was fine-tuned on them.
    Train(usize),
    /// This part of the training examples, in (0, 1), kept out of fine-tuning.
    Heldout(f64),
}

impl Split {
    /// The seed that chooses the examples; none where all of a set are taken.
    pub fn seed(self, of_run: u64) -> Option<u64> {
        matches!(self, Self::Train(_) | Self::Heldout(_)).then_some(of_run)
    }
}

const EXPECTED: &str =
    "expected dev, train, train:N (N at least 1) or heldout:FRACTION (between 0 and 1, both excluded)";

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Dev => f.write_str("dev"),
            Self::AllTrain => f.write_str("train"),
            Self::Train(count) => write!(f, "train:{count}"),
            Self::Heldout(fraction) => write!(f, "heldout:{fraction}"),
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let split = match text.split_once(':') {
            None if text == "dev" => Some(Self::Dev),
            None if text == "train" => Some(Self::AllTrain),
            Some(("train", count)) => count.parse().ok().filter(|count| *count > 0).map(Self::Train),
            Some(("heldout", fraction)) => {
                fraction.parse().ok().filter(|part| *part > 0.0 && *part < 1.0).map(Self::Heldout)
            }
            _ => None,
        };
        split.ok_or_else(|| Error::usage(EXPECTED))
    }
}

crate::choice::as_string!(Split);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_reads_back_as_it_is_written() {
        for (text, split) in [
            ("dev", Split::Dev),
            ("train", Split::AllTrain),
            ("train:277", Split::Train(277)),
            ("heldout:0.1", Split::Heldout(0.1)),
        ] {
            assert_eq!(text.parse::<Split>().unwrap(), split);
            assert_eq!(split.to_string(), text);
        }
    }

    #[test]
    fn a_split_of_nothing_or_of_everything_is_refused() {
        for wrong in
            ["", "test", "train:", "train:0", "train:-1", "heldout:0", "heldout:1", "heldout:nan", "dev:1"]
        {
            assert!(wrong.parse::<Split>().is_err(), "{wrong:?}");
        }
    }
}
