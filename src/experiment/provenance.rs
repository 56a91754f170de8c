//! When, where and by which command a record was written.

use serde::Serialize;
use std::{sync::LazyLock, time::SystemTime};

/// The commit that the program was built from, where that is known: twelve digits, with `-dirty` after changes.
pub const COMMIT: Option<&str> = option_env!("LOTTERY_COMMIT");

/// The version, with the commit where it is known: `0.1.0 (0123456789ab)`.
pub static VERSION: LazyLock<String> = LazyLock::new(|| match COMMIT {
    Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
    None => env!("CARGO_PKG_VERSION").to_owned(),
});

/// What a reader needs to repeat a record, besides its settings.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// UTC, RFC 3339.
    written: String,
    host: String,
    /// Quoted for a shell.
    command: String,
    commit: Option<&'static str>,
}

impl Provenance {
    /// Of this process, now.
    pub fn now() -> Self {
        let written = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self { written, host: crate::events::host(), command: command_line(), commit: COMMIT }
    }
}

/// The command line of this process, quoted for a shell.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "the same command".to_owned())
}
