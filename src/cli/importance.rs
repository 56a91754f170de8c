//! `lottery importance`: criteria side by side on one fine-tuned model.

use super::{
    choice::one_of,
    console::feed,
    subject::{Subject, SubjectArgs, read},
    table::{Column, Sheet},
    terminal,
};
use crate::{
    choice::Choice,
    config::Split,
    error::{Error, Result},
    experiment::{
        Analysis,
        analysis::FINETUNE,
        importance::{Correlations, Pair, Report, SplitReport},
        stages::Importance,
    },
    prune::{Estimator, Kind, Norm},
};
use clap::Args;

const ABOUT: &str = "\
Scores all heads and FFNs of a fine-tuned model by several criteria, and compares the rankings.

The model is that of a record or of a stage, or it follows from settings as those of `lottery run`: it is found in the store, \
or fine-tuned. Shown are the scores of every unit, Spearman's rank correlation of each criterion with each other, between \
splits, and between the steps of the search. --json has Kendall's correlation, all norms, and the variance over examples of \
gate gradients too. The raw scores are a stage of the store, so repeating the command computes nothing.";

const EXAMPLES: &str = "\
Examples:
  All criteria on the demo's model:
    lottery importance

  Of a record, three criteria on the development set and on 1000 training examples:
    lottery importance runs/results/rte/heads+ffns/good/seed-1337.json --criteria example,fisher,weight-l2 \\
        --split dev --split train:1000 --out importance.json";

/// The flags of `lottery importance`.
#[derive(Args, Clone, Debug)]
#[command(about = "Scores of a fine-tuned model's units by several criteria, with rank correlations")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct ImportanceArgs {
    #[command(flatten)]
    subject: SubjectArgs,

    /// Criteria, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = one_of::<Estimator>(), help_heading = "What to compare")]
    criteria: Vec<String>,

    /// dev, train:N or heldout:FRACTION; repeatable [default: dev, and as many training examples]
    #[arg(long, value_name = "SPLIT", help_heading = "What to compare")]
    split: Vec<String>,

    /// The norm of the tables [default: layer-l2]
    #[arg(long, value_name = "NORM", value_parser = one_of::<Norm>(), help_heading = "What to compare")]
    norm: Option<String>,
}

pub fn run(arguments: &ImportanceArgs) -> Result<()> {
    let Subject { config, store, mut console } = arguments.subject.open()?;
    let criteria = match &arguments.criteria[..] {
        [] => Estimator::all().to_vec(),
        names => names.iter().map(|name| read("--criteria", name)).collect::<Result<_>>()?,
    };
    let norm = arguments.norm.as_deref().map_or(Ok(Norm::default()), Norm::read)?;
    let mut splits: Vec<Split> =
        arguments.split.iter().map(|word| read("--split", word)).collect::<Result<_>>()?;
    if let Some(split) =
        splits.iter().find(|split| matches!(split, Split::Heldout(_)) && **split != config.importance.split)
    {
        return Err(Error::usage(format!(
            "--split {split}: the model must be fine-tuned without these examples. Add --set importance.split={split}."
        )));
    }
    let cache = store.dir().join("cache");
    let analysis = Analysis::load(config, &splits, Some(&cache), &mut console)?.with_search();
    feed(&analysis.inputs.machine);
    if splits.is_empty() {
        let [dev, train] = [&analysis.inputs.dev, &analysis.inputs.train].map(|data| data.examples());
        splits = vec![Split::Dev, Split::Train(dev.min(train))];
    }
    splits.dedup();
    let stage = Importance::new(&analysis.config, FINETUNE, criteria, splits);
    let (analysis, done) = analysis.run(stage, &store, &mut console)?;
    let report = Report::new(&analysis, &done)?;
    arguments.subject.show(&report, || text(&report, norm))
}

fn text(report: &Report, norm: Norm) -> String {
    let mut text = String::new();
    for split in &report.splits {
        text += &format!(
            "{}: {} examples, norm {norm}\n{}",
            split.split,
            split.examples,
            scores(report, split, norm)
        );
    }
    let shown = if norm == Norm::LayerL2 { Norm::LayerL2 } else { Norm::Global };
    for table in report.correlations.iter().filter(|table| table.norm == shown) {
        text +=
            &format!("{} on {}: Spearman's rank correlation\n{}", table.units, table.split, square(table));
    }
    for (title, pairs) in
        [("between splits", &report.across_splits), ("between steps of the search", &report.steps)]
    {
        if !pairs.is_empty() {
            text += &format!("{title}\n{}", between(pairs));
        }
    }
    text += &format!("scores: {}\n", report.importance);
    text
}

/// A row for each unit.
fn scores(report: &Report, split: &SplitReport, norm: Norm) -> String {
    let names = split.scores.iter().map(|scores| scores.criterion.name().to_owned());
    let mut sheet = Sheet::of_numbers(["unit".to_owned()].into_iter().chain(names));
    for kind in [Kind::Heads, Kind::Ffns] {
        let columns: Vec<Vec<f64>> = split.scores.iter().map(|scores| scores.values(kind, norm)).collect();
        for unit in 0..columns.first().map_or(0, Vec::len) {
            let width = report.heads_per_layer;
            let name = match kind {
                Kind::Heads => format!("head {}.{}", unit / width, unit % width),
                _ => format!("FFN {unit}"),
            };
            let number =
                |value: f64| if norm == Norm::None { format!("{value:.3e}") } else { format!("{value:.3}") };
            sheet.row([name].into_iter().chain(columns.iter().map(|column| number(column[unit]))));
        }
    }
    sheet.text(terminal::width())
}

fn square(correlations: &Correlations) -> String {
    let names: Vec<String> =
        correlations.criteria.iter().map(|criterion| criterion.name().to_owned()).collect();
    let mut sheet = Sheet::of_numbers([String::new()].into_iter().chain(names.iter().cloned()));
    for (name, row) in names.iter().zip(&correlations.spearman) {
        sheet.row([name.clone()].into_iter().chain(row.iter().map(|value| shown(*value))));
    }
    sheet.text(terminal::width())
}

fn between(pairs: &[Pair]) -> String {
    let [text, number] = [Column::Text, Column::Number];
    let mut sheet = Sheet::new([
        ("criterion", text),
        ("units", text),
        ("between", text),
        ("units in both", number),
        ("Spearman", number),
        ("Kendall", number),
    ]);
    for pair in pairs {
        sheet.row([
            pair.criterion.name().to_owned(),
            pair.units.to_owned(),
            pair.between.join(" and "),
            pair.count.to_string(),
            shown(pair.spearman),
            shown(pair.kendall),
        ]);
    }
    sheet.text(terminal::width())
}

/// A correlation with units that are all equal is none.
fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}
