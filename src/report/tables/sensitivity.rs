//! Spreads over seeds and learning rates.

use super::{number, of, of_columns, p, text};
use crate::report::{
    sensitivity::Sensitivity,
    table::{Cell, Column, Shape, Table},
};

/// A row for each ticket, what it is compared with, and what the spread is over.
pub fn sensitivity(all: &[Sensitivity]) -> Table {
    let mut columns = of_columns();
    columns.extend([
        text("over", "over"),
        text("first", "first"),
        Column::new("first_n", "n", Shape::Count),
        number("first_std", "deviation", 4),
        text("second", "second"),
        Column::new("second_n", "n", Shape::Count),
        number("second_std", "deviation", 4),
        number("f", "F", 2),
        p("p", "p").extra(),
    ]);
    let row = |one: &Sensitivity| {
        let [first, second] = &one.spreads;
        let mut row = of(&one.task, &one.method, &one.level, &one.settings);
        let own: [Cell; 9] = [
            one.over.into(),
            one.first.as_str().into(),
            first.n.into(),
            first.deviation.into(),
            one.second.as_str().into(),
            second.n.into(),
            second.deviation.into(),
            one.test.map(|test| test.f).into(),
            one.test.map(|test| test.p).into(),
        ];
        row.extend(own);
        row
    };
    let note = "Standard deviations of scores (n − 1) over seeds, or over learning rates, of which each has the mean over its seeds \
                (Liang et al. 2021, Tables 5 and 8). F and p of Brown and Forsythe's test, uncorrected: below 0.05 the spreads \
                differ. With five values each it finds large differences only.";
    Table {
        name: "sensitivity",
        caption: "How much scores depend on the seed and on the learning rate.".to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes: if all.is_empty() { Vec::new() } else { vec![note.to_owned()] },
    }
    .without_empty()
}
