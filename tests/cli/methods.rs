//! Every method with every mode and every starting weights that it has, as whole runs.

use serde_json::{Value, json};

use crate::fixture::{Bench, done_stages, refused};
use lottery::{
    choice::Choice,
    config::Init,
    prune::{Method, Mode},
};

/// Two seeds' tickets are enough for super-survivors.
const FEW_SEEDS: [&str; 2] = ["--set", "control.seeds=[1337, 42]"];

fn run(bench: &Bench, method: Method, mode: Mode, more: &[&str]) -> Value {
    let arguments = [&["--method", method.name(), "--mode", mode.name()], &FEW_SEEDS[..], more].concat();
    bench.record("sst2", &arguments)
}

fn has(method: Method, mode: Mode) -> bool {
    let of_seeds = matches!(mode, Mode::SuperGood | Mode::SuperBad | Mode::SuperRandom);
    method != Method::Imp || !(of_seeds || mode == Mode::Bad)
}

fn methods() -> impl Iterator<Item = Method> {
    Method::all().iter().copied().filter(|method| *method != Method::Ticket)
}

/// Weights or units that are left, and all.
fn size(record: &Value) -> Vec<u64> {
    let ticket = &record["ticket"];
    let weights = ["/weights/kept", "/weights/total", "/heads_kept", "/ffns_kept"];
    weights.iter().filter_map(|at| ticket.pointer(at)).map(|n| n.as_u64().unwrap()).collect()
}

#[test]
fn every_method_has_its_modes_and_controls_are_of_the_tickets_size() {
    let bench = Bench::new("SST-2");
    for method in methods() {
        let more: &[&str] =
            if method == Method::OneShot { &["--sparsity", "0.5"] } else { &["--sparsity", "0.25"] };
        let good = size(&run(&bench, method, Mode::Good, more));
        for mode in Mode::all().iter().copied() {
            if !has(method, mode) {
                let line = ["--method", method.name(), "--mode", mode.name()];
                refused(&mut bench.run("sst2", &line), 2, &[&format!("has no {mode} subnetwork")]);
                continue;
            }
            let record = run(&bench, method, mode, more);
            assert_eq!((&record["method"], &record["mode"]), (&json!(method), &json!(mode)));
            match mode {
                Mode::Bad | Mode::Random => assert_eq!(size(&record), good, "{method} {mode}"),
                Mode::Full => assert_eq!(record["ticket"]["stage"], Value::Null),
                _ => {}
            }
        }
        let of_super = |mode| size(&run(&bench, method, mode, more));
        if has(method, Mode::SuperGood) {
            let good = of_super(Mode::SuperGood);
            assert_eq!(
                (of_super(Mode::SuperBad), of_super(Mode::SuperRandom)),
                (good.clone(), good),
                "{method}"
            );
        }
    }
}

#[test]
fn every_method_retrains_from_every_starting_weights() {
    let bench = Bench::new("SST-2");
    let inits = [
        Init::Pretrained,
        Init::Random,
        Init::RandomMasked,
        Init::ShuffleLayers,
        Init::ShuffleWithin,
        Init::Step(1),
        Init::Epoch(0.5),
        Init::Finetuned,
    ];
    for method in methods() {
        let mut retrained = Vec::new();
        for init in inits {
            let record =
                run(&bench, method, Mode::Good, &["--sparsity", "0.25", "--init", &init.to_string()]);
            assert_eq!(record["config"]["init"], json!(init), "{method}");
            retrained.push(record["stages"]["retrain"].clone());
        }
        retrained.sort_by_key(ToString::to_string);
        retrained.dedup();
        assert_eq!(retrained.len(), inits.len(), "{method}: each is a training of its own");
    }
    // What starts from fine-tuned weights and from an early step reads these stages.
    let kinds = done_stages(&bench.path("runs"));
    assert!(kinds.iter().any(|stage| stage.starts_with("score-")), "{kinds:?}");
}

#[test]
fn levels_share_one_scoring_and_deeper_rounds_share_shallower_ones() {
    let bench = Bench::new("SST-2");
    let stages = |kind: &str| {
        let all = done_stages(&bench.path("runs"));
        all.into_iter().filter(|stage| stage.starts_with(kind)).count()
    };
    for level in ["prune.level=4", "prune.level=6", "prune.level=8"] {
        let record = run(&bench, Method::OneShot, Mode::Good, &["--set", level]);
        assert_eq!(record["stages"]["score"], record["stages"]["score"]);
    }
    assert_eq!((stages("finetune-"), stages("score-"), stages("search-")), (1, 1, 3));
    let imp = |sparsity: &str| run(&bench, Method::Imp, Mode::Good, &["--sparsity", sparsity]);
    let shallow = imp("0.3");
    let before = stages("retrain-");
    let deep = imp("0.4");
    for node in ["prune_1", "round_1", "prune_2", "round_2", "prune_3"] {
        assert_eq!(shallow["stages"][node], deep["stages"][node], "{node}");
    }
    // The retraining of the shallow ticket is the last round before the deeper one.
    assert_eq!(shallow["stages"]["retrain"], deep["stages"]["round_3"]);
    assert_eq!(stages("retrain-"), before + 1);
    let kept = |record: &Value| {
        let of = |key: &str| record["ticket"]["weights"][key].as_f64().unwrap();
        of("kept") / of("total")
    };
    assert!((kept(&shallow) - 0.7).abs() < 1e-3 && (kept(&deep) - 0.6).abs() < 1e-3);
}

#[test]
fn a_ticket_of_one_task_is_trained_on_another_and_its_rounds_are_shared() {
    let bench = Bench::new("SST-2");
    bench.write_task("MRPC");
    let imp = ["--method", "imp", "--sparsity", "0.2"];
    let own = bench.record("mrpc", &imp);
    let record =
        |mode: &str| bench.record("mrpc", &[&imp[..], &["--ticket-from", "sst2", "--mode", mode]].concat());
    let transferred = record("good");
    assert_eq!(transferred["stages"]["finetune"], own["stages"]["finetune"]);
    assert_ne!(transferred["stages"]["retrain"], own["stages"]["retrain"]);
    let warnings = transferred["warnings"].as_array().unwrap();
    let told = |words: &str| warnings.iter().any(|warning| warning.as_str().unwrap().contains(words));
    assert!(told("a transfer between tasks: the ticket was found on sst2"), "{warnings:?}");
    // The source's own run finds the rounds done.
    let before = done_stages(&bench.path("runs")).len();
    let source = bench.record("sst2", &imp);
    assert_eq!(source["ticket"]["weights"], transferred["ticket"]["weights"]);
    assert_eq!(done_stages(&bench.path("runs")).len(), before + 2, "evaluated and retrained alone");
    assert_eq!(size(&record("random")), size(&transferred));
}

#[test]
fn settings_that_contradict_a_method_are_refused_with_what_helps() {
    let bench = Bench::new("SST-2");
    for (line, words) in [
        (&["--method", "one-shot", "--sparsity", "0.5", "--set", "prune.level=2"][..], "both given"),
        (&["--method", "imp", "--sparsity", "0.5:flops"], "save no FLOPs"),
        (&["--sparsity", "0.5:weights"], "the method one-shot"),
        (&["--method", "one-shot", "--set", "prune.level=9"], "levels 1 to 8"),
        (&["--sparsity", "50%"], "expected a share such as 0.5"),
        (&["--init", "pre-trained"], "expected pretrained"),
        (&["--set", "control.seeds=[]"], "expected a list of whole numbers"),
    ] {
        refused(&mut bench.run("sst2", line), 2, &[words]);
    }
}
