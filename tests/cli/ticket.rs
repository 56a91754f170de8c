//! Ticket files: written from a run, taken up by another as if it had searched.

use std::fs;

use lottery::{
    experiment::TicketFile,
    model::{Ffn, weights::Pretrained},
    prune::{Bits, Site},
};
use serde_json::Value;

use crate::fixture::{Bench, done_stages, json_file, printed, refused, stderr, succeeded, tiny};

/// A bench with a searched run's record and its ticket in a file.
fn exported() -> (Bench, Value) {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &["--seed", "42"]);
    succeeded(&mut bench.export(&record, "search", &["--ticket", "--out", "ticket.safetensors"]));
    (bench, record)
}

fn warned_of(record: &Value, what: &str) -> bool {
    record["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(what))
}

#[test]
fn a_ticket_file_holds_the_mask_and_where_it_comes_from_in_the_same_bytes_each_time() {
    let (bench, record) = exported();
    let read = TicketFile::read(&bench.path("ticket.safetensors")).unwrap();
    assert_eq!(
        read.mask.head_strings(),
        serde_json::from_value::<Vec<String>>(record["ticket"]["heads"].clone()).unwrap()
    );
    assert_eq!(record["ticket"]["ffns"], read.mask.ffn_string());
    let about = serde_json::to_value(&read.about).unwrap();
    for (pointer, wanted) in [
        ("/base/sha256", &record["model"]["sha256"]),
        ("/base/name", &record["model"]["name"]),
        ("/task", &record["task"]),
        ("/mode", &record["mode"]),
        ("/seed", &record["seed"]),
        ("/lottery_version", &record["lottery_version"]),
        ("/config", &record["config"]),
        ("/scores/retrained", &record["retrained"]["metrics"]),
        ("/stages", &record["stages"]),
        ("/search/norm", &record["importance"]["norm"]),
        ("/search/full_score", &record["full"]["metrics"]["accuracy"]),
    ] {
        assert_eq!(about.pointer(pointer), Some(wanted), "{pointer}");
    }
    // A record, and the ticket file itself, have the same ticket.
    for (source, out) in
        [("runs/results/sst2/heads+ffns/good/seed-42.json", "a"), ("ticket.safetensors", "b")]
    {
        let output = succeeded(&mut bench.verb("export", &[source, "--ticket", "--out", out, "--json"]));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["blake3"], read.hash.as_str());
        assert_eq!(fs::read(bench.path(out)).unwrap(), fs::read(bench.path("ticket.safetensors")).unwrap());
    }
}

#[test]
fn a_run_takes_a_ticket_up_on_another_machine_as_if_it_had_searched() {
    let (bench, searched) = exported();
    // Another store; task, method and seed are the ticket's.
    let run = |arguments: &[&str]| {
        let mut command = crate::fixture::lottery();
        command.args([
            "run",
            "--ticket",
            "ticket.safetensors",
            "--model",
            "model",
            "--data",
            "glue",
            "--store",
            "there",
        ]);
        command.args(crate::fixture::QUICK.iter().flat_map(|set| ["--set", set])).args(arguments);
        let output = succeeded(command.args(["--threads", "1", "--json"]).current_dir(bench.root.path()));
        (printed(&output), stderr(&output))
    };
    for mode in ["good", "bad", "random", "inverse", "full"] {
        let (record, _) = run(&["--mode", mode]);
        assert_eq!((&record["method"], &record["seed"]), (&"ticket".into(), &42.into()));
        assert_eq!(bench.stored_record("there", &record), record);
        let own = bench.record("sst2", &["--seed", "42", "--mode", mode]);
        for part in ["full", "pruned", "retrained", "importance"] {
            assert_eq!(record[part], own[part], "{mode}: {part}");
        }
        assert_eq!(record["ticket"]["heads"], own["ticket"]["heads"], "{mode}");
        for stage in ["finetune", "evaluate", "retrain"] {
            assert_eq!(record["stages"][stage], own["stages"][stage], "{mode}: {stage}");
        }
        let stage = &record["stages"]["ticket"];
        assert_eq!(record["ticket"]["stage"], *stage, "{mode}");
        assert_eq!(stage.as_str().is_some_and(|id| id.starts_with("ticket-")), mode != "full");
        assert!(record["stages"]["search"].is_null() && !warned_of(&record, "transfer"), "{mode}");
        assert_eq!(warned_of(&record, "share the dev split"), mode != "full");
    }
    assert_eq!(searched["mode"], "good");
    let before = done_stages(&bench.path("there"));
    let (again, said) = run(&[]);
    assert_eq!(done_stages(&bench.path("there")), before);
    assert!(said.contains("found in the store") && again["mode"] == "good", "{said}");
    let stage = bench.path("there/stages").join(again["stages"]["ticket"].as_str().unwrap());
    assert_eq!(json_file(&stage.join("stage.json"))["ticket"]["seed"], 42);
    // The record of such a run has that ticket.
    let typed = ["there/results/sst2/ticket/good/seed-42.json", "--ticket", "--out", "again.safetensors"];
    succeeded(&mut bench.verb("export", &typed));
    let [first, second] =
        ["ticket", "again"].map(|name| TicketFile::read(&bench.path(&format!("{name}.safetensors"))));
    assert_eq!(first.unwrap().mask, second.unwrap().mask);
}

#[test]
fn another_model_of_the_shape_is_a_transfer_that_the_record_warns_of_and_another_shape_is_refused() {
    let (bench, searched) = exported();
    let mut config = tiny();
    config.initializer_range = 0.03;
    bench.write_model(&config);
    let record = bench.record("sst2", &["--ticket", "ticket.safetensors", "--seed", "42"]);
    assert!(warned_of(&record, "a transfer between models"), "{}", record["warnings"]);
    assert_eq!(record["ticket"]["heads"], searched["ticket"]["heads"]);
    bench.write_task("RTE");
    let record = bench.record("rte", &["--ticket", "ticket.safetensors"]);
    assert!(
        warned_of(&record, "a transfer between tasks: the ticket was found on sst2"),
        "{}",
        record["warnings"]
    );
    assert!(!warned_of(&record, "share the dev split"));
    let other = lottery::model::BertConfig { num_attention_heads: 8, ..tiny() };
    bench.write_model(&other);
    refused(
        &mut bench.run("sst2", &["--ticket", "ticket.safetensors"]),
        3,
        &["ticket.safetensors", "2 layers × 4 heads", "2 × 8", "a model of the ticket's shape"],
    );
}

#[test]
fn a_ticket_of_neurons_is_taken_up_and_exported_too() {
    let (bench, _) = exported();
    let read = TicketFile::read(&bench.path("ticket.safetensors")).unwrap();
    let neurons: Bits = (0..64).map(|neuron| neuron % 3 != 0).collect();
    let mask = read.mask.clone().with(Site::Ffn(1), Bits::new(1, true)).with(Site::Neurons(1), neurons);
    bench.write("neurons.safetensors", TicketFile::bytes(&mask, &read.about).unwrap());
    let record = bench.record("sst2", &["--ticket", "neurons.safetensors"]);
    let retrained = bench.path("runs/stages").join(record["stages"]["retrain"].as_str().unwrap());
    let shape = Pretrained::load(&retrained).unwrap().config.saved_shape().unwrap();
    let kept: Vec<usize> = (0..64).filter(|neuron| neuron % 3 != 0).collect();
    assert_eq!(shape[1].ffn, Ffn::Neurons(kept));
    for (form, out) in [("--masked", "masked"), ("--physical", "small")] {
        succeeded(&mut bench.export(&record, "retrain", &[form, "--out", out]));
    }
    let arguments = ["neurons.safetensors", "--model", record["stages"]["finetune"].as_str().unwrap()];
    let arguments = [&arguments[..], &["--physical", "--latency", "off", "--out", "pruned"]].concat();
    succeeded(&mut bench.verb("export", &arguments));
    let shape_of = |dir: &str| Pretrained::load(&bench.path(dir)).unwrap().config.saved_shape().unwrap();
    assert_eq!((shape_of("small"), shape_of("pruned")), (shape.clone(), shape));
    // Its controls keep as many.
    let random = bench.record("sst2", &["--ticket", "neurons.safetensors", "--mode", "random"]);
    assert_eq!(random["ticket"]["ffns_kept"], record["ticket"]["ffns_kept"]);
}

#[test]
fn contradicting_settings_and_damaged_files_are_refused() {
    let (bench, _) = exported();
    for (arguments, code, wanted) in [
        (
            &["--ticket", "ticket.safetensors", "--method", "heads"][..],
            2,
            &["the method is heads", "Leave one"][..],
        ),
        (&["--method", "ticket"], 2, &["Give --ticket FILE"]),
        (&["--ticket", "nowhere.safetensors"], 3, &["cannot read nowhere.safetensors"]),
        (&["--ticket", "model/model.safetensors"], 3, &["is no ticket", "lottery_ticket"]),
        (&["--ticket", "model/config.json"], 3, &["is no ticket"]),
    ] {
        refused(&mut bench.run("sst2", arguments), code, wanted);
    }
    let good = fs::read(bench.path("ticket.safetensors")).unwrap();
    for at in (0..good.len()).step_by(7) {
        for flip in [1, 128] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            // Some bytes are of texts that may be anything.
            if let Err(error) = TicketFile::parse("t".as_ref(), &bytes) {
                assert_eq!(error.exit_code(), 3, "{error}");
            }
        }
        assert!(TicketFile::parse("t".as_ref(), &good[..at]).is_err());
    }
}
