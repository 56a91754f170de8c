use lottery::ops::{
    activation::PoolerActivation,
    cuda::{Format, pooler},
    dropout::{Dropout, DropoutPlan},
    rng::Purpose,
};

use crate::support::{assert_within, empty, numbers, on_device, on_devices, rounded, values};

#[test]
fn the_poolers_activations_with_dropout_and_their_gradients_agree_with_the_cpu() {
    let mask = |rate| {
        DropoutPlan { seed: 0x1_2345_6789, step: 7, hidden: rate, attention: 0.0, classifier: rate }
            .hidden(Purpose::ClassifierDropout, 0)
    };
    let apply = |mask: &Option<Dropout>, x: &mut [f32]| mask.iter().for_each(|mask| mask.apply(x));
    on_devices("pooler", |gpu, format| {
        let sizes = [0, 1, 127, 130, 3 * 768].into_iter();
        let cases = sizes.flat_map(|n| [(n, mask(0.0)), (n, mask(0.3))]);
        let both = [PoolerActivation::Tanh, PoolerActivation::Relu];
        for ((len, mask), of) in cases.flat_map(|case| both.map(|of| (case, of))) {
            let what = format!("{format:?} {of:?} {len} {}", mask.is_some());
            let x: Vec<f32> = numbers(len, 1, format).iter().map(|v| v * 4.0).collect();
            let y: Vec<f32> = x.iter().map(|v| rounded(of.value(*v), format)).collect();
            let mut dropped = y.clone();
            apply(&mask, &mut dropped);
            let d = numbers(len, 2, format);
            let mut dx = d.clone();
            apply(&mask, &mut dx);
            dx.iter_mut().zip(&y).for_each(|(d, y)| *d *= of.slope(*y));

            let limit = if format == Format::F32 { 1e-6 } else { 8e-3 };
            let (on_x, on_dropped) = (on_device(gpu, &x, format)?, empty(gpu, len, format)?);
            let (address, mask) = (on_x.address(), mask.as_ref());
            pooler::forward(&**gpu, format, of, address, mask, on_dropped.address(), len)?;
            assert_within(&values(gpu, &on_x, len, format)?, &y, limit, &what);
            let found = values(gpu, &on_dropped, len, format)?;
            assert_within(&found, &dropped, limit, &what);
            assert!(found.iter().zip(&dropped).all(|(a, b)| (*a == 0.0) == (*b == 0.0)), "{what}");
            let on_d = on_device(gpu, &d, format)?;
            pooler::backward(&**gpu, format, of, on_d.address(), address, mask, len)?;
            assert_within(&values(gpu, &on_d, len, format)?, &dx, limit, &what);
        }
        Ok(())
    });
}
