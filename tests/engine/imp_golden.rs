//! Ten rounds of iterative magnitude pruning against `torch.nn.utils.prune` (`tests/golden/imp.py`).

use crate::{
    forward_golden::{golden_json, golden_model, push},
    support::{Packed, norm, train_pass},
};
use lottery::{
    model::{Bert, Pass, Workspace},
    ops::{
        optimizer::{self, AdamW, Optimizer, clip_scale},
        select::Order,
    },
    prune::{Bits, Kind, Mask, Scope, Site, WeightSet, prune_weights},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One round's training under the mask, without dropout, on the script's batches.
fn train(golden: &Value, start: &Bert, mask: &Mask) -> Bert {
    let number = |key: &str| golden[key].as_f64().unwrap();
    let (steps, batch) = (number("steps") as usize, number("batch") as usize);
    let examples = golden["examples"].as_array().unwrap();
    let mut bert = mask.apply(start).unwrap();
    let held = mask.held(&bert.config, bert.head).unwrap();
    let adamw = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };
    let mut state = Optimizer::AdamW(adamw).state(bert.params.data.len());
    let mut workspace = Workspace::default();
    for i in 0..steps {
        let mut packed = Packed::empty();
        for j in 0..batch {
            let example = &examples[(i * batch + j) % examples.len()];
            push(&mut packed, example);
            packed.classes.push(example["label"].as_u64().unwrap() as u32);
        }
        let (_, mut gradient) = train_pass(&bert, &packed, &Pass::default(), &mut workspace);
        let scale = clip_scale(optimizer::norm(&gradient, held.as_ref()), number("clip"));
        let rate = number("rate") * (steps - i) as f64 / steps as f64;
        state.step(&mut bert.params.data, &mut gradient, held.as_ref(), &[], rate, scale);
    }
    bert
}

#[test]
fn ten_rounds_have_pytorchs_masks_bit_for_bit_and_its_weights() {
    let golden = golden_json("imp.json");
    let start = golden_model("tiny-classes", 3);
    let (mut worst, mut masks) = (0f64, 0);
    for schedule in ["linear", "geometric"] {
        let mut mask = WeightSet::Chen.of(&Mask::full(2, 3), &start.params.layout);
        let rounds = golden[schedule].as_array().unwrap();
        assert_eq!(rounds.len(), 10);
        for (round, theirs) in rounds.iter().enumerate() {
            let bert = train(&golden, &start, &mask);
            for (module, first) in theirs["trained"].as_object().unwrap() {
                let (_, ours) = bert.params.named(&format!("{module}.weight")).unwrap();
                for (ours, theirs) in ours.iter().zip(first.as_array().unwrap()) {
                    worst = worst.max((f64::from(*ours) - theirs.as_f64().unwrap()).abs());
                }
                let all = norm(&ours.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
                let norm = theirs["norms"][module].as_f64().unwrap();
                assert!(
                    (all - norm).abs() < 1e-5 * norm.max(1.0),
                    "{schedule} {round} {module}: {all} and {norm}"
                );
            }
            let pruned = theirs["pruned"].as_u64().unwrap() as usize;
            mask = prune_weights(&mask, &bert.params, pruned, Scope::Global, Order::Smallest).unwrap();
            for (site, bits) in mask.sites(Kind::Weights) {
                let Site::Weights(name) = site else { unreachable!() };
                let theirs = &theirs["masks"][name.strip_suffix(".weight").unwrap()];
                assert_eq!(hash(bits), theirs.as_str().unwrap(), "{schedule} {round} {name}");
                masks += 1;
            }
        }
    }
    assert!(worst < 1e-5, "{worst}");
    assert_eq!(masks, 2 * 10 * 13);
    eprintln!("largest difference from PyTorch's weights: {worst:.1e}");
}

fn hash(bits: &Bits) -> String {
    Sha256::digest(bits.to_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
