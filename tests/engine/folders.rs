//! Model folders: saved and read back, in every form found in the wild, and broken in every way.

use crate::support::{config, random_bert, random_bert_with};
use candle_core::{DType, Device, Tensor};
use lottery::{
    error::Error,
    model::{
        Bert, BertConfig, Ffn, Head, LayerShape,
        weights::{Pretrained, Stored},
    },
};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::Path};
use tempfile::TempDir;

type Tensors = HashMap<String, Tensor>;

fn small(labels: usize) -> Bert {
    let config = config(2, 24, 3, 20);
    random_bert(config.clone(), config.full_shape(), labels, 1)
}

fn save(bert: &Bert, names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), bert.to_config_json(names).unwrap()).unwrap();
    fs::write(dir.path().join("model.safetensors"), bert.to_safetensors().unwrap()).unwrap();
    dir
}

/// A saved model whose tensors were changed in between.
fn save_changed(bert: &Bert, change: impl FnOnce(&mut Tensors)) -> TempDir {
    let dir = save(bert, &[]);
    let path = dir.path().join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    dir
}

fn save_with_config(bert: &Bert, change: impl FnOnce(&mut Value)) -> TempDir {
    let dir = save(bert, &[]);
    let mut value = config_of(&dir);
    change(&mut value);
    fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
    dir
}

fn config_of(dir: &TempDir) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.path().join("config.json")).unwrap()).unwrap()
}

fn renamed(tensors: &mut Tensors, name: impl Fn(&str) -> String) {
    *tensors = tensors.drain().map(|(n, t)| (name(&n), t)).collect();
}

fn build(dir: &TempDir, labels: usize) -> Bert {
    Pretrained::load(dir.path()).unwrap().build(Head::Classifier { labels }, 5, false).unwrap()
}

#[track_caller]
fn assert_refused(dir: &Path, words: &[&str]) {
    let error = Pretrained::load(dir)
        .and_then(|mut p| p.build(Head::Classifier { labels: 3 }, 5, false))
        .unwrap_err();
    assert!(matches!(error, Error::Data(_)) && error.exit_code() == 3);
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "\"{word}\" is not in: {text}");
    }
    assert!(text.ends_with('.') && !text.contains('\n'), "not one paragraph: {text}");
}

#[test]
fn a_saved_model_reads_back_with_identical_bytes() {
    let whole = small(3);
    let thin = whole.shrunk(&[
        LayerShape { heads: vec![0, 2], ffn: false.into() },
        LayerShape { heads: vec![], ffn: true.into() },
    ]);
    let some = |neurons: &[usize]| LayerShape { heads: vec![1], ffn: Ffn::Neurons(neurons.to_vec()) };
    let thinner = whole.shrunk(&[some(&[0, 3, 19]), some(&[])]);
    for bert in [whole, thin, thinner, small(1)] {
        let dir = save(&bert, &[]);
        let back = build(&dir, bert.labels());
        assert_eq!((&back.params, &back.shape), (&bert.params, &bert.shape));
        assert_eq!(back.to_safetensors().unwrap(), bert.to_safetensors().unwrap());
        assert_eq!(back.to_config_json(&[]).unwrap(), bert.to_config_json(&[]).unwrap());
    }
}

#[test]
fn a_saved_config_states_the_labels_so_that_other_programs_build_the_same_classifier() {
    let named = config_of(&save(&small(2), &["entailment", "not_entailment"]));
    assert_eq!(named["id2label"], json!({"0": "entailment", "1": "not_entailment"}));
    assert_eq!(named["label2id"], json!({"entailment": 0, "not_entailment": 1}));
    assert_eq!(named["architectures"], json!(["BertForSequenceClassification"]));
    assert_eq!(named["model_type"], "bert");
    let unnamed = config_of(&save(&small(3), &[]));
    assert_eq!(unnamed["id2label"].as_object().unwrap().len(), 3);
    let score = config_of(&save(&small(1), &[]));
    assert_eq!(score["id2label"].as_object().unwrap().len(), 1);
    assert_eq!(score["problem_type"], "regression");
    // A classifier trained from a regression model is none.
    let dir = save(&small(1), &[]);
    let bert = Pretrained::load(dir.path()).unwrap().build(Head::Classifier { labels: 2 }, 5, true).unwrap();
    let reused = config_of(&save(&bert, &["no", "yes"]));
    assert_eq!(reused.get("problem_type"), None);
    assert_eq!(reused["id2label"].as_object().unwrap().len(), 2);
}

#[test]
fn a_saved_config_states_the_number_format_that_the_file_has() {
    let dir = save_with_config(&small(2), |config| config["dtype"] = json!("float16"));
    assert_eq!(config_of(&save(&build(&dir, 2), &[]))["dtype"], "float32");
    assert_eq!(config_of(&save(&small(2), &[])).get("dtype"), None);
}

#[test]
fn half_precision_files_are_read_exactly() {
    let bert = small(3);
    for dtype in [DType::F16, DType::BF16] {
        let rounded = |tensor: &Tensor| tensor.to_dtype(dtype).unwrap();
        let dir = save_changed(&bert, |tensors| tensors.values_mut().for_each(|t| *t = rounded(t)));
        let back = build(&dir, 3);
        for entry in &bert.params.layout.entries {
            let (_, values) = bert.params.named(&entry.name).unwrap();
            let exact = rounded(&Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap());
            let exact: Vec<f32> = exact.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
            assert_eq!(back.params.named(&entry.name).unwrap().1, exact, "{}", entry.name);
        }
    }
}

#[test]
fn names_without_prefix_and_old_layer_norm_names_are_understood() {
    let bert = small(3);
    let plain = |n: &str| n.strip_prefix("bert.").unwrap_or(n).to_owned();
    let old = |n: &str| {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    };
    for dir in [
        save_changed(&bert, |tensors| renamed(tensors, plain)),
        save_changed(&bert, |tensors| renamed(tensors, old)),
        save_changed(&bert, |tensors| renamed(tensors, |n| old(&plain(n)))),
    ] {
        assert_eq!(build(&dir, 3).params, bert.params);
    }
}

#[test]
fn a_missing_pooler_is_drawn_from_the_seed_and_told() {
    let bert = small(3);
    let dir = save_changed(&bert, |tensors| tensors.retain(|name, _| !name.contains("pooler")));
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    let one = pretrained.build(Head::Classifier { labels: 3 }, 5, false).unwrap();
    assert!(pretrained.notes.iter().any(|n| n.contains("pooler")), "{:?}", pretrained.notes);
    let pooler = |bert: &Bert| bert.params.named("bert.pooler.dense.weight").unwrap().1.to_vec();
    assert!(pooler(&one).iter().any(|v| *v != 0.0));
    assert_eq!(pooler(&one), pooler(&pretrained.build(Head::Classifier { labels: 3 }, 5, false).unwrap()));
    assert_ne!(pooler(&one), pooler(&pretrained.build(Head::Classifier { labels: 3 }, 6, false).unwrap()));
    assert_eq!(one.params.named("classifier.weight"), bert.params.named("classifier.weight"));
}

#[test]
fn tensors_of_other_heads_are_passed_over_and_unknown_ones_told() {
    let bert = small(3);
    let dir = save_changed(&bert, |tensors| {
        let extra = Tensor::zeros(24, DType::F32, &Device::Cpu).unwrap();
        tensors.insert("cls.predictions.transform.dense.bias".into(), extra.clone());
        tensors.insert("cls.seq_relationship.bias".into(), extra.clone());
        tensors.insert("adapter.bias".into(), extra);
        let ids = Tensor::arange(0i64, 160, &Device::Cpu).unwrap();
        tensors.insert("bert.embeddings.position_ids".into(), ids);
    });
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    assert_eq!(pretrained.build(Head::Classifier { labels: 3 }, 5, false).unwrap().params, bert.params);
    let notes = pretrained.notes.join("\n");
    assert!(notes.contains("1 tensors") && notes.contains("adapter.bias"), "{notes}");
    assert!(!notes.contains("cls."), "{notes}");
}

#[test]
fn a_classifier_for_another_number_of_labels_is_drawn_anew_and_told() {
    let dir = save(&small(3), &[]);
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    let bert = pretrained.build(Head::Classifier { labels: 2 }, 5, false).unwrap();
    assert!(
        pretrained.notes.iter().any(|n| n.contains("no classifier for 2 labels")),
        "{:?}",
        pretrained.notes
    );
    assert_eq!(bert, pretrained.build(Head::Classifier { labels: 2 }, 5, true).unwrap());
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
}

#[test]
fn a_fresh_classifier_depends_on_the_seed_alone() {
    let bert = small(3);
    let dir = save(&bert, &[]);
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    let mut draw = |labels, seed| pretrained.build(Head::Classifier { labels }, seed, true).unwrap();
    let (one, again, other, wide) = (draw(3, 1), draw(3, 1), draw(3, 2), draw(7, 1));
    let classifier = |b: &Bert| b.params.named("classifier.weight").unwrap().1.to_vec();
    assert_eq!(one, again);
    assert_ne!(classifier(&one), classifier(&bert));
    assert_ne!(classifier(&one), classifier(&other));
    assert_eq!(wide.labels(), 7);
    let rest = |b: &Bert| b.params.data[..b.params.layout.classifier_weight.start].to_vec();
    assert_eq!(rest(&one), rest(&bert));
    let ticket = one.shrunk(&vec![LayerShape { heads: vec![1], ffn: false.into() }; 2]);
    assert_eq!(classifier(&ticket), classifier(&one));
}

#[test]
fn a_folder_saved_by_transformers_is_read_and_written_back_tensor_by_tensor() {
    let bert = crate::forward_golden::golden_model("tiny-classes", 3);
    let theirs = candle_core::safetensors::load(
        crate::forward_golden::golden("tiny-classes/model.safetensors"),
        &Device::Cpu,
    )
    .unwrap();
    let ours = candle_core::safetensors::load_buffer(&bert.to_safetensors().unwrap(), &Device::Cpu).unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (name, tensor) in &theirs {
        assert_eq!(ours[name].dims(), tensor.dims(), "{name}");
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(&ours[name]), flat(tensor), "{name}");
    }
}

#[test]
fn missing_and_truncated_files_are_refused_by_name() {
    let bert = small(3);
    let (dir, path) = {
        let d = save(&bert, &[]);
        let p = d.path().join("model.safetensors");
        (d, p)
    };
    let bytes = fs::read(&path).unwrap();
    for keep in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..keep]).unwrap();
        assert_refused(dir.path(), &["model.safetensors", "not a whole safetensors file", "Fetch it again"]);
    }
    fs::remove_file(&path).unwrap();
    assert_refused(dir.path(), &["cannot read", "model.safetensors"]);
    fs::write(dir.path().join("pytorch_model.bin"), "x").unwrap();
    assert_refused(dir.path(), &["pytorch_model.bin", "no file of torch.save", "save_pretrained"]);
    fs::remove_file(dir.path().join("config.json")).unwrap();
    assert_refused(dir.path(), &["cannot read", "config.json"]);
    assert_refused(&dir.path().join("nowhere"), &["nowhere", "config.json"]);
}

#[test]
fn tensors_that_are_missing_misshapen_or_not_finite_are_refused_by_name() {
    let bert = small(3);
    let name = "bert.encoder.layer.1.output.dense.weight";
    let dir = save_changed(&bert, |tensors| drop(tensors.remove(name)));
    assert_refused(
        dir.path(),
        &["model.safetensors", "1 of 37 tensors", "encoder.layer.1.output.dense.weight"],
    );
    let dir = save_changed(&bert, |tensors| {
        tensors.insert(name.into(), tensors[name].t().unwrap().contiguous().unwrap());
    });
    assert_refused(dir.path(), &["encoder.layer.1.output.dense.weight", "[20, 24]", "[24, 20]"]);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut damaged = bert.clone();
        let at = damaged.params.named("bert.embeddings.LayerNorm.bias").unwrap().0.range.start;
        damaged.params.data[at + 3] = bad;
        let dir = save(&damaged, &[]);
        assert_refused(dir.path(), &["embeddings.LayerNorm.bias", "element 3", "model.safetensors"]);
    }
}

#[test]
fn weights_of_64_bits_are_rounded_and_larger_ones_than_32_bits_hold_are_refused() {
    let bert = small(3);
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let dir = save_changed(&bert, |tensors| tensors.values_mut().for_each(|t| *t = wide(t)));
    assert_eq!(build(&dir, 3).params, bert.params);
    let dir = save_changed(&bert, |tensors| {
        let name = "bert.embeddings.LayerNorm.bias".to_owned();
        tensors.insert(name, Tensor::full(1e300, 24, &Device::Cpu).unwrap());
    });
    assert_refused(dir.path(), &["embeddings.LayerNorm.bias holds inf at element 0"]);
}

#[test]
fn a_tensor_of_no_elements_is_refused_where_it_is_used_and_passed_over_elsewhere() {
    let bert = small(3);
    let none = Tensor::zeros((24, 0), DType::F32, &Device::Cpu).unwrap();
    let dir = save_changed(&bert, |tensors| drop(tensors.insert("other.weight".into(), none.clone())));
    assert_eq!(build(&dir, 3).params, bert.params);
    let name = "bert.encoder.layer.0.attention.output.dense.weight";
    let dir = save_changed(&bert, |tensors| drop(tensors.insert(name.into(), none)));
    assert_refused(dir.path(), &["encoder.layer.0.attention.output.dense.weight has shape [24, 0]"]);
}

/// Every unit is removed, so that all tensors that the file must have are of the size of a few rows.
#[test]
fn a_pooler_beyond_all_memory_is_not_drawn() {
    let config = BertConfig {
        vocab_size: 1,
        max_position_embeddings: 1,
        type_vocab_size: 1,
        ..config(1, 1 << 21, 1, 1)
    };
    let shape = [LayerShape { heads: vec![], ffn: false.into() }];
    let dir = tempfile::tempdir().unwrap();
    let mut value = serde_json::to_value(&config).unwrap();
    value["lottery"] = json!({ "layers": shape });
    fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
    let h = config.hidden_size;
    let zeros = vec![0; 2 * h];
    let rows = ["word", "position", "token_type"]
        .map(|kind| (format!("embeddings.{kind}_embeddings.weight"), vec![1, h]));
    let layer = "encoder.layer.0";
    let vectors = [
        "embeddings.LayerNorm.weight".to_owned(),
        "embeddings.LayerNorm.bias".to_owned(),
        format!("{layer}.attention.output.dense.bias"),
        format!("{layer}.attention.output.LayerNorm.weight"),
        format!("{layer}.attention.output.LayerNorm.bias"),
        format!("{layer}.output.LayerNorm.weight"),
        format!("{layer}.output.LayerNorm.bias"),
    ];
    let all = rows.into_iter().chain(vectors.map(|name| (name, vec![h])));
    let views = all.map(|(name, shape)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F16, shape, &zeros).unwrap())
    });
    fs::write(dir.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    assert_refused(dir.path(), &["model.safetensors", "GB of memory"]);
}

#[test]
fn configs_of_other_models_are_refused_with_their_key() {
    let bert = small(3);
    let refused = |key: &str, value: Value, words: &[&str]| {
        let dir = save_with_config(&bert, |config| config[key] = value);
        assert_refused(dir.path(), &[words, &["config.json"]].concat());
    };
    refused("model_type", json!("albert"), &["albert", "\"bert\", \"roberta\", \"distilbert\""]);
    refused("num_attention_heads", json!(5), &["hidden_size 24", "num_attention_heads 5"]);
    refused("num_attention_heads", json!(0), &["num_attention_heads is 0"]);
    refused("hidden_size", json!("wide"), &["wide"]);
    refused("hidden_act", json!("silu"), &["hidden_act", "silu", "gelu_new"]);
    refused("position_embedding_type", json!("relative_key"), &["position_embedding_type"]);
    refused("layer_norm_eps", json!(0.0), &["layer_norm_eps"]);
    let dir = save_with_config(&bert, |config| drop(config.as_object_mut().unwrap().remove("vocab_size")));
    assert_refused(dir.path(), &["config.json", "vocab_size"]);
    fs::write(dir.path().join("config.json"), "{\"vocab_size\": ").unwrap();
    assert_refused(dir.path(), &["config.json", "not JSON"]);
    let whole = json!({"heads": [], "ffn": true});
    for layers in [
        json!([]),
        json!(3),
        json!([{"heads": [1, 0], "ffn": true}, whole]),
        json!([{"heads": [], "ffn": [4, 4]}, whole]),
        json!([{"heads": [], "ffn": [20]}, whole]),
        json!([{"heads": [], "ffn": "some"}, whole]),
    ] {
        refused("lottery", json!({ "layers": layers }), &["lottery.layers"]);
    }
}

#[test]
fn a_masked_lm_reads_back_and_gives_a_classifier_its_encoder() {
    let config = config(2, 24, 3, 40);
    let bert = random_bert_with(config.clone(), config.full_shape(), Head::MaskedLm, 4);
    let dir = save(&bert, &[]);
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    let back = pretrained.build(Head::MaskedLm, 5, false).unwrap();
    assert_eq!((&back.params, &pretrained.notes), (&bert.params, &vec![]));
    let json: Value = serde_json::from_str(&bert.to_config_json(&[]).unwrap()).unwrap();
    assert_eq!(json["architectures"], json!(["BertForMaskedLM"]));
    assert!(json.get("id2label").is_none());

    // Fresh: the head alone is drawn. A classifier draws its pooler too.
    let fresh = pretrained.build(Head::MaskedLm, 5, true).unwrap();
    let classifier = pretrained.build(Head::Classifier { labels: 3 }, 5, false).unwrap();
    for entry in &bert.params.layout.entries {
        let own = &bert.params.data[entry.range.clone()];
        let head = entry.name.starts_with("cls.");
        assert_eq!(fresh.params.named(&entry.name).unwrap().1 == own, !head, "{}", entry.name);
        assert_eq!(classifier.params.named(&entry.name).is_some(), !head, "{}", entry.name);
        if !head {
            assert_eq!(classifier.params.named(&entry.name).unwrap().1, own, "{}", entry.name);
        }
    }
    // A classifier's folder has no masked-LM head: one is drawn, and told.
    let dir = save(&small(3), &[]);
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    pretrained.build(Head::MaskedLm, 5, false).unwrap();
    assert!(pretrained.notes.join("\n").contains("masked-LM head"), "{:?}", pretrained.notes);
}

#[test]
fn the_masked_lm_bias_is_read_under_both_of_its_names() {
    let config = config(2, 24, 3, 40);
    let bert = random_bert_with(config.clone(), config.full_shape(), Head::MaskedLm, 4);
    let other = |n: &str| n.replace("cls.predictions.bias", "cls.predictions.decoder.bias");
    let dir = save_changed(&bert, |tensors| renamed(tensors, other));
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    assert_eq!(pretrained.build(Head::MaskedLm, 5, false).unwrap().params, bert.params);
    assert!(pretrained.notes.is_empty(), "{:?}", pretrained.notes);
}

#[test]
fn half_precision_files_hold_the_nearest_numbers() {
    let bert = small(3);
    let dir = save(&bert, &[]);
    fs::write(dir.path().join("model.safetensors"), bert.to_safetensors_as(Stored::F16).unwrap()).unwrap();
    let back = build(&dir, 3);
    for (a, b) in back.params.data.iter().zip(&bert.params.data) {
        assert!((a - b).abs() <= b.abs() / 2048.0 + 3e-8, "{a} {b}");
    }
}
