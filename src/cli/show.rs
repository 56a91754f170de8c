//! `lottery show`: one record in full.

use super::{
    options::{store_folder, variable},
    output::{document, print, show},
    run::summary,
    sweep::duration,
    terminal::{self, has_colour, wrapped},
};
use crate::{
    config::filled,
    error::{Error, Result, excerpt, message},
    experiment::ticket::TICKET,
    file,
    store::{StageId, Store},
    sweep::records,
};
use anstyle::{Ansi256Color, AnsiColor, Style};
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  lottery show runs/results/demo/heads+ffns/good/seed-1337.json
  lottery show demo-heads+ffns-good-1337 --scores";

/// The flags of `lottery show`.
#[derive(Args, Debug)]
#[command(about = "Show one record in full: scores, subnetwork, settings, stages", after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The file of a record, or the start of a run's name; optional if the store has only one record
    #[arg(value_name = "RUN", default_value = "", hide_default_value = true)]
    run: String,

    /// Also show the importance of every head and FFN, as it was before anything was pruned
    #[arg(long)]
    scores: bool,

    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Print the record as it is
    #[arg(long, conflicts_with = "scores")]
    json: bool,
}

pub fn run(arguments: &ShowArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let path = path(&arguments.run, &store)?;
    let bytes = file::read_all(&path)?;
    let damaged = |why: String| Error::data(format!("{} is no record: {why}.", path.display()));
    let record: Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if !record["full"]["metrics"].is_object() {
        return Err(damaged("it has no scores of a full model".to_owned()));
    }
    if arguments.json {
        return print(&document(&record)?);
    }
    let width = terminal::width();
    let importance = arguments.scores.then(|| importance(&record, &store, &path)).transpose()?;
    show(&text(&record, &path, width))?;
    // Numbers alone, in colours: nothing is to be escaped.
    importance.map_or(Ok(()), |importance| print(&scores(&importance, width, has_colour())))
}

/// The file of the record that is meant.
fn path(named: &str, store: &Store) -> Result<PathBuf> {
    if Path::new(named).is_file() {
        return Ok(named.into());
    }
    store.must_exist()?;
    let found = records::all(store)?.found;
    let all: Vec<(String, PathBuf)> =
        found.into_iter().filter_map(|(path, summary, ())| Some((summary.run()?, path))).collect();
    let near: Vec<_> = all.iter().filter(|(run, _)| run.starts_with(named)).collect();
    let listed = |runs: &[&str]| {
        let more = if runs.len() > 10 { ", …" } else { "" };
        runs.iter().take(10).copied().collect::<Vec<_>>().join(", ") + more
    };
    match &near[..] {
        [(_, path)] => Ok(path.clone()),
        [] => {
            let runs: Vec<&str> = all.iter().map(|(run, _)| &**run).collect();
            let has = if runs.is_empty() { "no records".to_owned() } else { listed(&runs) };
            let (named, dir) = (excerpt(named), store.dir().display());
            Err(Error::usage(format!(
                "no record's run begins with {named:?}, and no file has that name. {dir} has {has}."
            )))
        }
        _ => {
            let runs: Vec<&str> = near.iter().map(|(run, _)| &**run).collect();
            Err(Error::usage(format!("several records are meant. Name one of {}.", listed(&runs))))
        }
    }
}

fn text(record: &Value, path: &Path, width: Option<usize>) -> String {
    let mut text = summary(record, path, width);
    text += &subnetwork(&record["ticket"]);
    for warning in record["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text += &wrapped(&format!("warning: {}", message(warning)), "", width);
    }
    text += "stages\n";
    for (name, id) in record["stages"].as_object().into_iter().flatten() {
        let seconds = record["timing"][format!("{name}_s")].as_f64();
        let seconds = seconds.map(|seconds| format!(", {}", duration(seconds))).unwrap_or_default();
        text += &format!("  {name:<9} {}{seconds}\n", id.as_str().unwrap_or_default());
    }
    for section in ["model", "data", "device", "provenance"] {
        text += &format!("{section}\n{}", leaves(&record[section], width));
    }
    text + "settings\n" + &leaves(&filled(&record["config"]), width)
}

/// `key = value` for everything below that has a value.
fn leaves(value: &Value, width: Option<usize>) -> String {
    let found = records::leaves(value).into_iter().filter(|(_, value)| !value.is_null());
    let line = |(key, value)| wrapped(&format!("{key} = {}", message(&records::plain(value))), "  ", width);
    found.map(line).collect()
}

/// A line for each layer: its heads and its FFN, `●` kept and `·` pruned.
fn subnetwork(ticket: &Value) -> String {
    let dots = |units: &str| {
        units.chars().map(|unit| if unit == '1' { "●" } else { "·" }).collect::<Vec<_>>().join(" ")
    };
    let heads: Vec<&str> =
        ticket["heads"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let ffns: Vec<char> = ticket["ffns"].as_str().unwrap_or_default().chars().collect();
    let wide = heads.iter().map(|layer| layer.len() * 2).max().unwrap_or(0).max("heads ".len());
    let mut text = format!("layer  {:<wide$} FFN\n", "heads");
    for (layer, heads) in heads.iter().enumerate() {
        let ffn = ffns.get(layer).map(|unit| dots(&unit.to_string())).unwrap_or_default();
        text += &format!("{layer:>5}  {:<wide$} {ffn}\n", dots(heads));
    }
    text
}

/// Importances before anything was pruned: of the heads by layer, and of the FFNs.
struct Importance {
    heads: Vec<Vec<f64>>,
    ffns: Vec<f64>,
}

fn importance(record: &Value, store: &Store, path: &Path) -> Result<Importance> {
    let id = record["ticket"]["stage"].as_str().and_then(StageId::parse).ok_or_else(|| {
        Error::usage(format!("{}: nothing was searched in this run, so there are no scores.", path.display()))
    })?;
    // The record's own store, wherever that is.
    let beside = path.ancestors().nth(5).map(Store::at).transpose()?;
    let stores = beside.into_iter().chain([store.clone()]);
    for store in stores {
        let Some(done) = store.stage(&id).load()? else { continue };
        let ticket: Value = done.read_json(TICKET)?;
        let first = &ticket["steps"][0]["importance"];
        let numbers = |value: &Value| {
            value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>()
        };
        let heads: Vec<Vec<f64>> = first["heads"].as_array().into_iter().flatten().map(numbers).collect();
        if heads.is_empty() {
            return Err(Error::usage(format!(
                "{id} pruned no heads or FFNs by scores, so there are none to show."
            )));
        }
        return Ok(Importance { heads, ffns: numbers(&first["ffns"]) });
    }
    Err(Error::data(format!(
        "{id}, which has the scores, is not in the store. Run the command of the record again."
    )))
}

/// Layers × heads, and the FFNs beside them; on a terminal with colours from cold to hot.
fn scores(of: &Importance, width: Option<usize>, colours: bool) -> String {
    let most = of.heads.iter().map(Vec::len).max().unwrap_or(0);
    // 0.123, or .12 where it is narrow.
    let decimals = if width.is_some_and(|width| width < 7 + 6 * (most + 1) + 2) { 1 } else { 3 };
    let cell = decimals + 3;
    let top = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN_POSITIVE, f64::max);
    let (heads, ffns) = (top(&mut of.heads.iter().flatten().copied()), top(&mut of.ffns.iter().copied()));
    let shown = |value: f64, top: f64| {
        let text = format!("{value:>cell$.decimals$}");
        if colours { painted(&text, value / top) } else { text }
    };
    let names: String = (0..most).map(|head| format!("{head:>cell$}")).collect();
    let mut text = format!("importance\nlayer {names}  {:>cell$}\n", "FFN");
    for (layer, row) in of.heads.iter().enumerate() {
        let cells: String = row.iter().map(|value| shown(*value, heads)).collect();
        let ffn = of.ffns.get(layer).map(|value| shown(*value, ffns)).unwrap_or_default();
        text += &format!("{layer:>5} {cells}  {ffn}\n");
    }
    text
}

/// Seven steps of the 256 colours, from blue to red.
fn painted(text: &str, part: f64) -> String {
    const STEPS: [u8; 7] = [17, 18, 54, 90, 126, 160, 196];
    let step = STEPS[((part.clamp(0.0, 1.0) * 6.0).round() as usize).min(6)];
    let style =
        Style::new().fg_color(Some(AnsiColor::White.into())).bg_color(Some(Ansi256Color(step).into()));
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_subnetwork_is_drawn_layer_by_layer() {
        let ticket = json!({ "heads": ["1101", "0010"], "ffns": "10" });
        assert_eq!(subnetwork(&ticket), "layer  heads    FFN\n    0  ● ● · ●  ●\n    1  · · ● ·  ·\n");
    }

    #[test]
    fn scores_stand_by_layer_and_head_and_glow_on_a_terminal() {
        let of = Importance { heads: vec![vec![0.5, 1.0], vec![0.0, 0.25]], ffns: vec![1.0, 0.125] };
        let plain = scores(&of, None, false);
        assert_eq!(
            plain,
            "importance\nlayer      0     1     FFN\n    0  0.500 1.000   1.000\n    1  0.000 0.250   0.125\n"
        );
        let wide = scores(&Importance { heads: vec![vec![0.5; 16]], ffns: vec![0.5] }, Some(80), false);
        assert!(wide.lines().all(|line| line.len() <= 80), "{wide}");
        let hot = scores(&of, None, true);
        assert!(hot.contains("\u{1b}[37m\u{1b}[48;5;196m 1.000\u{1b}[0m"), "{hot:?}");
    }
}
