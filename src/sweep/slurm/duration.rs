//! Slurm's format of time limits.

use crate::error::{Error, Result};

/// `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S` in seconds; `None` for no limit.
pub fn seconds(text: &str) -> Result<Option<u64>> {
    if ["unlimited", "infinite", "-1"].contains(&text.to_lowercase().as_str()) {
        return Ok(None);
    }
    let wrong = || {
        Error::usage(format!(
            "time = {text:?} is not a time limit that Slurm understands. Write minutes, HH:MM:SS or D-HH:MM:SS, for example 4:00:00."
        ))
    };
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days).ok_or_else(wrong)?), rest),
        None => (None, text),
    };
    let parts: Option<Vec<u64>> = rest.split(':').map(number).collect();
    let [hours, minutes, seconds] = match (days, &parts.ok_or_else(wrong)?[..]) {
        (None, [m]) => [0, *m, 0],
        (None, [m, s]) => [0, *m, *s],
        (Some(_), [h]) => [*h, 0, 0],
        (Some(_), [h, m]) => [*h, *m, 0],
        (_, [h, m, s]) => [*h, *m, *s],
        _ => return Err(wrong()),
    };
    let whole = ((days.unwrap_or(0) * 24 + hours) * 60 + minutes) * 60 + seconds;
    // To Slurm, 0 means no limit too.
    Ok((whole > 0).then_some(whole))
}

/// A number of at most 9 digits, so that the sums above cannot overflow.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_slurm_is_understood() {
        for (text, expected) in [
            ("1", Some(60)),
            ("90:30", Some(5430)),
            ("00:01:00", Some(60)),
            ("4:00:00", Some(14400)),
            ("2-0", Some(172_800)),
            ("1-2:3", Some(93_780)),
            ("1-2:3:4", Some(93_784)),
            ("0", None),
            ("UNLIMITED", None),
        ] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in ["", "soon", "1:2:3:4", "1-", "-2", "1h", "1:", "99999999999999999999"] {
            assert_eq!(seconds(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
