//! Command lines that are nearly right: what a word that is no flag was probably meant as.

use crate::{
    choice::Choice,
    config::key_of_flag,
    error::excerpt,
    prune::{Method, Mode},
    task::TaskId,
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::{fs, path::Path};

/// The error of an unknown flag or word, with what was meant; `None` where the parser's own says enough.
pub fn near_miss(error: &clap::Error, verb: &str) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument || !["run", "sweep"].contains(&verb) {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let shown = excerpt(word);
    match word.strip_prefix("--") {
        Some(flag) => {
            let flag = flag.split('=').next().unwrap_or(flag);
            if let Some(one) = of_sweeps(flag).filter(|_| verb == "run") {
                let shared = match one {
                    "task" => " Several tasks on one encoder are --task and --with.",
                    _ => "",
                };
                return Some(format!(
                    "there is no flag --{flag}: a run has one {one}. lottery sweep --{flag} makes a run for each.{shared}"
                ));
            }
            // The parser knows the flag that is one letter away.
            let key = key_of_flag(flag)
                .filter(|_| error.get(ContextKind::SuggestedArg).is_none() || flag.len() < 4)?;
            Some(format!(
                "there is no flag --{}; the setting is {key}. Write --set {key}=VALUE (lottery config {key} says what it may \
                 hold).",
                excerpt(flag)
            ))
        }
        None => Some(format!("{shown:?} is no flag. {}", meant(word, verb)?)),
    }
}

/// What a flag of `lottery sweep` has several of.
fn of_sweeps(flag: &str) -> Option<&str> {
    let one = flag.strip_suffix('s')?;
    ["task", "mode", "method", "seed", "model"].contains(&one).then_some(one)
}

/// Whole sentences.
fn meant(word: &str, verb: &str) -> Option<String> {
    let path = Path::new(word);
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    let plural = if verb == "sweep" { "s" } else { "" };
    Some(if let Some(task) = TaskId::canonical(word) {
        format!("Write --task{plural} {task}.")
    } else if let Some(mode) = Mode::canonical(word) {
        format!("Write --mode{plural} {mode}.")
    } else if let Some(method) = Method::canonical(word) {
        format!("Write --method{plural} {method}.")
    } else if end == "toml" && is_sweep(path) {
        format!("It is the file of a sweep: lottery sweep {}", excerpt(word))
    } else if ["toml", "json"].contains(&end) {
        format!("Write --config {}.", excerpt(word))
    } else if word.contains('=') {
        format!("Write --set {}.", excerpt(word))
    } else if word.contains('/') || path.is_dir() {
        format!(
            "Write --model{plural} {} for a model, or --data {} for a folder of data.",
            excerpt(word),
            excerpt(word)
        )
    } else {
        return None;
    })
}

/// Whether a file has a grid.
fn is_sweep(path: &Path) -> bool {
    let table = fs::read_to_string(path).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| crate::config::is_sweep(&table))
}
