//! The id of a stage: its kind, and a hash of everything that determines its result.

use std::fmt;

use serde_json::{Value, json};

use super::canonical::canonical;

/// The version of everything below `stages/`. It enters every stage's hash.
pub const FORMAT_VERSION: u32 = 1;

/// `<kind>-<hash12>`, also the name of the stage's folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StageId(String);

/// The id of a stage of this kind (`finetune`, `search`, …) with these inputs: settings and hashes of what it reads.
///
/// The hash is the first 12 hex digits of BLAKE3 over the canonical JSON of format version, kind and inputs.
pub fn stage_id(kind: &str, inputs: &Value) -> StageId {
    let all = json!({"format_version": FORMAT_VERSION, "kind": kind, "inputs": inputs});
    let hash = blake3::hash(canonical(&all).as_bytes()).to_hex();
    StageId(format!("{kind}-{}", &hash.as_str()[..12]))
}

impl StageId {
    /// Parses an id; `None` for any other text.
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, hash) = name.rsplit_once('-')?;
        let plain = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase());
        let hex = hash.len() == 12 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (plain && hex).then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn kind(&self) -> &str {
        self.0.rsplit_once('-').map_or(self.0.as_str(), |(kind, _)| kind)
    }
}

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_have_one_id_and_different_ones_do_not() {
        let id = stage_id("finetune", &json!({"seed": 1, "model": "x"}));
        assert_eq!(id, stage_id("finetune", &json!({"model": "x", "seed": 1})));
        assert_ne!(id, stage_id("finetune", &json!({"model": "x", "seed": 2})));
        assert_eq!(id.kind(), "finetune");
        assert_eq!(StageId::parse(id.as_str()), Some(id.clone()));
        for other in ["records", "run-0123", "finetune-0123456789aX", "-0123456789ab", "a/b-0123456789ab"] {
            assert_eq!(StageId::parse(other), None, "{other}");
        }
        assert_eq!(id.as_str().len(), "finetune-".len() + 12);
        let retrain = stage_id("retrain", &json!({"model": "x", "seed": 1}));
        assert_ne!(id.as_str()["finetune-".len()..], retrain.as_str()["retrain-".len()..]);
    }
}
