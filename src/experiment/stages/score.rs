//! Scores the units of the fine-tuned model once: what all levels of one-shot pruning share.

use super::files;
use crate::{
    config::{ExperimentConfig, ImportanceConfig, essential_section},
    error::{Error, Result},
    experiment::{
        Inputs,
        split::scoring,
        stage::{Given, Identity, Known, Stage},
    },
    prune::{Importance, ModelProbe, Probe},
    store::{Done, SCORE, StageWriter},
    train::Progress,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::RefCell;

/// The file of its scores.
pub const SCORED: &str = "importance.json";

/// One scoring of the whole network.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    finetune: &'static str,
    #[serde(serialize_with = "essential_section")]
    importance: ImportanceConfig,
    /// Selects the scoring examples; see [`Split::seed`](crate::config::Split::seed).
    split_seed: Option<u64>,
}

/// The scores of all units, and of the whole network.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scored {
    format_version: u32,
    /// The deciding metric on the scoring examples.
    pub full_score: f64,
    pub norm: String,
    #[serde(flatten)]
    pub importance: Importance,
}

impl Scored {
    /// # Errors
    /// Data: the file is damaged.
    pub fn read(stage: &Done) -> Result<Self> {
        stage.read_json(SCORED)
    }
}

impl Score {
    pub fn new(config: &ExperimentConfig, finetune: &'static str) -> Self {
        let split_seed = config.importance.split.seed(config.seed);
        Self { finetune, importance: config.importance.clone(), split_seed }
    }
}

impl Stage for Score {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.finetune, "finetune", &SCORE, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("all units, by {} on {}", self.importance.estimator, self.importance.split)
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let bert = files::load_model(inputs, given.outcome(self.finetune)?)?;
        let data = scoring(inputs, self.importance.split, self.split_seed)?;
        progress.begin(SCORE.name, 0);
        let progress = RefCell::new(progress);
        let mut probe = ModelProbe::new(&inputs.machine, &bert, &data, inputs.task, &progress);
        let whole = probe.whole();
        let mut criterion = self.importance.criterion(false);
        let importance = criterion.measure(&mut probe, &whole)?.importance(&whole);
        let full_score = probe.metric(&whole)?;
        if !full_score.is_finite() {
            return Err(Error::internal(format!(
                "the score of the full model is {full_score}: its outputs are not finite. Fine-tune again with a lower \
                 learning rate."
            )));
        }
        let metric = inputs.task.metric.name();
        progress.borrow_mut().end(&format!("{}: all units scored, {metric} {full_score:.4}", given.id));
        let norm = criterion.norm().to_owned();
        files::write_json(out, SCORED, &Scored { format_version: 1, full_score, norm, importance })?;
        Ok(json!({}))
    }
}
