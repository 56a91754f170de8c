use lottery::ops::{
    cuda::{
        Format,
        linear::{self, Rows},
        sums::Parts,
    },
    linear as cpu,
    product::Write,
};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, values};

/// (n, i, o); one of them may be 0.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (1, 17, 3),
    (5, 8, 2),
    (33, 65, 31),
    (97, 48, 52),
    (41, 12, 260),
    (0, 5, 7),
    (4, 0, 6),
    (6, 4, 0),
    (0, 0, 3),
];

/// How far apart rows of this length may be.
fn strides(length: usize) -> [usize; 3] {
    [length, length.next_multiple_of(8), length + 3]
}

/// The matrix with NaN between its rows.
fn spread(matrix: &[f32], length: usize, stride: usize) -> Vec<f32> {
    let rows = matrix.chunks(length.max(1));
    rows.flat_map(|row| row.iter().copied().chain(vec![f32::NAN; stride - length])).collect()
}

#[test]
fn a_layers_outputs_are_the_cpus_in_either_format() {
    on_devices("linear", |gpu, format| {
        for (n, i, o) in SHAPES {
            let (x, w) = (numbers(n * i, 1, format), numbers(o * i, 2, format));
            let b = numbers(o, 3, Format::Bf16);
            let mut plain = vec![0.0; n * o];
            cpu::forward(Format::F32, &x, &w, (n, i, o), None, &mut plain);
            let mut biased = vec![0.0; n * o];
            cpu::forward(Format::F32, &x, &w, (n, i, o), Some(&b), &mut biased);
            let (on_x, on_w) = (on_device(gpu, &x, format)?, on_device(gpu, &w, format)?);
            for y_format in [Format::F32, format] {
                let on_b = on_device(gpu, &b, y_format)?;
                for (bias, expected) in [(None, &plain), (Some(on_b.address()), &biased)] {
                    let what = format!("{format:?} {y_format:?} {n} x {i} x {o} {}", bias.is_some());
                    for stride in strides(o) {
                        let y = empty(gpu, n * stride, y_format)?;
                        let (x, w, to) = (on_x.address(), on_w.address(), Rows::apart(y.address(), stride));
                        linear::forward(&**gpu, format, x, w, bias, (n, i, o), to, y_format)?;
                        let found = values(gpu, &y, n * stride, y_format)?;
                        let found: Vec<f32> =
                            found.chunks(stride.max(1)).flat_map(|row| row[..o].to_vec()).collect();
                        assert_close(&found, expected, y_format, &format!("{what} {stride}"));
                    }
                    let y = empty(gpu, n * o, y_format)?;
                    let (x, w) = (on_x.address(), on_w.address());
                    linear::forward(&**gpu, format, x, w, bias, (n, i, o), y.address(), y_format)?;
                    assert_close(&values(gpu, &y, n * o, y_format)?, expected, y_format, &what);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_layers_gradients_are_the_cpus_and_replace_or_add() {
    on_devices("linear", |gpu, format| {
        for (n, i, o) in SHAPES {
            let (x, w) = (numbers(n * i, 1, format), numbers(o * i, 2, format));
            let dy = numbers(n * o, 3, format);
            let (on_x, on_w) = (on_device(gpu, &x, format)?, on_device(gpu, &w, format)?);
            let replacing = strides(o).map(|stride| (false, stride));
            for (accumulate, stride) in [(true, o)].into_iter().chain(replacing) {
                let what = format!("{format:?} {n} x {i} x {o} {accumulate} {stride}");
                let on_dy = on_device(gpu, &spread(&dy, o, stride), format)?;
                let before = |len, seed, format| {
                    if accumulate { numbers(len, seed, format) } else { vec![0.0; len] }
                };
                let (dx, dw) = (before(n * i, 4, format), before(o * i, 5, Format::F32));
                let db = before(o, 6, Format::F32);
                // NaN where nothing may be read.
                let there = |v: &[f32], format| {
                    if accumulate { on_device(gpu, v, format) } else { empty(gpu, v.len(), format) }
                };
                let (on_dx, on_dw) = (there(&dx, format)?, there(&dw, Format::F32)?);
                let on_db = there(&db, Format::F32)?;
                let (mut dx, mut dw, mut db) = (dx, dw, db);
                cpu::backward_input(Format::F32, &dy, &w, (n, i, o), &mut dx, Write::Add);
                cpu::backward_weight(Format::F32, &dy, &x, (n, i, o), &mut dw, &mut db);

                let d =
                    if accumulate { on_dy.address().into() } else { Rows::apart(on_dy.address(), stride) };
                let shape = (n, i, o);
                linear::backward_input(
                    &**gpu,
                    format,
                    d,
                    on_w.address(),
                    shape,
                    on_dx.address(),
                    accumulate,
                )?;
                assert_close(&values(gpu, &on_dx, n * i, format)?, &dx, format, &what);
                linear::backward_weight(
                    &**gpu,
                    format,
                    d,
                    on_x.address(),
                    shape,
                    on_dw.address(),
                    accumulate,
                )?;
                assert_close(&values(gpu, &on_dw, o * i, Format::F32)?, &dw, Format::F32, &what);
                let (to, parts) = (on_db.address(), Parts::new(gpu));
                let sums = parts.begin();
                linear::backward_bias(&**gpu, format, d, n, o, to, &sums, accumulate)?;
                sums.finish()?;
                let found = values(gpu, &on_db, o, Format::F32)?;
                assert_close(&found, &db, Format::F32, &what);
                if !accumulate {
                    let sums = parts.begin();
                    linear::backward_bias(&**gpu, format, d, n, o, to, &sums, false)?;
                    sums.finish()?;
                    assert_eq!(values(gpu, &on_db, o, Format::F32)?, found, "{what}");
                }
            }
        }
        Ok(())
    });
}
