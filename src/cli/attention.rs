//! `lottery attention`: what the heads of a fine-tuned model attend to.

use super::{
    console::feed,
    options::numbers,
    subject::{Subject, SubjectArgs},
    table::{Column, Sheet},
    terminal,
};
use crate::{
    choice::Choice,
    error::Result,
    experiment::{
        Analysis,
        analysis::{ANALYSIS, FINETUNE, SEARCH},
        attention::{Counts, Pattern, shares},
        stages::{Attend, PATTERNS, Patterns},
        ticket::Ticket,
    },
    prune::Kind,
};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;

const ABOUT: &str = "\
Which patterns the attention of a fine-tuned model's heads has, and whether the heads that a ticket keeps have others.

Each head's attention over a development example is a map of tokens by tokens: vertical (to a few tokens, such as [CLS] and \
[SEP]), diagonal (to the token itself and its neighbours), both of them, block (within the own segment) or heterogeneous, by a \
rule that docs/analyses.md describes. Raw attention is taken, and attention times the length of what the head adds for it. \
The pre-trained model stands beside it. The counts are a stage of the store, so repeating the command computes nothing.";

const EXAMPLES: &str = "\
Examples:
  Of a record: all heads, and those that its ticket keeps:
    lottery attention runs/results/rte/heads+ffns/good/seed-1337.json

  Head by head, over more examples:
    lottery attention runs/results/rte/heads+ffns/good/seed-1337.json --heads --examples 500";

/// The flags of `lottery attention`.
#[derive(Args, Clone, Debug)]
#[command(about = "Patterns of attention, of all heads and of those that a ticket keeps")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct AttentionArgs {
    #[command(flatten)]
    subject: SubjectArgs,

    /// Development examples, the first ones with at least 16 tokens
    #[arg(long, value_name = "N", default_value = "100", value_parser = numbers(1..=1_000_000), help_heading = "What to look at")]
    examples: u64,

    /// A row for each head of the fine-tuned model, with its shares of patterns
    #[arg(long, help_heading = "What to look at")]
    heads: bool,
}

/// Field names are fixed: other programs read them.
#[derive(Serialize)]
struct Report {
    format_version: u32,
    task: &'static str,
    model: String,
    seed: u64,
    finetune: String,
    /// The stage with the counts.
    attention: String,
    /// Numbers of the development examples.
    examples: Vec<usize>,
    patterns: Vec<&'static str>,
    /// The heads that the ticket keeps, by layer; none without a search.
    kept: Option<Vec<Vec<bool>>>,
    shares: Vec<Shares>,
    finetuned: Counts,
    pretrained: Counts,
}

/// The share of each pattern.
#[derive(Serialize)]
struct Shares {
    model: &'static str,
    attention: &'static str,
    /// `all`, `kept` or `pruned`.
    heads: &'static str,
    count: usize,
    shares: BTreeMap<&'static str, f64>,
}

pub fn run(arguments: &AttentionArgs) -> Result<()> {
    let Subject { config, store, mut console } = arguments.subject.open()?;
    let cache = store.dir().join("cache");
    let analysis = Analysis::load(config, &[], Some(&cache), &mut console)?.with_search();
    feed(&analysis.inputs.machine);
    let stage = Attend { finetune: FINETUNE, examples: arguments.examples as usize };
    let (analysis, done) = analysis.run(stage, &store, &mut console)?;
    let (inputs, stage) = (&analysis.inputs, &done[ANALYSIS]);
    let Patterns { examples, finetuned, pretrained } = stage.read_json(PATTERNS)?;
    let model = &inputs.model.config;
    let ticket = done.get(SEARCH).map(|search| Ticket::read(search, model)).transpose()?;
    let kept = ticket.map(|ticket| {
        let flags = ticket.mask.flags(Kind::Heads);
        flags.chunks(model.num_attention_heads).map(<[bool]>::to_vec).collect::<Vec<_>>()
    });
    let report = Report {
        format_version: 1,
        task: inputs.task.name,
        model: inputs.folder.name.clone(),
        seed: analysis.config.seed,
        finetune: done[FINETUNE].id().to_string(),
        attention: stage.id().to_string(),
        examples,
        patterns: Pattern::all().iter().map(|pattern| pattern.name()).collect(),
        shares: rows(kept.as_deref(), &[("fine-tuned", &finetuned), ("pre-trained", &pretrained)]),
        kept,
        finetuned,
        pretrained,
    };
    arguments.subject.show(&report, || text(&report, arguments.heads))
}

fn named(shares: Vec<f64>) -> BTreeMap<&'static str, f64> {
    Pattern::all().iter().map(|pattern| pattern.name()).zip(shares).collect()
}

fn rows(kept: Option<&[Vec<bool>]>, models: &[(&'static str, &Counts)]) -> Vec<Shares> {
    let mut rows = Vec::new();
    for (model, counts) in models {
        for (attention, counts) in [("raw", &counts.raw), ("weighted", &counts.weighted)] {
            let is_kept = |layer: usize, head: usize| kept.is_some_and(|kept| kept[layer][head]);
            type Chosen<'a> = &'a dyn Fn(usize, usize) -> bool;
            let choices: [(&str, Chosen); 3] =
                [("all", &|_, _| true), ("kept", &is_kept), ("pruned", &|layer, head| !is_kept(layer, head))];
            for (heads, chosen) in &choices[..if kept.is_some() { 3 } else { 1 }] {
                let all = counts.iter().enumerate();
                let count =
                    all.map(|(layer, row)| (0..row.len()).filter(|head| chosen(layer, *head)).count());
                rows.push(Shares {
                    model,
                    attention,
                    heads,
                    count: count.sum(),
                    shares: named(shares(counts, chosen)),
                });
            }
        }
    }
    rows
}

fn text(report: &Report, heads: bool) -> String {
    let patterns = || report.patterns.iter().map(|name| (*name, Column::Number));
    let percent = |share: &f64| format!("{:.1} %", 100.0 * share);
    let mut sheet = Sheet::new(
        [
            ("model", Column::Text),
            ("attention", Column::Text),
            ("heads", Column::Text),
            ("n", Column::Number),
        ]
        .into_iter()
        .chain(patterns()),
    );
    for row in &report.shares {
        let words = [row.model, row.attention, row.heads].map(str::to_owned);
        let shares = report.patterns.iter().map(|name| percent(&row.shares[name]));
        sheet.row(words.into_iter().chain([row.count.to_string()]).chain(shares));
    }
    let mut text = format!(
        "{}: maps of {} development examples, share of each pattern\n{}",
        report.task,
        report.examples.len(),
        sheet.text(terminal::width())
    );
    if heads {
        let columns = [("head", Column::Text), ("kept", Column::Text)].into_iter().chain(patterns());
        let mut sheet = Sheet::new(columns);
        for (layer, row) in report.finetuned.raw.iter().enumerate() {
            for head in 0..row.len() {
                let kept =
                    report.kept.as_ref().map_or("–", |kept| if kept[layer][head] { "yes" } else { "no" });
                let own = shares(&report.finetuned.raw, |l, h| (l, h) == (layer, head));
                let words = [format!("{layer}.{head}"), kept.to_owned()];
                sheet.row(words.into_iter().chain(own.iter().map(percent)));
            }
        }
        text += &format!(
            "raw attention of the fine-tuned model, head by head\n{}",
            sheet.text(terminal::width())
        );
    }
    text + &format!("counts: {}\n", report.attention)
}
