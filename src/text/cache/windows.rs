//! The windows of questions. Behind the sequences stand, per sequence, its question, the row and number of its first token of
//! the paragraph and how many there are (u32 each); the number of paragraphs (u64), and per paragraph the number of its
//! tokens (u64) and where they begin and end (u32 each).

use std::path::Path;

use super::file::{Key, Rest, append_sequences, read, write};
use crate::error::Result;
use crate::task::squad::Questions;
use crate::text::{Tokenizer, Window, WindowRules, Windowed};

const MAGIC: &[u8; 8] = b"LWINDOW1";

/// [`Tokenizer::windows`], kept in `cache_dir` if there is one. A damaged file is ignored and rewritten.
///
/// # Errors
/// Those of [`Tokenizer::windows`], and `Error::Data` if the cache cannot be written.
pub fn windows_cached(
    tokenizer: &Tokenizer,
    all: &Questions,
    rules: WindowRules,
    cache_dir: Option<&Path>,
) -> Result<Windowed> {
    let Some(dir) = cache_dir else {
        return tokenizer.windows(all, rules);
    };
    let path = dir.join(format!("{}.windows", key(tokenizer, all, rules)));
    if let Some(found) = read(&path, MAGIC, parse).filter(|found| fits(found, all, rules)) {
        return Ok(found);
    }
    let found = tokenizer.windows(all, rules)?;
    write(&path, to_bytes(&found))?;
    Ok(found)
}

fn key(tokenizer: &Tokenizer, all: &Questions, rules: WindowRules) -> String {
    let WindowRules { max_length, overlap, max_question_length } = rules;
    let mut key = Key::new(MAGIC, tokenizer);
    [max_length, overlap, max_question_length, all.contexts.len()].into_iter().for_each(|n| key.number(n));
    all.contexts.iter().for_each(|context| key.text(context));
    for question in &all.questions {
        key.number(question.context);
        key.text(&question.text);
    }
    key.name()
}

fn to_bytes(found: &Windowed) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    append_sequences(&mut bytes, &found.encoded);
    for Window { question, row, first, count } in &found.windows {
        bytes.extend([question, row, first, count].into_iter().flat_map(|n| (*n as u32).to_le_bytes()));
    }
    bytes.extend((found.offsets.len() as u64).to_le_bytes());
    for offsets in &found.offsets {
        bytes.extend((offsets.len() as u64).to_le_bytes());
        bytes.extend(offsets.iter().flatten().flat_map(|at| at.to_le_bytes()));
    }
    bytes
}

fn parse(rest: &mut Rest) -> Option<Windowed> {
    let encoded = rest.sequences()?;
    let window = |words: [u32; 4]| {
        let [question, row, first, count] = words.map(|word| word as usize);
        Window { question, row, first, count }
    };
    let windows = rest.words(encoded.len() as u64)?.into_iter().map(window).collect();
    let contexts = rest.count()?;
    let mut of_context = |_| {
        let tokens = rest.count()?;
        rest.words(tokens)
    };
    let offsets = (0..contexts).map(&mut of_context).collect::<Option<_>>()?;
    Some(Windowed { encoded, windows, offsets })
}

/// Whether the windows are of these questions, and within their sequences and paragraphs.
fn fits(found: &Windowed, all: &Questions, rules: WindowRules) -> bool {
    let Windowed { encoded, windows, offsets } = found;
    offsets.len() == all.contexts.len()
        && windows.is_sorted_by_key(|window| window.question)
        && windows.iter().zip(encoded).all(|(window, sequence)| {
            let length = sequence.ids.len();
            let tokens = all.questions.get(window.question).map(|question| offsets[question.context].len());
            (1..=rules.max_length).contains(&length)
                && window.row + window.count <= length
                && tokens.is_some_and(|tokens| window.first + window.count <= tokens)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::squad::Question;

    const RULES: WindowRules = WindowRules { max_length: 10, overlap: 2, max_question_length: 2 };

    fn questions(contexts: &[&str], of: &[(usize, &str)]) -> Questions {
        let question = |(n, (context, text)): (usize, &(usize, &str))| Question {
            id: n.to_string(),
            text: (*text).into(),
            context: *context,
            answers: vec!["run".into()],
            span: None,
        };
        Questions {
            contexts: contexts.iter().map(|context| (*context).into()).collect(),
            questions: of.iter().enumerate().map(question).collect(),
        }
    }

    fn made() -> (Tokenizer, Questions) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\nrun\n").unwrap();
        let all = questions(
            &["the run the run the the run run the", "run"],
            &[(0, "run the"), (0, "the"), (1, "run")],
        );
        (Tokenizer::from_folder(folder.path()).unwrap(), all)
    }

    #[test]
    fn the_cache_gives_back_what_the_tokenizer_gave_and_ignores_damage() {
        let ((tokenizer, all), dir) = (made(), tempfile::tempdir().unwrap());
        let fresh = tokenizer.windows(&all, RULES).unwrap();
        assert!(fresh.windows.len() > all.questions.len());
        let cached = || windows_cached(&tokenizer, &all, RULES, Some(dir.path())).unwrap();
        assert_eq!(cached(), fresh);
        let path = dir.path().join(format!("{}.windows", key(&tokenizer, &all, RULES)));
        let good = std::fs::read(&path).unwrap();
        // Another content under the same name shows that the file is read.
        let mut other = fresh.clone();
        other.encoded[0].ids[1] += 1;
        write(&path, to_bytes(&other)).unwrap();
        assert_eq!(cached(), other);
        type Change = fn(&mut Windowed);
        let changes: [Change; 8] = [
            |found| found.windows[0].question = 3,
            |found| found.windows.swap(0, 3),
            |found| found.windows[0].count = 11,
            |found| found.windows[0].first = 9,
            |found| _ = found.offsets.pop(),
            |found| _ = found.offsets[0].pop(),
            |found| found.encoded[0].ids.clear(),
            |found| found.encoded[0].ids.extend([4; 9]),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut damaged = fresh.clone();
            change(&mut damaged);
            let length = damaged.encoded[0].ids.len();
            damaged.encoded[0].segments.resize(length, 0);
            write(&path, to_bytes(&damaged)).unwrap();
            assert_eq!(cached(), fresh, "change {n}");
            assert_eq!(std::fs::read(&path).unwrap(), good, "change {n}");
        }
        for damaged in [&good[..good.len() - 1], b"", &[&good[..9], b"x", &good[10..]].concat()] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(cached(), fresh);
        }
    }

    #[test]
    fn other_texts_or_rules_are_another_file_and_answers_are_not() {
        let (tokenizer, all) = made();
        let base = key(&tokenizer, &all, RULES);
        let mut answered = all.clone();
        answered.questions[0].answers = vec!["the".into()];
        assert_eq!(key(&tokenizer, &answered, RULES), base);
        for (contexts, of) in [
            (&["the run", "run"][..], &[(0, "run the"), (0, "the"), (1, "run")][..]),
            (&["the run the run the the run run the", "run"], &[(0, "run the"), (1, "the"), (1, "run")]),
            (&["the run the run the the run run the", "run"], &[(0, "run the"), (0, "the")]),
            (&["the run the run the the run run the"], &[(0, "run the"), (0, "the"), (0, "run")]),
        ] {
            assert_ne!(key(&tokenizer, &questions(contexts, of), RULES), base);
        }
        for rules in [
            WindowRules { max_length: 11, ..RULES },
            WindowRules { overlap: 1, ..RULES },
            WindowRules { max_question_length: 3, ..RULES },
        ] {
            assert_ne!(key(&tokenizer, &all, rules), base);
        }
    }
}
