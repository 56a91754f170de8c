//! Iterative and gradual pruning: what of a model is rewound, what the learning rate does, and processes that are killed.

use std::fs;
#[cfg(unix)]
use std::{os::unix::process::ExitStatusExt, time::Duration};

use lottery::model::{Head, params::Params, weights::Pretrained};
use serde_json::Value;

use crate::fixture::{Bench, json_file, refused};

const IMP: &[&str] = &["--method", "imp", "--set", "prune.sparsity=0.2"];

fn params(bench: &Bench, folder: &str) -> Params {
    let mut model = Pretrained::load(&bench.path(folder)).unwrap();
    model.build(Head::Classifier { labels: 2 }, 1337, false).unwrap().params
}

fn of_stage(bench: &Bench, record: &Value, node: &str) -> Params {
    params(bench, &format!("runs/stages/{}", record["stages"][node].as_str().unwrap()))
}

fn inputs(bench: &Bench, record: &Value, node: &str) -> Value {
    let id = record["stages"][node].as_str().unwrap();
    json_file(&bench.path(&format!("runs/stages/{id}/stage.json")))["inputs"].clone()
}

#[test]
fn the_head_is_rewound_or_kept_as_the_setting_says() {
    let bench = Bench::new("SST-2");
    let record = |rule: &str, more: &[&str]| {
        let set = format!("prune.head={rule}");
        bench.record("sst2", &[IMP, &["--set", &set], more].concat())
    };
    let [rewound, rounds, kept] = ["rewound", "rounds", "kept"].map(|rule| record(rule, &[]));
    let from = |record: &Value, node: &str| inputs(&bench, record, node)["start"]["head"].clone();
    let finetune = &rewound["stages"]["finetune"];
    assert_eq!([from(&rewound, "round_1"), from(&rewound, "retrain")], [Value::Null, Value::Null]);
    assert_eq!([&from(&rounds, "round_1"), &from(&rounds, "retrain")], [finetune, &Value::Null]);
    assert_eq!([&from(&kept, "round_1"), &from(&kept, "retrain")], [finetune, &kept["stages"]["round_1"]]);
    assert_eq!(rounds["stages"]["round_1"], kept["stages"]["round_1"]);
    let all = [&rewound, &rounds, &kept].map(|record| record["stages"]["retrain"].as_str().unwrap());
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    // The retraining of a shallower ticket is a round of a deeper one, whatever is kept.
    let shallow = record("kept", &["--set", "prune.sparsity=0.1"]);
    assert_eq!(shallow["stages"]["retrain"], kept["stages"]["round_1"]);
}

#[test]
fn one_learning_rate_schedule_may_go_over_all_rounds() {
    let bench = Bench::new("SST-2");
    let record = |rule: &str, more: &[&str]| {
        let set = format!("prune.rates={rule}");
        bench.record("sst2", &[IMP, &["--set", &set], more].concat())
    };
    let whole = record("whole", &[]);
    assert_eq!(inputs(&bench, &whole, "round_0")["part"], serde_json::json!([0, 10]));
    assert_eq!(inputs(&bench, &whole, "round_1")["part"], serde_json::json!([1, 10]));
    // The final training and the full model have a schedule of their own.
    assert_eq!(inputs(&bench, &whole, "retrain")["part"], Value::Null);
    let round = record("round", &[]);
    assert_eq!(whole["stages"]["finetune"], round["stages"]["finetune"]);
    assert!(round["stages"]["round_0"].is_null());
    // Deeper tickets share the rounds.
    let deeper = record("whole", &["--set", "prune.sparsity=0.3"]);
    for node in ["round_0", "prune_1", "round_1", "prune_2"] {
        assert_eq!(deeper["stages"][node], whole["stages"][node], "{node}");
    }
    let losses = |record: &Value, node: &str| {
        let id = record["stages"][node].as_str().unwrap();
        json_file(&bench.path(&format!("runs/stages/{id}/stage.json")))["epoch_losses"].clone()
    };
    assert_ne!(losses(&whole, "round_0"), losses(&whole, "finetune"), "the rate falls by a tenth alone");
}

#[test]
fn weights_under_the_mask_alone_may_be_drawn_anew() {
    let bench = Bench::new("SST-2");
    let still = |init: &str| {
        let settings =
            ["--method", "omp", "--sparsity", "0.5", "--init", init, "--set", "train.learning_rate=1e-30"];
        let record = bench.record("sst2", &settings);
        (of_stage(&bench, &record, "retrain"), record)
    };
    let before = params(&bench, "model");
    let ((masked, record), (random, _)) = (still("random-masked"), still("random"));
    let tensors = record["ticket"]["weights"]["tensors"].as_object().unwrap();
    assert!(tensors.len() > 12);
    let mut drawn = 0;
    for entry in &before.layout.entries {
        let [before, masked, random] = [&before, &masked, &random].map(|p| p.at(&entry.range));
        match tensors.contains_key(&entry.name) {
            true => {
                drawn += 1;
                assert_eq!(masked, random, "{}", entry.name);
                assert!(masked.contains(&0.0) && masked != before);
            }
            false if entry.name == "classifier.weight" => assert_eq!(masked, random),
            false if entry.name == "classifier.bias" => {}
            // What was exactly 0 moves by less than any number that counts.
            false => {
                let differ = before.iter().zip(masked).find(|(a, b)| (*a - *b).abs() > 1e-20);
                assert_eq!(differ, None, "{}", entry.name);
            }
        }
    }
    assert_eq!(drawn, tensors.len());
}

#[test]
fn gradual_pruning_ends_with_as_many_zeros_as_were_asked_for() {
    let bench = Bench::new("SST-2");
    let gmp = ["--method", "gmp", "--sparsity", "0.6"];
    let record = bench.record("sst2", &gmp);
    let weights = &record["ticket"]["weights"];
    let pruned = weights["total"].as_u64().unwrap() - weights["kept"].as_u64().unwrap();
    assert_eq!(pruned, (0.6 * weights["total"].as_f64().unwrap()).round() as u64);
    let trained = of_stage(&bench, &record, "gradual");
    let tensors = weights["tensors"].as_object().unwrap();
    let zeros = |name: &str| trained.named(name).unwrap().1.iter().filter(|w| **w == 0.0).count() as u64;
    for (name, counts) in tensors {
        assert_eq!(zeros(name), counts[1].as_u64().unwrap() - counts[0].as_u64().unwrap(), "{name}");
    }
    // What it leaves is what stands as pruned.
    let metrics = json_file(
        &bench.path(&format!("runs/stages/{}/metrics.json", record["stages"]["gradual"].as_str().unwrap())),
    );
    assert_eq!(record["pruned"]["metrics"], metrics);
    // When it prunes matters.
    let early = bench.record("sst2", &[&gmp[..], &["--set", "prune.end=0.2"]].concat());
    assert_ne!(early["stages"]["gradual"], record["stages"]["gradual"]);
    let wrong = ["--method", "gmp", "--set", "prune.begin=0.9", "--set", "prune.end=0.2"];
    refused(&mut bench.run("sst2", &wrong), 2, &["prune.begin is 0.9", "prune.end"]);
}

/// Every file of weights and masks in a store's stages, by its path.
#[cfg(unix)]
fn outcome(bench: &Bench, store: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let stages = bench.path(store).join("stages");
    let wanted = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap();
        ["model.safetensors", "mask.safetensors", "ticket.json", "predictions.jsonl"]
            .iter()
            .any(|w| name == *w)
    };
    let found = crate::fixture::files(&stages).into_iter().filter(wanted);
    found.map(|path| (path.clone(), fs::read(stages.join(path)).unwrap())).collect()
}

/// Kills the run until it ends, in one store after another, until there were so many kills.
#[cfg(unix)]
fn killed(bench: &Bench, task: &str, arguments: &[&str], kills: usize) {
    use crate::{fixture::stderr, output::plain, processes::signal};
    let arguments = |store: &str| {
        let stepwise = ["--set", "run.checkpoint_every=0"];
        bench.arguments(store, task, &[arguments, &stepwise].concat())
    };
    let run = |store: &str| {
        let mut command = plain(bench, &arguments(store));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let output = run("whole").wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let whole = outcome(bench, "whole");
    assert!(whole.iter().any(|(path, _)| path.ends_with("mask.safetensors")));
    // The same instants each time, in no order.
    let mut random = 7u64;
    let (mut sent, mut went_on) = (0, 0);
    for store in 0.. {
        let store = format!("killed-{store}");
        loop {
            let mut child = run(&store);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_micros(15_000 + (random >> 33) % 150_000));
            if child.try_wait().unwrap().is_none() {
                signal(&child, libc::SIGKILL);
            }
            let output = child.wait_with_output().unwrap();
            went_on += stderr(&output).matches("resuming after step ").count();
            if output.status.success() {
                break;
            }
            assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{}", stderr(&output));
            sent += 1;
        }
        assert!(outcome(bench, &store) == whole, "{store} has other weights or masks");
        if sent >= kills {
            break;
        }
    }
    println!("{task}: killed {sent} times, went on {went_on} times");
    assert!(went_on > 0);
}

#[cfg(unix)]
#[test]
fn iterative_pruning_killed_at_twenty_instants_has_the_same_masks_and_weights() {
    let bench = Bench::new("SST-2");
    killed(&bench, "sst2", &["--method", "imp", "--sparsity", "0.4"], 20);
}

#[cfg(unix)]
#[test]
fn gradual_pruning_and_masked_lm_tickets_that_are_killed_have_the_same_masks_and_weights() {
    let bench = Bench::new("SST-2");
    killed(&bench, "sst2", &["--method", "gmp", "--sparsity", "0.6"], 6);
    let bench = Bench::new("SST-2");
    bench.write("text.txt", crate::pretrain::text());
    killed(
        &bench,
        "mlm",
        &["--text", "text.txt", "--method", "imp", "--sparsity", "0.2", "--set", "train.epochs=6"],
        6,
    );
}
