//! Whole experiments on other encoders than BERT, and on weights in other files than `model.safetensors`.

use std::{fs, path::Path};

use lottery::model::{Bert, BertConfig, Head, family};
use serde_json::{Value, json};

use crate::fixture::{Bench, json_file, stderr, succeeded, tiny};

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn write_model(bench: &Bench, config: BertConfig) {
    let bert = Bert::random(config, Head::MaskedLm, 7);
    let mut saved: Value = serde_json::from_str(&bert.to_config_json(&[]).unwrap()).unwrap();
    saved["pad_token_id"] = json!(1);
    bench.write("model/config.json", saved.to_string());
    bench.write("model/model.safetensors", bert.to_safetensors().unwrap());
}

fn copy(bench: &Bench, folder: &str) {
    for entry in fs::read_dir(golden(folder)).unwrap() {
        let entry = entry.unwrap();
        bench.write(&format!("model/{}", entry.file_name().display()), fs::read(entry.path()).unwrap());
    }
}

#[test]
fn an_experiment_runs_on_roberta_and_on_distilbert() {
    let bench = Bench::new("RTE");
    bench.remove("model/vocab.txt");
    copy(&bench, "bpe");
    let roberta = BertConfig {
        family: &family::ROBERTA,
        vocab_size: 2000,
        type_vocab_size: 1,
        max_position_embeddings: 66,
        ..tiny()
    };
    write_model(&bench, roberta);
    let distil = Bench::new("RTE");
    write_model(&distil, BertConfig { family: &family::DISTILBERT, ..tiny() });
    for (bench, kind, class, tensor) in [
        (bench, "roberta", "RobertaForSequenceClassification", "classifier.out_proj.weight"),
        (distil, "distilbert", "DistilBertForSequenceClassification", "pre_classifier.weight"),
    ] {
        let record = bench.record("rte", &["--mode", "good"]);
        let stage = bench.path("runs/stages").join(record["stages"]["retrain"].as_str().unwrap());
        let config = json_file(&stage.join("config.json"));
        assert_eq!((&config["model_type"], &config["architectures"][0]), (&json!(kind), &json!(class)));
        let weights = fs::read(stage.join("model.safetensors")).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
        assert!(tensors.tensor(tensor).is_ok(), "{kind}");
        // What was trained is a model again, with all of its tokenizer's files.
        let finetuned = bench.path("runs/stages").join(record["stages"]["finetune"].as_str().unwrap());
        let of_stage = ["--mode", "full", "--model", finetuned.to_str().unwrap()];
        let again = bench.record_in("others", "rte", &of_stage);
        assert_eq!(again["model"]["tokenizer"], record["model"]["tokenizer"]);
    }
}

#[test]
fn a_run_reads_weights_of_torch_save_and_of_several_files() {
    for folder in ["torch/wrapped", "torch/bin-shards", "torch/shards"] {
        let bench = Bench::new("SST-2");
        bench.remove("model/model.safetensors");
        copy(&bench, folder);
        let arguments = ["--mode", "full", "--set", "data.max_length=20"];
        let first = bench.record("sst2", &arguments);
        // Found in the store: by the hash of all files.
        let output = succeeded(&mut bench.run("sst2", &arguments));
        assert!(stderr(&output).contains("in the store"), "{folder}: {}", stderr(&output));
        let sha256 = lottery::model::weights::Pretrained::load(&bench.path("model")).unwrap().sha256;
        assert_eq!(first["model"]["sha256"], json!(sha256), "{folder}");
    }
}
