use super::*;
use ::parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, Row},
};
use serde_json::{Value, json};

/// A row of a Parquet file, by column.
fn by_column(row: &Row) -> Value {
    let value = |field: &Field| match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => json!(flag),
        Field::Long(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        other => panic!("{other:?}"),
    };
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn table() -> Table {
    let columns = vec![
        Column::new("task", "task", Shape::Text),
        Column::new("n", "n", Shape::Count),
        Column::new("full_mean", "full", Shape::Decimals(4)),
        Column::joined("full_std", Shape::Decimals(4), Join::Deviation),
        Column::new("heads", "heads", Shape::Count),
        Column::joined("heads_total", Shape::Count, Join::Total),
        Column::new("difference", "difference", Shape::Signed(3)),
        Column::joined("low", Shape::Signed(3), Join::Low),
        Column::joined("high", Shape::Signed(3), Join::High),
        Column::new("weights", "weights", Shape::Percent(1)),
        Column::new("p", "p", Shape::P),
        Column::hidden("path", Shape::Text),
    ];
    let row = |n: usize, deviation: Option<f64>, p: f64| -> Vec<Cell> {
        vec![
            "a_b|c\nd".into(),
            n.into(),
            0.81251.into(),
            deviation.into(),
            12.5.into(),
            16usize.into(),
            0.0212.into(),
            0.011.into(),
            0.03.into(),
            0.419.into(),
            p.into(),
            "x, \"y\"".into(),
        ]
    };
    Table {
        name: "results",
        caption: "Means ± deviations, 100 %.".to_owned(),
        columns,
        rows: vec![row(5, Some(0.0041), 0.0004), row(1, None, f64::NAN)],
        notes: vec!["A note.".to_owned()],
    }
}

#[test]
fn people_read_joined_and_rounded_cells() {
    let all = table();
    let (columns, rows) = all.shown();
    assert_eq!(
        columns.iter().map(|c| c.title).collect::<Vec<_>>()[2..],
        ["full", "heads", "difference", "weights", "p"]
    );
    let wanted =
        ["a_b|c\nd", "5", "0.8125 ± 0.0041", "12.5/16", "+0.021 [+0.011, +0.030]", "41.9 %", "< 0.001"];
    assert_eq!(rows[0], wanted);
    assert_eq!(rows[1][2..], ["0.8125", "12.5/16", "+0.021 [+0.011, +0.030]", "41.9 %", ""]);
    assert!(markdown(&table()).contains("| a_b\\|c d | 5 | 0.8125 ± 0.0041 |"), "{}", markdown(&table()));
    let latex = latex(&table());
    // The text that all rows have is in the caption.
    assert!(latex.contains("    5 & 0.8125 $\\pm$ 0.0041 & 12.5/16 &"), "{latex}");
    assert!(latex.contains("\\caption{Means $\\pm$ deviations, 100 \\%. All: task a\\_b|c d.}"), "{latex}");
    assert!(
        latex.contains("\\begin{tabular}{rrrrrr}") && latex.contains("41.9 \\% & $<$ 0.001 \\\\"),
        "{latex}"
    );
}

#[test]
fn programs_read_every_column_unrounded() {
    let table = table();
    let values = super::json(&table);
    assert_eq!((values[0]["full_mean"].as_f64(), values[1]["full_std"].is_null()), (Some(0.81251), true));
    let bytes = csv(&table).unwrap();
    let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
    assert_eq!(reader.headers().unwrap().len(), table.columns.len());
    let records: Vec<_> = reader.records().map(|record| record.unwrap()).collect();
    assert_eq!(
        (&records[0][0], &records[0][2], &records[1][3], &records[0][11]),
        ("a_b|c\nd", "0.81251", "", "x, \"y\"")
    );
    let reader = SerializedFileReader::new(bytes::Bytes::from(parquet(&table).unwrap())).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| by_column(&row.unwrap())).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["n"], rows[0]["full_std"].as_f64()), (&json!(5), Some(0.0041)));
    // Counts that were averaged are numbers with a fraction.
    assert_eq!((rows[0]["heads"].as_f64(), &rows[1]["p"]), (Some(12.5), &Value::Null));
    assert_eq!(rows[1]["task"], "a_b|c\nd");
}

#[test]
fn a_column_without_cells_is_hidden_from_people_alone() {
    let mut table = table();
    table.rows.iter_mut().for_each(|row| row[10] = Cell::Empty);
    let shown = table.clone().without_empty();
    assert_eq!(shown.shown().0.len() + 1, table.shown().0.len());
    assert_eq!(super::json(&shown), super::json(&table));
}

#[test]
fn latex_leaves_out_extras_of_a_table_that_is_too_wide_and_says_which() {
    let mut table = table();
    table
        .columns
        .iter_mut()
        .filter(|column| ["weights", "p"].contains(&column.title))
        .for_each(|c| c.extra = true);
    assert!(latex(&table).contains("& weights & p "), "{}", latex(&table));
    // Two texts, so that they are no part of the caption.
    table.rows[0][0] = "wide ".repeat(11).into();
    table.rows[1][0] = "x".repeat(58).into();
    let text = latex(&table);
    assert!(
        text.contains("& weights \\\\\n") && text.contains("% Left out, and in the other formats: p.\n"),
        "{text}"
    );
}
