//! Weights that are held at zero: whole trainings, and steps beside the CPU's.

use lottery::{
    engine::{Goal, Machine},
    ops::cuda::Format,
};

use crate::{
    masked::{ADAMAX, OPTIMIZER, UPDATE, bert, check_best_epoch, check_steps, check_trainings, mask, plan},
    packed::Packed,
    support::on_devices,
};

#[test]
fn held_weights_stay_zero_from_the_first_step_to_the_last_however_often_training_is_stopped() {
    on_devices("held weights", |gpu, format| {
        let machine = Machine::Cuda { gpu: gpu.clone(), format };
        for seed in 0..2 {
            check_trainings(&machine, seed, [OPTIMIZER, ADAMAX][seed as usize]);
            check_steps(&machine, seed + 2);
        }
        check_best_epoch(&machine, 1);
        Ok(())
    });
}

#[test]
fn the_norm_that_clips_is_the_cpus_of_what_is_kept() {
    on_devices("norm of what is kept", |gpu, format| {
        for seed in 0..3 {
            let bert = bert(seed);
            let (mask, packed) = (mask(&bert, seed), Packed::random(&bert.config, &[5, 1, 33, 18], 2, seed));
            let step = |machine: &Machine, mask| {
                let state = OPTIMIZER.state(bert.params.data.len());
                let mut engine = machine.trainer(bert.clone(), state, mask)?;
                engine.step(&packed.input(), Goal::Labels(packed.targets(2)), &plan(0), &UPDATE)?.wait()
            };
            let machine = Machine::Cuda { gpu: gpu.clone(), format };
            let found = step(&machine, Some(mask.clone()))?;
            let expected = step(&Machine::default(), Some(mask))?;
            let limit = if format == Format::F32 { 1e-4 } else { 5e-2 };
            let difference = (found.norm - expected.norm).abs();
            assert!(difference <= limit * expected.norm, "{format:?}: {found:?}, not {expected:?}");
            assert!(step(&machine, None)?.norm > found.norm);
        }
        Ok(())
    });
}
