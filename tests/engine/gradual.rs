//! Training that prunes on its way: here on the CPU, and for `tests/cuda` on its devices.

use crate::masked::{After, OPTIMIZER, bert, task};
use lottery::{
    engine::Machine,
    error::Result,
    model::Bert,
    ops::{WeightMask, select::Order},
    prune::{Kind, Mask, Scope, WeightSet, prune_weights},
    train::{
        Checkpoints,
        finetune::{Labelled, finetune},
        gradual::Pruner,
    },
};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

/// Prunes before these steps to these shares of the matrices, and sees to it that what is pruned stays zero.
struct Watched {
    prunings: [(u64, f64); 3],
    before: RefCell<Option<WeightMask>>,
}

impl Watched {
    fn at(&self, bert: &Bert, share: f64) -> WeightMask {
        let whole = WeightSet::Chen.of(&Mask::full(2, 2), &bert.params.layout);
        let n = (share * whole.count(Kind::Weights).total as f64).round() as usize;
        let mask = prune_weights(&whole, &bert.params, n, Scope::Global, Order::Smallest).unwrap();
        let held = mask.held(&bert.config, bert.head).unwrap().unwrap();
        assert_eq!(held.held(), n);
        held
    }
}

impl Pruner for Watched {
    fn is_due(&self, step: u64) -> bool {
        self.prunings.iter().any(|(due, _)| *due == step)
    }

    fn mask(&self, step: u64, bert: &Bert) -> Result<WeightMask> {
        let (_, share) = self.prunings.iter().find(|(due, _)| *due == step).unwrap();
        let mask = self.at(bert, *share);
        if let Some(before) = &*self.before.borrow() {
            for at in (0..before.len()).filter(|at| !before.keeps(*at)) {
                assert_eq!(bert.params.data[at].to_bits(), 0, "zeros stay zero up to step {step}");
                assert!(!mask.keeps(at), "and are pruned by the next step as well");
            }
        }
        *self.before.borrow_mut() = Some(mask.clone());
        Ok(mask)
    }

    fn reached(&self, steps: u64, bert: &Bert) -> Result<Option<WeightMask>> {
        let last = self.prunings.iter().rev().find(|(due, _)| *due < steps);
        Ok(last.map(|(_, share)| self.at(bert, *share)))
    }
}

/// Nine steps, whole and stopped after each of them.
pub fn check_gradual(machine: &Machine) {
    let (bert, (data, recipe)) = (bert(3), task(OPTIMIZER));
    let dir = tempfile::tempdir().unwrap();
    let train = |name: &str, steps: u32| {
        let watched = Watched { prunings: [(2, 0.5), (4, 0.7), (7, 0.8)], before: RefCell::default() };
        let labelled = Labelled { train: &data, judge: None, gradual: Some(&watched) };
        let mut checkpoints = Checkpoints::new(dir.path().join(name), Duration::MAX);
        let progress = &mut After(Cell::new(steps));
        let found = finetune(machine, bert.clone(), None, labelled, &recipe, &mut checkpoints, progress);
        found.map(|(bert, _)| (bert.params.data, watched.before.take()))
    };
    let (whole, mask) = train("whole", 99).unwrap();
    let mask = mask.unwrap();
    let zeros = |values: &[f32]| (0..mask.len()).filter(|at| values[*at] == 0.0 && !mask.keeps(*at)).count();
    assert_eq!(zeros(&whole), mask.held());
    for steps in 1..9 {
        let name = format!("stopped-{steps}");
        assert_eq!(train(&name, steps).unwrap_err().exit_code(), 4);
        let (again, _) = train(&name, 99).unwrap();
        assert!(again.iter().zip(&whole).all(|(a, b)| a.to_bits() == b.to_bits()), "stopped after {steps}");
    }
}

#[test]
fn what_is_pruned_on_the_way_stays_zero_and_a_stopped_training_goes_on_bit_for_bit() {
    check_gradual(&Machine::default());
}
