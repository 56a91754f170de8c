//! What stands once in a registry is everywhere by itself: help, completions, `lottery config`, schemas, suggestions.

use std::path::Path;

use clap::CommandFactory;
use lottery::{
    choice::Choice,
    config::{keys, presets},
    prune::{Estimator, Method, Mode},
    task::TaskId,
};
use serde_json::Value;

use crate::fixture::{Bench, json_file, lottery, refused, succeeded};

fn said(words: &[&str]) -> String {
    String::from_utf8(succeeded(lottery().args(words)).stdout).unwrap()
}

#[test]
fn every_name_is_in_help_completions_config_and_the_schema_and_is_suggested() {
    let (help, completions) = (said(&["run", "--help"]), said(&["completions", "zsh"]));
    let config = said(&["config", "task", "mode", "method", "importance.estimator"]);
    let schema = json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/record.schema.json"));
    let names =
        |kind: &str| schema["$defs"][kind]["enum"].to_string() + &schema["$defs"][kind]["anyOf"].to_string();
    let bench = Bench::new("SST-2");
    for (kind, flag, all) in [
        ("task", Some("--task"), TaskId::described()),
        ("mode", Some("--mode"), Mode::described()),
        ("method", Some("--method"), Method::described()),
        ("estimator", None, Estimator::described()),
    ] {
        for (name, about) in all {
            assert!(names(kind).contains(&format!("{name:?}")), "{kind} {name} in the schema");
            assert!(config.contains(&format!("      {name}: {about}\n")), "{kind} {name} in {config}");
            let Some(flag) = flag else { continue };
            assert!(help.contains(&format!("- {name}: ")), "{flag} {name} in the help");
            assert!(
                completions.contains(&name.replace('+', "\\+")) || completions.contains(name),
                "{flag} {name}"
            );
            // A letter too many leads back to it.
            let slip = format!("{name}x");
            let error = refused(&mut bench.run("sst2", &[flag, &slip, "--dry-run"]), 2, &[&slip]);
            assert!(error.contains(&format!("Did you mean {name}?")), "{error}");
        }
    }
    for preset in presets() {
        assert!(help.contains(&format!("- {}: ", preset.name)) && completions.contains(preset.name));
    }
}

#[test]
fn every_key_is_in_config_the_schema_and_the_plan_and_is_suggested() {
    let schema = json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/record.schema.json"));
    let bench = Bench::new("SST-2");
    let plan = String::from_utf8(succeeded(&mut bench.run("sst2", &["--dry-run"])).stdout).unwrap();
    let listed = said(&["config"]);
    for key in keys().unwrap() {
        let name = key.key;
        let pointer = name.replace('.', "/properties/");
        let described = schema.pointer(&format!("/$defs/config/properties/{pointer}"));
        assert!(described.is_some_and(Value::is_object), "{name} in the schema");
        assert!(listed.contains(&format!("{name} ")), "{name} in lottery config");
        let last = name.rsplit('.').next().unwrap();
        assert!(
            plan.contains(&format!("{last} = ")) || plan.contains(&format!("# {name} is not set: ")),
            "{name}: {plan}"
        );
        let slip = format!("{name}_=1");
        let error = refused(&mut bench.run("sst2", &["--set", &slip]), 2, &["unknown key"]);
        assert!(error.contains(&format!("Did you mean {name}?")), "{error}");
    }
}

#[test]
fn every_verb_is_in_the_help_the_completions_and_the_readme() {
    let (help, completions) = (said(&["--help"]), said(&["completions", "bash"]));
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for verb in lottery::cli::Cli::command().get_subcommands() {
        let name = verb.get_name();
        assert!(help.contains(&format!("  {name}")) && completions.contains(name), "{name}");
        assert!(readme.contains(&format!("`{name}`")), "{name} in the README");
    }
}
