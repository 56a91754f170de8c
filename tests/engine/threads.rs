//! Results do not depend on the number of threads.

use crate::support::{Packed, config, random_bert, train_pass};
use lottery::{
    model::{GateGradients, Pass, Wanted, Workspace},
    ops::{
        dropout::DropoutPlan,
        optimizer::{AdamW, Optimizer, clip_scale, norm},
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

/// Three optimizer steps, then a gate pass, with matrix products far above the size at which gemm splits them; each of
/// the four on as many threads.
fn results(threads: [usize; 4], lengths: &[usize]) -> Results {
    let pools = threads.map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let config = config(2, 128, 2, 512);
    let mut bert = random_bert(config.clone(), config.full_shape(), 3, 1);
    let packed = Packed::random(&config, lengths, 3, 2);
    let optimizer = Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 });
    let mut state = optimizer.state(bert.params.data.len());
    let decayed = bert.params.layout.decayed();
    let mut workspace = Workspace::default();
    let (mut logits, mut gradients) = (vec![], vec![]);
    for (step, pool) in (0..).zip(&pools[..3]) {
        let plan = DropoutPlan { seed: 7, step, hidden: 0.1, attention: 0.1, classifier: 0.1 };
        let pass = Pass { dropout: Some(&plan), ..Pass::default() };
        let (_, mut gradient) = pool.install(|| train_pass(&bert, &packed, &pass, &mut workspace));
        logits.extend(bits(workspace.logits()));
        gradients.extend(bits(&gradient));
        let weights = &mut bert.params.data;
        pool.install(|| {
            let scale = clip_scale(norm(&gradient, None), 1.0);
            state.step(weights, &mut gradient, None, &decayed, 1e-3, scale);
        });
    }
    let pass = Pass { keep: true, gate_gradients: true, ..Pass::default() };
    pools[3].install(|| bert.forward(&packed.input(), &pass, &mut workspace));
    logits.extend(bits(workspace.logits()));
    let ones = vec![1.0; workspace.logits().len()];
    let mut gates = GateGradients::default();
    let wanted = Wanted::Gates(&mut gates);
    pools[3].install(|| bert.backward(&packed.input(), &pass, &mut workspace, &ones, wanted));
    Results { logits, gradients, weights: bits(&bert.params.data), gates }
}

#[test]
fn any_number_of_threads_and_another_one_at_every_step_give_identical_bytes() {
    let mut ragged = vec![64; 20];
    ragged.extend([1, 5, 160, 33, 127, 90, 2]);
    for lengths in [vec![64; 32], ragged] {
        let one = results([1; 4], &lengths);
        for threads in [[2; 4], [3; 4], [2, 4, 1, 3]] {
            let other = results(threads, &lengths);
            assert!(one.logits == other.logits, "logits of {threads:?} threads");
            assert!(one.gradients == other.gradients, "gradients of {threads:?} threads");
            assert!(one.weights == other.weights, "weights after three steps of {threads:?} threads");
            assert!(one.gates == other.gates, "gate gradients of {threads:?} threads");
        }
    }
}
