//! One level of one-shot pruning, from a scoring that all levels share (Liang et al. 2021, section 3).

use super::score::Scored;
use crate::{
    config::{ExperimentConfig, Split, essential_section},
    error::Result,
    experiment::{
        Inputs,
        stage::{Given, Identity, Known, Stage},
        ticket::Ticket,
    },
    prune::{Estimator, Mask, Method, OneShot, PruneRules, one_shot},
    store::{SEARCH, StageWriter},
    train::Progress,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Prunes heads and FFNs of lowest score.
#[derive(Clone, Debug, Serialize)]
pub struct Level {
    /// The node that scores the units.
    score: &'static str,
    #[serde(serialize_with = "essential_section")]
    prune: PruneRules,
    /// Written to the ticket, with the seed.
    #[serde(skip)]
    estimator: Estimator,
    #[serde(skip)]
    split: Split,
    #[serde(skip)]
    run_seed: u64,
}

impl Level {
    pub fn new(config: &ExperimentConfig, score: &'static str) -> Self {
        let (prune, run_seed) = (config.prune, config.seed);
        Self {
            score,
            prune,
            estimator: config.importance.estimator,
            split: config.importance.split,
            run_seed,
        }
    }
}

impl Stage for Level {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        vec![self.score]
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.score, "score", &SEARCH, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        match self.prune.sparsity {
            Some(sparsity) => format!("one-shot to a sparsity of {sparsity}"),
            None => format!("one-shot at level {}", self.prune.level.unwrap_or(1)),
        }
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let model = &inputs.model.config;
        let scored = Scored::read(given.outcome(self.score)?)?;
        let whole = Mask::full(model.num_hidden_layers, model.num_attention_heads);
        let OneShot { mask, opposite } = one_shot(&scored.importance, &whole, &self.prune, model)?;
        progress.note(&format!("{}: {mask} kept", given.id));
        Ticket {
            format_version: 1,
            task: inputs.task.name.to_owned(),
            method: Method::OneShot,
            seed: self.run_seed,
            layers: mask.layers(),
            heads_per_layer: mask.heads_per_layer(),
            estimator: Some(self.estimator),
            norm: Some(scored.norm),
            split: Some(self.split),
            metric: inputs.task.metric.name().to_owned(),
            full_score: Some(scored.full_score),
            score: None,
            threshold: None,
            exhausted: false,
            note: None,
            mask,
            opposite: Some(opposite),
            steps: Vec::new(),
        }
        .write(out)?;
        Ok(json!({}))
    }
}
