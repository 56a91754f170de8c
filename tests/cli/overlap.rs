//! `lottery overlap`: tickets of seeds and tasks against chance.

use serde_json::Value;

use crate::fixture::{Bench, lottery, refused, succeeded};

fn report(bench: &Bench, more: &[&str]) -> Value {
    let output = succeeded(&mut bench.verb("overlap", &[more, &["--json"]].concat()));
    serde_json::from_slice(&output.stdout).expect("stdout holds JSON alone")
}

#[test]
fn tickets_of_seeds_and_tasks_are_compared_with_chance_by_layer() {
    let bench = Bench::new("SST-2");
    bench.write_task("MRPC");
    refused(&mut bench.verb("overlap", &[]), 2, &["no two tickets", "sweep"]);
    for (task, seed) in [("sst2", "1"), ("sst2", "2"), ("mrpc", "1")] {
        for (method, mode) in [("imp", "good"), ("imp", "random"), ("one-shot", "good"), ("omp", "good")] {
            bench.record(task, &["--method", method, "--mode", mode, "--sparsity", "0.5", "--seed", seed]);
        }
    }
    let found = report(&bench, &[]);
    let groups = found["overlap"].as_array().unwrap();
    assert_eq!(groups.len(), 3, "one for each method");
    for group in groups {
        let (title, pairs) = (group["tickets"].as_str().unwrap(), group["pairs"].as_array().unwrap());
        assert!(title.contains("sparsity 0.5"), "{title}");
        let number =
            |value: &Value, key: &str| value[key].as_f64().unwrap_or_else(|| panic!("{key} of {value}"));
        for pair in pairs {
            // The two of one task and the two of one seed; tickets that differ in both are not compared.
            let (tasks, seeds) = (&pair["tasks"], &pair["seeds"]);
            assert!((tasks[0] == tasks[1]) != (seeds[0] == seeds[1]), "{pair}");
            let layers = pair["layers"].as_object().unwrap();
            for key in ["total", "both", "expected", "variance"] {
                let sum: f64 = layers.values().map(|layer| number(layer, key)).sum();
                assert!((sum - number(pair, key)).abs() < 1e-9 * sum.max(1.0), "{key}: {pair}");
            }
            let [kept, other] = [0, 1].map(|n| pair["kept"][n].as_f64().unwrap());
            let union = kept + other - number(pair, "both");
            assert!((number(pair, "jaccard") - number(pair, "both") / union).abs() < 1e-12);
            match pair["kind"].as_str().unwrap() {
                // Large weights stay large.
                "weights" => {
                    assert_eq!(
                        layers.keys().collect::<Vec<_>>(),
                        ["0", "1", "other"],
                        "the pooler is in no layer"
                    );
                    assert!(number(pair, "deviations") > 10.0, "{pair}");
                }
                "heads" | "FFNs" => assert_eq!(layers.keys().collect::<Vec<_>>(), ["0", "1"]),
                other => panic!("{other}"),
            }
        }
        let of_weights = !title.contains("one-shot");
        // Nothing of the pre-trained model's own weights depends on task or seed but its pooler's, which it has.
        if title.contains("omp") {
            assert!(pairs.iter().all(|pair| number(pair, "jaccard") == 1.0), "{pairs:?}");
        }
        assert_eq!(pairs.len(), if of_weights { 2 } else { 4 }, "{title}");
    }
    let one = report(&bench, &["--method", "imp", "--task", "sst2"]);
    assert_eq!(one["overlap"][0]["pairs"].as_array().unwrap().len(), 1);
    let table = succeeded(&mut bench.verb("overlap", &["--method", "imp", "--layers"]));
    let table = String::from_utf8(table.stdout).unwrap();
    for wanted in ["sst2 over seeds", "mrpc and sst2", "by chance", "other", "all"] {
        assert!(table.contains(wanted), "{wanted} is not in {table}");
    }
    units_have_the_shares_of_tasks(&bench);
}

/// `lottery report`: Ticket Importance and Task Share, of the scores in the tickets.
fn units_have_the_shares_of_tasks(bench: &Bench) {
    let mut command = lottery();
    command
        .args(["report", "runs", "--stages", "--table", "task_share", "--json"])
        .current_dir(bench.root.path());
    let found: Value = serde_json::from_slice(&succeeded(&mut command).stdout).unwrap();
    let rows = found["tables"]["task_share"].as_array().unwrap();
    // Two layers of four heads and an FFN, for two tasks.
    assert_eq!(rows.len(), 2 * 2 * (4 + 1));
    let scores = |task: &str, seed: &str| {
        let record = bench
            .record(task, &["--method", "one-shot", "--mode", "good", "--sparsity", "0.5", "--seed", seed]);
        let scored: Value =
            serde_json::from_slice(&bench.stage_file("runs", &record, "score", "importance.json")).unwrap();
        scored["heads"][1][2].as_f64().unwrap()
    };
    let of_tasks = [scores("mrpc", "1"), (scores("sst2", "1") + scores("sst2", "2")) / 2.0];
    let of_unit: Vec<&Value> =
        rows.iter().filter(|row| row["unit"] == "head" && row["layer"] == 2 && row["head"] == 3).collect();
    let sum = of_tasks[0] + of_tasks[1];
    for (n, (task, seeds)) in [("mrpc", 1), ("sst2", 2)].into_iter().enumerate() {
        let row = of_unit.iter().find(|row| row["task"] == task).unwrap();
        assert_eq!((&row["method"], &row["n"]), (&"one-shot".into(), &seeds.into()));
        assert!((row["importance"].as_f64().unwrap() - sum / 2.0).abs() < 1e-12, "{row}");
        assert!((row["share"].as_f64().unwrap() - of_tasks[n] / sum).abs() < 1e-12, "{row}");
    }
    let mut command = lottery();
    command.args(["report", "runs", "--stages", "--figures", "figures"]).current_dir(bench.root.path());
    succeeded(&mut command);
    let captions = std::fs::read_to_string(bench.path("figures/figures.md")).unwrap();
    assert!(captions.contains("(mrpc 1, sst2 2)") && captions.contains("task-share-one-shot"), "{captions}");
}
