//! `lottery ablate`: a fine-tuned model with parts of it randomised, reverted, zeroed or pruned.

use super::{
    console::feed,
    subject::{Subject, SubjectArgs, read},
    table::{Column, Sheet},
    terminal,
};
use crate::{
    error::Result,
    experiment::{
        Analysis,
        ablation::{Condition, published},
        analysis::{ANALYSIS, FINETUNE},
        stages::{ABLATIONS, Ablate, Ablations, Metrics},
    },
    train,
};
use clap::Args;
use serde::Serialize;

const ABOUT: &str = "\
Evaluates a fine-tuned model with parts of it changed, without training: what does the score depend on?

A condition is HOW:PARTS@LAYERS. HOW is randomise (weights from N(0, initializer_range)), reset (the same, biases 0), revert \
(to the pre-trained values), rotate (pre-trained word embeddings, each in the row of the next word), zero, \
prune-smallest=SHARE or prune-random=SHARE (of all numbers of the parts together). PARTS are word-embeddings, query, key, value, \
attention-output, intermediate and output, joined by +; qkv, fc and layer stand for the first three, the last three and all six \
of a layer. LAYERS are counted from 0 and joined by +; without them all layers are meant.

Without --condition these are the conditions of Prasanna et al. 2020, for a model of any depth: 150 for 12 layers. Their runs without \
the FFNs' residual connections are not part of it. The scores are a stage of the store, so repeating the command computes nothing.";

const EXAMPLES: &str = "\
Examples:
  The published conditions on the model of a record:
    lottery ablate runs/results/rte/heads+ffns/good/seed-1337.json

  What fine-tuning changed in queries and keys, and the values of one layer, on another model:
    lottery ablate --task mrpc --preset small --condition revert:query+key --condition zero:value@3";

/// The flags of `lottery ablate`.
#[derive(Args, Clone, Debug)]
#[command(about = "Evaluate a fine-tuned model with parts randomised, reverted, zeroed or pruned")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct AblateArgs {
    #[command(flatten)]
    subject: SubjectArgs,

    /// A condition, HOW:PARTS@LAYERS; repeatable [default: the published ones]
    #[arg(long, value_name = "CONDITION", help_heading = "What to change")]
    condition: Vec<String>,

    /// The published conditions too, beside those of --condition
    #[arg(long, help_heading = "What to change")]
    published: bool,

    /// Seed of what is drawn [default: the run's seed]
    #[arg(long, value_name = "N", help_heading = "What to change")]
    noise_seed: Option<u64>,
}

/// Field names are fixed: other programs read them.
#[derive(Serialize)]
struct Report {
    format_version: u32,
    task: &'static str,
    metric: &'static str,
    model: String,
    seed: u64,
    noise_seed: u64,
    finetune: String,
    /// The stage with the scores.
    ablate: String,
    /// Examples of the development set.
    examples: usize,
    full: Metrics,
    /// The deciding metric of the commonest class.
    majority: f64,
    conditions: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    /// Of a published condition, that of its result file.
    name: Option<String>,
    condition: Condition,
    metrics: Metrics,
    /// The deciding metric less the full model's.
    difference: f64,
}

pub fn run(arguments: &AblateArgs) -> Result<()> {
    let Subject { config, store, mut console } = arguments.subject.open()?;
    let noise_seed = arguments.noise_seed.unwrap_or(config.seed);
    let cache = store.dir().join("cache");
    let analysis = Analysis::load(config, &[], Some(&cache), &mut console)?;
    feed(&analysis.inputs.machine);
    let layers = analysis.inputs.model.config.num_hidden_layers;
    let mut named: Vec<(Option<String>, Condition)> = arguments
        .condition
        .iter()
        .map(|word| Ok((None, read("--condition", word)?)))
        .collect::<Result<_>>()?;
    if named.is_empty() || arguments.published {
        named.extend(published(layers).into_iter().map(|(name, condition)| (Some(name), condition)));
    }
    named.iter().try_for_each(|(_, condition)| condition.check(layers))?;
    let conditions = named.iter().map(|(_, condition)| condition.clone()).collect();
    let stage = Ablate { finetune: FINETUNE, conditions, seed: noise_seed };
    let (analysis, done) = analysis.run(stage, &store, &mut console)?;
    let (inputs, stage) = (&analysis.inputs, &done[ANALYSIS]);
    let Ablations { full, metrics } = stage.read_json(ABLATIONS)?;
    let metric = inputs.task.metric.name();
    let score = |metrics: &Metrics| metrics.get(metric).copied();
    let (Some(whole), true) = (score(&full), metrics.len() == named.len()) else {
        return Err(stage.damaged(ABLATIONS, &format!("has not the {metric} of every condition")));
    };
    let row = |((name, condition), metrics): ((Option<String>, Condition), Metrics)| {
        let difference = score(&metrics).unwrap_or(f64::NAN) - whole;
        Row { name, condition, metrics, difference }
    };
    let report = Report {
        format_version: 1,
        task: inputs.task.name,
        metric,
        model: inputs.folder.name.clone(),
        seed: analysis.config.seed,
        noise_seed,
        finetune: done[FINETUNE].id().to_string(),
        ablate: stage.id().to_string(),
        examples: inputs.dev.examples(),
        majority: train::baseline(inputs.task, &inputs.dev),
        conditions: named.into_iter().zip(metrics).map(row).collect(),
        full,
    };
    arguments.subject.show(&report, || text(&report))
}

fn text(report: &Report) -> String {
    let names: Vec<&String> = report.full.keys().collect();
    let columns = [(report.task, Column::Text), ("condition", Column::Text)].into_iter();
    let columns = columns.chain(names.iter().map(|name| (name.as_str(), Column::Number)));
    let mut sheet = Sheet::new(columns.chain([("difference", Column::Number)]));
    let numbers = |metrics: &Metrics| -> Vec<String> {
        names
            .iter()
            .map(|name| metrics.get(*name).map_or(String::new(), |value| format!("{value:.4}")))
            .collect()
    };
    let full = ["full".to_owned(), String::new()].into_iter();
    sheet.row(full.chain(numbers(&report.full)).chain([String::new()]));
    for Row { name, condition, metrics, difference } in &report.conditions {
        let first = [name.clone().unwrap_or_default(), condition.to_string()].into_iter();
        sheet.row(first.chain(numbers(metrics)).chain([format!("{difference:+.4}")]));
    }
    let table = sheet.text(terminal::width());
    format!(
        "{table}{} examples; majority baseline: {} {:.4}\nscores: {}\n",
        report.examples, report.metric, report.majority, report.ablate
    )
}
