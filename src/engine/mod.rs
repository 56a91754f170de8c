//! A BERT on the device that computes it: what training, scoring and evaluation ask of either.

mod cpu;
mod cuda;
mod device;
mod part;

pub use device::Device;
pub use part::Part;

use crate::{
    error::{Error, Result},
    model::{Bert, GateGradients, Gates, Input},
    ops::{
        Format, WeightMask,
        cuda::Gpu,
        dropout::DropoutPlan,
        loss::{Prediction, Targets},
        optimizer::State,
        pending::Pending,
        simd::{self, Bf16},
    },
};
use std::{rc::Rc, sync::Arc};

/// Why this processor cannot compute in a format.
fn lacking(format: Format) -> Option<&'static str> {
    match format {
        Format::F32 => None,
        Format::Tf32 => Some("TensorFloat-32 is a format of CUDA devices"),
        Format::Bf16 if simd::bf16().is_some() => None,
        Format::Bf16 => Some("this processor has no instructions for it (AVX512_BF16)"),
    }
}

/// Where models are computed.
#[derive(Clone)]
pub enum Machine {
    /// The processor; products in bf16 only where [`simd::bf16`] says how.
    Cpu { format: Format },
    /// A CUDA device, or what stands for one in tests.
    Cuda { gpu: Rc<dyn Gpu>, format: Format },
}

impl Default for Machine {
    fn default() -> Self {
        Self::Cpu { format: Format::F32 }
    }
}

impl Machine {
    /// `auto` takes the first CUDA device that can be used, else the CPU, and `say` is told why.
    ///
    /// # Errors
    /// When there is no such device, or it does not compute in this format.
    pub fn open(device: Device, format: Format, say: &mut dyn FnMut(&str)) -> Result<Self> {
        match device {
            Device::Cpu => Self::cpu(format),
            Device::Cuda(n) => Ok(Self::Cuda { gpu: open_cuda(n)?, format }),
            Device::Auto => match open_cuda(0) {
                Ok(gpu) => Ok(Self::Cuda { gpu, format }),
                Err(why) => {
                    // Who built without CUDA expects none.
                    if cfg!(feature = "cuda") {
                        say(&format!("computing on the CPU: {why}"));
                    }
                    Self::cpu(format)
                }
            },
        }
    }

    fn cpu(format: Format) -> Result<Self> {
        match lacking(format) {
            Some(what) => Err(Error::usage(format!("--dtype {format}: {what}. Use `--dtype f32`."))),
            None => Ok(Self::Cpu { format }),
        }
    }

    /// Puts f32 in the place of a format that the CPU cannot do, where it will compute: settings, stages and records then
    /// say what is computed. Returns why.
    pub fn settle(device: Device, format: &mut Format) -> Option<String> {
        let on_cpu = device == Device::Cpu || device == Device::Auto && !cfg!(feature = "cuda");
        let why = lacking(*format).filter(|_| on_cpu)?;
        Some(format!("computing in f32 instead of {}: {why}", std::mem::take(format)))
    }

    /// An engine whose weights stay as they are.
    pub fn reader<'a>(&self, bert: &'a Bert) -> Result<Box<dyn Engine + 'a>> {
        Ok(match self {
            Self::Cpu { format } => Box::new(cpu::Cpu::reader(bert, *format)),
            Self::Cuda { gpu, format } => Box::new(cuda::Cuda::reader(gpu, bert, *format)?),
        })
    }

    /// An engine that trains from this state of an optimizer on. Weights that `mask` does not keep, and their state, are
    /// exactly zero from before the first step on, whatever they were, and their gradients do not enter the norm.
    pub fn trainer(
        &self,
        mut bert: Bert,
        mut state: State,
        mask: Option<WeightMask>,
    ) -> Result<Box<dyn Engine>> {
        if let Some(mask) = &mask {
            mask.apply(&mut bert.params.data);
            state.hold(mask);
        }
        Ok(match self {
            Self::Cpu { format } => Box::new(cpu::Cpu::trainer(bert, state, mask, *format)),
            Self::Cuda { gpu, format } => Box::new(cuda::Cuda::trainer(gpu, &bert, state, mask, *format)?),
        })
    }

    /// The kernels' set: the processor's instructions, or CUDA.
    pub fn kernels(&self) -> String {
        match self {
            Self::Cpu { format } => {
                let level = format!("{:?}", simd::level()).to_lowercase();
                match (format, simd::bf16()) {
                    (Format::Bf16, Some(Bf16::Native)) => level + "+bf16",
                    (Format::Bf16, _) => level + "+bf16-rounded",
                    _ => level,
                }
            }
            Self::Cuda { .. } => "cuda".to_owned(),
        }
    }

    /// Version and what computes, which outcomes depend on in the last bits: two words.
    pub fn program(&self) -> String {
        let by = match self {
            Self::Cpu { .. } => self.kernels(),
            Self::Cuda { gpu, .. } => format!("cuda:{}", gpu.description().replace([' ', ','], "-")),
        };
        format!("{} {by}", env!("CARGO_PKG_VERSION"))
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(n: usize) -> Result<Rc<dyn Gpu>> {
    Ok(Rc::new(crate::ops::cuda::driver::Driver::open(n)?))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(n: usize) -> Result<Rc<dyn Gpu>> {
    Err(Error::usage(format!(
        "--device cuda:{n}: this program was built without CUDA. Build it with `cargo build --release --features cuda`, \
         or compute with `--device cpu`."
    )))
}

/// What a training step minimises.
#[derive(Clone, Copy, Debug)]
pub enum Goal<'a> {
    /// The mean loss of the outputs of the classifier or the span head.
    Labels(Targets<'a>),
    /// The mean loss of finding the words at these rows of the batch, ascending and at least one.
    MaskedTokens { rows: &'a [usize], words: &'a [u32] },
}

/// How far a training step changes the weights.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    pub learning_rate: f64,
    /// Largest global gradient norm; 0 turns clipping off.
    pub clip: f64,
}

/// What a training step was like. Unless both are finite numbers the weights are what they were before, and stay so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepStats {
    /// Mean over what was predicted.
    pub loss: f64,
    /// Of the gradient before clipping, of the weights that are not held at zero; not a number when the loss is none.
    pub norm: f64,
}

/// A BERT on a device. Gates need all units present. What is [`Pending`] the device may still be computing while it is
/// asked for more; it does one thing after another.
pub trait Engine {
    /// (B, labels), of the span head (T, 2), without dropout.
    fn logits(&mut self, input: &Input, gates: Option<&Gates>) -> Result<Pending<Vec<f32>>>;

    /// How well each hidden word is found, without dropout; rows as in [`Goal::MaskedTokens`].
    fn predictions(
        &mut self,
        input: &Input,
        rows: &[usize],
        words: &[u32],
    ) -> Result<Pending<Vec<Prediction>>>;

    /// The outputs without dropout, and the gradients by the gates of each example's own loss; of masked tokens of the mean
    /// loss of all of them. Outputs are logits, of masked tokens [`loss_and_find`].
    fn gate_gradients(
        &mut self,
        input: &Input,
        goal: Goal,
        gates: Option<&Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>>;

    /// The outputs without dropout, and the gradient of the mean loss by every weight, laid out as the model's.
    fn weight_gradient(&mut self, input: &Input, goal: Goal) -> Result<Pending<(Vec<f32>, Vec<f32>)>>;

    /// The outputs without dropout, and beside them ‖y‖² of every unit at every row of its layer's output: y is the context of a
    /// head before the attention's output matrix, and what an FFN gives to its residual, both before their gates.
    fn squared_norms(
        &mut self,
        input: &Input,
        goal: Goal,
        gates: Option<&Gates>,
    ) -> Result<Pending<(Vec<f32>, GateGradients)>>;

    /// One step of an engine that trains: forward, backward, clip and optimizer. After one whose outcome is not finite no
    /// other changes anything, those included that were asked for before it was known.
    fn step(
        &mut self,
        input: &Input,
        goal: Goal,
        dropout: &DropoutPlan,
        update: &Update,
    ) -> Result<Pending<StepStats>>;

    /// Takes up one of several tasks, for the steps from here on, the first of which its classifier takes after so many of
    /// its own.
    ///
    /// # Errors
    /// When this engine does not train.
    fn take_up(&mut self, part: &Arc<Part>, steps: u32) -> Result<()>;

    /// Weights, laid out as the model's, and the optimizer's state, as they are behind all steps.
    ///
    /// # Errors
    /// When the outcome of a step was not finite.
    fn state(&mut self) -> Result<(&[f32], &State)>;

    /// The model with the weights that it has behind all steps.
    ///
    /// # Errors
    /// As [`Self::state`].
    fn finish(self: Box<Self>) -> Result<Bert>;
}

/// For each masked token two numbers: its loss, and 1 if it was found, else 0.
pub fn loss_and_find(found: &[Prediction]) -> Vec<f32> {
    found.iter().flat_map(|p| [p.loss as f32, f32::from(u8::from(p.correct))]).collect()
}

fn no_trainer() -> Error {
    Error::internal("an engine that only reads was asked to train")
}

fn refused() -> Error {
    Error::internal("the loss or the gradient of a step is not a finite number: training diverged")
}
