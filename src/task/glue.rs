//! The nine GLUE tasks (Wang et al. 2019), SQuAD, masked words and `demo`: folders, columns, label names and metrics.

use super::{
    Columns, Labels,
    MetricId::{self, Accuracy, Corr, ExactMatch, F1, Loss, Matthews, Pearson, Perplexity, Spearman},
    Split, TaskId, TaskSpec,
    spec::stem,
};

const BINARY: Labels = Labels::Classes(&["0", "1"]);
const ENTAILMENT: Labels = Labels::Classes(&["entailment", "not_entailment"]);
pub const INFERENCE: Labels = Labels::Classes(&["contradiction", "entailment", "neutral"]);
/// The order of classes on the hub, for all sets of natural-language inference with three of them.
pub const HUB_INFERENCE: &[&str] = &["entailment", "neutral", "contradiction"];

pub const fn pair(first: &'static str, second: &'static str, label: &'static str) -> Columns {
    Columns::Named { first, second: Some(second), label }
}

const fn single(first: &'static str, label: &'static str) -> Columns {
    Columns::Named { first, second: None, label }
}

const TRAIN: Split = Split::Any(&[stem("train")]);
const DEV: Split = Split::Any(&[stem("dev"), stem("validation")]);
const TEST: Split = Split::Any(&[stem("test")]);

pub const BASE: TaskSpec = TaskSpec {
    id: TaskId::Rte,
    name: "rte",
    about: "does one sentence entail the other (RTE)",
    folder: "RTE",
    other_folders: &["rte"],
    columns: pair("sentence1", "sentence2", "label"),
    other_columns: &[],
    index: &["index", "idx", "id", "pairID", "pair_ID"],
    labels: ENTAILMENT,
    spellings: &[],
    hub_labels: &["entailment", "not_entailment"],
    skips_unlabelled: false,
    metric: Accuracy,
    metrics: &[Accuracy],
    train: TRAIN,
    dev: &[DEV],
    test: &[TEST],
    format: None,
    has_broken_rows: false,
    evaluates: None,
    otherwise: None,
};

pub static TASKS: &[TaskSpec] = &[
    TaskSpec {
        id: TaskId::Cola,
        name: "cola",
        about: "is a sentence grammatical (CoLA)",
        folder: "CoLA",
        other_folders: &["cola"],
        columns: Columns::Headerless { first: 3, second: None, label: 1, width: 4 },
        other_columns: &[single("sentence", "label")],
        labels: BINARY,
        spellings: &[("unacceptable", "0"), ("acceptable", "1")],
        hub_labels: &["unacceptable", "acceptable"],
        metric: Matthews,
        metrics: &[Matthews],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Sst2,
        name: "sst2",
        about: "the sentiment of a sentence (SST-2)",
        folder: "SST-2",
        other_folders: &["sst2"],
        columns: single("sentence", "label"),
        labels: BINARY,
        spellings: &[("negative", "0"), ("positive", "1")],
        hub_labels: &["negative", "positive"],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Mrpc,
        name: "mrpc",
        about: "does one sentence say what the other says (MRPC)",
        folder: "MRPC",
        other_folders: &["mrpc"],
        columns: pair("#1 String", "#2 String", "Quality"),
        other_columns: &[pair("sentence1", "sentence2", "label")],
        labels: BINARY,
        spellings: &[("not_equivalent", "0"), ("equivalent", "1")],
        hub_labels: &["not_equivalent", "equivalent"],
        metrics: &[Accuracy, F1],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Stsb,
        name: "stsb",
        about: "how similar are two sentences (STS-B)",
        folder: "STS-B",
        other_folders: &["stsb"],
        columns: pair("sentence1", "sentence2", "score"),
        other_columns: &[pair("sentence1", "sentence2", "label")],
        labels: Labels::Score { low: 0.0, high: 5.0 },
        hub_labels: &[],
        metric: Corr,
        metrics: CORRELATIONS,
        ..BASE
    },
    TaskSpec {
        id: TaskId::Qqp,
        name: "qqp",
        about: "do two questions ask the same (QQP)",
        folder: "QQP",
        other_folders: &["qqp"],
        columns: pair("question1", "question2", "is_duplicate"),
        other_columns: &[pair("question1", "question2", "label")],
        labels: BINARY,
        spellings: &[("not_duplicate", "0"), ("duplicate", "1")],
        hub_labels: &["not_duplicate", "duplicate"],
        metrics: &[Accuracy, F1],
        has_broken_rows: true,
        ..BASE
    },
    TaskSpec {
        id: TaskId::Mnli,
        name: "mnli",
        about: "does one sentence entail or contradict the other (MNLI)",
        folder: "MNLI",
        other_folders: &["mnli"],
        columns: pair("sentence1", "sentence2", "gold_label"),
        other_columns: &[pair("premise", "hypothesis", "label")],
        labels: INFERENCE,
        hub_labels: HUB_INFERENCE,
        dev: &[
            Split::Any(&[stem("dev_matched"), stem("validation_matched")]),
            Split::Any(&[stem("dev_mismatched"), stem("validation_mismatched")]),
        ],
        test: &[Split::Any(&[stem("test_matched")]), Split::Any(&[stem("test_mismatched")])],
        ..BASE
    },
    TaskSpec {
        id: TaskId::Qnli,
        name: "qnli",
        about: "does the sentence answer the question (QNLI)",
        folder: "QNLI",
        other_folders: &["qnli"],
        columns: pair("question", "sentence", "label"),
        ..BASE
    },
    TaskSpec { id: TaskId::Rte, ..BASE },
    TaskSpec {
        id: TaskId::Wnli,
        name: "wnli",
        about: "does a pronoun mean what the other sentence says (WNLI)",
        folder: "WNLI",
        other_folders: &["wnli"],
        labels: BINARY,
        spellings: &[("not_entailment", "0"), ("entailment", "1")],
        hub_labels: &["not_entailment", "entailment"],
        ..BASE
    },
];

pub static SQUAD: TaskSpec = TaskSpec {
    id: TaskId::Squad,
    name: "squad",
    about: "which words of a paragraph answer a question (SQuAD v1.1)",
    folder: "SQuAD",
    other_folders: &["squad", "plain_text", "squad/plain_text"],
    labels: Labels::Spans,
    hub_labels: &[],
    metric: F1,
    metrics: &[ExactMatch, F1],
    train: Split::Any(&[stem("train-v1.1"), stem("train")]),
    dev: &[Split::Any(&[stem("dev-v1.1"), stem("validation")])],
    test: &[],
    ..BASE
};

pub static MLM: TaskSpec = TaskSpec {
    id: TaskId::Mlm,
    name: "mlm",
    about: "which words are hidden in a text of yours (masked-LM; needs --text)",
    folder: "MLM",
    other_folders: &[],
    labels: Labels::Words,
    hub_labels: &[],
    metrics: &[Accuracy, Loss, Perplexity],
    train: Split::NONE,
    dev: &[],
    test: &[],
    ..BASE
};

pub static DEMO: TaskSpec = TaskSpec {
    id: TaskId::Demo,
    name: "demo",
    about: "sentence pairs from a generated grammar; needs no data folder",
    folder: "demo",
    other_folders: &[],
    train: Split::NONE,
    dev: &[],
    test: &[],
    ..BASE
};

const CORRELATIONS: &[MetricId] = &[Pearson, Spearman, Corr];
