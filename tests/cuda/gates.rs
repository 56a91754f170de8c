use lottery::ops::cuda::{Format, gates};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

const SHAPES: [(usize, usize, usize); 8] =
    [(0, 3, 8), (1, 1, 1), (3, 2, 7), (5, 12, 64), (2, 3, 20), (9, 1, 257), (3, 1, 768), (33, 5, 4)];

#[test]
fn heads_are_scaled_by_their_gates() {
    on_devices("gates", |gpu, format| {
        for (rows, heads, d) in SHAPES {
            let x = numbers(rows * heads * d, 1, format);
            let gate = numbers(heads, 2, Format::F32);
            let expected: Vec<f32> = x.iter().enumerate().map(|(i, v)| v * gate[i / d % heads]).collect();
            let (on_x, on_gate) = (on_device(gpu, &x, format)?, on_device(gpu, &gate, Format::F32)?);
            gates::scale_heads(&**gpu, format, on_x.address(), on_gate.address(), rows, heads, d)?;
            let what = format!("{format:?} {rows} x {heads} x {d}");
            assert_close(&values(gpu, &on_x, x.len(), format)?, &expected, format, &what);
        }
        Ok(())
    });
}

#[test]
fn the_gates_gradients_are_the_products_of_every_row_and_head() {
    on_devices("gates", |gpu, format| {
        for (rows, heads, d) in SHAPES {
            let (x, dx) = (numbers(rows * heads * d, 1, format), numbers(rows * heads * d, 2, format));
            let expected: Vec<f32> = x
                .chunks(d)
                .zip(dx.chunks(d))
                .map(|(x, dx)| {
                    x.iter().zip(dx).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
                })
                .collect();
            let (on_x, on_dx) = (on_device(gpu, &x, format)?, on_device(gpu, &dx, format)?);
            let mut seen = Vec::new();
            for _ in 0..2 {
                let out = empty(gpu, rows * heads, Format::F32)?;
                gates::products(
                    &**gpu,
                    format,
                    on_x.address(),
                    on_dx.address(),
                    rows,
                    heads,
                    d,
                    out.address(),
                )?;
                let found = values(gpu, &out, rows * heads, Format::F32)?;
                // The sums are of f32 whatever the format.
                let what = format!("{format:?} {rows} x {heads} x {d}");
                assert_close(&found, &expected, Format::F32, &what);
                seen.push(found);
            }
            assert_eq!(seen[0], seen[1]);
        }
        Ok(())
    });
}
