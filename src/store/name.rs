//! Names that become components of paths.

use std::path::{Component, Path};

use serde::{Deserialize, Deserializer, de};

/// File systems allow 255 bytes; the rest is for suffixes.
const LONGEST: usize = 240;

/// Whether a text can be the name of a file or folder in a store: a single, visible path component without separators
/// and control characters, and not too long. All names that are read from files or written are checked by this.
pub fn is_name(text: &str) -> bool {
    let mut components = Path::new(text).components();
    let one =
        matches!((components.next(), components.next()), (Some(Component::Normal(one)), None) if one == text);
    let plain = !text.contains(['/', '\\']) && !text.chars().any(char::is_control);
    one && plain && !text.starts_with('.') && text.len() <= LONGEST
}

/// Deserialises a field that holds a name.
pub fn deserialize_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_name(&text) {
        return Ok(text);
    }
    let start: String = text.chars().take(80).collect();
    Err(de::Error::custom(format!("{start:?} is not a valid name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_visible_component_of_a_path() {
        let longest = "x".repeat(LONGEST);
        for name in ["seed-1.json", "rte-heads+ffns-good-1337-0123456789ab", "größe", "a b", "a..b", &longest]
        {
            assert!(is_name(name), "{name}");
            assert_eq!(
                serde_json::from_value::<Named>(serde_json::json!({ "name": name })).unwrap().name,
                name
            );
        }
        let too_long = "x".repeat(LONGEST + 1);
        for text in [
            "",
            ".",
            "..",
            ".hidden",
            "../x",
            "a/b",
            "a/",
            "/",
            "/etc/passwd",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\u{1b}[2J",
            "\u{85}",
            "a/../b",
            &too_long,
        ] {
            assert!(!is_name(text), "{text:?}");
            let error = serde_json::from_value::<Named>(serde_json::json!({ "name": text })).unwrap_err();
            assert!(error.to_string().len() < 200, "{error}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Named {
        #[serde(deserialize_with = "deserialize_name")]
        name: String,
    }
}
