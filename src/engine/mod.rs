//! A BERT on the device that computes it: what training, scoring and evaluation ask of either.

mod cpu;

use crate::{
    config::{Device, Dtype},
    error::{Error, Result},
    model::{Bert, GateGradients, Gates, Input},
    ops::{
        adamw::{AdamW, Moments},
        dropout::DropoutPlan,
        loss::{Prediction, Targets},
        simd,
    },
};

/// Where models are computed.
#[derive(Clone, Default)]
pub enum Machine {
    #[default]
    Cpu,
}

impl Machine {
    /// # Errors
    /// When there is no such device, or it does not compute in this format.
    pub fn open(device: Device, dtype: Dtype) -> Result<Self> {
        if let Device::Cuda(n) = device {
            return Err(Error::usage(format!(
                "--device cuda:{n}: this build computes on the CPU only. Use `--device cpu` or leave the flag out."
            )));
        }
        if dtype == Dtype::Bf16 {
            return Err(Error::usage(
                "--dtype bf16: the CPU kernels of this build compute in f32. Use `--dtype f32`.",
            ));
        }
        Ok(Self::Cpu)
    }

    /// An engine whose weights stay as they are.
    pub fn reader<'a>(&self, bert: &'a Bert) -> Result<Box<dyn Engine + 'a>> {
        match self {
            Self::Cpu => Ok(Box::new(cpu::Cpu::reader(bert))),
        }
    }

    /// An engine that trains, from these moments on.
    pub fn trainer(&self, bert: Bert, moments: Moments) -> Result<Box<dyn Engine>> {
        match self {
            Self::Cpu => Ok(Box::new(cpu::Cpu::trainer(bert, moments))),
        }
    }

    /// Version and kernels, which outcomes depend on in the last bits.
    pub fn program(&self) -> String {
        let kernels = match self {
            Self::Cpu => format!("{:?}", simd::level()).to_lowercase(),
        };
        format!("{} {kernels}", env!("CARGO_PKG_VERSION"))
    }
}

/// What a training step minimises.
#[derive(Clone, Copy, Debug)]
pub enum Goal<'a> {
    /// The mean loss of the classifier's outputs.
    Labels(Targets<'a>),
    /// The mean loss of finding the words at these rows of the batch, ascending and at least one.
    Words { rows: &'a [usize], words: &'a [u32] },
}

/// How a training step changes the weights.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    pub optimizer: &'a AdamW,
    pub learning_rate: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    pub clip: f64,
}

/// What a training step was like. Unless both are finite numbers the weights are what they were before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean over what was predicted.
    pub loss: f64,
    /// Of the gradient of all parameters, before clipping; not a number when the loss is none.
    pub norm: f64,
}

/// A BERT on a device. Gates need all units present.
pub trait Engine {
    /// (B, labels), without dropout.
    fn logits(&mut self, input: &Input, gates: Option<&Gates>) -> Result<Vec<f32>>;

    /// How well each hidden word is found, without dropout; rows as in [`Goal::Words`].
    fn predictions(&mut self, input: &Input, rows: &[usize], words: &[u32]) -> Result<Vec<Prediction>>;

    /// The logits without dropout, and in `out` the gradients by the gates of each example's own loss.
    fn gate_gradients(
        &mut self,
        input: &Input,
        targets: Targets,
        gates: Option<&Gates>,
        out: &mut GateGradients,
    ) -> Result<Vec<f32>>;

    /// One step of an engine that trains: forward, backward, clip, AdamW.
    fn step(&mut self, input: &Input, goal: Goal, dropout: &DropoutPlan, update: &Update) -> Result<Outcome>;

    /// Weights, laid out as the model's, and moments, as they are now.
    fn state(&mut self) -> Result<(&[f32], &Moments)>;

    /// The model with the weights that it has now.
    fn finish(self: Box<Self>) -> Result<Bert>;
}
