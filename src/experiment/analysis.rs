//! What is computed from one fine-tuned model beside a run: its stages are a run's own, and one more.

use super::{
    Inputs,
    executor::execute,
    graph::Graph,
    inputs::Sources,
    split,
    stage::{Outcomes, Stage},
    stages::{Search, Train},
};
use crate::{
    config::{ExperimentConfig, Split},
    error::Result,
    prune::Method,
    store::Store,
    train::Progress,
};
use std::path::Path;

/// The node of the fine-tuned model.
pub const FINETUNE: &str = "finetune";
/// The node of the search of the settings, if they have one of units.
pub const SEARCH: &str = "search";
/// The node of the analysis itself.
pub const ANALYSIS: &str = "analysis";

/// The inputs and stages of an analysis.
pub struct Analysis {
    pub config: ExperimentConfig,
    pub inputs: Inputs,
    graph: Graph,
}

impl Analysis {
    /// Reads the model, the tokenizer and the data of these settings. `splits` are those that the analysis will use.
    ///
    /// # Errors
    /// As those of a run; a split that the data have not.
    pub fn load(
        config: ExperimentConfig,
        splits: &[Split],
        cache: Option<&Path>,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let inputs = Inputs::load(&Sources::new(&config), config.run.device, cache, progress)?;
        for split in splits.iter().chain([&config.importance.split]) {
            split::check(*split, &inputs.train)?;
        }
        let mut graph = Graph::default();
        graph.add(FINETUNE, Some("full"), Train::new(&config));
        Ok(Self { config, inputs, graph })
    }

    /// With the search of the settings, where it scores units.
    pub fn with_search(mut self) -> Self {
        if matches!(self.config.method, Method::HeadsFfns | Method::Heads | Method::Ffns) {
            self.graph.add(SEARCH, None, Search::new(&self.config, FINETUNE));
        }
        self
    }

    /// Finds the stages in the store or computes them, the analysis last.
    pub fn run(
        mut self,
        stage: impl Stage + 'static,
        store: &Store,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Outcomes)> {
        self.graph.add(ANALYSIS, None, stage);
        let every = self.config.run.checkpoint_interval();
        let done = execute(&self.graph, &self.inputs, every, store, progress)?;
        Ok((self, done))
    }
}
