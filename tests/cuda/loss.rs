use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        cuda::{
            Buffer, Format, Gpu, download,
            loss::{self, Targets},
        },
        loss as cpu,
    },
};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

fn room(gpu: &Rc<dyn Gpu>, bytes: usize) -> Result<Buffer> {
    let buffer = Buffer::new(gpu);
    buffer.fit(bytes)?;
    Ok(buffer)
}

fn assert_loss(found: f64, expected: f64, what: &str) {
    let same =
        found.is_nan() && expected.is_nan() || (found - expected).abs() <= 1e-6 * expected.abs().max(1e-3);
    assert!(same, "{what}: {found}, not {expected}");
}

/// Both losses over these examples, on the device and on the CPU.
fn check(gpu: &Rc<dyn Gpu>, format: Format, logits: &[f32], host: cpu::Targets, labels: usize) -> Result<()> {
    let b = logits.len() / labels;
    let what = format!("{format:?} {b} x {labels}");
    let on_targets = Buffer::new(gpu);
    let targets = match host {
        cpu::Targets::Classes(classes) => Targets::Classes(on_targets.upload(classes)?),
        cpu::Targets::Scores(scores) => Targets::Scores(on_targets.upload(scores)?),
        cpu::Targets::Spans { .. } => unreachable!("spans have a test of their own"),
    };
    let on_logits = on_device(gpu, logits, Format::F32)?;
    let mut expected = vec![0.0; b * labels];
    let mean = cpu::mean(logits, host, &mut expected);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (d, mean) = (empty(gpu, b * labels, format)?, room(gpu, 8)?);
        let addresses = (d.address(), mean.address());
        loss::mean(&**gpu, format, on_logits.address(), targets, b, labels, addresses.0, addresses.1)?;
        let found = values(gpu, &d, b * labels, format)?;
        seen.push((download::<f64>(&**gpu, mean.address(), 1)?[0].to_bits(), found));
    }
    assert_eq!(seen[0].0, seen[1].0);
    assert_loss(f64::from_bits(seen[0].0), mean, &what);
    if mean.is_nan() {
        return Ok(());
    }
    assert_eq!(seen[0], seen[1]);
    assert_close(&seen[0].1, &expected, format, &what);
    cpu::per_example(logits, host, &mut expected);
    let d = empty(gpu, b * labels, format)?;
    loss::per_example(&**gpu, format, on_logits.address(), targets, b, labels, d.address())?;
    assert_close(&values(gpu, &d, b * labels, format)?, &expected, format, &what);
    Ok(())
}

#[test]
fn the_losses_over_classes_and_scores_are_the_cpus() {
    on_devices("loss", |gpu, format| {
        for (b, labels) in [(1, 2), (7, 3), (32, 2), (300, 3), (5, 1)] {
            let logits: Vec<f32> = numbers(b * labels, 1, Format::F32).iter().map(|v| v * 9.0).collect();
            let classes: Vec<u32> = (0..b).map(|i| (i * 5 % labels) as u32).collect();
            check(gpu, format, &logits, cpu::Targets::Classes(&classes), labels)?;
            if labels == 1 || labels == 2 {
                let scores = numbers(b * labels, 2, Format::F32);
                check(gpu, format, &logits, cpu::Targets::Scores(&scores), 1)?;
            }
        }
        check(gpu, format, &[1000.0, 0.0], cpu::Targets::Classes(&[1]), 2)?;
        check(gpu, format, &[1.0, 2.0, f32::NAN, 0.0], cpu::Targets::Classes(&[1, 1]), 2)?;
        check(gpu, format, &[f32::INFINITY, 0.0], cpu::Targets::Classes(&[0]), 2)?;
        check(gpu, format, &[1.0, f32::NAN], cpu::Targets::Scores(&[0.0, 1.0]), 1)
    });
}

struct Words {
    d: Vec<f32>,
    losses: Vec<f32>,
    correct: Vec<u32>,
    mean: f64,
}

/// Rows are `gap` elements further apart than they are long.
fn run_words(
    gpu: &Rc<dyn Gpu>,
    format: Format,
    logits: &[f32],
    words: &[u32],
    in_place: bool,
    gap: usize,
) -> Result<Words> {
    let (m, v) = (words.len(), logits.len() / words.len());
    let stride = v + gap;
    let spread: Vec<f32> =
        logits.chunks(v).flat_map(|row| row.iter().copied().chain(vec![f32::NAN; gap])).collect();
    let on_logits = on_device(gpu, &spread, Format::F32)?;
    let (on_words, losses) = (Buffer::new(gpu), empty(gpu, m, Format::F32)?);
    let (correct, mean, d) = (room(gpu, m * 4)?, room(gpu, 8)?, Buffer::new(gpu));
    if !in_place {
        d.activations(m * stride, format)?;
    }
    let d = if in_place { &on_logits } else { &d };
    loss::words(
        &**gpu,
        format,
        on_logits.address(),
        on_words.upload(words)?,
        (m, v, stride),
        d.address(),
        losses.address(),
        correct.address(),
        mean.address(),
    )?;
    let found = values(gpu, d, m * stride, format)?;
    Ok(Words {
        d: found.chunks(stride).flat_map(|row| row[..v].to_vec()).collect(),
        losses: values(gpu, &losses, m, Format::F32)?,
        correct: download(&**gpu, correct.address(), m)?,
        mean: download(&**gpu, mean.address(), 1)?[0],
    })
}

#[test]
fn the_loss_over_words_is_the_cpus_in_its_place_or_beside_it() {
    on_devices("loss", |gpu, format| {
        for (m, v) in [(1, 1usize), (3, 2), (4, 7), (3, 1003), (2, 2049), (1, 30_522)] {
            let what = format!("{format:?} {m} x {v}");
            // The peaks come late and early in the rows, and the words are the likeliest of some.
            let mut logits: Vec<f32> = (0..m * v)
                .map(|i| ((i * 7919) % 4099) as f32 / 300.0 + (i / v % 3) as f32 * (i % v) as f32 / v as f32)
                .collect();
            let words: Vec<u32> = (0..m).map(|i| (i * 151 % v) as u32).collect();
            logits[words[0] as usize] = 30.0;
            let mut expected = logits.clone();
            let predictions = cpu::words(&mut expected, &words);
            let mean = predictions.iter().map(|p| p.loss).sum::<f64>() / m as f64;
            for in_place in [false, true] {
                if in_place && format == Format::Bf16 {
                    continue;
                }
                let found = run_words(gpu, format, &logits, &words, in_place, 0)?;
                assert_close(&found.d, &expected, format, &what);
                for (row, p) in predictions.iter().enumerate() {
                    assert_loss(f64::from(found.losses[row]), p.loss, &format!("{what}, row {row}"));
                    assert_eq!(found.correct[row], u32::from(p.correct), "{what}, row {row}");
                }
                assert_loss(found.mean, mean, &what);
                let again = run_words(gpu, format, &logits, &words, in_place, 0)?;
                assert_eq!((&again.d, &again.losses, again.mean), (&found.d, &found.losses, found.mean));
                // Which thread has which element depends on where rows begin.
                let apart = run_words(gpu, format, &logits, &words, in_place, v.next_multiple_of(8) - v)?;
                assert_close(&apart.d, &expected, format, &what);
                assert_loss(apart.mean, mean, &what);
                assert_eq!(apart.correct, found.correct, "{what}");
            }
        }
        Ok(())
    });
}

#[test]
fn words_of_strange_logits_have_the_losses_that_the_cpu_gives_them() {
    const NONE: f32 = f32::NEG_INFINITY;
    on_devices("loss", |gpu, format| {
        let long = |at: usize, value: f32| (0..3000).map(|i| if i == at { value } else { 0.5 }).collect();
        let lone = (0..3000).map(|i| if i == 1500 { 1.0 } else { NONE }).collect();
        let cases: [(Vec<f32>, u32); 9] = [
            (lone, 1500),
            (vec![NONE, 1.0, NONE, 2.0, NONE], 3),
            (long(2999, NONE), 1),
            (long(17, 1000.0), 17),
            (long(17, 1000.0), 18),
            (long(2050, f32::NAN), 1),
            (long(0, f32::NAN), 0),
            (long(7, f32::INFINITY), 7),
            (vec![f32::NAN; 9], 2),
        ];
        for (logits, word) in cases {
            let mut expected = logits.clone();
            let p = cpu::words(&mut expected, &[word])[0];
            let found = run_words(gpu, format, &logits, &[word], false, 3)?;
            assert_loss(f64::from(found.losses[0]), p.loss, "a row");
            assert_loss(found.mean, p.loss, "the mean");
            if !p.loss.is_nan() {
                assert_eq!(found.correct[0], u32::from(p.correct));
                assert_close(&found.d, &expected, format, "a row");
            }
        }
        // No such word: the CPU refuses, a kernel can only say so by the loss.
        let found = run_words(gpu, format, &[1.0, 2.0, 3.0], &[3], false, 0)?;
        assert!(found.mean.is_nan() && found.losses[0].is_nan());
        Ok(())
    });
}

/// The gradient, divided by `divisor`, each sequence's loss and their mean.
fn run_spans(
    gpu: &Rc<dyn Gpu>,
    format: Format,
    logits: &[f32],
    offsets: &[usize],
    [starts, ends]: [&[u32]; 2],
    divisor: f32,
) -> Result<(Vec<f32>, Vec<f32>, f64)> {
    let (b, len) = (starts.len(), logits.len());
    let [on_offsets, on_targets] = [(); 2].map(|()| Buffer::new(gpu));
    let offsets: Vec<u32> = offsets.iter().map(|at| *at as u32).collect();
    let (offsets, targets) = (on_offsets.upload(&offsets)?, on_targets.upload(&[starts, ends].concat())?);
    let (on_logits, d) = (on_device(gpu, logits, Format::F32)?, empty(gpu, len, format)?);
    let (losses, mean) = (empty(gpu, b, Format::F32)?, room(gpu, 8)?);
    let to = (d.address(), losses.address());
    loss::spans(&**gpu, format, on_logits.address(), offsets, targets, b, divisor, to.0, to.1)?;
    loss::mean_of(&**gpu, losses.address(), b, mean.address())?;
    let mean = download::<f64>(&**gpu, mean.address(), 1)?[0];
    Ok((values(gpu, &d, len, format)?, values(gpu, &losses, b, Format::F32)?, mean))
}

#[test]
fn the_loss_over_spans_is_the_cpus() {
    on_devices("loss", |gpu, format| {
        for lengths in [&[1usize][..], &[2, 1, 7], &[33, 384, 5, 257], &[1000]] {
            let what = format!("{format:?} {lengths:?}");
            let (mut offsets, mut targets) = (vec![0], [vec![], vec![]]);
            for length in lengths {
                offsets.push(offsets[offsets.len() - 1] + length);
                targets[0].push(*length as u32 / 3);
                targets[1].push(*length as u32 - 1);
            }
            let [starts, ends] = targets.each_ref().map(|of| &of[..]);
            let logits: Vec<f32> =
                numbers(2 * offsets[lengths.len()], 1, Format::F32).iter().map(|v| v * 9.0).collect();
            let host = cpu::Targets::Spans { offsets: &offsets, starts, ends };
            let mut expected = vec![0.0; logits.len()];
            let mean = cpu::mean(&logits, host, &mut expected);
            let divisor = lengths.len() as f32;
            let found = run_spans(gpu, format, &logits, &offsets, [starts, ends], divisor)?;
            assert_close(&found.0, &expected, format, &what);
            assert_loss(found.2, mean, &what);
            let own = cpu::per_example(&logits, host, &mut expected);
            let found = run_spans(gpu, format, &logits, &offsets, [starts, ends], 1.0)?;
            assert_close(&found.0, &expected, format, &what);
            found.1.iter().zip(own).for_each(|(a, b)| assert_loss(f64::from(*a), b, &what));
            let again = run_spans(gpu, format, &logits, &offsets, [starts, ends], 1.0)?;
            assert_eq!((again.0, again.1), (found.0, found.1));
        }
        // Large ones, no numbers, and a token that the sequence does not have.
        for (logits, end, expected) in [
            ([0.0, 1000.0, 0.0, 0.0], 1, 500.0 + std::f64::consts::LN_2 / 2.0),
            ([0.0, f32::NAN, 0.0, 0.0], 1, f64::NAN),
            ([0.0; 4], 2, f64::NAN),
        ] {
            let found = run_spans(gpu, format, &logits, &[0, 2], [&[0], &[end]], 1.0)?;
            assert_loss(found.2, expected, "a span");
        }
        Ok(())
    });
}
