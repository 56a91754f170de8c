//! Takes up a model that was fine-tuned elsewhere, in the place of [`Train`](super::Train), and evaluates it.

use super::files;
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{
        Inputs,
        inputs::Sources,
        stage::{Given, Identity, Known, Stage},
    },
    model::Bert,
    store::{FINETUNE, StageWriter},
    train::{Progress, Summary},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Copies the model into the store, where searches and evaluations find it as they find one that was trained there.
#[derive(Clone, Debug, Serialize)]
pub struct TakeFinetuned {
    #[serde(flatten)]
    sources: Sources,
    /// Its folder, or its name on the hub.
    finetuned: String,
}

impl TakeFinetuned {
    /// `None` for a run that fine-tunes itself.
    pub fn of(config: &ExperimentConfig) -> Option<Self> {
        Some(Self { sources: Sources::new(config), finetuned: config.finetuned.clone()? })
    }

    fn build(inputs: &Inputs) -> Result<Bert> {
        let model =
            inputs.finetuned.as_ref().ok_or_else(|| Error::internal("no fine-tuned model was read"))?;
        model.clone().build(inputs.head(), 0, false)
    }
}

impl Stage for TakeFinetuned {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn writes_model(&self) -> bool {
        true
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let Some(hash) = known.hashes.finetuned else { return Ok(None) };
        let mut inputs = known.hashes.with_hashes(self.settings());
        inputs["finetuned"] = json!(hash);
        Ok(Some(Identity { kind: &FINETUNE, inputs }))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("the fine-tuned model of {}", self.finetuned)
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let bert = Self::build(inputs)?;
        let metrics = files::evaluate(inputs, &bert, out)?;
        files::write_model(&bert, inputs.task.label_names(), &inputs.tokenizer, out)?;
        progress.note(&format!(
            "{}: from {}, {}",
            given.id,
            self.finetuned,
            files::metric_text(inputs, &metrics)
        ));
        Ok(json!({ "train_tokens_per_s": 0.0 }))
    }

    fn retrain(&self, given: &Given, _: PathBuf, _: &mut dyn Progress) -> Result<(Bert, Summary)> {
        Ok((Self::build(given.inputs)?, Summary::default()))
    }
}
