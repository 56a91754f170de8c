//! Writing to stdout and stderr.

use crate::error::{Error, Result, printable};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// A value as a JSON document, which ends with its line.
pub fn document(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    Ok(text + "\n")
}

/// Writes to stdout. A reader that has closed the pipe is no error.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::data(format!("cannot write to stdout: {e}. The record is in the store.")))
        }
        _ => Ok(()),
    }
}

/// Writes one line or several to stderr, with everything escaped that would act on a terminal. A failure is ignored:
/// the reader of a pipe may have closed it, and the run continues.
pub fn to_stderr(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}
