//! Questions on paragraphs, with their answers.

use std::{collections::BTreeMap, ops::Range};

/// The questions of one split, in file order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Questions {
    /// Paragraphs, as the file has them.
    pub contexts: Vec<String>,
    pub questions: Vec<Question>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub id: String,
    pub text: String,
    /// The number of its paragraph.
    pub context: usize,
    /// One at least; any of them is right.
    pub answers: Vec<String>,
    /// Where the first answer stands in the paragraph, in bytes; `None` if it does not stand where the file says.
    pub span: Option<Range<usize>>,
}

/// Both splits.
#[derive(Clone, Debug)]
pub struct SquadData {
    pub train: Questions,
    pub dev: Questions,
    /// File name → SHA-256 (hex) of the bytes that were read.
    pub sha256: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

impl Questions {
    /// The paragraph of a question.
    pub fn context_of(&self, question: &Question) -> &str {
        &self.contexts[question.context]
    }

    /// Only the first `n` questions.
    pub fn truncate(&mut self, n: usize) {
        self.questions.truncate(n);
        let used = self.questions.iter().map(|question| question.context + 1).max().unwrap_or(0);
        self.contexts.truncate(used);
    }

    /// Leaves out the questions whose first answer does not stand where the file says, as the authors of BERT do in
    /// training (`run_squad.py`). Returns a warning if there are any.
    pub fn leave_out_misplaced(&mut self, file: &str) -> Option<String> {
        let all = self.questions.len();
        let first = self.questions.iter().find(|question| question.span.is_none())?.id.clone();
        self.questions.retain(|question| question.span.is_some());
        Some(format!(
            "{file}: the first answer of {} of {all} questions does not stand at its answer_start, first {first}; they are \
             left out",
            all - self.questions.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(id: &str, context: usize, span: Option<Range<usize>>) -> Question {
        Question { id: id.into(), text: "who?".into(), context, answers: vec!["a".into()], span }
    }

    #[test]
    fn the_first_questions_keep_their_paragraphs_alone() {
        let questions = ["a", "b", "c"].iter().zip([0, 1, 2]).map(|(id, n)| question(id, n, None)).collect();
        let mut all = Questions { contexts: ["x", "y", "z"].map(String::from).into(), questions };
        all.truncate(2);
        assert_eq!((all.contexts.len(), all.questions.len()), (2, 2));
        assert_eq!(all.context_of(&all.questions[1]), "y");
        all.truncate(0);
        assert_eq!(all, Questions::default());
    }

    #[test]
    fn misplaced_answers_are_left_out_with_a_warning_that_counts_them() {
        let questions = vec![question("a", 0, Some(0..1)), question("b", 0, None), question("c", 0, None)];
        let mut all = Questions { contexts: vec!["a".into()], questions };
        let warning = all.leave_out_misplaced("train.json").unwrap();
        assert!(warning.contains("2 of 3 questions") && warning.contains("first b"), "{warning}");
        assert_eq!(all.questions.len(), 1);
        assert_eq!(all.leave_out_misplaced("train.json"), None);
    }
}
