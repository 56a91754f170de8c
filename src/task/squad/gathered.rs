//! Questions as files give them, one after another, checked.

use std::{collections::HashSet, ops::Range, path::Path};

use super::{Question, Questions};
use crate::error::{Error, Result, excerpt};

/// An answer, and where it stands, in code points.
pub struct Answer {
    pub text: String,
    pub start: u64,
}

#[derive(Default)]
pub struct Gathered {
    all: Questions,
    ids: HashSet<String>,
}

impl Gathered {
    /// One more question; `path` is for errors.
    ///
    /// # Errors
    /// Data: it has no answer (as in SQuAD 2), an empty one, or the id of another question.
    pub fn add(
        &mut self,
        path: &Path,
        context: &str,
        id: String,
        text: String,
        answers: Vec<Answer>,
    ) -> Result<()> {
        let refused =
            |what: &str| Error::data(format!("{}: question {} {what}", path.display(), excerpt(&id)));
        let Some(first) = answers.first() else {
            return Err(refused(
                "has no answer. lottery knows SQuAD v1.1, where every question has one: use train-v1.1.json and \
                 dev-v1.1.json.",
            ));
        };
        if answers.iter().any(|answer| answer.text.is_empty()) {
            return Err(refused("has an empty answer. Download the file again."));
        }
        if !self.ids.insert(id.clone()) {
            return Err(refused(
                "is there twice, and predictions are told apart by these ids. Give each question an id of its own.",
            ));
        }
        let span = span(context, first);
        let contexts = &mut self.all.contexts;
        if contexts.last().is_none_or(|last| last != context) {
            contexts.push(context.to_owned());
        }
        let (context, answers) =
            (contexts.len() - 1, answers.into_iter().map(|answer| answer.text).collect());
        self.all.questions.push(Question { id, text, context, answers, span });
        Ok(())
    }

    /// # Errors
    /// Data: there is no question.
    pub fn finish(self, path: &Path) -> Result<Questions> {
        if self.all.questions.is_empty() {
            let path = path.display();
            return Err(Error::data(format!("{path} has no question. Download the file again.")));
        }
        Ok(self.all)
    }
}

/// Where an answer stands, in bytes of the paragraph, if that is where it says.
fn span(context: &str, answer: &Answer) -> Option<Range<usize>> {
    let skipped = usize::try_from(answer.start).ok()?;
    let start = context.char_indices().map(|(at, _)| at).nth(skipped)?;
    context[start..].starts_with(&answer.text).then(|| start..start + answer.text.len())
}
