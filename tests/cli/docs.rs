//! Every command in the documentation: those on the demo are run, and the others are at least read by the parser.

use std::{collections::BTreeSet, fs, path::Path};

use clap::Parser;

use crate::fixture::{lottery, stderr};

/// The commands of a page's shell blocks and console transcripts, each on one line, with the page's name.
fn commands() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().flatten().map(|entry| entry.path());
    let pages =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([root.join("README.md")]);
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        for block in text.split("\n```").skip(1) {
            let Some((kind, body)) = block.split_once('\n') else { continue };
            for line in body.lines() {
                let command = match kind {
                    "sh" => Some(line),
                    "console" => line.strip_prefix("$ "),
                    _ => None,
                };
                found.extend(command.map(|command| (name.clone(), command.trim().to_owned())));
            }
        }
    }
    found
}

/// The words of the program's part of a shell line: without comment, redirection and pipe.
fn words(command: &str) -> Option<Vec<String>> {
    let command = command
        .strip_prefix("cargo run --release --")
        .map_or(command.to_owned(), |rest| format!("lottery{rest}"));
    let all = shlex::split(&command).unwrap_or_else(|| panic!("not a line for a shell: {command}"));
    let own = all
        .into_iter()
        .take_while(|word| !["|", "||", ">", "&&", ";"].contains(&&**word))
        .collect::<Vec<_>>();
    // What a variable stands for, the shell knows.
    (own.first()? == "lottery" && !own.iter().any(|word| word.starts_with('$'))).then_some(own)
}

#[test]
fn every_command_of_the_documentation_is_one() {
    let mut seen = 0;
    for (page, command) in commands() {
        let Some(words) = words(&command) else { continue };
        let parsed = lottery::cli::Cli::try_parse_from(&words);
        if let Err(error) = parsed {
            assert!(!error.use_stderr(), "{page}: {command}\n{error}");
        }
        seen += 1;
    }
    assert!(seen >= 60, "only {seen} commands were found");
}

/// What makes a command on the demo quick.
const QUICK: [&str; 6] =
    ["--set", "data.train_limit=96", "--set", "data.dev_limit=48", "--set", "train.epochs=1"];

/// How a command is run in a folder with a record of the demo and no network; `None` for one that needs more.
fn runnable(words: &[String]) -> Option<Vec<String>> {
    let own = |more: &[&str]| {
        Some(words[1..].iter().cloned().chain(more.iter().map(|w| (*w).to_owned())).collect())
    };
    let has = |word: &str| words.iter().any(|other| other == word);
    let demo = ![
        "--task",
        "--tasks",
        "--model",
        "--models",
        "--data",
        "--ticket",
        "--config",
        "--finetuned",
        "/shared/runs",
    ]
    .iter()
    .any(|word| has(word))
        || has("demo");
    match words.get(1)?.as_str() {
        "run" if has("--smoke") => own(&[]),
        "run" if demo => own(&QUICK),
        "sweep" if words.get(2).is_some_and(|file| file.ends_with("demo.toml")) || has("--tasks") && demo => {
            own(if has("--dry-run") { &[] } else { &["--dry-run"] })
        }
        "status" | "show" | "config" | "gc" | "doctor" | "completions" | "man" if demo => own(&[]),
        "data" if has("list") => own(&[]),
        _ => None,
    }
}

#[test]
fn the_commands_on_the_demo_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[cfg(unix)]
    std::os::unix::fs::symlink(root.join("configs"), folder.path().join("configs")).unwrap();
    let run = |words: &[String]| {
        let mut command = lottery();
        command.args(words).current_dir(folder.path()).env("LOTTERY_CACHE", folder.path().join("cache"));
        command.output().unwrap()
    };
    let first = ["run".to_owned()].into_iter().chain(QUICK.map(str::to_owned)).collect::<Vec<_>>();
    assert!(run(&first).status.success());
    // The sweep of the examples.
    let study = ["sweep", "--tasks", "demo", "--name", "study", "--plan"].map(str::to_owned);
    assert!(run(&study).status.success());
    let mut done = BTreeSet::new();
    for (page, command) in commands() {
        let Some(words) = words(&command).and_then(|words| runnable(&words)) else { continue };
        if !done.insert(words.clone()) {
            continue;
        }
        let output = run(&words);
        // The smoke run is too short to learn.
        let denied = command.contains("--deny-warnings") && output.status.code() == Some(6);
        assert!(output.status.success() || denied, "{page}: {command}\n{}", stderr(&output));
    }
    let verbs: BTreeSet<&String> = done.iter().map(|words| &words[0]).collect();
    assert!(done.len() >= 14 && verbs.len() >= 7, "only these were run: {done:?}");
}
