//! Results do not depend on the number of threads.

use crate::support::{Packed, config, random_bert, train_pass};
use lottery::{
    model::{GateGradients, Pass, Wanted, Workspace},
    ops::{
        adamw::{self, AdamW, Moments},
        dropout::DropoutPlan,
    },
};

#[derive(PartialEq)]
struct Results {
    logits: Vec<u32>,
    gradients: Vec<u32>,
    weights: Vec<u32>,
    gates: GateGradients,
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// Three optimizer steps, then a gate pass, with matrix products far above the size at which gemm splits them.
fn results(threads: usize, lengths: &[usize]) -> Results {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let config = config(2, 128, 2, 512);
        let mut bert = random_bert(config.clone(), config.full_shape(), 3, 1);
        let packed = Packed::random(&config, lengths, 3, 2);
        let optimizer = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
        let mut moments = Moments::zeros(bert.params.data.len());
        let decayed = bert.params.layout.decayed();
        let mut workspace = Workspace::default();
        let (mut logits, mut gradients) = (vec![], vec![]);
        for step in 0..3 {
            let plan = DropoutPlan { seed: 7, step, hidden: 0.1, attention: 0.1 };
            let pass = Pass { dropout: Some(&plan), ..Pass::default() };
            let (_, mut gradient) = train_pass(&bert, &packed, &pass, &mut workspace);
            logits.extend(bits(workspace.logits()));
            gradients.extend(bits(&gradient));
            let scale = adamw::clip_scale(adamw::norm(&gradient), 1.0);
            let weights = &mut bert.params.data;
            optimizer.step(weights, &mut gradient, &mut moments, &decayed, 1e-3, scale);
        }
        let pass = Pass { keep: true, gate_gradients: true, ..Pass::default() };
        bert.forward(&packed.input(), &pass, &mut workspace);
        logits.extend(bits(workspace.logits()));
        let ones = vec![1.0; workspace.logits().len()];
        let mut gates = GateGradients::default();
        bert.backward(&packed.input(), &pass, &mut workspace, &ones, Wanted::Gates(&mut gates));
        Results { logits, gradients, weights: bits(&bert.params.data), gates }
    })
}

#[test]
fn one_two_and_four_threads_give_identical_bytes() {
    let mut ragged = vec![64; 20];
    ragged.extend([1, 5, 160, 33, 127, 90, 2]);
    for lengths in [vec![64; 32], ragged] {
        let one = results(1, &lengths);
        for threads in [2, 3, 4] {
            let other = results(threads, &lengths);
            assert!(one.logits == other.logits, "logits of {threads} threads");
            assert!(one.gradients == other.gradients, "gradients of {threads} threads");
            assert!(one.weights == other.weights, "weights after three steps of {threads} threads");
            assert!(one.gates == other.gates, "gate gradients of {threads} threads");
        }
    }
}
