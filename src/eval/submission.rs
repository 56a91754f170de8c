//! GLUE's submission: one file of predictions for each test set, under its official name.

use super::Evaluated;
use crate::{
    error::{Error, Result},
    store::atomic_write,
    task::{Labels, TaskSpec, argmax},
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

/// The official names of a task's files; MNLI has two test sets.
///
/// # Errors
/// Usage: the task is none of GLUE's.
pub fn file_names(task: &TaskSpec) -> Result<&'static [&'static str]> {
    Ok(match task.name {
        "cola" => &["CoLA.tsv"],
        "sst2" => &["SST-2.tsv"],
        "mrpc" => &["MRPC.tsv"],
        "stsb" => &["STS-B.tsv"],
        "qqp" => &["QQP.tsv"],
        "mnli" => &["MNLI-m.tsv", "MNLI-mm.tsv"],
        "qnli" => &["QNLI.tsv"],
        "rte" => &["RTE.tsv"],
        "wnli" => &["WNLI.tsv"],
        "ax" => &["AX.tsv"],
        other => {
            return Err(Error::usage(format!(
                "{other} has no file in a GLUE submission. Leave --test out, or name one of GLUE's tasks."
            )));
        }
    })
}

/// Writes the files into a folder, where those of other tasks may be. Returns their paths.
pub fn write(dir: &Path, task: &TaskSpec, sets: &[Evaluated]) -> Result<Vec<PathBuf>> {
    let names = file_names(task)?;
    if names.len() != sets.len() {
        return Err(Error::internal(format!("{} test sets of {}", sets.len(), task.name)));
    }
    let write = |(name, set): (&&str, &Evaluated)| {
        let path = dir.join(name);
        atomic_write(&path, table(task, &set.index, &set.outputs).as_bytes())?;
        Ok(path)
    };
    names.iter().zip(sets).map(write).collect()
}

/// `index\tprediction`: the names of classes, or scores within their range.
fn table(task: &TaskSpec, index: &[String], outputs: &[f32]) -> String {
    let mut text = "index\tprediction\n".to_owned();
    for (index, row) in index.iter().zip(outputs.chunks(task.num_labels())) {
        let _ = match task.labels {
            Labels::Classes(names) => writeln!(text, "{index}\t{}", names[argmax(row) as usize]),
            Labels::Score { low, high } => writeln!(text, "{index}\t{:.3}", row[0].clamp(low, high)),
            Labels::Spans | Labels::Words => Ok(()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    fn table(task: TaskId, outputs: &[f32]) -> String {
        super::table(task.spec(), &["0", "1", "7"].map(str::to_owned), outputs)
    }

    #[test]
    fn predictions_are_the_names_of_classes_and_scores_within_their_range() {
        let rte = table(TaskId::Rte, &[0.1, 0.2, 3.0, -1.0]);
        assert_eq!(rte, "index\tprediction\n0\tnot_entailment\n1\tentailment\n");
        let stsb = table(TaskId::Stsb, &[-0.2, 5.31, 2.34567]);
        assert_eq!(stsb, "index\tprediction\n0\t0.000\n1\t5.000\n7\t2.346\n");
        let cola = table(TaskId::Cola, &[1.0, 2.0]);
        assert_eq!(cola, "index\tprediction\n0\t1\n");
    }

    #[test]
    fn every_task_of_glue_has_its_official_file_and_others_have_none() {
        let glue = [
            (TaskId::Cola, "CoLA.tsv"),
            (TaskId::Sst2, "SST-2.tsv"),
            (TaskId::Mrpc, "MRPC.tsv"),
            (TaskId::Stsb, "STS-B.tsv"),
            (TaskId::Qqp, "QQP.tsv"),
            (TaskId::Mnli, "MNLI-m.tsv"),
            (TaskId::Qnli, "QNLI.tsv"),
            (TaskId::Rte, "RTE.tsv"),
            (TaskId::Wnli, "WNLI.tsv"),
        ];
        for (task, name) in glue {
            assert_eq!(file_names(task.spec()).unwrap()[0], name);
        }
        assert_eq!(file_names(TaskId::Mnli.spec()).unwrap()[1], "MNLI-mm.tsv");
        assert_eq!(file_names(TaskId::Ax.spec()).unwrap(), ["AX.tsv"]);
        assert_eq!(file_names(TaskId::Demo.spec()).unwrap_err().exit_code(), 2);
    }
}
