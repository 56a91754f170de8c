use lottery::ops::{cuda::dropout, dropout::DropoutPlan, rng::Purpose};

use crate::support::{numbers, on_device, on_devices, rounded, values};

#[test]
fn dropout_drops_and_scales_what_the_cpu_does_at_any_length() {
    on_devices("dropout", |gpu, format| {
        for (len, rate) in
            [(0, 0.5), (1, 0.5), (5, 0.1), (127, 0.3), (128, 0.5), (131, 0.5), (2051, 0.1), (9216, 0.9)]
        {
            let plan = DropoutPlan {
                seed: 0x1234_5678_9ABC,
                step: 7,
                hidden: rate,
                attention: 0.0,
                classifier: rate,
            };
            let mask = plan.hidden(Purpose::ClassifierDropout, 3).unwrap();
            let x = numbers(len, 1, format);
            let mut expected = x.clone();
            mask.apply(&mut expected);
            expected.iter_mut().for_each(|v| *v = rounded(*v, format));
            let on_x = on_device(gpu, &x, format)?;
            dropout::apply(&**gpu, format, &mask, on_x.address(), len)?;
            assert_eq!(values(gpu, &on_x, len, format)?, expected, "{format:?} {len}");
        }
        Ok(())
    });
}
