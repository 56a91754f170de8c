//! The formats of data files.

use crate::choice::choices;

choices! {
    /// How a data file is written.
    pub enum FileFormat ("format") {
        /// columns separated by tabs, one example a line, no quoting
        Tsv = "tsv",
        /// columns separated by commas, with a header and quotes where needed
        Csv = "csv",
        /// a JSON object a line
        Jsonl = "jsonl",
        /// Apache Parquet
        Parquet = "parquet",
    }
}

/// Endings of file names, in the order in which files are looked for.
pub const ENDINGS: &[(&str, FileFormat)] = &[
    ("tsv", FileFormat::Tsv),
    ("parquet", FileFormat::Parquet),
    ("jsonl", FileFormat::Jsonl),
    ("json", FileFormat::Jsonl),
    ("ndjson", FileFormat::Jsonl),
    ("csv", FileFormat::Csv),
    ("txt", FileFormat::Tsv),
];

impl FileFormat {
    /// The format that the name of a file tells.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        ENDINGS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, format)| *format)
    }
}
