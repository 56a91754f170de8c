//! On the CPU, part by part.

use crate::{
    counting::allocations,
    work::{Work, median, milliseconds, peak_memory},
};
use lottery::{
    model::{Bert, GateGradients, Pass, Wanted, Workspace},
    ops::{
        Format, WeightMask,
        dropout::DropoutPlan,
        linear, loss,
        optimizer::{AdamW, Optimizer, State, clip_scale, norm},
    },
};
use std::time::Instant;

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });

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

/// A model in training, with all that a step needs.
struct Training<'a> {
    format: Format,
    work: &'a Work,
    bert: Bert,
    gradient: Vec<f32>,
    state: State,
    mask: Option<WeightMask>,
    workspace: Workspace,
    d_logits: Vec<f32>,
    steps: u32,
}

impl<'a> Training<'a> {
    fn new(format: Format, work: &'a Work, bert: Bert) -> Self {
        let gradient = vec![0f32; bert.params.data.len()];
        let (state, d_logits) = (OPTIMIZER.state(gradient.len()), vec![0f32; work.sequences() * 2]);
        Self {
            format,
            work,
            bert,
            gradient,
            state,
            mask: None,
            workspace: Workspace::default(),
            d_logits,
            steps: 0,
        }
    }

    /// Milliseconds of forward, backward, optimizer and the whole step.
    fn step(&mut self) -> [f64; 4] {
        let Self { format, work, bert, gradient, state, mask, workspace, d_logits, steps } = self;
        let mask = mask.as_ref();
        let (input, decayed) = (work.input(), bert.params.layout.decayed());
        let plan = DropoutPlan { seed: 1, step: *steps, hidden: 0.1, attention: 0.1, classifier: 0.1 };
        *steps += 1;
        let pass = Pass { dropout: Some(&plan), keep: true, format: *format, ..Pass::default() };
        let start = Instant::now();
        bert.forward(&input, &pass, workspace);
        loss::mean(workspace.logits(), work.targets(), d_logits);
        let forward = milliseconds(start);
        bert.backward(&input, &pass, workspace, d_logits, Wanted::Weights(gradient));
        let backward = milliseconds(start) - forward;
        let scale = clip_scale(norm(gradient, mask), 1.0);
        state.step(&mut bert.params.data, gradient, mask, &decayed, 2e-5, scale);
        let all = milliseconds(start);
        [forward, backward, all - forward - backward, all]
    }
}

/// The medians of all columns.
fn medians<const N: usize>(rows: &[[f64; N]]) -> [f64; N] {
    std::array::from_fn(|i| median(rows.iter().map(|row| row[i]).collect()))
}

pub fn bench(format: Format, work: &Work, steps: usize, ceiling: f64, brief: bool) {
    let mut training = Training::new(format, work, work.model());
    for _ in 0..2 {
        training.step();
    }
    let before = allocations();
    training.step();
    let after = allocations();
    let [all, large] = [0, 1].map(|i| after[i] - before[i]);
    let times: Vec<[f64; 4]> = (0..steps).map(|_| training.step()).collect();
    let [forward, backward, update, step] = medians(&times);
    let memory = peak_memory();
    let mut workspace = Workspace::default();
    let mut inference = vec![];
    for _ in 0..steps + 2 {
        let start = Instant::now();
        training.bert.forward(&work.input(), &Pass { format, ..Pass::default() }, &mut workspace);
        inference.push(milliseconds(start));
    }
    let inference = median(inference.split_off(2));
    println!(
        "lottery {} cpu {format} {}: step {step:.2} ms (forward {forward:.2} backward {backward:.2} optimizer {update:.2}) \
         {:.2} TFLOP/s = {:.2} of the ceiling, {:.0} tokens/s | inference {inference:.2} ms | at most {memory:.0} MiB, \
         {all} allocations a step, {large} of 64 KiB or more",
        work.name,
        work.size(),
        3.0 * work.flop() / step / 1e9,
        3.0 * work.flop() / step / 1e6 / ceiling,
        work.tokens() as f64 / step * 1e3,
    );
    if !brief {
        beside(&mut training, &mut workspace, steps);
    }
}

/// Importance passes, steps of half a ticket and of a model with 70 % of its weights held at zero, in turn with steps of
/// the whole model: what slows the machine for a while slows them all.
fn beside(training: &mut Training, workspace: &mut Workspace, steps: usize) {
    let Training { format, work, .. } = *training;
    let mut half = Training::new(format, work, training.bert.shrunk(&work.half()));
    let mut held = Training::new(format, work, training.bert.clone());
    let mask = work.held(&held.bert);
    mask.apply(&mut held.bert.params.data);
    held.mask = Some(mask);
    let mut rounds = vec![];
    for round in 0..steps + 2 {
        let [forward, backward, update, step] = training.step();
        let importance = importance(training, workspace);
        let [.., half] = half.step();
        let [_, _, held_update, held] = held.step();
        if round >= 2 {
            rounds.push([
                importance,
                half,
                held,
                importance / (forward + backward),
                half / step,
                held / step,
                held_update / update,
            ]);
        }
    }
    let [importance, half, held, of_passes, half_of_step, held_of_step, of_update] = medians(&rounds);
    println!(
        "  in turn: importance pass {importance:.2} ms = {of_passes:.2} of forward + backward | half ticket {half:.2} ms = \
         {half_of_step:.2} of the step | 70 % of the weights held {held:.2} ms = {held_of_step:.3} of the step, \
         {of_update:.3} of the optimizer",
    );
}

/// Milliseconds of a pass for gate gradients.
fn importance(training: &mut Training, workspace: &mut Workspace) -> f64 {
    let Training { format, work, bert, d_logits, .. } = training;
    let pass = Pass { keep: true, gate_gradients: true, format: *format, ..Pass::default() };
    let start = Instant::now();
    bert.forward(&work.input(), &pass, workspace);
    loss::per_example(workspace.logits(), work.targets(), d_logits);
    bert.backward(&work.input(), &pass, workspace, d_logits, Wanted::Gates(&mut GateGradients::default()));
    milliseconds(start)
}
