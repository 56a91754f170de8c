//! `lottery report` on real records: a ticket and its controls over three seeds, and one run of other settings.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Output,
    sync::{Arc, Mutex, Weak},
};

use parquet::record::{Field, Row};
use serde_json::{Value, json};

use crate::fixture::{Bench, json_file, lottery, refused, stderr, succeeded};

const SEEDS: [u64; 3] = [1, 2, 3];

/// The store that the tests here read: made by the first of them, removed with the last.
fn bench() -> Arc<Bench> {
    static BENCH: Mutex<Weak<Bench>> = Mutex::new(Weak::new());
    let mut place = BENCH.lock().unwrap();
    if let Some(bench) = place.upgrade() {
        return bench;
    }
    let bench = Bench::new("SST-2");
    for mode in ["good", "bad", "random"] {
        for seed in SEEDS {
            bench.record("sst2", &["--mode", mode, "--seed", &seed.to_string()]);
        }
    }
    bench.record("sst2", &["--seed", "1", "--set", "train.learning_rate=1e-3"]);
    let bench = Arc::new(bench);
    *place = Arc::downgrade(&bench);
    bench
}

fn report(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = lottery();
    succeeded(command.args(["report", "runs"]).args(arguments).current_dir(bench.root.path()))
}

fn document(bench: &Bench, arguments: &[&str]) -> Value {
    serde_json::from_slice(&report(bench, &[arguments, &["--json"]].concat()).stdout).unwrap()
}

fn record(bench: &Bench, mode: &str, seed: u64) -> Value {
    let dir = bench.path(&format!("runs/results/sst2/heads+ffns/{mode}"));
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let records = names.map(|path| json_file(&path)).filter(|record| record["seed"] == seed);
    let usual = |record: &Value| record["config"]["train"]["learning_rate"] == 3e-3;
    records.into_iter().find(usual).unwrap()
}

fn scores(bench: &Bench, mode: &str, part: &str) -> Vec<f64> {
    SEEDS
        .iter()
        .map(|seed| record(bench, mode, *seed)[part]["metrics"]["accuracy"].as_f64().unwrap())
        .collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A row of a Parquet file, by column.
fn by_column(row: &Row) -> Value {
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => json!(flag),
        Field::Long(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        other => panic!("{other:?}"),
    };
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn near(found: &Value, wanted: f64) {
    assert!((found.as_f64().unwrap() - wanted).abs() < 1e-12, "{found} in the place of {wanted}");
}

#[test]
fn runs_of_equal_settings_are_averaged_and_no_others() {
    let bench = &*bench();
    let rows = document(bench, &[])["tables"]["results"].as_array().unwrap().clone();
    let named: Vec<(&str, u64, bool)> = rows
        .iter()
        .map(|row| {
            let settings = row["settings"].as_str().unwrap();
            (
                row["mode"].as_str().unwrap(),
                row["n"].as_u64().unwrap(),
                settings.contains("train.learning_rate=0.003"),
            )
        })
        .collect();
    assert_eq!(named, [("good", 1, false), ("good", 3, true), ("random", 3, true), ("bad", 3, true)]);
    for row in &rows[1..] {
        let mode = row["mode"].as_str().unwrap();
        for part in ["full", "pruned", "retrained"] {
            let values = scores(bench, mode, part);
            near(&row[format!("{part}_mean")], mean(&values));
            let squares: f64 = values.iter().map(|value| (value - mean(&values)).powi(2)).sum();
            near(&row[format!("{part}_std")], (squares / 2.0).sqrt());
        }
        assert_eq!((&row["seeds"], &row["heads_total"]), (&json!("1 2 3"), &json!(8)));
    }
    assert_eq!((&rows[0]["full_std"], &rows[0]["seeds"]), (&Value::Null, &json!("1")));
}

#[test]
fn tickets_are_compared_with_controls_and_full_models_by_seed_and_by_example() {
    let bench = &*bench();
    let document = document(bench, &["--stages"]);
    assert_eq!(document["left_out"], json!([]));
    let rows = document["tables"]["comparisons"].as_array().unwrap();
    let of = |first: &str, second: &str| {
        let is = |row: &&Value| row["first"] == first && row["second"] == second && row["n"] == 3;
        rows.iter().find(is).unwrap_or_else(|| panic!("{first} {second}"))
    };
    for (mode, part) in
        [("bad", "pruned"), ("random", "pruned"), ("bad", "retrained"), ("random", "retrained")]
    {
        let row = of(&format!("good {part}"), &format!("{mode} {part}"));
        near(&row["difference"], mean(&scores(bench, "good", part)) - mean(&scores(bench, mode, part)));
        // The same difference, of the stored predictions.
        near(&row["examples_difference"], row["difference"].as_f64().unwrap());
        assert_eq!(row["p_mcnemar"].as_str().unwrap().split(' ').count(), 3);
        assert!(row["examples_low"].as_f64() <= row["examples_high"].as_f64());
    }
    near(&of("good retrained", "full model")["second_mean"], mean(&scores(bench, "good", "full")));
    let p: Vec<f64> = rows.iter().filter_map(|row| row["p_t"].as_f64()).collect();
    let holm: Vec<f64> = rows.iter().filter_map(|row| row["p_holm"].as_f64()).collect();
    assert!(p.len() == holm.len() && p.iter().zip(&holm).all(|(p, holm)| p <= holm));
    let agreement = document["tables"]["agreement"].as_array().unwrap();
    assert!(
        agreement
            .iter()
            .all(|row| row["n"] == 3 && row["fleiss_kappa"].as_f64().is_none_or(|kappa| kappa <= 1.0))
    );
    assert!(agreement.iter().any(|row| row["fleiss_kappa"].is_f64() && row["jaccard_expected"].is_f64()));
    assert!(agreement.iter().any(|row| row["importance_spearman"].is_f64()));
}

#[test]
fn damaged_records_are_named_counted_and_left_out_and_strict_refuses_them() {
    let bench = Bench::new("SST-2");
    bench.record("sst2", &["--seed", "1"]);
    let place = "runs/results/sst2/heads+ffns/good";
    let whole = fs::read_to_string(bench.path(&format!("{place}/seed-1.json"))).unwrap();
    bench.write(&format!("{place}/seed-2.json"), &whole[..whole.len() / 2]);
    bench.write(&format!("{place}/seed-3.json"), "{}");
    bench.write(&format!("{place}/seed-4.json"), "[[[[");
    let output = report(&bench, &["--json"]);
    let said = stderr(&output);
    for seed in [2, 3, 4] {
        assert!(said.contains(&format!("seed-{seed}.json")), "{said}");
    }
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["records"], document["ignored"].as_array().unwrap().len()), (&json!(1), 3));
    let mut strict = lottery();
    strict.args(["report", "runs", "--strict", "--out", "tables.txt"]).current_dir(bench.root.path());
    refused(&mut strict, 3, &["3 files among the records were left out"]);
}

#[test]
fn every_format_has_the_same_rows() {
    let bench = &*bench();
    let csv = report(bench, &["--long", "--format", "csv"]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<BTreeMap<String, String>> = reader
        .records()
        .map(|row| head.iter().cloned().zip(row.unwrap().iter().map(str::to_owned)).collect())
        .collect();
    assert_eq!(rows.len(), 10);
    let bad = rows.iter().find(|row| row["mode"] == "bad" && row["seed"] == "2").unwrap();
    assert_eq!(bad["pruned"].parse::<f64>().unwrap(), scores(bench, "bad", "pruned")[1]);
    assert!(
        bad["again"].starts_with("lottery run --config ") && Path::new(&bad["record"]).starts_with("results")
    );
    report(bench, &["--long", "--format", "parquet", "--out", "runs.parquet"]);
    let file = fs::File::open(bench.path("runs.parquet")).unwrap();
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
    let read: Vec<Value> = reader.into_iter().map(|row| by_column(&row.unwrap())).collect();
    assert_eq!(read.len(), 10);
    for (row, wanted) in read.iter().zip(&rows) {
        assert_eq!(row["retrained"].as_f64().unwrap(), wanted["retrained"].parse::<f64>().unwrap());
        assert_eq!(row["seed"].to_string(), wanted["seed"]);
    }
    let text = |format: &str| String::from_utf8(report(bench, &["--format", format]).stdout).unwrap();
    let (markdown, latex, terminal) = (text("markdown"), text("latex"), text("terminal"));
    let full = format!("{:.4} ±", mean(&scores(bench, "good", "full")));
    assert!(markdown.contains(&full) && terminal.contains(&full), "{markdown}{terminal}");
    assert!(latex.contains(&full.replace('±', "$\\pm$")) && latex.contains("\\toprule"), "{latex}");
    assert!(terminal.ends_with("10 records\n"), "{terminal}");
}

#[test]
fn published_numbers_stand_beside_ours_with_their_source() {
    let bench = &*bench();
    let rows =
        document(bench, &["--published", "prasanna2020"])["tables"]["published"].as_array().unwrap().clone();
    let row = rows
        .iter()
        .find(|row| row["mode"] == "good" && row["part"] == "pruned" && row["n"] == 3)
        .expect("the good ticket's row");
    assert_eq!((row["published_mean"].as_f64(), &row["verified"]), (Some(0.841972), &json!(true)));
    near(&row["ours_mean"], mean(&scores(bench, "good", "pruned")));
    let text = String::from_utf8(report(bench, &["--published", "chen2020", "--format", "markdown"]).stdout)
        .unwrap();
    assert!(text.contains("NOT VERIFIED") && text.contains("Table 2"), "{text}");
}

#[test]
fn figures_are_files_and_the_page_holds_everything_itself() {
    let bench = &*bench();
    report(bench, &["--stages", "--figures", "figures", "--html", "report.html"]);
    let names: Vec<String> = crate::fixture::files(&bench.path("figures"))
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for start in ["scores-", "survivors-", "layers-", "importance-sst2-", "importance-by-step-"] {
        for end in [".svg", ".png", ".pdf"] {
            assert!(
                names.iter().any(|name| name.starts_with(start) && name.ends_with(end)),
                "{start}{end}: {names:?}"
            );
        }
    }
    let captions = fs::read_to_string(bench.path("figures/figures.md")).unwrap();
    assert!(captions.contains("3 seeds") && captions.contains("one standard deviation"), "{captions}");
    let page = fs::read_to_string(bench.path("report.html")).unwrap();
    for part in [
        "<svg",
        "data-sort=\"",
        "id=\"warnings\"",
        "lottery run --config ",
        "results/sst2/heads+ffns/bad/seed-2.json",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing is fetched.
    let links = page.split(['"', '\'']).filter(|text| text.starts_with("http"));
    assert_eq!(links.filter(|link| *link != "http://www.w3.org/2000/svg").count(), 0);
    // Written again they are the same, to the byte.
    report(bench, &["--stages", "--figures", "again", "--html", "again.html"]);
    assert_eq!(fs::read_to_string(bench.path("again.html")).unwrap(), page);
    for name in names {
        let [first, again] = ["figures", "again"].map(|to| fs::read(bench.path(to).join(&name)).unwrap());
        assert!(first == again, "{name}");
    }
}

#[test]
fn two_modes_settings_and_records_are_compared_seed_by_seed() {
    let bench = &*bench();
    let compare = |arguments: &[&str]| -> Value {
        let mut command = lottery();
        let output =
            succeeded(command.arg("compare").args(arguments).arg("--json").current_dir(bench.root.path()));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let modes = compare(&["mode=good,train.learning_rate=3e-3", "mode=bad"]);
    let rows = modes["tables"]["comparisons"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| &row["n"]).collect::<Vec<_>>(), [3, 3, 3]);
    for (row, part) in rows.iter().zip(["full", "pruned", "retrained"]) {
        assert_eq!(row["settings"], "mode good → bad");
        near(&row["difference"], mean(&scores(bench, "good", part)) - mean(&scores(bench, "bad", part)));
        near(&row["examples_difference"], row["difference"].as_f64().unwrap());
    }
    assert_eq!(modes["left_out"], json!([]));
    let rates = compare(&["train.learning_rate=3e-3,mode=good", "train.learning_rate=0.001"]);
    let rows = rates["tables"]["comparisons"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["n"] == 1 && row["settings"] == "train.learning_rate 0.003 → 0.001"),
        "{rates}"
    );
    let dir = "runs/results/sst2/heads+ffns";
    let same = compare(&[&format!("{dir}/bad/seed-2.json"), &format!("{dir}/bad/seed-2.json")]);
    assert!(same["tables"]["comparisons"].as_array().unwrap().iter().all(|row| row["difference"] == 0.0));
    assert!(same["tables"]["masks"].as_array().unwrap().iter().all(|row| row["jaccard"] == 1.0));
    let mut none = lottery();
    none.args(["compare", "mode=good", "mode=inverse"]).current_dir(bench.root.path());
    refused(&mut none, 2, &["mode=inverse has no records"]);
    let mut word = lottery();
    word.args(["compare", "runs", "nothing"]).current_dir(bench.root.path());
    refused(&mut word, 2, &["nothing is no store, no record and no settings"]);
}

#[test]
fn what_cannot_be_reported_is_refused_with_the_remedy() {
    let bench = &*bench();
    for (arguments, code, part) in [
        (&["report", "none"][..], 3, "none. Name it with --store"),
        (&["report", "runs", "--table", "result"], 2, "did you mean results?"),
        (&["report", "runs", "--table", "matching"], 2, "has no rows for the table matching"),
        (&["report", "runs", "--published", "prasanna"], 2, "did you mean prasanna2020?"),
        (&["report", "runs", "--margin", "0"], 2, "--margin: expected a difference"),
        (&["report", "runs", "--format", "markdwn"], 2, "did you mean markdown?"),
    ] {
        let mut command = lottery();
        command.args(arguments).current_dir(bench.root.path());
        refused(&mut command, code, &[part]);
    }
}

#[test]
fn results_samples_and_mlflow_runs_hold_the_records() {
    let bench = &*bench();
    report(bench, &["--stages", "--lm-eval", "harness", "--mlflow", "mlruns"]);
    let files = |dir: &str| -> Vec<_> {
        let found = crate::fixture::files(&bench.path(dir));
        found.into_iter().map(|path| bench.path(dir).join(path)).collect()
    };
    let all = files("harness");
    assert_eq!(all.len(), 20, "results and samples of ten runs");
    let good = record(bench, "good", 2);
    let is_of = |results: &Value| {
        let settings = &results["config"]["model_args"]["settings"];
        settings == &good["config"]
    };
    let results: Vec<_> = all.iter().filter(|path| path.extension().unwrap() == "json").collect();
    let (path, results) =
        results.iter().map(|path| (path, json_file(path))).find(|(_, results)| is_of(results)).unwrap();
    let samples = path.with_file_name(
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .replace("results_", "samples_sst2_")
            .replace("json", "jsonl"),
    );
    let samples = fs::read_to_string(samples).unwrap();
    let samples: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for part in ["full", "pruned", "retrained"] {
        let score = good[part]["metrics"]["accuracy"].as_f64().unwrap();
        assert_eq!(results["results"]["sst2"][format!("accuracy,{part}")], score);
        let right: Vec<f64> = samples
            .iter()
            .filter(|sample| sample["filter"] == part)
            .map(|sample| {
                assert_eq!(sample["accuracy"] == 1.0, sample["target"] == sample["filtered_resps"][0]);
                sample["accuracy"].as_f64().unwrap()
            })
            .collect();
        assert_eq!(right.len() as u64, good["data"]["dev"]["examples"].as_u64().unwrap());
        assert!((mean(&right) - score).abs() < 1e-6, "{part}");
    }
    let runs = files("mlruns");
    let named = |end: &str| runs.iter().filter(|path| path.ends_with(end)).collect::<Vec<_>>();
    assert_eq!(named("artifacts/record.json").len(), 10);
    let home = named("artifacts/record.json").into_iter().find(|path| json_file(path) == good).unwrap();
    let home = home.parent().unwrap().parent().unwrap();
    let read = |name: &str| fs::read_to_string(home.join(name)).unwrap();
    assert_eq!(read("params/train.learning_rate"), good["config"]["train"]["learning_rate"].to_string());
    let metric = read("metrics/retrained.accuracy");
    let score = metric.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap();
    assert_eq!(Some(score), good["retrained"]["metrics"]["accuracy"].as_f64());
}

#[test]
fn spreads_are_over_seeds_and_over_learning_rates() {
    let bench = &*bench();
    let rows = document(bench, &[])["tables"]["sensitivity"].as_array().unwrap().clone();
    let of = |over: &str, second: &str| {
        let is = |row: &&Value| row["over"] == over && row["second"] == second;
        rows.iter().find(is).unwrap_or_else(|| panic!("{over} {second}"))
    };
    let deviation = |values: &[f64]| {
        let squares: f64 = values.iter().map(|value| (value - mean(values)).powi(2)).sum();
        (squares / (values.len() as f64 - 1.0)).sqrt()
    };
    let row = of("seeds", "bad retrained");
    assert_eq!(
        (&row["first"], &row["first_n"], &row["second_n"]),
        (&json!("good retrained"), &json!(3), &json!(3))
    );
    near(&row["first_std"], deviation(&scores(bench, "good", "retrained")));
    near(&row["second_std"], deviation(&scores(bench, "bad", "retrained")));
    // One seed of another rate beside the mean of three.
    let row = of("learning rates", "full model");
    let dir = bench.path("runs/results/sst2/heads+ffns/good");
    let other = fs::read_dir(dir).unwrap().map(|entry| json_file(&entry.unwrap().path()));
    let other = other.into_iter().find(|record| record["config"]["train"]["learning_rate"] == 1e-3).unwrap();
    let score = |part: &str| other[part]["metrics"]["accuracy"].as_f64().unwrap();
    assert_eq!(row["first_n"], 2);
    near(&row["first_std"], deviation(&[mean(&scores(bench, "good", "retrained")), score("retrained")]));
    near(&row["second_std"], deviation(&[mean(&scores(bench, "good", "full")), score("full")]));
}

/// Methods and tasks in one store: transfers beside the task's own ticket, and figures that show each scoring once and name
/// what differs within their method.
#[test]
fn tickets_of_other_tasks_and_methods_stand_beside_a_task_s_own() {
    let bench = Bench::new("SST-2");
    bench.write_task("MRPC");
    let seeds = ["1", "2"];
    let record = |task: &str, more: &[&str]| -> Vec<Value> {
        seeds.iter().map(|seed| bench.record(task, &[&["--seed", seed], more].concat())).collect()
    };
    let imp = ["--method", "imp", "--sparsity", "0.2"];
    let own = record("mrpc", &imp);
    record("mrpc", &["--method", "imp", "--sparsity", "0.4"]);
    let taken = record("mrpc", &[&imp[..], &["--ticket-from", "sst2"]].concat());
    let omp = record("mrpc", &["--method", "omp", "--sparsity", "0.2"]);
    for level in ["prune.level=2", "prune.level=5"] {
        for mode in ["good", "random"] {
            let by_tokens = ["--set", level, "--mode", mode, "--set", "importance.estimator=token"];
            record("mrpc", &[&["--method", "one-shot"], &by_tokens[..]].concat());
        }
    }
    let retrained = |records: &[Value]| {
        let scores: Vec<f64> = records
            .iter()
            .map(|record| {
                record["retrained"]["metrics"][record["metric"].as_str().unwrap()].as_f64().unwrap()
            })
            .collect();
        mean(&scores)
    };
    let report = document(&bench, &["--stages"]);
    let rows = report["tables"]["transfer"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{rows:?}");
    for (row, (source, records)) in rows.iter().zip([("mrpc", &own), ("sst2", &taken), ("pre-trained", &omp)])
    {
        assert_eq!((&row["task"], &row["ticket_of"], &row["n"]), (&json!("mrpc"), &json!(source), &json!(2)));
        assert_eq!((&row["level"], &row["settings"]), (&json!("sparsity 0.2"), &json!("")));
        near(&row["retrained_mean"], retrained(records));
        near(&row["relative"], retrained(records) / retrained(&own));
    }
    self::report(&bench, &["--stages", "--figures", "figures"]);
    let captions = fs::read_to_string(bench.path("figures/figures.md")).unwrap();
    let titles: Vec<&str> = captions.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let of = |start: &str| titles.iter().filter(|title| title.starts_with(start)).count();
    for (start, figures) in [
        ("Score by size of several methods: mrpc", 1),
        ("Score by size: mrpc imp", 1),
        ("Score by size: mrpc one-shot", 1),
        ("Transfer of tickets: imp sparsity 0.2", 1),
        ("Super tickets: gain of the best level", 1),
        ("Heads and FFNs left by layer: mrpc one-shot", 1),
        // One scoring, two levels.
        ("Importances: mrpc one-shot", 1),
    ] {
        assert_eq!(of(start), figures, "{start}: {titles:?}");
    }
    assert!(!captions.contains("importance.estimator"), "{captions}");
    let levels = succeeded(lottery().arg("levels").current_dir(bench.root.path()));
    let levels = String::from_utf8(levels.stdout).unwrap();
    assert!(levels.contains("over 2 seeds"), "{levels}");
}
