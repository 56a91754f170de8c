//! Differences between tickets, controls and full models, with their statistics.

use super::{number, of, of_columns, p, text};
use crate::report::{
    comparison::{Comparison, POWER},
    table::{Cell, Column, Join, Shape, Table},
};

/// A row for each comparison.
pub fn comparisons(all: &[Comparison]) -> Table {
    let mut columns = of_columns();
    columns.extend([
        text("metric", "metric"),
        text("first", "first"),
        text("second", "second"),
        Column::new("n", "n", Shape::Count),
        Column::hidden("first_mean", Shape::Decimals(4)),
        Column::hidden("second_mean", Shape::Decimals(4)),
        Column::new("difference", "difference", Shape::Signed(4)),
        Column::joined("low", Shape::Signed(4), Join::Low),
        Column::joined("high", Shape::Signed(4), Join::High),
        Column::hidden("bootstrap_low", Shape::Signed(4)),
        Column::hidden("bootstrap_high", Shape::Signed(4)),
        Column::hidden("t", Shape::Decimals(3)),
        p("p_t", "p").extra(),
        p("p_holm", "p (Holm)"),
        p("p_wilcoxon", "p (Wilcoxon)").extra(),
        Column::new("d_z", "d_z", Shape::Signed(2)).extra(),
        Column::hidden("hedges_g_z", Shape::Signed(2)),
        number("epsilon_min", "ε_min", 2).extra(),
        Column::hidden("margin", Shape::Decimals(4)),
        p("p_equivalent", "p (equivalent)").extra(),
        number("detectable", "detectable", 4).extra(),
        Column::new("examples_difference", "by example", Shape::Signed(4)),
        Column::joined("examples_low", Shape::Signed(4), Join::Low),
        Column::joined("examples_high", Shape::Signed(4), Join::High),
        p("p_examples", "p (examples)"),
        Column::hidden("p_mcnemar", Shape::Text),
        text("mcnemar", "McNemar < 0.05"),
    ]);
    let margin = all.first().map_or(0.0, |one| one.margin);
    let mut notes = Vec::new();
    if !all.is_empty() {
        notes.push(
            "First minus second, paired by seed, with the 95 % interval of Student's t; p of the paired t-test, corrected by Holm \
             over all rows, and of Wilcoxon's signed-rank test (with n seeds never below 2/2ⁿ: five seeds cannot reach 0.05). d_z: \
             the mean difference in standard deviations of the differences. ε_min: below 0.5 the first is almost stochastically \
             dominant, from 0.2 down clearly so."
                .to_owned(),
        );
        notes.push(format!(
            "p (equivalent): two one-sided t-tests within a margin of {margin}; below 0.05 the means are shown to differ by less. \
             Detectable: the difference that so many seeds find with a probability of {POWER} at 5 %, at the deviation of these \
             differences; smaller ones may be there unseen."
        ));
    }
    if all.iter().any(|one| one.examples.is_some()) {
        notes.push(
            "By example: 95 % interval and p of the mean difference over development examples drawn again (paired bootstrap), the \
             trained models as they are; McNemar: seeds whose right and wrong answers differ by the exact test, uncorrected."
                .to_owned(),
        );
    }
    Table {
        name: "comparisons",
        caption: "Differences between tickets, controls of their size and full models.".to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes,
    }
    .without_empty()
}

fn row(one: &Comparison) -> Vec<Cell> {
    let mut row = of(&one.task, &one.method, &one.level, &one.settings);
    let mcnemar = match one.mcnemar.len() {
        0 => Cell::Empty,
        n => format!("{} of {n}", one.mcnemar.iter().filter(|p| **p < 0.05).count()).into(),
    };
    let each: Vec<String> = one.mcnemar.iter().map(f64::to_string).collect();
    row.extend::<[Cell; 27]>([
        one.metric.as_str().into(),
        one.first.as_str().into(),
        one.second.as_str().into(),
        one.n.into(),
        one.means[0].into(),
        one.means[1].into(),
        one.difference.into(),
        one.paired.map(|paired| paired.interval[0]).into(),
        one.paired.map(|paired| paired.interval[1]).into(),
        one.interval.map(|interval| interval.low).into(),
        one.interval.map(|interval| interval.high).into(),
        one.paired.map(|paired| paired.t).into(),
        one.paired.map(|paired| paired.p).into(),
        one.holm.into(),
        one.wilcoxon.into(),
        one.d_z.into(),
        one.g_z.into(),
        one.order.into(),
        one.margin.into(),
        one.equivalent.into(),
        one.detectable.into(),
        one.examples.map(|test| test.difference).into(),
        one.examples.map(|test| test.interval.low).into(),
        one.examples.map(|test| test.interval.high).into(),
        one.examples.map(|test| test.p).into(),
        each.join(" ").into(),
        mcnemar,
    ]);
    row
}
