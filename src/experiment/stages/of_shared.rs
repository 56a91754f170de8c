//! The model of one task, out of what several tasks have trained together.

use super::{Subnetwork, files, train_shared::TrainShared};
use crate::{
    error::Result,
    experiment::{
        Inputs,
        stage::{Given, Identity, Known, Stage},
    },
    model::Bert,
    prune::Mask,
    store::{RETRAIN, StageWriter},
    train::{Progress, Summary},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Takes the encoder and the task's classifier, with the units of the task's subnetwork, and evaluates them.
pub struct OfShared {
    /// What was trained, and its node.
    pub shared: TrainShared,
    pub node: &'static str,
    /// Without one, all units are kept, for a training that goes on from there.
    pub subnetwork: Subnetwork,
}

impl OfShared {
    fn model(&self, of_all: &Bert, mask: &Mask) -> Result<Bert> {
        mask.apply(&of_all.alone(self.shared.classifier()))
    }
}

impl Stage for OfShared {
    fn settings(&self) -> Value {
        json!({ "shared": self.node, "classifier": self.shared.classifier(), "mask": self.subnetwork })
    }

    fn reads(&self) -> Vec<&'static str> {
        [self.node].into_iter().chain(self.shared.reads()).collect()
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.node)
    }

    fn writes_model(&self) -> bool {
        true
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let (Some(shared), Some(mask)) = (known.id(self.node), self.subnetwork.mask(known)?) else {
            return Ok(None);
        };
        let mut inputs = self.settings();
        inputs["shared"] = json!(shared.as_str());
        inputs["mask"] = json!(mask);
        Ok(Some(Identity { kind: &RETRAIN, inputs }))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("the {} subnetwork of the shared encoder", self.subnetwork.name())
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let mask = self.subnetwork.required_mask(given)?;
        let mut bert = self.model(&self.shared.load(given, self.node)?, &mask)?;
        self.shared.tell_dropouts(&mut bert);
        let metrics = files::evaluate(inputs, &bert, out)?;
        files::write_model(&bert, inputs.task.label_names(), &inputs.tokenizer, out)?;
        progress.note(&format!("{}: {}", given.id, files::metric_text(inputs, &metrics)));
        let info = given.outcome(self.node)?.info();
        Ok(json!({ "computed_by": info["computed_by"], "steps": info["steps"] }))
    }

    fn retrain(
        &self,
        given: &Given,
        checkpoints: PathBuf,
        progress: &mut dyn Progress,
    ) -> Result<(Bert, Summary)> {
        let mask = self.subnetwork.required_mask(given)?;
        let (of_all, summary) = self.shared.train(given, checkpoints, progress)?;
        Ok((self.model(&of_all, &mask)?, summary))
    }
}
