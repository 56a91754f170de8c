use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

const CLS: u32 = 2;
const SEP: u32 = 3;

fn tokenizer() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\n##s\n";
    std::fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
    Tokenizer::from_folder(folder.path()).unwrap()
}

fn read(name: &str, bytes: &[u8]) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_text(&path)
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    let error = read(name, bytes).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    assert!(text.contains(name) && !text.contains('\n'), "{text}");
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn ids(text: &str, unit: Unit, max_length: usize) -> Vec<Vec<u32>> {
    let all = sequences(&tokenizer(), text, unit, max_length).unwrap();
    assert!(all.iter().all(|sequence| sequence.segments == vec![0; sequence.ids.len()]));
    all.into_iter().map(|sequence| sequence.ids).collect()
}

#[test]
fn a_text_is_read_plain_or_compressed_and_without_its_byte_order_mark() {
    let text = "Ein Löwe\n\nund ein Tiger\n";
    for mark in ["", "\u{feff}"] {
        let bytes = format!("{mark}{text}");
        assert_eq!(read("a.txt", bytes.as_bytes()).unwrap(), text);
        assert_eq!(read("a.txt.gz", &gzip(&bytes)).unwrap(), text);
        assert_eq!(read("a.ZST", &zst(&bytes)).unwrap(), text);
    }
}

#[test]
fn compressed_files_laid_end_to_end_are_one_text() {
    assert_eq!(read("a.gz", &[gzip("one\n"), gzip("two\n")].concat()).unwrap(), "one\ntwo\n");
    assert_eq!(read("a.zst", &[zst("one\n"), zst("two\n")].concat()).unwrap(), "one\ntwo\n");
}

#[test]
fn a_damaged_or_cut_off_file_is_named_with_the_remedy() {
    let text: String = (0..2000).map(|i| format!("{}\n", i * i)).collect();
    for (name, whole) in [("a.gz", gzip(&text)), ("a.zst", zst(&text))] {
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        let half = &whole[..whole.len() / 2];
        let second_cut_off = [&whole, half].concat();
        for damaged in [half, &whole[..whole.len() - 1], b"plain text\n", &flipped, &second_cut_off] {
            let text = refusal(name, damaged);
            assert!(
                text.contains("is damaged, cut off or not a .") && text.contains("Download it again"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_with_the_place() {
    let text = refusal("latin.txt", b"one\ntwo\nL\xf6we\n");
    assert!(text.contains("latin.txt is not UTF-8: line 3, byte 9") && text.contains("iconv"), "{text}");
    assert!(refusal("cut.txt", "one\nö".as_bytes().split_at(5).0).contains("line 2, byte 4"));
}

#[test]
fn another_kind_of_file_is_named() {
    assert!(refusal("wide.txt", b"\xff\xfeo\0n\0e\0").contains("is UTF-16 text"));
    assert!(refusal("wide.txt", b"o\0n\0e\0").contains("UTF-16"));
    assert!(refusal("packed.txt", &gzip("one\n")).contains("is compressed with gzip"));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n";
    for name in ["a.txt", "a.txt.gz", "a.zst"] {
        assert!(refusal(name, pointer).contains("is a Git LFS pointer"));
    }
    assert!(refusal("a.gz", b"<!DOCTYPE html><title>404</title>").contains("is a web page"));
    assert!(refusal("a.gz", &zst("one\n")).contains("is compressed with zstd"));
    // One of them is dropped by the tokenizer.
    assert_eq!(read("a.txt", b"one\0two\n").unwrap(), "one\0two\n");
}

#[test]
fn a_blank_text_is_refused() {
    for blank in ["", "\n \t\r\n", "\u{feff}", "\u{3000}\n"] {
        assert!(refusal("blank.txt", blank.as_bytes()).contains("blank.txt contains no text"));
    }
    assert!(refusal("blank.gz", &gzip("")).contains("blank.gz contains no text"));
    assert!(refusal("blank.zst", &zst("\n")).contains("blank.zst contains no text"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing.txt"), folder.path().to_owned()] {
        let error = read_text(&path).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    }
}

#[test]
fn a_file_is_cut_into_full_sequences_across_its_lines() {
    let text = "a b\n\n  \nc d as\n";
    assert_eq!(ids(text, Unit::File, 5), [vec![CLS, 5, 6, 7, SEP], vec![CLS, 8, 5, 9, SEP]]);
    assert_eq!(ids(text, Unit::File, 6), [vec![CLS, 5, 6, 7, 8, SEP], vec![CLS, 5, 9, SEP]]);
    assert_eq!(ids(text, Unit::File, 128), [[CLS, 5, 6, 7, 8, 5, 9, SEP]]);
}

#[test]
fn lines_stay_apart_and_a_long_one_goes_on_in_the_next_sequence() {
    let text = "a b\r\n\n \u{200b}\nc d as b\n";
    assert_eq!(
        ids(text, Unit::Line, 4),
        [vec![CLS, 5, 6, SEP], vec![CLS, 7, 8, SEP], vec![CLS, 5, 9, SEP], vec![CLS, 6, SEP]]
    );
    assert_eq!(ids(text, Unit::Line, 128), [vec![CLS, 5, 6, SEP], vec![CLS, 7, 8, 5, 9, 6, SEP]]);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let text: String = (0..3000).map(|i| ["a b\n", "cs d\n", "as\n", "\n"][i * i % 7 % 4]).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        [Unit::File, Unit::Line].map(|unit| pool.install(|| ids(&text, unit, 16)))
    };
    assert_eq!(on(1), on(5));
}

#[test]
fn a_length_without_room_is_a_usage_error_and_a_text_without_tokens_a_data_error() {
    for length in [0, 2] {
        let error = sequences(&tokenizer(), "a", Unit::File, length).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with(&format!("a sequence length of {length} leaves no room")));
    }
    assert_eq!(ids("a b", Unit::File, 3), [[CLS, 5, SEP], [CLS, 6, SEP]]);
    for unit in [Unit::File, Unit::Line] {
        let error = sequences(&tokenizer(), "\u{200b}\n", unit, 8).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("the text has no tokens"), "{error}");
    }
}

#[test]
fn a_unit_reads_back_as_it_is_written() {
    for (name, unit) in Unit::NAMES.iter().zip([Unit::File, Unit::Line]) {
        assert_eq!(name.parse::<Unit>().unwrap(), unit);
        assert_eq!(unit.to_string(), *name);
        assert_eq!(serde_json::to_value(unit).unwrap(), *name);
        assert_eq!(serde_json::from_value::<Unit>((*name).into()).unwrap(), unit);
    }
    let error = "lines".parse::<Unit>().unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(error.to_string(), "expected file or line; did you mean line?");
}
