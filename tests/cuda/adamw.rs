use std::{ops::Range, rc::Rc};

use half::bf16;
use lottery::{
    error::Result,
    ops::{
        adamw::{self as cpu, AdamW, Moments},
        cuda::{
            Buffer, Format, Gpu,
            adamw::{self, Outcome},
            download,
        },
    },
};

use crate::support::{assert_within, devices, empty, numbers, on_device, values};

const OPTIMIZER: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };

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

fn judged(gpu: &Rc<dyn Gpu>, gradient: &Buffer, len: usize, clip: f64, loss: f64) -> Result<Buffer> {
    let outcome = outcome(gpu, loss)?;
    let scratch = Buffer::new(gpu);
    scratch.fit(adamw::norm_scratch(len))?;
    adamw::judge(&**gpu, gradient.address(), len, clip, outcome.address(), scratch.address())?;
    Ok(outcome)
}

/// Two of three groups of 16 decay.
fn decays(len: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let bytes: Vec<u8> = (0..len.div_ceil(16)).map(|i| u8::from(i % 3 != 1)).collect();
    let decayed = bytes.iter().enumerate().filter(|(_, byte)| **byte == 1);
    let ranges = decayed.map(|(i, _)| i * 16..len.min(i * 16 + 16)).collect();
    (bytes, ranges)
}

#[test]
fn steps_are_the_cpus_with_clipping_decay_and_a_copy_in_bf16() {
    for gpu in devices("adamw") {
        for (len, clip) in LENGTHS.into_iter().flat_map(|len| [(len, 0.0), (len, 1.0)]) {
            let (bytes, ranges) = decays(len);
            let mut weights = numbers(len, 1, Format::F32);
            let mut moments = Moments::zeros(len);
            let on_weights = on_device(&gpu, &weights, Format::F32).unwrap();
            let [first, second] = [0, 1].map(|_| on_device(&gpu, &vec![0.0; len], Format::F32).unwrap());
            let copy = empty(&gpu, len, Format::Bf16).unwrap();
            let on_bytes = Buffer::new(&gpu);
            on_bytes.upload(&bytes).unwrap();
            for steps in 1..=3 {
                let what = format!("{len} clipped at {clip}, step {steps}");
                let gradient = numbers(len, 10 + steps as usize, Format::F32);
                let (norm, rate) = (cpu::norm(&gradient), 1e-2 / f64::from(steps));
                let scale = cpu::clip_scale(norm, clip);
                OPTIMIZER.step(&mut weights, &mut gradient.clone(), &mut moments, &ranges, rate, scale);

                let on_gradient = on_device(&gpu, &gradient, Format::F32).unwrap();
                let outcome = judged(&gpu, &on_gradient, len, clip, 2.5).unwrap();
                adamw::step(
                    &*gpu,
                    &OPTIMIZER,
                    on_weights.address(),
                    on_gradient.address(),
                    first.address(),
                    second.address(),
                    (steps != 2).then_some(copy.address()),
                    on_bytes.address(),
                    len,
                    rate,
                    steps,
                    outcome.address(),
                )
                .unwrap();
                let found = Outcome::fetch(&*gpu, outcome.address()).unwrap().wait().unwrap();
                assert!(found.taken && found.loss == 2.5, "{what}: {found:?}");
                assert!((found.norm - norm).abs() <= 1e-12 * norm, "{what}: {found:?}, not {norm}");
                for (buffer, expected) in
                    [(&on_weights, &weights), (&first, &moments.first), (&second, &moments.second)]
                {
                    let found = values(&gpu, buffer, len, Format::F32).unwrap();
                    assert_within(&found, expected, 1e-6, &what);
                }
                assert_eq!(values(&gpu, &on_gradient, len, Format::F32).unwrap(), gradient);
                if steps != 2 {
                    let found = values(&gpu, &on_weights, len, Format::F32).unwrap();
                    let rounded: Vec<bf16> = found.into_iter().map(bf16::from_f32).collect();
                    let found: Vec<bf16> = download(&*gpu, copy.address(), len).unwrap();
                    assert_eq!(found, rounded, "{what}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_done_when_the_loss_or_the_norm_is_no_finite_number() {
    for gpu in devices("adamw") {
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
            let outcome = judged(&gpu, &on_gradient, len, 1.0, loss).unwrap();
            adamw::step(
                &*gpu,
                &OPTIMIZER,
                buffers[0].address(),
                on_gradient.address(),
                buffers[1].address(),
                buffers[2].address(),
                Some(copy.address()),
                on_bytes.address(),
                len,
                1e-2,
                1,
                outcome.address(),
            )
            .unwrap();
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
