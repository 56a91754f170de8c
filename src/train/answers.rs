//! The answers that a span head gives: of all windows of a question the span with the largest sum of logits, as the text of
//! the paragraph (Devlin et al. 2019, section 4.2; `postprocess_qa_predictions` of transformers' examples).

use crate::{
    task::squad::{Question, Questions},
    text::{Encoded, Window},
};
use std::sync::Arc;

/// Starts and ends that are looked at in each window.
const BEST: usize = 20;

/// Tokens of an answer.
const LONGEST: usize = 30;

/// What the reference answers where no span of a question is allowed.
const NONE: &str = "empty";

/// The questions that sequences are windows of.
#[derive(Clone, Debug)]
pub struct Questioned {
    pub all: Arc<Questions>,
    /// For each paragraph where its tokens begin and end, in bytes.
    pub offsets: Arc<Vec<Vec<[u32; 2]>>>,
    /// One for each sequence; those of one question follow each other.
    pub windows: Vec<Window>,
}

/// The answer to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    pub question: &'a Question,
    pub text: &'a str,
    /// Of its first and its last token; zeros where there is none.
    pub logits: [f32; 2],
}

impl Questioned {
    /// The numbers of the questions that have windows here, in file order.
    pub fn questions(&self) -> impl Iterator<Item = usize> {
        self.windows.chunk_by(|a, b| a.question == b.question).map(|windows| windows[0].question)
    }

    /// The sequences of these examples, counted as [`questions`](Self::questions) are.
    pub(super) fn sequences_of(&self, examples: &[usize]) -> Vec<usize> {
        let mut ranges = Vec::new();
        for windows in self.windows.chunk_by(|a, b| a.question == b.question) {
            let start = ranges.last().map_or(0, |last: &std::ops::Range<usize>| last.end);
            ranges.push(start..start + windows.len());
        }
        examples.iter().flat_map(|example| ranges[*example].clone()).collect()
    }

    pub(super) fn subset(&self, sequences: &[usize]) -> Self {
        Self { windows: sequences.iter().map(|i| self.windows[*i]).collect(), ..self.clone() }
    }

    /// The answer to each question from the logits (T, 2) of all sequences.
    ///
    /// # Panics
    /// If there are not as many logits as tokens.
    pub fn answers(&self, encoded: &[Encoded], logits: &[f32]) -> Vec<Answer<'_>> {
        let mut rest = logits;
        let mut sequences = self.windows.iter().zip(encoded).map(|(window, encoded)| {
            let (own, others) = rest.split_at(2 * encoded.ids.len());
            rest = others;
            (window, own)
        });
        let of_questions = self.windows.chunk_by(|a, b| a.question == b.question);
        let answers = of_questions.map(|windows| self.answer(sequences.by_ref().take(windows.len())));
        let answers = answers.collect();
        assert!(rest.is_empty(), "two logits per token");
        answers
    }

    fn answer<'w>(&self, windows: impl Iterator<Item = (&'w Window, &'w [f32])>) -> Answer<'_> {
        let mut windows = windows.peekable();
        let number = windows.peek().map_or(0, |(window, _)| window.question);
        let question = &self.all.questions[number];
        let (context, offsets) = (self.all.context_of(question), &self.offsets[question.context]);
        let mut best: Option<(f32, Answer)> = None;
        for (window, logits) in windows {
            // The token of the paragraph in this row.
            let token = |row: usize| row.checked_sub(window.row).filter(|n| *n < window.count);
            let [starts, ends] = [0, 1].map(|column| largest(logits, column));
            for (start, end) in starts.iter().flat_map(|start| ends.iter().map(move |end| (*start, *end))) {
                let (Some(first), Some(last)) = (token(start), token(end)) else { continue };
                if last < first || last - first >= LONGEST {
                    continue;
                }
                let logits = [logits[2 * start], logits[2 * end + 1]];
                let score = logits[0] + logits[1];
                if best.as_ref().is_none_or(|(most, _)| score > *most) {
                    let [from, to] = [offsets[window.first + first][0], offsets[window.first + last][1]];
                    let text = context.get(from as usize..to as usize).unwrap_or_default();
                    best = Some((score, Answer { question, text, logits }));
                }
            }
        }
        best.map_or(Answer { question, text: NONE, logits: [0.0; 2] }, |(_, answer)| answer)
    }
}

/// The rows with the largest logits of a column, descending; the first one on ties.
fn largest(logits: &[f32], column: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..logits.len() / 2).collect();
    let at = |row: &usize| logits[2 * row + column];
    rows.sort_by(|a, b| at(b).total_cmp(&at(a)));
    rows.truncate(BEST);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Tokenizer, WindowRules};
    use serde_json::Value;

    fn golden(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    /// The questions of the golden file in windows, and their logits there.
    fn windowed() -> (Questioned, Vec<Encoded>, Vec<f32>) {
        let windows = golden(include_str!("../../tests/golden/squad_windows.json"));
        let answers = golden(include_str!("../../tests/golden/squad_answers.json"));
        let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), texts(&windows["vocabulary"]).join("\n")).unwrap();
        let question = |(n, q): (usize, &Value)| Question {
            id: n.to_string(),
            text: q["text"].as_str().unwrap().into(),
            context: q["context"].as_u64().unwrap() as usize,
            answers: vec![q["answer"].as_str().unwrap().into()],
            span: None,
        };
        let questions = windows["questions"].as_array().unwrap().iter().enumerate().map(question).collect();
        let all = Questions { contexts: texts(&windows["contexts"]), questions };
        let [max_length, overlap] =
            ["max_length", "overlap"].map(|key| windows[key].as_u64().unwrap() as usize);
        let rules = WindowRules { max_length, overlap, max_question_length: 12 };
        let found = Tokenizer::from_folder(folder.path()).unwrap().windows(&all, rules).unwrap();
        let logits: Vec<Vec<f32>> = serde_json::from_value(answers["logits"].clone()).unwrap();
        let questioned =
            Questioned { all: Arc::new(all), offsets: Arc::new(found.offsets), windows: found.windows };
        (questioned, found.encoded, logits.concat())
    }

    #[test]
    fn answers_equal_those_of_transformers() {
        let (questioned, encoded, logits) = windowed();
        let expected = golden(include_str!("../../tests/golden/squad_answers.json"));
        let found = questioned.answers(&encoded, &logits);
        assert_eq!(found.len(), expected["predictions"].as_object().unwrap().len());
        for Answer { question, text, logits } in found {
            assert_eq!(expected["predictions"][&question.id], text, "question {}", question.id);
            assert!(logits[0] + logits[1] > 0.0);
        }
    }

    #[test]
    fn without_an_allowed_span_the_answer_is_the_references() {
        let (questioned, encoded, mut logits) = windowed();
        // Every end lies before every start.
        let mut at = 0;
        for sequence in &encoded {
            let length = sequence.ids.len();
            for row in 0..length {
                logits[at + 2 * row] = row as f32;
                logits[at + 2 * row + 1] = -(row as f32);
            }
            at += 2 * length;
        }
        let short = questioned.windows.iter().map(|window| window.count < 3);
        let found = questioned.answers(&encoded, &logits);
        assert!(short.count() > 0 && found.iter().any(|answer| answer.text != NONE));
        let nowhere: Vec<f32> = logits.iter().map(|_| f32::NAN).collect();
        assert!(questioned.answers(&encoded, &nowhere).iter().all(|answer| !answer.text.is_empty()));
    }

    #[test]
    fn chosen_examples_have_all_their_windows() {
        let (questioned, encoded, _) = windowed();
        let labels = vec![crate::task::Label::Span([0, 0]); encoded.len()];
        let data = crate::train::Dataset { encoded, labels, questioned: Some(questioned), masking: None };
        assert!(data.examples() < data.len());
        let (chosen, rest) = data.choose(5, 3);
        assert_eq!(chosen.len() + rest.len(), data.len());
        let [chosen, rest] = [chosen, rest].map(|indices| data.subset(&indices));
        assert_eq!((chosen.examples(), rest.examples()), (5, data.examples() - 5));
        let questions = |data: &crate::train::Dataset| -> Vec<usize> {
            data.questioned.as_ref().unwrap().questions().collect()
        };
        assert!(questions(&chosen).iter().all(|question| !questions(&rest).contains(question)));
        assert!(questions(&chosen).is_sorted() && questions(&rest).is_sorted());
    }
}
