//! Whether two groups of runs differ: paired by seed, and by example.

use super::{
    group::Group,
    predictions::Answers,
    run::{PARTS, Run},
    statistics::{
        ExampleTest, Interval, McNemar, Paired, almost_stochastic_order, bootstrap_mean, cohen_d_z,
        detectable_difference, deviation, differences, equivalent, hedges_g_z, holm, mean, paired_examples,
        paired_t, wilcoxon,
    },
};
use crate::error::Result;

/// Draws of all resampling are the same in every report.
const SEED: u64 = 2020;
const EXAMPLE_RESAMPLES: u32 = 1000;
/// How surely the detectable difference is found.
pub const POWER: f64 = 0.8;

/// One side of a comparison: the full, pruned or retrained models (a place in [`PARTS`]) of a group.
#[derive(Clone, Copy)]
pub struct Side<'g, 'a> {
    pub group: &'g Group<'a>,
    pub part: usize,
}

impl Side<'_, '_> {
    /// `good retrained`; the full model is that of every mode.
    pub fn name(self) -> String {
        match self.part {
            0 => "full model".to_owned(),
            part => format!("{} {}", self.group.mode, PARTS[part]),
        }
    }
}

/// First minus second, over the seeds that both have.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub task: String,
    pub method: String,
    pub level: String,
    pub settings: String,
    pub metric: String,
    pub first: String,
    pub second: String,
    pub n: usize,
    pub means: [f64; 2],
    pub difference: f64,
    pub paired: Option<Paired>,
    pub interval: Option<Interval>,
    pub wilcoxon: Option<f64>,
    /// The t-test's p-value after Holm's correction over all comparisons of the report.
    pub holm: Option<f64>,
    pub d_z: Option<f64>,
    pub g_z: Option<f64>,
    /// ε_min: below 0.5 the first is almost stochastically dominant.
    pub order: Option<f64>,
    pub margin: f64,
    pub equivalent: Option<f64>,
    /// The difference that so many seeds find with probability [`POWER`] at the deviation of these differences.
    pub detectable: Option<f64>,
    pub examples: Option<ExampleTest>,
    /// For each seed, the exact p-value of McNemar's test.
    pub mcnemar: Vec<f64>,
}

impl Comparison {
    /// The scores of both sides; `margin` is that of the equivalence test, in units of the score.
    pub fn of(first: Side, second: Side, margin: f64) -> Self {
        let pairs = first.group.paired(second.group);
        let of = |run: &Run, side: Side| run.scores[side.part];
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(a, b)| (of(a, first), of(b, second))).unzip();
        let d = differences(&a, &b);
        Self {
            task: first.group.task.to_owned(),
            method: first.group.method.to_owned(),
            level: first.group.level_text(),
            settings: first.group.settings_text(),
            metric: first.group.metric.to_owned(),
            first: first.name(),
            second: second.name(),
            n: d.len(),
            means: [mean(&a), mean(&b)],
            difference: mean(&d),
            paired: paired_t(&d),
            interval: bootstrap_mean(&d, SEED),
            wilcoxon: wilcoxon(&d),
            holm: None,
            d_z: cohen_d_z(&d),
            g_z: hedges_g_z(&d),
            order: almost_stochastic_order(&a, &b, SEED),
            margin,
            equivalent: equivalent(&d, margin),
            detectable: detectable_difference(d.len(), POWER).zip(deviation(&d)).map(|(d, s)| d * s),
            examples: None,
            mcnemar: Vec::new(),
        }
    }

    /// Adds the tests by example, from the predictions of the stages.
    ///
    /// # Errors
    /// Data: predictions are not there or are damaged.
    pub fn test_examples(&mut self, first: Side, second: Side) -> Result<()> {
        let read = |(a, b): (&Run, &Run)| Ok((Answers::read(a, first.part)?, Answers::read(b, second.part)?));
        let answers: Vec<(Answers, Answers)> =
            first.group.paired(second.group).into_iter().map(read).collect::<Result<_>>()?;
        let Some((one, _)) = answers.first() else { return Ok(()) };
        if answers.iter().any(|(a, b)| !a.is_of_same(one) || !b.is_of_same(one)) {
            return Ok(());
        }
        let right = |(a, b): &(Answers, Answers)| Some(McNemar::of(a.right()?, b.right()?).exact());
        self.mcnemar = answers.iter().filter_map(right).collect();
        let score = |answers: &Answers, chosen: &[u32]| answers.score(&self.metric, chosen);
        self.examples = paired_examples(&answers, one.examples(), EXAMPLE_RESAMPLES, SEED, score);
        Ok(())
    }
}

/// What is compared: in each family and level the ticket's pruned and retrained models with those of each control, and the
/// retrained ones with the full models; and with what whole models became where that is another training, as with several
/// tasks on one encoder.
pub fn sides<'g, 'a>(groups: &'g [Group<'a>]) -> Vec<(Side<'g, 'a>, Side<'g, 'a>)> {
    let mut sides = Vec::new();
    for good in groups.iter().filter(|group| group.mode == "good") {
        let others = groups.iter().filter(|other| other.is_beside(good));
        for other in others.filter(|other| other.mode != "good") {
            let parts: &[usize] = match other.mode {
                "full" if other.is_of_one_training() => &[],
                "full" => &[2],
                _ => &[1, 2],
            };
            let side = |part: &usize| (Side { group: good, part: *part }, Side { group: other, part: *part });
            sides.extend(parts.iter().map(side));
        }
        sides.push((Side { group: good, part: 2 }, Side { group: good, part: 0 }));
    }
    sides.retain(|(first, second)| !first.group.paired(second.group).is_empty());
    sides
}

/// Fills in Holm's correction over these.
pub fn correct(comparisons: &mut [Comparison]) {
    let p: Vec<Option<f64>> = comparisons.iter().map(|one| one.paired.map(|paired| paired.p)).collect();
    comparisons.iter_mut().zip(holm(&p)).for_each(|(one, p)| one.holm = p);
}
