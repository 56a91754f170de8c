use lottery::ops::cuda::{Buffer, Format, sums::Parts};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

/// Parts (count, width), in the order in which they are asked for, three rounds of them: more sums than a warp has lanes.
const SHAPES: [(usize, usize); 7] = [(0, 5), (1, 1), (3, 33), (4, 0), (16, 64), (17, 40), (130, 70)];

#[test]
fn parts_of_many_sums_are_added_up_at_once_and_what_is_not_wanted_is_left_out() {
    on_devices("sums", |gpu, _| {
        let memory = Parts::new(gpu);
        let mut found: Vec<Vec<f32>> = Vec::new();
        // The third time is the first again, in the same memory; the second has fewer parts.
        for fewer in [0, 1, 0] {
            let (sums, mut all) = (memory.begin(), Vec::new());
            for (round, (count, width)) in (0..3).flat_map(|round| SHAPES.map(|shape| (round, shape))) {
                let count = usize::saturating_sub(count, fewer);
                let (accumulate, second) = (round > 0, round < 2);
                let parts = numbers(3 * count * width, round + 1, Format::F32);
                let old = numbers(width, round + 2, Format::F32);
                let on_sums = [0; 3].map(|_| on_device(gpu, &old, Format::F32).unwrap());
                let [a, b, c] = on_sums.each_ref().map(Buffer::address);
                let at = sums.add(count, width, [Some(a), second.then_some(b), Some(c)], accumulate)?;
                let on_parts = on_device(gpu, &parts, Format::F32)?;
                gpu.copy(on_parts.address(), at, parts.len() * 4)?;
                for (i, sum) in on_sums.into_iter().enumerate() {
                    let wanted = second || i != 1;
                    let mut expected = if accumulate || !wanted { old.clone() } else { vec![0.0; width] };
                    for part in parts[i * count * width..][..count * width].chunks(width.max(1)) {
                        expected.iter_mut().zip(part).filter(|_| wanted).for_each(|(sum, part)| *sum += part);
                    }
                    all.push((sum, expected, format!("sum {i} of {count} x {width}, {accumulate}")));
                }
            }
            sums.finish()?;
            let mut bits = Vec::new();
            for (sum, expected, what) in all {
                let values = values(gpu, &sum, expected.len(), Format::F32)?;
                assert_close(&values, &expected, Format::F32, &what);
                bits.extend(values);
            }
            found.push(bits);
        }
        assert_eq!(found[0], found[2]);
        Ok(())
    });
}

#[test]
fn no_sums_are_nothing_to_do_and_sums_that_replace_do_not_read() {
    on_devices("sums", |gpu, _| {
        let memory = Parts::new(gpu);
        memory.begin().finish()?;
        let (sums, sum) = (memory.begin(), empty(gpu, 3, Format::F32)?);
        let at = sums.add(2, 3, [Some(sum.address())], false)?;
        gpu.copy(on_device(gpu, &[1.0, 2.0, 3.0, 5.0, 6.0, 7.0], Format::F32)?.address(), at, 24)?;
        sums.finish()?;
        assert_eq!(values(gpu, &sum, 3, Format::F32)?, [6.0, 8.0, 10.0]);
        Ok(())
    });
}
