//! `stage.json`: its keys, and the checks before it is used.
//!
//! It contains a hash of itself, the `seal`, over everything but the marks of removed files. Manifests written before
//! seals existed have none and are accepted.

use serde_json::{Map, Value};

use super::{FORMAT_VERSION, StageId, canonical::canonical, is_name};
use crate::error::excerpt;

/// Written last: a folder without it is no finished stage.
pub(super) const MANIFEST: &str = "stage.json";

/// The folder with the state of a stage that can be resumed; no file of a finished one.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// The mark of a file that was removed to save disk space. It is set before the file is removed, and cleared after the
/// file is restored; so a marked file that exists may be incomplete.
pub(super) const REMOVED: &str = "removed";

/// The key of a removed file for the programs that are known to compute different bits.
pub(super) const OTHERS: &str = "others";

const SEAL: &str = "seal";

/// Whether a stage may have a file of this name.
pub(super) fn is_file_name(name: &str) -> bool {
    is_name(name) && name != MANIFEST && name != CHECKPOINT
}

/// Adds the seal.
pub(super) fn seal(manifest: &mut Map<String, Value>) {
    let seal = seal_of(manifest);
    manifest.insert(SEAL.into(), seal.into());
}

fn seal_of(manifest: &Map<String, Value>) -> String {
    let mut manifest = manifest.clone();
    manifest.remove(SEAL);
    let files = manifest.get_mut("files").and_then(Value::as_object_mut);
    for facts in files.into_iter().flat_map(|files| files.values_mut()).filter_map(Value::as_object_mut) {
        facts.retain(|key, _| key != REMOVED && key != OTHERS);
    }
    blake3::hash(canonical(&Value::Object(manifest)).as_bytes()).to_hex().to_string()
}

/// The id of the stage whose manifest this is, or what is wrong with it.
pub(super) fn check(info: &Value) -> Result<StageId, String> {
    let version = &info["format_version"];
    if *version != FORMAT_VERSION {
        return Err(format!("has format version {}, not {FORMAT_VERSION}", excerpt(&version.to_string())));
    }
    let Some((manifest, files)) = info.as_object().zip(info["files"].as_object()) else {
        return Err("lists no files".into());
    };
    let stage = info["stage"].as_str().and_then(StageId::parse);
    let stage = stage.ok_or_else(|| {
        format!("names the stage {}, which is not a valid id", excerpt(&info["stage"].to_string()))
    })?;
    for (name, facts) in files {
        if !is_file_name(name) {
            return Err(format!(
                "lists {}, which cannot be a file of a stage",
                excerpt(&Value::from(name.as_str()).to_string())
            ));
        }
        let hash = facts["blake3"].as_str().is_some_and(is_hash);
        let removed = facts.get(REMOVED).is_none_or(Value::is_boolean);
        let others = facts
            .get(OTHERS)
            .is_none_or(|all| all.as_array().is_some_and(|all| all.iter().all(Value::is_string)));
        if !(facts["size"].is_u64() && hash && removed && others) {
            return Err(format!("has invalid facts about {name}"));
        }
    }
    match manifest.get(SEAL) {
        Some(seal) if *seal != seal_of(manifest) => Err("was changed after it was written".into()),
        _ => Ok(stage),
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::stage_id;
    use serde_json::json;

    fn manifest() -> Value {
        let facts = json!({"size": 7, "blake3": blake3::hash(b"weights").to_hex().as_str()});
        json!({
            "seconds": 0.1,
            "format_version": FORMAT_VERSION,
            "stage": stage_id("finetune", &json!({})).as_str(),
            "files": {"model.safetensors": facts},
        })
    }

    fn sealed() -> Value {
        let mut sealed = manifest();
        seal(sealed.as_object_mut().unwrap());
        sealed
    }

    #[test]
    fn a_sealed_manifest_is_accepted_with_marks_and_refused_with_any_other_change() {
        check(&manifest()).unwrap();
        let whole = sealed();
        assert_eq!(check(&whole).unwrap(), stage_id("finetune", &json!({})));
        // As it is read back from its text.
        check(&serde_json::from_str(&format!("{whole:#}")).unwrap()).unwrap();
        let mut marked = whole.clone();
        marked["files"]["model.safetensors"][REMOVED] = json!(true);
        marked["files"]["model.safetensors"][OTHERS] = json!(["0.1.0 avx2"]);
        check(&marked).unwrap();

        let text = whole.to_string();
        for at in 0..text.len() {
            for bit in [1, 0x40] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= bit;
                // Without its name the seal is none, as in stores of before.
                let Ok(info) = serde_json::from_slice::<Value>(&bytes) else { continue };
                assert!(info.get(SEAL).is_none() || check(&info).is_err(), "flipped at {at}: {info}");
            }
        }
    }

    #[test]
    fn names_and_facts_that_no_stage_has_are_refused() {
        for name in ["../victim", "/etc/passwd", "a/b", "..", ".", "", ".tmp-x", MANIFEST, CHECKPOINT, "a\nb"]
        {
            let mut hostile = manifest();
            hostile["files"] = json!({ name: hostile["files"]["model.safetensors"] });
            let why = check(&hostile).unwrap_err();
            assert!(why.contains("cannot be a file of a stage") && !why.contains('\n'), "{name:?}: {why}");
        }
        type Change = fn(&mut Value);
        let changes: [Change; 12] = [
            |info| info["stage"] = json!("../../x"),
            |info| info["stage"] = json!(7),
            |info| info["files"] = json!([]),
            |info| info["files"] = json!({"model.safetensors": "x"}),
            |info| info["files"]["model.safetensors"]["size"] = json!(-1),
            |info| info["files"]["model.safetensors"]["size"] = json!(1e300),
            |info| info["files"]["model.safetensors"]["blake3"] = json!("../x"),
            |info| info["files"]["model.safetensors"][REMOVED] = json!("yes"),
            |info| info["files"]["model.safetensors"][OTHERS] = json!({}),
            |info| info["format_version"] = json!(2),
            |info| info["seal"] = json!(null),
            |info| *info = json!([]),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut hostile = manifest();
            change(&mut hostile);
            let why = check(&hostile).unwrap_err();
            assert!(why.len() < 200, "{n}: {why}");
        }
    }
}
