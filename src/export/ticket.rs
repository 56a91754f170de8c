//! A ticket as one file.

use super::{check_out, provenance};
use crate::{
    error::{Error, Result},
    eval::Source,
    experiment::{TicketFile, ticket_file::About},
    prune::MaskText,
    store::atomic_write,
};
use serde::Serialize;
use std::{fs, path::Path};

/// What was written.
#[derive(Serialize)]
pub struct TicketReport {
    pub format_version: u32,
    pub form: &'static str,
    pub path: String,
    pub bytes: usize,
    /// BLAKE3 of the file.
    pub blake3: String,
    /// `50 of 72 heads and 5 of 6 FFNs`.
    pub kept: String,
    pub mask: MaskText,
    pub about: About,
}

/// Writes the ticket of this source, after it was read again from its bytes.
pub fn write(source: &Source, out: &Path) -> Result<TicketReport> {
    check_out(out, false)?;
    let (mask, about) = provenance::ticket(source)?;
    let bytes = TicketFile::bytes(&mask, &about)?;
    let read = TicketFile::parse(out, &bytes)?;
    if read.mask != mask || TicketFile::bytes(&read.mask, &read.about)? != bytes {
        return Err(Error::internal("the ticket was read again, and is another; nothing was kept"));
    }
    atomic_write(out, &bytes)?;
    if fs::read(out).ok().as_ref() != Some(&bytes) {
        let _ = fs::remove_file(out);
        return Err(Error::data(format!(
            "{} does not hold what was written. Check the disk.",
            out.display()
        )));
    }
    Ok(TicketReport {
        format_version: 1,
        form: "ticket",
        path: out.display().to_string(),
        bytes: bytes.len(),
        blake3: read.hash,
        kept: mask.to_string(),
        mask: (&mask).into(),
        about,
    })
}
