//! The five modes, and what their records say.

use lottery::{choice::Choice, prune::Estimator};
use serde_json::Value;
use std::collections::BTreeSet;

use crate::fixture::{Bench, DEV, TRAIN, stderr, succeeded, tiny};

const UNITS: [&str; 2] = ["heads_kept", "ffns_kept"];

fn ones(strings: &[Value]) -> usize {
    strings.iter().map(|row| row.as_str().unwrap().matches('1').count()).sum()
}

fn strings(ticket: &Value) -> Vec<Value> {
    let mut all = ticket["heads"].as_array().unwrap().clone();
    all.push(ticket["ffns"].clone());
    all
}

/// Every documented field, and that those which depend on each other agree.
fn assert_well_formed(record: &Value, mode: &str) {
    assert_eq!(record["format_version"], 1);
    assert_eq!(record["lottery_version"], env!("CARGO_PKG_VERSION"));
    for (key, value) in
        [("task", "sst2"), ("metric", "accuracy"), ("method", "heads+ffns"), ("preset", "prasanna2020")]
    {
        assert_eq!(record[key], value, "{key}");
    }
    assert_eq!((record["mode"].as_str(), record["seed"].as_u64()), (Some(mode), Some(1337)));

    let model = &record["model"];
    assert_eq!(model["name"], "model");
    assert_eq!(model["sha256"].as_str().unwrap().len(), 64);
    for (key, size) in [("layers", 2), ("heads", 4), ("hidden", 32), ("ffn", 64)] {
        assert_eq!(model[key], size, "{key}");
    }

    for stage in ["full", "pruned", "retrained"] {
        let accuracy = record[stage]["metrics"]["accuracy"].as_f64().unwrap();
        let hits = accuracy * DEV as f64;
        assert!((0.0..=1.0).contains(&accuracy) && (hits - hits.round()).abs() < 1e-9, "{stage}: {accuracy}");
    }
    let baseline = record["full"]["baseline"].as_f64().unwrap();
    assert!((0.5..1.0).contains(&baseline), "{baseline}");

    let ticket = &record["ticket"];
    assert_eq!(ticket["heads"].as_array().unwrap().len(), 2);
    for row in ticket["heads"].as_array().unwrap() {
        assert_eq!(row.as_str().unwrap().len(), 4);
    }
    assert_eq!(ticket["ffns"].as_str().unwrap().len(), 2);
    assert_eq!(ticket["heads_kept"], ones(ticket["heads"].as_array().unwrap()));
    assert_eq!(ticket["ffns_kept"], ones(std::slice::from_ref(&ticket["ffns"])));
    assert_eq!((ticket["heads_total"].as_u64(), ticket["ffns_total"].as_u64()), (Some(8), Some(2)));
    assert_shares_follow_from_the_units(ticket);

    let importance = &record["importance"];
    assert_eq!(
        (importance["estimator"].as_str(), importance["split"].as_str()),
        (Some("example"), Some("dev"))
    );
    for key in ["finetune_s", "retrain_s", "train_tokens_per_s"] {
        assert!(record["timing"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    let device = &record["device"];
    assert_eq!((device["kind"].as_str(), device["dtype"].as_str()), (Some("cpu"), Some("f32")));
    assert_eq!(device["threads"], 1);
    assert!(!device["name"].as_str().unwrap().is_empty());
    assert_eq!(record["config"]["train"]["learning_rate"], 3e-3);
    assert_eq!(record["config"]["search"]["threshold"], 0.9);
    assert!(record["warnings"].as_array().unwrap().iter().all(Value::is_string));

    let stages = record["stages"].as_object().unwrap();
    assert!(stages["finetune"].as_str().unwrap().starts_with("finetune-"));
    match mode {
        "full" => {
            assert!(!stages.contains_key("search"));
            assert!(ticket["stage"].is_null() && record["timing"]["search_s"].is_null());
        }
        _ => {
            assert!(stages["search"].as_str().unwrap().starts_with("search-"));
            assert_eq!(ticket["stage"], stages["search"]);
            assert!(record["timing"]["search_s"].as_f64().unwrap() > 0.0);
            assert_eq!(importance["norm"], "layer-l2+minmax");
        }
    }
}

/// The shares of weights are those of the published BERT's layers: a head owns 4·H·d weights and 3·d biases, an FFN
/// 2·H·F weights and F + H biases; LayerNorms and the bias of the attention's output stay.
fn assert_shares_follow_from_the_units(ticket: &Value) {
    let config = tiny();
    let (h, f, d) = (config.hidden_size, config.intermediate_size, config.head_size());
    let (head, ffn, rest) = (4 * h * d + 3 * d, 2 * h * f + f + h, h + 4 * h);
    let left = |heads: usize, ffns: usize| (heads * head + ffns * ffn + 2 * rest) as f64;
    let kept = UNITS.map(|key| ticket[key].as_u64().unwrap() as usize);
    let share = ticket["encoder_weights_kept"].as_f64().unwrap();
    let expected = left(kept[0], kept[1]) / left(8, 2);
    // Whether the bias and the LayerNorm of an FFN that is gone count as left is a matter of a few weights.
    assert!((share - expected).abs() < 0.01, "{share} {expected}");
    let all = ticket["all_weights_kept"].as_f64().unwrap();
    assert!(all >= share && all <= 1.0, "{all} {share}");
}

#[test]
fn every_mode_of_a_seed_gives_its_subnetwork_and_a_whole_record() {
    let bench = Bench::new("SST-2");
    let [good, bad, random, inverse, full] = ["good", "bad", "random", "inverse", "full"].map(|mode| {
        let record = bench.record("sst2", &["--mode", mode]);
        assert_well_formed(&record, mode);
        record
    });

    let size = |record: &Value| UNITS.map(|key| record["ticket"][key].as_u64().unwrap());
    assert!(size(&good)[0] > 0 && size(&good) < [8, 2], "the search has nothing to show: {:?}", size(&good));
    assert_eq!(size(&bad), size(&good));
    assert_eq!(size(&random), size(&good));
    assert_eq!(size(&full), [8, 2]);
    for (kept, pruned) in strings(&good["ticket"]).iter().zip(strings(&inverse["ticket"])) {
        let complement = kept.as_str().unwrap().chars().map(|unit| if unit == '1' { '0' } else { '1' });
        assert_eq!(pruned.as_str().unwrap(), complement.collect::<String>());
    }

    let accuracy = |record: &Value, stage: &str| record[stage]["metrics"]["accuracy"].as_f64().unwrap();
    let whole = accuracy(&full, "full");
    assert!(whole > 0.85, "the tiny model has learnt nothing: {whole}");
    assert!(accuracy(&good, "pruned") >= 0.9 * whole);
    for record in [&good, &bad, &random, &inverse] {
        assert_eq!(record["full"], full["full"]);
    }
    // The whole model once more is the whole model.
    assert_eq!(accuracy(&full, "retrained"), whole);
    assert_eq!(full["stages"]["retrain"], full["stages"]["finetune"]);
}

#[test]
fn the_ticket_is_the_records_and_each_of_its_steps_has_the_importances_that_decided_it() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let ticket: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "search", "ticket.json")).unwrap();
    for key in ["heads", "ffns"] {
        assert_eq!(ticket[key], record["ticket"][key]);
    }
    for (key, value) in [
        ("task", "sst2"),
        ("method", "heads+ffns"),
        ("estimator", "example"),
        ("metric", "accuracy"),
        ("split", "dev"),
    ] {
        assert_eq!(ticket[key], value, "{key}");
    }
    assert_eq!((ticket["layers"].as_u64(), ticket["heads_per_layer"].as_u64()), (Some(2), Some(4)));
    // Scored on the split that is also reported.
    assert_eq!(ticket["full_score"], record["full"]["metrics"]["accuracy"]);
    assert_eq!(ticket["score"], record["pruned"]["metrics"]["accuracy"]);

    let steps = ticket["steps"].as_array().unwrap();
    let (mut heads, mut ffns) = (8, 2);
    for step in steps {
        assert!(["joint", "heads", "ffns"].contains(&step["phase"].as_str().unwrap()));
        assert_eq!(step["importance"]["heads"].as_array().unwrap().len(), 2);
        assert_eq!(step["importance"]["heads"][0].as_array().unwrap().len(), 4);
        assert_eq!(step["importance"]["ffns"].as_array().unwrap().len(), 2);
        let reached = step["score"].as_f64().unwrap() >= 0.9 * ticket["full_score"].as_f64().unwrap();
        assert_eq!(step["accepted"].as_bool().unwrap(), reached);
        if reached {
            heads -= step["pruned_heads"].as_array().unwrap().len();
            ffns -= step["pruned_ffns"].as_array().unwrap().len();
        }
    }
    assert!(steps.iter().any(|step| step["accepted"] == true));
    assert_eq!(record["ticket"]["heads_kept"], heads);
    assert_eq!(record["ticket"]["ffns_kept"], ffns);
}

#[test]
fn the_methods_heads_and_ffns_prune_nothing_of_the_other_kind() {
    let bench = Bench::new("SST-2");
    let heads = bench.record("sst2", &["--method", "heads"]);
    assert_eq!((heads["method"].as_str(), heads["ticket"]["ffns"].as_str()), (Some("heads"), Some("11")));
    assert!(heads["ticket"]["heads_kept"].as_u64().unwrap() < 8);
    let ffns = bench.record("sst2", &["--method", "ffns"]);
    assert_eq!((ffns["method"].as_str(), ffns["ticket"]["heads_kept"].as_u64()), (Some("ffns"), Some(8)));
    assert!(ffns["ticket"]["ffns_kept"].as_u64().unwrap() < 2);
    assert_eq!(heads["stages"]["finetune"], ffns["stages"]["finetune"]);
}

#[test]
fn the_record_warns_of_a_shared_split_and_only_then() {
    let bench = Bench::new("SST-2");
    let shared = |record: &Value| {
        let warnings = record["warnings"].as_array().unwrap();
        warnings.iter().any(|warning| warning.as_str().unwrap().contains("share the dev split"))
    };
    assert!(shared(&bench.record("sst2", &[])));
    for split in ["heldout:0.2", "train:20"] {
        let record = bench.record("sst2", &["--set", &format!("importance.split={split}")]);
        assert!(!shared(&record), "{split}");
        assert_eq!(record["importance"]["split"], split);
        let ticket = bench.stage_file("runs", &record, "search", "ticket.json");
        let ticket: Value = serde_json::from_slice(&ticket).unwrap();
        let examples = if split == "train:20" { 20 } else { TRAIN / 5 };
        let hits = ticket["full_score"].as_f64().unwrap() * examples as f64;
        assert!((hits - hits.round()).abs() < 1e-9, "{split}: not scored on {examples} examples");
    }
}

#[test]
fn the_record_counts_the_examples_and_those_that_were_cut() {
    let bench = Bench::new("SST-2");
    let of = |settings: &[&str]| {
        let output = succeeded(&mut bench.run("sst2", &[settings, &["--json", "--mode", "full"]].concat()));
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        (record["data"].clone(), stderr(&output))
    };
    let (whole, said) = of(&[]);
    assert_eq!(whole["train"]["examples"], TRAIN);
    assert_eq!((&whole["train"]["of_max_length"], &whole["scoring"]), (&0.into(), &Value::Null));
    assert!(!said.contains("cut"), "{said}");
    // Every sentence of these is longer than two words and three signs.
    let (cut, said) = of(&["--set", "data.max_length=8", "--set", "importance.split=heldout:0.5"]);
    let [train, scoring] = ["train", "scoring"].map(|split| cut[split]["of_max_length"].as_u64().unwrap());
    assert!(train > 0 && cut["train"]["tokens"].as_u64().unwrap() <= 8 * TRAIN as u64 / 2, "{cut}");
    assert_eq!(cut["train"]["examples"], cut["scoring"]["examples"]);
    assert!(scoring > 0 && said.contains(&format!("{train} training and ")), "{said}");
    assert!(
        said.contains("have the maximum of 8 tokens; longer ones are truncated (data.max_length)"),
        "{said}"
    );
    assert_eq!(cut["sha256"], whole["sha256"]);
}

#[test]
fn a_model_that_learnt_nothing_is_warned_of_and_its_search_runs_out_of_units() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--set", "train.learning_rate=1e-9", "--set", "train.epochs=1"]);
    let warnings = record["warnings"].to_string();
    assert!(warnings.contains("no better than the majority class"), "{warnings}");
    assert!(warnings.contains("ran out of units"), "{warnings}");
    assert_eq!(
        (record["ticket"]["heads_kept"].as_u64(), record["ticket"]["ffns_kept"].as_u64()),
        (Some(0), Some(0))
    );
}

#[test]
fn the_parity_preset_runs_as_its_published_code_does() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--preset", "prasanna2020-code", "--mode", "random"]);
    assert_eq!(record["preset"], "prasanna2020-code");
    assert_eq!(record["importance"]["estimator"], "cumulative");
    assert_eq!(record["importance"]["norm"], "layer-l2+minmax, pruned units included");
    assert_eq!(record["config"]["search"]["stale"], true);
    assert_eq!(record["config"]["control"]["random"], "bernoulli");
    // It differs in scoring and drawing alone, so the fine-tuned model is shared.
    assert_eq!(record["stages"]["finetune"], bench.record("sst2", &[])["stages"]["finetune"]);
}

#[test]
fn every_estimator_gives_a_ticket() {
    let bench = Bench::new("SST-2");
    let tickets = Estimator::names().into_iter().map(|estimator| {
        let record = bench.record("sst2", &["--set", &format!("importance.estimator={estimator}")]);
        assert_eq!(record["importance"]["estimator"], estimator);
        record["stages"]["search"].as_str().unwrap().to_owned()
    });
    let distinct: BTreeSet<String> = tickets.collect();
    assert_eq!(distinct.len(), Estimator::names().len());
    for (norm, named) in [("global", "minmax"), ("none", "none"), ("layer-l2", "layer-l2+minmax")] {
        let record = bench.record("sst2", &["--set", &format!("importance.norm={norm}")]);
        assert_eq!(record["importance"]["norm"], named);
        // The usual norm is that of runs which do not name it.
        let id = record["stages"]["search"].as_str().unwrap();
        assert_eq!(distinct.contains(id), norm == "layer-l2", "{norm}");
    }
}
