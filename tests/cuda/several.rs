//! Training on several tasks at once, beside the CPU's.

use lottery::{
    engine::{Engine, Goal, Machine, Part, Update},
    error::Result,
    model::{Bert, Gates},
    ops::{cuda::Format, dropout::DropoutPlan},
};
use std::sync::Arc;

use crate::{
    masked::{ADAMAX, OPTIMIZER},
    packed::{Packed, config, random_bert, stream},
    support::on_devices,
};

/// Labels of the tasks: classes, scores, and classes.
const LABELS: [usize; 3] = [3, 1, 2];

/// Tickets of the tasks, the last of which is whole.
fn parts(bert: &Bert) -> [Arc<Part>; 3] {
    let gates = |heads: [u8; 6], ffns: [u8; 2]| Gates {
        heads: heads.map(f32::from).to_vec(),
        ffns: ffns.map(f32::from).to_vec(),
    };
    let of = [Some(gates([1, 0, 1, 0, 0, 1], [0, 1])), Some(gates([0, 1, 1, 1, 1, 0], [1, 0])), None];
    let mut numbers = 0..;
    of.map(|gates| {
        let still = gates.as_ref().map(|gates| bert.params.layout.of_closed(gates, &bert.config));
        let classifier = numbers.next().unwrap();
        Arc::new(Part { classifier, gates, still: still.unwrap_or_default() })
    })
}

/// What a step must not change: the ticket's other units, and the other tasks' classifiers.
fn at_rest(bert: &Bert, part: &Part, engine: &mut dyn Engine) -> Result<Vec<u32>> {
    let others = bert.params.layout.classifiers.iter().enumerate().filter(|(n, _)| *n != part.classifier);
    let ranges = part.still.iter().chain(others.flat_map(|(_, classifier)| classifier));
    let (weights, state) = engine.state()?;
    let all: Vec<&[f32]> =
        [weights].into_iter().chain(state.slots().iter().map(|slot| &slot.values[..])).collect();
    Ok(ranges.flat_map(|range| all.iter().flat_map(|of| &of[range.clone()])).map(|v| v.to_bits()).collect())
}

#[test]
fn steps_of_several_tasks_are_the_cpus_and_what_a_task_has_not_keeps_its_bits() {
    on_devices("several tasks", |gpu, format| {
        for (seed, optimizer) in [OPTIMIZER, ADAMAX].into_iter().enumerate() {
            let config = config(2, 24, 3, 40);
            let bert = random_bert(config.clone(), config.full_shape(), LABELS[0], seed as u64);
            let bert = bert.of_several(&LABELS, 4);
            let parts = parts(&bert);
            let machines = [Machine::default(), Machine::Cuda { gpu: gpu.clone(), format }];
            let trainer = |machine: &Machine| {
                machine.trainer(bert.clone(), optimizer.state(bert.params.data.len()), None)
            };
            let [mut cpu, mut device] = [trainer(&machines[0])?, trainer(&machines[1])?];
            let (mut draw, mut taken) = (stream(seed as u64), [0; 3]);
            for i in 0..9 {
                let task = if i < 3 { i } else { draw.below(3) as usize };
                let packed = Packed::random(&config, &[5, 1, 33, 18], LABELS[task], 10 + i as u64);
                let plan =
                    DropoutPlan { seed: 1, step: i as u32, hidden: 0.1, attention: 0.1, classifier: 0.2 };
                let update = Update { learning_rate: 1e-3, clip: 1.0 };
                let before = {
                    device.take_up(&parts[task], taken[task])?;
                    at_rest(&bert, &parts[task], &mut *device)?
                };
                cpu.take_up(&parts[task], taken[task])?;
                taken[task] += 1;
                let step = |engine: &mut dyn Engine| {
                    let goal = Goal::Labels(packed.targets(LABELS[task]));
                    engine.step(&packed.input(), goal, &plan, &update)?.wait()
                };
                let (expected, found) = (step(&mut *cpu)?, step(&mut *device)?);
                let limit = if format == Format::F32 { 1e-4 } else { 6e-2 };
                for (expected, found) in [(expected.loss, found.loss), (expected.norm, found.norm)] {
                    let difference = (expected - found).abs();
                    assert!(difference <= limit * expected, "{format:?} {i}: {found}, not {expected}");
                }
                assert!(before == at_rest(&bert, &parts[task], &mut *device)?, "{format:?} {i}");
            }
            let (expected, found) = (cpu.finish()?, device.finish()?);
            // Steps of 1e-3 or less; a bias of keys has no gradient but rounding noise, whose sign decides the step.
            let limit = if format == Format::F32 { 1e-4 } else { 2e-2 };
            for entry in
                expected.params.layout.entries.iter().filter(|entry| !entry.name.ends_with("key.bias"))
            {
                let [expected, found] = [&expected, &found].map(|bert| bert.params.at(&entry.range));
                let all = expected.iter().zip(found);
                let largest = all.map(|(expected, found)| (expected - found).abs()).fold(0.0, f32::max);
                assert!(largest <= limit, "{format:?} {}: {largest}", entry.name);
            }
        }
        Ok(())
    });
}
