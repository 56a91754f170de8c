//! What a model costs: parameters, arithmetic, bytes.

use crate::model::Bert;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cost {
    pub parameters: usize,
    /// Parameters that are not zero.
    pub nonzero: usize,
    /// Floating-point operations per token of a sequence of `length`, a multiply-add being two: the encoder's matrix
    /// products, and in each head the products with keys and values. Element-wise operations, embeddings and the
    /// classifier are not counted.
    pub flops_per_token: u64,
    pub length: usize,
    /// Size of `model.safetensors`.
    pub bytes: u64,
}

impl Cost {
    pub fn new(bert: &Bert, length: usize, bytes: u64) -> Self {
        let entries = &bert.params.layout.entries;
        let values = entries.iter().flat_map(|entry| &bert.params.data[entry.range.clone()]);
        Self {
            parameters: bert.params.layout.parameters(),
            nonzero: values.filter(|value| **value != 0.0).count(),
            flops_per_token: flops_per_token(bert, length),
            length,
            bytes,
        }
    }
}

fn flops_per_token(bert: &Bert, length: usize) -> u64 {
    let (h, config) = (bert.config.hidden_size, &bert.config);
    let layer = |heads: usize, inner: usize| {
        let a = heads * config.head_size();
        // Queries, keys, values and output; scores and context over all positions; up and down.
        4 * h * a + 2 * length * a + 2 * h * inner
    };
    let of = |shape: &crate::model::LayerShape| {
        2 * layer(shape.heads.len(), shape.ffn.width(config.intermediate_size)) as u64
    };
    bert.shape.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BertConfig, Ffn, Head, LayerShape};

    #[test]
    fn arithmetic_is_that_of_the_units_that_are_there() {
        let config = BertConfig { vocab_size: 10, ..BertConfig::of_shape(2, 8, 2, 16) };
        let bert = Bert::random(config, Head::Classifier { labels: 2 }, 1);
        // 2 · (4 · 8 · 8 + 2 · 5 · 8 + 2 · 8 · 16) for each layer.
        assert_eq!(flops_per_token(&bert, 5), 2 * 2 * (256 + 80 + 256));
        let shape = [
            LayerShape { heads: vec![1], ffn: Ffn::Absent },
            LayerShape { heads: vec![], ffn: Ffn::Neurons(vec![0, 3]) },
        ];
        assert_eq!(flops_per_token(&bert.shrunk(&shape), 5), 2 * (128 + 40) + 2 * 32);
        let [small, whole] = [bert.shrunk(&shape), bert.shrunk(&shape).expanded()];
        let [small, whole] = [small, whole].map(|bert| Cost::new(&bert, 5, 0));
        assert_eq!(small.nonzero, whole.nonzero);
        assert!(small.parameters < whole.parameters && whole.parameters == bert.params.layout.parameters());
    }
}
