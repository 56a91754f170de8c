//! The hub's Parquet files: a row for each question.

use std::path::Path;

use parquet::record::{Field, Row};

use super::gathered::{Answer, Gathered};
use crate::{
    error::{Error, Result},
    task::parquet::each_row,
};

const COLUMNS: [&str; 4] = ["id", "context", "question", "answers"];

/// Adds the questions of a file; `path` is for messages.
///
/// # Errors
/// Data: a damaged file, columns of other names or types, and those of [`Gathered::add`].
pub fn gather(path: &Path, bytes: Vec<u8>, to: &mut Gathered) -> Result<()> {
    each_row(path, bytes, &COLUMNS, &mut |row| {
        let field =
            |name: &str| row.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field);
        let text = |name: &str| match field(name) {
            Some(Field::Str(text)) => Some(text.clone()),
            _ => None,
        };
        let answers = match field("answers") {
            Some(Field::Group(answers)) => of_lists(answers),
            _ => None,
        };
        let (Some(id), Some(context), Some(question), Some(answers)) =
            (text("id"), text("context"), text("question"), answers)
        else {
            return Err(Error::data(format!(
                "{}: its columns are not those of SQuAD: texts id, context and question, and answers, a list of text beside one of \
                 answer_start. Fetch the data set rajpurkar/squad.",
                path.display()
            )));
        };
        to.add(path, &context, id, question, answers)
    })
}

/// `text` and `answer_start` side by side.
fn of_lists(answers: &Row) -> Option<Vec<Answer>> {
    let list = |name: &str| match answers.get_column_iter().find(|(column, _)| *column == name)? {
        (_, Field::ListInternal(list)) => Some(list.elements()),
        _ => None,
    };
    let (texts, starts) = (list("text")?, list("answer_start")?);
    let pair = |(text, start): (&Field, &Field)| {
        let start = match start {
            Field::Int(start) => i64::from(*start),
            Field::Long(start) => *start,
            _ => return None,
        };
        // An answer before the paragraph is none that stands in it.
        let start = u64::try_from(start).unwrap_or(u64::MAX);
        match text {
            Field::Str(text) => Some(Answer { text: text.clone(), start }),
            _ => None,
        }
    };
    (texts.len() == starts.len()).then(|| texts.iter().zip(starts).map(pair).collect())?
}
