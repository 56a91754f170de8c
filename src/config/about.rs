//! The keys of the configuration for people: type and range, default and meaning, from the list that reads them.

use super::{
    ExperimentConfig,
    keys::{KEYS, suggest},
    kind::Kind,
    layers::{defaults, leaves},
};
use crate::error::{Error, Result, excerpt};
use serde::Serialize;

/// A key.
#[derive(Clone, Debug, Serialize)]
pub struct Key {
    pub key: &'static str,
    /// `a whole number, at least 1`
    pub holds: String,
    /// As TOML; `None` where the key has none.
    pub default: Option<String>,
    pub about: &'static str,
    /// The names that it may hold, with a line for each.
    pub names: Vec<(&'static str, &'static str)>,
}

/// All keys, in their order.
pub fn keys() -> Result<Vec<Key>> {
    let defaults = defaults()?;
    let values = leaves(&defaults);
    let default = |key: &str| values.iter().find(|(name, _)| name == key).map(|(_, value)| value.to_string());
    let key = |(key, kind, about): &(&'static str, Kind, &'static str)| {
        let expected = kind.expected();
        let holds = match kind {
            Kind::Text => "a text",
            Kind::Seed => "a whole number, at least 0",
            _ => expected.strip_prefix("expected ").unwrap_or(&expected),
        };
        let holds = holds.to_owned();
        Key { key, holds, default: default(key), about, names: kind.names() }
    };
    Ok(KEYS.iter().map(key).collect())
}

/// The keys of these names, or below these sections; all without a name.
///
/// # Errors
/// Usage: there is none, with the nearest.
pub fn keys_of(names: &[String]) -> Result<Vec<Key>> {
    let all = keys()?;
    for name in names {
        if !all.iter().any(|key| is_below(key.key, name)) {
            return Err(Error::usage(format!("there is no key {}.{}", excerpt(name), suggest(name))));
        }
    }
    Ok(all
        .into_iter()
        .filter(|key| names.is_empty() || names.iter().any(|name| is_below(key.key, name)))
        .collect())
}

fn is_below(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The keys that have no value in this configuration.
pub fn unset(config: &ExperimentConfig) -> Result<Vec<Key>> {
    let settings = config.settings()?;
    // A user's task is a table.
    let is_set = |key: &str| settings.keys().any(|set| is_below(set, key));
    Ok(keys()?.into_iter().filter(|key| !is_set(key.key)).collect())
}
