//! Names that become part of a path.

use std::path::{Component, Path};

use serde::{Deserialize, Deserializer, de};

/// File systems take 255 bytes, and some endings are longer than others.
const LONGEST: usize = 240;

/// Whether a text can be the name of a file or a folder in a store: one visible component of a path, without
/// separators and control characters, and not too long. Whatever names are read from a file, and whatever names are
/// written, are checked by this.
pub fn is_name(text: &str) -> bool {
    let mut components = Path::new(text).components();
    let one =
        matches!((components.next(), components.next()), (Some(Component::Normal(one)), None) if one == text);
    let plain = !text.contains(['/', '\\']) && !text.chars().any(char::is_control);
    one && plain && !text.starts_with('.') && text.len() <= LONGEST
}

/// For fields that hold a name.
pub fn deserialize_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_name(&text) {
        return Ok(text);
    }
    let start: String = text.chars().take(80).collect();
    Err(de::Error::custom(format!("{start:?} cannot be a name")))
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
