//! Training on several tasks at once: one encoder, a classifier for each task, and each task's batches among those of the
//! others (Liu et al. 2019, algorithm 1; with a ticket for each task Liang et al. 2021, algorithm 1).

use super::{
    checkpoint::Checkpoints,
    dataset::{Dataset, input},
    log::{PendingStep, Summary},
    optimize::{Objective, Recipe, optimize},
    progress::Progress,
};
use crate::{
    choice::choices,
    engine::{Engine, Machine, Part, Update},
    error::Result,
    model::{Bert, BertConfig, Gates, params::Layout},
    ops::{
        dropout::DropoutPlan,
        rng::{Purpose, Stream},
    },
};
use std::{ops::Range, sync::Arc};

choices! {
    /// What becomes of units in the steps of a task whose ticket has them not.
    pub enum MaskedUnits ("setting of shared.masked_units", default Frozen) {
        /// they keep their bits, and so does their optimizer's state (Liang et al. 2021, algorithm 1)
        Frozen = "frozen",
        /// they move on by momentum and decay, without a gradient (Liang et al. 2021, in code)
        Drifting = "drifting",
    }
}

impl MaskedUnits {
    /// Where the weights lie that the steps of a task with these gates leave as they are.
    pub fn still(self, layout: &Layout, gates: &Gates, model: &BertConfig) -> Vec<Range<usize>> {
        match self {
            Self::Frozen => layout.of_closed(gates, model),
            Self::Drifting => Vec::new(),
        }
    }
}

/// One of the tasks.
pub struct OneTask<'a> {
    pub train: &'a Dataset,
    /// The units of its ticket; `None` where it has all.
    pub gates: Option<Gates>,
    /// Dropout on its classifier's input.
    pub classifier_dropout: f32,
}

/// The order of the tasks' batches, apart from the streams that order examples.
const TASKS: u32 = 1;

/// How the tasks of an epoch follow each other. Which examples the batches of a task have, and in which order, is as when it is trained
/// alone.
#[derive(Clone, Debug)]
pub struct Interleaved {
    /// Batches of each task that an epoch takes.
    taken: Vec<usize>,
    /// Batches that each task has.
    whole: Vec<usize>,
    seed: u64,
}

impl Interleaved {
    /// Of tasks with so many examples. A task's share of the batches is in proportion to its own number of batches to the
    /// power `temper`: 1 takes each batch once, 0 as many of every task.
    pub fn new(examples: &[usize], recipe: &Recipe, temper: f64) -> Self {
        let whole: Vec<usize> = examples.iter().map(|n| n.div_ceil(recipe.batch_size)).collect();
        let all: usize = whole.iter().sum();
        let weights: Vec<f64> = whole.iter().map(|n| (*n as f64).powf(temper)).collect();
        let sum: f64 = weights.iter().sum();
        let share = |weight: &f64| ((all as f64 * weight / sum).round() as usize).max(1);
        Self { taken: weights.iter().map(share).collect(), whole, seed: recipe.order_seed }
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> usize {
        self.taken.iter().sum()
    }

    /// The tasks of an epoch's batches, in order, each with the number of batches that it has taken before, of all epochs.
    fn tasks(&self, epoch: usize) -> Vec<(usize, usize)> {
        let of_task = |(task, n): (usize, &usize)| std::iter::repeat_n(task, *n);
        let mut order: Vec<usize> = self.taken.iter().enumerate().flat_map(of_task).collect();
        Stream::with(self.seed, Purpose::DataOrder, epoch as u32, TASKS).shuffle(&mut order);
        let mut before: Vec<usize> = self.taken.iter().map(|taken| epoch * taken).collect();
        let counted = order.into_iter().map(|task| {
            before[task] += 1;
            (task, before[task] - 1)
        });
        counted.collect()
    }
}

struct Several<'a> {
    tasks: &'a [OneTask<'a>],
    parts: Vec<Arc<Part>>,
    order: Interleaved,
    /// An epoch, and the tasks of its batches.
    of_epoch: (Option<usize>, Vec<(usize, usize)>),
}

impl Several<'_> {
    fn first(&self, task: usize) -> usize {
        self.tasks[..task].iter().map(|task| task.train.len()).sum()
    }
}

impl Objective for Several<'_> {
    fn examples(&self) -> usize {
        self.first(self.tasks.len())
    }

    fn steps_per_epoch(&self, _: &Recipe) -> usize {
        self.order.steps()
    }

    fn batches(&self, recipe: &Recipe, epoch: usize) -> Vec<Vec<usize>> {
        let mut cached: Vec<Option<(usize, Vec<Vec<usize>>)>> = vec![None; self.tasks.len()];
        let of_task = |(task, before): (usize, usize)| {
            // A batch of an epoch of the task's own.
            let whole = self.order.whole[task];
            let (own_epoch, n) = (before / whole, before % whole);
            let examples = self.tasks[task].train.len();
            let batches = || recipe.batches.of(examples, recipe.batch_size, recipe.order_seed, own_epoch);
            let cached = &mut cached[task];
            if cached.as_ref().is_none_or(|(epoch, _)| *epoch != own_epoch) {
                *cached = Some((own_epoch, batches()));
            }
            let batch = cached.as_ref().map_or(&[][..], |(_, batches)| &batches[n]);
            batch.iter().map(|example| self.first(task) + example).collect()
        };
        self.order.tasks(epoch).into_iter().map(of_task).collect()
    }

    fn step(
        &mut self,
        engine: &mut dyn Engine,
        indices: &[usize],
        epoch: usize,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<PendingStep> {
        if self.of_epoch.0 != Some(epoch) {
            self.of_epoch = (Some(epoch), self.order.tasks(epoch));
        }
        let n = dropout.step as usize - epoch * self.order.steps();
        let (task, before) = self.of_epoch.1[n];
        engine.take_up(&self.parts[task], before as u32)?;
        let first = self.first(task);
        let own: Vec<usize> = indices.iter().map(|index| index - first).collect();
        let OneTask { train, classifier_dropout, .. } = &self.tasks[task];
        let (batch, labels) = train.batch(&own);
        let dropout = DropoutPlan { classifier: *classifier_dropout, ..*dropout };
        let outcome = engine.step(&input(&batch), labels.goal(), &dropout, update)?;
        Ok(PendingStep { outcome, predictions: own.len(), tokens: batch.tokens() })
    }

    fn remedy(&self, lower: f64) -> String {
        format!("Lower the peak learning rate with `--set train.learning_rate={lower:e}`.")
    }
}

/// Trains a model of several tasks ([`Bert::of_several`]); see [`optimize`]. `order` says how the tasks follow each other.
#[allow(clippy::too_many_arguments)]
pub fn train_several(
    machine: &Machine,
    bert: Bert,
    tasks: &[OneTask],
    order: Interleaved,
    masked: MaskedUnits,
    recipe: &Recipe,
    checkpoints: &mut Checkpoints,
    progress: &mut dyn Progress,
) -> Result<(Bert, Summary)> {
    let part = |(classifier, task): (usize, &OneTask)| {
        let gates = task.gates.clone();
        let still = gates.as_ref().map(|gates| masked.still(&bert.params.layout, gates, &bert.config));
        Arc::new(Part { classifier, gates, still: still.unwrap_or_default() })
    };
    let parts = tasks.iter().enumerate().map(part).collect();
    let mut objective = Several { tasks, parts, order, of_epoch: (None, Vec::new()) };
    optimize(machine, bert, None, &mut objective, recipe, checkpoints, progress)
}
