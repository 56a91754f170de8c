//! Exported models: what they compute is what their source does, and nothing half written is left.

use std::{fs, path::Path};

use lottery::{
    model::{Bert, Head, Pass, Workspace, weights::Pretrained},
    train::dataset::input,
};
use serde_json::Value;

use crate::fixture::{Bench, files, json_file, refused, succeeded};

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("stdout holds JSON alone")
}

fn model(dir: &Path) -> Bert {
    Pretrained::load(dir).unwrap().build(Head::Classifier { labels: 2 }, 0, false).unwrap()
}

fn logits(bert: &Bert) -> Vec<f32> {
    let sequence = |ids: &[u32]| lottery::text::Encoded { ids: ids.to_vec(), segments: vec![0; ids.len()] };
    let encoded = [sequence(&[2, 9, 12, 3]), sequence(&[2, 20, 3]), sequence(&[2, 8, 11, 14, 17, 22, 3])];
    let batch = lottery::text::Batch::pack(&encoded, &[0, 1, 2]);
    let mut workspace = Workspace::default();
    bert.forward(&input(&batch), &Pass::default(), &mut workspace);
    workspace.logits().to_vec()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(1.0))
}

#[test]
fn a_retrained_ticket_is_the_same_model_at_full_size_and_small() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let kept = record["ticket"]["heads_kept"].as_u64().unwrap();
    assert!(kept < 8, "nothing was pruned");
    let retrained = record["stages"]["retrain"].as_str().unwrap();
    let expected = logits(&model(&bench.path("runs/stages").join(retrained)));
    for (form, out) in [("--masked", "masked"), ("--physical", "small")] {
        let report = json(&succeeded(&mut bench.export(&record, "retrain", &[form, "--out", out, "--json"])));
        assert_eq!(report["units"]["heads"][0], kept);
        assert_eq!(report["checked"]["on"], "48 development examples of sst2");
        assert!(report["checked"]["largest_difference"].as_f64().unwrap() <= 1e-5);
        let cost = |model: &str, of: &str| report["cost"][model][of].as_u64().unwrap();
        assert_eq!(cost("export", "parameters") < cost("full", "parameters"), form == "--physical");
        assert!(cost("export", "nonzero") < cost("full", "nonzero"));
        assert!(close(&logits(&model(&bench.path(out))), &expected), "{form}");
        let card = fs::read_to_string(bench.path(out).join("README.md")).unwrap();
        for wanted in
            ["sst2, by accuracy", "| retrained | ", retrained, "from_pretrained(FOLDER", "| parameters |"]
        {
            assert!(card.contains(wanted), "{wanted:?} is not in {card}");
        }
        assert!(bench.path(out).join("vocab.txt").exists());
    }
    let [masked, small] = ["masked", "small"].map(|out| json_file(&bench.path(out).join("config.json")));
    assert_eq!(masked["architectures"][0], "BertForSequenceClassification");
    assert_eq!((&masked["lottery"], &masked["id2label"]["1"]), (&Value::Null, &Value::from("1")));
    assert_eq!(small["lottery"]["layers"].as_array().unwrap().len(), 2);
    assert!(
        small["auto_map"]["AutoModelForSequenceClassification"]
            .as_str()
            .unwrap()
            .starts_with("modeling_ticket.")
    );
    let whole = Pretrained::load(&bench.path("masked")).unwrap();
    assert_eq!(whole.config.saved_shape().unwrap(), whole.config.full_shape());
    let loader = fs::read_to_string(bench.path("small/modeling_ticket.py")).unwrap();
    assert!(loader.contains("class TicketForSequenceClassification(BertForSequenceClassification)"));
    let bytes = |out: &str| fs::metadata(bench.path(out).join("model.safetensors")).unwrap().len();
    assert!(bytes("small") < bytes("masked"));
}

#[test]
fn a_stage_stands_for_its_model_and_a_record_for_the_retrained_one() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "bad"]);
    let out = |stage: &str| {
        let out = format!("of-{stage}");
        succeeded(&mut bench.export(&record, stage, &["--physical", "--out", &out]));
        bench.path(&out)
    };
    // Of the search the good units, of the evaluation the control's.
    let shape = |dir: &Path| model(dir).heads();
    assert_eq!(shape(&out("finetune")), 8);
    let [searched, evaluated, retrained] = ["search", "evaluate", "retrain"].map(out);
    let kept = record["ticket"]["heads_kept"].as_u64().unwrap() as usize;
    assert_eq!([&searched, &evaluated, &retrained].map(|dir| shape(dir)), [kept; 3]);
    assert_eq!(model(&evaluated).shape, model(&retrained).shape);
    assert_ne!(model(&searched).shape, model(&evaluated).shape);
    let path = bench.path("runs/results/sst2/heads+ffns/bad/seed-1337.json");
    let typed = path.to_str().unwrap();
    succeeded(&mut bench.verb("export", &[typed, "--physical", "--latency", "off", "--out", "of-record"]));
    assert_eq!(model(&bench.path("of-record")), model(&retrained));
    // A stage's folder is named by its path too.
    let folder = bench.path("runs/stages").join(record["stages"]["evaluate"].as_str().unwrap());
    let typed = folder.to_str().unwrap();
    succeeded(&mut bench.verb("export", &[typed, "--physical", "--latency", "off", "--out", "of-folder"]));
    assert_eq!(model(&bench.path("of-folder")), model(&evaluated));
}

#[test]
fn the_latency_of_both_is_measured_on_the_grid_that_is_asked_for() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let id = record["stages"]["retrain"].as_str().unwrap();
    let arguments = [id, "--physical", "--out", "small", "--latency", "1,2x8,16", "--json", "--threads", "1"];
    let report = json(&succeeded(&mut bench.verb("export", &arguments)));
    let cells = report["latency"].as_array().unwrap();
    let sizes: Vec<_> =
        cells.iter().map(|c| (c["batch"].as_u64().unwrap(), c["length"].as_u64().unwrap())).collect();
    assert_eq!(sizes, [(1, 8), (2, 8), (1, 16), (2, 16)]);
    for cell in cells {
        let [full, small, ratio] = ["full_ms", "export_ms", "ratio"].map(|key| cell[key].as_f64().unwrap());
        assert!(full > 0.0 && small > 0.0 && (ratio - small / full).abs() < 1e-12, "{cell}");
        assert!(cell["repetitions"].as_u64().unwrap() >= 7);
    }
    assert_eq!((&report["device"]["dtype"], &report["device"]["threads"]), (&"f32".into(), &1.into()));
    let card = fs::read_to_string(bench.path("small/README.md")).unwrap();
    assert!(card.contains("latency, batch 2 × length 16") && card.contains("medians of at least"), "{card}");
    refused(
        &mut bench.verb("export", &[id, "--masked", "--out", "long", "--latency", "1x65"]),
        2,
        &["a length of 65", "64 positions"],
    );
    refused(
        &mut bench.verb("export", &[id, "--masked", "--out", "long", "--latency", "1"]),
        2,
        &["1,32x128, or off"],
    );
    assert!(!bench.path("long").exists());
}

#[test]
fn without_the_tasks_data_drawn_words_are_compared() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "random"]);
    fs::rename(bench.path("glue"), bench.path("elsewhere")).unwrap();
    let report =
        json(&succeeded(&mut bench.export(&record, "evaluate", &["--masked", "--out", "out", "--json"])));
    assert_eq!(report["checked"]["on"], "64 sequences of drawn words");
    let named = ["--masked", "--out", "named", "--json", "--data", "elsewhere"];
    let report = json(&succeeded(&mut bench.export(&record, "evaluate", &named)));
    assert_eq!(report["checked"]["on"], "48 development examples of sst2");
    refused(
        &mut bench.export(&record, "evaluate", &["--masked", "--out", "none", "--data", "nowhere"]),
        3,
        &["nowhere", "--data"],
    );
    assert!(!bench.path("none").exists());
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written_is_left() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    bench.write("full/mine.txt", "precious");
    bench.write("file", "precious");
    let before = files(bench.root.path());
    for (out, form, wanted) in [
        ("full", "--masked", "the folder is not empty"),
        ("full", "--physical", "Name a new folder"),
        ("file", "--masked", "something of this name is there"),
        ("full", "--ticket", "Name a new file"),
        ("file", "--ticket", "nothing is overwritten"),
    ] {
        refused(&mut bench.export(&record, "retrain", &[form, "--out", out]), 2, &[wanted]);
    }
    assert_eq!(files(bench.root.path()), before);
    let retrained = bench.path("runs/stages").join(record["stages"]["retrain"].as_str().unwrap());
    fs::write(retrained.join("model.safetensors"), "damaged").unwrap();
    refused(&mut bench.export(&record, "retrain", &["--masked", "--out", "out"]), 3, &["is damaged"]);
    assert!(!bench.path("out").exists());
    let left = files(bench.root.path());
    assert!(!left.iter().any(|path| path.to_string_lossy().contains(".tmp-")), "{left:?}");
    // An empty folder may be there.
    fs::create_dir(bench.path("empty")).unwrap();
    succeeded(&mut bench.export(&record, "finetune", &["--masked", "--out", "empty"]));
    assert!(bench.path("empty/config.json").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("empty"), mode("runs"), "the folder is readable as any other");
    }
}

#[test]
fn sources_that_are_none_are_refused_with_what_to_give() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--mode", "full"]);
    bench.write("other.json", "{\"a\": 1}");
    bench
        .write("noise.safetensors", [8, 0, 0, 0, 0, 0, 0, 0, b'{', b'}', b' ', b' ', b' ', b' ', b' ', b' ']);
    let export = |source: &str, form: &str| bench.verb("export", &[source, form, "--out", "out"]);
    for (source, form, code, wanted) in [
        ("search-0123456789ab", "--masked", 3, &["no finished stage search-0123456789ab", "--store"][..]),
        ("other.json", "--masked", 3, &["not a record of lottery"]),
        ("noise.safetensors", "--masked", 3, &["is no ticket", "lottery export --ticket"]),
        ("nowhere", "--masked", 3, &["nowhere"]),
        (record["stages"]["finetune"].as_str().unwrap(), "--ticket", 2, &["has no ticket"]),
        ("runs/results/sst2/heads+ffns/full/seed-1337.json", "--ticket", 2, &["mode full"]),
        ("model", "--ticket", 2, &["a model's folder has no ticket"]),
    ] {
        refused(&mut export(source, form), code, wanted);
    }
    assert!(!bench.path("out").exists());
}
