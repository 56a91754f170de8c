//! `lottery overlap`: what the tickets of seeds and tasks have in common, beside chance.

use super::{
    choice::one_of,
    options::{store_folder, variable},
    output::{document, print},
    table::Sheet,
    terminal,
};
use crate::{
    choice::Choice,
    error::{Error, Result, printable},
    experiment::ticket::Ticket,
    model::BertConfig,
    prune::{Kind, Mask, Method, Mode, Overlap},
    store::{StageId, Store},
    sweep::records::{self, Summary},
    task::TaskId,
};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

const ABOUT: &str = "\
Compares the good tickets of a store: of one task over its seeds, and of tasks with one seed. Two tickets of a model, a method \
and a sparsity are compared by what both keep: the Jaccard index |A ∩ B| / |A ∪ B|, beside that of random masks with as many \
units in every layer (of single weights: in every matrix).

What is kept by both beyond chance is in the model rather than in a seed or a task.";

const EXAMPLES: &str = "\
Examples:
  Tickets of two tasks and three seeds, then what they have in common:
    lottery sweep --tasks rte,mrpc --methods imp --sparsity 0.7 --seeds 1337,42,86 --model MODEL --data GLUE
    lottery overlap --method imp

  Layer by layer:
    lottery overlap --method imp --layers";

/// The flags of `lottery overlap`.
#[derive(Args, Debug)]
#[command(about = "What the tickets of seeds and tasks have in common, against chance")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct OverlapArgs {
    /// Tickets of this method alone [default: all of the store]
    #[arg(long, value_name = "METHOD", value_parser = one_of::<Method>())]
    method: Option<String>,

    /// Tickets of this task alone [default: all of the store]
    #[arg(long, value_name = "TASK", value_parser = one_of::<TaskId>())]
    task: Option<String>,

    /// A table for each layer
    #[arg(long)]
    layers: bool,

    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Print one JSON document, with every pair
    #[arg(long)]
    json: bool,
}

/// A ticket that was found in the store.
struct Found {
    task: String,
    seed: u64,
    mask: Mask,
}

/// Tickets that differ in task and seed alone.
struct Group {
    title: String,
    tickets: BTreeMap<(String, u64, String), Found>,
}

/// What two tickets keep, of one kind.
#[derive(Clone, Serialize)]
struct Pair {
    tasks: [String; 2],
    seeds: [u64; 2],
    kind: String,
    #[serde(flatten)]
    all: Figures,
    layers: BTreeMap<String, Figures>,
}

/// An overlap with what follows from it.
#[derive(Clone, Serialize)]
struct Figures {
    #[serde(flatten)]
    overlap: Overlap,
    jaccard: f64,
    expected_jaccard: f64,
    deviations: Option<f64>,
}

impl From<Overlap> for Figures {
    fn from(overlap: Overlap) -> Self {
        let (jaccard, expected_jaccard) = (overlap.jaccard(), overlap.expected_jaccard());
        Self { overlap, jaccard, expected_jaccard, deviations: overlap.deviations() }
    }
}

pub fn run(arguments: &OverlapArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let groups = groups(&store, arguments)?;
    let mut found = Vec::new();
    for Group { title, tickets } in groups {
        let pairs = pairs(&tickets.into_values().collect::<Vec<_>>())?;
        if !pairs.is_empty() {
            found.push((title, pairs));
        }
    }
    if arguments.json {
        let found: Vec<Value> =
            found.iter().map(|(title, pairs)| json!({ "tickets": title, "pairs": pairs })).collect();
        return print(&document(&json!({ "format_version": 1, "overlap": found }))?);
    }
    if found.is_empty() {
        return Err(Error::usage(format!(
            "{} has no two tickets of one model, method and sparsity. Run a sweep over seeds or tasks first.",
            store.dir().display()
        )));
    }
    let texts: Vec<String> =
        found.iter().map(|(title, pairs)| text(title, pairs, arguments.layers)).collect();
    print(&printable(&texts.join("\n")))
}

/// The good tickets of the store, each once for a task and a seed.
fn groups(store: &Store, arguments: &OverlapArgs) -> Result<Vec<Group>> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
    for (_, record, ()) in records::all(store)?.found {
        let good = record.mode == Mode::Good.name() && record.method != Method::Ticket.name();
        if !good || !is(&arguments.method, &record.method) || !is(&arguments.task, &record.task) {
            continue;
        }
        // Unless it was taken from elsewhere.
        let id = record.ticket.stage.as_deref().and_then(StageId::parse);
        let Some(id) = id.filter(|id| id.kind() == "search") else { continue };
        let Some(found) = read(store, &id, &record)? else { continue };
        let config = record.config();
        let rules = json!({ "search": config["search"], "prune": config["prune"] });
        let key = json!([record.model.sha256, record.method, rules]).to_string();
        let sparsity = config["prune"]["sparsity"].as_str().map(|share| format!(", sparsity {share}"));
        let level = config["prune"]["level"].as_u64().map(|level| format!(", level {level}"));
        let title = format!(
            "{}, {}{}{}",
            record.model.name,
            record.method,
            sparsity.unwrap_or_default(),
            level.unwrap_or_default()
        );
        let group = groups.entry(key).or_insert_with(|| Group { title, tickets: BTreeMap::new() });
        // What does not depend on them is one stage for all tasks and seeds, and a ticket of each.
        group.tickets.insert((record.task.clone(), record.seed, id.to_string()), found);
    }
    Ok(groups.into_values().collect())
}

fn read(store: &Store, id: &StageId, record: &Summary) -> Result<Option<Found>> {
    let load = |id: &StageId| store.stage(id).load();
    let finetuned = record.finetuned().and_then(StageId::parse);
    let (Some(stage), Some(finetuned)) = (load(id)?, finetuned.as_ref().map(load).transpose()?.flatten())
    else {
        return Ok(None);
    };
    let mask = Ticket::read(&stage, &BertConfig::load(finetuned.dir())?)?.mask;
    Ok(Some(Found { task: record.task.clone(), seed: record.seed, mask }))
}

/// Every two tickets of one task, or of one seed.
fn pairs(tickets: &[Found]) -> Result<Vec<Pair>> {
    let mut tickets: Vec<&Found> = tickets.iter().collect();
    tickets.sort_by_key(|found| (&found.task, found.seed));
    let mut pairs = Vec::new();
    for (at, a) in tickets.iter().enumerate() {
        for b in &tickets[at + 1..] {
            if (a.task == b.task) == (a.seed == b.seed) {
                continue;
            }
            let found = a.mask.overlap(&b.mask)?;
            let kinds: BTreeSet<Kind> = found.keys().map(|(kind, _)| *kind).collect();
            for kind in kinds {
                let of = || found.iter().filter(|((own, _), _)| *own == kind);
                let all = of().fold(Overlap::default(), |sum, (_, overlap)| sum.and(*overlap));
                let name = |layer: Option<usize>| layer.map_or("other".to_owned(), |layer| layer.to_string());
                pairs.push(Pair {
                    tasks: [a.task.clone(), b.task.clone()],
                    seeds: [a.seed, b.seed],
                    kind: kind.to_string(),
                    all: all.into(),
                    layers: of().map(|((_, layer), overlap)| (name(*layer), (*overlap).into())).collect(),
                });
            }
        }
    }
    Ok(pairs)
}

fn text(title: &str, pairs: &[Pair], layers: bool) -> String {
    let mut rows: BTreeMap<(&str, &[String; 2]), Vec<&Pair>> = BTreeMap::new();
    for pair in pairs {
        rows.entry((&pair.kind, &pair.tasks)).or_default().push(pair);
    }
    let mut sheet =
        Sheet::of_numbers(["tickets", "of", "layer", "pairs", "kept", "Jaccard", "by chance", "deviations"]);
    for ((kind, [one, another]), pairs) in &rows {
        let who = if one == another { format!("{one} over seeds") } else { format!("{one} and {another}") };
        let mut row = |layer: &str, figures: &[&Figures]| {
            let mean = |of: &dyn Fn(&Figures) -> f64| {
                figures.iter().map(|figures| of(figures)).sum::<f64>() / figures.len() as f64
            };
            let kept = mean(&|f| f.overlap.kept.iter().sum::<usize>() as f64 / (2 * f.overlap.total) as f64);
            let deviations = figures.iter().all(|f| f.deviations.is_some());
            sheet.row([
                who.clone(),
                (*kind).to_owned(),
                layer.to_owned(),
                figures.len().to_string(),
                format!("{:.1} %", 100.0 * kept),
                format!("{:.4}", mean(&|f| f.jaccard)),
                format!("{:.4}", mean(&|f| f.expected_jaccard)),
                if deviations {
                    format!("{:+.1}", mean(&|f| f.deviations.unwrap_or(0.0)))
                } else {
                    "–".into()
                },
            ]);
        };
        row("all", &pairs.iter().map(|pair| &pair.all).collect::<Vec<_>>());
        let mut names: Vec<&String> = pairs.iter().flat_map(|pair| pair.layers.keys()).collect();
        names.sort_by_key(|name| (name.parse::<usize>().unwrap_or(usize::MAX), name.as_str()));
        names.dedup();
        for name in names.into_iter().filter(|_| layers) {
            row(name, &pairs.iter().filter_map(|pair| pair.layers.get(name)).collect::<Vec<_>>());
        }
    }
    format!("{title}\n{}", sheet.text(terminal::width()))
}
