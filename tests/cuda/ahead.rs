//! Training whose steps are asked for before those before them are known.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use super::counting::{Calls, CountingGpu};
use lottery::{
    engine::{Goal, Machine, Update},
    error::Result,
    model::{Bert, Head, LayerShape},
    ops::{
        cuda::{Argument, Format, Gpu, Grid, Product},
        dropout::DropoutPlan,
        optimizer::{AdamW, Optimizer},
        pending::Pending,
    },
    task::Label,
    text::Encoded,
    train::{Batches, Checkpoints, Dataset, Event, Progress, Recipe, Schedule, finetune},
};

use crate::{
    altered::Altered,
    packed::{Packed, config, random_bert_with},
    support::devices,
};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });
const UPDATE: Update = Update { learning_rate: 1e-3, clip: 1.0 };

/// What the third of three steps asks of a device that keeps nothing of what it is given.
fn third_step(bert: &Bert, packed: &Packed, goal: Goal) -> Calls {
    let gpu: Rc<dyn Gpu> = Rc::new(Nothing(Cell::new(256)));
    let counting = Rc::new(CountingGpu::new(&gpu));
    let machine = Machine::Cuda { gpu: counting.clone(), format: Format::Bf16 };
    let mut engine = machine.trainer(bert.clone(), OPTIMIZER.state(bert.params.data.len()), None).unwrap();
    let mut steps = Vec::new();
    for step in 0..3 {
        counting.take();
        let plan = DropoutPlan { seed: 5, step, hidden: 0.1, attention: 0.1, classifier: 0.1 };
        steps.push(engine.step(&packed.input(), goal, &plan, &UPDATE).unwrap());
    }
    counting.take()
}

struct Nothing(Cell<u64>);

impl Gpu for Nothing {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        Ok(self.0.replace(self.0.get() + bytes.next_multiple_of(256) as u64))
    }
    fn free(&self, _: u64) {}
    fn upload(&self, _: &[u8], _: u64) -> Result<()> {
        Ok(())
    }
    fn download(&self, _: u64, to: &mut [u8]) -> Result<()> {
        to.fill(0);
        Ok(())
    }
    fn fetch(&self, _: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        Ok(Pending::InFlight(Box::new(move || Ok(vec![0; bytes]))))
    }
    fn copy(&self, _: u64, _: u64, _: usize) -> Result<()> {
        Ok(())
    }
    fn clear(&self, _: u64, _: usize) -> Result<()> {
        Ok(())
    }
    fn launch(&self, _: &str, _: Grid, _: &[Argument]) -> Result<()> {
        Ok(())
    }
    fn product(&self, _: &Product) -> Result<()> {
        Ok(())
    }
    fn wait(&self) -> Result<()> {
        Ok(())
    }
    fn description(&self) -> String {
        "nothing".into()
    }
}

/// As many layers as BERT-base has, with heads as wide.
fn deep(head: Head) -> Bert {
    let shape = vec![LayerShape { heads: vec![0, 1], ffn: true.into() }; 12];
    random_bert_with(config(12, 128, 2, 80), shape, head, 3)
}

#[test]
fn a_step_neither_waits_nor_takes_memory_and_has_few_launches() {
    let bert = deep(Head::Classifier { labels: 2 });
    let packed = Packed::random(&bert.config, &[5, 1, 33, 18], 2, 3);
    let calls = third_step(&bert, &packed, Goal::Labels(packed.targets(2)));
    let expected = Calls {
        kernels: 140,
        products: 153,
        copies: 1,
        clears: 1,
        uploads: 1,
        fetches: 1,
        waits: 0,
        allocations: 0,
    };
    // As docs/cuda.md has it.
    assert_eq!((calls, calls.launches()), (expected, 297));
    let bert = deep(Head::MaskedLm);
    let calls = third_step(&bert, &packed, Goal::MaskedTokens { rows: &packed.masked, words: &packed.words });
    assert_eq!((calls.waits, calls.allocations), (0, 0), "{calls}");
}

/// A device on which the loss of one step, counted from 1, becomes no number.
fn poisoned(gpu: &Rc<dyn Gpu>, step: u32) -> Rc<dyn Gpu> {
    let left = Cell::new(step);
    Rc::new(Altered {
        gpu: gpu.clone(),
        allocate: |_| Ok(()),
        launch: move |gpu: &dyn Gpu, kernel: &str, arguments: &[Argument]| {
            if kernel == "judge" {
                left.set(left.get().wrapping_sub(1));
                if let (0, Some(Argument::Address(outcome))) = (left.get(), arguments.last()) {
                    gpu.upload(&f64::NAN.to_le_bytes(), *outcome)?;
                }
            }
            Ok(())
        },
    })
}

/// Keeps the steps that it hears of, each with its loss, and wants the work to stop when there are so many.
#[derive(Default)]
struct Listener {
    steps: RefCell<Vec<(u64, f64)>>,
    enough: Option<usize>,
}

impl Progress for Listener {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn event(&mut self, event: &Event) {
        if let Event::Step(step) = event {
            self.steps.borrow_mut().push((step.step, step.loss));
        }
    }
    fn stop_wanted(&self) -> bool {
        self.enough.is_some_and(|enough| self.steps.borrow().len() >= enough)
    }
}

/// Five sentences, and what to learn from them in five steps.
fn task() -> (Bert, Dataset, Recipe) {
    let shape = vec![LayerShape { heads: vec![0, 1], ffn: true.into() }; 2];
    let bert = random_bert_with(config(2, 16, 2, 24), shape, Head::Classifier { labels: 2 }, 3);
    let encoded = (0..5).map(|i| Encoded { ids: vec![1, 7 + i, 3 * i, 2], segments: vec![0; 4] });
    let data = Dataset {
        encoded: encoded.collect(),
        labels: (0..5).map(|i| Label::Class(i % 2)).collect(),
        ..Dataset::default()
    };
    let recipe = Recipe {
        learning_rate: 1e-3,
        batch_size: 1,
        epochs: 1,
        max_steps: None,
        until: None,
        part: None,
        warmup: 0.0,
        clip: 1.0,
        optimizer: OPTIMIZER,
        schedule: Schedule::Linear,
        batches: Batches::Shuffled,
        dropout: 0.1,
        attention_dropout: 0.1,
        classifier_dropout: 0.1,
        order_seed: 1,
        dropout_seed: 2,
    };
    (bert, data, recipe)
}

#[test]
fn a_step_that_diverges_is_named_though_others_were_asked_for_and_nothing_is_kept_of_them() {
    let (bert, data, recipe) = task();
    let dir = tempfile::tempdir().unwrap();
    for (n, gpu) in devices("a_step_that_diverges").into_iter().enumerate() {
        let path = |name: &str| dir.path().join(format!("{name}{n}"));
        let run = |name: &str, bad: u32, enough: Option<usize>| {
            let machine = Machine::Cuda { gpu: poisoned(&gpu, bad), format: Format::F32 };
            let mut listener = Listener { enough, ..Listener::default() };
            let mut checkpoints = Checkpoints::new(path(name), Duration::MAX);
            let outcome =
                finetune(&machine, bert.clone(), None, &data, &recipe, &mut checkpoints, &mut listener);
            let kept = std::fs::read_dir(path(name)).map_or(0, Iterator::count);
            (outcome.map(|(bert, _)| bert.params.data), listener.steps.into_inner(), kept)
        };
        let (whole, all, _) = run("whole", 0, None);
        assert_eq!(all.iter().map(|step| step.0).collect::<Vec<u64>>(), [1, 2, 3, 4, 5]);

        for bad in 1..=5 {
            let (outcome, seen, kept) = run("bad", bad, None);
            let bad = bad as usize;
            let rate = recipe.learning_rate * (6 - bad) as f64 / 5.0;
            let told = format!(
                "the loss is not a finite number at step {bad} of 5 (learning rate {rate:.3e}): training diverged."
            );
            let said = outcome.unwrap_err().to_string();
            assert!(said.starts_with(&told), "{said}");
            assert_eq!((&seen[..], kept), (&all[..bad - 1], 0));
        }
        // It shall stop when the first step is known: the third is bad, and the device has it already.
        let (outcome, seen, kept) = run("bad", 3, Some(1));
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains("at step 3 of 5"), "{said}");
        assert_eq!((&seen[..], kept), (&all[..2], 0));
        // The fourth is bad, but nobody asks for it.
        let (outcome, seen, kept) = run("stopped", 4, Some(1));
        let stopped = outcome.unwrap_err();
        assert_eq!(stopped.exit_code(), 4);
        assert!(stopped.to_string().starts_with("stopped after step 3 of 5"), "{stopped}");
        assert_eq!((&seen[..], kept), (&all[..3], 1));
        let (outcome, seen, _) = run("stopped", 0, None);
        assert_eq!(seen, all[3..]);
        assert!(outcome.unwrap() == *whole.as_ref().unwrap());
    }
}
