//! Bias and an FFN's activation in one pass: a = f(h), h = x + b.

use super::{
    Format, Shared,
    product::{Part, ProductOptions, View, Write, matmul},
    simd::exp,
};
use crate::dispatch;
use rayon::prelude::*;

/// What an FFN computes between its two linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// h Φ(h), Φ being the normal distribution's cumulative (Hendrycks and Gimpel 2016): the exact form, BERT's.
    #[default]
    Gelu,
    /// Its approximation h/2 · (1 + tanh(√(2/π) (h + 0.044715 h³))), of the same paper.
    GeluTanh,
    /// max(h, 0)
    Relu,
}

/// What the pooler computes behind its linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolerActivation {
    Tanh,
    Relu,
}

impl PoolerActivation {
    /// x ← f(x)
    pub fn apply(self, x: &mut [f32]) {
        x.iter_mut().for_each(|v| *v = self.value(*v));
    }

    /// d ← d ⊙ f', by f's output y.
    pub fn apply_backward(self, d: &mut [f32], y: &[f32]) {
        d.iter_mut().zip(y).for_each(|(d, y)| *d *= self.slope(*y));
    }

    pub fn value(self, x: f32) -> f32 {
        match self {
            Self::Tanh => x.tanh(),
            Self::Relu => Relu::value(x),
        }
    }

    /// The derivative, by the value y.
    pub fn slope(self, y: f32) -> f32 {
        match self {
            Self::Tanh => 1.0 - y * y,
            Self::Relu => f32::from(u8::from(y > 0.0)),
        }
    }
}

/// One activation, as the loops below are compiled for it.
trait Function {
    fn value(h: f32) -> f32 {
        Self::value_and_slope(h).0
    }

    fn value_and_slope(h: f32) -> (f32, f32);
}

struct Gelu;
struct GeluTanh;
struct Relu;

impl Function for Gelu {
    #[inline(always)]
    fn value(h: f32) -> f32 {
        h * normal(h).0
    }

    #[inline(always)]
    fn value_and_slope(h: f32) -> (f32, f32) {
        let (cumulative, density) = normal(h);
        (h * cumulative, h.mul_add(density, cumulative))
    }
}

impl Function for GeluTanh {
    #[inline(always)]
    fn value(h: f32) -> f32 {
        h * logistic(h).0
    }

    #[inline(always)]
    fn value_and_slope(h: f32) -> (f32, f32) {
        let (s, slope) = logistic(h);
        // d(2u)/dh; beyond these bounds the slope is zero, and h² is not to overflow.
        let near = h.clamp(-1e3, 1e3);
        let inner = (near * near).mul_add(0.214_064_45, 1.595_769);
        (h * s, (near * inner).mul_add(slope, s))
    }
}

impl Function for Relu {
    #[inline(always)]
    fn value(h: f32) -> f32 {
        // `max` would turn NaN into a number.
        if h < 0.0 { 0.0 } else { h }
    }

    #[inline(always)]
    fn value_and_slope(h: f32) -> (f32, f32) {
        (Self::value(h), if h > 0.0 { 1.0 } else { 0.0 })
    }
}

/// (1 + tanh(u)) / 2 = 1 / (1 + e⁻²ᵘ), u = √(2/π) (h + 0.044715 h³), and that function's derivative by 2u. Both are
/// computed from e⁻²|ᵘ|, so that neither is the difference of two numbers near 1.
#[inline(always)]
fn logistic(h: f32) -> (f32, f32) {
    let twice_u = h * (h * h).mul_add(0.071_354_82, 1.595_769);
    let e = exp(-twice_u.abs());
    let r = 1.0 / (1.0 + e);
    let rest = e * r;
    (if twice_u >= 0.0 { r } else { rest }, rest * r)
}

/// (Φ(h), φ(h)): the normal distribution's cumulative and density. Φ through Abramowitz and Stegun 7.1.26, whose
/// absolute error is below 1.5e-7, one unit in the last place of an f32 near 1.
#[inline(always)]
fn normal(h: f32) -> (f32, f32) {
    let e = exp(-0.5 * h * h);
    let t = 1.0 / (h.abs() * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152);
    let p = t.mul_add(p, 1.421_413_8);
    let p = t.mul_add(p, -0.284_496_72);
    let p = t.mul_add(p, 0.254_829_6);
    let tail = 0.5 * p * t * e;
    (if h >= 0.0 { 1.0 - tail } else { tail }, e * 0.398_942_3)
}

/// Elements that the kernels handle at a time: whole registers, whatever the width.
const WIDTH: usize = 16;

/// Elements of a buffer on the stack.
const SPARE: usize = 128;

/// h ← h + b, a ← f(h)
#[inline(always)]
fn forward_row<F: Function>(h: &mut [f32], bias: &[f32], a: &mut [f32]) {
    let one = |h: &mut f32, b: f32, a: &mut f32| {
        *h += b;
        *a = F::value(*h);
    };
    let ((h, h_rest), (a, a_rest)) = (h.as_chunks_mut::<WIDTH>(), a.as_chunks_mut::<WIDTH>());
    let (bias, bias_rest) = bias.as_chunks::<WIDTH>();
    for ((h, b), a) in h.iter_mut().zip(bias).zip(a) {
        for i in 0..WIDTH {
            one(&mut h[i], b[i], &mut a[i]);
        }
    }
    for ((h, b), a) in h_rest.iter_mut().zip(bias_rest).zip(a_rest) {
        one(h, *b, a);
    }
}

/// d ← d ⊙ f'(h), h ← f(h)
#[inline(always)]
fn backward_row<F: Function>(h: &mut [f32], d: &mut [f32]) {
    let one = |h: &mut f32, d: &mut f32| {
        let (value, slope) = F::value_and_slope(*h);
        *d *= slope;
        *h = value;
    };
    let ((h, h_rest), (d, d_rest)) = (h.as_chunks_mut::<WIDTH>(), d.as_chunks_mut::<WIDTH>());
    for (h, d) in h.iter_mut().zip(d) {
        for i in 0..WIDTH {
            one(&mut h[i], &mut d[i]);
        }
    }
    for (h, d) in h_rest.iter_mut().zip(d_rest) {
        one(h, d);
    }
}

#[inline(always)]
fn forward_rows<F: Function>(part: &mut Part, bias: &[f32], a: Option<Shared>) {
    let (f, column, columns) = (bias.len(), part.column, part.columns);
    let bias = &bias[column..column + columns];
    let mut spare = [0f32; SPARE];
    for (row, h) in part.rows() {
        if let Some(a) = a {
            // SAFETY: `linear_forward` borrows `a` exclusively and checked that it has the n × f elements of the
            // product; parts of a product do not overlap, so no other task has these columns of this row.
            let a = unsafe { std::slice::from_raw_parts_mut(a.at(row * f + column), columns) };
            forward_row::<F>(h, bias, a);
            continue;
        }
        for (h, bias) in h.chunks_mut(SPARE).zip(bias.chunks(SPARE)) {
            let a = &mut spare[..h.len()];
            forward_row::<F>(h, bias, a);
            h.copy_from_slice(a);
        }
    }
}

#[inline(always)]
fn backward_rows<F: Function>(part: &mut Part, h: Shared, f: usize) {
    let (column, columns) = (part.column, part.columns);
    for (row, d) in part.rows() {
        // SAFETY: `linear_backward` borrows `h` exclusively and checked that it has the n × f elements of the product;
        // parts of a product do not overlap, so no other task has these columns of this row.
        backward_row::<F>(unsafe { std::slice::from_raw_parts_mut(h.at(row * f + column), columns) }, d);
    }
}

dispatch! {
    fn forward_part(function: Activation, part: &mut Part, bias: &[f32], a: Option<Shared>) {
        match function {
            Activation::Gelu => forward_rows::<Gelu>(part, bias, a),
            Activation::GeluTanh => forward_rows::<GeluTanh>(part, bias, a),
            Activation::Relu => forward_rows::<Relu>(part, bias, a),
        }
    }
}

dispatch! {
    fn backward_part(function: Activation, part: &mut Part, h: Shared, f: usize) {
        match function {
            Activation::Gelu => backward_rows::<Gelu>(part, h, f),
            Activation::GeluTanh => backward_rows::<GeluTanh>(part, h, f),
            Activation::Relu => backward_rows::<Relu>(part, h, f),
        }
    }
}

dispatch! {
    fn backward_slice(function: Activation, h: &mut [f32], d: &mut [f32]) {
        match function {
            Activation::Gelu => backward_row::<Gelu>(h, d),
            Activation::GeluTanh => backward_row::<GeluTanh>(h, d),
            Activation::Relu => backward_row::<Relu>(h, d),
        }
    }
}

/// h ← x Wᵀ + b, a ← f(h): (n, i) · (i, o) → (n, o) twice. `h` is what the backward pass needs; without `a`, f(h)
/// takes its place.
#[allow(clippy::too_many_arguments)]
pub fn linear_forward(
    function: Activation,
    format: Format,
    x: &[f32],
    w: &[f32],
    (n, i, o): (usize, usize, usize),
    bias: &[f32],
    h: &mut [f32],
    a: Option<&mut [f32]>,
) {
    assert!(bias.len() == o && a.as_ref().is_none_or(|a| a.len() >= n * o));
    let to = a.map(|a| Shared(a.as_mut_ptr()));
    let epilogue = |mut part: Part| forward_part(function, &mut part, bias, to);
    let options = ProductOptions { write: Write::Replace, epilogue: Some(&epilogue), row_sums: None };
    matmul(format, (n, o, i), View::rows(x, i), View::rows(w, i).t(), h, o, options);
}

/// dh ← (dy W) ⊙ f'(h), dy W being the gradient by a of a linear layer that reads it: (n, o) · (o, i) → (n, i). h
/// (n, i) becomes f(h), which the gradient by that layer's weights needs: computed along with f'(h) it costs
/// almost nothing, and it need not be kept.
pub fn linear_backward(
    function: Activation,
    format: Format,
    dy: &[f32],
    w: &[f32],
    (n, i, o): (usize, usize, usize),
    h: &mut [f32],
    dh: &mut [f32],
) {
    assert!(h.len() >= n * i);
    let h = Shared(h.as_mut_ptr());
    let epilogue = |mut part: Part| backward_part(function, &mut part, h, i);
    let options = ProductOptions { write: Write::Replace, epilogue: Some(&epilogue), row_sums: None };
    matmul(format, (n, i, o), View::rows(dy, o), View::rows(w, i), dh, i, options);
}

/// da (T, F) becomes dh in place, and h f(h).
pub fn backward(function: Activation, h: &mut [f32], da: &mut [f32]) {
    const TASK: usize = 1 << 14;
    h.par_chunks_mut(TASK).zip(da.par_chunks_mut(TASK)).for_each(|(h, d)| backward_slice(function, h, d));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0.5 (1 + erf(x / √2)) by the series and continued fraction, in f64.
    fn phi(x: f64) -> f64 {
        let z = x.abs() / std::f64::consts::SQRT_2;
        let mut term = z;
        let mut sum = z;
        for n in 1..200 {
            term *= -z * z / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        let erf = if z < 4.5 { 2.0 / std::f64::consts::PI.sqrt() * sum } else { 1.0 };
        0.5 * (1.0 + erf * x.signum())
    }

    #[test]
    fn forward_and_backward_agree_with_f64_over_odd_shapes() {
        for (n, i, f) in [(37, 1, 1), (5, 2, 3), (37, 1, 16), (40, 3, 17), (13, 2, 100), (150, 1, 35)] {
            // One input is the sum that the GELU sees, the others are zero: the product itself is exact.
            let x: Vec<f32> = (0..n * i).map(|at| f32::from(u8::from(at % i == 0))).collect();
            let w: Vec<f32> = (0..f * i).map(|at| ((at * 31 % 997) as f32 / 997.0 - 0.5) * 14.0).collect();
            let bias: Vec<f32> = (0..f).map(|j| j as f32 / f as f32 - 0.3).collect();
            let (mut h, mut a) = (vec![0.0; n * f], vec![0.0; n * f]);
            linear_forward(Activation::Gelu, Format::F32, &x, &w, (n, i, f), &bias, &mut h, Some(&mut a));
            let mut alone = vec![0.0; n * f];
            linear_forward(Activation::Gelu, Format::F32, &x, &w, (n, i, f), &bias, &mut alone, None);
            assert_eq!(alone, a, "in place");
            // The layer above is 2 times the identity.
            let dy: Vec<f32> = (0..n * f).map(|at| (at % 13) as f32 / 6.0 - 1.0).collect();
            let twice: Vec<f32> = (0..f * f).map(|at| if at / f == at % f { 2.0 } else { 0.0 }).collect();
            let mut dh = vec![0.0; n * f];
            let (mut again, mut in_plain) = (h.clone(), h.clone());
            linear_backward(Activation::Gelu, Format::F32, &dy, &twice, (n, f, f), &mut again, &mut dh);
            let mut plain: Vec<f32> = dy.iter().map(|d| 2.0 * d).collect();
            backward(Activation::Gelu, &mut in_plain, &mut plain);
            assert!(again == a && in_plain == a, "gelu(h) anew");
            for at in 0..n * f {
                let v = f64::from(w[at % f * i] + bias[at % f]);
                assert!((f64::from(h[at]) - v).abs() < 1e-6);
                assert!((f64::from(a[at]) - v * phi(v)).abs() < 1.5e-6, "gelu({v})");
                let density = (-0.5 * v * v).exp() / (2.0 * std::f64::consts::PI).sqrt();
                let gradient = 2.0 * f64::from(dy[at]) * (phi(v) + v * density);
                assert!((f64::from(dh[at]) - gradient).abs() < 4e-6, "gelu'({v})");
                assert!((f64::from(plain[at]) - gradient).abs() < 4e-6, "gelu'({v}) alone");
            }
        }
    }
}
