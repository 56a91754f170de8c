use super::*;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Σ dC ⊙ C in f64.
fn objective(
    qkv: &[f32],
    w: usize,
    shape: &Shape,
    dropout: Option<(&DropoutPlan, usize)>,
    dc: &[f32],
) -> f64 {
    let (d, at) = (shape.head_size, |r: usize, c: usize| f64::from(qkv[r * 3 * w + c]));
    let mut total = 0.0;
    for s in 0..shape.sequences() {
        let (q0, q1, k0, k1) = (shape.queries[s], shape.queries[s + 1], shape.keys[s], shape.keys[s + 1]);
        for (h, number) in shape.heads.iter().enumerate() {
            let mut mask = vec![1f32; (q1 - q0) * (k1 - k0)];
            if let Some(m) = dropout.and_then(|(plan, layer)| plan.attention(layer, *number, s)) {
                m.multipliers(0, &mut mask);
            }
            for i in q0..q1 {
                let logits: Vec<f64> = (k0..k1)
                    .map(|j| {
                        let dot: f64 = (0..d).map(|c| at(i, h * d + c) * at(j, w + h * d + c)).sum();
                        dot / (d as f64).sqrt()
                    })
                    .collect();
                let total_exp: f64 = logits.iter().map(|l| l.exp()).sum();
                for (j, l) in logits.iter().enumerate() {
                    let p = l.exp() / total_exp * f64::from(mask[(i - q0) * (k1 - k0) + j]);
                    for c in 0..d {
                        total += p * at(k0 + j, 2 * w + h * d + c) * f64::from(dc[i * w + h * d + c]);
                    }
                }
            }
        }
    }
    total
}

/// Lengths, heads, head size, dropout rate, first tokens only.
type Case = (&'static [usize], &'static [usize], usize, f32, bool);

const CASES: &[Case] = &[
    (&[1], &[0], 8, 0.0, false),
    (&[3, 1, 7], &[0, 2, 5], 5, 0.3, false),
    (&[3, 9, 2], &[1, 0], 7, 0.2, true),
    (&[33], &[0], 16, 0.1, false),
    (&[130, 2], &[3], 128, 0.0, true),
];

#[test]
fn gradients_agree_with_finite_differences_over_odd_shapes() {
    for &(lengths, heads, d, rate, first_only) in CASES {
        let mut keys = vec![0];
        lengths.iter().for_each(|l| keys.push(keys[keys.len() - 1] + l));
        // With `first_only` each sequence has one query, as in the last layer of a classifier.
        let queries = if first_only { (0..=lengths.len()).collect() } else { keys.clone() };
        let (t, m, w) = (keys[lengths.len()], queries[lengths.len()], heads.len() * d);
        let shape = Shape { heads, head_size: d, queries: &queries, keys: &keys };
        let plan = DropoutPlan { seed: 9, step: 2, hidden: 0.0, attention: rate, classifier: 0.0 };
        let dropout = Some((&plan, 3));
        let mut qkv = numbers(t * 3 * w, 1);
        let dc = numbers(m * w, 2);
        let mut p = vec![0.0; shape.statistics()];
        let mut context = vec![0.0; m * w];
        let (mut dqkv, stride) = (vec![0.0; 3 * t * w], 3 * w);
        {
            let rows = |from: usize| Rows { data: &qkv[from..], stride };
            let (q, k, v) = (rows(0), rows(w), rows(2 * w));
            forward(Format::F32, q, k, v, &shape, dropout, &mut p, RowsMut { data: &mut context, stride: w });
            let saved = Saved { q, k, v, statistics: &p };
            let out = QkvMut { data: &mut dqkv, of_kv: None, q: (0, w), k: (t * w, w), v: (2 * t * w, w) };
            backward(Format::F32, Rows { data: &dc, stride: w }, &saved, &shape, dropout, out);
        }
        let value: f64 = context.iter().zip(&dc).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let exact = objective(&qkv, w, &shape, dropout, &dc);
        assert!((value - exact).abs() < 1e-3, "{value} {exact}");
        for i in (0..t * stride).step_by(1 + t * stride / 60) {
            let (row, column) = (i / stride, i % stride);
            if first_only && column < w && row >= m {
                continue;
            }
            let old = qkv[i];
            let (up, down) = (old + 1e-2, old - 1e-2);
            qkv[i] = up;
            let high = objective(&qkv, w, &shape, dropout, &dc);
            qkv[i] = down;
            let low = objective(&qkv, w, &shape, dropout, &dc);
            qkv[i] = old;
            let slope = (high - low) / (f64::from(up) - f64::from(down));
            let gradient = f64::from(dqkv[column / w * t * w + row * w + column % w]);
            assert!((slope - gradient).abs() < 1e-3 * slope.abs().max(1.0), "{i}: {slope} {gradient}");
        }
    }
}

#[test]
fn blocks_of_a_buffer_are_apart_side_by_side_or_one_after_the_other_only() {
    let width = 4;
    for (a, b, apart) in [
        ((0, 12, 5), (4, 12, 5), true),
        ((8, 12, 5), (0, 12, 5), true),
        ((0, 12, 5), (3, 12, 5), false),
        ((0, 12, 5), (9, 12, 5), false),
        ((0, 12, 5), (16, 12, 5), true),
        ((0, 4, 5), (20, 8, 5), true),
        ((0, 4, 5), (19, 8, 5), false),
        ((0, 12, 5), (4, 8, 5), false),
        ((0, 12, 0), (0, 12, 5), true),
    ] {
        assert_eq!((are_apart(a, b, width), are_apart(b, a, width)), (apart, apart), "{a:?} {b:?}");
    }
}
