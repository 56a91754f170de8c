//! Pruning step by step while the score holds (Prasanna et al. 2020, section 3, and their code). Nothing is trained
//! between steps.

use super::{
    select::lowest,
    trace::{Pass, Phase, SearchRules, Step, Trace, no_threshold},
};
use crate::{
    error::{Error, Result},
    prune::{
        Count, Criterion, Importance, Kind, Mask, Measurement, Probe, Site, Sparsity, Whole, probe::finite,
    },
};
use std::rc::Rc;

/// A search between two steps.
pub struct Steps<'a> {
    rules: SearchRules,
    /// The share of each kind at which the search ends, whatever the score.
    target: Option<f64>,
    probe: &'a mut dyn Probe,
    criterion: &'a mut dyn Criterion,
    on_pass: &'a mut dyn FnMut(&Pass),
    full_score: f64,
    /// The last accepted mask, its score and what was measured at it.
    mask: Mask,
    score: f64,
    measured: Rc<dyn Measurement>,
    /// What was measured in the last pass, accepted or not.
    latest: Rc<dyn Measurement>,
    steps: Vec<Step>,
}

impl<'a> Steps<'a> {
    /// Scores the whole network.
    pub fn begin(
        rules: SearchRules,
        target: Option<Sparsity>,
        probe: &'a mut dyn Probe,
        criterion: &'a mut dyn Criterion,
        on_pass: &'a mut dyn FnMut(&Pass),
    ) -> Result<Self> {
        rules.validate()?;
        let target = target.map(|target| match target.of {
            Whole::Units => Ok(target.share),
            Whole::Weights | Whole::Flops => Err(Error::usage(format!(
                "the sparsity is {target}, and this method prunes step by step to a share of the units. Give {}, or the \
                 method one-shot.",
                target.share
            ))),
        });
        let target = target.transpose()?;
        let mask = probe.whole();
        let (score, measured) = pass(probe, criterion, &mask, 1)?;
        on_pass(&Pass { number: 1, mask: &mask, score, threshold: rules.threshold * score, step: None });
        let latest = measured.clone();
        Ok(Self {
            rules,
            target,
            probe,
            criterion,
            on_pass,
            full_score: score,
            mask,
            score,
            measured,
            latest,
            steps: vec![],
        })
    }

    /// Whether a share of the full score is a threshold, or none is needed.
    pub fn can_prune(&self) -> bool {
        self.full_score > 0.0 || self.target.is_some()
    }

    /// Heads of a full step.
    pub fn heads_per_step(&self) -> usize {
        self.rules.heads_per_step(self.mask.heads_total())
    }

    /// Prunes so many units of these kinds per step until a step is rejected or there is nothing to take.
    pub fn run(&mut self, phase: Phase, units: &[(Kind, usize)]) -> Result<()> {
        loop {
            let measured = if self.rules.stale { &self.latest } else { &self.measured };
            let importance = measured.importance(&self.mask);
            // Another kind need not be scored where it is not pruned.
            let units = units
                .iter()
                .map(|(kind, n)| lowest(&importance, &self.mask, *kind, self.allowed(*kind).min(*n)));
            let units = units.collect::<Result<Vec<_>>>()?.concat();
            if units.is_empty() || !self.step(phase, &units, importance)? {
                return Ok(());
            }
        }
    }

    /// How many units of a kind may still be pruned.
    fn allowed(&self, kind: Kind) -> usize {
        let Count { kept, total } = self.mask.count(kind);
        let most = self.target.map_or(total, |share| (share * total as f64 + 1e-9) as usize);
        most.saturating_sub(total - kept)
    }

    /// The outcome of a search that may prune these kinds.
    pub fn finish(self, kinds: &[Kind]) -> Trace {
        let full_score = self.full_score;
        let note = (!self.can_prune()).then(|| no_threshold(full_score));
        Trace {
            full_score,
            score: self.score,
            exhausted: kinds.iter().all(|kind| self.mask.count(*kind).kept == 0),
            mask: self.mask,
            passes: 1 + self.steps.len(),
            opposite: None,
            steps: self.steps,
            note,
        }
    }

    /// Scores the network without these units; whether it is accepted.
    fn step(&mut self, phase: Phase, units: &[(Site, usize)], importance: Importance) -> Result<bool> {
        let (number, threshold) = (self.steps.len() + 2, self.rules.threshold * self.full_score);
        let mut mask = self.mask.clone();
        units.iter().for_each(|(site, index)| mask.prune(site, *index));
        let (score, measured) = pass(self.probe, self.criterion, &mask, number)?;
        let heads = units.iter().filter_map(|(site, head)| match site {
            Site::Heads(layer) => Some([*layer, *head]),
            _ => None,
        });
        let ffns = units.iter().filter_map(|(site, _)| match site {
            Site::Ffn(layer) => Some(*layer),
            _ => None,
        });
        let (pruned_heads, pruned_ffns) = (heads.collect(), ffns.collect());
        let accepted = score >= threshold || self.target.is_some();
        let step = Step { phase, accepted, score, pruned_heads, pruned_ffns, pruned_weights: 0, importance };
        (self.on_pass)(&Pass { number, mask: &mask, score, threshold, step: Some(&step) });
        self.steps.push(step);
        if accepted {
            (self.mask, self.score, self.measured) = (mask, score, measured.clone());
        }
        self.latest = measured;
        Ok(accepted)
    }
}

/// The score at a mask and what the criterion measures there: one pass over the data where one gives both.
fn pass(
    probe: &mut dyn Probe,
    criterion: &mut dyn Criterion,
    mask: &Mask,
    number: usize,
) -> Result<(f64, Rc<dyn Measurement>)> {
    let measured = criterion.measure(probe, mask)?;
    let score = finite(probe.metric(mask)?, number, mask)?;
    Ok((score, measured))
}
