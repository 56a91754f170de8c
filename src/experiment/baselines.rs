//! What every result stands beside: scores that need no context, or no model at all.

use super::{Inputs, split::training_data, stages::Metrics};
use crate::{
    config::ExperimentConfig,
    error::Result,
    train::{
        Dataset,
        bag_of_words::{BagOfWords, MOST_EXAMPLES, Words},
        baseline, metrics,
    },
};
use serde::Serialize;
use std::borrow::Cow;

/// Scores on the development set.
#[derive(Clone, Debug, Serialize)]
pub struct Baselines {
    /// The deciding metric of always predicting the commonest class or word.
    pub majority: Metrics,
    /// A linear model on the mean of the pre-trained model's word embeddings; none of questions about paragraphs and of hidden words.
    pub bag_of_words: Option<BagOfWordsScores>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BagOfWordsScores {
    pub metrics: Metrics,
    /// Training examples that it was fitted on.
    pub examples: usize,
}

impl Baselines {
    /// Of a run with these settings: fitted on what its models are trained on, in an order of its seed.
    pub fn new(config: &ExperimentConfig, inputs: &Inputs) -> Result<Self> {
        let metric = inputs.task.metric.name().to_owned();
        let majority = [(metric, baseline(inputs.task, &inputs.dev))].into();
        Ok(Self { majority, bag_of_words: bag_of_words(config, inputs)? })
    }
}

fn bag_of_words(config: &ExperimentConfig, inputs: &Inputs) -> Result<Option<BagOfWordsScores>> {
    if inputs.dev.questioned.is_some() || inputs.dev.masking.is_some() {
        return Ok(None);
    }
    let (seed, all) = (config.order_seed(), training_data(config, inputs));
    let train: Cow<Dataset> = match all.len() > MOST_EXAMPLES {
        true => Cow::Owned(all.subset(&all.choose(MOST_EXAMPLES, seed).0)),
        false => all,
    };
    let words = Words {
        table: inputs.model.words()?,
        width: inputs.model.config.hidden_size,
        special: inputs.tokenizer.special_ids(),
    };
    let model = BagOfWords::fit(&words, inputs.task, &train, seed);
    let mut scores = metrics(inputs.task, &inputs.dev, &model.logits(&inputs.dev));
    if let Some(second) = &inputs.dev_mismatched {
        let found = metrics(inputs.task, second, &model.logits(second));
        scores.extend(found.into_iter().map(|(name, value)| (format!("{name}_mismatched"), value)));
    }
    Ok(Some(BagOfWordsScores { metrics: scores, examples: train.len() }))
}
