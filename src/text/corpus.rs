//! Plain text to pre-train on: read from a file, cut into framed sequences.

use std::{fmt, io::Read, path::Path, str::FromStr};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::tokenizer::room;
use super::{Encoded, Tokenizer};
use crate::content::{is_lfs_pointer, what_is};
use crate::cores;
use crate::error::{Error, Result, none_of};

/// What one piece of text is: sequences never reach across two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// The whole file, its lines joined: every sequence is full but the last.
    File,
    /// Each line that is not blank.
    Line,
}

impl Unit {
    pub const NAMES: &[&str] = &["file", "line"];
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Line => "line",
        })
    }
}

impl FromStr for Unit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_lowercase().as_str() {
            "file" => Ok(Self::File),
            "line" => Ok(Self::Line),
            word => Err(none_of(word, Self::NAMES)),
        }
    }
}

/// The text of a UTF-8 file; `.gz` and `.zst` are decompressed. A byte order mark at the start is dropped.
///
/// # Errors
/// `Error::Data` naming the file: unreadable, damaged or cut off, another kind of file, not UTF-8, or blank.
pub fn read_text(path: &Path) -> Result<String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::data(format!("cannot read {shown}: it is a folder. Give a text file.")));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, "read", &error))?;
    // A pointer is valid text, but not the text that was meant.
    if let Some(error) = other_kind(path, &bytes, "").filter(|_| is_lfs_pointer(&bytes)) {
        return Err(error);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let bytes = match extension.to_lowercase().as_str() {
        // Compressed files laid end to end are one text, as gunzip and unzstd have it.
        "gz" => decompressed(path, extension, &mut flate2::bufread::MultiGzDecoder::new(&*bytes))
            .map_err(|error| other_kind(path, &bytes, "gzip").unwrap_or(error))?,
        "zst" => {
            let mut decoder = zstd::Decoder::with_buffer(&*bytes)
                .map_err(|error| Error::internal(format!("zstd does not start: {error}")))?;
            decompressed(path, extension, &mut decoder)
                .map_err(|error| other_kind(path, &bytes, "zstd").unwrap_or(error))?
        }
        _ => bytes,
    };
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count();
        other_kind(path, error.as_bytes(), "").unwrap_or_else(|| {
            Error::data(format!(
                "{shown} is not UTF-8: line {line}, byte {valid} of the text (counted from 0). Convert it, for example \
                 with iconv -f LATIN1 -t UTF-8."
            ))
        })
    })?;
    // Single ones are in many a large text, and the tokenizer drops them.
    if text.bytes().filter(|byte| *byte == 0).count() > text.len() / 4 {
        return Err(Error::data(format!(
            "{shown} is full of NUL characters: it is UTF-16 or not text at all. Convert it to UTF-8, for example with \
             iconv -f UTF-16LE -t UTF-8."
        )));
    }
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    match text.trim().is_empty() {
        false => Ok(text),
        true => Err(Error::data(format!("{shown} contains no text. Give a text file to pre-train on."))),
    }
}

/// What a file is that is no text, unless it is `expected`.
fn other_kind(path: &Path, bytes: &[u8], expected: &str) -> Option<Error> {
    let content = what_is(bytes).filter(|content| expected.is_empty() || !content.name.contains(expected))?;
    Some(Error::data(format!("{} is {}. {}", path.display(), content.name, content.remedy)))
}

fn decompressed(path: &Path, extension: &str, decoder: &mut dyn Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    decoder.read_to_end(&mut bytes).map_err(|error| {
        Error::data(format!(
            "{} is damaged, cut off or not a .{extension} file: {error}. Download it again, or remove .{extension} from its \
             name if it is plain text.",
            path.display()
        ))
    })?;
    Ok(bytes)
}

/// The text as sequences `[CLS] … [SEP]` of at most `max_length` tokens, all of segment 0. What does not fit into one
/// continues in the next; nothing is dropped. Lines are tokenised separately, on all threads.
///
/// # Errors
/// `Error::Usage` if `max_length` leaves no room beside the special tokens, `Error::Data` if the text has no token.
pub fn sequences(tokenizer: &Tokenizer, text: &str, unit: Unit, max_length: usize) -> Result<Vec<Encoded>> {
    let room = room(max_length, 2)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let ids = || lines.par_iter().map(|line| tokenizer.ids_of(line)).collect::<Result<Vec<_>>>();
    let lines = cores::compute(ids)?;
    let special = tokenizer.special_ids();
    let framed = |piece: &[u32]| {
        let ids = [&[special.cls], piece, &[special.sep]].concat();
        Encoded { segments: vec![0; ids.len()], ids }
    };
    let sequences: Vec<Encoded> = match unit {
        Unit::File => lines.concat().chunks(room).map(framed).collect(),
        Unit::Line => lines.iter().flat_map(|line| line.chunks(room)).map(framed).collect(),
    };
    match sequences.is_empty() {
        false => Ok(sequences),
        // Control characters alone, say: the normaliser leaves nothing of them.
        true => Err(Error::data("the text has no tokens. Give a text file to pre-train on.")),
    }
}

#[cfg(test)]
mod tests;
