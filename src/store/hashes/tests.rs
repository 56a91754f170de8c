use super::*;
use std::{fs, thread};

const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A large file, and a cache that says [`OTHER`] of it as it stands. Nobody can set a change time: the entry that
/// two seconds would give is written by hand.
fn remembered(folder: &Path) -> (PathBuf, PathBuf) {
    let (file, cache) = (folder.join("weights"), folder.join("cache/hashes.json"));
    fs::write(&file, vec![7; LARGE as usize]).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    let entry = Entry { stamp: Stamp::of(&metadata).unwrap(), hash: OTHER.to_owned() };
    let hashes = Hashes::open(&cache);
    hashes.add(key(HashKind::Blake3, &file, &metadata).unwrap(), entry);
    (file, cache)
}

#[test]
fn hashes_are_those_of_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = Hashes::open(&folder.path().join("hashes.json"));
    for bytes in [&b""[..], b"abc", &[1; 300_000]] {
        let path = folder.path().join(format!("{}", bytes.len()));
        fs::write(&path, bytes).unwrap();
        assert_eq!(hashes.blake3(&path).unwrap(), blake3_of(bytes));
        assert_eq!(hashes.sha256(&path).unwrap(), format!("{:x}", Sha256::digest(bytes)));
    }
    let error = hashes.sha256(&folder.path().join("none")).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("none"), "{error}");
    assert_eq!(hashes.blake3(folder.path()).unwrap_err().exit_code(), 3);
}

#[test]
fn a_file_that_stays_as_it_is_is_not_read_again_and_every_change_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = remembered(folder.path());
    let hash = |hashes: &Hashes| hashes.blake3(&file).unwrap();
    assert_eq!(hash(&Hashes::open(&cache)), OTHER);
    assert_eq!(hash(&Hashes::read_only(&cache)), OTHER);
    // Another kind of hash of the same file, and the same file by another name, are not in the cache.
    assert_ne!(Hashes::open(&cache).sha256(&file).unwrap(), OTHER);
    let link = folder.path().join("link");
    fs::hard_link(&file, &link).unwrap();
    assert_eq!(Hashes::open(&cache).blake3(&link).unwrap(), blake3_of(&vec![7; LARGE as usize]));

    let (file, cache) = remembered(folder.path());
    let hash = |hashes: &Hashes| hashes.blake3(&file).unwrap();
    let hashes = Hashes::open(&cache);
    assert_eq!(hash(&hashes), OTHER);
    // One flipped bit, and the modification time as it was.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let mut bytes = vec![7; LARGE as usize];
    bytes[99] ^= 1;
    let writer = File::options().write(true).open(&file).unwrap();
    std::io::Write::write_all(&mut &writer, &bytes).unwrap();
    writer.set_modified(modified).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), modified);
    assert_eq!(hash(&hashes), blake3_of(&bytes));
    assert_eq!(hash(&Hashes::open(&cache)), blake3_of(&bytes));
}

#[test]
fn a_file_that_was_changed_a_moment_ago_is_hashed_and_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = (folder.path().join("weights"), folder.path().join("hashes.json"));
    let hashes = Hashes::open(&cache);
    for byte in 0..3 {
        let bytes = vec![byte; LARGE as usize];
        fs::write(&file, &bytes).unwrap();
        assert_eq!(hashes.blake3(&file).unwrap(), blake3_of(&bytes));
    }
    hashes.save();
    assert!(!cache.exists());

    let stamp = Stamp::of(&fs::metadata(&file).unwrap()).unwrap();
    let now = SystemTime::now();
    assert!(!stamp.is_settled(now) && stamp.is_settled(now + 2 * RACY));
    // Restored from an archive just now; from a machine whose clock is ahead.
    assert!(!Stamp { modified: (0, 0), ..stamp }.is_settled(now));
    assert!(!Stamp { modified: (i64::MAX, 0), ..stamp }.is_settled(now + 2 * RACY));
}

#[test]
fn a_damaged_cache_is_passed_over_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = remembered(folder.path());
    let whole = fs::read(&cache).unwrap();
    let right = blake3_of(&vec![7; LARGE as usize]);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&cache, &bytes).unwrap();
        assert!(saved(&cache).is_empty(), "flipped at {at}: {}", String::from_utf8_lossy(&bytes));
    }
    for damaged in [&b""[..], b"null", b"[]", &whole[..whole.len() / 2]] {
        fs::write(&cache, damaged).unwrap();
        assert_eq!(Hashes::open(&cache).blake3(&file).unwrap(), right);
    }
    fs::remove_file(&cache).unwrap();
    fs::create_dir(&cache).unwrap();
    let hashes = Hashes::open(&cache);
    assert_eq!(hashes.blake3(&file).unwrap(), right);
    hashes.add("key".into(), Entry { stamp: Stamp::of(&fs::metadata(&file).unwrap()).unwrap(), hash: right });
    hashes.save();
}

#[test]
fn processes_add_to_one_file_and_reading_alone_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = remembered(folder.path());
    let entry = |hash: &str| Entry {
        stamp: Stamp::of(&fs::metadata(&file).unwrap()).unwrap(),
        hash: hash.to_owned(),
    };
    let (one, two) = (Hashes::open(&cache), Hashes::open(&cache));
    thread::scope(|scope| {
        scope.spawn(|| one.add("one".into(), entry("1")));
        scope.spawn(|| assert_eq!(one.blake3(&file).unwrap(), OTHER));
    });
    two.add("two".into(), entry("2"));
    let reader = Hashes::read_only(&cache);
    reader.add("three".into(), entry("3"));
    drop((one, two, reader));
    let keys: Vec<String> = saved(&cache).into_keys().collect();
    assert!(keys.len() == 3 && keys[1..] == ["one", "two"], "{keys:?}");
    assert_eq!(fs::read_dir(cache.parent().unwrap()).unwrap().count(), 1);
}
