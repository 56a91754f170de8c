use lottery::ops::{
    cuda::{Format, gelu, sums},
    gelu as cpu,
};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

#[test]
fn gelu_and_its_gradient_agree_with_the_cpu_over_odd_shapes() {
    on_devices("gelu", |gpu, format| {
        for (t, f) in [(1, 1), (3, 7), (33, 16), (40, 260), (65, 1030)] {
            let what = format!("{format:?} {t} x {f}");
            let x: Vec<f32> = numbers(t * f, 1, format).iter().map(|v| v * 4.0).collect();
            let (bias, dy) = (numbers(f, 2, Format::F32), numbers(t * f, 3, format));
            let (mut h, mut a) = (x.clone(), vec![0.0; t * f]);
            cpu::forward(&mut h, &bias, &mut a);
            let (mut dh, mut db) = (dy.clone(), vec![0.0; f]);
            cpu::backward(&h, &mut dh, f, Some(&mut db));

            let (on_h, on_bias) = (on_device(gpu, &x, format)?, on_device(gpu, &bias, Format::F32)?);
            let on_a = empty(gpu, t * f, format)?;
            gelu::forward(&**gpu, format, on_h.address(), on_bias.address(), on_a.address(), t, f)?;
            assert_close(&values(gpu, &on_h, t * f, format)?, &h, format, &what);
            assert_close(&values(gpu, &on_a, t * f, format)?, &a, format, &what);
            for wanted in [true, false] {
                let on_d = on_device(gpu, &dy, format)?;
                let on_db = empty(gpu, f, Format::F32)?;
                let scratch = empty(gpu, sums::parts(t) * f, Format::F32)?;
                let sums = wanted.then_some((on_db.address(), scratch.address()));
                gelu::backward(&**gpu, format, on_h.address(), on_d.address(), t, f, sums)?;
                assert_close(&values(gpu, &on_d, t * f, format)?, &dh, format, &what);
                if wanted {
                    assert_close(&values(gpu, &on_db, f, Format::F32)?, &db, format, &what);
                }
            }
        }
        Ok(())
    });
}
