//! Continuing what another task has learnt: `run --ticket-from TASK --init source`.

use std::fs;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::fixture::{Bench, done_stages, lottery, refused, succeeded};

const LEVEL: [&str; 4] = ["--method", "one-shot", "--set", "prune.level=3"];
const FROM_MRPC: [&str; 4] = ["--ticket-from", "mrpc", "--init", "source"];

fn bench() -> Bench {
    let bench = Bench::new("SST-2");
    ["MRPC", "STS-B"].into_iter().for_each(|task| bench.write_task(task));
    bench
}

fn line<'a>(more: &[&[&'a str]]) -> Vec<&'a str> {
    [&LEVEL[..], &more.concat()].concat()
}

/// What a training that continues a source's last model begins with.
fn from(source: &Value) -> Value {
    json!({ "source": source["stages"]["retrain"], "head": "drawn apart" })
}

/// What the training of a record's last model began with.
fn start(bench: &Bench, record: &Value) -> Value {
    let info = bench.stage_file("runs", record, "retrain", "stage.json");
    serde_json::from_slice::<Value>(&info).unwrap()["inputs"]["start"].clone()
}

#[test]
fn a_model_and_its_ticket_go_on_with_another_task() {
    let bench = bench();
    for mode in ["good", "random", "full"] {
        let mode = ["--mode", mode];
        let source = bench.record("mrpc", &line(&[&mode]));
        let before = done_stages(&bench.path("runs")).len();
        let adapted = bench.record("stsb", &line(&[&mode, &FROM_MRPC]));
        // The source's run is found, all of it, and its last stage is what is continued.
        let own = if mode[1] == "full" { 2 } else { 4 };
        assert!(done_stages(&bench.path("runs")).len() <= before + own);
        assert_eq!(start(&bench, &adapted), from(&source));
        for kept in ["heads_kept", "ffns_kept", "encoder_weights_kept"] {
            assert_eq!(adapted["ticket"][kept], source["ticket"][kept], "{mode:?}");
        }
        // Less data of its own is no less of the source's.
        let part = bench.record("stsb", &line(&[&mode, &FROM_MRPC, &["--set", "data.fraction=0.25"]]));
        assert_eq!(start(&bench, &part), start(&bench, &adapted));
        assert_ne!(part["retrained"], adapted["retrained"]);
    }
    // With the rewound weights it is another training.
    let rewound = bench.record("stsb", &line(&[&FROM_MRPC[..2]]));
    assert_eq!(start(&bench, &rewound), Value::Null);
    // What is given for the source alone is the source's, rewound or not.
    for init in [&FROM_MRPC[..2], &FROM_MRPC] {
        let whole = bench.record("stsb", &line(&[init, &["--set", "tasks.mrpc.prune.level=0"]]));
        assert_eq!(whole["ticket"]["heads_kept"], whole["ticket"]["heads_total"]);
    }
    // A report compares the scores of the tasks that have some of their own.
    bench.record("stsb", &line(&[]));
    let arguments = ["report", "runs", "--stages", "--table", "task_share", "--format", "csv"];
    let output = succeeded(lottery().args(arguments).current_dir(bench.root.path()));
    let shares = String::from_utf8(output.stdout).unwrap();
    assert!([",mrpc,", ",stsb,"].iter().all(|task| shares.contains(task)), "{shares}");
    // A ticket that another task has taken is drawn once, as its own task's.
    let arguments = ["report", "runs", "--stages", "--figures", "figures"];
    succeeded(lottery().args(arguments).current_dir(bench.root.path()));
    let captions = fs::read_to_string(bench.path("figures/figures.md")).unwrap();
    for (start, most) in [("## Survivors: ", 2), ("## Importances: ", 2)] {
        let titles: Vec<&str> = captions.lines().filter_map(|line| line.strip_prefix(start)).collect();
        assert!(titles.len() == most && titles[0].starts_with("mrpc"), "{start}{titles:?}");
        assert!(titles[1].starts_with("stsb") && !titles[1].contains("ticket_from="), "{titles:?}");
    }
}

#[test]
fn the_encoder_is_the_sources_and_the_classifier_is_fresh() {
    let bench = bench();
    // So slow that nothing moves.
    let still = ["--set", "train.learning_rate=1e-12", "--set", "train.epochs=1"];
    let rates = ["--set", "tasks.mrpc.train.learning_rate=0.002", "--set", "tasks.mrpc.train.epochs=2"];
    let source =
        bench.record("mrpc", &line(&[&["--set", "train.learning_rate=0.002", "--set", "train.epochs=2"]]));
    let adapted = bench.record("stsb", &line(&[&FROM_MRPC, &still, &rates]));
    assert_eq!(start(&bench, &adapted), from(&source));
    assert_eq!(adapted["config"]["tasks"]["mrpc"]["train"]["epochs"], 2);
    let alone = bench.record("stsb", &line(&[&["--mode", "full"], &still]));
    let [theirs, ours, fresh] = [&source, &adapted, &alone]
        .map(|record| bench.stage_file("runs", record, "retrain", "model.safetensors"));
    let [theirs, ours, fresh] =
        [&theirs, &ours, &fresh].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
    let values = |file: &SafeTensors, name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let mut compared = 0;
    for name in ours.names().into_iter().filter(|name| !name.starts_with("classifier")) {
        let (own, expected) = (values(&ours, name), values(&theirs, name));
        assert_eq!(own.len(), expected.len(), "{name}");
        assert!(own.iter().zip(&expected).all(|(own, expected)| (own - expected).abs() < 1e-9), "{name}");
        compared += 1;
    }
    // The seed's own classifier is that which the source began with.
    let [own, seeds] = [&ours, &fresh].map(|file| values(file, "classifier.weight"));
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = product(&own, &seeds) / (product(&own, &own) * product(&seeds, &seeds)).sqrt();
    assert!(cosine.abs() < 0.6, "{cosine}");
    assert!((0.5..2.0).contains(&(product(&own, &own) / product(&seeds, &seeds)).sqrt()));
    assert!(values(&ours, "classifier.bias").iter().all(|bias| bias.abs() < 1e-9));
    assert!(compared > 30);
}

#[test]
fn an_encoder_that_tasks_have_shared_goes_on_with_another_one() {
    let bench = bench();
    let shared = ["--with", "mrpc,sst2"];
    let source = bench.record("mrpc", &line(&[&shared]));
    let adapted = bench.record("stsb", &line(&[&shared, &FROM_MRPC]));
    assert_eq!(start(&bench, &adapted), from(&source));
    // Its own training is alone.
    assert_eq!(adapted["stages"].get("shared"), None);
}

#[test]
fn weights_of_the_source_that_were_removed_are_trained_again() {
    let bench = bench();
    let kept = bench.record_in("kept", "stsb", &line(&[&FROM_MRPC]));
    bench.record("mrpc", &line(&[&["--keep", "tickets"]]));
    let restored = bench.record("stsb", &line(&[&FROM_MRPC]));
    let weights = |store, record| bench.stage_file(store, record, "retrain", "model.safetensors");
    assert!(weights("kept", &kept) == weights("runs", &restored));
}

#[test]
fn a_source_must_be_named() {
    let bench = bench();
    refused(&mut bench.run("stsb", &["--init", "source"]), 2, &["Give --ticket-from TASK"]);
    refused(
        &mut bench.run("stsb", &line(&[&FROM_MRPC, &["--mode", "super-good"]])),
        2,
        &["Take another mode"],
    );
}
