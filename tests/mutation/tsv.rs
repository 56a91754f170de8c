//! The tab-separated files of each task.

use super::{harness, readers, table, world};
use lottery::{
    choice::Choice,
    task::{Columns, Labels, TaskId, TaskSpec},
};
use std::fs;

/// Four rows in the layout of the task.
fn rows(spec: &TaskSpec) -> String {
    let label = |n: usize| match spec.labels {
        Labels::Classes(names) => names[n % names.len()].to_owned(),
        Labels::Score { .. } => format!("{n}.250"),
        Labels::Spans | Labels::Words => String::new(),
    };
    match spec.columns {
        Columns::Headerless { .. } => {
            (0..4).map(|n| format!("gj04\t{}\t*\tIt \"rains.\n", label(n))).collect()
        }
        Columns::Named { first, second, label: name } => {
            let second = second.unwrap_or("genre");
            let row = |n: usize| format!("{n}\t\tIt \"rains.\t{n}\tIt pours\t{}\n", label(n));
            let body: String = (0..4).map(row).collect();
            format!("index\tx\t{first}\ty\t{second}\t{name}\n{body}")
        }
    }
}

#[test]
fn any_table_is_read_or_refused() {
    let folder = world::folder();
    let dir = folder.path();
    let specs: Vec<(&TaskSpec, String)> = TaskId::all()
        .iter()
        .map(|id| id.spec())
        .filter(|spec| {
            spec.labels != Labels::Spans
                && spec.evaluates.is_none()
                && spec.dev.iter().any(|dev| dev.file().ends_with(".tsv"))
        })
        .map(|spec| (spec, rows(spec)))
        .collect();
    for (spec, text) in &specs {
        fs::create_dir(dir.join(spec.folder)).unwrap();
        spec.dev.iter().for_each(|dev| fs::write(dir.join(spec.folder).join(dev.file()), text).unwrap());
    }
    harness::run("tsv", 150, |random| {
        let (spec, text) = random.of_list(&specs);
        let file = table::mutated(text, &random.of_list(&specs).1, random);
        readers::data(dir, spec.id, &format!("{}/train.tsv", spec.folder), &file);
    });
}
