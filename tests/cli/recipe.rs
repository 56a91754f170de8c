//! Other recipes than the default one: that of Liang et al. 2021, the best epoch, and a share of the training examples.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fixture::{Bench, TRAIN, lottery, stderr, succeeded};

fn stage(bench: &Bench, record: &Value, name: &str) -> Value {
    serde_json::from_slice(&bench.stage_file("runs", record, name, "stage.json")).unwrap()
}

#[test]
fn the_best_epoch_is_named_in_stage_and_record_with_a_warning_of_the_split_that_chose_it() {
    let bench = Bench::new("SST-2");
    let last = bench.record("sst2", &[]);
    let best = bench.record("sst2", &["--set", "train.select=best-epoch"]);
    for (model, name) in [("full", "finetune"), ("retrained", "retrain")] {
        let info = stage(&bench, &best, name);
        let scores: Vec<f64> = serde_json::from_value(info["epoch_scores"].clone()).unwrap();
        assert_eq!(scores.len(), 3);
        let epoch = info["selected_epoch"].as_u64().unwrap() as usize;
        assert!(scores[..epoch - 1].iter().all(|score| *score < scores[epoch - 1]), "{scores:?} {epoch}");
        assert!(scores.iter().all(|score| *score <= scores[epoch - 1]));
        assert_eq!(best[model]["epoch"], epoch);
        assert_eq!(best[model]["metrics"]["accuracy"], scores[epoch - 1]);
        assert_eq!(last[model]["epoch"], Value::Null);
        assert_eq!(stage(&bench, &last, name)["epoch_scores"], Value::Null);
        // The same training, of which other weights may be kept.
        assert_eq!(info["epoch_losses"], stage(&bench, &best, name)["epoch_losses"]);
    }
    let losses = |record| stage(&bench, record, "finetune")["epoch_losses"].clone();
    assert_eq!(losses(&best), losses(&last));
    let warning = json!("the best epoch was selected on the dev split, which is also the one reported");
    assert!(best["warnings"].as_array().unwrap().contains(&warning));
    assert!(!last["warnings"].as_array().unwrap().contains(&warning));
    assert_ne!(best["stages"]["finetune"], last["stages"]["finetune"]);
}

#[test]
fn liangs_recipe_says_that_a_model_has_fewer_positions_and_runs_where_the_length_is_given() {
    let bench = Bench::new("CoLA");
    let line = ["--task", "cola", "--model", "model", "--data", "glue", "--preset", "liang2021-code"];
    let output = lottery().arg("run").args(line).current_dir(bench.root.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("`--set data.max_length=64` or less"), "{said}");
    // The bench's own settings lie over epochs, batch, rate and length.
    let record = bench.record("cola", &["--preset", "liang2021-code", "--mode", "bad"]);
    let config = &record["config"];
    for (key, value) in [("optimizer", "adamax"), ("schedule", "liang2021"), ("batches", "contiguous")] {
        assert_eq!(config["train"][key], value);
    }
    let dropouts = ["dropout", "attention_dropout", "classifier_dropout"].map(|key| &config["train"][key]);
    assert_eq!(dropouts, [&json!(0.1), &json!(0.1), &json!(0.05)]);
    let saved: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "finetune", "config.json")).unwrap();
    assert_eq!(saved["classifier_dropout"], 0.05);
    assert_eq!(record["importance"]["estimator"], "token-cumulative");
    assert_eq!(
        (&record["importance"]["split"], &record["data"]["scoring"]["examples"]),
        (&json!("train"), &json!(TRAIN))
    );
    assert_eq!(record["data"]["scoring"], record["data"]["train"]);
}

#[test]
fn each_setting_of_a_recipe_is_another_training_and_the_defaults_are_none() {
    let bench = Bench::new("SST-2");
    let finetuned = |settings: &[&str]| {
        let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
        let record = bench.record("sst2", &[&["--mode", "full"] as &[&str], &settings].concat());
        record["stages"]["finetune"].as_str().unwrap().to_owned()
    };
    let usual = finetuned(&[]);
    let defaults = ["optimizer=adamw", "schedule=linear", "batches=shuffled", "select=last"];
    let defaults = defaults.map(|set| format!("train.{set}"));
    let same: Vec<&str> =
        defaults.iter().map(String::as_str).chain(["data.fraction=1", "seeds.data=5"]).collect();
    assert_eq!(finetuned(&same), usual);
    let others = [
        "train.optimizer=adamax",
        "train.schedule=liang2021",
        "train.batches=contiguous",
        "train.select=best-epoch",
        "train.classifier_dropout=0.3",
        "data.fraction=0.5",
    ];
    let mut all: BTreeSet<String> = others.iter().map(|other| finetuned(&[other])).collect();
    all.extend([usual, finetuned(&["data.fraction=0.5", "seeds.data=5"])]);
    assert_eq!(all.len(), 2 + others.len());
}

#[test]
fn a_share_of_the_training_examples_is_named_by_its_hash_and_is_what_is_held_out_from() {
    let bench = Bench::new("STS-B");
    let quarter = bench.record("stsb", &["--mode", "full", "--set", "data.fraction=0.25"]);
    let found = &quarter["data"]["fraction"];
    assert_eq!((&found["share"], &found["seed"], &found["of"]), (&json!(0.25), &json!(1337), &json!(TRAIN)));
    assert_eq!(quarter["data"]["train"]["examples"], TRAIN / 4);
    let limited = ["--set", "data.fraction=0.25", "--set", "data.train_limit=80", "--seed", "42"];
    let heldout =
        bench.record("stsb", &[&limited as &[&str], &["--set", "importance.split=heldout:0.25"]].concat());
    assert_eq!(
        (&heldout["data"]["fraction"]["of"], &heldout["data"]["fraction"]["seed"]),
        (&json!(80), &json!(42))
    );
    let examples = |part: &str| heldout["data"][part]["examples"].clone();
    assert_eq!((examples("train"), examples("scoring")), (json!(15), json!(5)));
    assert_ne!(heldout["data"]["fraction"]["blake3"], found["blake3"]);
    assert_eq!(bench.record("stsb", &["--mode", "full"])["data"]["fraction"], Value::Null);
}

#[test]
fn a_share_is_an_axis_of_a_sweep_and_questions_have_shares_too() {
    let bench = Bench::new("SQuAD");
    let set = ["--set", "data.fraction=0.25,0.5"];
    let mut line = bench.arguments("runs", "squad", &[crate::fixture::SQUAD, &set].concat());
    line[0] = "sweep".to_owned();
    line.iter_mut().filter(|word| *word == "--task").for_each(|word| *word = "--tasks".to_owned());
    let mut sweep = lottery();
    sweep.args(&line).args(["--modes", "full", "--dry-run", "--json"]).current_dir(bench.root.path());
    let output = succeeded(&mut sweep);
    let plan = String::from_utf8(output.stdout).unwrap();
    for share in ["0.25", "0.5"] {
        assert!(plan.contains(share), "{plan}");
    }
    let set = ["--mode", "full", "--set", "data.fraction=0.25"];
    let record = bench.record("squad", &[crate::fixture::SQUAD, &set].concat());
    assert_eq!(record["data"]["train"]["examples"], TRAIN / 4);
}
