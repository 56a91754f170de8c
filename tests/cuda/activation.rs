use lottery::ops::{
    activation::{self as cpu, Activation},
    cuda::{Argument, Format, Grid, activation, sums::Parts},
};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, rounded, values};

#[test]
fn activations_and_their_gradients_agree_with_the_cpu_over_odd_shapes() {
    on_devices("activations", |gpu, format| {
        let sizes = [(1, 1), (3, 7), (33, 16), (40, 260), (65, 1030)];
        let others = [Activation::GeluTanh, Activation::Relu].map(|of| (of, &sizes[..4]));
        let cases = [(Activation::Gelu, &sizes[..])].into_iter().chain(others);
        for (of, (t, f)) in cases.flat_map(|(of, sizes)| sizes.iter().map(move |size| (of, *size))) {
            let what = format!("{format:?} {of:?} {t} x {f}");
            let x: Vec<f32> = numbers(t * f, 1, format).iter().map(|v| v * 4.0).collect();
            let (bias, dy) = (numbers(f, 2, Format::F32), numbers(t * f, 3, format));
            let (mut h, mut a) = (vec![0.0; t * f], vec![0.0; t * f]);
            // On the CPU a product comes first: by 1, the inputs are the bias.
            for (r, row) in x.chunks(f).enumerate() {
                let own: Vec<f32> = row.iter().zip(&bias).map(|(x, b)| x + b).collect();
                let (h, a) = (&mut h[r * f..][..f], &mut a[r * f..][..f]);
                cpu::linear_forward(of, Format::F32, &[1.0], &vec![0.0; f], (1, 1, f), &own, h, Some(a));
            }
            let mut dh = dy.clone();
            cpu::backward(of, &mut h.clone(), &mut dh);
            let db: Vec<f32> = (0..f).map(|j| dh.chunks(f).map(|row| row[j]).sum()).collect();

            let (on_h, on_bias) = (on_device(gpu, &x, format)?, on_device(gpu, &bias, Format::F32)?);
            let on_a = empty(gpu, t * f, format)?;
            let (at_h, at_bias) = (on_h.address(), on_bias.address());
            activation::forward(&**gpu, format, of, at_h, at_bias, on_a.address(), t, f)?;
            assert_close(&values(gpu, &on_h, t * f, format)?, &h, format, &what);
            assert_close(&values(gpu, &on_a, t * f, format)?, &a, format, &what);
            for wanted in [true, false] {
                let on_d = on_device(gpu, &dy, format)?;
                let on_db = empty(gpu, f, Format::F32)?;
                let parts = Parts::new(gpu);
                let sums = parts.begin();
                let db_wanted = wanted.then_some((on_db.address(), &sums));
                activation::backward(&**gpu, format, of, on_h.address(), on_d.address(), t, f, db_wanted)?;
                sums.finish()?;
                assert_close(&values(gpu, &on_d, t * f, format)?, &dh, format, &what);
                if wanted {
                    assert_close(&values(gpu, &on_db, f, Format::F32)?, &db, format, &what);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn gelus_rows_may_be_more_than_a_grid_has_blocks_for() {
    on_devices("gelu in few blocks", |gpu, format| {
        let (t, f) = (23, 20);
        let (x, bias) = (numbers(t * f, 1, format), numbers(f, 2, Format::F32));
        let on_bias = on_device(gpu, &bias, Format::F32)?;
        let kernel = &format!("gelu_forward_{format}");
        let run = |blocks: Option<u32>| {
            let (h, a) = (on_device(gpu, &x, format)?, empty(gpu, t * f, format)?);
            let (at_h, at_bias, at_a) = (h.address(), on_bias.address(), a.address());
            match blocks {
                None => activation::forward(&**gpu, format, Activation::Gelu, at_h, at_bias, at_a, t, f)?,
                Some(blocks) => gpu.launch(
                    kernel,
                    Grid { blocks: [1, blocks, 1], threads: 128, shared: 0 },
                    &[
                        Argument::Address(at_h),
                        Argument::Address(at_bias),
                        Argument::Address(at_a),
                        Argument::U32(t as u32),
                        Argument::U32(f as u32),
                        Argument::U32(1),
                    ],
                )?,
            }
            Ok([values(gpu, &h, t * f, format)?, values(gpu, &a, t * f, format)?])
        };
        let whole = run(None)?;
        for blocks in [1, 2, 5, 9] {
            assert_eq!(run(Some(blocks))?, whole, "{format:?} {blocks}");
        }
        Ok(())
    });
}

#[test]
fn gradients_at_the_ends_of_the_numbers_are_those_of_the_cpu() {
    on_devices("activations at the ends", |gpu, format| {
        let h = [-1e30, -2e19, -1e4, -1e3, 0.0, 1e3, 1e4, 2e19, 1e30].map(|v| rounded(v, format));
        for of in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let mut d = vec![1.0; h.len()];
            cpu::backward(of, &mut h.clone(), &mut d);
            let (on_h, on_d) = (on_device(gpu, &h, format)?, on_device(gpu, &vec![1.0; h.len()], format)?);
            activation::backward(&**gpu, format, of, on_h.address(), on_d.address(), 1, h.len(), None)?;
            let found = values(gpu, &on_d, h.len(), format)?;
            assert!(found.iter().all(|d| d.is_finite()), "{format:?} {of:?} {found:?}");
            assert_close(&found, &d, format, &format!("{format:?} {of:?}"));
        }
        Ok(())
    });
}
