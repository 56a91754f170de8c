//! On the CPU, part by part.

use crate::work::{Work, median, milliseconds};
use lottery::{
    model::{Bert, GateGradients, Pass, Wanted, Workspace},
    ops::{
        adamw::{self, AdamW, Moments},
        dropout::DropoutPlan,
        linear, loss,
    },
};
use std::time::Instant;

const OPTIMIZER: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };

/// GFLOP/s of a large square product.
pub fn ceiling() -> f64 {
    let n = 2048;
    let (a, b, mut c) = (vec![0.5f32; n * n], vec![0.25f32; n * n], vec![0f32; n * n]);
    let times = (0..7)
        .map(|_| {
            let start = Instant::now();
            linear::forward(&a, &b, n, n, n, &mut c);
            milliseconds(start)
        })
        .collect();
    2.0 * (n as f64).powi(3) / median(times) / 1e6
}

/// Milliseconds of forward, backward, optimizer and the whole step.
fn training(work: &Work, mut bert: Bert, steps: usize) -> [f64; 4] {
    let (input, decayed) = (work.input(), bert.params.layout.decayed());
    let mut gradient = vec![0f32; bert.params.data.len()];
    let mut moments = Moments::zeros(gradient.len());
    let mut workspace = Workspace::default();
    let mut d_logits = vec![0f32; work.batch * 2];
    let mut times: [Vec<f64>; 4] = Default::default();
    for step in 0..steps + 3 {
        let plan = DropoutPlan { seed: 1, step: step as u32, hidden: 0.1, attention: 0.1 };
        let pass = Pass { dropout: Some(&plan), keep: true, ..Pass::default() };
        let start = Instant::now();
        bert.forward(&input, &pass, &mut workspace);
        loss::mean(workspace.logits(), work.targets(), &mut d_logits);
        let forward = milliseconds(start);
        bert.backward(&input, &pass, &mut workspace, &d_logits, Wanted::Weights(&mut gradient));
        let backward = milliseconds(start) - forward;
        let scale = adamw::clip_scale(adamw::norm(&gradient), 1.0);
        OPTIMIZER.step(&mut bert.params.data, &mut gradient, &mut moments, &decayed, 2e-5, scale);
        let all = milliseconds(start);
        if step >= 3 {
            let parts = [forward, backward, all - forward - backward, all];
            times.iter_mut().zip(parts).for_each(|(list, value)| list.push(value));
        }
    }
    times.map(median)
}

pub fn bench(work: &Work, steps: usize, ceiling: f64) {
    let [forward, backward, update, step] = training(work, work.bert.clone(), steps);
    let [.., half] = training(work, work.bert.shrunk(&work.half()), steps);
    let (mut workspace, mut gates) = (Workspace::default(), GateGradients::default());
    let mut d_logits = vec![0f32; work.batch * 2];
    let mut times: [Vec<f64>; 2] = Default::default();
    for step in 0..steps + 2 {
        let start = Instant::now();
        work.bert.forward(&work.input(), &Pass::default(), &mut workspace);
        let inference = milliseconds(start);
        let start = Instant::now();
        let pass = Pass { keep: true, gate_gradients: true, ..Pass::default() };
        work.bert.forward(&work.input(), &pass, &mut workspace);
        loss::per_example(workspace.logits(), work.targets(), &mut d_logits);
        work.bert.backward(&work.input(), &pass, &mut workspace, &d_logits, Wanted::Gates(&mut gates));
        if step >= 2 {
            times[0].push(inference);
            times[1].push(milliseconds(start));
        }
    }
    let [inference, importance] = times.map(median);
    println!(
        "lottery {} cpu fp32 {}x{}: step {step:.2} ms (forward {forward:.2} backward {backward:.2} optimizer {update:.2}) \
         {:.2} TFLOP/s = {:.2} of the ceiling, {:.1} sequences/s | inference {inference:.2} ms | importance pass \
         {importance:.2} ms = {:.2} of forward + backward | half ticket {half:.2} ms = {:.2} of the step",
        work.name,
        work.batch,
        work.length,
        3.0 * work.flop() / step / 1e9,
        3.0 * work.flop() / step / 1e6 / ceiling,
        work.batch as f64 / step * 1e3,
        importance / (forward + backward),
        half / step,
    );
}
