//! The engine on the CPU: the model's own passes, with their buffers.

use std::borrow::Cow;

use super::{Engine, Goal, Part, StepStats, Update, loss_and_find, no_trainer, part::Still, refused};
use crate::{
    cores::compute,
    error::Result,
    model::{Bert, GateGradients, Gates, Input, Pass, Wanted, Workspace},
    ops::{
        Format, WeightMask,
        dropout::DropoutPlan,
        loss::{self, Prediction},
        optimizer::{State, clip_scale, norm},
        pending::Pending,
    },
};
use std::{ops::Range, sync::Arc};

pub(super) struct Cpu<'a> {
    bert: Cow<'a, Bert>,
    /// Of one that trains.
    state: Option<State>,
    mask: Option<WeightMask>,
    /// The task that the steps are of, of several, and how many its classifier has taken.
    part: Option<(Arc<Part>, u32)>,
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
        Self::new(Cow::Borrowed(bert), None, None, format)
    }

    fn new(bert: Cow<'a, Bert>, state: Option<State>, mask: Option<WeightMask>, format: Format) -> Self {
        let decayed = bert.params.layout.decayed();
        let (gradient, d_logits) = (Vec::new(), Vec::new());
        let workspace = Workspace::default();
        Self { bert, state, mask, part: None, refused: false, gradient, decayed, workspace, d_logits, format }
    }

    /// Forward, and backward unless the loss is not a finite number; the loss, and of masked tokens how each was found.
    fn pass(&mut self, input: &Input, goal: Goal, dropout: Option<&DropoutPlan>) -> (f64, Vec<Prediction>) {
        let Self { bert, part, gradient, workspace, d_logits, format, .. } = self;
        gradient.resize(bert.params.data.len(), 0.0);
        let gates = part.as_ref().and_then(|(part, _)| part.gates.as_ref());
        let pass = Pass { dropout, gates, keep: true, format: *format, ..Pass::default() };
        match goal {
            Goal::Labels(targets) => {
                bert.forward(input, &pass, workspace);
                d_logits.resize(workspace.logits().len(), 0.0);
                let loss = loss::mean(workspace.logits(), targets, d_logits);
                if loss.is_finite() {
                    bert.backward(input, &pass, workspace, d_logits, Wanted::Weights(gradient));
                }
                (loss, Vec::new())
            }
            Goal::MaskedTokens { rows, words } => {
                bert.forward_masked(input, rows, &pass, workspace);
                let found = loss::words(workspace.masked_logits(), words);
                let loss = Prediction::mean_loss(&found);
                if loss.is_finite() {
                    bert.backward_masked(input, &pass, workspace, Wanted::Weights(gradient));
                }
                (loss, found)
            }
        }
    }

    /// Forward for a backward pass by gates, whose losses' derivative is left where that reads it; the outputs.
    fn gated(&mut self, input: &Input, goal: Goal, pass: &Pass) -> Vec<f32> {
        let Self { bert, workspace, d_logits, .. } = self;
        match goal {
            Goal::Labels(targets) => {
                bert.forward(input, pass, workspace);
                let logits = workspace.logits().to_vec();
                d_logits.resize(logits.len(), 0.0);
                loss::per_example(&logits, targets, d_logits);
                logits
            }
            Goal::MaskedTokens { rows, words } => {
                bert.forward_masked(input, rows, pass, workspace);
                loss_and_find(&loss::words(workspace.masked_logits(), words))
            }
        }
    }
}

impl Cpu<'static> {
    pub fn trainer(bert: Bert, state: State, mask: Option<WeightMask>, format: Format) -> Self {
        Self::new(Cow::Owned(bert), Some(state), mask, format)
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
        goal: Goal,
        gates: Option<&Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        let pass = Pass { dropout: None, gates, keep: true, gate_gradients: true, format: self.format };
        Ok(Pending::Ready(compute(|| {
            let (outputs, mut gradients) = (self.gated(input, goal, &pass), GateGradients::default());
            let Self { bert, workspace, d_logits, .. } = self;
            let wanted = Wanted::Gates(&mut gradients);
            match goal {
                Goal::Labels(_) => bert.backward(input, &pass, workspace, d_logits, wanted),
                Goal::MaskedTokens { .. } => bert.backward_masked(input, &pass, workspace, wanted),
            }
            (outputs, gradients)
        })))
    }

    fn squared_norms(
        &mut self,
        input: &Input,
        goal: Goal,
        gates: Option<&Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        let pass = Pass { dropout: None, gates, keep: true, gate_gradients: true, format: self.format };
        Ok(Pending::Ready(compute(|| {
            let outputs = match goal {
                Goal::Labels(_) => {
                    self.bert.forward(input, &pass, &mut self.workspace);
                    self.workspace.logits().to_vec()
                }
                Goal::MaskedTokens { .. } => self.gated(input, goal, &pass),
            };
            (outputs, self.bert.squared_norms(input, &pass, &self.workspace))
        })))
    }

    fn weight_gradient(&mut self, input: &Input, goal: Goal) -> Result<Pending<(Vec<f32>, Vec<f32>)>> {
        let (_, found) = compute(|| self.pass(input, goal, None));
        let outputs = match goal {
            Goal::Labels(_) => self.workspace.logits().to_vec(),
            Goal::MaskedTokens { .. } => loss_and_find(&found),
        };
        Ok(Pending::Ready((outputs, std::mem::take(&mut self.gradient))))
    }

    fn step(
        &mut self,
        input: &Input,
        goal: Goal,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        compute(|| {
            let (loss, _) = self.pass(input, goal, Some(dropout));
            let Self { bert, state, mask, part, gradient, decayed, refused, .. } = self;
            let mask = mask.as_ref();
            let state = state.as_mut().ok_or_else(no_trainer)?;
            let norm = if loss.is_finite() { norm(gradient, mask) } else { f64::NAN };
            *refused |= !norm.is_finite();
            if *refused {
                gradient.fill(0.0);
            } else {
                let (bert, rate) = (bert.to_mut(), update.learning_rate);
                let (weights, scale) = (&mut bert.params.data, clip_scale(norm, update.clip));
                match part {
                    None => state.step(weights, gradient, mask, decayed, rate, scale),
                    Some((part, steps)) => {
                        let still = Still::before(part, weights, state);
                        let parts = part.moving(&bert.params.layout, state.steps, *steps);
                        state.step_of_parts(weights, gradient, &parts, decayed, rate, scale);
                        still.restore(part, weights, state);
                        *steps += 1;
                    }
                }
            }
            Ok(StepStats { loss, norm })
        })
        .map(Pending::Ready)
    }

    fn take_up(&mut self, part: &Arc<Part>, steps: u32) -> Result<()> {
        self.bert.to_mut().choose_classifier(part.classifier);
        self.part = Some((Arc::clone(part), steps));
        Ok(())
    }

    fn state(&mut self) -> Result<(&[f32], &State)> {
        if self.refused {
            return Err(refused());
        }
        Ok((&self.bert.params.data, self.state.as_ref().ok_or_else(no_trainer)?))
    }

    fn finish(self: Box<Self>) -> Result<Bert> {
        if self.refused {
            return Err(refused());
        }
        Ok(self.bert.into_owned())
    }
}
