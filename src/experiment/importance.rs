//! Criteria side by side: the scores of a fine-tuned model's units, how far criteria, splits and steps of a search agree.

use super::{
    analysis::{ANALYSIS, Analysis, FINETUNE, SEARCH},
    stage::Outcomes,
    stages::{SCORES, Scores, SplitScores, Units},
    ticket::Ticket,
};
use crate::{
    choice::Choice,
    config::Split,
    error::Result,
    prune::{self, Estimator, Kind, Mask, Norm, PrunedUnits, kendall, scale, spearman},
    store::Done,
};
use serde::Serialize;

/// Field names are fixed: other programs read them.
#[derive(Debug, Serialize)]
pub struct Report {
    pub format_version: u32,
    pub task: &'static str,
    pub model: String,
    pub seed: u64,
    pub finetune: String,
    /// The stage with the raw scores.
    pub importance: String,
    /// The search whose steps are compared.
    pub search: Option<String>,
    pub layers: usize,
    pub heads_per_layer: usize,
    pub splits: Vec<SplitReport>,
    /// Between criteria, on one split.
    pub correlations: Vec<Correlations>,
    /// Of one criterion, between splits.
    pub across_splits: Vec<Pair>,
    /// Of the search's criterion, between its steps; empty without a search.
    pub steps: Vec<Pair>,
}

/// The scores on one split.
#[derive(Debug, Serialize)]
pub struct SplitReport {
    pub split: Split,
    pub examples: usize,
    pub scores: Vec<ScoresReport>,
}

/// The scores of one criterion under each norm.
#[derive(Debug, Serialize)]
pub struct ScoresReport {
    pub criterion: Estimator,
    /// As measured.
    pub none: Units,
    #[serde(rename = "layer-l2")]
    pub layer_l2: prune::Importance,
    pub global: prune::Importance,
    pub variance: Option<Units>,
}

/// A square table of rank correlations, rows and columns in the order of the criteria; null where a criterion gives all units
/// the same score.
#[derive(Debug, Serialize)]
pub struct Correlations {
    pub split: Split,
    pub units: &'static str,
    /// `none` ranks as `global` does.
    pub norm: Norm,
    pub criteria: Vec<Estimator>,
    pub spearman: Vec<Vec<Option<f64>>>,
    pub kendall: Vec<Vec<Option<f64>>>,
}

/// One rank correlation.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub criterion: Estimator,
    pub units: &'static str,
    pub norm: String,
    /// What is compared: two splits, or two steps counted from 1.
    pub between: [String; 2],
    /// Units that have a score in both.
    pub count: usize,
    pub spearman: Option<f64>,
    pub kendall: Option<f64>,
}

/// Heads and FFNs, by their keys.
const KINDS: [(Kind, &str); 2] = [(Kind::Heads, "heads"), (Kind::Ffns, "ffns")];

impl ScoresReport {
    fn new(scores: Scores, whole: &Mask) -> Self {
        let raw = scores.raw.raw();
        let under = |norm| scale(&raw, whole, PrunedUnits::Excluded, norm);
        Self {
            criterion: scores.criterion,
            layer_l2: under(Norm::LayerL2),
            global: under(Norm::Global),
            none: scores.raw,
            variance: scores.variance,
        }
    }

    /// The scores of the units of a kind.
    pub fn values(&self, kind: Kind, norm: Norm) -> Vec<f64> {
        let of =
            |importance: &prune::Importance| importance.values(kind).into_iter().map(f64::from).collect();
        match (norm, kind) {
            (Norm::LayerL2, _) => of(&self.layer_l2),
            (Norm::Global, _) => of(&self.global),
            (Norm::None, Kind::Heads) => self.none.heads.concat(),
            (Norm::None, _) => self.none.ffns.clone(),
        }
    }
}

impl Report {
    /// From the outcomes of an analysis with the stage `Importance`.
    pub fn new(analysis: &Analysis, done: &Outcomes) -> Result<Self> {
        let (inputs, stage) = (&analysis.inputs, &done[ANALYSIS]);
        let (config, all) = (&inputs.model.config, stage.read_json::<Vec<SplitScores>>(SCORES)?);
        let whole = Mask::full(config.num_hidden_layers, config.num_attention_heads);
        let of_split = |SplitScores { split, examples, scores }| SplitReport {
            split,
            examples,
            scores: scores.into_iter().map(|scores| ScoresReport::new(scores, &whole)).collect(),
        };
        let splits: Vec<SplitReport> = all.into_iter().map(of_split).collect();
        let steps = done.get(SEARCH).map(|search| Ticket::read(search, config)).transpose()?;
        Ok(Self {
            format_version: 1,
            task: inputs.task.name,
            model: inputs.folder.name.clone(),
            seed: analysis.config.seed,
            finetune: done[FINETUNE].id().to_string(),
            importance: stage.id().to_string(),
            search: done.get(SEARCH).map(Done::id).map(ToString::to_string),
            layers: whole.layers(),
            heads_per_layer: whole.heads_per_layer(),
            correlations: splits.iter().flat_map(correlations).collect(),
            across_splits: across(&splits),
            steps: steps.as_ref().map(of_steps).unwrap_or_default(),
            splits,
        })
    }
}

/// A correlation of two rankings.
type Measure = fn(&[f64], &[f64]) -> Option<f64>;

fn correlations(split: &SplitReport) -> Vec<Correlations> {
    let tables = KINDS.into_iter().flat_map(|kind| [Norm::LayerL2, Norm::Global].map(|norm| (kind, norm)));
    let table = |((kind, units), norm)| {
        let values: Vec<Vec<f64>> = split.scores.iter().map(|scores| scores.values(kind, norm)).collect();
        let square = |of: Measure| values.iter().map(|a| values.iter().map(|b| of(a, b)).collect()).collect();
        Correlations {
            split: split.split,
            units,
            norm,
            criteria: split.scores.iter().map(|scores| scores.criterion).collect(),
            spearman: square(spearman),
            kendall: square(kendall),
        }
    };
    tables.map(table).collect()
}

/// Each split with each later one.
fn across(splits: &[SplitReport]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (n, first) in splits.iter().enumerate() {
        for (second, a) in
            splits[n + 1..].iter().flat_map(|second| first.scores.iter().map(move |a| (second, a)))
        {
            let Some(b) = second.scores.iter().find(|b| b.criterion == a.criterion) else { continue };
            for (kind, units) in KINDS {
                let between = [first.split, second.split].map(|split| split.to_string());
                let values = [a, b].map(|scores| scores.values(kind, Norm::LayerL2));
                pairs.push(pair(a.criterion, units, Norm::LayerL2.name(), between, values));
            }
        }
    }
    pairs
}

/// Each step with the next one, then the first with the last.
fn of_steps(ticket: &Ticket) -> Vec<Pair> {
    let (Some(criterion), Some(norm)) = (ticket.estimator, &ticket.norm) else { return Vec::new() };
    let (steps, last) = (&ticket.steps, ticket.steps.len().saturating_sub(1));
    let neighbours = (0..last).map(|n| [n, n + 1]);
    let ends = (last > 1).then_some([0, last]);
    let compare = |[from, to]: [usize; 2]| {
        KINDS.map(|(kind, units)| {
            let between = [from, to].map(|step| (step + 1).to_string());
            let values = [from, to].map(|step| steps[step].importance.values(kind));
            let values = values.map(|values| values.into_iter().map(f64::from).collect());
            pair(criterion, units, norm, between, values)
        })
    };
    neighbours.chain(ends).flat_map(compare).collect()
}

fn pair(
    criterion: Estimator,
    units: &'static str,
    norm: &str,
    between: [String; 2],
    [a, b]: [Vec<f64>; 2],
) -> Pair {
    let both = a.iter().zip(&b).filter(|(a, b)| !a.is_nan() && !b.is_nan());
    let (a, b): (Vec<f64>, Vec<f64>) = both.unzip();
    let (count, norm) = (a.len(), norm.to_owned());
    Pair { criterion, units, norm, between, count, spearman: spearman(&a, &b), kendall: kendall(&a, &b) }
}
