//! Parquet files, as data sets on the Hugging Face hub are stored.

mod pages;

use super::{
    cells::{Cell, Reader, Unit},
    rows::{Rows, Wanted},
};
use crate::{
    error::{Error, Result, excerpt},
    guard::catch_panic,
};
use bytes::Bytes;
use parquet::{
    errors::ParquetError,
    file::{
        metadata::FileMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row},
    schema::types::Type,
};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// What a file may hold when it is decompressed: this many times its size, and 16 MiB.
const GROWTH: usize = 64;

/// The examples of a file with this content. `path` is for errors alone. What whole numbers in the column of labels
/// stand for, the file's metadata say, as `datasets` writes them.
///
/// # Errors
/// Data, naming file and row: a damaged file, or one that claims to hold more than it can, a missing column, an unknown
/// label.
pub fn parse(wanted: &Wanted, path: &Path, bytes: Vec<u8>) -> Result<Rows> {
    let outcome = catch_panic("parquet", || rows(wanted, path, &Bytes::from(bytes)));
    outcome.unwrap_or_else(|panic| Err(damaged(path, &panic)))
}

fn rows(wanted: &Wanted, path: &Path, bytes: &Bytes) -> Result<Rows> {
    let file = SerializedFileReader::new(bytes.clone()).map_err(|error| damaged(path, &error.to_string()))?;
    let metadata = file.metadata();
    let schema = metadata.file_metadata().schema();
    let fields = schema.get_fields();
    let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
    let reader = Reader::new(wanted, path, Unit::Row, &names)?;
    let places = reader.places();
    let label = places.label.and_then(|place| names.get(place).copied());
    let mut reader =
        reader.with_class_names(label.and_then(|label| class_names(metadata.file_metadata(), label)));

    let mut read: Vec<usize> = [Some(places.first), places.second, places.label, places.index]
        .into_iter()
        .flatten()
        .chain(places.only.map(|(place, _)| place))
        .collect();
    read.sort_unstable();
    read.dedup();
    if let Some(list) = read.iter().find(|place| !fields[**place].is_primitive()) {
        return Err(Error::data(format!(
            "{}: the column \"{}\" holds lists or tables, not texts or numbers. Name another one.",
            path.display(),
            names[*list]
        )));
    }
    chosen_rows(path, bytes, &file, &read, &mut |number, row| {
        // In a row are the columns that are read, in the file's order.
        reader.row(number, |place| {
            let field = read.iter().position(|other| *other == place);
            field.and_then(|at| row.get_column_iter().nth(at)).map_or(Cell::Missing, |(_, field)| cell(field))
        })
    })?;
    reader.finish()
}

/// The rows of a file, with these columns alone.
///
/// # Errors
/// Data: a damaged file, or one that claims to hold more than it can; a column that is not there; those of `each`.
pub(super) fn each_row(
    path: &Path,
    bytes: Vec<u8>,
    columns: &[&str],
    each: &mut dyn FnMut(&Row) -> Result<()>,
) -> Result<()> {
    let bytes = Bytes::from(bytes);
    let outcome = catch_panic("parquet", || {
        let file =
            SerializedFileReader::new(bytes.clone()).map_err(|error| damaged(path, &error.to_string()))?;
        let fields = file.metadata().file_metadata().schema().get_fields();
        let place = |column: &&str| {
            fields.iter().position(|field| field.name() == *column).ok_or_else(|| {
                let there: Vec<_> = fields.iter().map(|field| excerpt(field.name())).collect();
                let (path, there) = (path.display(), there.join(", "));
                Error::data(format!(
                    "{path} has no column {column}; its columns are {there}. It belongs to another data set: fetch the right one."
                ))
            })
        };
        let mut read = columns.iter().map(place).collect::<Result<Vec<usize>>>()?;
        read.sort_unstable();
        chosen_rows(path, &bytes, &file, &read, &mut |_, row| each(row))
    });
    outcome.unwrap_or_else(|panic| Err(damaged(path, &panic)))
}

/// Each row with its number from 1, of the columns at these places, ascending.
fn chosen_rows(
    path: &Path,
    bytes: &Bytes,
    file: &SerializedFileReader<Bytes>,
    read: &[usize],
    each: &mut dyn FnMut(usize, &Row) -> Result<()>,
) -> Result<()> {
    let most = bytes.len().saturating_mul(GROWTH).saturating_add(16 << 20);
    let broken = |error: ParquetError| damaged(path, &error.to_string());
    let metadata = file.metadata();
    let schema = metadata.file_metadata().schema();
    let fields: Vec<_> = read.iter().map(|place| Arc::clone(&schema.get_fields()[*place])).collect();
    let chosen = |column: &str| fields.iter().any(|field| field.name() == column);
    pages::check(metadata, bytes, chosen, most).map_err(|what| damaged(path, &what))?;
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(broken)?;
    let mut left = most;
    for (number, row) in (1..).zip(file.get_row_iter(Some(projection)).map_err(broken)?) {
        let row = row.map_err(broken)?;
        left = left.checked_sub(size(&row)).ok_or_else(|| {
            damaged(path, &format!("it holds more than {GROWTH} times its size when it is decompressed"))
        })?;
        each(number, &row)?;
    }
    Ok(())
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::data(format!(
        "{} cannot be read: {what}. The file is damaged, was cut off, or is no Parquet file: fetch it again.",
        path.display()
    ))
}

/// The names of the classes of a column, from the features that `datasets` stores.
fn class_names(metadata: &FileMetaData, column: &str) -> Option<Vec<String>> {
    let pairs = metadata.key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == "huggingface")?.value.as_ref()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let features = value.pointer("/info/features").or_else(|| value.get("features"))?;
    let names = features.get(column)?.get("names")?.as_array()?;
    names.iter().map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// The bytes that it takes, at least those of its texts.
fn size(row: &Row) -> usize {
    fn of(field: &Field) -> usize {
        match field {
            Field::Str(text) => text.len(),
            Field::Bytes(bytes) => bytes.len(),
            Field::Group(row) => size(row),
            Field::ListInternal(list) => list.elements().iter().map(|element| 16 + of(element)).sum(),
            _ => 0,
        }
    }
    64 + row.get_column_iter().map(|(_, field)| of(field)).sum::<usize>()
}

fn cell(field: &Field) -> Cell<'_> {
    match field {
        Field::Null => Cell::Missing,
        Field::Bool(true) => Cell::Text("true"),
        Field::Bool(false) => Cell::Text("false"),
        Field::Byte(number) => Cell::Whole((*number).into()),
        Field::Short(number) => Cell::Whole((*number).into()),
        Field::Int(number) => Cell::Whole((*number).into()),
        Field::Long(number) => Cell::Whole(*number),
        Field::UByte(number) => Cell::Whole((*number).into()),
        Field::UShort(number) => Cell::Whole((*number).into()),
        Field::UInt(number) => Cell::Whole((*number).into()),
        Field::ULong(number) => i64::try_from(*number).map_or(Cell::Other, Cell::Whole),
        Field::Float(number) => Cell::Real((*number).into()),
        Field::Double(number) => Cell::Real(*number),
        Field::Str(text) => Cell::Text(text),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Cell::Other, Cell::Text),
        _ => Cell::Other,
    }
}
