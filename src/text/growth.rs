//! How much the rules of a `tokenizer.json` can lengthen a text: many rules that each double it would exhaust memory.

use serde_json::Value;

/// Far more than any real tokenizer's rules do.
pub(super) const MAX_GROWTH: f64 = 4096.0;

/// An upper bound on the factor by which this normalizer or pre-tokenizer lengthens a text.
pub(super) fn max_growth(rule: &Value) -> f64 {
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    match rule["type"].as_str() {
        Some("Sequence") => [&rule["normalizers"], &rule["pretokenizers"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(max_growth)
            .product(),
        Some("Replace") => match length(&rule["pattern"]["String"]) {
            // An expression may match between any two characters.
            0.0 => length(&rule["content"]) + 1.0,
            replaced => (length(&rule["content"]) / replaced).max(1.0),
        },
        Some("Prepend") => length(&rule["prepend"]) + 1.0,
        Some("ByteLevel" | "Metaspace") => 2.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_growth_of_a_sequence_is_the_product_of_its_rules() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let regex = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "abc"});
        assert_eq!(max_growth(&double), 2.0);
        assert_eq!(max_growth(&regex), 4.0);
        let inner = json!({"type": "Sequence", "normalizers": [double, {"type": "Lowercase"}, regex]});
        let outer = json!({"type": "Sequence", "normalizers": [inner, {"type": "Prepend", "prepend": "__"}]});
        assert_eq!(max_growth(&outer), 24.0);
        assert_eq!(max_growth(&json!({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]})), 2.0);
        let shorter = json!({"type": "Replace", "pattern": {"String": "``"}, "content": "\""});
        assert_eq!(max_growth(&shorter), 1.0);
        assert_eq!(max_growth(&Value::Null), 1.0);
    }
}
