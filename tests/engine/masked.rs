//! Training whose mask holds weights at zero: here on the CPU, and for `tests/cuda` on its devices.

use crate::packed::{Packed, config, random_bert, stream};
use lottery::{
    engine::{Goal, Machine, Update},
    model::Bert,
    ops::{
        WeightMask,
        dropout::DropoutPlan,
        optimizer::{AdamW, Adamax, Optimizer, State},
    },
    task::{Label, TaskId},
    text::Encoded,
    train::{
        Batches, Checkpoints, Dataset, Event, Progress, Recipe, Schedule, Silent,
        finetune::{Labelled, finetune},
        select::{self, Judge},
    },
};
use std::{cell::Cell, time::Duration};

pub const ADAMW: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
pub const OPTIMIZER: Optimizer = Optimizer::AdamW(ADAMW);
pub const ADAMAX: Optimizer =
    Optimizer::Adamax(Adamax { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay: 0.1 });

/// Stops training when so many steps are known.
pub struct After(pub Cell<u32>);

impl Progress for After {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn event(&mut self, event: &Event) {
        if let Event::Step(_) = event {
            self.0.update(|left| left.saturating_sub(1));
        }
    }
    fn stop_wanted(&self) -> bool {
        self.0.get() == 0
    }
}

pub fn bert(seed: u64) -> Bert {
    let config = config(2, 16, 2, 24);
    random_bert(config.clone(), config.full_shape(), 2, seed)
}

/// Of every tensor nothing, half, nearly all or all is held.
pub fn mask(bert: &Bert, seed: u64) -> WeightMask {
    let (mut mask, mut draw) = (WeightMask::all_kept(bert.params.data.len()), stream(seed));
    for entry in &bert.params.layout.entries {
        let share = [0.0, 0.5, 0.9, 1.0][draw.below(4) as usize];
        mask.set(entry.range.clone(), entry.range.clone().map(|_| draw.uniform() >= share));
    }
    mask
}

#[track_caller]
pub fn assert_held<'a>(mask: &WeightMask, weights: &'a [f32], state: &'a State) {
    assert!(mask.held() > 0);
    let slots = state.slots().iter().map(|slot| (slot.name, &slot.values[..]));
    for (name, values) in [("weights", weights)].into_iter().chain(slots) {
        let other = (0..mask.len()).find(|i| !mask.keeps(*i) && values[*i].to_bits() != 0);
        assert_eq!(other, None, "{name}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Six sentences, and what to learn from them in nine steps.
pub fn task(optimizer: Optimizer) -> (Dataset, Recipe) {
    let encoded = (0..6).map(|i| Encoded { ids: vec![1, 7 + i, 3 * i, 2], segments: vec![0; 4] });
    let data = Dataset {
        encoded: encoded.collect(),
        labels: (0..6).map(|i| Label::Class(i % 2)).collect(),
        ..Dataset::default()
    };
    let recipe = Recipe {
        learning_rate: 1e-3,
        batch_size: 2,
        epochs: 3,
        max_steps: None,
        until: None,
        part: None,
        warmup: 0.1,
        clip: 0.5,
        optimizer,
        schedule: Schedule::Linear,
        batches: Batches::Shuffled,
        dropout: 0.1,
        attention_dropout: 0.1,
        classifier_dropout: 0.1,
        order_seed: 1,
        dropout_seed: 2,
    };
    (data, recipe)
}

/// Whole, stopped and gone on with, begun without the mask, and with one that holds nothing.
pub fn check_trainings(machine: &Machine, seed: u64, optimizer: Optimizer) {
    let (bert, (data, recipe)) = (bert(seed), task(optimizer));
    let (mask, all) = (mask(&bert, seed), WeightMask::all_kept(bert.params.data.len()));
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = |name: &str| Checkpoints::new(dir.path().join(name), Duration::MAX);
    let train = |name: &str, mask: Option<&WeightMask>, steps: u32| {
        let progress = &mut After(Cell::new(steps));
        let outcome = finetune(machine, bert.clone(), mask, &data, &recipe, &mut checkpoints(name), progress);
        outcome.map(|(bert, _)| bert.params.data)
    };
    // As its checkpoint has it.
    let stopped = |name: &str, mask: Option<&WeightMask>, steps: u32| {
        assert_eq!(train(name, mask, steps).unwrap_err().exit_code(), 4);
        let (mut weights, mut state) = (vec![0.0; all.len()], optimizer.state(all.len()));
        let found = checkpoints(name).restore(&mut weights, &mut state, &|_| true, &mut Silent).unwrap();
        assert!(found.unwrap().step < 9);
        (weights, state)
    };
    let whole = train("whole", Some(&mask), 99).unwrap();
    assert_held(&mask, &whole, &optimizer.state(all.len()));
    let moved = (0..all.len()).filter(|i| mask.keeps(*i) && whole[*i] != bert.params.data[*i]).count();
    assert!(moved > 0);
    let (weights, state) = stopped("stopped", Some(&mask), 3);
    assert_held(&mask, &weights, &state);
    assert_eq!(bits(&train("stopped", Some(&mask), 99).unwrap()), bits(&whole));

    let late = ["late", "later"].map(|name| {
        let (weights, state) = stopped(name, None, 2);
        for values in [&weights, &state.slots()[0].values, &state.slots()[1].values] {
            assert!((0..all.len()).any(|i| !mask.keeps(i) && values[i] != 0.0));
        }
        if name == "later" {
            let (weights, state) = stopped(name, Some(&mask), 2);
            assert_held(&mask, &weights, &state);
        }
        train(name, Some(&mask), 99).unwrap()
    });
    assert_held(&mask, &late[0], &optimizer.state(all.len()));
    assert_eq!(bits(&late[0]), bits(&late[1]));

    let plain = train("plain", None, 99).unwrap();
    assert_eq!(bits(&train("all", Some(&all), 99).unwrap()), bits(&plain));
    assert_ne!(bits(&plain), bits(&whole));
}

/// The weights of the best epoch are those that training had behind it, whether it is stopped after any step, begun without
/// the choice, or neither. Returns that epoch, of three, counted from 0.
pub fn check_best_epoch(machine: &Machine, seed: u64) -> usize {
    let (bert, (data, recipe)) = (bert(seed), task(ADAMAX));
    let recipe =
        Recipe { learning_rate: 0.03, schedule: Schedule::Liang2021, batches: Batches::Contiguous, ..recipe };
    let judge = Judge { task: TaskId::Sst2.spec(), dev: &data };
    let dir = tempfile::tempdir().unwrap();
    // One after every step, so that none is ahead of what is known.
    let checkpoints = |name: &str| Checkpoints::new(dir.path().join(name), Duration::ZERO);
    let train = |name: &str, judge: Option<Judge>, steps: u32| {
        let (data, progress) =
            (Labelled { train: &data, judge, gradual: None }, &mut After(Cell::new(steps)));
        let outcome = finetune(machine, bert.clone(), None, data, &recipe, &mut checkpoints(name), progress);
        outcome.map(|(bert, summary)| (bits(&bert.params.data), summary.epoch_scores))
    };
    let stop = |name: &str, judge: Option<Judge>, steps: u32| {
        assert_eq!(train(name, judge, steps).unwrap_err().exit_code(), 4);
    };
    let whole = train("whole", Some(judge), 99).unwrap();
    assert_eq!(whole.1.len(), 3);
    let best = select::best(&whole.1).unwrap();
    let last = train("last", None, 99).unwrap();
    assert!(last.1.is_empty());
    let expected = if best == 2 {
        last.0
    } else {
        stop("then", None, 3 * (best as u32 + 1));
        let (mut weights, mut state) = (bert.params.data.clone(), ADAMAX.state(bert.params.data.len()));
        checkpoints("then").restore(&mut weights, &mut state, &|_| true, &mut Silent).unwrap().unwrap();
        bits(&weights)
    };
    assert!(whole.0 == expected, "epoch {best} of {:?}", whole.1);
    for steps in 1..9 {
        let name = format!("after {steps}");
        stop(&name, Some(judge), steps);
        assert!(train(&name, Some(judge), 99).unwrap() == whole, "{name}");
    }
    stop("other", None, 4);
    assert!(train("other", Some(judge), 99).unwrap() == whole);
    best
}

pub const UPDATE: Update = Update { learning_rate: 1e-2, clip: 0.5 };

pub fn plan(step: u32) -> DropoutPlan {
    DropoutPlan { seed: 5, step, hidden: 0.1, attention: 0.2, classifier: 0.1 }
}

/// Of three steps: what the engine computes with is what it gives back, in the format of its products too.
pub fn check_steps(machine: &Machine, seed: u64) {
    let bert = bert(seed);
    let (mask, packed) = (mask(&bert, seed), Packed::random(&bert.config, &[5, 1, 33, 18], 2, seed));
    let state = OPTIMIZER.state(bert.params.data.len());
    let mut engine = machine.trainer(bert, state, Some(mask.clone())).unwrap();
    for step in 0..3 {
        let (weights, state) = engine.state().unwrap();
        assert_held(&mask, weights, state);
        engine.step(&packed.input(), Goal::Labels(packed.targets(2)), &plan(step), &UPDATE).unwrap();
    }
    let logits = engine.logits(&packed.input(), None).unwrap().wait().unwrap();
    let (weights, state) = engine.state().unwrap();
    assert_held(&mask, weights, state);
    let bert = engine.finish().unwrap();
    let expected = machine.reader(&bert).unwrap().logits(&packed.input(), None).unwrap().wait().unwrap();
    assert_eq!(bits(&logits), bits(&expected));
}
