//! Token ids of folders whose files disagree, compared with transformers': see `tests/golden/folders.py`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    sentences: Vec<String>,
    pairs: Vec<(String, Option<String>, usize)>,
    folders: Vec<Folder>,
}

#[derive(Deserialize)]
struct Folder {
    name: String,
    files: BTreeMap<String, String>,
    /// What the message of a folder that is refused contains.
    refusal: Option<String>,
    #[serde(default)]
    ids: Vec<Vec<u32>>,
    #[serde(default)]
    pairs: Vec<(Vec<u32>, Option<Vec<u8>>)>,
}

/// What differs from transformers in this folder, if anything does.
fn difference(golden: &Golden, folder: &Folder) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in &folder.files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let tokenizer = match (Tokenizer::from_folder(dir.path()), &folder.refusal) {
        (Ok(_), Some(_)) => return Some("it is not refused".into()),
        (Err(error), None) => return Some(format!("it is refused: {error}")),
        (Err(error), Some(refusal)) => {
            let text = error.to_string();
            let named = text.contains(refusal.as_str()) && text.contains(&dir.path().display().to_string());
            return (error.exit_code() != 3 || !named).then_some(text);
        }
        (Ok(tokenizer), None) => tokenizer,
    };
    assert_eq!(folder.ids.len(), golden.sentences.len());
    for (sentence, ids) in golden.sentences.iter().zip(&folder.ids) {
        let own = tokenizer.encode(sentence, None, 512).unwrap().ids;
        if own != *ids {
            return Some(format!("{sentence:?} is {own:?}, and {ids:?} in transformers"));
        }
    }
    assert_eq!(folder.pairs.len(), golden.pairs.len());
    for ((first, second, length), (ids, segments)) in golden.pairs.iter().zip(&folder.pairs) {
        let own = tokenizer.encode(first, second.as_deref(), *length).unwrap();
        let segments = segments.clone().unwrap_or_else(|| vec![0; ids.len()]);
        if own.ids != *ids || own.segments != segments {
            return Some(format!("{first:?} with {second:?} is {own:?}, and {ids:?}, {segments:?} there"));
        }
    }
    None
}

#[test]
fn the_ids_of_every_folder_are_those_of_transformers() {
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/folders.json")).unwrap();
    assert!(golden.folders.len() > 100);
    let differing: Vec<String> = golden
        .folders
        .iter()
        .filter_map(|folder| Some(format!("{}: {}", folder.name, difference(&golden, folder)?)))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
