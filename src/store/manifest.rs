//! `stage.json`: what it must be like before anything goes by it.
//!
//! It carries a hash of itself, its `seal`, over all but the marks of files that were removed to save room. Those that
//! were written before there were seals have none, and are taken as they are.

use serde_json::{Map, Value};

use super::{FORMAT_VERSION, StageId, canonical::canonical, is_name};
use crate::error::excerpt;

/// Written last: a folder without it is no finished stage.
pub(super) const MANIFEST: &str = "stage.json";

/// The folder with the state of a stage that can be resumed; no file of a finished one.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// A file's key when it was removed to save room. The mark is written before the file goes, and goes after the file
/// has come back: a file that is there in spite of it may be whole or not.
pub(super) const REMOVED: &str = "removed";

/// A file's key with the programs that computed it to other bits than those that were removed.
pub(super) const OTHERS: &str = "others";

const SEAL: &str = "seal";

/// Whether a stage may have a file of this name.
pub(super) fn is_file_name(name: &str) -> bool {
    is_name(name) && name != MANIFEST && name != CHECKPOINT
}

/// Adds the hash.
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

/// The stage that this is the `stage.json` of, or what is wrong with it.
pub(super) fn check(info: &Value) -> Result<StageId, String> {
    let version = &info["format_version"];
    if *version != FORMAT_VERSION {
        return Err(format!("has format version {}, not {FORMAT_VERSION}", excerpt(&version.to_string())));
    }
    let Some((manifest, files)) = info.as_object().zip(info["files"].as_object()) else {
        return Err("lists no files".into());
    };
    let stage = info["stage"].as_str().and_then(StageId::parse);
    let stage =
        stage.ok_or_else(|| format!("is of {}, which is no stage", excerpt(&info["stage"].to_string())))?;
    for (name, facts) in files {
        if !is_file_name(name) {
            return Err(format!(
                "lists {}, which is no file of a stage",
                excerpt(&Value::from(name.as_str()).to_string())
            ));
        }
        let hash = facts["blake3"].as_str().is_some_and(is_hash);
        let removed = facts.get(REMOVED).is_none_or(Value::is_boolean);
        let others = facts
            .get(OTHERS)
            .is_none_or(|all| all.as_array().is_some_and(|all| all.iter().all(Value::is_string)));
        if !(facts["size"].is_u64() && hash && removed && others) {
            return Err(format!("does not say of {name} what it should"));
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
            assert!(why.contains("no file of a stage") && !why.contains('\n'), "{name:?}: {why}");
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
