//! The probe of a real model: passes of an engine over the scoring data.

use super::{
    Kind, Mask,
    probe::{GateSums, Probe},
};
use crate::{
    engine::{Engine, Machine},
    error::{Error, Result},
    model::{Bert, GateGradients, Gates, Head, params::Layout},
    ops::pending::{Pending, pipelined},
    task::TaskSpec,
    text::Batch,
    train::{
        Dataset, Progress,
        dataset::{BatchLabels, input},
        evaluate::{BATCH, outputs},
        metrics,
    },
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
        let rest = mask.with_all_units();
        if rest.count(Kind::Neurons).kept < rest.count(Kind::Neurons).total {
            return Err(Error::internal("gates of pruned units were asked for beside removed FFN neurons"));
        }
        let bert = match rest.is_whole() {
            true => Cow::Borrowed(self.bert),
            false => Cow::Owned(rest.apply(self.bert)?),
        };
        Ok((bert, mask.gates()))
    }

    /// One pass: of every unit one number for each row of the output, summed over the rows of an example once `number` was
    /// applied to it; and the rows of each layer. `number` is also given what makes a gradient that of the example's own
    /// loss.
    fn of_units(
        &mut self,
        mask: &Mask,
        every_unit: bool,
        ask: impl Fn(&mut dyn Engine, &Batch, &BatchLabels, Option<&Gates>) -> Result<Pending<OfUnits>>,
        number: impl Fn(f32, f64) -> f64,
        example: &mut dyn FnMut(&GateSums, &[usize]),
    ) -> Result<()> {
        self.passes += 1;
        let (bert, gates) = match every_unit {
            true => self.gated(mask).map(|(bert, gates)| (bert, Some(gates)))?,
            false => (Cow::Owned(mask.apply(self.bert)?), None),
        };
        let mut sums = GateSums::new(mask.layers(), mask.heads_per_layer());
        let mut rows = vec![0; mask.layers()];
        let mut logits = Vec::new();
        let mut engine = self.machine.reader(&bert)?;
        let all = self.all();
        let requests = all.chunks(BATCH).map(|indices| {
            let (batch, labels) = self.data.batch(indices);
            let found = ask(&mut *engine, &batch, &labels, gates.as_ref())?;
            Ok((read_rows(bert.head, &batch, &labels), found))
        });
        pipelined(requests, |ends, (of_batch, found)| {
            logits.extend(of_batch);
            for sequence in 0..ends.all.len() - 1 {
                collect(&mut sums, &mut rows, &bert, &found, &ends, sequence, &number);
                example(&sums, &rows);
            }
            self.advance(&bert)
        })?;
        drop(engine);
        self.scored(mask, &logits);
        Ok(())
    }
}

/// Logits, and one number for each row and unit.
type OfUnits = (Vec<f32>, GateGradients);

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
            let (batch, labels) = self.data.batch(indices);
            Ok(((), outputs(&mut *engine, &batch, &labels)?))
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
        let ask = |engine: &mut dyn Engine, batch: &Batch, labels: &BatchLabels, gates: Option<&Gates>| {
            engine.gate_gradients(&input(batch), labels.goal(), gates)
        };
        self.of_units(mask, every_unit, ask, |gradient, own| f64::from(gradient) * own, &mut |sums, _| {
            example(sums)
        })
    }

    fn output_norms(
        &mut self,
        mask: &Mask,
        every_unit: bool,
        example: &mut dyn FnMut(&GateSums, &[usize]),
    ) -> Result<()> {
        let ask = |engine: &mut dyn Engine, batch: &Batch, labels: &BatchLabels, gates: Option<&Gates>| {
            engine.squared_norms(&input(batch), labels.goal(), gates)
        };
        self.of_units(mask, every_unit, ask, |squared, _| f64::from(squared).sqrt(), example)
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
            let (of_batch, gradient) = engine.weight_gradient(&input(&packed), labels.goal())?.wait()?;
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

/// Where the sequences of a batch begin, (B + 1) each.
struct Ends {
    /// Among all rows.
    all: Vec<usize>,
    /// Among those that the head reads, which are the last layer's.
    read: Vec<usize>,
    /// Whether the loss is the mean over what is read.
    shared: bool,
}

/// A classifier reads one row of each sequence, a masked-LM head those of hidden words, a span head all.
fn read_rows(head: Head, batch: &Batch, labels: &BatchLabels) -> Ends {
    let all = batch.offsets.clone();
    let read = match labels {
        BatchLabels::Words { rows, .. } => {
            all.iter().map(|end| rows.partition_point(|row| row < end)).collect()
        }
        _ if head == Head::Spans => all.clone(),
        _ => (0..all.len()).collect(),
    };
    Ends { all, read, shared: matches!(labels, BatchLabels::Words { .. }) }
}

/// Sums what was found of one sequence over its rows.
fn collect(
    sums: &mut GateSums,
    rows_of: &mut [usize],
    bert: &Bert,
    found: &GateGradients,
    ends: &Ends,
    sequence: usize,
    number: &impl Fn(f32, f64) -> f64,
) {
    let of = |ends: &[usize]| ends[sequence]..ends[sequence + 1];
    let own = match ends.shared {
        true => ends.read.last().copied().unwrap_or(0) as f64 / of(&ends.read).len().max(1) as f64,
        false => 1.0,
    };
    let number = |found: f32| number(found, own);
    let heads_per_layer = bert.config.num_attention_heads;
    for (l, (shape, layer)) in bert.shape.iter().zip(&found.layers).enumerate() {
        let rows = of(if l + 1 == bert.shape.len() { &ends.read } else { &ends.all });
        rows_of[l] = rows.len();
        let present = shape.heads.len();
        for (place, head) in shape.heads.iter().enumerate() {
            let values = rows.clone().map(|r| number(layer.heads[r * present + place]));
            let at = l * heads_per_layer + head;
            (sums.heads[at], sums.heads_abs[at]) = both_sums(values);
        }
        if shape.ffn.is_present() {
            (sums.ffns[l], sums.ffns_abs[l]) = both_sums(rows.map(|r| number(layer.ffn[r])));
        }
    }
}

fn both_sums(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, abs), v| (sum + v, abs + v.abs()))
}
