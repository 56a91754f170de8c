//! A model that is fine-tuned already: `--finetuned` in the place of fine-tuning, and as `--model` a warning.

use std::fs;

use serde_json::Value;

use crate::fixture::{Bench, refused, stderr, succeeded};

/// The fine-tuned model of a run, beside the store.
fn finetuned(bench: &Bench) -> Value {
    let record = bench.record_in("first", "sst2", &[]);
    let stage = bench.path("first/stages").join(record["stages"]["finetune"].as_str().unwrap());
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        bench.write(&format!("own/{name}"), fs::read(stage.join(name)).unwrap());
    }
    record
}

#[test]
fn a_fine_tuned_model_takes_the_place_of_fine_tuning_and_the_rest_is_the_same() {
    let bench = Bench::new("SST-2");
    let first = finetuned(&bench);
    let plan = succeeded(&mut bench.run("sst2", &["--finetuned", "own", "--dry-run"])).stdout;
    assert!(String::from_utf8(plan).unwrap().contains(": the fine-tuned model of own, to be computed"));
    let record = bench.record("sst2", &["--finetuned", "own"]);
    for key in ["full", "pruned", "retrained", "warnings", "metric"] {
        assert_eq!(record[key], first[key], "{key}");
    }
    assert_eq!(record["ticket"]["heads"], first["ticket"]["heads"]);
    assert_ne!(record["stages"]["finetune"], first["stages"]["finetune"]);
    // The subnetwork is rewound to the pre-trained model, as without it.
    assert_eq!(record["stages"]["retrain"], first["stages"]["retrain"]);
    let again = succeeded(&mut bench.run("sst2", &["--finetuned", "own", "--mode", "bad"]));
    assert_eq!(stderr(&again).matches(" steps in ").count(), 1, "{}", stderr(&again));

    // Its weights are restored by reading it again, and only its own.
    succeeded(&mut bench.verb("gc", &["--keep", "tickets"]));
    let restored =
        bench.run("sst2", &["--finetuned", "own", "--set", "search.threshold=0.5"]).output().unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert!(stderr(&restored).contains("weights restored bit for bit"), "{}", stderr(&restored));
}

#[test]
fn a_model_that_was_not_fine_tuned_for_this_is_refused() {
    let bench = Bench::new("SST-2");
    finetuned(&bench);
    let refuse = |wanted: &[&str]| refused(&mut bench.run("sst2", &["--finetuned", "own"]), 3, wanted);
    let config = fs::read_to_string(bench.path("own/config.json")).unwrap();
    let labels = |first: &str, second: &str| {
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["id2label"] = serde_json::json!({ "0": first, "1": second });
        config.to_string()
    };
    bench.write("own/config.json", labels("1", "0"));
    refuse(&["its labels are in another order: 1, 0, and here 0, 1", "--finetuned"]);
    // Names that say nothing of the task are taken in their order.
    bench.write("own/config.json", labels("LABEL_0", "LABEL_1"));
    succeeded(&mut bench.run("sst2", &["--finetuned", "own"]));
    bench.write(
        "own/vocab.txt",
        fs::read_to_string(bench.path("own/vocab.txt")).unwrap().replace("funny\n", "merry\n"),
    );
    refuse(&["its tokenizer is not that of model"]);
    bench.remove("own/vocab.txt");
    bench.write("own/config.json", &config);
    bench.write("own/model.safetensors", fs::read(bench.path("model/model.safetensors")).unwrap());
    refuse(&["it has no classifier"]);
    refused(&mut bench.run("sst2", &["--finetuned", "nowhere"]), 3, &["there is no model folder nowhere"]);
    bench.write_task("MNLI");
    bench.write(
        "own/model.safetensors",
        fs::read(bench.path("first/stages").join(stage(&bench)).join("model.safetensors")).unwrap(),
    );
    refused(
        &mut bench.run("mnli", &["--finetuned", "own"]),
        3,
        &["its classifier has 2 outputs, and mnli has 3 labels"],
    );
}

fn stage(bench: &Bench) -> String {
    let stages = fs::read_dir(bench.path("first/stages")).unwrap().flatten();
    let mut names = stages.map(|entry| entry.file_name().into_string().unwrap());
    names.find(|name| name.starts_with("finetune-")).unwrap()
}

#[test]
fn rewinding_to_a_fine_tuned_model_is_warned_of() {
    let bench = Bench::new("SST-2");
    let first = finetuned(&bench);
    let warns = |record: &Value| {
        let warnings = record["warnings"].as_array().unwrap();
        warnings.iter().any(|warning| warning.as_str().unwrap().starts_with("the model has a classifier"))
    };
    assert!(!warns(&first));
    assert!(warns(&bench.record("sst2", &["--model", "own", "--mode", "full"])));
}
