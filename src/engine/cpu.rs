//! The engine on the CPU: the model's own passes, with their buffers.

use std::borrow::Cow;

use super::{Engine, Goal, StepStats, Update, refused};
use crate::{
    cores::compute,
    error::Result,
    model::{Bert, GateGradients, Gates, Input, Pass, Wanted, Workspace},
    ops::{
        Format,
        adamw::{self, Moments},
        dropout::DropoutPlan,
        loss::{self, Prediction, Targets},
        pending::Pending,
    },
};
use std::ops::Range;

pub(super) struct Cpu<'a> {
    bert: Cow<'a, Bert>,
    moments: Moments,
    /// A step had an outcome that is not finite.
    refused: bool,
    /// Empty before the first step, zeros between two.
    gradient: Vec<f32>,
    decayed: Vec<Range<usize>>,
    workspace: Workspace,
    d_logits: Vec<f32>,
    format: Format,
}

impl<'a> Cpu<'a> {
    pub fn reader(bert: &'a Bert, format: Format) -> Self {
        Self::new(Cow::Borrowed(bert), Moments::default(), format)
    }

    fn new(bert: Cow<'a, Bert>, moments: Moments, format: Format) -> Self {
        let decayed = bert.params.layout.decayed();
        let (gradient, d_logits) = (Vec::new(), Vec::new());
        let workspace = Workspace::default();
        Self { bert, moments, refused: false, gradient, decayed, workspace, d_logits, format }
    }

    /// Forward, and backward unless the loss is not a finite number; the loss.
    fn pass(&mut self, input: &Input, goal: Goal, dropout: &DropoutPlan) -> f64 {
        let Self { bert, gradient, workspace, d_logits, format, .. } = self;
        gradient.resize(bert.params.data.len(), 0.0);
        let pass = Pass { dropout: Some(dropout), keep: true, format: *format, ..Pass::default() };
        match goal {
            Goal::Labels(targets) => {
                bert.forward(input, &pass, workspace);
                d_logits.resize(workspace.logits().len(), 0.0);
                let loss = loss::mean(workspace.logits(), targets, d_logits);
                if loss.is_finite() {
                    bert.backward(input, &pass, workspace, d_logits, Wanted::Weights(gradient));
                }
                loss
            }
            Goal::MaskedTokens { rows, words } => {
                bert.forward_masked(input, rows, &pass, workspace);
                let found = loss::words(workspace.masked_logits(), words);
                let loss = Prediction::mean_loss(&found);
                if loss.is_finite() {
                    bert.backward_masked(input, &pass, workspace, Wanted::Weights(gradient));
                }
                loss
            }
        }
    }
}

impl Cpu<'static> {
    pub fn trainer(bert: Bert, moments: Moments, format: Format) -> Self {
        Self::new(Cow::Owned(bert), moments, format)
    }
}

impl Engine for Cpu<'_> {
    fn logits(&mut self, input: &Input, gates: Option<&Gates>) -> Result<Pending<Vec<f32>>> {
        let Self { bert, workspace, format, .. } = self;
        let pass = Pass { gates, format: *format, ..Pass::default() };
        compute(|| bert.forward(input, &pass, workspace));
        Ok(Pending::Ready(workspace.logits().to_vec()))
    }

    fn predictions(
        &mut self,
        input: &Input,
        rows: &[usize],
        words: &[u32],
    ) -> Result<Pending<Vec<Prediction>>> {
        let Self { bert, workspace, format, .. } = self;
        let pass = Pass { format: *format, ..Pass::default() };
        Ok(Pending::Ready(compute(|| {
            bert.forward_masked(input, rows, &pass, workspace);
            loss::words(workspace.masked_logits(), words)
        })))
    }

    fn gate_gradients(
        &mut self,
        input: &Input,
        targets: Targets,
        gates: Option<&Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        let Self { bert, workspace, d_logits, format, .. } = self;
        let pass = Pass { dropout: None, gates, keep: true, gate_gradients: true, format: *format };
        Ok(Pending::Ready(compute(|| {
            bert.forward(input, &pass, workspace);
            let (logits, mut gradients) = (workspace.logits().to_vec(), GateGradients::default());
            d_logits.resize(logits.len(), 0.0);
            loss::per_example(&logits, targets, d_logits);
            bert.backward(input, &pass, workspace, d_logits, Wanted::Gates(&mut gradients));
            (logits, gradients)
        })))
    }

    fn step(
        &mut self,
        input: &Input,
        goal: Goal,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        Ok(Pending::Ready(compute(|| {
            let loss = self.pass(input, goal, dropout);
            let norm = if loss.is_finite() { adamw::norm(&self.gradient) } else { f64::NAN };
            self.refused |= !norm.is_finite();
            if self.refused {
                self.gradient.fill(0.0);
            } else {
                let Self { bert, gradient, moments, decayed, .. } = self;
                let (weights, scale) = (&mut bert.to_mut().params.data, adamw::clip_scale(norm, update.clip));
                update.optimizer.step(weights, gradient, moments, decayed, update.learning_rate, scale);
            }
            StepStats { loss, norm }
        })))
    }

    fn state(&mut self) -> Result<(&[f32], &Moments)> {
        if self.refused {
            return Err(refused());
        }
        Ok((&self.bert.params.data, &self.moments))
    }

    fn finish(self: Box<Self>) -> Result<Bert> {
        if self.refused {
            return Err(refused());
        }
        Ok(self.bert.into_owned())
    }
}
