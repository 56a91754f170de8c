//! Evaluation of a subnetwork of the fine-tuned model without retraining: the pruned model's scores.

use super::{Subnetwork, files};
use crate::{
    error::Result,
    experiment::{
        Inputs,
        stage::{Given, Identity, Known, Stage},
    },
    store::{EVALUATE, StageWriter},
    train::Progress,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Evaluates a fine-tuned model without its pruned units.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluate {
    /// The node that fine-tunes the model.
    pub finetune: &'static str,
    #[serde(rename = "mask")]
    pub subnetwork: Subnetwork,
}

impl Stage for Evaluate {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        [self.finetune].into_iter().chain(self.subnetwork.reads()).collect()
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let (Some(finetuned), Some(mask)) = (known.id(self.finetune), self.subnetwork.mask(known)?) else {
            return Ok(None);
        };
        let mut inputs = self.settings();
        inputs["finetune"] = json!(finetuned.as_str());
        inputs["mask"] = json!(mask);
        Ok(Some(Identity { kind: &EVALUATE, inputs }))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("the {} subnetwork, pruned", self.subnetwork.name())
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let mask = self.subnetwork.required_mask(given)?;
        let bert = files::load_model(given.inputs, given.outcome(self.finetune)?)?;
        let metrics = files::evaluate(given.inputs, &mask.apply(&bert)?, out)?;
        progress.note(&format!("{}: {}", given.id, files::metric_text(given.inputs, &metrics)));
        Ok(json!({}))
    }
}
