//! A stage: a pure function from its settings and inputs to a folder in the store.

use super::{Inputs, identity::Hashes};
use crate::{
    error::{Error, Result},
    model::Bert,
    store::{Done, StageId, StageKind, StageWriter, stage_id},
    train::{Progress, Summary},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The finished stages of a run, by the names of their nodes.
pub type Outcomes = BTreeMap<&'static str, Done>;

/// One step of an experiment. Its results are kept in the store and shared by all runs that need them.
///
/// A stage owns its settings and serialises all of them. It has no access to the run's configuration or to anything
/// else that its [`identity`](Self::identity) does not cover, so no setting can be missing from its hash.
pub trait Stage {
    /// All its settings, before any file is read. They contain the names of files.
    fn settings(&self) -> Value;

    /// The names of the nodes that it reads; without more, the one whose weights it loads.
    fn reads(&self) -> Vec<&'static str> {
        self.weights_of().into_iter().collect()
    }

    /// The one among [`reads`](Self::reads) whose weights it loads.
    fn weights_of(&self) -> Option<&'static str> {
        None
    }

    /// Whether it writes a model.
    fn writes_model(&self) -> bool {
        false
    }

    /// What the stage's id is the hash of: its settings, with names replaced by hashes. `None` if that depends on a
    /// stage that is not done yet.
    ///
    /// # Errors
    /// A file of a stage that it reads is damaged.
    fn identity(&self, known: &Known) -> Result<Option<Identity>>;

    /// A short description, for dry runs.
    fn describe(&self, inputs: &Inputs) -> String;

    /// Computes the stage: writes its files and returns additional fields of `stage.json`.
    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value>;

    /// Trains removed weights again, resuming from a checkpoint in this folder if there is one.
    fn retrain(&self, given: &Given, _checkpoints: PathBuf, _: &mut dyn Progress) -> Result<(Bert, Summary)> {
        Err(Error::internal(format!("{} has no weights to restore", given.id)))
    }
}

/// What is known before a stage is computed, from which its id follows.
pub struct Known<'a> {
    pub hashes: Hashes<'a>,
    pub done: &'a Outcomes,
    /// Ids of stages that are not computed yet.
    pub planned: &'a BTreeMap<&'static str, StageId>,
}

impl<'a> Known<'a> {
    /// Without planned stages.
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
    /// How often training writes a checkpoint; does not affect results.
    pub checkpoint_every: Duration,
}

impl<'a> Given<'a> {
    pub fn known(&self) -> Known<'a> {
        Known::of(self.inputs.hashes(), self.done)
    }

    /// The finished stage of a node.
    pub fn outcome(&self, node: &str) -> Result<&'a Done> {
        self.done.get(node).ok_or_else(|| read_too_early(node))
    }
}

/// The error of a graph whose order is wrong.
pub(super) fn read_too_early(node: &str) -> Error {
    Error::internal(format!("{node} is read before it is done"))
}

/// The kind and inputs of a stage, whose hash is its id.
pub struct Identity {
    pub kind: &'static StageKind,
    pub inputs: Value,
}

impl Identity {
    /// Of a stage that reads one node and no file: its settings, in which `key` names the node, with the node's id there.
    pub fn after(
        node: &str,
        key: &str,
        kind: &'static StageKind,
        mut settings: Value,
        known: &Known,
    ) -> Option<Self> {
        settings[key] = json!(known.id(node)?.as_str());
        Some(Self { kind, inputs: settings })
    }

    pub fn id(&self) -> StageId {
        stage_id(self.kind.name, &self.inputs)
    }
}
