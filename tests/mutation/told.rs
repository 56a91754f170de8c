//! What a reader says to people.

use super::harness;

/// The value, or the error's text: short, and shown by a terminal as it is.
pub fn told<T>(outcome: lottery::error::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let text = error.to_string();
            harness::show("told", text.as_bytes());
            if text.len() > 8192 {
                harness::fault("an error's text is too long", text);
            }
            if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
                harness::fault("an error's text has control characters", text);
            }
            None
        }
    }
}

/// A terminal shows it as it is.
pub fn shown(text: &str) {
    if text.chars().any(|c| c.is_control() && c != '\n') {
        harness::fault("what is shown has control characters", text.to_owned());
    }
}
