//! Products of bf16 operands: near f32's results, and not those.

use crate::support::{Packed, config, random_bert, train_pass};
use lottery::{
    model::{Pass, Workspace},
    ops::{
        Format,
        dropout::DropoutPlan,
        simd::{Level, level},
    },
};

const PLAN: DropoutPlan = DropoutPlan { seed: 3, step: 5, hidden: 0.1, attention: 0.1, classifier: 0.1 };

fn difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b))) / norm(&mut b.iter().map(|v| f64::from(*v)))
}

#[test]
fn losses_and_gradients_of_all_tensors_are_those_of_f32_within_the_formats_rounding() {
    let config = config(3, 64, 4, 128);
    let bert = random_bert(config.clone(), config.full_shape(), 3, 1);
    let packed = Packed::random(&config, &[17, 1, 40, 64], 3, 2);
    let train = |format| {
        let pass = Pass { dropout: Some(&PLAN), format, ..Pass::default() };
        train_pass(&bert, &packed, &pass, &mut Workspace::default())
    };
    let ((loss, exact), (rounded_loss, rounded)) = (train(Format::F32), train(Format::Bf16));
    if level() == Level::Base {
        assert!(rounded == exact, "the base kernels know f32 alone");
        return;
    }
    assert!((rounded_loss - loss).abs() < 2e-2 * loss, "{rounded_loss} {loss}");
    let mut largest: f64 = 0.0;
    for entry in &bert.params.layout.entries {
        let (a, b) = (&rounded[entry.range.clone()], &exact[entry.range.clone()]);
        // The keys' bias has no influence: its gradient is rounding in either format.
        if entry.name.ends_with("key.bias") || b.iter().all(|v| *v == 0.0) {
            continue;
        }
        let found = difference(a, b);
        assert!(found < 5e-2, "{}: {found:e}", entry.name);
        largest = largest.max(found);
    }
    // bf16 has 8 bits: were the operands not rounded, this would be 1e-6.
    assert!(largest > 1e-3, "{largest:e}");
}
