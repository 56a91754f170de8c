//! Why something cannot be fetched from the hub.

use std::{fmt, time::Duration};

/// Why a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) kind: FailureKind,
    /// The number of attempts.
    pub(super) tries: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Another attempt may succeed.
    Transient { retry_after: Option<Duration> },
    /// The server cannot resume in the middle of the file, or does so incorrectly; the whole file may work.
    Range,
    /// Another attempt will not succeed.
    Permanent,
    /// There is no such file, revision or repository.
    NotFound,
    /// It requires a token, or another one.
    Denied,
}

impl Failure {
    pub(super) fn permanent(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: FailureKind::Permanent, tries: 1 }
    }

    pub(super) fn transient(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: FailureKind::Transient { retry_after: None }, tries: 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.tries {
            0 | 1 => Ok(()),
            tries => write!(f, " (tried {tries} times)"),
        }
    }
}
