//! SQuAD's own JSON: articles, their paragraphs, questions on each.

use std::path::Path;

use serde::Deserialize;

use super::{
    Questions,
    gathered::{self, Gathered},
};
use crate::{
    content,
    error::{Error, Result, excerpt},
};

#[derive(Deserialize)]
struct File {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    id: String,
    question: String,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    /// In code points.
    answer_start: u64,
}

/// The questions of a file; `path` is for messages.
///
/// # Errors
/// Data: it is not SQuAD's JSON, has a question without an answer (as SQuAD 2 has), an empty answer, two questions of one
/// id, or no question.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Questions> {
    let mut gathered = Gathered::default();
    gather(path, bytes, &mut gathered)?;
    gathered.finish(path)
}

pub(super) fn gather(path: &Path, bytes: &[u8], to: &mut Gathered) -> Result<()> {
    let shown = path.display();
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let file: File = serde_json::from_slice(text).map_err(|error| match content::what_is(bytes) {
        Some(what) => Error::data(format!("{shown} is {}. {}", what.name, what.remedy)),
        None => Error::data(format!(
            "{shown} is not SQuAD v1.1's JSON: {}. Download the file again.",
            excerpt(&error.to_string())
        )),
    })?;
    for Paragraph { context, qas } in file.data.into_iter().flat_map(|article| article.paragraphs) {
        for Asked { id, question, answers } in qas {
            let answer = |Answer { text, answer_start: start }| gathered::Answer { text, start };
            to.add(path, &context, id, question, answers.into_iter().map(answer).collect())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file(qas: Value) -> Vec<u8> {
        let paragraph = json!({ "context": "Zoë saw 中 cats.", "qas": qas });
        json!({ "version": "1.1", "data": [{ "title": "T", "paragraphs": [paragraph] }] })
            .to_string()
            .into_bytes()
    }

    fn asked(id: &str, answer: &str, start: u64) -> Value {
        json!({ "id": id, "question": "what?", "answers": [{ "text": answer, "answer_start": start }] })
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = parse(Path::new("dev.json"), bytes).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    }

    #[test]
    fn offsets_count_code_points_and_an_answer_elsewhere_has_no_span() {
        let qas = json!([
            asked("1", "中 cats", 8),
            asked("2", "cats", 9),
            asked("3", "cats", 1 << 60),
            asked("4", "Zoë", 0)
        ]);
        let found = parse(Path::new("dev.json"), &file(qas)).unwrap();
        let context = &found.contexts[0];
        let texts: Vec<_> =
            found.questions.iter().map(|q| q.span.clone().map(|span| &context[span])).collect();
        assert_eq!(texts, [Some("中 cats"), None, None, Some("Zoë")]);
        assert_eq!(found.questions[0].answers, ["中 cats"]);
    }

    #[test]
    fn what_is_not_squad_1_is_refused_with_the_remedy() {
        let unanswered = json!([{ "id": "x\u{1b}", "question": "?", "answers": [], "is_impossible": true }]);
        for (bytes, wanted) in [
            (file(unanswered), "no answer. lottery knows SQuAD v1.1"),
            (file(json!([asked("1", "", 0)])), "question 1 has an empty answer"),
            (file(json!([asked("1", "cats", 0), asked("1", "saw", 0)])), "question 1 is there twice"),
            (file(json!([])), "has no question"),
            (b"{\"data\": [{\"title\": 1}]}".to_vec(), "missing field `paragraphs`"),
            (b"PK\x03\x04".to_vec(), "is a zip archive"),
            (vec![b'['; 100_000], "is not SQuAD v1.1's JSON"),
            (Vec::new(), "is not SQuAD v1.1's JSON"),
        ] {
            let text = refusal(&bytes);
            assert!(text.starts_with("dev.json") && text.contains(wanted), "{text}");
        }
    }
}
