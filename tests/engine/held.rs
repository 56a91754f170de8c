//! Weights that are held at zero, on the CPU: whole trainings, and single steps against f64.

use crate::{
    masked::{
        ADAMAX, ADAMW, OPTIMIZER, UPDATE, assert_held, bert, check_best_epoch, check_steps, check_trainings,
        mask, plan,
    },
    packed::{Packed, train_pass},
};
use lottery::{
    engine::{Goal, Machine},
    model::{Pass, Workspace},
};

#[test]
fn held_weights_stay_zero_from_the_first_step_to_the_last_however_often_training_is_stopped() {
    for seed in 0..8 {
        check_trainings(&Machine::default(), seed, OPTIMIZER);
        check_trainings(&Machine::default(), seed, ADAMAX);
        check_steps(&Machine::default(), seed);
    }
}

#[test]
fn the_best_epoch_is_kept_however_often_training_is_stopped() {
    let best: Vec<usize> = (0..8).map(|seed| check_best_epoch(&Machine::default(), seed)).collect();
    // Neither the first nor the last.
    assert!(best.contains(&1), "{best:?}");
}

/// Each step from where the engine stands: the gradient of the model with zeros, of which the held part is left out, then
/// clip, decay and AdamW in f64 on what is kept.
#[test]
fn a_masked_step_is_that_of_the_kept_weights_alone() {
    for seed in 0..8 {
        let mut bert = bert(seed);
        let (mask, decayed) = (mask(&bert, seed), bert.params.layout.decayed());
        let packed = Packed::random(&bert.config, &[5, 1, 33, 18], 2, seed);
        let len = bert.params.data.len();
        let mut before = OPTIMIZER.state(len);
        before.slots_mut().iter_mut().for_each(|slot| slot.values.fill(0.01));
        before.steps = 2;
        let mut engine = Machine::default().trainer(bert.clone(), before, Some(mask.clone())).unwrap();
        for step in 0..3 {
            let (weights, state) = engine.state().unwrap();
            bert.params.data = weights.to_vec();
            let (before, plan) = (state.clone(), plan(step));
            let pass = Pass { dropout: Some(&plan), ..Pass::default() };
            let (loss, gradient) = train_pass(&bert, &packed, &pass, &mut Workspace::default());
            let kept: Vec<usize> = (0..len).filter(|i| mask.keeps(*i)).collect();
            let norm = kept.iter().map(|i| f64::from(gradient[*i]).powi(2)).sum::<f64>().sqrt();
            let goal = Goal::Labels(packed.targets(2));
            let outcome = engine.step(&packed.input(), goal, &plan, &UPDATE).unwrap().wait().unwrap();
            assert_eq!(outcome.loss.to_bits(), loss.to_bits());
            assert!((outcome.norm - norm).abs() <= 1e-12 * norm, "{} and {norm}", outcome.norm);

            let (weights, state) = engine.state().unwrap();
            assert_held(&mask, weights, state);
            let scale = (UPDATE.clip / (norm + 1e-6)).min(1.0);
            let t = state.steps as i32;
            assert_eq!(t, 3 + step as i32);
            let [c1, c2] = [ADAMW.beta1, ADAMW.beta2].map(|beta| 1.0 - beta.powi(t));
            for i in kept {
                let g = f64::from(gradient[i]) * scale;
                let [m, v] = [0, 1].map(|slot| f64::from(before.slots()[slot].values[i]));
                let m = ADAMW.beta1 * m + (1.0 - ADAMW.beta1) * g;
                let v = ADAMW.beta2 * v + (1.0 - ADAMW.beta2) * g * g;
                let w = f64::from(bert.params.data[i]);
                let decay =
                    if decayed.iter().any(|range| range.contains(&i)) { ADAMW.weight_decay } else { 0.0 };
                let w = w - UPDATE.learning_rate * (m / c1 / ((v / c2).sqrt() + ADAMW.epsilon) + decay * w);
                let found = [weights[i], state.slots()[0].values[i], state.slots()[1].values[i]];
                for (found, expected) in found.into_iter().zip([w, m, v]) {
                    let error = (f64::from(found) - expected).abs();
                    assert!(error <= 1e-6 * expected.abs().max(1e-2), "{i}: {found}, not {expected}");
                }
            }
        }
    }
}
