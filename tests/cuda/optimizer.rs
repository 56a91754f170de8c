use std::{ops::Range, rc::Rc};

use half::bf16;
use lottery::{
    error::Result,
    ops::{
        WeightMask,
        cuda::{
            Buffer, Format, Gpu, download,
            optimizer::{self, Outcome, Parameters, Unkept},
        },
        optimizer::{self as cpu, AdamW, Adamax, Optimizer},
    },
};

use crate::support::{assert_within, devices, empty, numbers, on_device, values};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });

const BOTH: [Optimizer; 2] =
    [OPTIMIZER, Optimizer::Adamax(Adamax { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay: 0.1 })];

/// Lengths that end inside a vector, a decay's 16 elements, a block and a part of the norm.
const LENGTHS: [usize; 7] = [1, 3, 16, 77, 1030, 16384, 2 * 16384 + 4097 + 2];

/// An outcome in which only the loss stands.
fn outcome(gpu: &Rc<dyn Gpu>, loss: f64) -> Result<Buffer> {
    let buffer = Buffer::new(gpu);
    stand(gpu, &buffer, loss)?;
    Ok(buffer)
}

/// The loss of a first step.
fn stand(gpu: &Rc<dyn Gpu>, outcome: &Buffer, loss: f64) -> Result<()> {
    gpu.upload(&loss.to_le_bytes(), Outcome::begin(outcome)?)
}

fn judged(
    gpu: &Rc<dyn Gpu>,
    gradient: &Buffer,
    kept: Option<u64>,
    len: usize,
    clip: f64,
    loss: f64,
) -> Result<Buffer> {
    let outcome = outcome(gpu, loss)?;
    let scratch = Buffer::new(gpu);
    scratch.fit(optimizer::norm_scratch(len))?;
    optimizer::judge(&**gpu, gradient.address(), kept, len, clip, outcome.address(), scratch.address())?;
    Ok(outcome)
}

/// Two of three groups of 16 decay.
fn decays(len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let bytes: Vec<u8> = (0..len.div_ceil(16)).map(|i| u8::from(i % 3 != 1)).collect();
    let decayed = bytes.iter().enumerate().filter(|(_, byte)| **byte == 1);
    let ranges = decayed.map(|(i, _)| i * 16..len.min(i * 16 + 16)).collect();
    (bytes, ranges)
}

/// Three steps beside the CPU's, from a state that is not zero. What is held has a gradient that is no number and values
/// that are not zero before the first of them.
fn check_steps(gpu: &Rc<dyn Gpu>, optimizer: Optimizer, len: usize, clip: f64, mask: Option<&WeightMask>) {
    let (bytes, ranges) = decays(len);
    let mut weights = numbers(len, 1, Format::F32);
    let mut state = optimizer.state(len);
    let positive = |seed| numbers(len, seed, Format::F32).into_iter().map(f32::abs).collect();
    state.slots_mut().iter_mut().zip(2..).for_each(|(slot, seed)| slot.values = positive(seed));
    let on_weights = on_device(gpu, &weights, Format::F32).unwrap();
    let [first, second] = [0, 1].map(|i| on_device(gpu, &state.slots()[i].values, Format::F32).unwrap());
    let copy = empty(gpu, len, Format::Bf16).unwrap();
    let [on_bytes, on_mask] = [(); 2].map(|()| Buffer::new(gpu));
    on_bytes.upload(&bytes).unwrap();
    let kept = mask.map(|mask| on_mask.upload(mask.words()).unwrap());
    let held = |i: &usize| mask.is_some_and(|mask| !mask.keeps(*i));
    for steps in 1..=3 {
        let (kernel, of_held) = (optimizer.kernel(), (0..len).filter(held).count());
        let what = format!("{kernel}: {len} clipped at {clip}, {of_held} held, step {steps}");
        let mut gradient = numbers(len, 10 + steps as usize, Format::F32);
        (0..len).filter(held).for_each(|i| gradient[i] = [f32::NAN, f32::INFINITY, 1e30][i % 3]);
        let (norm, rate) = (cpu::norm(&gradient, mask), 1e-2 / f64::from(steps));
        let scale = cpu::clip_scale(norm, clip);
        state.step(&mut weights, &mut gradient.clone(), mask, &ranges, rate, scale);

        let on_gradient = on_device(gpu, &gradient, Format::F32).unwrap();
        let outcome = judged(gpu, &on_gradient, kept, len, clip, 2.5).unwrap();
        let on = Parameters {
            len,
            weights: on_weights.address(),
            gradient: on_gradient.address(),
            slots: &[first.address(), second.address()],
            copy: (steps != 2).then_some(copy.address()),
            decays: on_bytes.address(),
            unkept: kept.map_or(Unkept::None, Unkept::Zero),
        };
        optimizer::step(&**gpu, &optimizer, &on, rate, steps, outcome.address()).unwrap();
        let found = Outcome::fetch(&**gpu, outcome.address()).unwrap().wait().unwrap();
        assert!(found.taken && found.loss == 2.5, "{what}: {found:?}");
        assert!((found.norm - norm).abs() <= 1e-12 * norm, "{what}: {found:?}, not {norm}");
        let [m, v] = [0, 1].map(|slot| &state.slots()[slot].values);
        for (buffer, expected) in [(&on_weights, &weights), (&first, m), (&second, v)] {
            let found = values(gpu, buffer, len, Format::F32).unwrap();
            assert_within(&found, expected, 1e-6, &what);
            assert!((0..len).filter(held).all(|i| found[i].to_bits() == 0), "{what}");
        }
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&values(gpu, &on_gradient, len, Format::F32).unwrap()), bits(&gradient));
        if steps != 2 {
            let found = values(gpu, &on_weights, len, Format::F32).unwrap();
            let rounded: Vec<u16> = found.into_iter().map(|v| bf16::from_f32(v).to_bits()).collect();
            let found: Vec<u16> = download(&**gpu, copy.address(), len).unwrap();
            assert_eq!(found, rounded, "{what}");
        }
    }
}

#[test]
fn steps_are_the_cpus_with_clipping_decay_and_a_copy_in_bf16() {
    for gpu in devices("optimizer") {
        for (len, clip) in LENGTHS.into_iter().flat_map(|len| [(len, 0.0), (len, 1.0)]) {
            BOTH.iter().for_each(|optimizer| check_steps(&gpu, *optimizer, len, clip, None));
        }
    }
}

#[test]
fn what_is_held_becomes_zero_and_counts_nowhere() {
    for gpu in devices("held") {
        for (len, optimizer) in LENGTHS.into_iter().flat_map(|len| BOTH.map(|optimizer| (len, optimizer))) {
            let mut mask = WeightMask::all_kept(len);
            check_steps(&gpu, optimizer, len, 1.0, Some(&mask));
            mask.set(0..len, numbers(len, 7, Format::F32).into_iter().map(|v| v > 0.0));
            check_steps(&gpu, optimizer, len, 1.0, Some(&mask));
            mask.set(len / 3..len, (len / 3..len).map(|_| false));
            check_steps(&gpu, optimizer, len, 0.0, Some(&mask));
        }
    }
}

#[test]
fn what_is_frozen_keeps_its_bits_and_the_rest_is_stepped_as_without() {
    for gpu in devices("frozen") {
        for (len, optimizer) in LENGTHS.into_iter().flat_map(|len| BOTH.map(|optimizer| (len, optimizer))) {
            let mut mask = WeightMask::all_kept(len);
            mask.set(0..len, numbers(len, 7, Format::F32).into_iter().map(|v| v > 0.0));
            let on_bytes = Buffer::new(&gpu);
            on_bytes.upload(&decays(len).0).unwrap();
            let before = [1, 2, 3].map(|seed| numbers(len, seed, Format::F32).into_iter().map(f32::abs));
            let before = before.map(Iterator::collect::<Vec<f32>>);
            let gradient = on_device(&gpu, &numbers(len, 11, Format::F32), Format::F32).unwrap();
            let outcome = judged(&gpu, &gradient, None, len, 1.0, 2.5).unwrap();
            let step = |unkept| {
                let [weights, first, second] =
                    before.each_ref().map(|values| on_device(&gpu, values, Format::F32).unwrap());
                let copy = on_device(&gpu, &before[0], Format::Bf16).unwrap();
                let on = Parameters {
                    len,
                    weights: weights.address(),
                    gradient: gradient.address(),
                    slots: &[first.address(), second.address()],
                    copy: Some(copy.address()),
                    decays: on_bytes.address(),
                    unkept,
                };
                optimizer::step(&*gpu, &optimizer, &on, 1e-2, 2, outcome.address()).unwrap();
                let all = [
                    (weights, Format::F32),
                    (first, Format::F32),
                    (second, Format::F32),
                    (copy, Format::Bf16),
                ];
                all.map(|(buffer, format)| values(&gpu, &buffer, len, format).unwrap())
            };
            let on_mask = Buffer::new(&gpu);
            let frozen = step(Unkept::Frozen(on_mask.upload(mask.words()).unwrap()));
            let rounded = before[0].iter().map(|v| bf16::from_f32(*v).to_f32()).collect::<Vec<_>>();
            let all = frozen.iter().zip(step(Unkept::None)).zip(before.iter().chain([&rounded]));
            for (i, ((found, moved), before)) in all.flat_map(|one| (0..len).map(move |i| (i, one.clone()))) {
                let expected = if mask.keeps(i) { moved[i] } else { before[i] };
                assert_eq!(found[i].to_bits(), expected.to_bits(), "{len}: {i}");
            }
        }
    }
}

#[test]
fn nothing_is_done_when_the_loss_or_the_norm_is_no_finite_number() {
    for gpu in devices("optimizer") {
        let len = 16384 + 21;
        let (bytes, _) = decays(len);
        let on_bytes = Buffer::new(&gpu);
        on_bytes.upload(&bytes).unwrap();
        let cases = [
            (1.0, 0.5, true),
            (f64::NAN, 0.5, false),
            (f64::NEG_INFINITY, 0.5, false),
            (1.0, f32::NAN, false),
            (1.0, f32::INFINITY, false),
            // Its square is no number of f32.
            (1.0, 1e30, true),
        ];
        for (loss, value, taken) in cases {
            let before = numbers(len, 1, Format::F32);
            let mut gradient = numbers(len, 2, Format::F32);
            gradient[len - 1] = value;
            let on_gradient = on_device(&gpu, &gradient, Format::F32).unwrap();
            let buffers = [0; 3].map(|_| on_device(&gpu, &before, Format::F32).unwrap());
            let copy = on_device(&gpu, &before, Format::Bf16).unwrap();
            let outcome = judged(&gpu, &on_gradient, None, len, 1.0, loss).unwrap();
            let on = Parameters {
                len,
                weights: buffers[0].address(),
                gradient: on_gradient.address(),
                slots: &[buffers[1].address(), buffers[2].address()],
                copy: Some(copy.address()),
                decays: on_bytes.address(),
                unkept: Unkept::None,
            };
            optimizer::step(&*gpu, &OPTIMIZER, &on, 1e-2, 1, outcome.address()).unwrap();
            let found = Outcome::fetch(&*gpu, outcome.address()).unwrap().wait().unwrap();
            assert_eq!(found.taken, taken, "{loss} {value}");
            assert_eq!(found.loss.to_bits(), loss.to_bits());
            for buffer in &buffers {
                let after = values(&gpu, buffer, len, Format::F32).unwrap();
                assert_eq!(after == before, !taken, "{loss} {value}");
            }
            let copied: Vec<f32> = values(&gpu, &copy, len, Format::Bf16).unwrap();
            let rounded: Vec<f32> = before.iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
            assert_eq!(copied == rounded, !taken, "{loss} {value}");
        }
    }
}
