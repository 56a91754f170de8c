//! When, where and by which command a record was written.

use serde::Serialize;
use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { written: rfc3339(now), host: crate::events::host(), command: command_line(), commit: COMMIT }
    }
}

/// The command line of this process, quoted for a shell.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| "the same command".to_owned())
}

/// Seconds since 1970 as a date and time, by the civil calendar's 400-year cycle.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that the day of a leap year is their last.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month < 3);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @SECONDS +%FT%TZ
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }
}
