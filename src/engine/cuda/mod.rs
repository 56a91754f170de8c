//! The engine on a CUDA device, or on what stands for one: weights, the optimizer's state and activations stay in its
//! memory, a step reads back two numbers, and nothing waits for them here.

mod attention;
mod backend;
mod batch;
mod device;
mod gradient;
mod outputs;
mod trainer;
mod weights;

use super::{Engine, Goal, Part as OfTask, StepStats, Update, loss_and_find, no_trainer};
use crate::{
    error::Result,
    model::{
        self, Bert, GateGradients, Head, Input, Params, Pass, Wanted, activations::Activations,
        params::Layout, pass::Run,
    },
    ops::{
        WeightMask,
        cuda::{Buffer, Format, Gpu, download, fetch, loss},
        dropout::DropoutPlan,
        loss::{Prediction, Targets},
        optimizer::State,
        pending::Pending,
    },
};
use backend::word_stride;
use batch::{Batch, Part};
use device::{Cuda as Device, address};
use gradient::{Gradient, WeightGradient};
use outputs::GateOutputs;
use std::{cell::OnceCell, rc::Rc, sync::Arc};
use trainer::Trainer;
use weights::Weights;

pub struct Cuda {
    model: Model,
    activations: Activations<OnceCell<Buffer>>,
    /// Losses (M) f32 of the masked words or of spans, and whether each word was found (M) u32.
    found: [Buffer; 2],
    gate_gradients: Buffer,
    /// Of passes that do not train.
    loss: Buffer,
    /// From the first pass on that wants it.
    gradient: Option<WeightGradient>,
    trainer: Option<Trainer>,
    /// The weights on the host, as they were when last asked for.
    host: Vec<f32>,
}

/// What a pass reads.
struct Model {
    gpu: Rc<dyn Gpu>,
    weights: Weights,
    batch: Batch,
    gates: Buffer,
}

impl Model {
    fn run<'a>(&'a self, pass: Pass<'a>) -> (Device<'a>, Run<'a>) {
        let Self { gpu, weights, batch, gates } = self;
        let Weights { config, shape, head, layout, .. } = weights;
        let (tokens, read) = (batch.tokens, batch.chosen);
        let run = Run { config, shape, head: *head, layout, pass, tokens, read };
        let head_gates = pass.gates.map(|_| gates.address());
        (Device { gpu, weights, batch, head_gates }, run)
    }

    /// The rows that the head reads, unless these are each sequence's first token.
    fn rows(&self, input: &Input) -> Option<Vec<usize>> {
        (self.weights.head == Head::Spans).then(|| (0..input.tokens()).collect())
    }

    /// A batch for the classifier or the span head.
    fn upload(&mut self, input: &Input, targets: &[u32]) -> Result<()> {
        let rows = self.rows(input);
        self.batch.upload(input, rows.as_deref(), targets)
    }

    /// The gates of the heads, to the device.
    fn upload_gates(&self, gates: Option<&model::Gates>) -> Result<()> {
        gates.map_or(Ok(()), |gates| self.gates.upload(&gates.heads).map(drop))
    }
}

impl Cuda {
    pub fn reader(gpu: &Rc<dyn Gpu>, bert: &Bert, format: Format) -> Result<Self> {
        let [gates, losses, correct, gate_gradients, loss] = [(); 5].map(|()| Buffer::new(gpu));
        let (weights, batch) = (
            Weights::upload(gpu, bert, format)?,
            Batch::new(gpu, bert.config.family.token_types.is_some(), bert.config.padding()),
        );
        Ok(Self {
            model: Model { gpu: gpu.clone(), weights, batch, gates },
            activations: Activations::default(),
            found: [losses, correct],
            gate_gradients,
            loss,
            gradient: None,
            trainer: None,
            host: Vec::new(),
        })
    }

    pub fn trainer(
        gpu: &Rc<dyn Gpu>,
        bert: &Bert,
        state: State,
        mask: Option<WeightMask>,
        format: Format,
    ) -> Result<Self> {
        let mut engine = Self::reader(gpu, bert, format)?;
        engine.gradient = Some(WeightGradient::new(gpu, &bert.params.layout)?);
        engine.trainer = Some(Trainer::new(gpu, &bert.params.layout, state, mask.as_ref())?);
        Ok(engine)
    }

    /// (B, labels), of the span head (T, 2), from the device.
    fn read_logits(&self) -> Result<Pending<Vec<f32>>> {
        let len = self.model.batch.chosen * self.model.weights.layout.classifier_bias.len();
        fetch(&*self.model.gpu, address(&self.activations.classifier.logits), len)
    }

    /// Of how many masked words, from the device.
    fn read_predictions(&self, words: usize) -> Result<Pending<Vec<Prediction>>> {
        let [losses, correct] = self.found.each_ref().map(Buffer::address);
        let losses = fetch::<f32>(&*self.model.gpu, losses, words)?;
        let correct = fetch::<u32>(&*self.model.gpu, correct, words)?;
        Ok(losses.and(correct).map(|(losses, correct)| {
            let both = losses.into_iter().zip(correct);
            both.map(|(loss, correct)| Prediction { loss: f64::from(loss), correct: correct != 0 }).collect()
        }))
    }

    /// The outputs of the last pass for this goal.
    fn read_outputs(&self, goal: &Goal) -> Result<Pending<Vec<f32>>> {
        match goal {
            Goal::Labels(_) => self.read_logits(),
            Goal::MaskedTokens { words, .. } => {
                Ok(self.read_predictions(words.len())?.map(|found| loss_and_find(&found)))
            }
        }
    }

    /// Forward for a pass by gates, and the gradient of the losses by the head's output.
    fn gated(&mut self, input: &Input, goal: &Goal, pass: Pass) -> Result<()> {
        match goal {
            Goal::Labels(targets) => self.model.upload(input, &bits(targets))?,
            Goal::MaskedTokens { rows, words } => self.model.batch.upload(input, Some(rows), words)?,
        }
        self.model.upload_gates(pass.gates)?;
        let (ops, run) = self.model.run(pass);
        match goal {
            Goal::Labels(targets) => {
                self.activations.classify(&ops, &run)?;
                self.label_loss(targets, None)
            }
            Goal::MaskedTokens { .. } => {
                self.activations.find_words(&ops, &run)?;
                self.word_loss(self.loss.fit(8)?)
            }
        }
    }

    /// The head's gradient from the classes, scores or spans in the batch; `loss` receives the mean loss of a step.
    fn label_loss(&self, targets: &Targets, loss: Option<u64>) -> Result<()> {
        let Model { gpu, weights, batch, .. } = &self.model;
        let at = batch.at(Part::Targets);
        let (b, labels) = (batch.sequences, weights.layout.classifier_bias.len());
        let (ops, _) = self.model.run(Pass::default());
        let of_head = &self.activations.classifier;
        let (logits, d_logits) =
            (address(&of_head.logits), ops.fit(&of_head.d_logits, batch.chosen * labels)?);
        let targets = match targets {
            Targets::Classes(_) => loss::Targets::Classes(at),
            Targets::Scores(_) => loss::Targets::Scores(at),
            Targets::Spans { .. } => {
                let (offsets, losses) = (batch.at(Part::Offsets), self.found[0].floats(b)?);
                let divisor = loss.map_or(1.0, |_| b as f32);
                loss::spans(&**gpu, weights.format, logits, offsets, at, b, divisor, d_logits, losses)?;
                return loss.map_or(Ok(()), |loss| loss::mean_of(&**gpu, losses, b, loss));
            }
        };
        match loss {
            Some(loss) => loss::mean(&**gpu, weights.format, logits, targets, b, labels, d_logits, loss),
            None => loss::per_example(&**gpu, weights.format, logits, targets, b, labels, d_logits),
        }
    }

    /// The masked-LM head's gradient from the words in the batch; `loss` receives the mean loss.
    fn word_loss(&self, loss: u64) -> Result<()> {
        let Model { gpu, weights, batch, .. } = &self.model;
        let (m, v) = (batch.chosen, weights.config.vocab_size);
        let stride = word_stride(v);
        let (ops, _) = self.model.run(Pass::default());
        let of_head = &self.activations.masked_lm;
        let (logits, d_logits) = (address(&of_head.logits), ops.fit(&of_head.d_logits, m * stride)?);
        let [losses, correct] = &self.found;
        let (losses, correct, words) = (losses.floats(m)?, correct.floats(m)?, batch.at(Part::Targets));
        let sizes = (m, v, stride);
        loss::words(&**gpu, weights.format, logits, words, sizes, d_logits, losses, correct, loss)
    }

    /// Writes the gradient of a batch's mean loss, which goes to `loss`, f64.
    fn backpropagate(
        &mut self,
        input: &Input,
        goal: &Goal,
        dropout: Option<&DropoutPlan>,
        loss: u64,
    ) -> Result<()> {
        let whole = self.gradient.as_ref().ok_or_else(no_trainer)?;
        let rows = self.model.rows(input);
        let batch = &mut self.model.batch;
        match goal {
            Goal::Labels(targets) => batch.upload_for_training(input, rows.as_deref(), &bits(targets))?,
            Goal::MaskedTokens { rows, words } => batch.upload_for_training(input, Some(rows), words)?,
        }
        let task = self.trainer.as_ref().and_then(Trainer::part);
        let gates = task.as_ref().and_then(|task| task.gates.as_ref());
        self.model.upload_gates(gates)?;
        let pass = Pass { dropout, gates, keep: true, ..Pass::default() };
        let ((ops, run), sums) = (self.model.run(pass), whole.parts.begin());
        let mut gradient = Gradient { address: whole.address(), sums: &sums };
        whole.clear_tables(&*self.model.gpu, &self.model.weights.layout, goal)?;
        match goal {
            Goal::Labels(targets) => {
                self.activations.classify(&ops, &run)?;
                self.label_loss(targets, Some(loss))?;
                self.activations.classify_backward(&ops, &run, Wanted::Weights(&mut gradient))?;
            }
            Goal::MaskedTokens { .. } => {
                self.activations.find_words(&ops, &run)?;
                self.word_loss(loss)?;
                self.activations.find_words_backward(&ops, &run, Wanted::Weights(&mut gradient))?;
            }
        }
        sums.finish()
    }

    /// As they are behind all steps.
    fn download_weights(&mut self) -> Result<()> {
        let Model { gpu, weights, .. } = &self.model;
        if let Some(trainer) = &self.trainer {
            trainer.finish_steps(&**gpu)?;
        }
        self.host = download(&**gpu, weights.master(), weights.layout.len)?;
        Ok(())
    }
}

/// Class numbers, scores as their bits, or starts and then ends.
fn bits(targets: &Targets) -> Vec<u32> {
    match targets {
        Targets::Classes(classes) => classes.to_vec(),
        Targets::Scores(scores) => scores.iter().map(|score| score.to_bits()).collect(),
        Targets::Spans { starts, ends, .. } => [*starts, ends].concat(),
    }
}

impl Engine for Cuda {
    fn logits(&mut self, input: &Input, gates: Option<&model::Gates>) -> Result<Pending<Vec<f32>>> {
        self.model.upload(input, &[])?;
        self.model.upload_gates(gates)?;
        let (ops, run) = self.model.run(Pass { gates, ..Pass::default() });
        self.activations.classify(&ops, &run)?;
        self.read_logits()
    }

    fn predictions(
        &mut self,
        input: &Input,
        rows: &[usize],
        words: &[u32],
    ) -> Result<Pending<Vec<Prediction>>> {
        self.model.batch.upload(input, Some(rows), words)?;
        let (ops, run) = self.model.run(Pass::default());
        self.activations.find_words(&ops, &run)?;
        self.word_loss(self.loss.fit(8)?)?;
        self.read_predictions(words.len())
    }

    fn gate_gradients(
        &mut self,
        input: &Input,
        goal: Goal,
        gates: Option<&model::Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        let pass = Pass { gates, keep: true, gate_gradients: true, ..Pass::default() };
        self.gated(input, &goal, pass)?;
        let (ops, run) = self.model.run(pass);
        let mut outputs = GateOutputs::new(&run, &self.gate_gradients)?;
        let wanted = Wanted::Gates(&mut outputs);
        match goal {
            Goal::Labels(_) => self.activations.classify_backward(&ops, &run, wanted)?,
            Goal::MaskedTokens { .. } => self.activations.find_words_backward(&ops, &run, wanted)?,
        }
        Ok(self.read_outputs(&goal)?.and(outputs.fetch(&*self.model.gpu, &run)?))
    }

    fn squared_norms(
        &mut self,
        input: &Input,
        goal: Goal,
        gates: Option<&model::Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        let pass = Pass { gates, keep: true, gate_gradients: true, ..Pass::default() };
        self.gated(input, &goal, pass)?;
        let (ops, run) = self.model.run(pass);
        let mut outputs = GateOutputs::new(&run, &self.gate_gradients)?;
        self.activations.squared_norms(&ops, &run, &mut outputs)?;
        Ok(self.read_outputs(&goal)?.and(outputs.fetch(&*self.model.gpu, &run)?))
    }

    fn weight_gradient(&mut self, input: &Input, goal: Goal) -> Result<Pending<(Vec<f32>, Vec<f32>)>> {
        let Model { gpu, weights, .. } = &self.model;
        if self.gradient.is_none() {
            self.gradient = Some(WeightGradient::new(gpu, &weights.layout)?);
        }
        let loss = self.loss.fit(8)?;
        self.backpropagate(input, &goal, None, loss)?;
        let Model { gpu, weights, .. } = &self.model;
        let gradient = self.gradient.as_ref().ok_or_else(no_trainer)?;
        Ok(self.read_outputs(&goal)?.and(gradient.fetch(&**gpu, &weights.layout)?))
    }

    fn step(
        &mut self,
        input: &Input,
        goal: Goal,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        let loss = self.trainer.as_ref().ok_or_else(no_trainer)?.loss();
        self.backpropagate(input, &goal, Some(dropout), loss)?;
        let gradient = self.gradient.as_ref().ok_or_else(no_trainer)?;
        let trainer = self.trainer.as_mut().ok_or_else(no_trainer)?;
        trainer.update(&*self.model.gpu, &self.model.weights, gradient.address(), update)
    }

    fn take_up(&mut self, part: &Arc<OfTask>, steps: u32) -> Result<()> {
        let trainer = self.trainer.as_mut().ok_or_else(no_trainer)?;
        let Model { gpu, weights, .. } = &mut self.model;
        // A step writes the gradient of its own classifier alone, and the norm is that of all.
        let gradient = self.gradient.as_ref().ok_or_else(no_trainer)?;
        let Layout { classifier_weight, classifier_bias, .. } = &weights.layout;
        gradient.clear(&**gpu, &(classifier_weight.start..classifier_bias.end))?;
        weights.head = weights.layout.choose_classifier(part.classifier);
        trainer.take_up(gpu, &weights.layout, part, steps)
    }

    fn state(&mut self) -> Result<(&[f32], &State)> {
        self.download_weights()?;
        let trainer = self.trainer.as_mut().ok_or_else(no_trainer)?;
        Ok((&self.host, trainer.download(&*self.model.gpu)?))
    }

    fn finish(mut self: Box<Self>) -> Result<Bert> {
        self.download_weights()?;
        let Weights { config, shape, head, layout, .. } = self.model.weights;
        Ok(Bert { config, shape, head, params: Params { layout, data: self.host } })
    }
}
