//! Command lines and configurations that cannot be carried out: exit code 2, and nothing is begun.

use crate::fixture::{Bench, assert_nothing_half_written, lottery, refused, stderr, succeeded};

fn refuse(arguments: &[&str], wanted: &[&str]) {
    let bench = Bench::new("RTE");
    refused(&mut bench.run("rte", arguments), 2, wanted);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_one() {
    for (flag, word, near) in [
        ("--task", "rtee", "rte"),
        ("--mode", "goood", "good"),
        ("--preset", "prasanna2021", "prasanna2020"),
        ("--method", "head", "heads"),
        ("--dtype", "bf61", "bf16"),
    ] {
        refuse(&[flag, word], &[word, &format!("Did you mean {near}")]);
    }
    refuse(&["--set", "train.epoch=3"], &["unknown key train.epoch", "Did you mean train.epochs?"]);
    refuse(
        &["--set", "learning_rate=3"],
        &["unknown key learning_rate", "Did you mean train.learning_rate or shared.learning_rate?"],
    );
    refuse(&["--set", "importance.estimator=tokens"], &["importance.estimator", "Did you mean token?"]);
    refuse(
        &["--mode", "zzz"],
        &["zzz", "good, bad, random, inverse, super-good, super-bad, super-random, full"],
    );
}

#[test]
fn a_setting_without_a_value_or_with_one_that_does_not_fit_is_told_with_what_fits() {
    for (setting, wanted) in [
        ("train.epochs", "Write --set KEY=VALUE"),
        ("=3", "unknown key"),
        ("train.epochs=", "a whole number, at least 1"),
        ("train.epochs=0", "a whole number, at least 1"),
        ("train.epochs=2.5", "a whole number, at least 1"),
        ("train.epochs=three", "a whole number, at least 1"),
        ("train.dropout=1", "below 1"),
        ("train.learning_rate=-1", "above 0"),
        ("train.learning_rate=nan", "above 0"),
        ("search.stale=maybe", "true or false"),
        ("seed=-1", "whole number"),
        ("importance.split=heldout:2", "heldout:FRACTION"),
        ("data.max_length=4", "data.max_length"),
        ("data.max_length=0", "data.max_length"),
    ] {
        let key = setting.split('=').next().unwrap();
        refuse(&["--set", setting], &[key, wanted, "--set"]);
    }
}

#[test]
fn flags_that_do_not_exist_and_numbers_that_are_none_are_usage_errors() {
    let bench = Bench::new("RTE");
    for arguments in [&["--thread", "1"][..], &["--seed", "many"], &["--threads", "0"], &["--seed=-1"]] {
        let output = bench.run("rte", arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            output.stdout.is_empty() && stderr(&output).contains(arguments[0].split('=').next().unwrap()),
            "{}",
            stderr(&output)
        );
    }
    assert!(!bench.path("runs").exists());
}

#[test]
fn what_a_run_cannot_do_without_is_asked_for() {
    for (arguments, wanted) in
        [(&["run", "--model", "model"][..], "--task"), (&["run", "--data", "glue"], "--task")]
    {
        let bench = Bench::new("RTE");
        refused(lottery().args(arguments).current_dir(bench.root.path()), 2, &[wanted]);
        assert!(!bench.path("runs").exists());
    }
}

#[test]
fn a_configuration_file_is_named_in_its_errors() {
    let bench = Bench::new("RTE");
    refused(&mut bench.run("rte", &["--config", "none.toml"]), 2, &["none.toml", "--config"]);
    for (content, wanted) in [
        ("[train]\nepoch = 3\n", "unknown key train.epoch"),
        ("[train]\nepochs = 'three'\n", "train.epochs"),
        ("[train\n", "not valid TOML"),
        ("trian = {}\n", "unknown key trian"),
    ] {
        bench.write("mine.toml", content);
        refused(&mut bench.run("rte", &["--config", "mine.toml"]), 2, &["mine.toml", wanted]);
    }
    bench.write("mine.toml", [0xff, 0xfe]);
    refused(&mut bench.run("rte", &["--config", "mine.toml"]), 2, &["mine.toml"]);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn a_sequence_longer_than_the_position_table_is_refused_before_anything_is_read_of_the_data() {
    let wanted = ["data.max_length is 65", "64 positions", "--set data.max_length=64"];
    refuse(&["--set", "data.max_length=65", "--data", "nowhere"], &wanted);
    let bench = Bench::new("RTE");
    for length in ["64", "8"] {
        let set = format!("data.max_length={length}");
        succeeded(&mut bench.run("rte", &["--mode", "full", "--set", "train.epochs=1", "--set", &set]));
    }
}

#[test]
fn a_scoring_split_that_the_data_cannot_give_is_refused() {
    refuse(&["--set", "importance.split=train:161"], &["train:161", "160", "train:160 or less"]);
    refuse(&["--set", "importance.split=heldout:0.001"], &["heldout:0.001", "160 training examples"]);
}

#[test]
fn a_device_that_this_build_has_not_is_refused() {
    refuse(&["--device", "cuda:0"], &["--device cuda:0", "--device cpu"]);
    refuse(&["--device", "gpu"], &["gpu", "auto, cpu or cuda:N"]);
}

#[test]
fn the_help_is_data_and_names_the_exit_codes() {
    let output = succeeded(lottery().arg("--help"));
    let help = String::from_utf8(output.stdout).unwrap();
    // However the terminal's width breaks it.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("2 usage or configuration") && help.contains("3 data or model file"), "{help}");
    let output = succeeded(lottery().arg("doctor"));
    assert!(String::from_utf8(output.stdout).unwrap().contains("threads"));
}

#[test]
fn the_kernels_can_be_limited_and_a_limit_that_is_none_is_refused() {
    let bench = Bench::new("SST-2");
    let with = |limit: &str| {
        let mut command = bench.run("sst2", &["--mode", "full", "--json", "--set", "train.epochs=1"]);
        command.env("LOTTERY_KERNELS", limit);
        command
    };
    refused(&mut with("avx1024"), 2, &["LOTTERY_KERNELS", "avx1024", "avx512, avx2 or base"]);
    let record: serde_json::Value = serde_json::from_slice(&succeeded(&mut with("base")).stdout).unwrap();
    assert_eq!(record["device"]["kernels"], "base");
}

#[test]
fn bf16_falls_back_to_f32_where_the_processor_cannot_and_everything_says_so() {
    let bench = Bench::new("SST-2");
    let on_cpu = ["--device", "cpu", "--mode", "full", "--json", "--set", "train.epochs=1"];
    let run = |kernels: &str, dtype: &str| {
        let mut command = bench.run("sst2", &on_cpu);
        command.args(["--dtype", dtype]).env("LOTTERY_KERNELS", kernels);
        let output = succeeded(&mut command);
        let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (record, String::from_utf8(output.stderr).unwrap())
    };
    let (plain, talk) = run("base", "f32");
    assert!(!talk.contains("bf16"), "{talk}");
    // The same run: what was asked for is not what is recorded.
    let (fallen, talk) = run("base", "bf16");
    assert!(talk.contains("f32 instead of bf16") && talk.contains("AVX512_BF16"), "{talk}");
    assert_eq!(fallen, plain);
    assert_eq!(
        (&fallen["device"]["dtype"], &fallen["config"]["run"]["dtype"]),
        (&"f32".into(), &"f32".into())
    );
    let (fallen, talk) = run("base", "tf32");
    assert!(talk.contains("f32 instead of tf32: TensorFloat-32 is a format of CUDA devices"), "{talk}");
    assert_eq!(fallen, plain);
    let (rounded, talk) = run("avx2+bf16", "bf16");
    if rounded["device"]["kernels"] == "base" {
        return; // This processor has not even that.
    }
    assert!(!talk.contains("instead"), "{talk}");
    assert_eq!(rounded["device"]["kernels"], "avx2+bf16-rounded");
    assert_eq!(rounded["device"]["dtype"], "bf16");
    assert_ne!(rounded["stages"]["finetune"], plain["stages"]["finetune"]);
}

#[test]
fn negative_numbers_are_told_the_range() {
    for (flag, range) in
        [("--seed", "a whole number, at least 0"), ("--threads", "a whole number from 1 to 1024")]
    {
        let output = lottery().args(["run", flag, "-1"]).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(flag) && told.contains(range), "{told}");
    }
}

#[test]
fn arguments_are_repeated_in_errors_cut_and_without_effect_on_the_terminal() {
    let bench = Bench::new("RTE");
    let long = format!("\x1b[2J{}", "x".repeat(100_000));
    for arguments in [
        &["--task", &long][..],
        &["--set", &format!("{long}=1")],
        &["--set", &format!("seed={long}")],
        &["--mode", &long],
        &["--seed", &long],
        &[&format!("--{long}")],
        &["--model", &long],
        &["--config", &long],
    ] {
        let output = bench.run("rte", arguments).output().unwrap();
        let said = stderr(&output);
        assert!([Some(2), Some(3)].contains(&output.status.code()), "{said}");
        let acts = |c: char| c.is_control() && c != '\n';
        assert!(said.chars().count() <= 2010 && !said.contains(acts), "{said:?}");
        assert!(said.contains("xxx") && said.contains('…'), "{said}");
    }
    // What is ordinary stays whole, lines and all.
    let output = bench.run("rte", &["--seed", "many"]).output().unwrap();
    assert!(stderr(&output).ends_with("For more information, try '--help'.\n"), "{}", stderr(&output));
}

#[test]
fn a_line_of_megabytes_in_a_configuration_file_is_not_repeated() {
    let bench = Bench::new("RTE");
    let long = "x".repeat(4 << 20);
    for (content, wanted) in [
        (format!("seed = 1\nmodel = '{long}"), "is not valid TOML: line 2: "),
        (format!("seed = '{long}'"), "seed = \"xxx"),
        (format!("{long} = 1"), "unknown key xxx"),
        (format!("['{long}']\nseed = 1"), "unknown key xxx"),
        (
            "[train]\nepochs = [1, 'a']".to_owned(),
            "train.epochs = [1, \"a\"] (file mine.toml): expected a whole",
        ),
    ] {
        bench.write("mine.toml", content);
        let said = refused(&mut bench.run("rte", &["--config", "mine.toml"]), 2, &["mine.toml", wanted]);
        assert!(said.len() < 600, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_named_where_a_store_or_a_model_is_expected() {
    let bench = Bench::new("RTE");
    std::os::unix::fs::symlink("gone/away", bench.path("link")).unwrap();
    let wanted = ["as the store: link is a link to gone/away, which does not exist", "--store"];
    refused(&mut bench.run("rte", &["--store", "link"]), 3, &wanted);
    let status = ["status", "--store", "link"];
    let wanted = ["there is no store", "link is a link to gone/away, which does not exist"];
    refused(lottery().args(status).current_dir(bench.root.path()), 3, &wanted);
    refused(&mut bench.run("rte", &["--model", "link"]), 3, &["link is a link to gone/away", "--model"]);
    assert!(!bench.path("gone").exists());
}

#[test]
fn a_path_with_a_comma_is_no_list_of_paths() {
    let bench = Bench::new("RTE");
    std::fs::rename(bench.path("model"), bench.path("v1,2")).unwrap();
    let sweep = |arguments: &[&str]| {
        let mut command = lottery();
        command.args(["sweep", "--tasks", "rte", "--data", "glue", "--dry-run"]).args(arguments);
        command.current_dir(bench.root.path());
        command
    };
    let wanted = ["\"v1,2\" exists", "comma-separated list", "model = [\"v1,2\"]"];
    refused(&mut sweep(&["--models", "tiny,v1,2"]), 2, &wanted);
    refused(&mut sweep(&["--set", "model=v1,2"]), 2, &wanted);
    bench.write("grid.toml", "data.dir = 'glue'\n[grid]\nmodel = ['v1,2']\n");
    succeeded(
        lottery().args(["sweep", "grid.toml", "--tasks", "rte", "--dry-run"]).current_dir(bench.root.path()),
    );
    // Folders of these names are what was typed.
    for folder in ["v1", "2"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
    }
    succeeded(&mut sweep(&["--models", "v1,2"]));
}
