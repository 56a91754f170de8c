//! What a run trains and scores on: a task's examples, read from its files and encoded for the model's head.

use super::{
    fraction::Chosen,
    inputs::Sources,
    text::Text,
    words::{self, Texts, Words, hidden},
};
use crate::{
    error::Result,
    model::Head,
    task::{
        self, Example, Label, Labels, TaskData, TaskSpec,
        squad::{self, Questions, SquadData},
    },
    text::{Tokenizer, WindowRules, Windowed, encode_cached, windows_cached},
    train::{Dataset, Questioned},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// A task's labelled splits.
pub enum Examples {
    Sentences(TaskData),
    Questions(SquadData),
    Words(Words),
}

/// The same, encoded.
pub struct Workload {
    /// The training examples that the sources' limit and fraction leave, including those held out for scoring.
    pub train: Dataset,
    pub dev: Dataset,
    /// MNLI's second development set.
    pub dev_mismatched: Option<Dataset>,
    /// The fraction, if there is one.
    pub chosen: Option<Chosen>,
    /// SHA-256 by file or split.
    pub hashes: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

/// The head that learns the task.
pub fn head(task: &TaskSpec) -> Head {
    match task.labels {
        Labels::Spans => Head::Spans,
        Labels::Words => Head::MaskedLm,
        Labels::Classes(_) | Labels::Score { .. } => Head::Classifier { labels: task.num_labels() },
    }
}

/// Reads the files of a task: those in its data's folder, or its text.
pub fn read(task: &TaskSpec, data_dir: &Path, texts: Option<&Texts>) -> Result<Examples> {
    match task.labels {
        Labels::Spans => squad::load(data_dir).map(Examples::Questions),
        Labels::Words => texts.ok_or_else(words::no_text)?.read().map(Examples::Words),
        Labels::Classes(_) | Labels::Score { .. } => task::load(task, data_dir).map(Examples::Sentences),
    }
}

/// SHA-256 of the files that [`read`] would read, by the caller's function.
pub fn hashes(
    task: &TaskSpec,
    data_dir: &Path,
    texts: Option<&Texts>,
    sha256: impl Fn(&Path) -> Result<String>,
) -> Result<BTreeMap<String, String>> {
    match task.labels {
        Labels::Spans => squad::hashes(data_dir, sha256),
        Labels::Words => texts.ok_or_else(words::no_text)?.hashes(sha256),
        Labels::Classes(_) | Labels::Score { .. } => task::hashes(task, data_dir, sha256),
    }
}

impl Examples {
    /// What a user has to know of how the files were read.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Sentences(data) => &data.notes,
            Self::Questions(_) | Self::Words(_) => &[],
        }
    }

    /// Of the training set and the development sets.
    pub fn counts(&self) -> Vec<usize> {
        match self {
            Self::Sentences(data) => {
                [&data.train, &data.dev].into_iter().chain(&data.dev_mismatched).map(Vec::len).collect()
            }
            Self::Questions(data) => [&data.train, &data.dev].map(|all| all.questions.len()).into(),
            Self::Words(data) => [&data.train, &data.dev].map(|text| text.lines().len()).into(),
        }
    }

    /// About `most` of each split's examples, evenly spread, after these limits, and how many there are in all.
    pub fn sampled(mut self, limits: [Option<usize>; 2], most: usize) -> (Self, [usize; 2]) {
        let whole = |n: usize, limit: Option<usize>| n.min(limit.unwrap_or(usize::MAX));
        let mut counts = [0; 2];
        match &mut self {
            Self::Sentences(data) => {
                for ((split, limit), n) in
                    [&mut data.train, &mut data.dev].into_iter().zip(limits).zip(&mut counts)
                {
                    *n = whole(split.len(), limit);
                    let kept = split[..*n].iter().step_by(n.div_ceil(most).max(1));
                    *split = kept.cloned().collect();
                }
                data.dev_mismatched = None;
            }
            Self::Questions(data) => {
                for ((split, limit), n) in
                    [&mut data.train, &mut data.dev].into_iter().zip(limits).zip(&mut counts)
                {
                    *n = whole(split.questions.len(), limit);
                    split.truncate(most.min(*n));
                }
            }
            // A block is as long as another.
            Self::Words(_) => counts = self.counts().try_into().unwrap_or(counts),
        }
        (self, counts)
    }

    /// `cache` is a folder for encoded texts.
    pub fn encode(self, tokenizer: &Tokenizer, sources: &Sources, cache: Option<&Path>) -> Result<Workload> {
        let limit = |limit: Option<usize>| limit.unwrap_or(usize::MAX);
        match self {
            Self::Sentences(mut data) => {
                data.train.truncate(limit(sources.train_limit));
                let chosen = sources.choose(|| data.train.iter().map(|example| example.label).collect());
                chosen.iter().for_each(|chosen| chosen.keep(&mut data.train));
                let encode = |examples: &[Example], most: Option<usize>| -> Result<Dataset> {
                    let examples = &examples[..limit(most).min(examples.len())];
                    let encoded = encode_cached(tokenizer, examples, sources.max_length, cache)?;
                    let labels = examples.iter().map(|e| e.label).collect();
                    Ok(Dataset { encoded, labels, ..Dataset::default() })
                };
                let second = data.dev_mismatched.as_deref();
                Ok(Workload {
                    train: encode(&data.train, None)?,
                    dev: encode(&data.dev, sources.dev_limit)?,
                    dev_mismatched: second.map(|d| encode(d, sources.dev_limit)).transpose()?,
                    chosen,
                    hashes: data.sha256,
                    warnings: Vec::new(),
                })
            }
            Self::Questions(mut data) => {
                data.train.truncate(limit(sources.train_limit));
                let chosen = sources.choose(|| vec![Label::Span([0, 0]); data.train.questions.len()]);
                chosen.iter().for_each(|chosen| chosen.keep(&mut data.train.questions));
                let encode = |mut all: Questions, most: Option<usize>| {
                    all.truncate(limit(most));
                    in_windows(all, tokenizer, sources.windows(), cache)
                };
                Ok(Workload {
                    train: encode(data.train, None)?,
                    dev: encode(data.dev, sources.dev_limit)?,
                    dev_mismatched: None,
                    chosen,
                    hashes: data.sha256,
                    warnings: data.warnings,
                })
            }
            Self::Words(data) => {
                let masking = words::masking(tokenizer)?;
                let blocks = |text: &Text, most: Option<usize>| {
                    let mut blocks = text.blocks(tokenizer, &masking, sources.max_length)?;
                    blocks.truncate(limit(most));
                    Ok::<_, crate::error::Error>(blocks)
                };
                let (mut train, dev) =
                    (blocks(&data.train, sources.train_limit)?, blocks(&data.dev, sources.dev_limit)?);
                let chosen = sources.choose(|| vec![Label::Unknown; train.len()]);
                chosen.iter().for_each(|chosen| chosen.keep(&mut train));
                Ok(Workload {
                    train: hidden(train, &masking),
                    dev: hidden(dev, &masking),
                    dev_mismatched: None,
                    chosen,
                    hashes: data.sha256,
                    warnings: Vec::new(),
                })
            }
        }
    }
}

/// Questions in windows. Those without the whole answer point at their first token, `[CLS]`. `cache` is a folder for encoded
/// texts.
pub fn in_windows(
    all: Questions,
    tokenizer: &Tokenizer,
    rules: WindowRules,
    cache: Option<&Path>,
) -> Result<Dataset> {
    let Windowed { encoded, windows, offsets } = windows_cached(tokenizer, &all, rules, cache)?;
    let labels = windows.iter().map(|window| {
        let question = &all.questions[window.question];
        let rows = question.span.as_ref().and_then(|span| window.rows_of(span, &offsets[question.context]));
        Label::Span(rows.unwrap_or([0, 0]))
    });
    let labels = labels.collect();
    let questioned = Questioned { all: Arc::new(all), offsets: Arc::new(offsets), windows };
    Ok(Dataset { encoded, labels, questioned: Some(questioned), masking: None })
}

impl Sources {
    fn choose(&self, labels: impl FnOnce() -> Vec<Label>) -> Option<Chosen> {
        self.fraction.map(|fraction| fraction.choose(&labels()))
    }

    fn windows(&self) -> WindowRules {
        let Self { max_length, doc_stride, max_question_length, .. } = *self;
        WindowRules { max_length, overlap: doc_stride, max_question_length }
    }
}
