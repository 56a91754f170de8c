//! Remembered hashes of files.

use super::{harness, told, tree::Seeds, world};
use lottery::store::{Store, hashes::HashKind};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime},
};

#[test]
fn any_remembered_hashes_are_used_or_passed_over() {
    let folder = world::folder();
    let large = folder.path().join("large");
    fs::write(&large, vec![7; 1 << 20]).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(&large).and_then(|file| file.set_modified(long_ago)).unwrap();
    let whole = blake3::hash(&vec![7; 1 << 20]).to_hex().to_string();
    let found = fs::metadata(&large).unwrap();
    let key = format!("blake3:{:x}:{}", found.dev(), large.display());
    let entry = json!({
        "inode": found.ino(), "size": found.size(), "modified": [found.mtime(), found.mtime_nsec()],
        "changed": [found.ctime(), found.ctime_nsec()], "hash": whole,
    });
    let saved = json!({"format_version": 1, "seal": "", "files": {key: entry}});
    let seeds = Seeds::json(vec![saved.to_string().into_bytes()]);
    let dir = folder.path().join("runs");
    harness::run("hashes", 10, |random| {
        let mut text = seeds.mutated(random);
        if random.chance(80)
            && let Ok(mut value) = serde_json::from_slice::<Value>(&text)
            && value.is_object()
        {
            let files = lottery::store::canonical_json(&value["files"]).unwrap();
            value["seal"] = blake3::hash(files.as_bytes()).to_hex().as_str().into();
            text = value.to_string().into_bytes();
        }
        harness::show("hashes.json", &text);
        fs::create_dir_all(dir.join("cache")).unwrap();
        fs::write(dir.join("cache/hashes.json"), text).unwrap();
        let Some(store) = told(Store::open(&dir)) else { return };
        told(store.hashes().file_hash(*random.of_list(&[HashKind::Blake3, HashKind::Sha256]), &large));
    });
}
