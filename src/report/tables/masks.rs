//! What the masks of two sides have in common.

use super::{number, text};
use crate::report::{
    compared::MaskChange,
    table::{Column, Shape, Table},
};

/// A row for heads and one for FFNs of each pair of groups.
pub fn masks(all: &[MaskChange]) -> Table {
    let columns = vec![
        text("of", "of"),
        text("units", "units"),
        Column::new("n", "n", Shape::Count),
        number("kept_a", "kept in A", 1),
        number("kept_b", "kept in B", 1),
        number("jaccard", "Jaccard", 3),
        number("jaccard_expected", "of random masks", 3),
    ];
    let row = |one: &MaskChange| {
        vec![
            one.of.as_str().into(),
            one.units.into(),
            one.n.into(),
            one.kept[0].into(),
            one.kept[1].into(),
            one.jaccard.into(),
            one.expected.into(),
        ]
    };
    Table {
        name: "masks",
        caption: "Units that both sides keep, of those that either keeps (mean over seeds), beside the expectation for random \
                  masks of the same sizes."
            .to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes: Vec::new(),
    }
}
