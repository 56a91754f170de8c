//! `lottery run --task rte` with nothing else: the paper's model and data come from the hub, once.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc};

use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    server::{Reply, Server},
    world::{content, git_hash, sha256},
};

const MODEL: &str = "google-bert/bert-base-uncased/resolve/86b5e0934494bd15c9632b12f734a8a67f723594";
const DATA: &str = "datasets/nyu-mll/glue/resolve/bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c";

/// The embedded model with as many positions as the preset's texts are long.
fn model(files: &mut BTreeMap<String, Vec<u8>>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny");
    let mut config: Value = serde_json::from_slice(&std::fs::read(dir.join("config.json")).unwrap()).unwrap();
    config["max_position_embeddings"] = json!(128);
    files.insert(format!("/{MODEL}/config.json"), config.to_string().into_bytes());
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        files.insert(format!("/{MODEL}/{file}"), std::fs::read(dir.join(file)).unwrap());
    }
    let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let longer =
        |name: &str, data: &[u8]| if name.contains("position") { data.repeat(2) } else { data.to_vec() };
    let owned: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = (tensors.tensors().into_iter())
        .map(|(name, tensor)| {
            let data = longer(&name, tensor.data());
            let mut shape = tensor.shape().to_vec();
            shape[0] *= data.len() / tensor.data().len();
            (name, tensor.dtype(), shape, data)
        })
        .collect();
    let views = owned
        .iter()
        .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    files.insert(format!("/{MODEL}/model.safetensors"), serialize(views, None).unwrap());
}

/// RTE as the hub has it: labels are numbers whose names stand in the file's metadata.
fn rte(rows: usize) -> Vec<u8> {
    let schema = "message rte { required binary sentence1 (UTF8); required binary sentence2 (UTF8); \
                  required int64 label; required int64 idx; }";
    let names = r#"{"info": {"features": {"sentence1": {"dtype": "string", "_type": "Value"},
        "sentence2": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["entailment", "not_entailment"], "_type": "ClassLabel"},
        "idx": {"dtype": "int32", "_type": "Value"}}}}"#;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), names.to_owned())]))
        .build();
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let animals = ["dog", "cat", "bird", "horse"];
    let texts = |offset: usize| -> Vec<ByteArray> {
        (0..rows)
            .map(|row| {
                format!("the {} sees a {}", animals[row % 4], animals[(row + offset) % 4]).as_str().into()
            })
            .collect()
    };
    let numbers = |of: &dyn Fn(usize) -> i64| (0..rows).map(of).collect::<Vec<_>>();
    for values in [texts(0), texts(1)] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    for values in [numbers(&|row| (row % 2) as i64), numbers(&|row| row as i64)] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

struct Hub {
    server: Server,
    home: TempDir,
}

impl Hub {
    fn new() -> Self {
        let mut files = BTreeMap::new();
        model(&mut files);
        files.insert(format!("/{DATA}/rte/train-00000-of-00001.parquet"), rte(48));
        files.insert(format!("/{DATA}/rte/validation-00000-of-00001.parquet"), rte(16));
        let server = Server::start(move |request| match files.get(&request.path) {
            None => Reply::new("404 Not Found").with("X-Error-Code", "EntryNotFound"),
            Some(file) => {
                let commit = request.path.split('/').rev().find(|part| part.len() == 40).unwrap();
                let etag = if file.len() > 10_000 { sha256(file) } else { git_hash(file) };
                content(request, file).with("X-Repo-Commit", commit).with("ETag", format!("\"{etag}\""))
            }
        });
        Self { server, home: tempfile::tempdir().unwrap() }
    }

    /// The program, which knows nothing but this hub.
    fn lottery(&self, words: &[&str], offline: bool) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lottery"))
            .args(words)
            .current_dir(self.home.path())
            .env_clear()
            .env("HF_HOME", self.home.path().join("hf"))
            .env("HF_ENDPOINT", &self.server.url)
            .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

const RUN: &[&str] = &["run", "--task", "rte", "--mode", "good", "--json", "--set", "train.epochs=1"];

#[test]
fn a_task_alone_fetches_the_papers_model_and_data_once_and_records_their_commits() {
    let hub = Hub::new();
    let (code, _, told) = hub.lottery(RUN, true);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("hf download google-bert/bert-base-uncased --revision 86b5e09"), "{told}");
    assert!(told.contains("--model DIR"), "{told}");
    assert!(hub.server.requests().is_empty());

    let (code, record, told) = hub.lottery(RUN, false);
    assert_eq!(code, 0, "{told}");
    for said in ["google-bert/bert-base-uncased at 86b5e0934494", "nyu-mll/glue at bcdcba79d07b"] {
        assert!(told.contains(said), "{told}");
    }
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["model"]["name"], "google-bert/bert-base-uncased");
    assert_eq!(record["model"]["revision"], "86b5e0934494bd15c9632b12f734a8a67f723594");
    assert_eq!(record["data"]["name"], "nyu-mll/glue");
    assert_eq!(record["data"]["revision"], "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c");
    assert_eq!(record["data"]["train"]["examples"], 48);

    // Everything is in the cache: no request, on the network or not, and no stage is computed again.
    let before = hub.server.requests().len();
    for offline in [false, true] {
        let (code, again, told) = hub.lottery(RUN, offline);
        assert_eq!(code, 0, "{told}");
        assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["stages"], record["stages"]);
    }
    let (code, _, told) =
        hub.lottery(&["sweep", "--tasks", "rte", "--set", "train.epochs=1", "--quiet"], true);
    assert_eq!(code, 0, "{told}");
    assert_eq!(hub.server.requests().len(), before);
}

#[test]
fn data_are_fetched_verified_and_found_damaged() {
    let hub = Hub::new();
    let (code, _, told) = hub.lottery(&["data", "fetch"], false);
    assert!(code == 2 && told.contains("glue for all nine"), "{told}");
    let (code, out, told) = hub.lottery(
        &[
            "data",
            "fetch",
            "rte",
            "--model",
            "google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594",
        ],
        false,
    );
    assert_eq!(code, 0, "{told}");
    assert!(out.contains("rte: ") && out.contains("datasets--nyu-mll--glue"), "{out}");
    let (_, out, _) = hub.lottery(&["data", "list", "--json"], true);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let rte = listed["tasks"].as_array().unwrap().iter().find(|task| task["task"] == "rte").unwrap();
    assert!(rte["cached"].as_str().unwrap().contains("datasets--nyu-mll--glue"), "{rte}");
    assert!(listed["models"][0]["cached"].is_string(), "{listed}");

    // The hashes are right; the numbers of examples are not RTE's.
    let (code, out, _) = hub.lottery(&["data", "verify", "rte"], true);
    assert_eq!(code, 3);
    assert!(out.contains("48 / 16 examples instead of 2490 / 277"), "{out}");
    let snapshots = hub.home.path().join("hf/hub/datasets--nyu-mll--glue/snapshots");
    let file = std::fs::read_dir(&snapshots).unwrap().next().unwrap().unwrap().path();
    let blob = std::fs::canonicalize(file.join("rte/train-00000-of-00001.parquet")).unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let (code, out, _) = hub.lottery(&["data", "verify", "rte", "--json"], true);
    assert_eq!(code, 3);
    let verified: Value = serde_json::from_str(&out).unwrap();
    let fault = verified["verified"][0]["faults"][0].as_str().unwrap();
    assert!(fault.starts_with("rte/train-00000-of-00001.parquet: its "), "{fault}");
}
