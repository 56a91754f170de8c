//! The engine on a CUDA device, or on what stands for one: weights, the optimizer's state and activations stay in its
//! memory, a step reads back two numbers, and nothing waits for them here.

mod attention_block;
mod batch;
mod classifier;
mod embeddings;
mod encoder;
mod ffn_block;
mod masked_lm;
mod pass;
mod trainer;
mod weights;

use super::{Engine, Goal, StepStats, Update, no_trainer};
use crate::{
    error::Result,
    model::{self, Bert, GateGradients, Input, Params},
    ops::{
        WeightMask,
        cuda::{Buffer, Format, Gpu, download, fetch, loss},
        dropout::DropoutPlan,
        loss::{Prediction, Targets},
        optimizer::State,
        pending::Pending,
    },
};
use batch::{Batch, Part};
use pass::{GateOutputs, Gates, Gradient, Pass, Wanted};
use std::rc::Rc;
use trainer::Trainer;
use weights::Weights;

pub struct Cuda {
    gpu: Rc<dyn Gpu>,
    weights: Weights,
    batch: Batch,
    encoder: encoder::Saved,
    classifier: classifier::Saved,
    masked_lm: masked_lm::Saved,
    gates: Buffer,
    gate_gradients: Buffer,
    /// Of passes that do not train.
    loss: Buffer,
    trainer: Option<Trainer>,
    /// The weights on the host, as they were when last asked for.
    host: Vec<f32>,
}

impl Cuda {
    pub fn reader(gpu: &Rc<dyn Gpu>, bert: &Bert, format: Format) -> Result<Self> {
        Ok(Self {
            weights: Weights::upload(gpu, bert, format)?,
            batch: Batch::new(gpu),
            encoder: encoder::Saved::new(gpu, bert.shape.len()),
            classifier: classifier::Saved::new(gpu),
            masked_lm: masked_lm::Saved::new(gpu),
            gates: Buffer::new(gpu),
            gate_gradients: Buffer::new(gpu),
            loss: Buffer::new(gpu),
            trainer: None,
            host: Vec::new(),
            gpu: gpu.clone(),
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
        engine.trainer = Some(Trainer::new(gpu, &bert.params.layout, state, mask.as_ref())?);
        Ok(engine)
    }

    fn pass<'a>(&'a self, dropout: Option<&'a DropoutPlan>, gates: Option<Gates<'a>>) -> Pass<'a> {
        let (gpu, weights, batch) = (&*self.gpu, &self.weights, &self.batch);
        Pass { gpu, weights, batch, dropout, gates, gate_gradients: false }
    }

    /// The gates' multipliers, those of the heads on the device.
    fn upload_gates<'a>(&self, gates: Option<&'a model::Gates>) -> Result<Option<Gates<'a>>> {
        let Some(gates) = gates else { return Ok(None) };
        assert!(self.weights.shape == self.weights.config.full_shape(), "gates are for unpruned models");
        Ok(Some(Gates { heads: self.gates.upload(&gates.heads)?, ffns: &gates.ffns }))
    }

    fn classify(&self, pass: &Pass, keep: bool) -> Result<()> {
        encoder::forward(pass, &self.encoder, keep)?;
        classifier::forward(pass, self.encoder.output(), &self.classifier)
    }

    /// Room for the gradient of the encoder's input, in which all others come before it.
    fn fit_dy(&self) -> Result<u64> {
        let rows = self.batch.tokens.max(self.batch.chosen);
        self.encoder.dy.activations(rows * self.weights.config.hidden_size, self.weights.format)
    }

    /// (B, labels), from the device.
    fn read_logits(&self) -> Result<Pending<Vec<f32>>> {
        let len = self.batch.sequences * self.weights.layout.classifier_bias.len();
        fetch(&*self.gpu, self.classifier.logits.address(), len)
    }

    /// The head's gradient from the classes or scores in the batch; `loss` receives the mean loss of a step.
    fn label_loss(&self, targets: loss::Targets, loss: Option<u64>) -> Result<()> {
        let (gpu, format) = (&*self.gpu, self.weights.format);
        let (b, labels) = (self.batch.sequences, self.weights.layout.classifier_bias.len());
        let d_logits = self.classifier.d_logits.activations(b * labels, format)?;
        let logits = self.classifier.logits.address();
        match loss {
            Some(loss) => loss::mean(gpu, format, logits, targets, b, labels, d_logits, loss),
            None => loss::per_example(gpu, format, logits, targets, b, labels, d_logits),
        }
    }

    /// Forward and loss of the masked-LM head; `loss` receives the mean.
    fn find_words(&self, pass: &Pass, keep: bool, loss: u64) -> Result<()> {
        encoder::forward(pass, &self.encoder, keep)?;
        let head = &self.masked_lm;
        masked_lm::forward(pass, self.encoder.output(), head)?;
        let (gpu, format) = (&*self.gpu, self.weights.format);
        let (m, v) = (self.batch.chosen, self.weights.layout.decoder_bias.len());
        let stride = masked_lm::stride(v);
        let d_logits = head.d_logits.activations(m * stride, format)?;
        let (losses, correct) = (head.losses.floats(m)?, head.correct.floats(m)?);
        let (logits, words) = (head.logits.address(), self.batch.at(Part::Targets));
        loss::words(gpu, format, logits, words, (m, v, stride), d_logits, losses, correct, loss)
    }

    /// The batch's labels as the kernels take them.
    fn targets(&self, targets: &Targets) -> loss::Targets {
        let at = self.batch.at(Part::Targets);
        match targets {
            Targets::Classes(_) => loss::Targets::Classes(at),
            Targets::Scores(_) => loss::Targets::Scores(at),
        }
    }

    /// As they are behind all steps.
    fn download_weights(&mut self) -> Result<()> {
        if let Some(trainer) = &self.trainer {
            trainer.finish_steps(&*self.gpu)?;
        }
        self.host = download(&*self.gpu, self.weights.master(), self.weights.layout.len)?;
        Ok(())
    }
}

/// Class numbers, or scores as their bits.
fn bits(targets: &Targets) -> Vec<u32> {
    match targets {
        Targets::Classes(classes) => classes.to_vec(),
        Targets::Scores(scores) => scores.iter().map(|score| score.to_bits()).collect(),
    }
}

impl Engine for Cuda {
    fn logits(&mut self, input: &Input, gates: Option<&model::Gates>) -> Result<Pending<Vec<f32>>> {
        self.batch.upload(input, None, &[])?;
        let gates = self.upload_gates(gates)?;
        self.classify(&self.pass(None, gates), false)?;
        self.read_logits()
    }

    fn predictions(
        &mut self,
        input: &Input,
        rows: &[usize],
        words: &[u32],
    ) -> Result<Pending<Vec<Prediction>>> {
        self.batch.upload(input, Some(rows), words)?;
        self.find_words(&self.pass(None, None), false, self.loss.fit(8)?)?;
        let losses = fetch::<f32>(&*self.gpu, self.masked_lm.losses.address(), words.len())?;
        let correct = fetch::<u32>(&*self.gpu, self.masked_lm.correct.address(), words.len())?;
        Ok(losses.and(correct).map(|(losses, correct)| {
            let both = losses.into_iter().zip(correct);
            both.map(|(loss, correct)| Prediction { loss: f64::from(loss), correct: correct != 0 }).collect()
        }))
    }

    fn gate_gradients(
        &mut self,
        input: &Input,
        targets: Targets,
        gates: Option<&model::Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>> {
        self.batch.upload(input, None, &bits(&targets))?;
        let gates = self.upload_gates(gates)?;
        let pass = Pass { gate_gradients: true, ..self.pass(None, gates) };
        self.classify(&pass, true)?;
        self.label_loss(self.targets(&targets), None)?;
        let first = self.encoder.output();
        classifier::backward(&pass, first, &self.classifier, self.fit_dy()?, None)?;
        let outputs = GateOutputs::new(&pass, &self.gate_gradients)?;
        encoder::backward(&pass, &self.encoder, Wanted::Gates(&outputs))?;
        Ok(self.read_logits()?.and(outputs.fetch(&pass)?))
    }

    fn step(
        &mut self,
        input: &Input,
        goal: Goal,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<Pending<StepStats>> {
        let trainer = self.trainer.as_ref().ok_or_else(no_trainer)?;
        match &goal {
            Goal::Labels(targets) => self.batch.upload_for_training(input, None, &bits(targets))?,
            Goal::MaskedTokens { rows, words } => self.batch.upload_for_training(input, Some(rows), words)?,
        }
        let (pass, sums) = (self.pass(Some(dropout), None), trainer.parts.begin());
        let gradient = Gradient { address: trainer.gradient(), sums: &sums };
        trainer.clear_tables(&*self.gpu, &self.weights.layout, &goal)?;
        match &goal {
            Goal::Labels(targets) => {
                self.classify(&pass, true)?;
                self.label_loss(self.targets(targets), Some(trainer.loss()))?;
                let first = self.encoder.output();
                classifier::backward(&pass, first, &self.classifier, self.fit_dy()?, Some(gradient))?;
            }
            Goal::MaskedTokens { .. } => {
                self.find_words(&pass, true, trainer.loss())?;
                let x = self.encoder.output();
                masked_lm::backward(&pass, x, &self.masked_lm, self.fit_dy()?, gradient)?;
            }
        }
        encoder::backward(&pass, &self.encoder, Wanted::Weights(gradient))?;
        sums.finish()?;
        let trainer = self.trainer.as_mut().ok_or_else(no_trainer)?;
        trainer.update(&*self.gpu, &self.weights, update)
    }

    fn state(&mut self) -> Result<(&[f32], &State)> {
        self.download_weights()?;
        let trainer = self.trainer.as_mut().ok_or_else(no_trainer)?;
        Ok((&self.host, trainer.download(&*self.gpu)?))
    }

    fn finish(mut self: Box<Self>) -> Result<Bert> {
        self.download_weights()?;
        let Weights { config, shape, head, layout, .. } = self.weights;
        Ok(Bert { config, shape, head, params: Params { layout, data: self.host } })
    }
}
