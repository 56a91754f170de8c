//! Users' tasks as the registry's: each definition is kept for the rest of the process, so that a task stays a small
//! number with a `&'static TaskSpec`.

use super::definition::{Column, Definition};
use crate::task::{Columns, Labels, Split, TaskId, TaskSpec, UserTask, glue::BASE};
use std::sync::{Mutex, PoisonError};

static TASKS: Mutex<Vec<(&'static Definition, &'static TaskSpec)>> = Mutex::new(Vec::new());

/// The task of a definition that has been checked; equal definitions are one task.
pub fn intern(definition: Definition) -> UserTask {
    let mut tasks = TASKS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = tasks.iter().position(|(known, _)| **known == definition).unwrap_or_else(|| {
        let definition: &'static Definition = Box::leak(Box::new(definition));
        let spec = made(definition, TaskId::User(UserTask(tasks.len() as u32)));
        tasks.push((definition, Box::leak(Box::new(spec))));
        tasks.len() - 1
    });
    UserTask(at as u32)
}

pub fn spec(task: UserTask) -> &'static TaskSpec {
    of(task).1
}

pub fn definition(task: UserTask) -> &'static Definition {
    of(task).0
}

fn of(task: UserTask) -> (&'static Definition, &'static TaskSpec) {
    TASKS.lock().unwrap_or_else(PoisonError::into_inner)[task.0 as usize]
}

fn made(task: &'static Definition, id: TaskId) -> TaskSpec {
    let files = |files: &'static [String]| Split::All(leak(files.iter().map(String::as_str)));
    TaskSpec {
        id,
        name: &task.name,
        about: &task.about,
        folder: &task.folder,
        other_folders: &[],
        columns: columns(task),
        other_columns: &[],
        index: task.columns.index.as_deref().map_or(BASE.index, |index| leak([index])),
        labels: match task.score {
            Some(score) => Labels::Score { low: score.min, high: score.max },
            None => Labels::Classes(leak(task.labels.iter().map(|label| &*label.name))),
        },
        spellings: leak(task.labels.iter().map(|label| (&*label.value, &*label.name))),
        hub_labels: &[],
        metric: task.metric,
        metrics: &task.metrics,
        train: files(&task.train),
        dev: leak([files(&task.dev)]),
        test: if task.test.is_empty() { &[] } else { leak([files(&task.test)]) },
        format: task.format,
        ..BASE
    }
}

fn columns(task: &'static Definition) -> Columns {
    let names = &task.columns;
    let second = names.second.as_ref();
    match (&names.first, &names.label) {
        (Column::Name(first), Column::Name(label)) => Columns::Named {
            first,
            second: second.and_then(|column| match column {
                Column::Name(name) => Some(&**name),
                Column::Place(_) => None,
            }),
            label,
        },
        (first, label) => {
            let place = |column: &Column| match column {
                Column::Place(place) => *place,
                Column::Name(_) => 0,
            };
            let (first, second, label) = (place(first), second.map(place), place(label));
            let width = 1 + first.max(label).max(second.unwrap_or(0));
            Columns::Headerless { first, second, label, width }
        }
    }
}

fn leak<T>(items: impl IntoIterator<Item = T>) -> &'static [T] {
    Vec::leak(items.into_iter().collect())
}
