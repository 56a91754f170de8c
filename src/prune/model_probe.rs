//! The probe of a real model: passes of an engine over the scoring data.

use super::{
    Kind, Mask,
    probe::{GateSums, Probe},
};
use crate::{
    engine::Machine,
    error::{Error, Result},
    model::{Bert, GateGradients, Gates, Head, params::Layout},
    ops::pending::pipelined,
    task::TaskSpec,
    train::{Dataset, Progress, dataset::input, evaluate::BATCH, metrics},
};
use std::{borrow::Cow, cell::RefCell};

/// One fine-tuned model, the data that scores it, and what computes.
pub struct ModelProbe<'a, 'p> {
    machine: &'a Machine,
    bert: &'a Bert,
    data: &'a Dataset,
    task: &'a TaskSpec,
    progress: &'a RefCell<&'p mut dyn Progress>,
    passes: u64,
    /// The mask of the last pass, and the metric there.
    scored: Option<(Mask, f64)>,
}

impl<'a, 'p> ModelProbe<'a, 'p> {
    /// The model has all units.
    pub fn new(
        machine: &'a Machine,
        bert: &'a Bert,
        data: &'a Dataset,
        task: &'a TaskSpec,
        progress: &'a RefCell<&'p mut dyn Progress>,
    ) -> Self {
        Self { machine, bert, data, task, progress, passes: 0, scored: None }
    }

    /// All examples, in order.
    fn all(&self) -> Vec<usize> {
        (0..self.data.len()).collect()
    }

    /// Reports a batch of a pass on this model.
    fn advance(&self, bert: &Bert) -> Result<()> {
        let detail = format!("pass {}, {} heads, {} FFNs", self.passes, bert.heads(), bert.ffns());
        let mut progress = self.progress.borrow_mut();
        progress.step(self.passes, &detail);
        match progress.stop_wanted() {
            true => Err(Error::stopped(&format!("in pass {} of the search, which begins anew", self.passes))),
            false => Ok(()),
        }
    }

    fn scored(&mut self, mask: &Mask, logits: &[f32]) -> f64 {
        let metric = metrics(self.task, self.data, logits)[self.task.metric.name()];
        self.scored = Some((mask.clone(), metric));
        metric
    }

    /// The model under a mask whose heads and FFNs have gates.
    fn gated(&self, mask: &Mask) -> Result<(Cow<'a, Bert>, Gates)> {
        let units = [Kind::Heads, Kind::Ffns];
        let rest = units.iter().fold(mask.clone(), |mask, kind| {
            let all = vec![true; mask.count(*kind).total];
            mask.with_flags(*kind, &all)
        });
        if rest.count(Kind::Neurons).kept < rest.count(Kind::Neurons).total {
            return Err(Error::internal("gates of pruned units were asked for beside removed FFN neurons"));
        }
        let bert = match rest.is_whole() {
            true => Cow::Borrowed(self.bert),
            false => Cow::Owned(rest.apply(self.bert)?),
        };
        Ok((bert, mask.gates()))
    }
}

impl Probe for ModelProbe<'_, '_> {
    fn whole(&self) -> Mask {
        Mask::full(self.bert.config.num_hidden_layers, self.bert.config.num_attention_heads)
    }

    fn metric(&mut self, mask: &Mask) -> Result<f64> {
        if let Some((last, metric)) = &self.scored
            && last == mask
        {
            return Ok(*metric);
        }
        self.passes += 1;
        let bert = mask.apply(self.bert)?;
        let mut engine = self.machine.reader(&bert)?;
        let all = self.all();
        let requests = all.chunks(BATCH).map(|indices| {
            let (batch, _) = self.data.batch(indices);
            Ok(((), engine.logits(&input(&batch), None)?))
        });
        let mut logits = Vec::new();
        pipelined(requests, |(), of_batch| {
            logits.extend(of_batch);
            self.advance(&bert)
        })?;
        drop(engine);
        Ok(self.scored(mask, &logits))
    }

    fn gate_gradients(
        &mut self,
        mask: &Mask,
        every_unit: bool,
        example: &mut dyn FnMut(&GateSums),
    ) -> Result<()> {
        self.passes += 1;
        let (bert, gates) = match every_unit {
            true => self.gated(mask).map(|(bert, gates)| (bert, Some(gates)))?,
            false => (Cow::Owned(mask.apply(self.bert)?), None),
        };
        let mut sums = GateSums::new(mask.layers(), mask.heads_per_layer());
        let mut logits = Vec::new();
        let mut engine = self.machine.reader(&bert)?;
        let all = self.all();
        let requests = all.chunks(BATCH).map(|indices| {
            let (batch, labels) = self.data.batch(indices);
            let found = engine.gate_gradients(&input(&batch), labels.targets(), gates.as_ref())?;
            Ok((batch.offsets, found))
        });
        pipelined(requests, |offsets, (of_batch, gradients)| {
            logits.extend(of_batch);
            for sequence in 0..offsets.len() - 1 {
                collect(&mut sums, &bert, &gradients, &offsets, sequence);
                example(&sums);
            }
            self.advance(&bert)
        })?;
        drop(engine);
        self.scored(mask, &logits);
        Ok(())
    }

    fn weight_gradients(
        &mut self,
        mask: &Mask,
        examples: usize,
        batch: &mut dyn FnMut(&Layout, &[f32]),
    ) -> Result<()> {
        self.passes += 1;
        let bert = mask.apply(self.bert)?;
        let mut engine = self.machine.reader(&bert)?;
        let mut logits = Vec::new();
        for indices in self.all().chunks(examples.max(1)) {
            let (packed, labels) = self.data.batch(indices);
            let (of_batch, gradient) = engine.weight_gradient(&input(&packed), labels.targets())?.wait()?;
            logits.extend(of_batch);
            batch(&bert.params.layout, &gradient);
            self.advance(&bert)?;
        }
        drop(engine);
        self.scored(mask, &logits);
        Ok(())
    }

    fn model(&self) -> &Bert {
        self.bert
    }
}

/// Sums the gradients of one sequence over its rows.
fn collect(sums: &mut GateSums, bert: &Bert, gradients: &GateGradients, offsets: &[usize], sequence: usize) {
    let heads_per_layer = bert.config.num_attention_heads;
    for (l, (shape, layer)) in bert.shape.iter().zip(&gradients.layers).enumerate() {
        // A classifier reads one row of each sequence, and the last layer has no others.
        let one = l + 1 == bert.shape.len() && bert.head != Head::Spans;
        let rows = if one { sequence..sequence + 1 } else { offsets[sequence]..offsets[sequence + 1] };
        let present = shape.heads.len();
        for (place, head) in shape.heads.iter().enumerate() {
            let values = rows.clone().map(|r| f64::from(layer.heads[r * present + place]));
            let at = l * heads_per_layer + head;
            (sums.heads[at], sums.heads_abs[at]) = both_sums(values);
        }
        if shape.ffn.is_present() {
            (sums.ffns[l], sums.ffns_abs[l]) = both_sums(rows.map(|r| f64::from(layer.ffn[r])));
        }
    }
}

fn both_sums(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, abs), v| (sum + v, abs + v.abs()))
}
