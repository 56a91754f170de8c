use lottery::ops::cuda::{Buffer, Format, sums};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

#[test]
fn parts_of_several_sums_are_added_up_at_once_and_what_is_not_wanted_is_left_out() {
    on_devices("sums", |gpu, format| {
        for (count, width) in [(0, 5), (1, 1), (3, 33), (16, 64), (17, 40), (130, 70)] {
            let what = format!("{count} x {width}");
            let parts = numbers(3 * count * width, 1, Format::F32);
            let old = numbers(width, 2, Format::F32);
            for (accumulate, second) in [(false, true), (true, true), (true, false)] {
                let on_parts = on_device(gpu, &parts, Format::F32)?;
                let on_sums = [0; 3].map(|_| on_device(gpu, &old, Format::F32).unwrap());
                let [a, b, c] = on_sums.each_ref().map(Buffer::address);
                let wanted = [Some(a), second.then_some(b), Some(c)];
                sums::add_all_parts(&**gpu, on_parts.address(), count, width, wanted, accumulate)?;
                for (i, sum) in on_sums.iter().enumerate() {
                    let mut expected = if accumulate || !second { old.clone() } else { vec![0.0; width] };
                    if second || i != 1 {
                        for part in parts[i * count * width..][..count * width].chunks(width) {
                            expected.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                        }
                    }
                    assert_close(&values(gpu, sum, width, Format::F32)?, &expected, Format::F32, &what);
                }
            }
            let (on_parts, sum) = (on_device(gpu, &parts, Format::F32)?, empty(gpu, width, Format::F32)?);
            sums::add_parts(&**gpu, on_parts.address(), count, width, sum.address(), false)?;
            let found = values(gpu, &sum, width, Format::F32)?;
            assert!(found.iter().all(|v| v.is_finite()), "{what} {format:?}");
        }
        Ok(())
    });
}
