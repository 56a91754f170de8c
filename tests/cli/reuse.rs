//! What the store saves: nothing is computed twice, and the outcome does not depend on who computed it.

use std::{fs, time::SystemTime};

use serde_json::Value;

use crate::fixture::{Bench, done_stages, files, json_file, printed, refused, stderr, succeeded, tiny};

const FOUND: &str = "found in the store";

/// Every file of the store's stages with the time of its last change.
fn changes(bench: &Bench) -> Vec<(String, SystemTime)> {
    let stages = bench.path("runs/stages");
    let time = |path: &std::path::Path| fs::metadata(stages.join(path)).unwrap().modified().unwrap();
    files(&stages).into_iter().map(|path| (path.to_string_lossy().into_owned(), time(&path))).collect()
}

#[test]
fn the_same_command_again_trains_nothing_and_says_so() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let before = changes(&bench);
    assert_eq!(done_stages(&bench.path("runs")).len(), 4);

    let output = succeeded(bench.run("sst2", &[]).arg("--json"));
    let said = stderr(&output);
    assert_eq!(said.matches(FOUND).count(), 4, "{said}");
    assert!(!said.contains("steps in"), "{said}");
    assert_eq!(printed(&output), record);
    assert_eq!(changes(&bench), before);
}

#[test]
fn a_control_after_the_good_ticket_reuses_the_model_and_the_search() {
    let bench = Bench::new("SST-2");
    let good = bench.record("sst2", &[]);
    let output = succeeded(bench.run("sst2", &["--mode", "bad"]).arg("--json"));
    let bad: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = stderr(&output);
    for stage in ["finetune", "search"] {
        assert_eq!(bad["stages"][stage], good["stages"][stage]);
        let id = good["stages"][stage].as_str().unwrap();
        assert!(said.contains(&format!("{id}: {FOUND}")), "{said}");
    }
    assert_eq!(said.matches(FOUND).count(), 2, "{said}");
    assert_ne!(bad["stages"]["retrain"], good["stages"]["retrain"]);
    assert_eq!(bench.stored_record("runs", &good), good, "the other mode's record was touched");
}

#[test]
fn a_record_of_other_settings_is_kept_beside_the_last_one() {
    let bench = Bench::new("SST-2");
    let quick = ["--mode", "full", "--set", "train.epochs=1"];
    let first = bench.record("sst2", &quick);
    let output = succeeded(&mut bench.run("sst2", &["--mode", "full", "--set", "train.epochs=2"]));
    let said = stderr(&output);
    let results = bench.path("runs/results/sst2/heads+ffns/full");
    let kept = files(&results).into_iter().find(|name| name != "seed-1337.json").unwrap();
    assert!(
        said.contains(&format!("which has other settings, to {}", results.join(&kept).display())),
        "{said}"
    );
    assert_eq!(json_file(&results.join(&kept)), first);
    // Both are there once, whichever came last.
    let mut again = bench.record("sst2", &quick);
    // It was written anew.
    again["provenance"] = first["provenance"].clone();
    assert_eq!(again, first);
    assert_eq!(files(&results).len(), 2);
    assert!(!results.join(&kept).exists());
}

#[test]
fn a_setting_that_changes_the_outcome_changes_the_stages_it_reaches_and_no_other() {
    let bench = Bench::new("SST-2");
    let same = |a: &Value, b: &Value, stage: &str| a["stages"][stage] == b["stages"][stage];
    let usual = bench.record("sst2", &[]);
    let threshold = bench.record("sst2", &["--set", "search.threshold=0.8"]);
    assert!(same(&usual, &threshold, "finetune") && !same(&usual, &threshold, "search"));
    for changed in ["seed=42", "train.dropout=0.2", "data.max_length=16", "seeds.dropout=7"] {
        let record = bench.record("sst2", &["--mode", "full", "--set", changed]);
        assert!(!same(&usual, &record, "finetune"), "{changed}");
    }
    bench.write("glue/SST-2/train.tsv", crate::fixture::table("SST-2", 1000, 160));
    assert!(!same(&usual, &bench.record("sst2", &["--mode", "full"]), "finetune"), "other data");
}

#[test]
fn one_and_two_threads_give_identical_files() {
    let bench = Bench::new("MRPC");
    let one = bench.record_in("one", "mrpc", &["--threads", "1"]);
    let two = bench.record_in("two", "mrpc", &["--threads", "2"]);
    assert_eq!((one["device"]["threads"].as_u64(), two["device"]["threads"].as_u64()), (Some(1), Some(2)));
    assert_eq!(one["stages"], two["stages"]);
    for (stage, names) in [
        ("finetune", &["model.safetensors", "predictions.jsonl", "metrics.json", "config.json"][..]),
        ("search", &["ticket.json"]),
        ("evaluate", &["predictions.jsonl", "metrics.json"]),
        ("retrain", &["model.safetensors", "predictions.jsonl", "metrics.json", "config.json"]),
    ] {
        for name in names {
            let [one, two] = [("one", &one), ("two", &two)]
                .map(|(store, record)| bench.stage_file(store, record, stage, name));
            assert!(one == two, "{stage}: {name} differs");
        }
    }
}

#[test]
fn a_record_names_what_computed_each_stage_and_warns_of_a_mixture() {
    let bench = Bench::new("SST-2");
    let first = bench.record("sst2", &["--threads", "1"]);
    let with_base = |more: &[&str]| -> Value {
        let mut command = bench.run("sst2", &[&["--json", "--threads", "2"], more].concat());
        let output = command.env("LOTTERY_KERNELS", "base").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // Whoever only prints a run has not computed it.
    let again = with_base(&[]);
    for key in ["device", "devices", "timing", "warnings"] {
        assert_eq!(again[key], first[key], "{key}");
    }
    let mixed = with_base(&["--mode", "random"]);
    let kernels = |stage: &str| mixed["devices"][stage]["kernels"].as_str().unwrap().to_owned();
    if kernels("search") == "base" {
        return; // A processor that has no other kernels.
    }
    assert_eq!(kernels("finetune"), kernels("search"));
    assert_eq!(kernels("retrain"), "base");
    assert_eq!(mixed["device"], mixed["devices"]["retrain"]);
    let warned = mixed["warnings"].as_array().unwrap().iter().any(|warning| {
        let warning = warning.as_str().unwrap();
        warning.contains("different devices or kernels") && warning.contains("evaluate, retrain on")
    });
    assert!(warned, "{}", mixed["warnings"]);
}

#[test]
fn the_models_configuration_is_part_of_what_a_stage_depends_on() {
    let bench = Bench::new("SST-2");
    let finetune = |bench: &Bench| {
        bench.record("sst2", &["--mode", "full", "--set", "train.epochs=1"])["stages"]["finetune"].clone()
    };
    let four_heads = finetune(&bench);
    // The same weights, cut into other heads.
    let mut config = tiny();
    config.num_attention_heads = 8;
    bench.write_model(&config);
    assert_ne!(finetune(&bench), four_heads);
}

#[test]
fn a_retrained_model_has_no_units_to_search_and_is_refused() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let folder = format!("runs/stages/{}", record["stages"]["retrain"].as_str().unwrap());
    let wanted = [&folder, "config.json", "this model is already pruned", "Give --model"];
    refused(&mut bench.run("sst2", &["--model", &folder]), 3, &wanted);
}

#[test]
fn the_fine_tuned_model_is_a_model_folder_that_can_be_run_again() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full"]);
    let folder = format!("runs/stages/{}", record["stages"]["finetune"].as_str().unwrap());
    let again = bench.record_in("second", "sst2", &["--model", &folder, "--mode", "full"]);
    assert_eq!(again["model"]["layers"], 2);
}
