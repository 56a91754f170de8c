//! Model folders that cannot be used.

use std::fs;

use lottery::model::{Bert, BertConfig, Head};
use serde_json::{Value, json};

use crate::fixture::{
    Bench, assert_nothing_half_written, json_file, lottery, refused, stderr, succeeded, tiny,
};

/// The run must be refused with exit code 3 and leave nothing.
fn refuse(bench: &Bench, wanted: &[&str]) {
    refused(&mut bench.run("rte", &[]), 3, wanted);
    assert_nothing_half_written(&bench.path("runs"));
}

fn change_config(bench: &Bench, key: &str, value: Value) {
    let mut config = json_file(&bench.path("model/config.json"));
    match value {
        Value::Null => config.as_object_mut().unwrap().shift_remove(key),
        value => config.as_object_mut().unwrap().insert(key.into(), value),
    };
    bench.write("model/config.json", config.to_string());
}

#[test]
fn a_folder_without_safetensors_names_the_file() {
    let bench = Bench::new("RTE");
    bench.remove("model/model.safetensors");
    refuse(&bench, &["model/model.safetensors", "Check the spelling of the path"]);
}

#[test]
fn a_file_of_torch_save_that_would_run_code_is_refused_and_runs_none() {
    let bench = Bench::new("RTE");
    bench.remove("model/model.safetensors");
    bench.write("model/pytorch_model.bin", include_bytes!("../golden/torch/code-legacy.bin"));
    refuse(&bench, &["pytorch_model.bin", "asks to call posix.system", "save_pretrained"]);
}

#[test]
fn truncated_safetensors_are_refused_wherever_they_end() {
    let bench = Bench::new("RTE");
    let whole = fs::read(bench.path("model/model.safetensors")).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        bench.write("model/model.safetensors", &whole[..length]);
        refuse(&bench, &["model/model.safetensors", "Fetch it again"]);
    }
    bench.write("model/model.safetensors", vec![0xff; 4096]);
    refuse(&bench, &["model/model.safetensors", "Fetch it again"]);
}

#[test]
fn weights_of_another_shape_than_the_config_says_are_named() {
    let bench = Bench::new("RTE");
    let mut other = tiny();
    other.intermediate_size = 48;
    bench.write(
        "model/config.json",
        Bert::random(other, Head::Classifier { labels: 2 }, 7).to_config_json(&[]).unwrap(),
    );
    refuse(&bench, &["intermediate.dense", "[64, 32]", "[48, 32]", "config.json"]);
}

#[test]
fn sizes_beyond_all_memory_are_refused_before_they_are_allocated() {
    let bench = Bench::new("RTE");
    for (key, wanted) in [
        ("hidden_size", "tensor embeddings.word_embeddings.weight has shape [28, 32]"),
        ("intermediate_size", "intermediate.dense.weight has shape [64, 32]"),
        ("num_hidden_layers", "num_hidden_layers is 16777216"),
        ("num_attention_heads", "num_attention_heads is 16777216"),
        ("vocab_size", "tensor embeddings.word_embeddings.weight has shape [28, 32]"),
        ("max_position_embeddings", "tensor embeddings.position_embeddings.weight has shape [64, 32]"),
    ] {
        bench.write_model(&tiny());
        change_config(&bench, key, json!(1 << 24));
        refuse(&bench, &[wanted, "config.json"]);
    }
}

#[test]
fn weights_that_are_missing_are_told_before_memory_is_asked_for_as_many() {
    let bench = Bench::new("RTE");
    for key in ["hidden_size", "intermediate_size", "vocab_size"] {
        bench.write_model(&tiny());
        change_config(&bench, key, json!(1 << 24));
        bench.write("model/model.safetensors", safetensors_of(&[]));
        refuse(&bench, &["model.safetensors", "tensors are missing", "word_embeddings"]);
    }
    // Shapes whose product is more than any number of bytes.
    let header = r#"{"bert.embeddings.word_embeddings.weight":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#;
    bench.write_model(&tiny());
    bench.write(
        "model/model.safetensors",
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat(),
    );
    refuse(&bench, &["model/model.safetensors", "not a whole safetensors file"]);
    bench.write("model/model.safetensors", [&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    refuse(&bench, &["model/model.safetensors", "not a whole safetensors file"]);
}

/// A file of one-byte tensors: name, type, elements.
fn safetensors_of(tensors: &[(&str, safetensors::Dtype, usize)]) -> Vec<u8> {
    let zeros = [0_u8; 64];
    let views = tensors.iter().map(|(name, dtype, n)| {
        (*name, safetensors::tensor::TensorView::new(*dtype, vec![*n], &zeros[..*n]).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The model's tensors under other names, and further ones.
fn rewrite_weights(bench: &Bench, name: impl Fn(&str) -> String, more: &[(&str, safetensors::Dtype, usize)]) {
    let path = bench.path("model/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let more = safetensors_of(more);
    let (own, more) = [&bytes, &more].map(|b| safetensors::SafeTensors::deserialize(b).unwrap()).into();
    let own = own.iter().map(|(tensor, view)| (name(tensor), view));
    let more = more.iter().map(|(tensor, view)| (tensor.to_owned(), view));
    let all: std::collections::BTreeMap<_, _> = own.chain(more).collect();
    let bytes = safetensors::serialize(all, None).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn unused_tensors_of_any_type_are_passed_over_and_used_ones_must_be_floating_point() {
    use safetensors::Dtype;
    let bench = Bench::new("SST-2");
    let unused =
        [("bert.embeddings.position_ids", Dtype::I8, 32), ("a.mask", Dtype::BOOL, 3), ("b", Dtype::U8, 2)];
    rewrite_weights(&bench, str::to_owned, &unused);
    succeeded(&mut bench.run("sst2", &["--mode", "full", "--set", "train.epochs=1"]));
    let bench = Bench::new("RTE");
    rewrite_weights(&bench, str::to_owned, &[("bert.encoder.layer.1.output.dense.bias", Dtype::I8, 32)]);
    refuse(&bench, &["tensor encoder.layer.1.output.dense.bias is of type I8", "Quantized"]);
}

#[test]
fn weights_that_were_saved_from_within_a_wrapper_are_told_with_its_name() {
    for prefix in ["base_model.model.bert.", "student.", "0.auto_model."] {
        let bench = Bench::new("RTE");
        rewrite_weights(&bench, |name| format!("{prefix}{}", name.replacen("bert.", "", 1)), &[]);
        refuse(&bench, &["tensors are missing", &format!("begin with {prefix}"), "save_pretrained"]);
    }
    // Those of training frameworks are left out, which is told.
    for prefix in ["module.", "_orig_mod.", "module.bert.", "model."] {
        let bench = Bench::new("SST-2");
        rewrite_weights(&bench, |name| format!("{prefix}{}", name.replacen("bert.", "", 1)), &[]);
        let output = succeeded(&mut bench.run("sst2", &["--mode", "full", "--set", "train.epochs=1"]));
        let told = prefix.replace("bert.", "");
        assert!(
            stderr(&output).contains(&format!("begin with {told}, which is left out")),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn what_lies_in_the_place_of_the_weights_is_told() {
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 5\n";
    let html = "\n<!DOCTYPE html><html><body>Not found</body></html>";
    let bench = Bench::new("RTE");
    for file in ["model.safetensors", "config.json"] {
        for (content, wanted) in [(lfs, "Git LFS pointer"), (html, "web page"), ("", "empty")] {
            bench.write_model(&tiny());
            bench.write(&format!("model/{file}"), content);
            refuse(&bench, &[&format!("model/{file}"), wanted]);
        }
    }
    bench.write_model(&tiny());
    bench.write("model/model.safetensors", b"PK\x03\x04 an archive of torch.save");
    refuse(&bench, &["model/model.safetensors", "zip archive"]);
    let path = bench.path("model/model.safetensors");
    for (other, wanted) in [
        ("model-00001-of-00002.safetensors", "model.safetensors.index.json, which says"),
        ("model.safetensors.index.json", "no index of weights"),
        ("pytorch_model.bin", "no file of weights that can be read"),
    ] {
        bench.write_model(&tiny());
        fs::rename(&path, bench.path(&format!("model/{other}"))).unwrap();
        refuse(&bench, &[wanted, "Fetch it"]);
        bench.remove(&format!("model/{other}"));
    }
    // A folder of PEFT's has no config.json; beside a whole model transformers would apply the adapter.
    bench.write_model(&tiny());
    bench.write("model/adapter_config.json", "{}");
    refuse(&bench, &["an adapter", "merge_and_unload"]);
    bench.remove("model/config.json");
    bench.remove("model/model.safetensors");
    refuse(&bench, &["an adapter", "merge_and_unload"]);
}

#[test]
fn a_table_of_words_that_was_resized_names_the_key() {
    let bench = Bench::new("RTE");
    let mut resized = tiny();
    resized.vocab_size += 4;
    let bert = Bert::random(resized, Head::Classifier { labels: 2 }, 7);
    bench.write("model/model.safetensors", bert.to_safetensors().unwrap());
    refuse(&bench, &["word_embeddings.weight has shape [32, 32]", "[28, 32]", "set vocab_size to 32"]);
}

#[test]
fn units_in_a_config_that_the_model_cannot_have_are_named_with_the_file() {
    let bench = Bench::new("RTE");
    let layer = json!({ "heads": [0, 99], "ffn": true });
    for layers in [
        json!([layer, layer]),
        json!([[]]),
        json!("all"),
        json!([{ "heads": [18446744073709551615u64] }]),
        Value::Null,
    ] {
        change_config(&bench, "lottery", json!({ "layers": layers }));
        refuse(&bench, &["model/config.json", "lottery.layers"]);
    }
    change_config(&bench, "lottery", json!("layers"));
    refuse(&bench, &["model/config.json", "lottery.layers"]);
}

#[test]
fn a_folder_in_the_place_of_the_weights_is_told() {
    let bench = Bench::new("RTE");
    bench.remove("model/model.safetensors");
    fs::create_dir(bench.path("model/model.safetensors")).unwrap();
    refuse(&bench, &["model/model.safetensors", "it is a folder"]);
}

#[test]
fn a_sweep_sees_weights_that_do_not_fit_before_a_run_begins() {
    let bench = Bench::new("SST-2");
    change_config(&bench, "num_hidden_layers", json!(3));
    let grid = ["--tasks", "sst2", "--seeds", "1", "--dry-run"];
    let output = crate::sweep::sweep(&bench, "runs", &grid).output().unwrap();
    let told = crate::fixture::stderr(&output);
    assert!(told.contains("1 of 1 runs cannot start here: ") && told.contains("encoder.layer.2."), "{told}");
}

#[test]
fn heads_that_transformers_pruned_are_told() {
    let bench = Bench::new("RTE");
    change_config(&bench, "pruned_heads", json!({ "0": [1] }));
    refuse(&bench, &["model/config.json", "pruned_heads", "whole model"]);
    // An older version that does not write the key.
    let mut thin = tiny();
    (thin.num_attention_heads, thin.hidden_size) = (4, 32);
    let bert = Bert::random(thin, Head::Classifier { labels: 2 }, 7);
    let shapes = vec![lottery::model::LayerShape { heads: vec![0, 2, 3], ffn: true.into() }; 2];
    bench.write("model/model.safetensors", bert.shrunk(&shapes).to_safetensors().unwrap());
    change_config(&bench, "pruned_heads", Value::Null);
    refuse(&bench, &["attention.", "If heads were pruned from it"]);
}

#[test]
fn dropouts_of_the_config_that_the_recipe_does_not_have_are_told_and_the_saved_ones_are_the_recipes() {
    let bench = Bench::new("SST-2");
    change_config(&bench, "hidden_dropout_prob", json!(0.25));
    change_config(&bench, "attention_probs_dropout_prob", json!(0.1));
    change_config(&bench, "classifier_dropout", json!(0.0));
    let options =
        ["--mode", "full", "--set", "train.epochs=1", "--set", "train.attention_dropout=0.3", "--json"];
    let output = succeeded(&mut bench.run("sst2", &options));
    let told = crate::fixture::stderr(&output);
    for (key, p) in [
        ("hidden_dropout_prob", "0.25"),
        ("attention_probs_dropout_prob", "0.1"),
        ("classifier_dropout", "0"),
    ] {
        assert!(told.contains(&format!("config.json has {key} {p}, and training uses ")), "{told}");
        assert!(key != "classifier_dropout" || told.contains("train.classifier_dropout=0`"), "{told}");
    }
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let saved: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "finetune", "config.json")).unwrap();
    let saved =
        ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"].map(|key| &saved[key]);
    assert_eq!(saved, [&json!(0.1), &json!(0.3), &json!(0.1)]);
}

#[test]
fn a_key_of_another_type_is_named() {
    for (key, value) in [
        ("layer_norm_eps", json!("1e-12")),
        ("layer_norm_eps", Value::Array(Vec::new())),
        ("initializer_range", json!({})),
        ("hidden_size", json!(32.5)),
        ("num_hidden_layers", json!(-2)),
        ("hidden_dropout_prob", json!("0.1")),
        ("classifier_dropout", json!(1.5)),
        ("is_decoder", json!(true)),
        ("position_embedding_type", json!("relative_key")),
    ] {
        let bench = Bench::new("RTE");
        change_config(&bench, key, value);
        refuse(&bench, &["model/config.json", key]);
    }
}

#[test]
fn weights_of_fewer_layers_than_the_config_says_are_named() {
    let bench = Bench::new("RTE");
    change_config(&bench, "num_hidden_layers", json!(3));
    refuse(&bench, &["model.safetensors", "encoder.layer.2.", "missing"]);
}

#[test]
fn weights_that_are_not_numbers_are_named() {
    let bench = Bench::new("RTE");
    let mut bert = Bert::random(tiny(), Head::Classifier { labels: 2 }, 7);
    bert.params.data[5] = f32::NAN;
    bench.write("model/model.safetensors", bert.to_safetensors().unwrap());
    refuse(&bench, &["model.safetensors", "word_embeddings", "NaN"]);
}

#[test]
fn a_tensor_under_two_spellings_is_named() {
    use candle_core::{Device, safetensors};
    let bench = Bench::new("RTE");
    let path = bench.path("model/model.safetensors");
    let mut tensors = safetensors::load(&path, &Device::Cpu).unwrap();
    let word = tensors["bert.embeddings.word_embeddings.weight"].clone();
    tensors.insert("embeddings.word_embeddings.weight".into(), word);
    safetensors::save(&tensors, &path).unwrap();
    refuse(&bench, &["model.safetensors", "embeddings.word_embeddings.weight twice"]);
}

#[test]
fn a_config_of_another_architecture_is_named() {
    let bench = Bench::new("RTE");
    change_config(&bench, "model_type", json!("electra"));
    refuse(&bench, &["model/config.json", "model_type is \"electra\"", "\"roberta\""]);
    change_config(&bench, "model_type", json!("bert"));
    change_config(&bench, "hidden_act", json!("silu"));
    refuse(&bench, &["model/config.json", "hidden_act", "silu"]);
}

#[test]
fn a_config_that_is_missing_or_no_json_or_lacks_a_key_is_named() {
    let bench = Bench::new("RTE");
    change_config(&bench, "num_attention_heads", json!(5));
    refuse(&bench, &["model/config.json", "hidden_size 32", "num_attention_heads 5"]);
    change_config(&bench, "num_attention_heads", json!(0));
    refuse(&bench, &["model/config.json", "num_attention_heads"]);
    change_config(&bench, "num_attention_heads", json!("four"));
    refuse(&bench, &["model/config.json", "four"]);
    change_config(&bench, "num_attention_heads", Value::Null);
    refuse(&bench, &["model/config.json", "num_attention_heads"]);
    for content in ["{\"model_type\": \"bert\",", "[]", "", "null"] {
        bench.write("model/config.json", content);
        refuse(&bench, &["model/config.json"]);
    }
    bench.remove("model/config.json");
    refuse(&bench, &["model/config.json", "Check the spelling of the path"]);
}

#[test]
fn a_folder_without_tokenizer_says_what_to_copy() {
    let bench = Bench::new("RTE");
    bench.remove("model/vocab.txt");
    refuse(&bench, &["no tokenizer in", "tokenizer.json nor vocab.txt"]);
    bench.write("model/tokenizer.json", "{\"version\": \"1.0\"");
    refuse(&bench, &["model/tokenizer.json", "Restore the file"]);
    bench.remove("model/tokenizer.json");
    bench.write("model/vocab.txt", "a\nb\n");
    refuse(&bench, &["model/vocab.txt", "[CLS]"]);
}

#[test]
fn a_vocabulary_larger_than_the_embedding_table_is_refused() {
    for (folder, task) in [("RTE", "rte"), ("MNLI", "mnli")] {
        let bench = Bench::new(folder);
        let words = fs::read_to_string(bench.path("model/vocab.txt")).unwrap();
        bench.write("model/vocab.txt", words + "beyond\n");
        // The word stands in the last file alone.
        let last = if folder == "MNLI" { "dev_mismatched.tsv" } else { "dev.tsv" };
        let path = format!("glue/{folder}/{last}");
        let rows = fs::read_to_string(bench.path(&path)).unwrap();
        bench.write(&path, rows.replacen("the", "beyond", 1).replacen("dull", "beyond", 1));
        refused(&mut bench.run(task, &[]), 3, &["word id 28", "28 words", "vocab_size"]);
        assert_nothing_half_written(&bench.path("runs"));
    }
}

#[test]
fn a_model_with_one_segment_cannot_take_a_task_of_pairs() {
    let bench = Bench::new("RTE");
    bench.write_task("SST-2");
    let mut config = tiny();
    config.type_vocab_size = 1;
    bench.write_model(&config);
    succeeded(&mut bench.run("sst2", &["--mode", "full", "--set", "train.epochs=1"]));
    refused(&mut bench.run("rte", &[]), 3, &["type_vocab_size"]);
}

#[test]
fn heads_of_any_whole_width_are_computed() {
    let bench = Bench::new("SST-2");
    for (hidden, heads, ffn) in [(20, 4, 30), (15, 3, 17), (8, 1, 1)] {
        let mut config = BertConfig::of_shape(2, hidden, heads, ffn);
        (config.vocab_size, config.max_position_embeddings) = (tiny().vocab_size, 32);
        bench.write_model(&config);
        let record = bench.record("sst2", &["--mode", "inverse", "--set", "train.epochs=1"]);
        assert_eq!(record["model"]["heads"], heads);
    }
}

#[test]
fn a_file_in_place_of_the_folder_and_a_folder_that_is_not_there_are_told_apart() {
    let bench = Bench::new("RTE");
    let with = |model: &str| bench.run("rte", &["--model", model]);
    refused(&mut with("model/model.safetensors"), 3, &["is a file", "Give --model the folder"]);
    refused(&mut with("models"), 3, &["there is no model folder models", "owner/name"]);
    refused(&mut with("./no/such/folder"), 3, &["there is no model folder ./no/such/folder"]);
    refused(&mut with("../no/such"), 3, &["there is no model folder"]);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn a_hub_name_without_a_network_says_how_to_get_the_files() {
    let bench = Bench::new("RTE");
    let mut command = bench.run("rte", &["--model", "google-bert/bert-base-uncased@main"]);
    command.env("HF_HOME", bench.path("hf")).env("HF_HUB_OFFLINE", "1");
    let wanted = ["google-bert/bert-base-uncased", "HF_HUB_OFFLINE", "hf download", "--model DIR", "HF_HOME"];
    refused(&mut command, 3, &wanted);
    // A hub that does not answer is no other case for whoever has no network.
    let mut command = bench.run("rte", &["--model", "google-bert/bert-base-uncased"]);
    command
        .env("HF_HOME", bench.path("hf"))
        .env_remove("HF_HUB_OFFLINE")
        .env("HF_ENDPOINT", "http://127.0.0.1:9");
    refused(&mut command, 3, &["127.0.0.1:9", "hf download"]);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn a_model_in_the_hub_cache_needs_no_network() {
    let bench = Bench::new("SST-2");
    let snapshot = "hf/hub/models--owner--tiny/snapshots/abc123";
    fs::create_dir_all(bench.path(snapshot)).unwrap();
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        fs::copy(bench.path("model").join(name), bench.path(snapshot).join(name)).unwrap();
    }
    bench.write("hf/hub/models--owner--tiny/refs/main", "abc123");
    let mut command = lottery();
    command.args(bench.arguments("runs", "sst2", &["--model", "owner/tiny", "--mode", "full", "--json"]));
    let output = succeeded(command.current_dir(bench.root.path()).env("HF_HOME", bench.path("hf")));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["model"]["name"], "owner/tiny");
}
