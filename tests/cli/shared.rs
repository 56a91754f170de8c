//! Several tasks on one encoder: `run --with`.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::{
    fixture::{Bench, done_stages, lottery, refused, stderr, succeeded},
    output::plain,
    processes::{has, wait_until},
};

const LEVEL: [&str; 4] = ["--method", "one-shot", "--set", "prune.level=3"];

const STEPWISE: [&str; 5] = ["--json", "--set", "train.epochs=12", "--set", "run.checkpoint_every=0"];

fn bench() -> Bench {
    let bench = Bench::new("SST-2");
    ["MRPC", "STS-B"].into_iter().for_each(|task| bench.write_task(task));
    bench
}

fn with<'a>(tasks: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--with", tasks], &LEVEL[..], more].concat()
}

#[test]
fn tickets_of_several_tasks_are_trained_on_one_encoder_and_each_has_its_record() {
    let bench = bench();
    let alone = bench.record("mrpc", &LEVEL);
    let record = |task, tasks, more: &[&str]| bench.record(task, &with(tasks, more));
    // The run's own task may be named or left out, in any order.
    let mrpc = record("mrpc", "sst2,stsb", &[]);
    let all = ["stsb,mrpc,sst2"].map(|tasks| record("sst2", tasks, &[]))[0].clone();
    let stsb = record("stsb", "mrpc,sst2", &[]);
    let shared = |record: &Value| record["stages"]["shared"].as_str().unwrap().to_owned();
    assert_eq!([shared(&all), shared(&stsb)], [shared(&mrpc), shared(&mrpc)]);
    for (node, same) in [("finetune", true), ("search", true), ("evaluate", true), ("retrain", false)] {
        assert_eq!(alone["stages"][node] == mrpc["stages"][node], same, "{node}");
    }
    assert_eq!((&alone["full"], &alone["pruned"]), (&mrpc["full"], &mrpc["pruned"]));
    // What is learnt together is learnt: this task from the words that the other has too.
    assert!(all["retrained"]["metrics"]["accuracy"].as_f64().unwrap() > 0.8, "{}", all["retrained"]);
    // Its config has the dropouts of the training.
    let dropouts = ["--mode", "full", "--set", "train.dropout=0.25", "--set", "train.attention_dropout=0.3"];
    let dropped = record("mrpc", "sst2", &dropouts);
    let config: Value =
        serde_json::from_slice(&bench.stage_file("runs", &dropped, "retrain", "config.json")).unwrap();
    assert_eq!(
        (&config["hidden_dropout_prob"], &config["attention_probs_dropout_prob"]),
        (&json!(0.25), &json!(0.3))
    );
    // Its model is as small as its ticket, and is evaluated as any other.
    let id = mrpc["stages"]["retrain"].as_str().unwrap();
    let output = succeeded(&mut bench.verb("eval", &[id, "--task", "mrpc", "--data", "glue", "--json"]));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["metrics"], mrpc["retrained"]["metrics"]);
    // Without tickets the whole encoder is shared, and other settings are other trainings.
    let full = record("mrpc", "sst2", &["--mode", "full"]);
    let tempered = record("mrpc", "sst2", &["--mode", "full", "--set", "shared.temper=0.5"]);
    assert_eq!(full["ticket"]["heads_kept"], full["ticket"]["heads_total"]);
    let different: std::collections::BTreeSet<_> = [&mrpc, &full, &tempered].map(shared).into();
    assert_eq!(different.len(), 3);
    assert_eq!(
        full["config"]["shared"],
        json!({ "tasks": ["sst2"], "temper": 1.0, "finetune": false, "masked_units": "frozen" })
    );
    // Drifting units, another rate and a dropout of one task are other trainings, and for each task the same.
    let options = [
        &["--set", "shared.masked_units=drifting"][..],
        &["--set", "shared.learning_rate=1e-4"],
        &["--set", "tasks.mrpc.prune.level=2"],
        &["--set", "train.classifier_dropout=0.1", "--set", "tasks.mrpc.train.classifier_dropout=0.3"],
    ];
    let of_options = options.map(|more| {
        let [mrpc, sst2] = [record("mrpc", "sst2,stsb", more), record("sst2", "mrpc,stsb", more)];
        assert_eq!(shared(&mrpc), shared(&sst2), "{more:?}");
        assert_eq!(sst2["ticket"]["heads_kept"], all["ticket"]["heads_kept"]);
        (shared(&mrpc), mrpc["ticket"]["heads_kept"].clone())
    });
    let different: std::collections::BTreeSet<_> = of_options.iter().map(|(id, _)| id).collect();
    assert_eq!((different.len(), different.contains(&shared(&mrpc))), (4, false));
    assert!(of_options[2].1.as_u64() > of_options[0].1.as_u64());
    // Trained once more, alone, under the ticket.
    let after = record("mrpc", "sst2,stsb", &["--set", "shared.finetune=true"]);
    assert_eq!(shared(&after), shared(&mrpc));
    assert_ne!(after["stages"]["retrain"], mrpc["stages"]["retrain"]);
    let weights = |record: &Value| bench.stage_file("runs", record, "retrain", "model.safetensors");
    assert!(weights(&after) != weights(&mrpc));
}

#[test]
fn reports_compare_tickets_with_whole_models_of_a_shared_encoder_over_seeds_and_rates() {
    let bench = bench();
    // At the preset's rate, and at one of their own.
    for rate in [&[][..], &["--set", "shared.finetune_learning_rate=0.0005"]] {
        for (mode, seed) in [("good", "1"), ("good", "2"), ("full", "1"), ("full", "2")] {
            let own = ["--mode", mode, "--seed", seed, "--set", "shared.finetune=true"];
            bench.record("mrpc", &with("sst2", &[&own, rate].concat()));
        }
    }
    let mut report = lottery();
    report.args(["report", "runs", "--json"]).current_dir(bench.root.path());
    let found: Value = serde_json::from_slice(&succeeded(&mut report).stdout).unwrap();
    let rows = |table: &str, over: Option<&str>| -> Vec<Value> {
        let rows = found["tables"][table].as_array().unwrap().iter();
        let wanted = rows.filter(|row| {
            row["second"] == "full retrained" && row.get("over").and_then(Value::as_str) == over
        });
        wanted.cloned().collect()
    };
    assert_eq!((rows("comparisons", None).len(), rows("sensitivity", Some("seeds")).len()), (2, 2));
    let over_rates = rows("sensitivity", Some("learning rates"));
    assert_eq!(
        (over_rates.len(), &over_rates[0]["first_n"], &over_rates[0]["second_n"]),
        (1, &json!(2), &json!(2))
    );
    // The single task's model knows nothing of the rate of what follows.
    let rates = found["tables"]["sensitivity"].as_array().unwrap().iter();
    assert!(rates.filter(|row| row["over"] == "learning rates").all(|row| row["second"] != "full model"));
}

#[test]
fn a_task_that_shares_with_none_is_trained_as_alone() {
    let bench = bench();
    let alone = bench.record("mrpc", &["--mode", "full"]);
    let record = bench.record("mrpc", &["--mode", "full", "--with", "mrpc"]);
    assert_eq!(record["retrained"], alone["retrained"]);
    let weights = |record: &Value| bench.stage_file("runs", record, "retrain", "model.safetensors");
    assert!(weights(&record) == weights(&alone));
}

#[test]
fn a_shared_training_that_is_killed_resumes_to_the_same_weights() {
    let bench = bench();
    let whole = bench.record_in("whole", "mrpc", &with("sst2,stsb", &["--set", "train.epochs=12"]));
    let (mut kills, mut resumed) = (0, 0);
    let record: Value = loop {
        let mut run = plain(&bench, &bench.arguments("runs", "mrpc", &with("sst2,stsb", &STEPWISE)));
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // From the first step on, at moments in no order, longer and longer where the machine is slow.
        let began = wait_until(&mut run, || has(&bench.path("runs"), "shared", None));
        std::thread::sleep(Duration::from_micros(3_000 + kills * 7919 % 60_000 + kills * 500));
        if began && run.try_wait().unwrap().is_none() {
            run.kill().unwrap();
            kills += 1;
        }
        let output = run.wait_with_output().unwrap();
        resumed += stderr(&output).matches("resuming after step ").count();
        if output.status.success() {
            break serde_json::from_slice(&output.stdout).unwrap();
        }
    };
    assert!(kills >= 3 && resumed >= 3, "killed {kills} times, resumed {resumed} times");
    for node in ["shared", "retrain"] {
        let weights = |store, record| bench.stage_file(store, record, node, "model.safetensors");
        assert!(weights("runs", &record) == weights("whole", &whole), "{node}");
    }
}

#[test]
fn removed_weights_of_a_shared_training_are_trained_again() {
    let bench = bench();
    let line = with("sst2", &["--keep", "tickets"]);
    let first = bench.record("mrpc", &line);
    let stages = done_stages(&bench.path("runs"));
    let after = bench.record("mrpc", &with("sst2", &["--set", "shared.finetune=true"]));
    assert_eq!(after["stages"]["shared"], first["stages"]["shared"]);
    assert_eq!(done_stages(&bench.path("runs")).len(), stages.len() + 2);
}

#[test]
fn what_tasks_that_share_cannot_have_is_refused_with_what_helps() {
    let bench = bench();
    bench.write_task("SQuAD");
    for (line, code, words) in [
        (&["--with", "sst2", "--init", "random"][..], 2, "Leave out --init"),
        (&["--with", "sst2", "--method", "magnitude", "--sparsity", "0.3"], 2, "by heads and FFNs"),
        (&["--with", "sst3"], 2, "sst2"),
        (
            &["--with", "sst2", "--ticket-from", "cola", "--method", "one-shot"],
            2,
            "Leave out --ticket and --ticket-from",
        ),
        (&["--with", "cola"], 3, "CoLA"),
        (&["--with", "sst2", "--set", "tasks.sst2.train.epochs=4"], 2, "Give train.epochs one value for all"),
        (&["--with", "sst2", "--set", "tasks.sst2.train.learning_rate=1e-4"], 2, "Give shared.learning_rate"),
        (
            &[
                "--mode",
                "full",
                "--with",
                "squad",
                "--set",
                "data.doc_stride=8",
                "--set",
                "data.max_question_length=8",
            ],
            2,
            "has no classifier",
        ),
    ] {
        refused(&mut bench.run("mrpc", line), code, &[words]);
    }
}
