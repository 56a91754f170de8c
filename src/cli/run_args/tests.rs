use clap::{CommandFactory, Parser};

use super::*;
use crate::{
    choice::Choice,
    cli::{Cli, Verb},
    config::{DEFAULT_PRESET, presets},
    engine::Device,
};

fn typed(line: &str) -> RunArgs {
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    let Verb::Run(args) = cli.verb else { panic!("not run") };
    *args
}

fn resolve(line: &str, env: &[(&str, &str)]) -> Result<(ExperimentConfig, RunOptions)> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    typed(line).resolve_in(env)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_names_every_task_mode_method_and_preset_with_the_defaults() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("run").unwrap().render_long_help().to_string();
    assert!(help.starts_with("One task × mode × seed: the whole experiment."), "{help}");
    // Its lines are wrapped.
    let unwrapped = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let presets = presets().iter().map(|preset| (preset.name, preset.about));
    let choices = [TaskId::described(), Mode::described(), Method::described(), Format::described()];
    for (name, about) in choices.concat().into_iter().chain(presets) {
        assert!(unwrapped.contains(&format!("- {name}: {about}")), "{name}");
    }
    let config = ExperimentConfig::new(TaskId::Rte, "m", "d");
    let seed = config.seed.to_string();
    for default in [config.mode.name(), config.method.name(), &seed, DEFAULT_PRESET, "auto", "f32"] {
        assert!(help.contains(&format!("[default: {default}")), "{default}");
    }
}

#[test]
fn every_flag_reaches_the_configuration() {
    let line = "lottery run --task SST-2 --mode bad --seed 42 --method heads --model m --data d --preset small \
                --set train.epochs=2 --set seed=43 --store s --device cuda:1 --dtype bf16 --threads 3 --json \
                --tensorboard t --dry-run --quiet --keep tickets";
    let (config, options) = resolve(line, &[("LOTTERY_STORE", "other"), ("LOTTERY_MODEL", "other")]).unwrap();
    assert_eq!((config.task, config.mode, config.method), (TaskId::Sst2, Mode::Bad, Method::Heads));
    assert_eq!((config.model.as_str(), config.data.dir.as_deref().unwrap(), config.seed), ("m", "d", 43));
    assert_eq!((config.preset.as_deref(), config.train.epochs), (Some("small"), 2));
    assert_eq!(
        (config.run.device, config.run.dtype, config.run.threads),
        (Device::Cuda(1), Format::Bf16, Some(3))
    );
    assert_eq!(
        options,
        RunOptions {
            store: "s".into(),
            tensorboard: Some("t".into()),
            json: true,
            dry_run: true,
            quiet: true,
            keep: Keep::Tickets,
            notes: vec![]
        }
    );
}

#[test]
fn the_environment_supplies_what_was_not_typed_and_the_file_overrides_it() {
    let env = [("LOTTERY_MODEL", "m"), ("LOTTERY_DATA", "d"), ("LOTTERY_STORE", "s")];
    let (config, options) = resolve("lottery run --task rte", &env).unwrap();
    assert_eq!((config.model.as_str(), config.data.dir.as_deref().unwrap()), ("m", "d"));
    assert_eq!(options.store, PathBuf::from("s"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, "task = 'rte'\nmodel = 'other'\n").unwrap();
    let (config, options) = resolve(&format!("lottery run --config {}", path.display()), &env[..2]).unwrap();
    assert_eq!((config.model.as_str(), config.data.dir.as_deref().unwrap()), ("other", "d"));
    assert_eq!(options.store, PathBuf::from("runs"));
}

#[test]
fn what_is_missing_is_a_usage_error_that_names_the_flag() {
    let model = [("LOTTERY_MODEL", "m")];
    for (line, env, wanted) in [
        ("lottery run --model m", &model[..0], "--task with one of cola, sst2"),
        ("lottery run --data d", &model[..], "--task with one of cola, sst2"),
    ] {
        let error = resolve(line, env).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn where_nothing_is_asked_for_the_demo_runs_on_the_embedded_model() {
    let env = [("LOTTERY_MODEL", "m"), ("LOTTERY_DATA", "d")];
    for (line, env, expected) in [
        ("lottery run", &env[..], ("demo", "tiny", "tiny")),
        ("lottery run --mode bad --seed 42", &[], ("demo", "tiny", "tiny")),
        ("lottery run --preset small", &[], ("demo", "tiny", "small")),
        ("lottery run --model tiny", &env[..], ("demo", "tiny", "tiny")),
        ("lottery run --task demo", &[], ("demo", "tiny", "tiny")),
        ("lottery run --task demo", &env[..], ("demo", "m", "prasanna2020")),
        ("lottery run --task demo --model other", &[], ("demo", "other", "prasanna2020")),
        ("lottery run --task rte --model tiny", &env[..], ("rte", "tiny", "tiny")),
    ] {
        let (config, _) = resolve(line, env).unwrap();
        let preset = config.preset.as_deref().unwrap();
        assert_eq!((config.task.name(), config.model.as_str(), preset), expected, "{line}");
        if config.model == "tiny" {
            assert_eq!(config.data.max_length, 48, "{line}");
        }
    }
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest_one_and_its_flag() {
    for (wrong, near) in [
        ("--task mnlli", "mnli"),
        ("--task rte --mode inverted", "inverse"),
        ("--task rte --method head", "heads"),
        ("--task rte --preset smal", "small"),
        ("--task rte --dtype bf61", "bf16"),
    ] {
        let line = format!("lottery run --model m --data d {wrong}");
        let error = resolve(&line, &[]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(&format!("Did you mean {near}?")), "{error}");
    }
}

#[test]
fn clap_refuses_what_is_no_number_or_no_flag_with_exit_code_2() {
    for line in ["lottery run --seed x", "lottery run --threads 0", "lottery run --moed good", "lottery walk"]
    {
        assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(Cli::try_parse_from(["lottery", "--version"]).unwrap_err().exit_code(), 0);
}
