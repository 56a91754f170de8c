//! What each head of a sequence attends to, beside what the passes compute: for analyses.

use super::{
    bert::{Bert, Workspace},
    cpu::split,
    encoder,
    pass::{Input, Pass},
};
use crate::ops::attention::Rows;

/// The attention of one head over a sequence of L tokens.
pub struct HeadMap {
    pub layer: usize,
    /// Its number in the unpruned layer.
    pub head: usize,
    /// (L, L) attention of the row's token to the column's; rows sum to 1
    pub probabilities: Vec<f64>,
    /// (L) the length of what the head would add for each token if all attention went to it: ‖W_O (W_V x + b_V)‖ with the
    /// columns of W_O that are the head's (Kobayashi et al. 2020)
    pub norms: Vec<f64>,
}

impl HeadMap {
    /// (L, L) the length of what each token gives to each other: ‖α f(x)‖.
    pub fn weighted(&self) -> Vec<f64> {
        let rows = self.probabilities.chunks(self.norms.len().max(1));
        rows.flat_map(|row| row.iter().zip(&self.norms).map(|(p, norm)| p * norm)).collect()
    }
}

impl Bert {
    /// The maps of all heads that it has, for one sequence.
    pub fn attention_maps(&self, input: &Input, workspace: &mut Workspace, each: &mut dyn FnMut(HeadMap)) {
        let pass = Pass { keep: true, ..Pass::default() };
        let (length, d) = (input.tokens(), self.config.head_size());
        workspace.choose_all(input);
        let Workspace { chosen, activations } = workspace;
        let (ops, run) = self.on_cpu(input, chosen, &pass);
        let Ok(()) = encoder::forward(&ops, &run, &mut activations.encoder);
        for number in 0..self.shape.len() {
            let layer = run.layer(number);
            let heads = &layer.shape.heads;
            if heads.is_empty() {
                continue;
            }
            let [q, k, v] = split(&layer, activations.encoder.qkv(number));
            let output = self.params.at(&layer.slots.output_weight);
            for (place, head) in heads.iter().enumerate() {
                let part = |rows: &Rows, token: usize| -> Vec<f64> {
                    let at = token * rows.stride + place * d;
                    rows.data[at..at + d].iter().map(|v| f64::from(*v)).collect()
                };
                let of =
                    |rows: &Rows| -> Vec<Vec<f64>> { (0..length).map(|token| part(rows, token)).collect() };
                let (keys, values) = (of(&k), of(&v));
                let probabilities = of(&q).iter().flat_map(|query| softmax(query, &keys)).collect();
                // Of W_O (H, A) the columns of this head: (H, d)
                let columns: Vec<&[f32]> =
                    output.chunks(layer.width()).map(|row| &row[place * d..][..d]).collect();
                let norms = values.iter().map(|value| length_through(&columns, value)).collect();
                each(HeadMap { layer: number, head: *head, probabilities, norms });
            }
        }
    }
}

/// softmax(q · k / √d) over the keys.
fn softmax(query: &[f64], keys: &[Vec<f64>]) -> Vec<f64> {
    let scale = (query.len() as f64).sqrt();
    let scores: Vec<f64> =
        keys.iter().map(|key| key.iter().zip(query).map(|(k, q)| k * q).sum::<f64>() / scale).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|value| value / sum).collect()
}

/// ‖W v‖, W row by row.
fn length_through(rows: &[&[f32]], v: &[f64]) -> f64 {
    let product = |row: &&[f32]| row.iter().zip(v).map(|(w, v)| f64::from(*w) * v).sum::<f64>();
    rows.iter().map(|row| product(row).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BertConfig, Head};

    const IDS: [u32; 9] = [2, 7, 9, 4, 3, 11, 5, 8, 3];

    fn bert() -> Bert {
        let mut config = BertConfig::of_shape(3, 16, 4, 24);
        config.vocab_size = 32;
        config.initializer_range = 0.4;
        let mut bert = Bert::random(config, Head::Classifier { labels: 2 }, 5);
        // Biases of values and of everything else.
        for (n, value) in bert.params.data.iter_mut().enumerate().filter(|(_, value)| **value == 0.0) {
            *value = ((n * 37 % 101) as f32 - 50.0) / 400.0;
        }
        bert
    }

    fn maps(bert: &Bert) -> Vec<HeadMap> {
        let positions: Vec<u32> = (0..IDS.len() as u32).collect();
        let segments = [0, 0, 0, 0, 0, 1, 1, 1, 1];
        let input = Input { ids: &IDS, positions: &positions, segments: &segments, offsets: &[0, IDS.len()] };
        let mut found = Vec::new();
        bert.attention_maps(&input, &mut Workspace::default(), &mut |map| found.push(map));
        found
    }

    #[test]
    fn every_token_of_every_layer_has_a_row_that_sums_to_1() {
        let found = maps(&bert());
        let places: Vec<(usize, usize)> = found.iter().map(|map| (map.layer, map.head)).collect();
        let wanted: Vec<(usize, usize)> = (0..12).map(|n| (n / 4, n % 4)).collect();
        assert_eq!(places, wanted);
        for map in &found {
            assert_eq!(map.probabilities.len(), IDS.len() * IDS.len());
            for row in map.probabilities.chunks(IDS.len()) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            }
            assert!(map.norms.iter().all(|norm| *norm > 0.0));
        }
    }

    #[test]
    fn removed_heads_are_passed_over_and_the_others_of_their_layer_see_the_same() {
        let whole = bert();
        let mut shape = whole.shape.clone();
        shape[2].heads = vec![0, 2, 3];
        let pruned = whole.shrunk(&shape);
        let (all, left) = (maps(&whole), maps(&pruned));
        let all: Vec<&HeadMap> = all.iter().filter(|map| (map.layer, map.head) != (2, 1)).collect();
        assert_eq!(all.len(), left.len());
        for (a, b) in all.iter().zip(&left) {
            assert_eq!((a.layer, a.head), (b.layer, b.head));
            let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near(&a.probabilities, &b.probabilities) && near(&a.norms, &b.norms));
        }
    }
}
