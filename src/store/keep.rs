//! The retention policy: how much of what was computed is kept.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::error::{Error, Result, nearest};

/// What is kept besides records, tickets and metrics, which always are. Each policy keeps less than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Everything of finished stages.
    #[default]
    Models,
    /// Everything except the weights of fine-tuned and retrained models.
    Tickets,
    /// Nothing else.
    None,
}

impl Keep {
    const ALL: [Self; 3] = [Self::None, Self::Tickets, Self::Models];

    pub fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Tickets => "tickets",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|keep| keep.name() == word).ok_or_else(|| {
            let hint = nearest(word, Self::ALL.map(Self::name));
            let hint = hint.map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
            Error::usage(format!("--keep {word}: expected none, tickets or models.{hint}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_slips_are_told_the_nearest() {
        for keep in Keep::ALL {
            assert_eq!(keep.to_string().parse::<Keep>().unwrap(), keep);
        }
        assert!(Keep::Models < Keep::Tickets && Keep::Tickets < Keep::None);
        for (slip, meant) in [("modles", "models"), ("Ticket", "tickets"), ("non", "none")] {
            let error = slip.parse::<Keep>().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().ends_with(&format!("Did you mean {meant}?")), "{error}");
        }
        assert!("everything".parse::<Keep>().unwrap_err().to_string().ends_with("models."));
    }
}
