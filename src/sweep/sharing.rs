//! The stages that runs share: one run computes such a stage, and the others begin when it is there, not when that run
//! has ended.

use super::Run;
use crate::error::Result;
use std::collections::{HashMap, HashSet};

/// The shared stages of a sweep's runs, numbered; runs go by their place in the sweep.
#[derive(Default)]
pub(super) struct Sharing {
    /// For each run the shared stages, in its order.
    stages: Vec<Vec<usize>>,
    /// For each run, how many of those stand before each of its stages, by the stage's name.
    before: Vec<HashMap<String, usize>>,
    /// The stages that are there.
    there: HashSet<usize>,
}

impl Sharing {
    pub fn new(runs: &[Run]) -> Result<Self> {
        let mut sharing = Self::default();
        let mut numbers = HashMap::new();
        for run in runs {
            let graph = run.graph()?;
            let (mut stages, mut before) = (Vec::new(), HashMap::new());
            for (node, key) in graph.nodes().iter().zip(graph.keys()?) {
                before.insert(node.name.to_owned(), stages.len());
                if graph.is_read(node.name) {
                    let next = numbers.len();
                    stages.push(*numbers.entry(key).or_insert(next));
                }
            }
            sharing.stages.push(stages);
            sharing.before.push(before);
        }
        Ok(sharing)
    }

    /// A run is done.
    pub fn done(&mut self, run: usize) {
        self.there.extend(&self.stages[run]);
    }

    /// A run computes this stage: those before it are there.
    pub fn reached(&mut self, run: usize, stage: &str) {
        let before = self.before[run].get(stage).copied().unwrap_or(0);
        self.there.extend(&self.stages[run][..before]);
    }

    /// Files that the stages were made of have changed.
    pub fn forget(&mut self) {
        self.there.clear();
    }

    /// Whether all that the run shares is there.
    pub fn is_there(&self, run: usize) -> bool {
        self.stages[run].iter().all(|stage| self.there.contains(stage))
    }

    /// Whether none of the others computes what this run needs.
    pub fn is_free(&self, run: usize, mut others: impl Iterator<Item = usize>) -> bool {
        let missing: Vec<&usize> =
            self.stages[run].iter().filter(|stage| !self.there.contains(stage)).collect();
        missing.is_empty()
            || !others.any(|other| missing.iter().any(|stage| self.stages[other].contains(stage)))
    }

    /// The number of a run's first stage: equal for runs of one fine-tuned model.
    pub fn first(&self, run: usize) -> Option<usize> {
        self.stages[run].first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::ExperimentConfig, prune::Mode, store::Store, sweep::Sweep, task::TaskId};
    use std::path::Path;

    #[test]
    fn runs_wait_for_a_shared_stage_and_not_for_the_run_that_computes_it() {
        let config = |mode, seed| {
            let mut config = ExperimentConfig::new(TaskId::Rte, "m", "d");
            (config.mode, config.seed) = (mode, seed);
            config
        };
        let configs =
            vec![config(Mode::Good, 1), config(Mode::Bad, 1), config(Mode::Full, 1), config(Mode::Good, 2)];
        let sweep = Sweep::new("test", configs, &Store::at(Path::new("nowhere")).unwrap()).unwrap();
        let place = |mode, seed| {
            let is = |run: &Run| (run.config.mode, run.config.seed) == (mode, seed);
            sweep.runs.iter().position(is).unwrap()
        };
        let (good, bad, full, other) =
            (place(Mode::Good, 1), place(Mode::Bad, 1), place(Mode::Full, 1), place(Mode::Good, 2));
        let mut sharing = Sharing::new(&sweep.runs).unwrap();
        let free = |sharing: &Sharing| [bad, full, other].map(|run| sharing.is_free(run, [good].into_iter()));
        assert_eq!(free(&sharing), [false, false, true]);
        sharing.reached(good, "finetune");
        assert_eq!(free(&sharing), [false, false, true]);
        sharing.reached(good, "search");
        assert_eq!(free(&sharing), [false, true, true]);
        assert!(sharing.is_there(full) && !sharing.is_there(bad));
        sharing.reached(good, "retrain");
        assert_eq!(free(&sharing), [true, true, true]);
        assert!(!sharing.is_there(other));
        sharing.done(other);
        assert!(sharing.is_there(other));
        sharing.forget();
        assert_eq!(free(&sharing), [false, false, true]);
        assert_eq!(sharing.first(good), sharing.first(full));
        assert_ne!(sharing.first(good), sharing.first(other));
    }
}
