//! The stages that runs share: one run computes such a stage, and the others start as soon as it is done, before that
//! run has ended.

use super::Run;
use crate::error::Result;
use std::collections::{HashMap, HashSet};

/// The shared stages of a sweep's runs, numbered; runs are given by their index in the sweep.
#[derive(Default)]
pub(super) struct Sharing {
    /// For each run, its shared stages in their order.
    stages: Vec<Vec<usize>>,
    /// For each run, the number of those that precede each of its stages, by the stage's name.
    before: Vec<HashMap<String, usize>>,
    /// The stages that are done.
    done: HashSet<usize>,
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

    /// Notes that a run is done.
    pub fn run_done(&mut self, run: usize) {
        self.done.extend(&self.stages[run]);
    }

    /// Notes that a run computes this stage: those before it are done.
    pub fn reached(&mut self, run: usize, stage: &str) {
        let before = self.before[run].get(stage).copied().unwrap_or(0);
        self.done.extend(&self.stages[run][..before]);
    }

    /// Forgets which stages are done: files that they depend on have changed.
    pub fn clear(&mut self) {
        self.done.clear();
    }

    /// Whether all shared stages of the run are done.
    pub fn is_available(&self, run: usize) -> bool {
        self.stages[run].iter().all(|stage| self.done.contains(stage))
    }

    /// Whether none of the other runs is computing a stage that this run needs.
    pub fn can_start(&self, run: usize, mut others: impl Iterator<Item = usize>) -> bool {
        let missing: Vec<&usize> =
            self.stages[run].iter().filter(|stage| !self.done.contains(stage)).collect();
        missing.is_empty()
            || !others.any(|other| missing.iter().any(|stage| self.stages[other].contains(stage)))
    }

    /// The number of a run's first stage: equal for runs that share a fine-tuned model.
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
        let free =
            |sharing: &Sharing| [bad, full, other].map(|run| sharing.can_start(run, [good].into_iter()));
        assert_eq!(free(&sharing), [false, false, true]);
        sharing.reached(good, "finetune");
        assert_eq!(free(&sharing), [false, false, true]);
        sharing.reached(good, "search");
        assert_eq!(free(&sharing), [false, true, true]);
        assert!(sharing.is_available(full) && !sharing.is_available(bad));
        sharing.reached(good, "retrain");
        assert_eq!(free(&sharing), [true, true, true]);
        assert!(!sharing.is_available(other));
        sharing.run_done(other);
        assert!(sharing.is_available(other));
        sharing.clear();
        assert_eq!(free(&sharing), [false, false, true]);
        assert_eq!(sharing.first(good), sharing.first(full));
        assert_ne!(sharing.first(good), sharing.first(other));
    }
}
