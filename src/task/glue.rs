//! The registry: the nine GLUE tasks (Wang et al. 2019) and `demo`, with folders, columns, label names and metrics.

use super::MetricId::{self, Accuracy, Corr, F1, Matthews, Pearson, Spearman};
use crate::choice::{Choice, as_text};

/// A task by its short name, which is also how it is written in configs and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskId {
    Cola,
    Sst2,
    Mrpc,
    Stsb,
    Qqp,
    Mnli,
    Qnli,
    Rte,
    Wnli,
    /// Generated; reads no files.
    Demo,
}

/// Where a file keeps the texts and the label of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The first line is a header; columns are found by these names, wherever they stand.
    Named { first: &'static str, second: Option<&'static str>, label: &'static str },
    /// No header: zero-based positions in rows of `width` columns.
    Headerless { first: usize, label: usize, width: usize },
}

/// What the labels of a task are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Names as the files write them; the position is the class index, in the order of the GLUE processors.
    Classes(&'static [&'static str]),
    /// A similarity from 0 to 5, learnt by regression.
    Score,
}

/// Everything that distinguishes one task from another.
#[derive(Debug, PartialEq, Eq)]
pub struct TaskSpec {
    pub id: TaskId,
    /// The short name, `rte`.
    pub name: &'static str,
    /// One line for help.
    pub about: &'static str,
    /// The folder in the classic GLUE layout, `RTE`.
    pub folder: &'static str,
    pub columns: Columns,
    pub labels: Labels,
    /// The deciding metric: the one that the 90 % rule and the tables use.
    pub metric: MetricId,
    /// Every metric that is reported, the deciding one included.
    pub metrics: &'static [MetricId],
    /// The labelled evaluation files; MNLI has a second, mismatched one.
    pub dev_files: &'static [&'static str],
    /// Whether the official file contains questions broken over two lines, which GLUE's readers skip.
    pub has_broken_rows: bool,
}

const BINARY: Labels = Labels::Classes(&["0", "1"]);
const ENTAILMENT: Labels = Labels::Classes(&["entailment", "not_entailment"]);
const SENTENCE_PAIR: Columns =
    Columns::Named { first: "sentence1", second: Some("sentence2"), label: "label" };

const BASE: TaskSpec = TaskSpec {
    id: TaskId::Rte,
    name: "rte",
    about: "does one sentence entail the other (RTE)",
    folder: "RTE",
    columns: SENTENCE_PAIR,
    labels: ENTAILMENT,
    metric: Accuracy,
    metrics: &[Accuracy],
    dev_files: &["dev.tsv"],
    has_broken_rows: false,
};

// In the order of `TaskId`, so that a task's number is its index here (checked by a test).
static SPECS: [TaskSpec; 10] = [
    TaskSpec {
        id: TaskId::Cola,
        name: "cola",
        about: "is a sentence grammatical (CoLA)",
        folder: "CoLA",
        columns: Columns::Headerless { first: 3, label: 1, width: 4 },
        labels: BINARY,
        metric: Matthews,
        metrics: &[Matthews],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Sst2,
        name: "sst2",
        about: "the sentiment of a sentence (SST-2)",
        folder: "SST-2",
        columns: Columns::Named { first: "sentence", second: None, label: "label" },
        labels: BINARY,
        ..BASE
    },
    TaskSpec {
        id: TaskId::Mrpc,
        name: "mrpc",
        about: "does one sentence say what the other says (MRPC)",
        folder: "MRPC",
        columns: Columns::Named { first: "#1 String", second: Some("#2 String"), label: "Quality" },
        labels: BINARY,
        metrics: &[Accuracy, F1],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Stsb,
        name: "stsb",
        about: "how similar are two sentences (STS-B)",
        folder: "STS-B",
        columns: Columns::Named { first: "sentence1", second: Some("sentence2"), label: "score" },
        labels: Labels::Score,
        metric: Corr,
        metrics: &[Pearson, Spearman, Corr],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Qqp,
        name: "qqp",
        about: "do two questions ask the same (QQP)",
        folder: "QQP",
        columns: Columns::Named { first: "question1", second: Some("question2"), label: "is_duplicate" },
        labels: BINARY,
        metrics: &[Accuracy, F1],
        has_broken_rows: true,
        ..BASE
    },
    TaskSpec {
        id: TaskId::Mnli,
        name: "mnli",
        about: "does one sentence entail or contradict the other (MNLI)",
        folder: "MNLI",
        columns: Columns::Named { first: "sentence1", second: Some("sentence2"), label: "gold_label" },
        labels: Labels::Classes(&["contradiction", "entailment", "neutral"]),
        dev_files: &["dev_matched.tsv", "dev_mismatched.tsv"],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Qnli,
        name: "qnli",
        about: "does the sentence answer the question (QNLI)",
        folder: "QNLI",
        columns: Columns::Named { first: "question", second: Some("sentence"), label: "label" },
        ..BASE
    },
    TaskSpec { id: TaskId::Rte, ..BASE },
    TaskSpec {
        id: TaskId::Wnli,
        name: "wnli",
        about: "does a pronoun mean what the other sentence says (WNLI)",
        folder: "WNLI",
        labels: BINARY,
        ..BASE
    },
    TaskSpec {
        id: TaskId::Demo,
        name: "demo",
        about: "sentence pairs from a generated grammar; needs no data folder",
        folder: "demo",
        dev_files: &[],
        ..BASE
    },
];

impl TaskId {
    pub fn spec(self) -> &'static TaskSpec {
        &SPECS[self as usize]
    }
}

impl TaskSpec {
    /// The width of the classifier: the number of classes, 1 for a score.
    pub fn num_labels(&self) -> usize {
        match self.labels {
            Labels::Classes(names) => names.len(),
            Labels::Score => 1,
        }
    }

    /// Whether the loss is a squared error instead of a cross-entropy.
    pub fn is_regression(&self) -> bool {
        self.labels == Labels::Score
    }
}

impl Choice for TaskId {
    const WHAT: &'static str = "task";

    /// GLUE's nine in its order, and the demo.
    fn all() -> &'static [Self] {
        use TaskId::*;
        &[Cola, Sst2, Mrpc, Stsb, Qqp, Mnli, Qnli, Rte, Wnli, Demo]
    }

    fn name(self) -> &'static str {
        self.spec().name
    }

    fn about(self) -> &'static str {
        self.spec().about
    }

    /// GLUE's own spellings (`SST-2`, `STS-B`, `CoLA`) are names too.
    fn plain(word: &str) -> String {
        word.trim().to_lowercase().replace(['-', '_'], "")
    }
}

as_text!(TaskId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_stands_at_its_own_place_in_the_registry() {
        assert_eq!(TaskId::all().len(), SPECS.len());
        for (&id, spec) in TaskId::all().iter().zip(&SPECS) {
            assert_eq!(id.spec().id, id);
            assert_eq!(spec.id, id);
            assert!(spec.metrics.contains(&spec.metric), "{id}");
        }
    }

    #[test]
    fn a_task_is_written_by_its_short_name_and_read_back() {
        for &id in TaskId::all() {
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{}\"", id.spec().name));
            assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), id);
            assert_eq!(id.to_string().parse::<TaskId>().unwrap(), id);
            assert_eq!(id.spec().folder.parse::<TaskId>().unwrap(), id);
        }
    }

    #[test]
    fn glues_own_spellings_are_accepted_in_any_case() {
        for (word, id) in [
            ("SST-2", TaskId::Sst2),
            ("sst2", TaskId::Sst2),
            ("STS-B", TaskId::Stsb),
            ("sts_b", TaskId::Stsb),
            ("CoLA", TaskId::Cola),
            ("RTE", TaskId::Rte),
        ] {
            assert_eq!(word.parse::<TaskId>().unwrap(), id);
        }
    }

    #[test]
    fn an_unknown_task_names_the_nearest_one_and_the_list() {
        let error = "mrcp".parse::<TaskId>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        let all = "cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli or demo";
        assert_eq!(text, format!("expected {all}; did you mean mrpc?"));
    }

    #[test]
    fn only_the_similarity_task_is_a_regression() {
        for &id in TaskId::all() {
            assert_eq!(id.spec().is_regression(), id == TaskId::Stsb);
            let width = if id == TaskId::Stsb { 1 } else { 2 + usize::from(id == TaskId::Mnli) };
            assert_eq!(id.spec().num_labels(), width);
        }
    }
}
