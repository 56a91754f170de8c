//! On a CUDA device, as training and the search ask for it: while a step is computed the next ones are asked for.

use crate::{
    gpu_calls::{Calls, CountingGpu},
    work::{Work, median, milliseconds},
};
use half::bf16;
use lottery::{
    engine::{Engine, Goal, Machine, Update},
    error::Result,
    model::Bert,
    ops::{
        WeightMask,
        cuda::{
            Buffer, Format, Gpu, Matrix, Product,
            optimizer::{self, Outcome, Parameters, Unkept},
        },
        dropout::DropoutPlan,
        optimizer::{AdamW, Optimizer},
        pending::pipelined,
        rng::{Purpose, Stream},
    },
};
use std::{rc::Rc, time::Instant};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });
const UPDATE: Update = Update { learning_rate: 2e-5, clip: 1.0 };

/// TFLOP/s of a large square product of random numbers.
pub fn ceiling(gpu: &Rc<dyn Gpu>, format: Format) -> Result<f64> {
    let n = 8192;
    let mut stream = Stream::new(1, Purpose::Split, 0);
    let numbers: Vec<f32> = (0..n * n).map(|_| stream.next_u32() as f32 / u32::MAX as f32 - 0.5).collect();
    let [a, b, c] = [(); 3].map(|()| Buffer::new(gpu));
    for buffer in [&a, &b] {
        match format {
            Format::F32 | Format::Tf32 => buffer.upload(&numbers)?,
            Format::Bf16 => buffer.upload(&numbers.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>())?,
        };
    }
    c.activations(n * n, format)?;
    let matrix = |buffer: &Buffer| Matrix { address: buffer.address(), stride: n, transposed: false };
    let product = Product {
        shape: (n, n, n),
        format,
        a: matrix(&a),
        b: Matrix { transposed: true, ..matrix(&b) },
        c: matrix(&c),
        c_format: format,
        accumulate: false,
        bias: None,
    };
    let mut times = Vec::new();
    for _ in 0..5 {
        gpu.wait()?;
        let start = Instant::now();
        for _ in 0..10 {
            gpu.product(&product)?;
        }
        gpu.wait()?;
        times.push(milliseconds(start) / 10.0);
    }
    Ok(2.0 * (n as f64).powi(3) / median(times) / 1e9)
}

fn trainer(machine: &Machine, bert: &Bert, mask: Option<&WeightMask>) -> Result<Box<dyn Engine>> {
    machine.trainer(bert.clone(), OPTIMIZER.state(bert.params.data.len()), mask.cloned())
}

/// Median milliseconds from one step's outcome to the next one's, and of the host's part of a step.
fn training(
    work: &Work,
    machine: &Machine,
    bert: &Bert,
    mask: Option<&WeightMask>,
    steps: usize,
) -> Result<[f64; 2]> {
    let mut engine = trainer(machine, bert, mask)?;
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut last = Instant::now();
    let requests = (0..steps + 3).map(|step| {
        let plan = DropoutPlan { seed: 1, step: step as u32, hidden: 0.1, attention: 0.1, classifier: 0.1 };
        let start = Instant::now();
        let outcome = engine.step(&work.input(), Goal::Labels(work.targets()), &plan, &UPDATE)?;
        Ok(((step, milliseconds(start)), outcome))
    });
    pipelined(requests, |(step, host), _| {
        if step >= 3 {
            times[0].push(milliseconds(last));
            times[1].push(host);
        }
        last = Instant::now();
        Ok(())
    })?;
    Ok(times.map(median))
}

/// What one step asks of the device, when its memory has been taken.
fn calls(gpu: &Rc<dyn Gpu>, format: Format, work: &Work) -> Result<Calls> {
    let counting = Rc::new(CountingGpu::new(gpu));
    let mut engine = trainer(&Machine::Cuda { gpu: counting.clone(), format }, &work.model(), None)?;
    let plan = DropoutPlan { seed: 1, step: 0, hidden: 0.1, attention: 0.1, classifier: 0.1 };
    for _ in 0..2 {
        counting.take();
        engine.step(&work.input(), Goal::Labels(work.targets()), &plan, &UPDATE)?;
    }
    Ok(counting.take())
}

/// Median milliseconds of norm, clip and the optimizer alone.
fn optimizer(gpu: &Rc<dyn Gpu>, format: Format, len: usize, steps: usize) -> Result<f64> {
    let [weights, gradient, first, second, copy, decays, outcome, scratch] =
        [(); 8].map(|()| Buffer::new(gpu));
    for buffer in [&weights, &gradient, &first, &second] {
        gpu.clear(buffer.floats(len)?, len * 4)?;
    }
    gpu.clear(decays.fit(len.div_ceil(16))?, len.div_ceil(16))?;
    Outcome::begin(&outcome)?;
    scratch.fit(optimizer::norm_scratch(len))?;
    let copy = (format == Format::Bf16).then(|| copy.activations(len, format)).transpose()?;
    let mut times = Vec::new();
    for step in 0..steps + 3 {
        gpu.wait()?;
        let start = Instant::now();
        optimizer::judge(&**gpu, gradient.address(), None, len, 1.0, outcome.address(), scratch.address())?;
        let on = Parameters {
            len,
            weights: weights.address(),
            gradient: gradient.address(),
            slots: &[first.address(), second.address()],
            copy,
            decays: decays.address(),
            unkept: Unkept::None,
        };
        optimizer::step(&**gpu, &OPTIMIZER, &on, 2e-5, step as u32 + 1, outcome.address())?;
        gpu.wait()?;
        if step >= 3 {
            times.push(milliseconds(start));
        }
    }
    Ok(median(times))
}

pub fn bench(gpu: &Rc<dyn Gpu>, format: Format, work: &Work, steps: usize, ceiling: f64) -> Result<()> {
    let machine = Machine::Cuda { gpu: gpu.clone(), format };
    let bert = work.model();
    let [step, host] = training(work, &machine, &bert, None, steps)?;
    let [half, _] = training(work, &machine, &bert.shrunk(&work.half()), None, steps)?;
    let [held, _] = training(work, &machine, &bert, Some(&work.held(&bert)), steps)?;
    let update = optimizer(gpu, format, bert.params.data.len(), steps)?;
    let mut reader = machine.reader(&bert)?;
    let mut times: [Vec<f64>; 2] = Default::default();
    for step in 0..steps + 2 {
        let start = Instant::now();
        reader.logits(&work.input(), None)?.wait()?;
        let inference = milliseconds(start);
        let start = Instant::now();
        reader.gate_gradients(&work.input(), Goal::Labels(work.targets()), None)?.wait()?;
        if step >= 2 {
            times[0].push(inference);
            times[1].push(milliseconds(start));
        }
    }
    let [inference, importance] = times.map(median);
    let rate = 3.0 * work.flop() / step / 1e9;
    println!(
        "lottery {} cuda {format} {}: step {step:.3} ms (norm and AdamW {update:.3}, the host's part {host:.3}) \
         {rate:.1} TFLOP/s = {:.3} of the ceiling, {:.0} tokens/s | inference {inference:.3} ms | importance pass \
         {importance:.3} ms = {:.2} of forward + backward | half ticket {half:.3} ms = {:.2} of the step | 70 % of the weights held \
         {held:.3} ms = {:.3} of the step | a step has {}",
        work.name,
        work.size(),
        rate / ceiling,
        work.tokens() as f64 / step * 1e3,
        importance / (step - update),
        half / step,
        held / step,
        calls(gpu, format, work)?,
    );
    Ok(())
}
