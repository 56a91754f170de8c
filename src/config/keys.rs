//! Every key of the configuration with what it may hold: the one list behind reading, checking and suggesting.

use super::kind::{
    Bound::{self, Excluded, Included},
    Kind, MOST,
};
use crate::{
    choice::Names,
    error::nearest,
    ops::{Format, optimizer},
    prune::{
        Estimator, HeadRule, Method, Mode, Norm, PrunedUnits, RandomRule, Rates, Rounds, Scope, WeightDraw,
        WeightSet,
    },
    train::{Batches, MaskedUnits, Schedule, Select},
};

const POSITIVE: Kind = Kind::Real(Excluded(0.0), Bound::None);
const AT_LEAST_ZERO: Kind = Kind::Real(Included(0.0), Bound::None);
/// Something of everything: (0, 1].
const PART: Kind = Kind::Real(Excluded(0.0), Included(1.0));
/// A share that must leave something: [0, 1).
const RATE: Kind = Kind::Real(Included(0.0), Excluded(1.0));

/// All keys, dotted, in the order of `ExperimentConfig`, each with what it may hold and what it means.
pub(super) const KEYS: &[(&str, Kind, &str)] = &[
    ("task", Kind::Task, "the task that is learnt"),
    ("mode", Kind::Choice(Names::of::<Mode>()), "which subnetwork is evaluated and retrained"),
    ("method", Kind::Choice(Names::of::<Method>()), "what the search may prune"),
    (
        "seed",
        Kind::Seed,
        "the seed of the whole run: order of the examples, first weights of the classifier, dropout, controls",
    ),
    ("preset", Kind::Text, "the recipe below the file and the flags"),
    (
        "model",
        Kind::Text,
        "the pre-trained model: a folder, a name on the Hugging Face hub (owner/name or owner/name@revision), or tiny",
    ),
    (
        "ticket",
        Kind::Text,
        "a ticket file whose mask stands in the place of a search, with the method ticket",
    ),
    (
        "ticket_from",
        Kind::Task,
        "the task whose ticket is taken, found by the method, in the place of one of this task",
    ),
    ("init", Kind::Init, "which weights the subnetwork is retrained from"),
    (
        "finetuned",
        Kind::Text,
        "the folder of the model as it is after fine-tuning, or its name on the hub; fine-tuning is then not done",
    ),
    (
        "data.dir",
        Kind::Text,
        "the folder that holds the tasks' folders; without it the task's data set on the hub",
    ),
    ("data.text", Kind::Text, "mlm: the text whose hidden words are found, one paragraph a line, or demo"),
    (
        "data.dev_text",
        Kind::Text,
        "mlm: the text that scores; without it 5 % of the lines of data.text, by their content",
    ),
    ("data.max_length", Kind::Count(8, MOST), "tokens of an example at most, [CLS] and [SEP] included"),
    (
        "data.doc_stride",
        Kind::Count(0, MOST),
        "SQuAD: tokens of a paragraph that two neighbouring windows share",
    ),
    (
        "data.max_question_length",
        Kind::Count(1, MOST),
        "SQuAD: tokens of a question at most; what is longer loses its end",
    ),
    ("data.train_limit", Kind::Count(1, MOST), "only the first N training examples"),
    ("data.dev_limit", Kind::Count(1, MOST), "only the first N development examples"),
    ("data.fraction", PART, "only this share of the training examples, stratified by label"),
    ("train.learning_rate", POSITIVE, "the peak of the learning rate"),
    ("train.batch_size", Kind::Count(1, MOST), "examples in a step"),
    ("train.epochs", Kind::Count(1, MOST), "passes over the training examples"),
    (
        "train.warmup",
        Kind::Real(Included(0.0), Included(1.0)),
        "the part of all steps in which the learning rate rises from 0",
    ),
    ("train.weight_decay", AT_LEAST_ZERO, "decoupled weight decay; not for biases and LayerNorm"),
    ("train.clip", POSITIVE, "the largest global L2 norm of the gradient"),
    ("train.beta1", RATE, "decay of the gradient's mean"),
    ("train.beta2", RATE, "decay of the squared gradient's mean; of Adamax, of the largest gradient"),
    ("train.epsilon", POSITIVE, "added in the denominator; of Adamax to each gradient's size too"),
    ("train.dropout", RATE, "dropout of the embeddings and both block outputs"),
    ("train.attention_dropout", RATE, "dropout of the attention probabilities"),
    ("train.classifier_dropout", RATE, "dropout of the classifier's input; without it train.dropout"),
    ("train.optimizer", Kind::Choice(Names::of::<optimizer::Kind>()), "the optimizer"),
    ("train.schedule", Kind::Choice(Names::of::<Schedule>()), "how the learning rate changes"),
    (
        "train.batches",
        Kind::Choice(Names::of::<Batches>()),
        "how the examples of an epoch are put into batches",
    ),
    ("train.select", Kind::Choice(Names::of::<Select>()), "which weights are kept"),
    ("importance.estimator", Kind::Choice(Names::of::<Estimator>()), "what units are scored by"),
    ("importance.norm", Kind::Choice(Names::of::<Norm>()), "how scores are made comparable over layers"),
    ("importance.split", Kind::Split, "the examples that units are scored on, and that the search stops by"),
    (
        "importance.pruned_units",
        Kind::Choice(Names::of::<PrunedUnits>()),
        "whether pruned heads take part in the norms of the scores",
    ),
    (
        "importance.batch_size",
        Kind::Count(1, MOST),
        "examples in a scoring batch; has a meaning for the estimators batch, cumulative and token-cumulative alone",
    ),
    (
        "search.threshold",
        PART,
        "prune while the score is at least this part of the full model's: lower means sparser",
    ),
    ("search.head_step", PART, "the part of all heads that is pruned in a step"),
    (
        "search.stale",
        Kind::Switch,
        "begin a phase with the scores of the mask that was just rejected, as the published code does",
    ),
    ("prune.sparsity", Kind::Sparsity, "how much is pruned, as a share of units, weights or FLOPs"),
    ("prune.level", Kind::Count(0, 100), "the one-shot level of the ticket; 0 prunes nothing"),
    ("prune.head_per_layer", Kind::Switch, "leave a head in every layer"),
    ("prune.weights", Kind::Choice(Names::of::<WeightSet>()), "the weights that magnitude pruning may prune"),
    (
        "prune.scope",
        Kind::Choice(Names::of::<Scope>()),
        "whether weights are compared in the whole model or in each matrix",
    ),
    (
        "prune.step",
        Kind::Real(Excluded(0.0), Excluded(1.0)),
        "the share that an iteration prunes of what is left",
    ),
    ("prune.max_steps", Kind::Count(1, 1000), "iterations or levels at most"),
    ("prune.schedule", Kind::Choice(Names::of::<Rounds>()), "what happens between the iterations of pruning"),
    ("prune.head", Kind::Choice(Names::of::<HeadRule>()), "whether the head is rewound with the encoder"),
    ("prune.rates", Kind::Choice(Names::of::<Rates>()), "imp: the learning-rate schedule of the rounds"),
    (
        "prune.initial",
        RATE,
        "gmp: the share that the first pruning prunes; without it 7/9 of the final sparsity, which is 0.7 of 0.9",
    ),
    ("prune.begin", RATE, "gmp: the part of the training before the first pruning"),
    ("prune.end", PART, "gmp: the part of the training before the last pruning"),
    ("prune.frequency", Kind::Count(1, 100_000), "gmp: prunings in an epoch"),
    ("control.random", Kind::Choice(Names::of::<RandomRule>()), "how the mode random draws"),
    ("control.weights", Kind::Choice(Names::of::<WeightDraw>()), "how controls of weight masks are drawn"),
    ("control.seeds", Kind::Seeds, "the seeds whose tickets a control is drawn from"),
    ("shared.tasks", Kind::Tasks, "the tasks whose subnetworks are trained together, on one encoder"),
    (
        "shared.temper",
        Kind::Real(Included(0.0), Included(1.0)),
        "the power of a task's size that its share of the batches is in proportion to",
    ),
    (
        "shared.finetune",
        Kind::Switch,
        "train each task's subnetwork once more, alone, from the weights that all tasks have found",
    ),
    (
        "shared.learning_rate",
        POSITIVE,
        "the peak of the learning rate of their training; without it train.learning_rate",
    ),
    (
        "shared.finetune_learning_rate",
        POSITIVE,
        "the peak of the learning rate of shared.finetune; without it train.learning_rate",
    ),
    (
        "shared.masked_units",
        Kind::Choice(Names::of::<MaskedUnits>()),
        "what becomes of units in the steps of a task whose ticket has them not",
    ),
    ("seeds.order", Kind::Seed, "another seed for the order of the training examples"),
    ("seeds.init", Kind::Seed, "another seed for the classifier's first weights"),
    ("seeds.dropout", Kind::Seed, "another seed for dropout"),
    ("seeds.data", Kind::Seed, "another seed for the examples that data.fraction chooses"),
    ("run.device", Kind::Device, "where to compute"),
    ("run.dtype", Kind::Choice(Names::of::<Format>()), "the format of the matrix products"),
    ("run.threads", Kind::Count(1, 1024), "CPU threads; without it a share of the cores"),
    (
        "run.checkpoint_every",
        Kind::Real(Included(0.0), Included(1e9)),
        "seconds between checkpoints of a training; 0 means after every step",
    ),
];

pub(super) fn kind_of(key: &str) -> Option<Kind> {
    KEYS.iter().find(|(name, ..)| *name == key).map(|(_, kind, _)| *kind)
}

/// The keys that were most likely meant by an unknown one, as the end of a sentence; empty when none is near.
///
/// A right name in the wrong section, or without one, is answered with every section that has it.
pub(super) fn suggest(unknown: &str) -> String {
    // `seeds`, or `train.epoch`: one letter more or less is nearer than a section or another name.
    let other = unknown.strip_suffix('s').map_or_else(|| format!("{unknown}s"), str::to_owned);
    if let Some(same) = names().find(|name| *name == other) {
        return format!(" Did you mean {same}?");
    }
    let section = format!("{unknown}.");
    let inside: Vec<_> = names().filter(|name| name.starts_with(&section)).collect();
    if !inside.is_empty() {
        return format!(" It is a section; its keys are {}.", inside.join(", "));
    }
    let last = |name: &'_ str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let same: Vec<_> = names().filter(|name| last(name) == last(unknown)).collect();
    if !same.is_empty() {
        return format!(" Did you mean {}?", same.join(" or "));
    }
    if let Some(here) = elsewhere(&last(unknown)) {
        return format!(" Did you mean {here}?");
    }
    let by_path = nearest(unknown, names()).map(str::to_owned);
    let near = if unknown.contains('.') {
        by_path
    } else {
        let lasts: Vec<_> = names().map(last).collect();
        let by_name = nearest(unknown, lasts.iter().map(String::as_str));
        by_name.and_then(|near| names().find(|name| last(name) == near)).map(str::to_owned).or(by_path)
    };
    near.map(|name| format!(" Did you mean {name}?")).unwrap_or_default()
}

fn elsewhere(name: &str) -> Option<&'static str> {
    let plain = name.to_lowercase().replace('-', "_");
    NAMES_ELSEWHERE.iter().find(|(name, _)| *name == plain).map(|(_, here)| *here)
}

/// The key whose value a flag of this name would set: `lr`, `batch-size`, `train.epochs`.
pub fn key_of_flag(flag: &str) -> Option<&'static str> {
    let plain = flag.to_lowercase().replace('-', "_");
    let last = |name: &'static str| name.rsplit('.').next() == Some(&*plain);
    names()
        .find(|name| *name == plain)
        .or_else(|| elsewhere(flag))
        .or_else(|| names().find(|name| last(name)))
}

/// What transformers, or everybody, calls a setting that has another name here.
const NAMES_ELSEWHERE: &[(&str, &str)] = &[
    ("lr", "train.learning_rate"),
    ("batchsize", "train.batch_size"),
    ("num_epochs", "train.epochs"),
    ("wd", "train.weight_decay"),
    ("bs", "train.batch_size"),
    ("per_device_train_batch_size", "train.batch_size"),
    ("num_train_epochs", "train.epochs"),
    ("warmup_ratio", "train.warmup"),
    ("max_grad_norm", "train.clip"),
    ("adam_epsilon", "train.epsilon"),
    ("max_seq_length", "data.max_length"),
    ("max_query_length", "data.max_question_length"),
    ("max_train_samples", "data.train_limit"),
    ("max_eval_samples", "data.dev_limit"),
];

fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(name, ..)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_programs_are_known_and_lead_to_keys() {
        for (name, here) in NAMES_ELSEWHERE {
            assert!(kind_of(here).is_some(), "{here}");
            for typed in [(*name).to_owned(), format!("train.{name}"), name.to_uppercase()] {
                assert_eq!(suggest(&typed), format!(" Did you mean {here}?"));
            }
        }
    }
}
