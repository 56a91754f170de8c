//! On the CPU, part by part.

use crate::{
    counting::allocations,
    work::{Work, median, milliseconds, peak_memory},
};
use lottery::{
    model::{Bert, GateGradients, Pass, Wanted, Workspace},
    ops::{
        Format,
        adamw::{self, AdamW, Moments},
        dropout::DropoutPlan,
        linear, loss,
    },
};
use std::time::Instant;

const OPTIMIZER: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };

/// GFLOP/s of a large square product.
pub fn ceiling(format: Format) -> f64 {
    let n = 2048;
    let (a, b, mut c) = (vec![0.5f32; n * n], vec![0.25f32; n * n], vec![0f32; n * n]);
    let times = (0..7)
        .map(|_| {
            let start = Instant::now();
            linear::forward(format, &a, &b, (n, n, n), None, &mut c);
            milliseconds(start)
        })
        .collect();
    2.0 * (n as f64).powi(3) / median(times) / 1e6
}

/// What training is like: milliseconds of forward, backward, optimizer and the whole step, and the allocations of one
/// step, the large ones by themselves.
struct Training {
    times: [f64; 4],
    allocations: [usize; 2],
}

fn training(format: Format, work: &Work, mut bert: Bert, steps: usize) -> Training {
    let (input, decayed) = (work.input(), bert.params.layout.decayed());
    let mut gradient = vec![0f32; bert.params.data.len()];
    let mut moments = Moments::zeros(gradient.len());
    let mut workspace = Workspace::default();
    let mut d_logits = vec![0f32; work.sequences() * 2];
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut of_a_step = [0; 2];
    for step in 0..steps + 3 {
        let plan = DropoutPlan { seed: 1, step: step as u32, hidden: 0.1, attention: 0.1 };
        let pass = Pass { dropout: Some(&plan), keep: true, format, ..Pass::default() };
        let before = allocations();
        let start = Instant::now();
        bert.forward(&input, &pass, &mut workspace);
        loss::mean(workspace.logits(), work.targets(), &mut d_logits);
        let forward = milliseconds(start);
        bert.backward(&input, &pass, &mut workspace, &d_logits, Wanted::Weights(&mut gradient));
        let backward = milliseconds(start) - forward;
        let scale = adamw::clip_scale(adamw::norm(&gradient), 1.0);
        OPTIMIZER.step(&mut bert.params.data, &mut gradient, &mut moments, &decayed, 2e-5, scale);
        let all = milliseconds(start);
        let after = allocations();
        of_a_step = [0, 1].map(|i| after[i] - before[i]);
        if step >= 3 {
            let parts = [forward, backward, all - forward - backward, all];
            times.iter_mut().zip(parts).for_each(|(list, value)| list.push(value));
        }
    }
    Training { times: times.map(median), allocations: of_a_step }
}

pub fn bench(format: Format, work: &Work, steps: usize, ceiling: f64, brief: bool) {
    let Training { times: [forward, backward, update, step], allocations: [all, large] } =
        training(format, work, work.bert.clone(), steps);
    let memory = peak_memory();
    let mut workspace = Workspace::default();
    let mut inference = vec![];
    for _ in 0..steps + 2 {
        let start = Instant::now();
        work.bert.forward(&work.input(), &Pass { format, ..Pass::default() }, &mut workspace);
        inference.push(milliseconds(start));
    }
    let inference = median(inference.split_off(2));
    let dtype = match format {
        Format::F32 => "f32",
        Format::Bf16 => "bf16",
    };
    println!(
        "lottery {} cpu {dtype} {}: step {step:.2} ms (forward {forward:.2} backward {backward:.2} optimizer {update:.2}) \
         {:.2} TFLOP/s = {:.2} of the ceiling, {:.0} tokens/s | inference {inference:.2} ms | at most {memory:.0} MiB, \
         {all} allocations a step, {large} of 64 KiB or more",
        work.name,
        work.size(),
        3.0 * work.flop() / step / 1e9,
        3.0 * work.flop() / step / 1e6 / ceiling,
        work.tokens() as f64 / step * 1e3,
    );
    if brief {
        return;
    }
    let importance = importance(format, work, steps, &mut workspace);
    let [.., half] = training(format, work, work.bert.shrunk(&work.half()), steps).times;
    println!(
        "  importance pass {importance:.2} ms = {:.2} of forward + backward | half ticket {half:.2} ms = {:.2} of the step",
        importance / (forward + backward),
        half / step,
    );
}

/// Milliseconds of a pass for gate gradients.
fn importance(format: Format, work: &Work, steps: usize, workspace: &mut Workspace) -> f64 {
    let mut gates = GateGradients::default();
    let mut d_logits = vec![0f32; work.sequences() * 2];
    let pass = Pass { keep: true, gate_gradients: true, format, ..Pass::default() };
    let mut times = vec![];
    for _ in 0..steps + 2 {
        let start = Instant::now();
        work.bert.forward(&work.input(), &pass, workspace);
        loss::per_example(workspace.logits(), work.targets(), &mut d_logits);
        work.bert.backward(&work.input(), &pass, workspace, &d_logits, Wanted::Gates(&mut gates));
        times.push(milliseconds(start));
    }
    median(times.split_off(2))
}
