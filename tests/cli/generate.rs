//! What is made from the command line's own definitions, and the doctor's report.

use crate::fixture::{Bench, lottery, refused, stderr, succeeded};
use serde_json::Value;

const VERBS: &[&str] = &[
    "run",
    "sweep",
    "worker",
    "status",
    "gc",
    "pretrain",
    "export",
    "eval",
    "importance",
    "ablate",
    "data",
    "doctor",
    "completions",
    "man",
];

#[test]
fn completions_and_manual_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = succeeded(lottery().args(["completions", shell]));
        let script = String::from_utf8(output.stdout).unwrap();
        for verb in VERBS {
            assert!(script.contains(verb), "{shell}: {verb}");
        }
        if ["bash", "zsh", "fish"].contains(&shell) {
            assert!(script.contains("heads+ffns") && script.contains("prasanna2020-code"), "{shell}");
        }
    }
    let unknown = lottery().args(["completions", "csh"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("bash, elvish, fish, powershell, zsh"), "{}", stderr(&unknown));
    let bench = Bench::new("RTE");
    let pages = bench.path("man");
    succeeded(lottery().args(["man", "--out"]).arg(&pages));
    for verb in VERBS {
        let page = std::fs::read_to_string(pages.join(format!("lottery-{verb}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS"), "{verb}");
    }
    bench.write("file", "");
    refused(lottery().args(["man", "--out"]).arg(bench.path("file")), 3, &["file"]);
}

#[test]
fn the_doctor_names_what_is_missing_and_what_to_do_about_it() {
    let bench = Bench::new("SST-2");
    let report = |store: &str| -> Value {
        let output = succeeded(lottery().args(["doctor", "--json", "--store"]).arg(bench.path(store)));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let of = |report: &Value, name: &str| -> Value {
        let findings = report["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|finding| finding["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {report}"))
            .clone()
    };
    let before = report("runs");
    for name in ["lottery", "device", "kernels", "threads", "disk", "models", "data"] {
        assert!(!of(&before, name)["value"].as_str().unwrap().is_empty(), "{name}");
    }
    assert!(of(&before, "store")["value"].as_str().unwrap().ends_with("none yet; the first run makes it"));
    // The tests' environment is offline.
    let hub = of(&before, "hub");
    assert!(hub["value"].as_str().unwrap().contains("HF_HUB_OFFLINE"), "{hub}");
    assert!(hub["remedy"].as_str().unwrap().contains("lottery data fetch"), "{hub}");
    bench.record("sst2", &[]);
    assert!(of(&report("runs"), "store")["value"].as_str().unwrap().contains("nothing damaged"));
    assert!(!bench.path("elsewhere").exists());
}
