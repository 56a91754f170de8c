//! Contents decide, not names: two models of one name, or one path whose file changed, are two things.

use std::{fs, process::Output};

use lottery::{
    experiment::TicketFile,
    model::{Bert, Head},
    prune::{Bits, Site},
};
use serde_json::Value;

use crate::{
    fixture::{Bench, json_file, stderr, succeeded, tiny},
    output::plain,
    processes::wait_until,
    sweep::{all_done, document, runs, sweep},
};

const FULL: &[&str] = &["--tasks", "sst2", "--modes", "full", "--set", "train.epochs=1", "--seeds"];

fn other_weights(bench: &Bench, name: &str) {
    let bert = Bert::random(tiny(), Head::Classifier { labels: 2 }, 8);
    bench.write(name, bert.to_safetensors().unwrap());
}

fn copy_folder(bench: &Bench, from: &str, to: &str) {
    for entry in fs::read_dir(bench.path(from)).unwrap() {
        let entry = entry.unwrap();
        bench.write(&format!("{to}/{}", entry.file_name().display()), fs::read(entry.path()).unwrap());
    }
}

/// The last line of the task's development set is gone.
fn shorten_dev(bench: &Bench, folder: &str) {
    let path = bench.path(&format!("{folder}/SST-2/dev.tsv"));
    let text = fs::read_to_string(&path).unwrap();
    let end = text.trim_end().rfind('\n').unwrap();
    fs::write(path, &text[..=end]).unwrap();
}

fn status(bench: &Bench, words: &[&str]) -> Output {
    let words: Vec<String> =
        ["status", "--store", "runs"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let output = plain(bench, &words).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// Rows of `status` as their cells.
fn rows(bench: &Bench) -> Vec<Vec<String>> {
    let text = String::from_utf8(status(bench, &[]).stdout).unwrap();
    let row = |line: &str| line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with('│')).skip(1).map(row).collect()
}

/// Per run: how often it was begun, and the fine-tuned model of its record.
fn attempts(document: &Value) -> Vec<(u64, String)> {
    let of = |run: &Value| {
        let record = json_file(run["record"].as_str().unwrap().as_ref());
        (run["attempts"].as_u64().unwrap(), record["stages"]["finetune"].as_str().unwrap().to_owned())
    };
    runs(document).iter().map(of).collect()
}

#[test]
fn two_models_in_folders_of_one_name_are_two_rows_and_one_model_in_two_folders_is_one() {
    let bench = Bench::new("SST-2");
    for folder in ["a/model", "b/model", "copy/model"] {
        copy_folder(&bench, "model", folder);
    }
    other_weights(&bench, "b/model/model.safetensors");
    for (model, seeds) in [("a/model", "1,2"), ("b/model", "1,2"), ("copy/model", "3")] {
        let all = [FULL, &[seeds, "--models", model]].concat();
        let words: Vec<String> = ["sweep", "--store", "runs", "--data", "glue", "--threads", "1", "--set"]
            .into_iter()
            .chain(["data.max_length=32"])
            .chain(all)
            .map(str::to_owned)
            .collect();
        let output = plain(&bench, &words).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let rows = rows(&bench);
    let records: Vec<(bool, &str)> =
        rows.iter().map(|row| (row[5].starts_with("model=model (sha256 "), row[6].as_str())).collect();
    assert_eq!(records.len(), 2, "{rows:?}");
    assert!(records.contains(&(true, "3")) && records.contains(&(true, "2")), "{rows:?}");
}

#[test]
fn records_of_two_data_folders_are_two_rows() {
    let bench = Bench::new("SST-2");
    copy_folder(&bench, "glue/SST-2", "other/glue/SST-2");
    shorten_dev(&bench, "other/glue");
    for data in ["glue", "other/glue"] {
        let output = bench.run("sst2", &["--mode", "full", "--data", data, "--set", "train.epochs=1"]);
        assert!({ output }.output().unwrap().status.success());
    }
    let rows = rows(&bench);
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert!(row[5].starts_with("data=glue (dev.tsv ") && row[6] == "1", "{rows:?}");
    }
}

#[test]
fn a_run_is_not_done_once_its_development_set_or_its_model_has_changed() {
    let bench = Bench::new("SST-2");
    let grid = [FULL, &["1"]].concat();
    let first = attempts(&all_done(&bench, "runs", &grid));
    assert_eq!(attempts(&all_done(&bench, "runs", &grid)), first);
    shorten_dev(&bench, "glue");
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    assert_eq!(document["sweeps"][0]["runs"][0]["status"], "pending");
    let second = attempts(&all_done(&bench, "runs", &grid));
    other_weights(&bench, "model/model.safetensors");
    let third = attempts(&all_done(&bench, "runs", &grid));
    // A word that no sentence has: the scores stay, the tokenizer is another.
    let words = fs::read_to_string(bench.path("model/vocab.txt")).unwrap();
    bench.write("model/vocab.txt", words + "zebra\n");
    let larger = lottery::model::BertConfig { vocab_size: tiny().vocab_size + 1, ..tiny() };
    let bert = Bert::random(larger, Head::Classifier { labels: 2 }, 7);
    bench.write("model/config.json", bert.to_config_json(&[]).unwrap());
    bench.write("model/model.safetensors", bert.to_safetensors().unwrap());
    let fourth = attempts(&all_done(&bench, "runs", &grid));
    let all = [first, second, third, fourth].concat();
    assert_eq!(all.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!((0..4).all(|a| (0..a).all(|b| all[a].1 != all[b].1)), "{all:?}");
}

#[test]
fn a_run_is_not_done_once_its_ticket_has_changed_and_is_done_by_the_same_ticket_at_another_path() {
    let bench = Bench::new("SST-2");
    let searched = bench.record("sst2", &["--seed", "1"]);
    succeeded(&mut bench.export(&searched, "search", &["--ticket", "--out", "ticket.safetensors"]));
    // Per mode: how often the run was begun, and the ticket of its record.
    let swept = |ticket: &str| {
        let grid = ["--tasks", "sst2", "--seeds", "1", "--modes", "good,full", "--set", ticket];
        let document = all_done(&bench, "runs", &grid);
        let of = |mode: &str| {
            let run = runs(&document).iter().find(|run| run["config"]["mode"] == mode).unwrap();
            let record = json_file(run["record"].as_str().unwrap().as_ref());
            assert_eq!(record["retrained"]["metrics"]["accuracy"], run["scores"]["retrained"]);
            (run["attempts"].as_u64().unwrap(), record["stages"]["ticket"].clone())
        };
        (of("good"), of("full"))
    };
    let first = swept("ticket=ticket.safetensors");
    assert_eq!((first.0.0, &first.1), (1, &(1, Value::Null)));
    assert_eq!(swept("ticket=ticket.safetensors"), first);
    let path = bench.path("ticket.safetensors");
    fs::copy(&path, bench.path("before.safetensors")).unwrap();
    let TicketFile { mask, about, .. } = TicketFile::read(&path).unwrap();
    let other = mask.clone().with(Site::Ffn(1), Bits::new(1, !mask.ffn_string().ends_with('1')));
    bench.write("ticket.safetensors", TicketFile::bytes(&other, &about).unwrap());
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    let states = document["sweeps"][0]["runs"].as_array().unwrap().iter().map(|run| &run["status"]);
    assert_eq!(states.filter(|state| **state == "pending").count(), 1, "{document}");
    let second = swept("ticket=ticket.safetensors");
    // The full model has no ticket.
    assert_eq!((second.0.0, &second.1), (2, &first.1));
    assert_ne!(second.0.1, first.0.1);
    // The earlier file elsewhere, and the later one under another name of its path: both are done.
    assert_eq!(swept("ticket=before.safetensors"), ((0, first.0.1.clone()), (0, Value::Null)));
    assert_eq!(swept("ticket=./ticket.safetensors").0, (0, second.0.1.clone()));
    // Two tickets are two rows, named by what took them up.
    let rows: Vec<_> =
        rows(&bench).into_iter().filter(|row| row[2] == "ticket" && row[3] == "good").collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (_, ticket) in [&first.0, &second.0] {
        let named = format!("ticket={}", ticket.as_str().unwrap());
        assert!(rows.iter().any(|row| row[5] == named), "{named}: {rows:?}");
    }
}

#[test]
fn a_sweep_does_not_show_an_old_subnetwork_beside_a_new_one() {
    let bench = Bench::new("SST-2");
    let modes = |modes| ["--tasks", "sst2", "--seeds", "1", "--set", "train.epochs=1", "--modes", modes];
    all_done(&bench, "runs", &modes("good"));
    shorten_dev(&bench, "glue");
    let both = attempts(&all_done(&bench, "runs", &modes("good,bad")));
    assert_eq!(both[0].1, both[1].1);
}

#[test]
fn what_was_done_before_the_data_changed_is_done_once_more_before_the_sweep_ends() {
    let bench = Bench::new("SST-2");
    let grid = [FULL, &["1,2"]].concat();
    let mut child = sweep(&bench, "runs", &grid)
        .args(["--set", "run.checkpoint_every=0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let first = bench.path("runs/results/sst2/heads+ffns/full/seed-1.json");
    assert!(wait_until(&mut child, || first.exists()));
    shorten_dev(&bench, "glue");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let dev = |seed: u64| {
        let path = bench.path(&format!("runs/results/sst2/heads+ffns/full/seed-{seed}.json"));
        json_file(&path)["data"]["sha256"]["dev.tsv"].clone()
    };
    assert_eq!(dev(1), dev(2));
}

#[test]
fn a_relative_model_is_another_in_another_directory() {
    let bench = Bench::new("SST-2");
    for folder in ["one", "two"] {
        copy_folder(&bench, "model", &format!("{folder}/model"));
    }
    other_weights(&bench, "two/model/model.safetensors");
    // The sweep's name, and how its run stands.
    let sweep_in = |folder: &str| {
        let glue = bench.path("glue").display().to_string();
        let store = bench.path("runs").display().to_string();
        let words =
            ["sweep", "--models", "model", "--data", &glue, "--store", &store, "--threads", "1", "--json"];
        let settings = [FULL, &["1", "--set", "data.max_length=32"]].concat();
        let words: Vec<String> = words.iter().chain(&settings).map(|word| (*word).to_owned()).collect();
        let document = document(&plain(&bench, &words).current_dir(bench.path(folder)).output().unwrap());
        (document["sweep"].clone(), attempts(&document).remove(0))
    };
    let (one, two) = (sweep_in("one"), sweep_in("two"));
    assert_ne!(one.0, two.0);
    assert_ne!(one.1.1, two.1.1);
    // Each is found again, as it was.
    assert_eq!((sweep_in("one"), sweep_in("two")), (one, two));
}

#[test]
fn a_run_is_done_by_the_record_of_an_equal_model_at_another_path() {
    let bench = Bench::new("SST-2");
    let grid = [FULL, &["1"]].concat();
    all_done(&bench, "runs", &grid);
    fs::rename(bench.path("glue"), bench.path("moved")).unwrap();
    let words =
        ["sweep", "--models", "model", "--data", "moved", "--store", "runs", "--threads", "1", "--json"];
    let sets = crate::fixture::QUICK.iter().flat_map(|set| ["--set", set]);
    let words: Vec<String> = words.into_iter().chain(sets).chain(grid).map(str::to_owned).collect();
    let moved = document(&plain(&bench, &words).output().unwrap());
    assert_eq!((&runs(&moved)[0]["status"], &runs(&moved)[0]["attempts"]), (&"done".into(), &0.into()));
}

#[test]
fn copies_of_records_are_named_and_not_counted() {
    let bench = Bench::new("SST-2");
    bench.record("sst2", &["--mode", "full", "--seed", "1", "--set", "train.epochs=1"]);
    let dir = "runs/results/sst2/heads+ffns/full";
    let text = fs::read_to_string(bench.path(&format!("{dir}/seed-1.json"))).unwrap();
    let copies = [
        "full/seed-1 (1).json",
        "full/seed-1.sync-conflict-20260101-120000-ABCDEFG.json",
        "full/seed-1.0123456789ab.json",
        "full/seed-2.json",
        "full copy/seed-1.json",
    ];
    for copy in copies {
        bench.write(&format!("runs/results/sst2/heads+ffns/{copy}"), &text);
    }
    let nothing = text.replace("\"metric\": \"accuracy\"", "\"metric\": \"matthews\"");
    bench.write(&format!("{dir}/seed-3.json"), nothing);
    bench.write(&format!("{dir}/seed-4.json"), &text[..text.len() / 2]);
    let rows = rows(&bench);
    assert_eq!((rows.len(), rows[0][5].as_str()), (1, "1"), "{rows:?}");
    let output = status(&bench, &[]);
    let warned = stderr(&output);
    for copy in copies {
        assert!(warned.contains(copy), "{copy}: {warned}");
    }
    assert!(warned.contains("seed-3.json has no matthews for the full model"), "{warned}");
    assert!(warned.contains("seed-4.json is damaged"), "{warned}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("NaN"));
    let document: Value = serde_json::from_slice(&status(&bench, &["--json"]).stdout).unwrap();
    assert_eq!(document["ignored"].as_array().unwrap().len(), copies.len() + 2);
}
