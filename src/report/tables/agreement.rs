//! Agreement of tickets over seeds.

use super::{number, of, of_columns, p, text};
use crate::report::{
    agreement::Agreement,
    table::{Column, Join, Shape, Table},
};

/// A row for heads and one for FFNs of each group of tickets.
pub fn agreement(all: &[Agreement]) -> Table {
    let mut columns = of_columns();
    columns.extend([
        text("units", "units"),
        Column::new("n", "n", Shape::Count),
        Column::new("kept_mean", "kept", Shape::Decimals(1)),
        Column::joined("total", Shape::Count, Join::Total),
        number("fleiss_kappa", "Fleiss κ", 3),
        number("krippendorff_alpha", "Krippendorff α", 3),
        number("jaccard", "Jaccard", 3),
        number("jaccard_expected", "of random masks", 3),
        number("cochran_q", "Cochran Q", 2),
        p("cochran_p", "p").extra(),
        number("importance_spearman", "ρ of importances", 3),
    ]);
    let row = |one: &Agreement| {
        let mut row = of(&one.task, &one.method, &one.level, &one.settings);
        row.extend([
            one.units.into(),
            one.n.into(),
            one.kept.into(),
            one.total.into(),
            one.kappa.into(),
            one.alpha.into(),
            one.overlap.map(|overlap| overlap.mean).into(),
            one.overlap.map(|overlap| overlap.expected).into(),
            one.cochran.map(|cochran| cochran.q).into(),
            one.cochran.map(|cochran| cochran.p).into(),
            one.importance.into(),
        ]);
        row
    };
    let note = "κ and α: 1 full agreement, 0 that of chance. Jaccard: the mean over pairs of seeds of the units that both keep, of \
                those that either keeps, beside the expectation for random masks of the same sizes. Cochran's Q asks whether \
                tickets keep equally many units, not whether they keep the same ones.";
    Table {
        name: "agreement",
        caption: "Agreement of the good tickets of n seeds.".to_owned(),
        columns,
        rows: all.iter().map(row).collect(),
        notes: if all.is_empty() { Vec::new() } else { vec![note.to_owned()] },
    }
    .without_empty()
}
