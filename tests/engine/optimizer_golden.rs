//! Fifty optimizer steps against PyTorch's loss curve (`tests/golden/adamw.py`, `adamax.py`).

use crate::{
    forward_golden::{golden_json, golden_model, push},
    support::{Packed, norm, train_pass},
};
use lottery::{
    model::{Pass, Workspace},
    ops::optimizer::{self, AdamW, Adamax, Optimizer, clip_scale},
    train::Schedule,
};
use serde_json::Value;

#[test]
fn fifty_adamw_steps_follow_pytorch() {
    follow(&golden_json("adamw.json"), |weight_decay| {
        Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay })
    });
}

#[test]
fn fifty_adamax_steps_follow_the_published_arithmetic_and_schedule() {
    let golden = golden_json("adamax.json");
    follow(&golden, |weight_decay| {
        Optimizer::Adamax(Adamax { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay })
    });
    let (peak, warmup) = (golden["peak"].as_f64().unwrap(), golden["warmup"].as_f64().unwrap());
    for (step, about) in golden["steps"].as_array().unwrap().iter().enumerate() {
        let rate = peak * Schedule::Liang2021.factor(step as u64, 50, warmup);
        assert!(
            (rate - about["learning_rate"].as_f64().unwrap()).abs() < 1e-12 * peak,
            "step {step}: {rate}"
        );
    }
}

fn follow(golden: &Value, optimizer: impl Fn(f64) -> Optimizer) {
    let number = |key: &str| golden[key].as_f64().unwrap();
    let (examples, batch) = (golden["examples"].as_array().unwrap(), number("batch") as usize);
    let mut bert = golden_model("tiny-classes", 3);
    let mut state = optimizer(number("weight_decay")).state(bert.params.data.len());
    let decayed = bert.params.layout.decayed();
    let mut workspace = Workspace::default();
    let (mut worst, mut clipped) = (0f64, 0);
    let steps = golden["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 50);
    for (i, step) in steps.iter().enumerate() {
        let mut packed = Packed::empty();
        for j in 0..batch {
            let example = &examples[(i * batch + j) % examples.len()];
            push(&mut packed, example);
            packed.classes.push(example["label"].as_u64().unwrap() as u32);
        }
        let (loss, mut gradient) = train_pass(&bert, &packed, &Pass::default(), &mut workspace);
        let of = |key: &str| step[key].as_f64().unwrap();
        worst = worst.max((loss - of("loss")).abs());
        assert!(worst < 1e-4, "step {i}: {loss} and {}", of("loss"));
        let norm = optimizer::norm(&gradient, None);
        assert!((norm / of("norm") - 1.0).abs() < 1e-3, "step {i}: norm {norm} and {}", of("norm"));
        clipped += usize::from(norm > number("clip"));
        let scale = clip_scale(norm, number("clip"));
        let weights = &mut bert.params.data;
        state.step(weights, &mut gradient, None, &decayed, of("learning_rate"), scale);
    }
    assert!(clipped > 0, "the clip must have been at work");
    for (name, theirs) in golden["weight_norms"].as_object().unwrap() {
        // The loss does not depend on a key's bias: its gradient is rounding noise, which AdamW magnifies.
        if name.ends_with("key.bias") {
            continue;
        }
        let (_, ours) = bert.params.named(name).unwrap();
        let ours = norm(&ours.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        assert!((ours / theirs.as_f64().unwrap() - 1.0).abs() < 1e-4, "{name}: {ours} and {theirs}");
    }
    eprintln!("largest difference from PyTorch's loss curve: {worst:.1e}");
}
