//! Which sparsities match the full model.

use super::{of, of_columns, p};
use crate::report::{
    matching::{Highest, Matching},
    table::{Column, Join, Shape, Table},
};

/// A row for each level.
pub fn matching(all: &[Matching]) -> Table {
    let mut columns = of_columns();
    columns.extend([
        Column::new("sparsity", "pruned", Shape::Percent(1)),
        Column::new("n", "n", Shape::Count),
        Column::new("full_mean", "full", Shape::Decimals(4)),
        Column::joined("full_std", Shape::Decimals(4), Join::Deviation),
        Column::new("retrained_mean", "retrained", Shape::Decimals(4)),
        Column::joined("retrained_std", Shape::Decimals(4), Join::Deviation),
        Column::new("matches", "within 1 std", Shape::Flag),
        Column::new("matches_strictly", "≥ full", Shape::Flag),
        Column::new("matches_relaxed", "≥ 99 %", Shape::Flag),
        p("p_equivalent", "p (equivalent)").extra(),
    ]);
    let row = |one: &Matching| {
        let mut row = of(&one.task, &one.method, &one.level, &one.settings);
        row.extend([
            one.sparsity.into(),
            one.retrained.n.into(),
            one.full.mean.into(),
            one.full.deviation.into(),
            one.retrained.mean.into(),
            one.retrained.deviation.into(),
            one.published.into(),
            one.strict.into(),
            one.relaxed.into(),
            one.equivalent.into(),
        ]);
        row
    };
    let note = "Within 1 std: the mean is at least the full models' mean less one standard deviation of theirs (Chen et al. 2020). \
                p (equivalent) as in the comparisons.";
    Table {
        name: "matching",
        caption: "Levels and sparsities whose retrained tickets match the full models of the same seeds."
            .to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes: if all.is_empty() { Vec::new() } else { vec![note.to_owned()] },
    }
    .without_empty()
}

/// A row for each family of levels.
pub fn highest(all: &[Highest]) -> Table {
    let mut columns = of_columns();
    columns.remove(2);
    columns.extend([
        Column::new("n", "n", Shape::Count),
        Column::new("sparsity", "within 1 std", Shape::Percent(1)),
        Column::joined("low", Shape::Percent(1), Join::Low),
        Column::joined("high", Shape::Percent(1), Join::High),
        Column::new("sparsity_strict", "≥ full", Shape::Percent(1)),
        Column::new("sparsity_relaxed", "≥ 99 %", Shape::Percent(1)),
    ]);
    let row = |one: &Highest| {
        let mut row = of(&one.task, &one.method, "", &one.settings);
        row.remove(2);
        row.extend([
            one.n.into(),
            one.sparsity.into(),
            one.interval.map(|interval| interval.low).into(),
            one.interval.map(|interval| interval.high).into(),
            one.strict.into(),
            one.relaxed.into(),
        ]);
        row
    };
    Table {
        name: "highest",
        caption: "The highest sparsity that matches, of those that were run, with the 95 % interval over resampled seeds; empty \
                  where none does."
            .to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes: Vec::new(),
    }
    .without_empty()
}
