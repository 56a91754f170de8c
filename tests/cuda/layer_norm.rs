use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        cuda::{Buffer, Format, Gpu, layer_norm, sums::Parts},
        dropout::{Dropout, DropoutPlan},
        layer_norm as cpu,
        rng::Purpose,
    },
};

use crate::support::{assert_close, assert_within, empty, numbers, on_device, on_devices, values};

/// Rows, width, rate of dropout, gate; with a bias, a residual, and the sublayer's output wanted.
type Case = (usize, usize, f32, f32, [bool; 3]);
const CASES: [Case; 17] = [
    (35, SHIFTED, 0.3, 0.7, [true, true, true]),
    (1, 1, 0.0, 1.0, [true, true, true]),
    (3, 5, 0.3, 1.0, [true, true, false]),
    (33, 16, 0.1, 0.5, [true, true, true]),
    (2, 128, 0.1, 1.0, [false, false, false]),
    (37, 128, 0.5, 1.0, [true, true, true]),
    (65, 132, 0.3, 0.0, [true, true, false]),
    (34, 256, 0.1, 1.0, [true, false, false]),
    (31, 384, 0.1, 0.7, [false, true, true]),
    (40, 768, 0.1, 1.0, [true, true, false]),
    (5, 580, 0.0, 0.7, [true, true, true]),
    (17, 900, 0.0, 1.0, [true, true, true]),
    (2, 1024, 0.9, 1.0, [true, true, true]),
    (3, 1022, 0.1, 1.0, [true, true, true]),
    (2, 1027, 0.5, 0.7, [true, true, true]),
    (3, 1536, 0.1, 1.0, [true, true, true]),
    (2, 3201, 0.0, 1.0, [true, true, true]),
];

/// Of this width the parameters do not begin at a whole vector.
const SHIFTED: usize = 640;

struct Input {
    x: Vec<f32>,
    residual: Vec<f32>,
    dy: Vec<f32>,
    bias: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    dropout: Option<Dropout>,
}

fn input((n, h, rate, ..): Case, format: Format) -> Input {
    let plan = DropoutPlan { seed: 5 << 33 | 9, step: 4, hidden: rate, attention: 0.0, classifier: rate };
    Input {
        x: numbers(n * h, 1, format),
        residual: numbers(n * h, 2, format),
        dy: numbers(n * h, 3, format),
        bias: numbers(h, 4, Format::F32),
        gamma: numbers(h, 5, Format::F32).iter().map(|v| 1.0 + 0.5 * v).collect(),
        beta: numbers(h, 6, Format::F32),
        dropout: plan.hidden(Purpose::FfnOutputDropout, 11),
    }
}

/// A parameter (H), and its address.
fn parameter(gpu: &Rc<dyn Gpu>, of: &[f32]) -> Result<(Buffer, u64)> {
    let shift = usize::from(of.len() == SHIFTED);
    let buffer = on_device(gpu, &[&vec![f32::NAN; shift], of].concat(), Format::F32)?;
    let address = buffer.address() + 4 * shift as u64;
    Ok((buffer, address))
}

/// x̂, y, 1/σ and the sublayer's output.
fn forward_on(gpu: &Rc<dyn Gpu>, format: Format, case: Case, input: &Input) -> Result<[Vec<f32>; 4]> {
    let (n, h, _, gate, [bias, residual, output]) = case;
    let x = on_device(gpu, &input.x, format)?;
    let on_residual = on_device(gpu, &input.residual, format)?;
    let [on_bias, gamma, beta] = [&input.bias, &input.gamma, &input.beta].map(|v| parameter(gpu, v).unwrap());
    let (y, inverse) = (empty(gpu, n * h, format)?, empty(gpu, n, Format::F32)?);
    let on_output = empty(gpu, n * h, format)?;
    let sublayer = layer_norm::Sublayer {
        bias: bias.then_some(on_bias.1),
        dropout: input.dropout,
        gate,
        residual: residual.then(|| on_residual.address()),
    };
    let norm = layer_norm::Norm { gamma: gamma.1, beta: beta.1, epsilon: 1e-5 };
    let wanted = output.then(|| on_output.address());
    let (at_y, at_inverse) = (y.address(), inverse.address());
    layer_norm::forward(&**gpu, format, x.address(), &sublayer, &norm, at_y, at_inverse, wanted, n, h)?;
    Ok([
        values(gpu, &x, n * h, format)?,
        values(gpu, &y, n * h, format)?,
        values(gpu, &inverse, n, Format::F32)?,
        if output { values(gpu, &on_output, n * h, format)? } else { Vec::new() },
    ])
}

#[test]
fn layer_norm_agrees_with_the_cpu_over_odd_shapes_with_and_without_all_parts() {
    on_devices("layer norm", |gpu, format| {
        for case in CASES {
            let (n, h, _, gate, [bias, residual, output]) = case;
            let what = format!("{format:?} {case:?}");
            let input = input(case, format);
            let (mut x, mut y, mut inverse) = (input.x.clone(), vec![0.0; n * h], vec![0.0; n]);
            let mut out = vec![0.0; n * h];
            let sublayer = cpu::Sublayer {
                bias: bias.then_some(&input.bias[..]),
                dropout: input.dropout,
                gate,
                residual: residual.then_some(&input.residual[..]),
            };
            let norm = cpu::Norm { gamma: &input.gamma, beta: &input.beta, epsilon: 1e-5 };
            cpu::forward(&mut x, &sublayer, &norm, &mut y, &mut inverse, output.then_some(&mut out[..]));

            let found = forward_on(gpu, format, case, &input)?;
            assert_close(&found[0], &x, format, &what);
            assert_close(&found[1], &y, format, &what);
            assert_within(&found[2], &inverse, 1e-4, &what);
            if output {
                assert_close(&found[3], &out, format, &what);
            }
        }
        Ok(())
    });
}

/// dz, dx and the sums for γ, β and the bias.
fn backward_on(
    gpu: &Rc<dyn Gpu>,
    format: Format,
    case: Case,
    input: &Input,
    (x_hat, inverse): (&[f32], &[f32]),
    wanted: [bool; 2],
) -> Result<[Vec<f32>; 5]> {
    let (n, h, _, gate, [bias, ..]) = case;
    let (dy, x_hat) = (on_device(gpu, &input.dy, format)?, on_device(gpu, x_hat, format)?);
    let inverse = on_device(gpu, inverse, Format::F32)?;
    let gamma = parameter(gpu, &input.gamma)?;
    let dx = empty(gpu, n * h, format)?;
    let sums = [0; 3].map(|_| empty(gpu, h, Format::F32).unwrap());
    let parts = Parts::new(gpu);
    let to_finish = parts.begin();
    let gradients = layer_norm::Gradients {
        gamma: sums[0].address(),
        beta: sums[1].address(),
        bias: bias.then(|| sums[2].address()),
        sums: &to_finish,
    };
    let sublayer = layer_norm::Sublayer { bias: None, dropout: input.dropout, gate, residual: None };
    layer_norm::backward(
        &**gpu,
        format,
        dy.address(),
        x_hat.address(),
        inverse.address(),
        gamma.1,
        &sublayer,
        wanted[0].then(|| dx.address()),
        wanted[1].then_some(&gradients),
        n,
        h,
    )?;
    to_finish.finish()?;
    let sums = sums.iter().zip([wanted[1], wanted[1], wanted[1] && bias]);
    let mut sums =
        sums.map(|(sum, wanted)| values(gpu, sum, if wanted { h } else { 0 }, Format::F32).unwrap());
    Ok([
        values(gpu, &dy, n * h, format)?,
        values(gpu, &dx, if wanted[0] { n * h } else { 0 }, format)?,
        sums.next().unwrap(),
        sums.next().unwrap(),
        sums.next().unwrap(),
    ])
}

#[test]
fn its_gradients_agree_with_the_cpu_and_are_the_same_bits_each_time() {
    on_devices("layer norm's gradients", |gpu, format| {
        for (i, case) in CASES.into_iter().enumerate() {
            let (n, h, _, gate, [bias, ..]) = case;
            let what = format!("{format:?} {case:?}");
            let input = input(case, format);
            let x_hat: Vec<f32> = numbers(n * h, 7, format);
            let inverse: Vec<f32> = numbers(n, 8, Format::F32).iter().map(|v| v + 2.0).collect();
            let sublayer = cpu::Sublayer { bias: None, dropout: input.dropout, gate, residual: None };
            let (mut dz, mut dx) = (input.dy.clone(), vec![0.0; n * h]);
            let mut sums = [0; 3].map(|_| vec![0.0; h]);
            let [gamma, beta, of_bias] = &mut sums;
            let gradients = cpu::Gradients { gamma, beta };
            cpu::backward(&mut dz, &x_hat, &inverse, &input.gamma, &sublayer, &mut dx, Some(gradients));
            dx.chunks(h).for_each(|row| of_bias.iter_mut().zip(row).for_each(|(sum, d)| *sum += d));

            let run = |wanted| backward_on(gpu, format, case, &input, (&x_hat, &inverse), wanted);
            let found = run([true, true])?;
            assert_close(&found[0], &dz, format, &what);
            assert_close(&found[1], &dx, format, &what);
            for (sum, expected) in sums.iter().enumerate().filter(|(sum, _)| bias || *sum < 2) {
                // Sums of what is not yet rounded.
                assert_within(&found[2 + sum], expected, 1e-4, &format!("{what} sum {sum}"));
            }
            if i % 2 == 0 {
                assert_eq!(run([true, true])?, found, "{what}");
            } else {
                assert_eq!(run([false, false])?[0], found[0], "{what}");
            }
        }
        Ok(())
    });
}

#[test]
fn no_rows_have_sums_of_zero() {
    on_devices("layer norm of nothing", |gpu, format| {
        let case = (0, 12, 0.1, 1.0, [true, true, true]);
        let input = input(case, format);
        assert!(forward_on(gpu, format, case, &input)?.iter().all(Vec::is_empty));
        let found = backward_on(gpu, format, case, &input, (&[], &[]), [true, true])?;
        assert_eq!(found[2..], [0; 3].map(|_| vec![0.0; 12]));
        Ok(())
    });
}
