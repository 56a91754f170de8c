use super::*;
use crate::model::{Head, tiny};
use crate::ops::rng::{Purpose, Stream};

/// The model inside the program, with the classifier's weights left out.
fn bert() -> Bert {
    let mut model = crate::model::weights::Pretrained::load(&tiny::folder().unwrap()).unwrap();
    model.build(Head::Classifier { labels: 2 }, 1, true).unwrap()
}

fn open(bert: &Bert) -> Gates {
    let layers = bert.shape.len();
    Gates { heads: vec![1.0; layers * bert.config.num_attention_heads], ffns: vec![1.0; layers] }
}

/// R, written down once more: the sum of the outputs of the chain, or of the network with residuals.
fn output(bert: &Bert, residual: bool) -> f64 {
    let mut x = vec![1.0; bert.config.hidden_size];
    for layer in 0..bert.shape.len() {
        for pair in Matrix::ALL.chunks(2) {
            let mut y = x.clone();
            for matrix in pair {
                let weights = &bert.params.data[matrix.range(bert, layer)];
                let width = y.len();
                let row = |n: usize| (0..width).map(|i| f64::from(weights[n * width + i].abs()) * y[i]).sum();
                y = (0..weights.len() / width).map(row).collect();
            }
            x = if residual { x.iter().zip(&y).map(|(x, y)| x + y).collect() } else { y };
        }
    }
    x.iter().sum()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-10 * a.abs().max(b.abs())
}

#[test]
fn a_weights_score_is_the_derivative_of_the_output() {
    let bert = bert();
    let mut draw = Stream::new(3, Purpose::Split, 0);
    for residual in [false, true] {
        let (flow, whole) = (Flow::new(&bert, &open(&bert), residual), output(&bert, residual));
        for layer in 0..bert.shape.len() {
            for matrix in Matrix::ALL {
                let (scores, range) = (flow.scores(matrix, layer), matrix.range(&bert, layer));
                assert_eq!(scores.len(), range.len());
                let at = draw.below(scores.len() as u32) as usize;
                let mut without = bert.clone();
                without.params.data[range.start + at] = 0.0;
                // R is linear in a single weight.
                let expected = 1.0 - output(&without, residual) / whole;
                assert!((scores[at] - expected).abs() < 1e-12 + 1e-6 * expected, "{} {expected}", scores[at]);
            }
        }
    }
}

#[test]
fn what_enters_a_neuron_or_a_head_leaves_it_and_every_cut_has_the_same_flow() {
    let bert = bert();
    let (h, d) = (bert.config.hidden_size, bert.config.head_size());
    for residual in [false, true] {
        let flow = Flow::new(&bert, &open(&bert), residual);
        for layer in 0..bert.shape.len() {
            let [value, output, up, down] = Matrix::ALL.map(|matrix| flow.scores(matrix, layer));
            for (into, out, part) in [(&value, &output, d), (&up, &down, 1)] {
                let inner = into.len() / h;
                for unit in 0..inner / part {
                    let entering: f64 = into[unit * part * h..(unit + 1) * part * h].iter().sum();
                    let columns = |row: &[f64]| row[unit * part..(unit + 1) * part].iter().sum::<f64>();
                    let leaving: f64 = out.chunks(inner).map(columns).sum();
                    assert!(near(entering, leaving), "layer {layer}, unit {unit}: {entering} {leaving}");
                }
            }
            let [value, output, up, down] =
                [value, output, up, down].map(|scores| scores.iter().sum::<f64>());
            assert!(near(value, output) && near(up, down));
            // All of it in the chain, in which nothing passes by.
            assert_eq!(near(value, 1.0) && near(up, 1.0), !residual);
            let heads: f64 = flow.heads(layer).iter().sum();
            assert!((heads - value - output).abs() < 1e-6 && (flow.ffn(layer) - up - down).abs() < 1e-6);
        }
    }
}

#[test]
fn the_scale_of_a_matrix_changes_no_rank_of_the_chain() {
    let bert = bert();
    let mut scaled = bert.clone();
    for (layer, matrix, by) in [(0, Matrix::Down, 64.0), (2, Matrix::Value, 0.125), (3, Matrix::Up, 0.5)] {
        scaled.params.data[matrix.range(&bert, layer)].iter_mut().for_each(|w| *w *= by);
    }
    let of = |bert: &Bert| -> (Vec<f64>, Vec<f64>) {
        let flow = Flow::new(bert, &open(bert), false);
        let layers = 0..bert.shape.len();
        (layers.clone().flat_map(|layer| flow.heads(layer)).collect(), layers.map(|l| flow.ffn(l)).collect())
    };
    let ((heads, ffns), (of_scaled, ffns_of_scaled)) = (of(&bert), of(&scaled));
    // Equal, and so is every rank; all flow passes every FFN.
    assert!(heads.iter().zip(&of_scaled).all(|(a, b)| (a - b).abs() < 1e-6 * a));
    assert_eq!((ffns, ffns_of_scaled), (vec![2.0; 4], vec![2.0; 4]));
}

#[test]
fn a_pruned_head_has_the_score_of_its_open_gate_and_an_empty_layer_passes_its_input_on() {
    let (bert, mut gates) = (bert(), open(&bert()));
    let heads = bert.config.num_attention_heads;
    gates.heads[heads] = 0.0;
    let flow = Flow::new(&bert, &gates, false);
    let part = bert.config.head_size() * bert.config.hidden_size;
    assert!(flow.scores(Matrix::Value, 1)[..part].iter().all(|score| *score == 0.0));
    // The rest of its layer has all the flow; what it would add is more than that.
    let kept: f64 = flow.heads(1)[1..].iter().sum();
    assert!((kept - 2.0).abs() < 1e-6 && flow.heads(1)[0] > 0.0);
    gates.heads[heads..2 * heads].fill(0.0);
    gates.ffns[2] = 0.0;
    let flow = Flow::new(&bert, &gates, false);
    for (layer, expected) in [(0, 1.0), (1, 0.0), (2, 1.0), (3, 1.0)] {
        let sum: f64 = flow.scores(Matrix::Value, layer).iter().sum();
        assert!((sum - expected).abs() < 1e-10, "layer {layer}: {sum}");
    }
}

/// The kept weights of each matrix on the path when `share` of all is left, the largest scores of `rounds` rounds kept:
/// after round k of n share^(k/n).
fn survivors(
    bert: &Bert,
    share: f64,
    rounds: i32,
    score: impl Fn(&Bert, &[(Matrix, usize)]) -> Vec<Vec<f64>>,
) -> Vec<usize> {
    let mut bert = bert.clone();
    let sites: Vec<_> =
        (0..bert.shape.len()).flat_map(|layer| Matrix::ALL.map(|matrix| (matrix, layer))).collect();
    let total: usize = sites.iter().map(|(matrix, layer)| matrix.range(&bert, *layer).len()).sum();
    for round in 1..=rounds {
        let scores = score(&bert, &sites);
        let keep = (share.powf(f64::from(round) / f64::from(rounds)) * total as f64) as usize;
        let mut all = scores.concat();
        let (_, least, _) = all.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
        for ((matrix, layer), scores) in sites.iter().zip(&scores) {
            let range = matrix.range(&bert, *layer);
            for (weight, score) in bert.params.data[range].iter_mut().zip(scores) {
                *weight = if *score < *least { 0.0 } else { *weight };
            }
        }
    }
    let kept = |range: Range<usize>| bert.params.data[range].iter().filter(|w| **w != 0.0).count();
    sites.iter().map(|(matrix, layer)| kept(matrix.range(&bert, *layer))).collect()
}

#[test]
fn at_999_of_1000_no_matrix_is_empty_where_magnitude_empties_one() {
    let bert = bert();
    let flow = |bert: &Bert, sites: &[(Matrix, usize)]| {
        let flow = Flow::new(bert, &open(bert), false);
        sites.iter().map(|(matrix, layer)| flow.scores(*matrix, *layer)).collect()
    };
    let magnitude = |bert: &Bert, sites: &[(Matrix, usize)]| {
        let of = |(matrix, layer): &(Matrix, usize)| &bert.params.data[matrix.range(bert, *layer)];
        sites.iter().map(|site| of(site).iter().map(|w| f64::from(w.abs())).collect()).collect()
    };
    let (by_flow, by_magnitude) = (survivors(&bert, 1e-3, 100, flow), survivors(&bert, 1e-3, 1, magnitude));
    assert!(by_flow.iter().all(|kept| *kept > 0), "{by_flow:?}");
    assert!(by_magnitude.contains(&0), "{by_magnitude:?}");
}
