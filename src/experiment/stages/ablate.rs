//! Evaluation of a fine-tuned model with parts of it changed, one condition after the other.

use super::files;
use crate::{
    error::{Error, Result},
    experiment::{
        Inputs,
        ablation::{Change, Condition},
        stage::{Given, Identity, Known, Stage},
        stages::Metrics,
    },
    store::{ABLATE, StageWriter},
    train::Progress,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Its file: scores on the development set.
pub const ABLATIONS: &str = "ablations.json";

/// Ablates one fine-tuned model.
#[derive(Clone, Debug, Serialize)]
pub struct Ablate {
    /// The node that fine-tunes the model.
    pub finetune: &'static str,
    pub conditions: Vec<Condition>,
    /// Draws what is random.
    pub seed: u64,
}

/// What [`ABLATIONS`] holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ablations {
    /// Of the model as it is.
    pub full: Metrics,
    /// In the order of the conditions.
    pub metrics: Vec<Metrics>,
}

impl Stage for Ablate {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.finetune, "finetune", &ABLATE, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("{} conditions", self.conditions.len())
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let finetuned = files::load_model(inputs, given.outcome(self.finetune)?)?;
        // What has no pre-trained values, the head, is part of no condition.
        let pretrained = inputs.model.clone().build(inputs.head(), 0, true)?;
        let mut change = Change::new(&finetuned, &pretrained, self.seed);
        progress.begin(ABLATE.name, self.conditions.len() as u64);
        let (full, _) = files::score(inputs, &finetuned)?;
        let mut metrics = Vec::new();
        for (done, condition) in self.conditions.iter().enumerate() {
            if progress.stop_wanted() {
                return Err(Error::stopped("between two ablations, which begin anew"));
            }
            progress.step(done as u64, &condition.to_string());
            metrics.push(files::score(inputs, change.by(condition))?.0);
        }
        progress.end(&format!("{}: {} conditions", given.id, metrics.len()));
        files::write_json(out, ABLATIONS, &Ablations { full, metrics })?;
        Ok(json!({}))
    }
}
