//! A question beside its paragraph: `[CLS] question [SEP] paragraph [SEP]`, in overlapping windows where the paragraph is
//! too long for one (Devlin et al. 2019, section 4.2). Tokens and windows are those of transformers' example `run_qa.py`, whose
//! `doc_stride` is the overlap; from `run_squad.py`, where it is the step, comes the limit on the question's length.

use std::ops::Range;

use rayon::prelude::*;
use tokenizers::{Encoding, PostProcessor, TruncationDirection};

use super::{Encoded, Tokenizer, room};
use crate::{
    cores,
    error::{Error, Result},
    task::squad::Questions,
};

/// How windows are cut, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRules {
    /// Of a window, special tokens included.
    pub max_length: usize,
    /// Of the paragraph, shared by two neighbouring windows.
    pub overlap: usize,
    /// Of a question; what is longer loses its end.
    pub max_question_length: usize,
}

/// The part of a question's paragraph that one sequence has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of the question.
    pub question: usize,
    /// The place in the sequence of the first token of the paragraph.
    pub row: usize,
    /// The number of that token in the paragraph, and how many follow it here, itself included.
    pub first: usize,
    pub count: usize,
}

/// Questions in windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windowed {
    pub encoded: Vec<Encoded>,
    /// One for each sequence; those of one question follow each other.
    pub windows: Vec<Window>,
    /// For each paragraph where its tokens begin and end, in bytes.
    pub offsets: Vec<Vec<[u32; 2]>>,
}

impl WindowRules {
    /// # Errors
    /// Usage: beside a question of the largest length there is no room for more than the overlap.
    pub fn check(&self, special: usize) -> Result<()> {
        let left = room(self.max_length, special)?.saturating_sub(self.max_question_length);
        if left > self.overlap {
            return Ok(());
        }
        Err(Error::usage(format!(
            "data.max_length={} leaves {left} tokens for the paragraph beside a question of data.max_question_length={}, no \
             more than neighbouring windows share (data.doc_stride={}). Use a larger data.max_length, or smaller ones of the \
             others.",
            self.max_length, self.max_question_length, self.overlap
        )))
    }
}

impl Window {
    /// The first and the last row that the answer at these bytes takes, if the window has all of it.
    pub fn rows_of(&self, answer: &Range<usize>, offsets: &[[u32; 2]]) -> Option<[u32; 2]> {
        let tokens = offsets.get(self.first..self.first + self.count)?;
        let [start, end] = [answer.start, answer.end].map(|at| at as u32);
        if tokens.first()?[0] > start || tokens.last()?[1] < end {
            return None;
        }
        // The last token that begins at or before the answer's start, and the first that ends at or behind its end.
        let first = tokens.partition_point(|token| token[0] <= start).saturating_sub(1);
        let last = tokens.partition_point(|token| token[1] < end);
        Some([first, last].map(|token| (self.row + token) as u32))
    }
}

impl Tokenizer {
    /// All questions in windows, in order, on all threads.
    ///
    /// # Errors
    /// Those of [`WindowRules::check`]; `Error::Data` if the file that the tokenizer was read from turns out to be damaged.
    pub fn windows(&self, all: &Questions, rules: WindowRules) -> Result<Windowed> {
        rules.check(self.special_of_pair())?;
        // Questions on one paragraph follow each other, and its tokens are found once.
        let mut of_contexts = vec![0..0; all.contexts.len()];
        let mut from = 0;
        for on_one in all.questions.chunk_by(|a, b| a.context == b.context) {
            of_contexts[on_one[0].context] = from..from + on_one.len();
            from += on_one.len();
        }
        let found: Vec<_> = cores::compute(|| {
            let parts = all.contexts.par_iter().zip(&of_contexts);
            parts.map(|(context, of)| self.on_context(all, context, of, rules)).collect::<Result<_>>()
        })?;
        let mut windowed = Windowed::default();
        for (sequences, offsets) in found {
            let (encoded, windows): (Vec<_>, Vec<_>) = sequences.into_iter().unzip();
            windowed.encoded.extend(encoded);
            windowed.windows.extend(windows);
            windowed.offsets.push(offsets);
        }
        Ok(windowed)
    }

    #[allow(clippy::type_complexity)]
    fn on_context(
        &self,
        all: &Questions,
        context: &str,
        questions: &Range<usize>,
        rules: WindowRules,
    ) -> Result<(Vec<(Encoded, Window)>, Vec<[u32; 2]>)> {
        let context = self.with_offsets(context)?;
        let offsets = context.get_offsets().iter().map(|(from, to)| [*from as u32, *to as u32]).collect();
        let mut sequences = Vec::new();
        for number in questions.clone() {
            // run_qa.py drops white space before a question, some of which has thousands of it.
            let mut question = self.with_offsets(all.questions[number].text.trim_start())?;
            question.truncate(rules.max_question_length, 0, TruncationDirection::Right);
            question.take_overflowing();
            let room = room(rules.max_length, self.special_of_pair() + question.len())?;
            let mut part = context.clone();
            part.truncate(room, rules.overlap, TruncationDirection::Right);
            let further = part.take_overflowing();
            for (n, part) in [part].into_iter().chain(further).enumerate() {
                let (first, count) = (n * (room - rules.overlap), part.len());
                let (encoded, row) = self.framed_pair(question.clone(), part)?;
                sequences.push((encoded, Window { question: number, row, first, count }));
            }
        }
        Ok((sequences, offsets))
    }

    /// Tokens added to a pair.
    fn special_of_pair(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(true))
    }

    /// A text's tokens without special ones, with their places in bytes.
    fn with_offsets(&self, text: &str) -> Result<Encoding> {
        self.catch_panic(|| self.inner.encode(text, false))
    }

    /// The sequence, and the place in it where the paragraph begins.
    fn framed_pair(&self, question: Encoding, part: Encoding) -> Result<(Encoded, usize)> {
        self.catch_panic(|| {
            let whole = self.inner.post_process(question, Some(part), true)?;
            let row = whole.get_sequence_ids().iter().position(|sequence| *sequence == Some(1)).unwrap_or(0);
            let segments =
                whole.get_type_ids().iter().map(|segment| if self.segments { *segment as u8 } else { 0 });
            Ok((Encoded { ids: whole.get_ids().to_vec(), segments: segments.collect() }, row))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::squad::Question;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        vocabulary: Vec<String>,
        max_length: usize,
        overlap: usize,
        contexts: Vec<String>,
        questions: Vec<GoldenQuestion>,
        windows: Vec<GoldenWindow>,
    }

    #[derive(Deserialize)]
    struct GoldenQuestion {
        context: usize,
        text: String,
        answer: String,
        /// In code points.
        start: usize,
    }

    #[derive(Deserialize)]
    struct GoldenWindow {
        question: usize,
        ids: Vec<u32>,
        segments: Vec<u8>,
        /// The pieces of the paragraph, with the place of the first.
        row: usize,
        pieces: Vec<String>,
        labels: [u32; 2],
    }

    fn tokenizer(vocabulary: &[String]) -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), vocabulary.join("\n")).unwrap();
        Tokenizer::from_folder(folder.path()).unwrap()
    }

    fn questions(contexts: &[String], asked: &[GoldenQuestion]) -> Questions {
        let question = |(n, q): (usize, &GoldenQuestion)| {
            let context = &contexts[q.context];
            let start = context.char_indices().nth(q.start).unwrap().0;
            let (id, text, answers) = (n.to_string(), q.text.clone(), vec![q.answer.clone()]);
            Question { id, text, context: q.context, answers, span: Some(start..start + q.answer.len()) }
        };
        Questions { contexts: contexts.to_vec(), questions: asked.iter().enumerate().map(question).collect() }
    }

    #[test]
    fn windows_and_their_labels_equal_those_of_transformers() {
        let golden = include_str!("../../../tests/golden/squad_windows.json");
        let golden: Golden = serde_json::from_str(golden).unwrap();
        let rules =
            WindowRules { max_length: golden.max_length, overlap: golden.overlap, max_question_length: 12 };
        let all = questions(&golden.contexts, &golden.questions);
        let found = tokenizer(&golden.vocabulary).windows(&all, rules).unwrap();
        assert_eq!(found.windows.len(), golden.windows.len());
        let mut without = 0;
        for ((window, encoded), expected) in found.windows.iter().zip(&found.encoded).zip(&golden.windows) {
            assert_eq!(window.question, expected.question);
            assert_eq!((&encoded.ids, &encoded.segments), (&expected.ids, &expected.segments));
            assert_eq!((window.row, window.count), (expected.row, expected.pieces.len()));
            let question = &all.questions[window.question];
            let offsets = &found.offsets[question.context];
            let tokens = offsets[window.first..window.first + window.count].iter();
            let text = all.context_of(question);
            let pieces: Vec<&str> = tokens.map(|[from, to]| &text[*from as usize..*to as usize]).collect();
            assert_eq!(pieces, expected.pieces);
            let labels = window.rows_of(question.span.as_ref().unwrap(), offsets).unwrap_or([0, 0]);
            assert_eq!(labels, expected.labels, "{:?} in window {window:?}", question.answers);
            without += usize::from(labels == [0, 0]);
        }
        assert!(without > 3 && golden.windows.len() - without > golden.questions.len());
    }

    #[test]
    fn a_long_question_loses_its_end_and_an_empty_paragraph_has_a_window() {
        let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b"].map(String::from);
        let question = Question {
            id: "1".into(),
            text: " \n a a b b".into(),
            context: 0,
            answers: vec!["b".into()],
            span: None,
        };
        let all = Questions { contexts: vec!["".into()], questions: vec![question] };
        let rules = WindowRules { max_length: 12, overlap: 2, max_question_length: 3 };
        let found = tokenizer(&words).windows(&all, rules).unwrap();
        assert_eq!(found.encoded[0].ids, [2, 4, 4, 5, 3, 3]);
        assert_eq!(found.windows, [Window { question: 0, row: 0, first: 0, count: 0 }]);
        assert_eq!(found.windows[0].rows_of(&(0..1), &found.offsets[0]), None);
    }

    #[test]
    fn windows_that_would_not_advance_are_refused_with_the_settings_to_change() {
        let rules = WindowRules { max_length: 128, overlap: 61, max_question_length: 64 };
        let error = rules.check(3).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("leaves 61 tokens") && error.to_string().contains("data.doc_stride")
        );
        assert!(WindowRules { overlap: 60, ..rules }.check(3).is_ok());
        assert!(WindowRules { max_length: 3, ..rules }.check(3).is_err());
    }
}
