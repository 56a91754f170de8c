//! Which single weights are pruned, and by which magnitudes: masks over all weights of a model.

use super::{Bits, Kind, Mask, Site};
use crate::{
    choice::choices,
    error::{Error, Result},
    model::params::{Entry, Layout, Owner, Params},
    ops::select::{Order, Part, take},
};

choices! {
    /// The weights that may be pruned. Never: LayerNorms, positions, token types, and what stands on the pooler.
    pub enum WeightSet ("rule of prune.weights") {
        /// the six matrices of each layer with their biases, without the bias of the FFN's output (Prasanna et al. 2020, in code)
        Prasanna = "prasanna",
        /// the six matrices of each layer and the pooler's, no biases (Chen et al. 2020)
        Chen = "chen",
        /// the six matrices of each layer and the word embeddings (Liu et al. 2022, TAMT)
        Tamt = "tamt",
    }
}

choices! {
    /// Among which weights magnitudes are compared.
    pub enum Scope ("rule of prune.scope") {
        /// all tensors together
        Global = "global",
        /// each tensor by itself, of which the same share is pruned
        Layer = "layer",
    }
}

impl WeightSet {
    /// The tensors of the set.
    pub fn tensors(self, layout: &Layout) -> impl Iterator<Item = &Entry> {
        layout.entries.iter().filter(move |entry| {
            let of_unit = matches!(entry.owner, Owner::Heads { .. } | Owner::Neurons { .. });
            let attention_bias = || layout.layers.iter().any(|layer| layer.output_bias == entry.range);
            match self {
                _ if of_unit && entry.shape.len() > 1 => true,
                Self::Prasanna => of_unit || attention_bias(),
                Self::Chen => entry.range == layout.pooler_weight,
                Self::Tamt => entry.range == layout.words,
            }
        })
    }

    /// This mask with flags for every weight of the set; those that it has already stay.
    pub fn of(self, mask: &Mask, layout: &Layout) -> Mask {
        self.tensors(layout).fold(mask.clone(), |mask, entry| {
            let site = Site::Weights(entry.name.clone());
            match mask.get(&site) {
                Some(_) => mask,
                None => mask.with(site, Bits::new(entry.range.len(), true)),
            }
        })
    }
}

/// Prunes weights until `pruned` of all that the mask has flags for are, by the magnitudes in `params`; those that are
/// pruned already stay so. In [`Scope::Layer`] each tensor loses its share of them, rounded.
///
/// # Errors
/// `Data` when the mask has flags for a tensor that the model has not.
pub fn prune_weights(
    mask: &Mask,
    params: &Params,
    pruned: usize,
    scope: Scope,
    order: Order,
) -> Result<Mask> {
    let sites: Vec<(&Site, &Bits)> = mask.sites(Kind::Weights).collect();
    let part = |(site, bits): &(&Site, &'_ Bits)| -> Result<&[f32]> {
        let Site::Weights(name) = site else { return Ok(&[]) };
        let values = params.named(name).map(|(_, values)| values).filter(|values| values.len() == bits.len());
        values.ok_or_else(|| {
            Error::data(format!(
                "the mask prunes {name}, which the model has not. Take a ticket of this model."
            ))
        })
    };
    let values = sites.iter().map(part).collect::<Result<Vec<_>>>()?;
    let parts: Vec<Part> =
        sites.iter().zip(&values).map(|((_, bits), values)| Part { values, left: bits.words() }).collect();
    let total: usize = parts.iter().map(|part| part.values.len()).sum();
    let left = match scope {
        Scope::Global => take(&parts, pruned.min(total), order),
        Scope::Layer => {
            let share = pruned.min(total) as f64 / total.max(1) as f64;
            let one = |(part, (_, bits)): (&Part, &(&Site, &Bits))| {
                let own = (share * bits.len() as f64).round() as usize;
                take(std::slice::from_ref(part), own.max(bits.len() - bits.count_ones()), order).concat()
            };
            parts.iter().zip(&sites).map(one).collect()
        }
    };
    let lens = sites.iter().map(|(_, bits)| bits.len());
    let pruned = sites.iter().zip(lens).zip(left);
    Ok(pruned.fold(mask.clone(), |mask, (((site, _), len), words)| {
        mask.with((*site).clone(), Bits::from_words(len, words))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bert, BertConfig, Head};

    fn bert() -> Bert {
        let config = BertConfig { vocab_size: 100, ..BertConfig::of_shape(2, 32, 4, 64) };
        let mut bert = Bert::random(config, Head::Classifier { labels: 2 }, 5);
        // Biases are drawn as zeros.
        bert.params.data.iter_mut().enumerate().for_each(|(i, w)| *w += (i % 97) as f32 * 1e-4);
        bert
    }

    #[test]
    fn the_sets_are_the_published_ones() {
        let bert = bert();
        let Bert { params, .. } = &bert;
        let of = |set: WeightSet| set.tensors(&params.layout).map(|e| e.range.len()).sum::<usize>();
        let (matrices, h, f) = (2 * (4 * 32 * 32 + 2 * 32 * 64), 32, 64);
        assert_eq!(of(WeightSet::Prasanna), matrices + 2 * (4 * h + f));
        assert_eq!(of(WeightSet::Chen), matrices + h * h);
        assert_eq!(of(WeightSet::Tamt), matrices + 100 * h);
        // BERT-base, as published: 85,524,480 weights.
        let base = BertConfig::of_shape(12, 768, 12, 3072);
        let layout = Layout::new(&base, &base.full_shape(), Head::Classifier { labels: 2 });
        let chen: usize = WeightSet::Chen.tensors(&layout).map(|e| e.range.len()).sum();
        assert_eq!(chen, 85_524_480);
        // A stage keeps a bit for each.
        let mask = WeightSet::Chen.of(&Mask::full(12, 12), &layout);
        let bytes = mask.to_packed().unwrap().unwrap().len();
        assert!((chen / 8..11_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn globally_the_smallest_of_all_go_and_by_layer_the_same_share_of_each_tensor() {
        let bert = bert();
        let whole = WeightSet::Chen.of(&Mask::full(2, 4), &bert.params.layout);
        let total = whole.count(Kind::Weights).total;
        for pruned in [0, 1, total / 3, total] {
            for scope in [Scope::Global, Scope::Layer] {
                for order in [Order::Smallest, Order::Largest, Order::Random(3)] {
                    let mask = prune_weights(&whole, &bert.params, pruned, scope, order).unwrap();
                    let rounding = if scope == Scope::Global { 0 } else { 13 };
                    assert!(mask.count(Kind::Weights).kept.abs_diff(total - pruned) <= rounding);
                    // Deeper masks are nested in this one.
                    let more = (pruned + 50).min(total);
                    let more = prune_weights(&mask, &bert.params, more, scope, order).unwrap();
                    assert_eq!(more.intersect(&mask).unwrap(), more);
                }
            }
        }
        let mask = prune_weights(&whole, &bert.params, total / 3, Scope::Global, Order::Smallest).unwrap();
        let (mut largest_pruned, mut smallest_kept) = (0f32, f32::MAX);
        for (site, bits) in mask.sites(Kind::Weights) {
            let Site::Weights(name) = site else { unreachable!() };
            let (_, values) = bert.params.named(name).unwrap();
            for (value, kept) in values.iter().zip(bits.iter()) {
                match kept {
                    true => smallest_kept = smallest_kept.min(value.abs()),
                    false => largest_pruned = largest_pruned.max(value.abs()),
                }
            }
        }
        assert!(largest_pruned <= smallest_kept);
        let each = prune_weights(&whole, &bert.params, total / 2, Scope::Layer, Order::Smallest).unwrap();
        for (_, bits) in each.sites(Kind::Weights) {
            assert!(bits.count_ones().abs_diff(bits.len() / 2) <= 1);
        }
    }

    #[test]
    fn a_mask_of_another_model_is_refused() {
        let mask = Mask::full(2, 4).with(Site::Weights("x.weight".into()), Bits::new(9, true));
        let error = prune_weights(&mask, &bert().params, 3, Scope::Global, Order::Smallest).unwrap_err();
        assert!(error.to_string().contains("the mask prunes x.weight, which the model has not"), "{error}");
    }
}
