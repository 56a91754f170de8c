//! A stage: a pure function from its settings and what it reads to a folder in the store.

use super::{Inputs, identity::Hashes};
use crate::{
    error::{Error, Result},
    model::Bert,
    store::{Done, StageId, StageKind, StageWriter, stage_id},
    train::{Progress, Summary},
};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The stages of a run that are done, by the names of their nodes.
pub type Outcomes = BTreeMap<&'static str, Done>;

/// One step of an experiment, kept in the store and shared by all runs that need the same.
///
/// A stage owns its settings and serialises all of them: it is handed neither the run's configuration nor anything else
/// that its [`identity`](Self::identity) does not cover, so that no setting can be missing from its hash.
pub trait Stage {
    /// All its settings, known before a file is read. Files stand here by name.
    fn settings(&self) -> Value;

    /// The names of the nodes whose outcomes it reads.
    fn reads(&self) -> Vec<&'static str>;

    /// The one among [`reads`](Self::reads) whose weights it loads.
    fn weights_of(&self) -> Option<&'static str> {
        None
    }

    /// Whether it writes a model of its own.
    fn writes_model(&self) -> bool {
        false
    }

    /// What the stage is called by: its settings, with hashes in the place of names; `None` while it depends on an outcome
    /// that is not there yet.
    ///
    /// # Errors
    /// When what it reads of the outcomes is damaged.
    fn identity(&self, known: &Known) -> Result<Option<Identity>>;

    /// What it does, in a few words for people.
    fn describe(&self, inputs: &Inputs) -> String;

    /// Computes it: writes its files, and returns what `stage.json` says beside them.
    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value>;

    /// Trains weights that were removed once more, resuming from a checkpoint in this folder if there is one.
    fn retrain(&self, given: &Given, _checkpoints: PathBuf, _: &mut dyn Progress) -> Result<(Bert, Summary)> {
        Err(Error::internal(format!("{} has no weights to restore", given.id)))
    }
}

/// What a stage is named by: hashes of all that it reads.
pub struct Known<'a> {
    pub hashes: Hashes<'a>,
    pub done: &'a Outcomes,
    /// Ids of stages that are still to be computed.
    pub planned: &'a BTreeMap<&'static str, StageId>,
}

impl<'a> Known<'a> {
    /// Where nothing is planned: what is not done is not known.
    pub fn of(hashes: Hashes<'a>, done: &'a Outcomes) -> Self {
        static NOTHING: BTreeMap<&'static str, StageId> = BTreeMap::new();
        Self { hashes, done, planned: &NOTHING }
    }

    /// The id of a node's stage.
    pub fn id(&self, node: &str) -> Option<&'a StageId> {
        self.done.get(node).map(Done::id).or_else(|| self.planned.get(node))
    }
}

/// What a stage computes from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub id: &'a StageId,
    pub inputs: &'a Inputs,
    pub done: &'a Outcomes,
    /// How often a training is saved; it decides nothing.
    pub checkpoint_every: Duration,
}

impl<'a> Given<'a> {
    pub fn known(&self) -> Known<'a> {
        Known::of(self.inputs.hashes(), self.done)
    }

    /// The stage of a node that is done.
    pub fn outcome(&self, node: &str) -> Result<&'a Done> {
        self.done.get(node).ok_or_else(|| early(node))
    }
}

/// An outcome is read that its graph has not ordered to be there.
pub(super) fn early(node: &str) -> Error {
    Error::internal(format!("{node} is read before it is done"))
}

/// Kind and inputs of a stage; its id is their hash.
pub struct Identity {
    pub kind: &'static StageKind,
    pub inputs: Value,
}

impl Identity {
    pub fn id(&self) -> StageId {
        stage_id(self.kind.name, &self.inputs)
    }
}
