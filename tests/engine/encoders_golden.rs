//! Every family and head against transformers' numbers (`tests/golden/encoders.py`), and what pruning asks of them.

use crate::{
    forward_golden::{golden, integers, numbers, push},
    shrinking::gates_of,
    support::{Packed, assert_close, distance, logits, masked_pass, norm, train_pass},
};
use lottery::{
    model::{
        Bert, GateGradients, Gates, Head, LayerShape, Pass, Wanted, Workspace,
        weights::{Pretrained, Stored},
    },
    ops::{dropout::DropoutPlan, loss},
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

const FAMILIES: [&str; 7] = [
    "bert-gelu-new",
    "bert-relu",
    "roberta",
    "roberta-relu",
    "roberta-padding",
    "distilbert",
    "distilbert-gelu-tanh",
];
const CLASSIFIER: Head = Head::Classifier { labels: 3 };

fn build(dir: &Path, head: Head) -> Bert {
    let mut pretrained = Pretrained::load(dir).unwrap();
    let bert = pretrained.build(head, 0, false).unwrap();
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
    bert
}

fn model(family: &str, head: Head) -> Bert {
    let head_name = if head == CLASSIFIER { "classifier" } else { "words" };
    build(&golden(&format!("encoders/{family}-{head_name}")), head)
}

fn values_of(folder: &str) -> Value {
    let path = golden("encoders").join(folder).join("golden.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn batch(golden: &Value) -> Packed {
    let mut packed = Packed::empty();
    for sequence in golden["sequences"].as_array().unwrap() {
        let begin = packed.ids.len();
        push(&mut packed, sequence);
        if let Some(masked) = sequence.get("masked") {
            packed.masked.extend(integers(masked).iter().map(|place| begin + *place as usize));
            packed.words.extend(integers(&sequence["words"]));
        }
    }
    if let Some(targets) = golden.get("targets") {
        packed.classes = integers(targets);
    }
    packed
}

fn assert_gradients(bert: &Bert, gradient: &[f32], golden: &Value, what: &str) {
    let norms = golden["gradient_norms"].as_object().unwrap();
    let names: BTreeSet<&str> = bert.params.layout.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, norms.keys().map(String::as_str).collect(), "{what}");
    // Where the true gradient is zero (keys' biases), the two programs' roundings differ.
    let whole: f64 = norms.values().map(|n| n.as_f64().unwrap().powi(2)).sum::<f64>().sqrt();
    for entry in &bert.params.layout.entries {
        let ours: Vec<f64> = gradient[entry.range.clone()].iter().map(|v| f64::from(*v)).collect();
        let theirs = norms[&entry.name].as_f64().unwrap();
        let limit = 1e-5 * theirs + 1e-7 * whole;
        assert!((norm(&ours) - theirs).abs() < limit, "{what}: {}: {} {theirs}", entry.name, norm(&ours));
    }
    for (name, values) in golden["gradients"].as_object().unwrap() {
        let (entry, _) = bert.params.named(name).unwrap();
        let theirs = numbers(values);
        let error = distance(&gradient[entry.range.clone()], &theirs);
        assert!(error < 1e-5 * norm(&theirs) + 1e-7 * whole, "{what}: {name}: {error:e}");
    }
}

#[test]
fn logits_losses_and_gradients_of_every_family_are_those_of_transformers() {
    for family in FAMILIES {
        let golden = values_of(&format!("{family}-classifier"));
        let (bert, packed) = (model(family, CLASSIFIER), batch(&golden));
        let theirs: Vec<f32> = numbers(&golden["logits"]).iter().map(|v| *v as f32).collect();
        assert_close(&logits(&bert, &packed, &Pass::default()), &theirs, 1e-5, family);
        let (loss, gradient) = train_pass(&bert, &packed, &Pass::default(), &mut Workspace::default());
        assert!((loss - golden["loss"].as_f64().unwrap()).abs() < 1e-5);
        assert_gradients(&bert, &gradient, &golden, family);

        let golden = values_of(&format!("{family}-words"));
        let (bert, packed) = (model(family, Head::MaskedLm), batch(&golden));
        let mut workspace = Workspace::default();
        bert.forward_masked(&packed.input(), &packed.masked, &Pass::default(), &mut workspace);
        let theirs: Vec<f32> = numbers(&golden["logits"]).iter().map(|v| *v as f32).collect();
        assert_close(workspace.masked_logits(), &theirs, 1e-5, family);
        let (loss, gradient) = masked_pass(&bert, &packed, &Pass::default(), &mut workspace);
        assert!((loss - golden["loss"].as_f64().unwrap()).abs() < 1e-5);
        assert_gradients(&bert, &gradient, &golden, family);
    }
}

#[test]
fn a_saved_model_of_every_family_has_the_files_tensors_and_reads_back() {
    for (family, head) in FAMILIES.into_iter().flat_map(|f| [(f, CLASSIFIER), (f, Head::MaskedLm)]) {
        let whole = model(family, head);
        let folder = if head == CLASSIFIER { "classifier" } else { "words" };
        let theirs = golden(&format!("encoders/{family}-{folder}"));
        let keys = |bytes: &[u8]| -> BTreeSet<String> {
            let tensors = safetensors::SafeTensors::deserialize(bytes).unwrap();
            tensors.names().into_iter().map(str::to_owned).collect()
        };
        let bytes = whole.to_safetensors().unwrap();
        assert_eq!(keys(&bytes), keys(&fs::read(theirs.join("model.safetensors")).unwrap()), "{family}");
        let config = |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap();
        let mut their_config = config(&fs::read_to_string(theirs.join("config.json")).unwrap());
        let mut our_config = config(&whole.to_config_json(&[]).unwrap());
        // Written for the run's own task.
        for key in ["id2label", "label2id", "problem_type"] {
            their_config.remove(key);
            our_config.remove(key);
        }
        assert_eq!(our_config, their_config, "{family}");
        let thin = whole.shrunk(&[
            LayerShape { heads: vec![1], ffn: true.into() },
            LayerShape { heads: vec![], ffn: false.into() },
        ]);
        for bert in [whole, thin] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("config.json"), bert.to_config_json(&[]).unwrap()).unwrap();
            let bytes = bert.to_safetensors_as(Stored::F32).unwrap();
            fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
            let back = build(dir.path(), head);
            assert_eq!((&back.params, &back.shape), (&bert.params, &bert.shape), "{family}");
            assert_eq!(back.config.activation, bert.config.activation);
        }
    }
}

#[test]
fn masked_models_of_every_family_are_the_shrunk_ones() {
    for family in FAMILIES {
        let (bert, packed) = (model(family, CLASSIFIER), batch(&values_of(&format!("{family}-classifier"))));
        for shape in [
            [
                LayerShape { heads: vec![1], ffn: true.into() },
                LayerShape { heads: vec![0, 1], ffn: false.into() },
            ],
            [
                LayerShape { heads: vec![], ffn: false.into() },
                LayerShape { heads: vec![0], ffn: true.into() },
            ],
        ] {
            let gates = gates_of(&bert.config, &shape);
            let masked = logits(&bert, &packed, &Pass { gates: Some(&gates), ..Pass::default() });
            let removed = logits(&bert.shrunk(&shape), &packed, &Pass::default());
            assert_close(&masked, &removed, 1e-5, family);
        }
    }
}

/// A gate on a head scales its columns of the output's weight, one on an FFN the down-projection's weight and bias; so the
/// gradient by a gate of 1 is the inner product of those with their own gradients.
#[test]
fn gate_gradients_of_every_family_follow_from_the_weights() {
    for family in FAMILIES {
        let (bert, packed) = (model(family, CLASSIFIER), batch(&values_of(&format!("{family}-classifier"))));
        let mut workspace = Workspace::default();
        let gates = Gates { heads: vec![1.0; 4], ffns: vec![1.0; 2] };
        let pass = Pass { gates: Some(&gates), keep: true, gate_gradients: true, ..Pass::default() };
        bert.forward(&packed.input(), &pass, &mut workspace);
        let mut d_logits = vec![0.0; workspace.logits().len()];
        loss::per_example(workspace.logits(), packed.targets(3), &mut d_logits);
        let mut found = GateGradients::default();
        bert.backward(&packed.input(), &pass, &mut workspace, &d_logits, Wanted::Gates(&mut found));
        // The mean loss's.
        let (_, gradient) = train_pass(&bert, &packed, &Pass::default(), &mut workspace);
        let (b, h, d) = (packed.sequences() as f64, bert.config.hidden_size, bert.config.head_size());
        for (layer, slots) in found.layers.iter().zip(&bert.params.layout.layers) {
            let product = |range: &std::ops::Range<usize>, wanted: &dyn Fn(usize) -> bool| -> f64 {
                let pairs = bert.params.data[range.clone()].iter().zip(&gradient[range.clone()]).enumerate();
                let chosen = pairs.filter(|(i, _)| wanted(*i));
                b * chosen.map(|(_, (w, g))| f64::from(*w) * f64::from(*g)).sum::<f64>()
            };
            let near = |found: f64, wanted: f64, what: &str| {
                assert!(
                    (found - wanted).abs() < 2e-5 * (1.0 + wanted.abs()),
                    "{family} {what} {found} {wanted}"
                );
            };
            for head in 0..2 {
                let of_head = layer.heads.iter().skip(head).step_by(2).map(|v| f64::from(*v)).sum();
                near(of_head, product(&slots.output_weight, &|i| i % h / d == head), "head");
            }
            let of_ffn = layer.ffn.iter().map(|v| f64::from(*v)).sum();
            let all = |_| true;
            near(of_ffn, product(&slots.down_weight, &all) + product(&slots.down_bias, &all), "FFN");
        }
    }
}

#[test]
fn gradients_under_dropout_are_those_of_finite_differences() {
    let plan = DropoutPlan { seed: 3, step: 2, hidden: 0.3, attention: 0.2, classifier: 0.3 };
    let pass = Pass { dropout: Some(&plan), ..Pass::default() };
    for family in FAMILIES {
        let (bert, packed) = (model(family, CLASSIFIER), batch(&values_of(&format!("{family}-classifier"))));
        let mut workspace = Workspace::default();
        let (_, gradient) = train_pass(&bert, &packed, &pass, &mut workspace);
        // Along the gradient itself the loss changes most, so that least is lost to rounding.
        let size = norm(&gradient.iter().map(|g| f64::from(*g)).collect::<Vec<_>>());
        let mut loss_at = |step: f64| {
            let mut moved = bert.clone();
            let pairs = moved.params.data.iter_mut().zip(&gradient);
            pairs.for_each(|(w, g)| *w += (step * f64::from(*g) / size) as f32);
            train_pass(&moved, &packed, &pass, &mut workspace).0
        };
        let slope = (loss_at(1e-3) - loss_at(-1e-3)) / 2e-3;
        assert!((slope - size).abs() < 2e-3 * size, "{family}: {slope} {size}");
    }
}
