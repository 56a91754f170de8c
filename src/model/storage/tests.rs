use super::*;
use crate::model::{Bert, Head, weights::Pretrained};
use std::{fs, io::Write};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn build(dir: &Path) -> Result<(Bert, Pretrained)> {
    let mut pretrained = Pretrained::load(dir)?;
    let bert = pretrained.build(Head::Classifier { labels: 3 }, 0, false)?;
    Ok((bert, pretrained))
}

fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

#[test]
fn a_model_is_the_same_in_every_form_of_its_files() {
    let (whole, first) = build(&golden("encoders/distilbert-classifier")).unwrap();
    let mut hashes = vec![first.sha256];
    for name in ["bin", "wrapped", "shards", "bin-shards"] {
        let (bert, pretrained) = build(&golden("torch").join(name)).unwrap();
        assert_eq!(bert, Bert { config: bert.config.clone(), ..whole.clone() }, "{name}");
        let told = pretrained.notes.iter().any(|note| note.contains("begin with module. and _orig_mod."));
        assert_eq!(told, name == "wrapped", "{:?}", pretrained.notes);
        assert_eq!(pretrained.notes.len(), usize::from(told), "{:?}", pretrained.notes);
        Pretrained::check(&golden("torch").join(name)).unwrap();
        // As it is hashed without being loaded.
        let of = |path: PathBuf| format!("{:x}", Sha256::digest(fs::read(path).unwrap()));
        let files = files(&golden("torch").join(name)).unwrap();
        assert_eq!(joined(&files.into_iter().map(of).collect::<Vec<_>>()), pretrained.sha256);
        hashes.push(pretrained.sha256);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 5);
}

#[test]
fn the_hash_of_several_files_is_of_all_of_them() {
    let dir = copy("torch/shards");
    let (_, before) = build(dir.path()).unwrap();
    let path = dir.path().join("model-00002-of-00002.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(build(dir.path()).unwrap().1.sha256, before.sha256);
}

#[test]
fn weights_that_changed_after_they_were_hashed_are_refused_and_those_that_were_replaced_are_still_there() {
    let dir = copy("torch/shards");
    let mut pretrained = Pretrained::load(dir.path()).unwrap();
    let mut read = || pretrained.build(Head::Classifier { labels: 3 }, 0, false);
    let first = read().unwrap();
    // Another file of the name: the one that was hashed is open.
    let path = dir.path().join("model-00002-of-00002.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"something else").unwrap();
    assert_eq!(read().unwrap(), first);
    let mut pretrained = {
        fs::write(&path, &bytes).unwrap();
        Pretrained::load(dir.path()).unwrap()
    };
    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(&changed).unwrap();
    let error = pretrained.build(Head::Classifier { labels: 3 }, 0, false).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("has changed since"), "{error}");
}

#[test]
fn a_missing_or_foreign_shard_is_named() {
    let dir = copy("torch/shards");
    let shard = |number: u32| dir.path().join(format!("model-{number:05}-of-00002.safetensors"));
    let refused = || {
        let error = build(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    };
    let bytes = fs::read(shard(2)).unwrap();
    fs::remove_file(shard(2)).unwrap();
    let text = refused();
    assert!(text.contains("model-00002-of-00002.safetensors that it lists is not in the folder"), "{text}");
    fs::copy(shard(1), shard(2)).unwrap();
    let text = refused();
    assert!(text.contains("is not in model-00002-of-00002.safetensors, where it should be"), "{text}");
    fs::write(shard(2), &bytes[..bytes.len() - 1]).unwrap();
    let text = refused();
    assert!(text.contains("model-00002-of-00002.safetensors: not a whole safetensors file"), "{text}");
    fs::write(shard(2), bytes).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    let whole = fs::read_to_string(&index).unwrap();
    for (content, why) in [
        (whole.replace("model-00002-of-00002", "../model-00002-of-00002"), "the name of a file beside it"),
        (whole.replace("model-00002-of-00002", "/etc/model"), "the name of a file beside it"),
        (whole.replace("model-00002-of-00002", "a\\\\model"), "the name of a file beside it"),
        (whole.replace("00002.safetensors", "00002.txt"), "the name of a file beside it"),
        (whole.replace("model-00002-of-00002", ".hidden"), "the name of a file beside it"),
        ("{\"weight_map\": {}}".into(), "weight_map is empty"),
        ("{}".into(), "no index of weights"),
        ("<html>".into(), "web page"),
    ] {
        fs::write(&index, content).unwrap();
        let text = refused();
        assert!(text.contains(why) && text.contains("index.json"), "{why}: {text}");
    }
}
