//! Which examples are for training, and which for scoring units and stopping the search.

use super::Inputs;
use crate::{
    config::{ExperimentConfig, Split},
    error::{Error, Result},
    train::Dataset,
};
use serde::Serialize;
use std::borrow::Cow;

/// The part of the training examples that is held out for scoring.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeldOut {
    fraction: f64,
    seed: u64,
}

impl HeldOut {
    pub fn new(config: &ExperimentConfig) -> Option<Self> {
        match config.importance.split {
            Split::Heldout(fraction) => Some(Self { fraction, seed: config.seed }),
            Split::Dev | Split::AllTrain | Split::Train(_) => None,
        }
    }

    /// How many examples are held out.
    pub fn examples(self, all: &Dataset) -> usize {
        (all.examples() as f64 * self.fraction).round() as usize
    }

    /// How many sequences remain for training.
    pub fn remaining(heldout: Option<&Self>, all: &Dataset) -> usize {
        heldout.map_or(all.len(), |part| all.choose(part.examples(all), part.seed).1.len())
    }

    /// The examples that remain for training.
    pub fn rest<'a>(heldout: Option<&Self>, all: &'a Dataset) -> Cow<'a, Dataset> {
        match heldout {
            None => Cow::Borrowed(all),
            Some(part) => Cow::Owned(all.subset(&all.choose(part.examples(all), part.seed).1)),
        }
    }
}

/// The training examples of a run with these settings.
pub fn training_data<'a>(config: &ExperimentConfig, inputs: &'a Inputs) -> Cow<'a, Dataset> {
    HeldOut::rest(HeldOut::new(config).as_ref(), &inputs.train)
}

/// The examples that score units and stop the search; `None` for the development set.
pub fn scoring_data<'a>(config: &ExperimentConfig, inputs: &'a Inputs) -> Result<Option<Cow<'a, Dataset>>> {
    match config.importance.split {
        Split::Dev => Ok(None),
        split => scoring(inputs, split, Some(config.seed)).map(Some),
    }
}

/// The examples that score units. `seed` selects them; `dev` needs none.
///
/// # Errors
/// As [`check`].
pub fn scoring(inputs: &Inputs, split: Split, seed: Option<u64>) -> Result<Cow<'_, Dataset>> {
    let all = &inputs.train;
    Ok(match check(split, all)? {
        None if split == Split::AllTrain => Cow::Borrowed(all),
        None => Cow::Borrowed(&inputs.dev),
        Some(n) => Cow::Owned(all.subset(&all.choose(n, seed.unwrap_or_default()).0)),
    })
}

/// How many training examples are to be chosen; `None` where the development set or the whole training set scores units.
///
/// # Errors
/// Usage: the split needs more examples than there are, or leaves none on one side.
pub fn check(split: Split, all: &Dataset) -> Result<Option<usize>> {
    match split {
        Split::Dev | Split::AllTrain => Ok(None),
        Split::Train(n) if n > all.examples() => Err(Error::usage(format!(
            "importance.split=train:{n} needs more examples than the training set has ({}). Use train:{} or less.",
            all.examples(),
            all.examples()
        ))),
        Split::Train(n) => Ok(Some(n)),
        Split::Heldout(fraction) => {
            let n = HeldOut { fraction, seed: 0 }.examples(all);
            if n == 0 || n == all.examples() {
                return Err(Error::usage(format!(
                    "importance.split=heldout:{fraction} of {} training examples leaves one side empty. Use a fraction \
                     such as 0.1.",
                    all.examples()
                )));
            }
            Ok(Some(n))
        }
    }
}
