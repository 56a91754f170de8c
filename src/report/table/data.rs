//! Tables for programs: every column by its key, nothing rounded, what is not there empty.

use super::{Cell, Column, Shape, Table};
use crate::error::{Error, Result};
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(error.to_string())
}

/// The table as JSON: a list of objects.
pub fn json(table: &Table) -> Value {
    let value = |cell: &Cell| match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(count) => json!(count),
        Cell::Number(number) => json!(number),
        Cell::Flag(flag) => json!(flag),
    };
    let row = |row: &Vec<Cell>| {
        let cells = table.columns.iter().zip(row).map(|(column, cell)| (column.key.to_owned(), value(cell)));
        Value::Object(cells.collect::<Map<_, _>>())
    };
    table.rows.iter().map(row).collect()
}

/// The table as comma-separated values with a header (RFC 4180).
pub fn csv(table: &Table) -> Result<Vec<u8>> {
    let mut out = ::csv::Writer::from_writer(Vec::new());
    out.write_record(table.columns.iter().map(|column| column.key)).map_err(internal)?;
    for row in &table.rows {
        let cell = |cell: &Cell| match cell {
            Cell::Number(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
            other => other.text(Shape::Text),
        };
        out.write_record(row.iter().map(cell)).map_err(internal)?;
    }
    out.into_inner().map_err(internal)
}

/// The type of a column: that of its shape, or of a mean where counts were averaged.
fn physical(table: &Table, at: usize, column: &Column) -> Physical {
    let has = |wanted: fn(&Cell) -> bool| table.rows.iter().any(|row| wanted(&row[at]));
    match column.shape {
        Shape::Text => Physical::BYTE_ARRAY,
        Shape::Flag => Physical::BOOLEAN,
        Shape::Count if !has(|cell| matches!(cell, Cell::Number(_))) => Physical::INT64,
        _ => Physical::DOUBLE,
    }
}

/// The table as a Parquet file (zstd); every column is optional.
pub fn parquet(table: &Table) -> Result<Vec<u8>> {
    let types: Vec<Physical> =
        table.columns.iter().enumerate().map(|(at, column)| physical(table, at, column)).collect();
    let field = |(column, physical): (&Column, &Physical)| {
        let text = (*physical == Physical::BYTE_ARRAY).then_some(LogicalType::String);
        let field = Type::primitive_type_builder(column.key, *physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(text).build().map(Arc::new).map_err(internal)
    };
    let fields = table.columns.iter().zip(&types).map(field).collect::<Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("report").with_fields(fields).build().map_err(internal)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_created_by(concat!("lottery ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut out = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))
        .map_err(internal)?;
    let mut group = out.next_row_group().map_err(internal)?;
    for (at, physical) in types.iter().enumerate() {
        let cells = || table.rows.iter().map(|row| &row[at]).filter(|cell| **cell != Cell::Empty);
        let levels: Vec<i16> = table.rows.iter().map(|row| i16::from(row[at] != Cell::Empty)).collect();
        let mut column =
            group.next_column().map_err(internal)?.ok_or_else(|| internal("a column is missing"))?;
        macro_rules! write {
            ($kind:ty, $value:expr) => {{
                let values: Vec<_> = cells().map($value).collect();
                column.typed::<$kind>().write_batch(&values, Some(&levels), None).map_err(internal)?;
            }};
        }
        match physical {
            Physical::BOOLEAN => write!(BoolType, |cell| *cell == Cell::Flag(true)),
            Physical::INT64 => write!(Int64Type, |cell| match cell {
                Cell::Count(count) => *count,
                _ => 0,
            }),
            Physical::DOUBLE => write!(DoubleType, |cell| match cell {
                Cell::Number(number) => *number,
                Cell::Count(count) => *count as f64,
                _ => f64::NAN,
            }),
            _ => write!(ByteArrayType, |cell| ByteArray::from(cell.text(Shape::Text).into_bytes())),
        }
        column.close().map_err(internal)?;
    }
    group.close().map_err(internal)?;
    out.into_inner().map_err(internal)
}
