//! Token ids on disk, so that a second run on the same texts does not tokenise them again.
//!
//! A file is named after what it was made from (tokenizer, texts, lengths), so it is never out of date. Layout, little
//! endian: the magic, the number of sequences (u64), then per sequence its length (u32), ids (u32 each) and segments
//! (u8 each); of windows what [`windows`] says; and the BLAKE3 of all that at the end.

mod file;
mod windows;

pub use windows::windows_cached;

use std::path::Path;

use file::{Key, read, write};

use super::{Encoded, Tokenizer};
use crate::error::Result;
use crate::task::Example;

const MAGIC: &[u8; 8] = b"LTOKENS1";

/// [`Tokenizer::encode_all`], kept in `cache_dir` if there is one. A damaged file is ignored and rewritten.
///
/// # Errors
/// Those of [`Tokenizer::encode_all`], and `Error::Data` if the cache cannot be written.
pub fn encode_cached(
    tokenizer: &Tokenizer,
    examples: &[Example],
    max_length: usize,
    cache_dir: Option<&Path>,
) -> Result<Vec<Encoded>> {
    let Some(dir) = cache_dir else {
        return tokenizer.encode_all(examples, max_length);
    };
    let path = dir.join(format!("{}.tokens", key(tokenizer, examples, max_length)));
    let fits = |encoded: &Vec<Encoded>| {
        let lengths = 1..=max_length;
        encoded.len() == examples.len()
            && encoded.iter().all(|sequence| lengths.contains(&sequence.ids.len()))
    };
    let stored = read(&path, MAGIC, |rest| rest.sequences().filter(fits));
    if let Some(encoded) = stored {
        return Ok(encoded);
    }
    let encoded = tokenizer.encode_all(examples, max_length)?;
    write(&path, to_bytes(&encoded))?;
    Ok(encoded)
}

fn key(tokenizer: &Tokenizer, examples: &[Example], max_length: usize) -> String {
    let mut key = Key::new(MAGIC, tokenizer);
    key.number(max_length);
    for example in examples {
        key.text(&example.first);
        match &example.second {
            Some(second) => {
                key.text("pair");
                key.text(second);
            }
            None => key.text("single"),
        }
    }
    key.name()
}

/// Without the hash at the end.
fn to_bytes(encoded: &[Encoded]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    file::append_sequences(&mut bytes, encoded);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Label;

    fn tokenizer(words: &str) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n{words}"))
            .unwrap();
        Tokenizer::from_folder(folder.path()).unwrap()
    }

    fn examples() -> Vec<Example> {
        let example = |first: &str, second: Option<&str>| Example {
            first: first.into(),
            second: second.map(Into::into),
            label: Label::Class(0),
        };
        vec![example("the run", None), example("run", Some("the the")), example("", Some(""))]
    }

    fn files(dir: &Path) -> Vec<std::path::PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn the_cache_gives_back_what_the_tokenizer_gave() {
        let (tokenizer, dir) = (tokenizer("the\nrun\n"), tempfile::tempdir().unwrap());
        let dir = dir.path().join("not/yet/there");
        let fresh = tokenizer.encode_all(&examples(), 8).unwrap();
        assert_eq!(encode_cached(&tokenizer, &examples(), 8, None).unwrap(), fresh);
        assert_eq!(encode_cached(&tokenizer, &examples(), 8, Some(&dir)).unwrap(), fresh);
        assert_eq!(files(&dir).len(), 1);

        // Another content under the same name shows that the second call reads the file.
        let mut other = fresh.clone();
        other[0].ids[1] = 3;
        write(&files(&dir)[0], to_bytes(&other)).unwrap();
        assert_eq!(encode_cached(&tokenizer, &examples(), 8, Some(&dir)).unwrap(), other);
    }

    #[test]
    fn a_damaged_file_is_ignored_and_rewritten() {
        let (tokenizer, dir) = (tokenizer("the\nrun\n"), tempfile::tempdir().unwrap());
        let fresh = encode_cached(&tokenizer, &examples(), 8, Some(dir.path())).unwrap();
        let file = files(dir.path()).remove(0);
        let good = std::fs::read(&file).unwrap();
        let mut flipped = good.clone();
        flipped[20] ^= 1;
        // Whole, and longer than the model has positions.
        let mut long = fresh.clone();
        long[0] = Encoded { ids: vec![1; 9], segments: vec![0; 9] };
        let sealed = |encoded: &[Encoded]| {
            write(&file, to_bytes(encoded)).unwrap();
            std::fs::read(&file).unwrap()
        };
        let (short, long) = (sealed(&fresh[..1]), sealed(&long));
        for damaged in [&[][..], b"LTOKENS1", &good[..good.len() - 1], &flipped, &short, &long] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(encode_cached(&tokenizer, &examples(), 8, Some(dir.path())).unwrap(), fresh);
            assert_eq!(std::fs::read(&file).unwrap(), good);
        }
        assert_eq!(files(dir.path()), [file]);
    }

    #[test]
    fn another_tokenizer_text_or_length_is_another_file() {
        let tokenizer_a = tokenizer("the\nrun\n");
        let base = key(&tokenizer_a, &examples(), 8);
        assert_eq!(base, key(&tokenizer("the\nrun\n"), &examples(), 8));
        assert_ne!(base, key(&tokenizer("run\nthe\n"), &examples(), 8));
        assert_ne!(base, key(&tokenizer_a, &examples(), 9));
        assert_ne!(base, key(&tokenizer_a, &examples()[..2], 8));
        let mut single = examples();
        single[2].second = None;
        assert_ne!(base, key(&tokenizer_a, &single, 8));
        let mut moved = examples();
        moved[1].first = "run t".into();
        moved[1].second = Some("he the".into());
        assert_ne!(base, key(&tokenizer_a, &moved, 8));
    }

    #[test]
    fn labels_do_not_matter_to_the_cache() {
        let tokenizer = tokenizer("the\nrun\n");
        let mut other = examples();
        other[0].label = Label::Score(2.5);
        assert_eq!(key(&tokenizer, &examples(), 8), key(&tokenizer, &other, 8));
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let (tokenizer, dir) = (tokenizer("the\nrun\n"), tempfile::tempdir().unwrap());
        let blocked = dir.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let error = encode_cached(&tokenizer, &examples(), 8, Some(&blocked)).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with(&format!("cannot create {}", blocked.display())), "{error}");
    }
}
