//! Canonical JSON: one text for each value, so that equal values have equal hashes.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// The value as JSON without spaces, with the keys of every object sorted. Non-finite numbers become `null`.
///
/// # Errors
/// Internal: a value that JSON cannot represent (a map whose keys are not strings).
pub fn canonical_json(value: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(value)
        .map_err(|error| Error::internal(format!("a value cannot be written as JSON: {error}")))?;
    Ok(canonical(&value))
}

pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_items_does() {
        let one = json!({"b": [1, {"d": 2e-5, "c": "\"x\n"}], "a": null});
        let same = json!({"a": null, "b": [1, {"c": "\"x\n", "d": 2e-5}]});
        let other = json!({"a": null, "b": [{"c": "\"x\n", "d": 2e-5}, 1]});
        let text = canonical_json(&one).unwrap();
        assert_eq!(text, r#"{"a":null,"b":[1,{"c":"\"x\n","d":0.00002}]}"#);
        assert_eq!(text, canonical_json(&same).unwrap());
        assert_ne!(text, canonical_json(&other).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), one);
    }
}
