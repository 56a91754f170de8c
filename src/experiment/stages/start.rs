//! The weights that a training starts from.

use super::files;
use crate::{
    error::{Error, Result},
    experiment::stage::Given,
    model::{Bert, Head, params::Owner},
    ops::rng::{Purpose, Stream},
    prune::{Kind, Mask, Site},
    train::Progress,
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// Where the weights of a training come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The pre-trained model's, with a fresh head; a masked-LM head is the pre-trained one, as far as there is one.
    Pretrained,
    /// All drawn anew.
    Random,
    /// Those that the mask is over drawn anew: its tensors, or where it has none all matrices of the layers.
    RandomMasked,
    /// The pre-trained model's, with the head of what this node has trained.
    Head(&'static str),
    /// The pre-trained model's, with the matrices of whole layers exchanged.
    ShuffleLayers,
    /// The pre-trained model's, with the weights within each of the layers' matrices shuffled.
    ShuffleWithin,
    /// Those that this node has trained, with its head.
    Node(&'static str),
    /// Those that another task's run has trained, with a fresh head.
    Source,
}

/// Streams of these draws, apart from those of tensors and of epochs.
const LAYERS: u32 = 1;
const WITHIN: u32 = 2;
const FRESH_HEAD: u32 = 3;

impl Start {
    pub fn is_pretrained(&self) -> bool {
        *self == Self::Pretrained
    }

    /// The node whose weights they are.
    pub fn node(self) -> Option<&'static str> {
        match self {
            Self::Node(node) | Self::Head(node) => Some(node),
            _ => None,
        }
    }

    /// The unpruned model with these weights. The seed draws its head, and everything else that is drawn; the mask is that
    /// of the training.
    pub fn weights(self, given: &Given, mask: &Mask, seed: u64, progress: &mut dyn Progress) -> Result<Bert> {
        let inputs = given.inputs;
        if let Self::Node(node) = self {
            return files::load_model(inputs, given.outcome(node)?);
        }
        if self == Self::Source {
            let trained = inputs.source.as_ref().ok_or_else(|| Error::internal("no source was trained"))?;
            return Ok(trained.model.clone().build(inputs.head(), apart(seed), true)?.expanded());
        }
        let mut pretrained = inputs.model.clone();
        let mut bert = pretrained.build(inputs.head(), seed, inputs.head() != Head::MaskedLm)?;
        pretrained.notes.iter().for_each(|note| progress.note(note));
        match self {
            Self::Random => bert.initialise(seed, |_| true),
            Self::ShuffleLayers => shuffle_layers(&mut bert, seed),
            Self::ShuffleWithin => shuffle_within(&mut bert, seed),
            Self::RandomMasked => draw_masked(&mut bert, mask, seed),
            Self::Head(node) => take_head(&mut bert, &files::load_model(inputs, given.outcome(node)?)?),
            Self::Pretrained | Self::Node(_) | Self::Source => {}
        }
        Ok(bert)
    }
}

/// The seed of a head that is fresh beside one which began with `seed`: drawn alike, it would read the encoder's output in
/// the directions that the source's has taught it.
fn apart(seed: u64) -> u64 {
    let mut stream = Stream::with(seed, Purpose::Selection, FRESH_HEAD, 0);
    u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32())
}

/// Draws the tensors of the mask's single weights, or of its units.
fn draw_masked(bert: &mut Bert, mask: &Mask, seed: u64) {
    let of_weights: BTreeSet<&str> = mask
        .sites(Kind::Weights)
        .filter_map(|(site, _)| if let Site::Weights(name) = site { Some(name.as_str()) } else { None })
        .collect();
    let entries = bert.params.layout.entries.clone();
    let of_units = |name: &str| {
        entries.iter().any(|entry| {
            let of_unit = matches!(entry.owner, Owner::Heads { .. } | Owner::Neurons { .. });
            entry.name == name && of_unit && entry.shape.len() > 1
        })
    };
    match of_weights.is_empty() {
        true => bert.initialise(seed, of_units),
        false => bert.initialise(seed, |name| of_weights.contains(name)),
    }
}

/// Everything of the head, which is what stands on the encoder and its pooler. Layers that lost units lie elsewhere.
fn take_head(bert: &mut Bert, trained: &Bert) {
    let family = bert.config.family;
    for entry in bert.params.layout.entries.iter().filter(|e| family.is_of_head(&family.plain_name(&e.name)))
    {
        if let Some((_, values)) = trained.params.named(&entry.name) {
            bert.params.data[entry.range.clone()].copy_from_slice(values);
        }
    }
}

/// The ranges of a layer's matrices in its layout: queries, keys, values, attention output, and the FFN's two.
fn matrices(bert: &Bert) -> Vec<Vec<std::ops::Range<usize>>> {
    let entries = &bert.params.layout.entries;
    let of_layer = |layer: usize| {
        let own = entries.iter().filter(|entry| {
            let (Owner::Heads { layer: l, .. } | Owner::Neurons { layer: l, .. }) = entry.owner else {
                return false;
            };
            l == layer && entry.shape.len() > 1
        });
        own.map(|entry| entry.range.clone()).collect()
    };
    (0..bert.shape.len()).map(of_layer).collect()
}

/// One permutation of the layers for all their matrices; biases and LayerNorms stay.
fn shuffle_layers(bert: &mut Bert, seed: u64) {
    let layers = matrices(bert);
    let mut order: Vec<usize> = (0..layers.len()).collect();
    Stream::with(seed, Purpose::Selection, LAYERS, 0).shuffle(&mut order);
    let before = bert.params.data.clone();
    for (to, from) in layers.iter().zip(order.iter().map(|layer| &layers[*layer])) {
        for (to, from) in to.iter().zip(from) {
            bert.params.data[to.clone()].copy_from_slice(&before[from.clone()]);
        }
    }
}

fn shuffle_within(bert: &mut Bert, seed: u64) {
    for (n, range) in matrices(bert).into_iter().flatten().enumerate() {
        Stream::with(seed, Purpose::Selection, WITHIN, n as u32).shuffle(&mut bert.params.data[range]);
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Pretrained => "the pre-trained weights",
            Self::Random => "random weights",
            Self::RandomMasked => "random weights where the mask is, else pre-trained ones",
            Self::Head(_) => "the pre-trained weights with a trained head",
            Self::ShuffleLayers => "the pre-trained weights, layers shuffled",
            Self::ShuffleWithin => "the pre-trained weights, shuffled within each matrix",
            Self::Node("finetune") => "the fine-tuned weights",
            Self::Node(_) => "the weights of an early step",
            Self::Source => "what another task has learnt",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BertConfig;

    fn sorted(values: &[f32]) -> Vec<f32> {
        let mut values = values.to_vec();
        values.sort_by(f32::total_cmp);
        values
    }

    #[test]
    fn shuffles_keep_each_weight_and_leave_biases_and_norms_alone() {
        let config = BertConfig { vocab_size: 50, ..BertConfig::of_shape(6, 16, 2, 24) };
        let before = Bert::random(config, Head::Classifier { labels: 2 }, 5);
        let (mut layers, mut within) = (before.clone(), before.clone());
        shuffle_layers(&mut layers, 3);
        shuffle_within(&mut within, 3);
        let all = matrices(&before);
        assert_eq!((all.len(), all[0].len()), (6, 6));
        // The same layer gives all six matrices.
        let source = |range: usize, layer: usize| {
            let now = &layers.params.data[all[layer][range].clone()];
            all.iter().position(|from| now == &before.params.data[from[range].clone()]).unwrap()
        };
        let order: Vec<usize> = (0..6).map(|layer| source(0, layer)).collect();
        assert!((1..6).all(|m| (0..6).map(|layer| source(m, layer)).eq(order.iter().copied())));
        assert_ne!(order, [0, 1, 2, 3, 4, 5]);
        let mut rest = before.clone();
        for range in all.into_iter().flatten() {
            let [then, now] = [&before, &within].map(|bert| &bert.params.data[range.clone()]);
            assert!(then != now && sorted(then) == sorted(now));
            for bert in [&mut rest, &mut layers, &mut within] {
                bert.params.data[range.clone()].fill(0.0);
            }
        }
        assert!(rest == layers && rest == within);
    }
}
