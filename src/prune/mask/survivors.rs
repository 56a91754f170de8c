//! How many single weights a mask keeps, tensor by tensor and head by head.

use super::{Count, Kind, Mask, Site};
use crate::model::params::{Layout, Owner};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is left of the single weights that may be pruned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survivors {
    pub kept: usize,
    pub total: usize,
    /// [kept, all] by tensor.
    pub tensors: BTreeMap<String, [usize; 2]>,
    /// For each layer and head the share of its weights: rows of queries, keys and values, columns of the output.
    pub heads: Vec<Vec<f64>>,
}

impl Mask {
    /// Of a model of this layout; none where the mask has no single weights.
    pub fn survivors(&self, layout: &Layout) -> Option<Survivors> {
        let Count { kept, total } = self.count(Kind::Weights);
        if total == 0 {
            return None;
        }
        let per_layer = self.heads_per_layer();
        let mut heads = vec![vec![Count::default(); per_layer]; self.layers()];
        let mut tensors = BTreeMap::new();
        for (site, bits) in self.sites(Kind::Weights) {
            let Site::Weights(name) = site else { continue };
            tensors.insert(name.clone(), [bits.count_ones(), bits.len()]);
            let entry = layout.entries.iter().find(|entry| entry.name == *name);
            let Some((Owner::Heads { layer, columns }, shape)) = entry.map(|e| (e.owner, &e.shape)) else {
                continue;
            };
            let width = if shape.len() > 1 { shape[1] } else { 1 };
            // Units in a row, of which a head has as many as any other.
            let units = if columns { width } else { shape[0] };
            for (at, kept) in bits.iter().enumerate() {
                let unit = if columns { at % width } else { at / width };
                let count = &mut heads[layer][unit * per_layer / units];
                count.total += 1;
                count.kept += usize::from(kept);
            }
        }
        let share = |count: &Count| count.kept as f64 / count.total.max(1) as f64;
        let heads = heads.iter().map(|layer| layer.iter().map(share).collect()).collect();
        Some(Survivors { kept, total, tensors, heads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{BertConfig, Head},
        prune::{Bits, WeightSet},
    };

    #[test]
    fn a_head_has_rows_of_queries_keys_and_values_and_columns_of_the_output() {
        let config = BertConfig { vocab_size: 10, ..BertConfig::of_shape(2, 8, 2, 12) };
        let layout = Layout::new(&config, &config.full_shape(), Head::Classifier { labels: 2 });
        assert_eq!(Mask::full(2, 2).survivors(&layout), None);
        let mask = WeightSet::Chen.of(&Mask::full(2, 2), &layout);
        let name = |tensor: &str| Site::Weights(format!("bert.encoder.layer.1.attention.{tensor}.weight"));
        // Head 1 of layer 1 loses its queries (rows 4 to 8), head 0 its columns of the output.
        let mask = mask.with(name("self.query"), (0..64).map(|at| at < 32).collect::<Bits>());
        let mask = mask.with(name("output.dense"), (0..64).map(|at| at % 8 >= 4).collect::<Bits>());
        let survivors = mask.survivors(&layout).unwrap();
        assert_eq!(survivors.heads, [[1.0, 1.0], [0.75, 0.75]]);
        assert_eq!(survivors.tensors["bert.encoder.layer.1.attention.self.query.weight"], [32, 64]);
        assert_eq!((survivors.total, survivors.kept), (2 * (4 * 64 + 2 * 96) + 64, 2 * (4 * 64 + 2 * 96)));
    }
}
