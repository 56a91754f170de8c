//! Attention maps against those of transformers (`tests/golden/attention.py`).

use crate::forward_golden::{golden_json, golden_model, numbers, push};
use crate::support::{Packed, distance, norm};
use lottery::model::{Input, Workspace};

#[test]
fn maps_and_lengths_equal_those_of_transformers() {
    let golden = golden_json("attention.json");
    let bert = golden_model("tiny-classes", 3);
    let mut workspace = Workspace::default();
    for case in golden["cases"].as_array().unwrap() {
        let mut packed = Packed::empty();
        push(&mut packed, case);
        let input = Input {
            ids: &packed.ids,
            positions: &packed.positions,
            segments: &packed.segments,
            offsets: &packed.offsets,
        };
        let mut seen = 0;
        bert.attention_maps(&input, &mut workspace, &mut |map| {
            let theirs = &case["layers"][map.layer][map.head];
            for (ours, theirs) in [
                (&map.probabilities, numbers(&theirs["probabilities"])),
                (&map.norms, numbers(&theirs["norms"])),
            ] {
                assert_eq!(ours.len(), theirs.len());
                let ours: Vec<f32> = ours.iter().map(|v| *v as f32).collect();
                assert!(distance(&ours, &theirs) < 2e-6 * norm(&theirs), "{}.{}", map.layer, map.head);
            }
            seen += 1;
        });
        assert_eq!(seen, 6, "two layers of three heads");
    }
}
