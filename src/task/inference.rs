//! Natural-language inference beside GLUE's tasks: SNLI, SciTail, SICK, and two sets that evaluate models of MNLI.

use super::{
    Columns, Labels,
    MetricId::{Accuracy, Matthews, Pearson, Spearman},
    Split, TaskId, TaskSpec,
    glue::{BASE, HUB_INFERENCE, INFERENCE, pair},
    spec::{official, part, stem},
};

/// Bowman et al. 2015: `snli_1.0_train.jsonl`, … of the archive, or stanfordnlp/snli on the hub.
const SNLI: TaskSpec = TaskSpec {
    id: TaskId::Snli,
    name: "snli",
    about: "does a caption entail or contradict another (SNLI)",
    folder: "SNLI",
    other_folders: &["snli_1.0", "snli", "SNLI/plain_text", "snli/plain_text", "plain_text", ""],
    columns: pair("sentence1", "sentence2", "gold_label"),
    other_columns: &[pair("premise", "hypothesis", "label")],
    labels: INFERENCE,
    hub_labels: HUB_INFERENCE,
    skips_unlabelled: true,
    train: Split::Any(&[official("snli_1.0_train", "jsonl"), stem("train")]),
    dev: &[Split::Any(&[official("snli_1.0_dev", "jsonl"), stem("dev"), stem("validation")])],
    test: &[Split::Any(&[official("snli_1.0_test", "jsonl"), stem("test")])],
    ..BASE
};

/// Khot et al. 2018: `tsv_format/scitail_1.0_train.tsv`, … without a header, or allenai/scitail on the hub.
const SCITAIL: TaskSpec = TaskSpec {
    id: TaskId::Scitail,
    name: "scitail",
    about: "does a science text entail an answer (SciTail)",
    folder: "SciTail",
    other_folders: &[
        "SciTailV1.1/tsv_format",
        "SciTail/tsv_format",
        "tsv_format",
        "scitail",
        "scitail/tsv_format",
        "",
    ],
    columns: pair("premise", "hypothesis", "label"),
    other_columns: &[
        Columns::Headerless { first: 0, second: Some(1), label: 2, width: 3 },
        pair("sentence1", "sentence2", "gold_label"),
    ],
    labels: Labels::Classes(&["entails", "neutral"]),
    spellings: &[("entailment", "entails")],
    hub_labels: &[],
    train: Split::Any(&[stem("scitail_1.0_train"), stem("train")]),
    dev: &[Split::Any(&[stem("scitail_1.0_dev"), stem("dev"), stem("validation")])],
    test: &[Split::Any(&[stem("scitail_1.0_test"), stem("test")])],
    ..BASE
};

/// Marelli et al. 2014: one `SICK.txt` with all parts, or SemEval's `SICK_train.txt`, `SICK_trial.txt`, ….
const SICK_E: TaskSpec = TaskSpec {
    id: TaskId::SickE,
    name: "sick-e",
    about: "does one sentence entail or contradict the other (SICK)",
    folder: "SICK",
    other_folders: &["sick", ""],
    columns: pair("sentence_A", "sentence_B", "entailment_label"),
    other_columns: &[
        pair("sentence_A", "sentence_B", "entailment_judgment"),
        pair("sentence_A", "sentence_B", "label"),
    ],
    labels: INFERENCE,
    spellings: &[("CONTRADICTION", "contradiction"), ("ENTAILMENT", "entailment"), ("NEUTRAL", "neutral")],
    hub_labels: HUB_INFERENCE,
    train: Split::Any(&[part("SICK", "SemEval_set", "TRAIN"), official("SICK_train", "txt"), stem("train")]),
    dev: &[Split::Any(&[
        part("SICK", "SemEval_set", "TRIAL"),
        official("SICK_trial", "txt"),
        stem("dev"),
        stem("validation"),
    ])],
    test: &[Split::Any(&[
        part("SICK", "SemEval_set", "TEST"),
        official("SICK_test_annotated", "txt"),
        official("SICK_test", "txt"),
        stem("test"),
    ])],
    ..BASE
};

const SICK_R: TaskSpec = TaskSpec {
    id: TaskId::SickR,
    name: "sick-r",
    about: "how related are two sentences (SICK)",
    columns: pair("sentence_A", "sentence_B", "relatedness_score"),
    other_columns: &[],
    labels: Labels::Score { low: 1.0, high: 5.0 },
    spellings: &[],
    hub_labels: &[],
    metric: Pearson,
    metrics: &[Pearson, Spearman],
    ..SICK_E
};

/// McCoy et al. 2019: `heuristics_evaluation_set.txt`, or jhu-cogsci/hans on the hub.
///
/// It has two classes, and models have MNLI's three: as published, what such a model calls neutral or a contradiction
/// counts as non-entailment; see [`evaluate_as`](super::evaluate_as).
const HANS: TaskSpec = TaskSpec {
    id: TaskId::Hans,
    name: "hans",
    about: "evaluates models of MNLI: do they rely on words in common (HANS)",
    folder: "HANS",
    other_folders: &["hans", "hans/plain_text", "plain_text", ""],
    columns: pair("sentence1", "sentence2", "gold_label"),
    other_columns: &[pair("premise", "hypothesis", "label")],
    labels: Labels::Classes(&["entailment", "non-entailment"]),
    hub_labels: &["entailment", "non-entailment"],
    otherwise: Some("non-entailment"),
    train: Split::NONE,
    dev: &[Split::Any(&[official("heuristics_evaluation_set", "txt"), stem("dev"), stem("validation")])],
    test: &[],
    evaluates: Some(TaskId::Mnli),
    metric: Accuracy,
    ..BASE
};

/// GLUE's diagnostics (Wang et al. 2019): `diagnostic-full.tsv` has labels, `diagnostic.tsv` is for submissions.
const AX: TaskSpec = TaskSpec {
    id: TaskId::Ax,
    name: "ax",
    about: "evaluates models of MNLI: which phenomena do they know (GLUE's diagnostics)",
    folder: "AX",
    other_folders: &["diagnostic", "ax", "MNLI"],
    columns: pair("Premise", "Hypothesis", "Label"),
    other_columns: &[pair("sentence1", "sentence2", "label"), pair("premise", "hypothesis", "label")],
    labels: INFERENCE,
    hub_labels: HUB_INFERENCE,
    metric: Matthews,
    metrics: &[Matthews],
    train: Split::NONE,
    dev: &[Split::Any(&[stem("diagnostic-full")])],
    test: &[Split::Any(&[stem("diagnostic"), stem("test")])],
    evaluates: Some(TaskId::Mnli),
    ..BASE
};

pub static TASKS: &[TaskSpec] = &[SNLI, SCITAIL, SICK_E, SICK_R, HANS, AX];
