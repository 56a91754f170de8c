//! `lottery reproduce`: the runs of a published table, on another model, beside its numbers.

use std::fs;

use serde_json::{Value, json};

use crate::fixture::{Bench, json_file, refused, succeeded};

/// One task and two seeds, short.
const SHORT: &[&str] = &[
    "--tasks",
    "sst2",
    "--seeds",
    "1,2",
    "--model",
    "model",
    "--data",
    "glue",
    "--threads",
    "1",
    "--set",
    "data.max_length=16",
    "--set",
    "train.epochs=1",
    "--set",
    "prune.max_steps=3",
];

const FIGURE: &[&str] = &["prasanna2020/figure2"];

fn reproduced(bench: &Bench, arguments: &[&str]) -> Value {
    let all = [FIGURE, SHORT, arguments, &["--json", "--quiet"]].concat();
    serde_json::from_slice(&succeeded(&mut bench.verb("reproduce", &all)).stdout).unwrap()
}

#[test]
fn a_tables_runs_are_made_once_and_stand_beside_its_numbers() {
    let bench = Bench::new("SST-2");
    let before = reproduced(&bench, &["--dry-run"]);
    // Two methods of three modes with two seeds.
    assert_eq!(before["missing"], json!({ "sst2": 12 }));
    assert_eq!(before["cost"]["runs"], 12);
    let cells = before["published"].as_array().unwrap();
    // The full model, and two methods of three modes, pruned and retrained.
    assert_eq!(cells.len(), 13);
    assert!(cells.iter().all(|cell| cell["ours_mean"].is_null() && cell["verdict"] == "no runs"));
    assert!(!bench.path("runs").exists(), "a dry run writes nothing");

    // GLUE's own spelling of the task.
    let words =
        ["prasanna2020/table2", "--tasks", "SST-2", "--seeds", "1", "--data", "glue", "--dry-run", "--json"];
    let spelt: Value =
        serde_json::from_slice(&succeeded(&mut bench.verb("reproduce", &words)).stdout).unwrap();
    assert_eq!(spelt["missing"], json!({ "sst2": 6 }));

    let after = reproduced(&bench, &[]);
    assert_eq!((&after["missing"], &after["cost"]), (&json!({}), &Value::Null));
    let cells = after["published"].as_array().unwrap();
    assert_eq!(cells.len(), 13, "both methods have the same full models");
    let published: Value =
        serde_json::from_str(include_str!("../../src/report/published/prasanna2020.json")).unwrap();
    for cell in cells {
        let text = |key: &str| cell[key].as_str().unwrap_or_default();
        assert_eq!((&cell["n"], text("verdict")), (&json!(2), "cannot be compared: other model"));
        let number = published["cells"].as_array().unwrap().iter().find(|number| {
            ["task", "mode", "part", "metric"].iter().all(|key| number[key] == cell[key])
                && number["method"] == cell["method"]
        });
        assert_eq!(number.unwrap()["mean"], cell["published_mean"]);
        let (method, mode) = match text("part") {
            "full" => ("heads+ffns", "good"),
            _ => (text("method"), text("mode")),
        };
        let dir = bench.path(&format!("runs/results/sst2/{method}/{mode}"));
        let records: Vec<Value> =
            fs::read_dir(dir).unwrap().map(|entry| json_file(&entry.unwrap().path())).collect();
        let score = |record: &Value| record[text("part")]["metrics"]["accuracy"].as_f64().unwrap();
        let mean = records.iter().map(score).sum::<f64>() / 2.0;
        assert!(records.len() == 2 && (cell["ours_mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{cell}");
    }
    let note = "Settings other than the table's: data.max_length=16, train.epochs=1, prune.max_steps=3.";
    assert!(after["notes"].as_array().unwrap().contains(&json!(note)), "{}", after["notes"]);

    // What is gone is missing, and made again alone.
    let record = bench.path("runs/results/sst2/magnitude/bad/seed-2.json");
    let other = bench.path("runs/results/sst2/magnitude/bad/seed-1.json");
    let (written, kept) = (json_file(&record), fs::metadata(&other).unwrap().modified().unwrap());
    fs::remove_file(&record).unwrap();
    let output = succeeded(&mut bench.verb("reproduce", &[FIGURE, SHORT, &["--dry-run"]].concat()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("missing: 1 of 12 runs (sst2 1)\ntime: about "), "{text}");
    assert_eq!(reproduced(&bench, &[])["published"], after["published"]);
    assert_eq!(json_file(&record)["retrained"], written["retrained"]);
    assert_eq!(fs::metadata(&other).unwrap().modified().unwrap(), kept);
}

#[test]
fn super_tickets_are_of_each_seeds_best_level_and_their_deviation_and_weights_are_numbers_of_their_own() {
    let bench = Bench::new("SST-2");
    let cells = |table: &str| -> Vec<Value> {
        let words = [&[table], &SHORT[..3], &["1-3"], &SHORT[4..], &["--json", "--quiet"]].concat();
        let output = succeeded(&mut bench.verb("reproduce", &words));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["missing"], json!({}), "{table}");
        document["published"].as_array().unwrap().clone()
    };
    let score = cells("liang2021/table1").into_iter().find(|cell| cell["part"] == "retrained").unwrap();
    // What the first table has made is all that the others need.
    let [deviation, weights] = ["table6", "table7"].map(|table| {
        let cells = cells(&format!("liang2021/{table}"));
        assert_eq!(cells.len(), 1, "{cells:?}");
        cells[0].clone()
    });

    let dir = bench.path("runs/results/sst2/one-shot/good");
    let records: Vec<Value> =
        fs::read_dir(dir).unwrap().map(|entry| json_file(&entry.unwrap().path())).collect();
    assert_eq!(records.len(), 24, "eight levels of three seeds");
    let best: Vec<&Value> = (1..=3)
        .map(|seed| {
            let of_seed = records.iter().filter(|record| record["seed"] == seed);
            let key = |record: &Value| {
                let level = record["config"]["prune"]["level"].as_f64().unwrap();
                (record["retrained"]["metrics"]["accuracy"].as_f64().unwrap(), -level)
            };
            of_seed.max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap()).unwrap()
        })
        .collect();
    let levels: Vec<String> =
        best.iter().map(|record| record["config"]["prune"]["level"].to_string()).collect();
    let of = |value: &dyn Fn(&Value) -> f64| {
        let values: Vec<f64> = best.iter().map(|record| value(record)).collect();
        let mean = values.iter().sum::<f64>() / 3.0;
        (mean, (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt())
    };
    let accuracy = of(&|record| record["retrained"]["metrics"]["accuracy"].as_f64().unwrap());
    let left = of(&|record| record["ticket"]["encoder_weights_kept"].as_f64().unwrap());
    let is = |cell: &Value, published: [f64; 2], ours: (f64, Option<f64>)| {
        assert_eq!(cell["settings"], format!("levels {}", levels.join(", ")), "{cell}");
        assert_eq!(cell["published_mean"], published[0]);
        assert_eq!(cell["published_std"].as_f64().unwrap_or(-1.0), published[1]);
        assert!((cell["ours_mean"].as_f64().unwrap() - ours.0).abs() < 1e-12, "{cell} {ours:?}");
        let deviates = cell["ours_std"].as_f64();
        assert!((deviates.unwrap_or(-1.0) - ours.1.unwrap_or(-1.0)).abs() < 1e-12, "{cell} {ours:?}");
    };
    is(&score, [0.934, 0.005], (accuracy.0, Some(accuracy.1)));
    is(&deviation, [0.005, -1.0], (accuracy.1, None));
    is(&weights, [0.93, 0.07], (left.0, Some(left.1)));
    assert_eq!((&score["deviation_over"], &deviation["deviation_over"]), (&Value::Null, &json!("seeds")));
}

#[test]
fn deviations_over_learning_rates_are_those_of_the_means_over_seeds() {
    let bench = Bench::new("SST-2");
    bench.write_task("RTE");
    let words =
        [&["liang2021/table8"], SHORT, &["--set", r#"shared.tasks=["rte", "sst2"]"#, "--json", "--quiet"]]
            .concat();
    let output = succeeded(&mut bench.verb("reproduce", &words));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = document["published"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "without tickets and with them");
    for cell in cells {
        let mode = cell["mode"].as_str().unwrap();
        let dir = bench.path(&format!("runs/results/sst2/one-shot/{mode}"));
        let records: Vec<Value> =
            fs::read_dir(dir).unwrap().map(|entry| json_file(&entry.unwrap().path())).collect();
        assert_eq!(records.len(), 6, "three rates of two seeds");
        let means: Vec<f64> = [5e-5, 1e-4, 2e-4]
            .map(|rate| {
                let of = records.iter().filter(|record| {
                    record["config"]["shared"]["finetune_learning_rate"].as_f64().unwrap_or(5e-5) == rate
                });
                of.map(|record| record["retrained"]["metrics"]["accuracy"].as_f64().unwrap()).sum::<f64>()
                    / 2.0
            })
            .to_vec();
        let mean = means.iter().sum::<f64>() / 3.0;
        let deviation = (means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        assert!((cell["ours_mean"].as_f64().unwrap() - deviation).abs() < 1e-12, "{cell} {means:?}");
        assert_eq!((&cell["n"], &cell["deviation_over"]), (&json!(3), &json!("learning rates")));
    }
}

#[test]
fn only_known_tables_and_their_tasks_are_reproduced() {
    let bench = Bench::new("SST-2");
    let refuse = |words: &[&str], parts: &[&str]| refused(&mut bench.verb("reproduce", words), 2, parts);
    refuse(&["prasanna2020/table3"], &["expected prasanna2020/figure2", "did you mean prasanna2020/table2?"]);
    refuse(
        &["chen2020/table2", "--tasks", "snli"],
        &[
            "chen2020/table2 has no scores of snli. It has cola, mnli, mrpc, qnli, qqp, rte, squad, sst2, stsb, wnli.",
        ],
    );
    refuse(&["liang2021/table1", "--workers", "2"], &["--executor slurm"]);
    // Its data set cannot be had: nothing is started.
    let words = [
        "liang2021/table1",
        "--tasks",
        "rte",
        "--model",
        "model",
        "--data",
        "glue",
        "--set",
        "data.max_length=16",
    ];
    let error = refused(&mut bench.verb("reproduce", &words), 3, &["40 of 40 runs cannot start"]);
    assert!(error.contains("RTE"), "{error}");
}
