//! An artificial family against the BERT that computes the same.

use super::*;
use crate::{
    engine::{Goal, Machine, Update},
    model::{
        Bert, BertConfig, Gates, Head, Input, LayerShape,
        params::{Entry, Layout},
        weights::{Pretrained, Stored},
    },
    ops::{
        dropout::DropoutPlan,
        loss::Targets,
        optimizer::{AdamW, Optimizer},
    },
};
use serde_json::{Value, json};
use std::ops::Range;

/// Other names, a position offset, no token types, no pooler.
pub const OTHER: Family = Family {
    model_type: "other",
    classes: ["OtherForClasses", "OtherForWords", "OtherForSpans"],
    class_prefix: "Other",
    activation_key: "function",
    keys: &[("hidden_size", "width")],
    fixed_keys: &["type_vocab_size"],
    dropouts: [("drop", Some(0.1)), ("drop_attention", Some(0.1)), ("drop_top", Some(0.2))],
    off: &[("scale", "it is no part of the model")],
    drops_attention_output: true,
    drops_span_input: false,
    transform_activation: None,
    position_offset: 2,
    padding: None,
    prefix: "trunk/",
    words: "tables.w",
    positions: "tables.p",
    token_types: None,
    embedding_norm: "tables.norm",
    layers: "blocks/",
    qkv: ["q", "k", "v"],
    attention_output: "o",
    attention_norm: "norm1",
    up: "in",
    down: "out",
    ffn_norm: "norm2",
    pooler: None,
    classifier: "top",
    spans: "ends",
    transform: "lm.dense",
    transform_norm: "lm.norm",
    decoder_bias: ["lm.b", "lm.bias"],
    heads: &["top.", "lm.", "ends."],
};

/// What the pooler's tanh is a line for.
const SMALL: f32 = 1e-3;

fn config(family: &'static Family) -> BertConfig {
    BertConfig {
        vocab_size: 31,
        max_position_embeddings: 8 + family.position_offset,
        family,
        ..BertConfig::of_shape(2, 24, 3, 20)
    }
}

/// One of the other family with weights that all matter.
fn other(head: Head) -> Bert {
    let mut bert = Bert::random(config(&OTHER), head, 5);
    let entries: Vec<_> = bert.params.layout.entries.iter().map(|e| e.range.clone()).collect();
    for (n, value) in entries.into_iter().flatten().enumerate() {
        let of_n = ((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1u64 << 24) as f32;
        bert.params.data[value] += 0.4 * (of_n - 0.5);
    }
    bert
}

/// A tensor of the other family, where it lies there and in BERT, and the factor that its values have in BERT.
struct Pair {
    name: String,
    ours: Range<usize>,
    theirs: Range<usize>,
    factor: f32,
}

/// The plain names of a family's parts but for its positions and the decoder's bias.
fn parts(family: &Family) -> Vec<String> {
    let Family { qkv: [q, k, v], attention_output, attention_norm, up, down, ffn_norm, .. } = family;
    let of_layers = [q, k, v, attention_output, attention_norm, up, down, ffn_norm];
    let of_layer = |l| of_layers.map(|part| format!("{}{l}.{part}", family.layers));
    let Family { words, embedding_norm, classifier, transform, transform_norm, spans, .. } = family;
    let others =
        [words, embedding_norm, classifier, transform, transform_norm, spans].map(ToString::to_string);
    [&of_layer(0)[..], &of_layer(1), &others].concat()
}

/// The name that BERT has for a plain name of the other family.
fn translated(name: &str) -> String {
    if name == OTHER.decoder_bias[0] {
        return BERT.decoder_bias[0].to_owned();
    }
    let (part, kind) = name.rsplit_once('.').unwrap();
    let at = parts(&OTHER).iter().position(|other| other == part).unwrap();
    format!("{}.{kind}", parts(&BERT)[at])
}

fn pairs(ours: &Layout, theirs: &Layout) -> Vec<Pair> {
    let of_entry = |entry: &Entry| {
        let name = entry.name.clone();
        if name == "trunk/tables.p.weight" {
            return Pair {
                name,
                ours: ours.positions.clone(),
                theirs: theirs.positions.clone(),
                factor: 1.0,
            };
        }
        let wanted = translated(&OTHER.plain_name(&name));
        let found = theirs.entries.iter().find(|e| BERT.plain_name(&e.name) == wanted).unwrap();
        assert_eq!(entry.shape, found.shape);
        let factor = if name == "top.weight" { 1.0 / SMALL } else { 1.0 };
        Pair { name, ours: entry.range.clone(), theirs: found.range.clone(), factor }
    };
    ours.entries.iter().map(of_entry).collect()
}

/// The BERT of the same outputs: zeros as its token types, and a pooler that is the identity but for rounding.
fn equivalent(other: &Bert) -> Bert {
    let mut bert = Bert::zeros(config(&BERT), other.shape.clone(), other.head);
    let pairs = pairs(&other.params.layout, &bert.params.layout);
    for Pair { ours, theirs, factor, .. } in pairs {
        let values = other.params.data[ours].iter().map(|v| v * factor);
        bert.params.data[theirs].iter_mut().zip(values).for_each(|(to, value)| *to = value);
    }
    let pooler = bert.params.layout.pooler_weight.clone();
    bert.params.data[pooler].iter_mut().step_by(25).for_each(|v| *v = SMALL);
    bert
}

const IDS: [u32; 9] = [3, 7, 30, 0, 3, 3, 12, 9, 21];
/// Types that the other family's tokens do not have.
const SEGMENTS: [u32; 9] = [0, 0, 1, 1, 0, 0, 0, 1, 1];

fn input(segments: &'static [u32]) -> Input<'static> {
    Input { ids: &IDS, positions: &[0, 1, 2, 3, 0, 1, 2, 3, 4], segments, offsets: &[0, 4, 9] }
}

fn near(a: &[f32], b: &[f32], factor: f32, what: &str) {
    let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b * factor));
    let size = norm(&mut a.iter().copied());
    assert!(difference <= 2e-4 * size + 1e-7, "{what}: {difference:e} of {size:e}");
}

#[test]
fn a_step_of_another_family_is_the_equivalent_berts() {
    let optimizer = Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });
    let update = Update { learning_rate: 1e-3, clip: 0.0 };
    let plan = DropoutPlan { seed: 3, step: 1, hidden: 0.1, attention: 0.1, classifier: 0.1 };
    for head in [Head::Classifier { labels: 3 }, Head::MaskedLm, Head::Spans] {
        let ours = other(head);
        let theirs = equivalent(&ours);
        let goal = match head {
            Head::Classifier { .. } => Goal::Labels(Targets::Classes(&[2, 0])),
            Head::MaskedLm => Goal::MaskedTokens { rows: &[1, 4, 8], words: &[5, 30, 2] },
            Head::Spans => {
                Goal::Labels(Targets::Spans { offsets: &[0, 4, 9], starts: &[0, 4], ends: &[2, 4] })
            }
        };
        let step = |bert: &Bert, segments| {
            let state = optimizer.state(bert.params.data.len());
            let mut engine = Machine::default().trainer(bert.clone(), state, None).unwrap();
            let step = engine.step(&input(segments), goal, &plan, &update).unwrap().wait().unwrap();
            let first = engine.state().unwrap().1.slots()[0].values.clone();
            (step.loss, first, engine.finish().unwrap())
        };
        let (our_loss, our_gradient, trained) = step(&ours, &SEGMENTS);
        let (their_loss, their_gradient, _) = step(&theirs, &[0; 9]);
        assert!((our_loss - their_loss).abs() < 1e-5 * their_loss, "{our_loss} {their_loss}");
        for Pair { name, ours, theirs, factor } in pairs(&ours.params.layout, &theirs.params.layout) {
            near(&our_gradient[ours], &their_gradient[theirs], factor, &name);
        }
        // Neither the rows before the first position nor what stands for token types has a gradient.
        let table = ours.params.named("trunk/tables.p.weight").unwrap().0.range.start;
        assert!(our_gradient[table..table + 2 * 24].iter().all(|g| *g == 0.0));
        assert!(trained.params.data[ours.params.layout.segments.clone()].iter().all(|v| *v == 0.0));
        let words = ours.params.layout.words.clone();
        assert_ne!(trained.params.data[words.clone()], ours.params.data[words]);
    }
}

#[test]
fn gates_and_removed_units_are_the_equivalent_berts() {
    let ours = other(Head::Classifier { labels: 3 });
    let shape: Vec<LayerShape> = serde_json::from_value(json!([
        { "heads": [0, 2], "ffn": [1, 4, 19] },
        { "heads": [1], "ffn": false },
    ]))
    .unwrap();
    let gates = Gates { heads: vec![1.0, 0.5, 0.0, 1.0, 1.0, 0.3], ffns: vec![0.5, 1.0] };
    let (small, theirs) = (ours.shrunk(&shape), equivalent(&ours));
    for (a, b, gates) in [(&ours, &theirs, Some(&gates)), (&small, &theirs.shrunk(&shape), None)] {
        let pass = |bert: &Bert, segments| {
            let targets = Targets::Classes(&[2, 0]);
            let mut engine = Machine::default().reader(bert).unwrap();
            engine.gate_gradients(&input(segments), Goal::Labels(targets), gates).unwrap().wait().unwrap()
        };
        let ((logits, gradients), (their_logits, their_gradients)) = (pass(a, &SEGMENTS), pass(b, &[0; 9]));
        near(&logits, &their_logits, 1.0, "logits");
        for (a, b) in gradients.layers.iter().zip(&their_gradients.layers) {
            near(&a.heads, &b.heads, 1.0, "heads");
            near(&a.ffn, &b.ffn, 1.0, "FFNs");
        }
    }
}

#[test]
fn a_model_of_another_family_is_saved_and_read_by_its_own_names() {
    for (n, head) in [Head::Classifier { labels: 3 }, Head::MaskedLm, Head::Spans].into_iter().enumerate() {
        let ours = other(head);
        let dir = tempfile::tempdir().unwrap();
        let text = ours.to_config_json(&[]).unwrap();
        std::fs::write(dir.path().join("config.json"), &text).unwrap();
        let bytes = ours.to_safetensors_as(Stored::F32).unwrap();
        std::fs::write(dir.path().join("model.safetensors"), &bytes).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let class = OTHER.classes[n];
        assert_eq!((&value["model_type"], &value["architectures"]), (&json!("other"), &json!([class])));
        let mut pretrained = Pretrained::load(dir.path()).unwrap();
        let back = pretrained.build(head, 1, false).unwrap();
        assert_eq!((&back.params, pretrained.notes.len()), (&ours.params, 0));
        assert_eq!((back.config.family, back.config.longest_sequence()), (&OTHER, 8));
        assert_eq!((&value["width"], value.get("hidden_size")), (&json!(24), None));
        for (key, wrong, refusal) in [
            ("function", json!("silu"), "function is \"silu\""),
            ("scale", json!(2), "scale is 2"),
            ("width", json!("24"), "width is \"24\""),
            ("width", json!(0), "width is 0"),
            ("hidden_size", json!(48), "width is 24, and hidden_size, another name of it, is 48"),
            ("drop_top", json!("no"), "drop_top is \"no\""),
        ] {
            let mut changed = value.clone();
            changed[key] = wrong;
            std::fs::write(dir.path().join("config.json"), changed.to_string()).unwrap();
            let error = Pretrained::load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(refusal), "{error}");
        }
    }
}

fn roberta(keys: &str) -> crate::error::Result<BertConfig> {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"{"model_type": "roberta", "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 12, "type_vocab_size": 1"#;
    std::fs::write(folder.path().join("config.json"), format!("{text}{keys}}}")).unwrap();
    BertConfig::load(folder.path())
}

#[test]
fn positions_are_counted_from_the_padding_that_config_json_names() {
    for (keys, padding, longest) in [
        ("", 1, 10),
        (r#", "pad_token_id": 1"#, 1, 10),
        (r#", "pad_token_id": 0"#, 0, 11),
        (r#", "pad_token_id": 9"#, 9, 2),
    ] {
        let config = roberta(keys).unwrap();
        assert_eq!((config.padding(), config.longest_sequence()), (Some(padding), longest));
        let bert = Bert::random(config, Head::MaskedLm, 1);
        let rows =
            bert.params.named("roberta.embeddings.position_embeddings.weight").unwrap().0.range.clone();
        assert_eq!(bert.params.layout.positions, rows.start + padding as usize * 8..rows.end);
    }
    for wrong in ["null", "-1", "30", "11", "1.5", "\"1\""] {
        let error = roberta(&format!(r#", "pad_token_id": {wrong}"#)).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("pad_token_id is "), "{wrong}: {error}");
    }
    assert_eq!(config(&BERT).padding(), None);
}
