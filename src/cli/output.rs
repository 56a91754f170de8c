//! Writing to stdout and stderr.

use super::terminal::{above_bar, for_stderr, for_stdout};
use crate::error::{Error, Result, printable};
use serde::Serialize;
use std::{
    io::{ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether something was written to stdout.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// A value as a JSON document, which ends with its line.
pub fn document(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    Ok(text + "\n")
}

/// Writes to stdout. A reader that has closed the pipe is no error.
pub fn print(text: &str) -> Result<()> {
    PRINTED.store(true, Ordering::Relaxed);
    let mut written = Ok(());
    above_bar(|| written = std::io::stdout().write_all(text.as_bytes()));
    match written {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::data(format!("cannot write to stdout: {e}. The record is in the store.")))
        }
        _ => Ok(()),
    }
}

/// [`print`], for people: with everything escaped that would act on a terminal, and failures in colour.
pub fn show(text: &str) -> Result<()> {
    print(&for_stdout(&printable(text)))
}

/// Whether the command line asks for a JSON document.
pub fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

pub fn has_printed() -> bool {
    PRINTED.load(Ordering::Relaxed)
}

/// Writes one line or several to stderr, with everything escaped that would act on a terminal. A failure is ignored:
/// the reader of a pipe may have closed it, and the run continues.
pub fn to_stderr(line: &str) {
    above_bar(|| _ = writeln!(std::io::stderr(), "{}", for_stderr(&printable(line))));
}

/// `1 run`, `8 runs`
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
