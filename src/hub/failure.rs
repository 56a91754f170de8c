//! Why something cannot be fetched from the hub.

use std::{fmt, time::Duration};

/// Why something cannot be fetched.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) kind: FailureKind,
    /// How often it was tried.
    pub(super) tries: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// It may go better the next time.
    Transient { retry_after: Option<Duration> },
    /// The server cannot go on in the middle of the file, or does it wrong; it may do with the whole.
    Range,
    /// It will not.
    Permanent,
    /// There is no such file, revision or repository.
    NotFound,
    /// It needs a token, or another one.
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
