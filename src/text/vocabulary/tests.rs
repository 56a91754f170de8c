use std::process::Command;

use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::{AddedToken, Model, Trainer};

use super::super::Tokenizer;
use super::*;

/// Made-up words of a few syllables, the frequent ones again and again, so that ties abound.
fn text() -> Vec<String> {
    let mut state = 7u32;
    let mut draw = move |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % n
    };
    let syllables = ["ba", "na", "Ti", "lor", "é", "sun", "aa", "ing", "qu", "r"];
    let mut word =
        || -> String { (0..=draw(3)).map(|_| syllables[(draw(10) * draw(10) / 9) as usize]).collect() };
    (0..400).map(|_| [word(), word(), word(), word()].join(" ") + ".").collect()
}

fn train(lines: &[String], size: usize) -> Result<TrainedVocabulary> {
    train_vocabulary(&lines.iter().map(String::as_str).collect::<Vec<_>>(), size, true)
}

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn the_most_frequent_pair_becomes_a_token_and_ties_go_to_the_smaller_ids() {
    // b+##a 4 times, then ba+##n 3 times; c+##d and d+##c tie with 2, and c comes before d.
    let trained = train(&lines(&["ban ban ban bat cd", "dc cd dc"]), 16 + 4).unwrap();
    let characters = ["a", "b", "c", "d", "n", "t", "##a", "##c", "##d", "##n", "##t"];
    let expected = [&SPECIAL[..], &characters, &["ba", "ban", "cd", "dc"]].concat();
    assert_eq!(trained.tokens, expected);
}

#[test]
fn three_alike_are_joined_from_the_left() {
    let mut symbols = vec![7, 7, 7, 8, 7, 7];
    join(&mut symbols, (7, 7), 9);
    assert_eq!(symbols, [9, 7, 8, 9]);
    let trained = train(&lines(&["xaaaa xaaaa"]), 5 + 2 + 1 + 3).unwrap();
    assert_eq!(trained.tokens[5..], ["a", "x", "##a", "##aa", "xaa", "xaaaa"]);
}

#[test]
fn the_counts_of_pairs_stay_those_of_the_words() {
    let words = count_words(&text().iter().map(String::as_str).collect::<Vec<_>>(), true).unwrap();
    let tokens = characters(words.keys());
    let ids = tokens.iter().cloned().zip(0..).collect();
    let mut merges = Merges::new(&words, &ids);
    for id in (tokens.len() as u32..).take(40) {
        let pair = merges.most_frequent().unwrap();
        let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
        for (symbols, count) in &merges.words {
            neighbours(symbols).for_each(|pair| *counts.entry(pair).or_default() += count);
        }
        let kept: BTreeMap<Pair, u64> =
            merges.pairs.iter().map(|(pair, (count, _))| (*pair, *count)).filter(|(_, n)| *n > 0).collect();
        assert_eq!(kept, counts);
        let best = counts.iter().max_by_key(|(pair, count)| (**count, Reverse(**pair))).unwrap();
        assert_eq!(*best.0, pair);
        merges.apply(pair, id);
    }
}

/// The ids of `##` characters given to Hugging Face's trainer as special tokens, which takes its ties out of chance.
#[test]
fn hugging_face_s_trainer_finds_the_same_tokens() {
    let text = text();
    let trained = train(&text, 120).unwrap();
    let text: Vec<&str> = text.iter().map(String::as_str).collect();
    let words = count_words(&text, true).unwrap();
    let fixed = characters(words.keys()).into_iter().map(|token| AddedToken::from(token, true)).collect();
    let builder = WordPieceTrainer::builder().show_progress(false).min_frequency(MIN_FREQUENCY);
    let mut trainer = builder.vocab_size(120).special_tokens(fixed).build();
    let again = words.iter().flat_map(|(word, count)| std::iter::repeat_n(word, *count as usize));
    trainer.feed(again, |word| Ok(vec![word.to_owned()])).unwrap();
    let mut model = WordPiece::default();
    trainer.train(&mut model).unwrap();
    let theirs: Vec<_> = (0..120).map(|id| model.id_to_token(id).unwrap()).collect();
    assert_eq!(trained.tokens, theirs);
}

#[test]
fn neither_the_order_of_the_lines_nor_threads_change_the_outcome() {
    let mut text = text();
    let first = train(&text, 150).unwrap();
    text.reverse();
    assert_eq!(train(&text, 150).unwrap(), first);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    assert_eq!(pool.install(|| train(&text, 150).unwrap()), first);
}

const FOLDER: &str = "LOTTERY_TEST_VOCABULARY";

#[test]
fn helper_that_trains_and_saves() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    train(&text(), 150).unwrap().save(Path::new(&folder), 512).unwrap();
}

#[test]
fn every_process_writes_the_same_bytes_and_says_nothing() {
    let here = train(&text(), 150).unwrap().files(512).unwrap();
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["text::vocabulary::tests::helper_that_trains_and_saves", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        for (name, bytes) in &here {
            assert!(std::fs::read(folder.path().join(name)).unwrap() == *bytes, "{name} differs");
        }
    }
}

#[test]
fn a_saved_vocabulary_is_a_tokenizer_from_either_file() {
    let text = text();
    for lowercase in [true, false] {
        let all: Vec<&str> = text.iter().map(String::as_str).collect();
        let trained = train_vocabulary(&all, 150, lowercase).unwrap();
        let folder = tempfile::tempdir().unwrap();
        trained.save(folder.path(), 64).unwrap();
        let config = std::fs::read(folder.path().join("tokenizer_config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["do_lower_case"], lowercase);
        assert_eq!(config["model_max_length"], 64);
        assert_eq!(config["tokenizer_class"], "BertTokenizer");

        let from_json = Tokenizer::from_folder(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
        let from_vocab = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(from_json.vocab_size(), 150);
        let special = from_json.special_ids();
        assert_eq!(
            (special.pad, special.unk, special.cls, special.sep, special.mask),
            (Some(0), 1, 2, 3, Some(4))
        );
        for line in &text {
            let ids = from_json.encode(line, None, 512).unwrap();
            assert!(!ids.ids.contains(&special.unk), "{line}");
            assert_eq!(ids, from_vocab.encode(line, None, 512).unwrap());
        }
        let [upper, lower] = ["Tilor", "tilor"].map(|word| from_json.encode(word, None, 16).unwrap());
        assert_eq!(upper == lower, lowercase);
    }
}

#[test]
fn a_word_too_long_for_word_piece_is_left_out() {
    let long = "z".repeat(MAX_WORD_CHARS + 1);
    let trained = train(&lines(&[&long, "ab ab"]), 9).unwrap();
    assert_eq!(trained.tokens[5..], ["a", "b", "##b", "ab"]);
    let longest = "z".repeat(MAX_WORD_CHARS);
    assert_eq!(train(&lines(&[&longest, "ab ab"]), 10).unwrap().tokens[7], "z");
}

#[test]
fn a_size_that_the_text_does_not_support_is_refused_with_the_limit() {
    // a, b, c, ##b, ##c and the 5 special tokens; then ab, the only pair seen twice, and abc.
    let text = lines(&["abc ab abc"]);
    for (size, what) in [
        (
            9,
            "too small: the special tokens and the characters in the text need 10. Use --vocab-size 10 or more",
        ),
        (0, "Use --vocab-size 10 or more"),
        (13, "too large: the text supports 12. Use --vocab-size 12 or less"),
        (usize::MAX, "Use --vocab-size 12 or less"),
    ] {
        let error = train(&text, size).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(
            error.starts_with(&format!("a vocabulary of {size} tokens")) && error.contains(what),
            "{error}"
        );
    }
    for size in [10, 11, 12] {
        assert_eq!(train(&text, size).unwrap().tokens.len(), size);
    }
}

#[test]
fn a_text_without_a_word_is_refused() {
    for text in [&[][..], &["", " \u{200b}"]] {
        let error = train(&lines(text), 100).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("the text contains no words"), "{error}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = train(&lines(&["ab ab"]), 9).unwrap().save(&blocked, 512).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().starts_with(&format!("cannot create {}", blocked.display())), "{error}");
}

#[test]
fn of_many_characters_the_most_frequent_are_learnt() {
    // Two thousand syllables, the first half of which comes twice as often.
    let hangul = |i: u32| char::from_u32(0xAC00 + i).unwrap();
    let text: String =
        (0..2000).map(|i| format!("{0}{0} ", hangul(i)).repeat(if i < 1000 { 4 } else { 2 })).collect();
    let vocabulary = train_vocabulary(&[&text], 2100, false).unwrap();
    let has = |token: String| vocabulary.tokens.contains(&token);
    assert!(has(hangul(0).into()) && has(format!("##{}", hangul(999))));
    assert!(!has(hangul(1000).into()) && !has(hangul(1999).into()));
}
