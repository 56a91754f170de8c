//! The search's measuring instrument: one pass over a split gives its metric and every unit's importance.

use super::{Accumulator, Estimator, Mask, PrunedUnits, RawImportance, Scorer};
use crate::{
    engine::Machine,
    error::{Error, Result},
    model::{Bert, GateGradients, Gates},
    ops::pending::pipelined,
    task::{self, TaskSpec},
    train::{Dataset, Progress, dataset::input, evaluate::BATCH},
};
use std::cell::RefCell;

/// Scores masks of one fine-tuned model.
pub struct ModelScorer<'a, 'p> {
    pub machine: &'a Machine,
    pub bert: &'a Bert,
    pub data: &'a Dataset,
    pub task: &'a TaskSpec,
    pub estimator: Estimator,
    pub pruned_units: PrunedUnits,
    /// Examples in one batch of the estimators that sum before they take absolute values.
    pub batch_size: usize,
    pub progress: &'a RefCell<&'p mut dyn Progress>,
    pub passes: usize,
}

impl Scorer for ModelScorer<'_, '_> {
    fn score(&mut self, mask: &Mask) -> Result<(f64, RawImportance)> {
        self.passes += 1;
        match self.pruned_units {
            // A pruned unit's own gradient is wanted, so every unit has to be computed.
            PrunedUnits::Included => {
                let gates = mask.gates();
                self.pass(self.bert, Some(&gates))
            }
            PrunedUnits::Excluded => self.pass(&self.bert.shrunk(&mask.layer_shapes()), None),
        }
    }
}

impl ModelScorer<'_, '_> {
    fn pass(&mut self, bert: &Bert, gates: Option<&Gates>) -> Result<(f64, RawImportance)> {
        let (layers, heads) = (bert.config.num_hidden_layers, bert.config.num_attention_heads);
        let mut accumulator = Accumulator::new(self.estimator, layers, heads, self.batch_size);
        let mut sums = ExampleSums::new(layers, heads);
        let mut logits = Vec::new();
        let mut engine = self.machine.reader(bert)?;
        let all: Vec<usize> = (0..self.data.len()).collect();
        let requests = all.chunks(BATCH).map(|indices| {
            let (batch, labels) = self.data.batch(indices);
            let found = engine.gate_gradients(&input(&batch), labels.targets(), gates)?;
            Ok((batch.offsets, found))
        });
        pipelined(requests, |offsets, (of_batch, gradients)| {
            logits.extend(of_batch);
            for sequence in 0..offsets.len() - 1 {
                sums.collect(bert, &gradients, &offsets, sequence);
                accumulator.add_example(&sums.heads, &sums.heads_abs, &sums.ffns, &sums.ffns_abs);
            }
            let detail = format!("pass {}, {} heads, {} FFNs", self.passes, bert.heads(), bert.ffns());
            let mut progress = self.progress.borrow_mut();
            progress.step(self.passes as u64, &detail);
            if progress.stop_wanted() {
                let why = format!("in pass {} of the search, which begins anew", self.passes);
                return Err(Error::stopped(&why));
            }
            Ok(())
        })?;
        let metrics = task::evaluate(self.task, &logits, &self.data.labels);
        Ok((metrics[self.task.metric.name()], accumulator.finish()))
    }
}

/// One example's gate gradients summed over its tokens, with and without their signs; NaN for units that are gone.
struct ExampleSums {
    heads_per_layer: usize,
    heads: Vec<f64>,
    heads_abs: Vec<f64>,
    ffns: Vec<f64>,
    ffns_abs: Vec<f64>,
}

impl ExampleSums {
    fn new(layers: usize, heads_per_layer: usize) -> Self {
        let (heads, ffns) = (vec![f64::NAN; layers * heads_per_layer], vec![f64::NAN; layers]);
        Self { heads_per_layer, heads_abs: heads.clone(), heads, ffns_abs: ffns.clone(), ffns }
    }

    fn collect(&mut self, bert: &Bert, gradients: &GateGradients, offsets: &[usize], sequence: usize) {
        for (l, (shape, layer)) in bert.shape.iter().zip(&gradients.layers).enumerate() {
            // The last layer has one row for each sequence.
            let last = l + 1 == bert.shape.len();
            let rows = if last { sequence..sequence + 1 } else { offsets[sequence]..offsets[sequence + 1] };
            let present = shape.heads.len();
            for (place, head) in shape.heads.iter().enumerate() {
                let values = rows.clone().map(|r| f64::from(layer.heads[r * present + place]));
                let (sum, abs) = both_sums(values);
                self.heads[l * self.heads_per_layer + head] = sum;
                self.heads_abs[l * self.heads_per_layer + head] = abs;
            }
            if shape.ffn.is_present() {
                (self.ffns[l], self.ffns_abs[l]) = both_sums(rows.map(|r| f64::from(layer.ffn[r])));
            }
        }
    }
}

fn both_sums(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, abs), v| (sum + v, abs + v.abs()))
}
