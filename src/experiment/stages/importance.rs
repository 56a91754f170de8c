//! Scores of all units of a fine-tuned model by several criteria, on several splits, before any norm.

use super::files;
use crate::{
    choice::Choice,
    config::{ExperimentConfig, Split},
    error::{Error, Result},
    experiment::{
        Inputs,
        split::scoring,
        stage::{Given, Identity, Known, Stage},
    },
    prune::{
        AbsoluteOf, Accumulator, CriterionRules, Estimator, GateSums, Mask, ModelProbe, Norm, Probe,
        PrunedUnits, RawImportance,
    },
    store::{IMPORTANCE, StageWriter},
    train::Progress,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::RefCell;

/// Its file.
pub const SCORES: &str = "importance.json";

/// Scores one fine-tuned model.
#[derive(Clone, Debug, Serialize)]
pub struct Importance {
    /// The node that fine-tunes the model.
    finetune: &'static str,
    criteria: Vec<Estimator>,
    splits: Vec<Split>,
    /// Examples of a batch, for the criteria that know batches.
    batch_size: usize,
    /// Selects training examples.
    split_seed: u64,
}

/// What was measured on one split; [`SCORES`] holds one for each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SplitScores {
    pub split: Split,
    pub examples: usize,
    pub scores: Vec<Scores>,
}

/// What one criterion measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scores {
    pub criterion: Estimator,
    pub raw: Units,
    /// Of criteria of gate gradients, the variance over examples of what an example adds: its Σ|g| over tokens, |g|, g², or
    /// of those that know batches g.
    pub variance: Option<Units>,
}

/// One number for each unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// By layer.
    pub heads: Vec<Vec<f64>>,
    pub ffns: Vec<f64>,
}

impl Units {
    fn new(raw: RawImportance, width: usize) -> Self {
        Self { heads: raw.heads.chunks(width.max(1)).map(<[f64]>::to_vec).collect(), ffns: raw.ffns }
    }

    /// Heads row by row.
    pub fn raw(&self) -> RawImportance {
        RawImportance { heads: self.heads.concat(), ffns: self.ffns.clone() }
    }
}

impl Importance {
    pub fn new(
        config: &ExperimentConfig,
        finetune: &'static str,
        criteria: Vec<Estimator>,
        splits: Vec<Split>,
    ) -> Self {
        let batch_size = config.importance.batch_size;
        Self { finetune, criteria, splits, batch_size, split_seed: config.seed }
    }

    /// One pass for all criteria of gate gradients, and what each other one needs.
    fn measure(&self, probe: &mut dyn Probe) -> Result<Vec<Scores>> {
        let whole = probe.whole();
        let gradients: Vec<AbsoluteOf> = self.criteria.iter().filter_map(|c| c.gradient()).collect();
        let mut sums: Vec<(Accumulator, Spread)> = gradients
            .iter()
            .map(|rule| {
                let sums = Accumulator::new(*rule, whole.layers(), whole.heads_per_layer(), self.batch_size);
                (sums, Spread::new(*rule, &whole))
            })
            .collect();
        if !sums.is_empty() {
            probe.gate_gradients(&whole, false, &mut |example| {
                for (sums, spread) in &mut sums {
                    sums.add_example(example);
                    spread.add(example);
                }
            })?;
        }
        let mut sums = sums.into_iter();
        let rules = CriterionRules {
            norm: Norm::None,
            pruned_units: PrunedUnits::Excluded,
            batch_size: self.batch_size,
            stale: false,
        };
        let mut measure = |criterion: &Estimator| {
            let (raw, variance) = match criterion.gradient().and_then(|_| sums.next()) {
                Some((sums, spread)) => (sums.finish(), Some(spread.variance())),
                None => (criterion.raw(rules).raw(probe, &whole)?, None),
            };
            if raw.heads.iter().chain(&raw.ffns).any(|score| !score.is_finite()) {
                return Err(Error::internal(format!(
                    "a score of {} is not a finite number. The model's gradients have overflowed: fine-tune again with \
                     a lower learning rate.",
                    criterion.name()
                )));
            }
            let of_units = |raw| Units::new(raw, whole.heads_per_layer());
            Ok(Scores { criterion: *criterion, raw: of_units(raw), variance: variance.map(of_units) })
        };
        self.criteria.iter().map(&mut measure).collect()
    }
}

impl Stage for Importance {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.finetune, "finetune", &IMPORTANCE, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("{} criteria on {} splits", self.criteria.len(), self.splits.len())
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let bert = files::load_model(inputs, given.outcome(self.finetune)?)?;
        progress.begin(IMPORTANCE.name, 0);
        let progress = RefCell::new(progress);
        let mut all = Vec::new();
        for split in &self.splits {
            let data = scoring(inputs, *split, Some(self.split_seed))?;
            let mut probe = ModelProbe::new(&inputs.machine, &bert, &data, inputs.task, &progress);
            all.push(SplitScores {
                split: *split,
                examples: data.examples(),
                scores: self.measure(&mut probe)?,
            });
        }
        let splits: Vec<String> = all.iter().map(|scores| scores.split.to_string()).collect();
        progress.borrow_mut().end(&format!(
            "{}: {} criteria on {}",
            given.id,
            self.criteria.len(),
            splits.join(", ")
        ));
        files::write_json(out, SCORES, &all)?;
        Ok(json!({}))
    }
}

/// Mean and variance over examples of what each adds, by Welford's recurrence.
struct Spread {
    rule: AbsoluteOf,
    examples: f64,
    mean: RawImportance,
    /// Σ of squared distances from the mean.
    squares: RawImportance,
}

impl Spread {
    fn new(rule: AbsoluteOf, whole: &Mask) -> Self {
        let zeros =
            || RawImportance { heads: vec![0.0; whole.heads_total()], ffns: vec![0.0; whole.layers()] };
        Self { rule, examples: 0.0, mean: zeros(), squares: zeros() }
    }

    fn add(&mut self, example: &GateSums) {
        let Self { rule, mean, squares, examples } = self;
        *examples += 1.0;
        let kinds = [
            (&mut mean.heads, &mut squares.heads, &example.heads, &example.heads_abs),
            (&mut mean.ffns, &mut squares.ffns, &example.ffns, &example.ffns_abs),
        ];
        for (means, squares, sums, absolute) in kinds {
            let state = means.iter_mut().zip(squares);
            for ((mean, squares), (sum, abs)) in state.zip(sums.iter().zip(absolute)) {
                let value = rule.of_example(*sum, *abs);
                let before = value - *mean;
                *mean += before / *examples;
                *squares += before * (value - *mean);
            }
        }
    }

    /// Of n − 1; 0 of a single example.
    fn variance(self) -> RawImportance {
        let divisor = (self.examples - 1.0).max(1.0);
        let of = |squares: Vec<f64>| squares.into_iter().map(|sum| sum / divisor).collect();
        RawImportance { heads: of(self.squares.heads), ffns: of(self.squares.ffns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_is_that_of_what_examples_add() {
        let variances = |rule| {
            let mut spread = Spread::new(rule, &Mask::full(1, 1));
            for (head, absolute) in [(1.0, 2.0), (-3.0, 3.0), (2.0, 7.0)] {
                let (sums, abs) = (vec![head], vec![absolute]);
                spread.add(&GateSums {
                    heads: sums.clone(),
                    heads_abs: abs.clone(),
                    ffns: sums,
                    ffns_abs: abs,
                });
            }
            let RawImportance { heads, ffns } = spread.variance();
            assert_eq!(heads, ffns);
            heads[0]
        };
        // Of 2, 3, 7; of 1, 3, 2; of 1, -3, 2; of 1, 9, 4.
        for (rule, expected) in [
            (AbsoluteOf::Tokens, 7.0),
            (AbsoluteOf::Examples, 1.0),
            (AbsoluteOf::RunningSums, 7.0),
            (AbsoluteOf::Squares, 49.0 / 3.0),
        ] {
            assert!((variances(rule) - expected).abs() < 1e-12, "{rule:?}");
        }
    }
}
