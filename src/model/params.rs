//! All parameters of one model in a single buffer, so that the optimizer, the clip and a checkpoint are one pass each.

use super::{config::BertConfig, family::of_head, shape::LayerShape};
use std::ops::Range;

/// Every tensor starts on a multiple of this many elements (a cache line of f32), zeros in between.
const ALIGNMENT: usize = 16;

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Pooler and classifier on each sequence's first token: `BertForSequenceClassification`.
    Classifier { labels: usize },
    /// Words for masked tokens: `BertForMaskedLM`.
    MaskedLm,
    /// For every token whether an answer starts and whether it ends there: `BertForQuestionAnswering`.
    Spans,
}

/// A tensor of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in Hugging Face's class of this family and head.
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
    pub owner: Owner,
}

/// What a tensor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The embeddings, or what stands on the encoder.
    Model,
    /// A layer, as long as it is there.
    Layer(usize),
    /// A layer's heads, each of which owns rows or `columns` of it.
    Heads { layer: usize, columns: bool },
    /// A layer's FFN neurons.
    Neurons { layer: usize, columns: bool },
}

impl Entry {
    /// Weight decay applies to weights of linear layers and embeddings, not to biases and LayerNorms.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }

    /// Whether it belongs to the encoder's layers.
    pub fn is_encoder(&self) -> bool {
        self.owner != Owner::Model
    }
}

/// Where the tensors of one layer lie. A removed unit has an empty range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerSlots {
    /// Queries, keys, values: three (A, H) matrices one behind another, which is one (3A, H) matrix.
    pub qkv_weight: Range<usize>,
    pub qkv_bias: Range<usize>,
    pub output_weight: Range<usize>,
    pub output_bias: Range<usize>,
    pub attention_gamma: Range<usize>,
    pub attention_beta: Range<usize>,
    pub up_weight: Range<usize>,
    pub up_bias: Range<usize>,
    pub down_weight: Range<usize>,
    pub down_bias: Range<usize>,
    pub ffn_gamma: Range<usize>,
    pub ffn_beta: Range<usize>,
}

/// Where every tensor lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub entries: Vec<Entry>,
    pub len: usize,
    pub words: Range<usize>,
    /// From the row on that a sequence's first token takes.
    pub positions: Range<usize>,
    /// (H) zeros, which are no parameters, in a family without token types.
    pub segments: Range<usize>,
    pub embedding_gamma: Range<usize>,
    pub embedding_beta: Range<usize>,
    pub layers: Vec<LayerSlots>,
    pub pooler_weight: Range<usize>,
    pub pooler_bias: Range<usize>,
    /// The classifier's, or the span head's.
    pub classifier_weight: Range<usize>,
    pub classifier_bias: Range<usize>,
    pub transform_weight: Range<usize>,
    pub transform_bias: Range<usize>,
    pub transform_gamma: Range<usize>,
    pub transform_beta: Range<usize>,
    /// The decoder's weight is the word embeddings' table.
    pub decoder_bias: Range<usize>,
    /// Weight and bias of the classifiers of several tasks, one behind another; empty where there is one.
    pub classifiers: Vec<[Range<usize>; 2]>,
}

impl Layout {
    /// The layout of an encoder of the config's family with this head, whose layers have these units. A head's slots are empty in the other's.
    pub fn new(config: &BertConfig, shape: &[LayerShape], head: Head) -> Self {
        let (h, family) = (config.hidden_size, config.family);
        let mut layout = Self::default();
        let model = Owner::Model;
        let [words, positions] = [family.words, family.positions].map(|table| family.weight(table));
        layout.words = layout.add(&words, &[config.vocab_size, h], model);
        let rows = layout.add(&positions, &[config.max_position_embeddings, h], model);
        let first = config.padding().map_or(family.position_offset, |id| id as usize);
        let first = rows.start.saturating_add(first.saturating_mul(h));
        layout.positions = first.min(rows.end)..rows.end;
        layout.segments = match family.token_types {
            Some(table) => layout.add(&family.weight(table), &[config.type_vocab_size, h], model),
            None => layout.gap(h),
        };
        [layout.embedding_gamma, layout.embedding_beta] =
            family.both(family.embedding_norm).map(|name| layout.add(&name, &[h], model));
        for (l, layer) in shape.iter().enumerate() {
            let both = |name: &str| family.both(&format!("{}{l}.{name}", family.layers));
            let mut slots = LayerSlots::default();
            let (a, f) = (layer.heads.len() * config.head_size(), layer.ffn.width(config.intermediate_size));
            let [output_weight, output_bias] = both(family.attention_output);
            if a > 0 {
                let three = family.qkv.map(both);
                let [weights, biases] = [0, 1].map(|kind| three.each_ref().map(|both| both[kind].clone()));
                let rows = Owner::Heads { layer: l, columns: false };
                slots.qkv_weight = layout.add_joined(&weights, &[a, h], rows);
                slots.qkv_bias = layout.add_joined(&biases, &[a], rows);
                let columns = Owner::Heads { layer: l, columns: true };
                slots.output_weight = layout.add(&output_weight, &[h, a], columns);
            }
            slots.output_bias = layout.add(&output_bias, &[h], Owner::Layer(l));
            [slots.attention_gamma, slots.attention_beta] =
                both(family.attention_norm).map(|name| layout.add(&name, &[h], Owner::Layer(l)));
            let ([up_weight, up_bias], [down_weight, down_bias]) = (both(family.up), both(family.down));
            if f > 0 {
                let rows = Owner::Neurons { layer: l, columns: false };
                slots.up_weight = layout.add(&up_weight, &[f, h], rows);
                slots.up_bias = layout.add(&up_bias, &[f], rows);
                let columns = Owner::Neurons { layer: l, columns: true };
                slots.down_weight = layout.add(&down_weight, &[h, f], columns);
            }
            if layer.ffn.is_present() {
                slots.down_bias = layout.add(&down_bias, &[h], Owner::Layer(l));
            }
            [slots.ffn_gamma, slots.ffn_beta] =
                both(family.ffn_norm).map(|name| layout.add(&name, &[h], Owner::Layer(l)));
            layout.layers.push(slots);
        }
        match head {
            Head::Classifier { labels } => {
                if let Some([weight, bias]) = family.pooler_names() {
                    layout.pooler_weight = layout.add(&weight, &[h, h], model);
                    layout.pooler_bias = layout.add(&bias, &[h], model);
                }
                let [weight, bias] = of_head(family.classifier);
                layout.classifier_weight = layout.add(&weight, &[labels, h], model);
                layout.classifier_bias = layout.add(&bias, &[labels], model);
            }
            Head::Spans => {
                let [weight, bias] = of_head(family.spans);
                layout.classifier_weight = layout.add(&weight, &[2, h], model);
                layout.classifier_bias = layout.add(&bias, &[2], model);
            }
            Head::MaskedLm => {
                let [weight, bias] = of_head(family.transform);
                layout.transform_weight = layout.add(&weight, &[h, h], model);
                layout.transform_bias = layout.add(&bias, &[h], model);
                [layout.transform_gamma, layout.transform_beta] =
                    of_head(family.transform_norm).map(|name| layout.add(&name, &[h], model));
                layout.decoder_bias = layout.add(family.decoder_bias[0], &[config.vocab_size], model);
            }
        }
        layout
    }

    /// The layout of an unpruned encoder with a classifier for each of several tasks, by their numbers of labels. It is that
    /// of the first one alone, with the other classifiers behind it.
    pub fn of_several(config: &BertConfig, labels: &[usize]) -> Self {
        let first = labels.first().copied().unwrap_or(1);
        let mut layout = Self::new(config, &config.full_shape(), Head::Classifier { labels: first });
        layout.classifiers.push([layout.classifier_weight.clone(), layout.classifier_bias.clone()]);
        for (n, labels) in labels.iter().enumerate().skip(1) {
            let [weight, bias] = of_head(&format!("classifiers.{n}"));
            let weight = layout.add(&weight, &[*labels, config.hidden_size], Owner::Model);
            let bias = layout.add(&bias, &[*labels], Owner::Model);
            layout.classifiers.push([weight, bias]);
        }
        layout
    }

    fn add(&mut self, name: &str, shape: &[usize], owner: Owner) -> Range<usize> {
        self.add_joined(&[name.to_owned()], shape, owner)
    }

    /// Zeros that are no parameters, as all between tensors are.
    fn gap(&mut self, len: usize) -> Range<usize> {
        let start = self.len.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
        self.len = start.saturating_add(len);
        start..self.len
    }

    /// Tensors of one shape without a gap between them. Sizes beyond all memory end at the largest number.
    fn add_joined(&mut self, names: &[String], shape: &[usize], owner: Owner) -> Range<usize> {
        let start = self.gap(0).start;
        for name in names {
            let elements = shape.iter().copied().fold(1, usize::saturating_mul);
            let range = self.len..self.len.saturating_add(elements);
            self.len = range.end;
            self.entries.push(Entry { name: name.clone(), shape: shape.to_vec(), range, owner });
        }
        start..self.len
    }

    /// The ranges to which weight decay applies, ascending.
    pub fn decayed(&self) -> Vec<Range<usize>> {
        self.entries.iter().filter(|e| e.decays()).map(|e| e.range.clone()).collect()
    }

    /// Parameters in all, padding not counted.
    pub fn parameters(&self) -> usize {
        self.entries.iter().map(|e| e.range.len()).sum()
    }

    /// Parameters of the encoder's layers: what pruning can remove, with the LayerNorms and biases that stay.
    pub fn encoder_parameters(&self) -> usize {
        self.entries.iter().filter(|e| e.is_encoder()).map(|e| e.range.len()).sum()
    }

    /// Where the LayerNorms' scales lie.
    pub fn scales(&self) -> Vec<&Range<usize>> {
        let of_layers = self.layers.iter().flat_map(|slots| [&slots.attention_gamma, &slots.ffn_gamma]);
        of_layers.chain([&self.embedding_gamma, &self.transform_gamma]).collect()
    }
}

/// A layout with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub layout: Layout,
    pub data: Vec<f32>,
}

impl Params {
    pub fn zeros(layout: Layout) -> Self {
        let data = vec![0.0; layout.len];
        Self { layout, data }
    }

    /// The tensor at a slot of the layout.
    pub fn at(&self, slot: &Range<usize>) -> &[f32] {
        &self.data[slot.clone()]
    }

    /// The tensor of this Hugging Face name.
    pub fn named(&self, name: &str) -> Option<(&Entry, &[f32])> {
        self.layout.entries.iter().find(|e| e.name == name).map(|e| (e, &self.data[e.range.clone()]))
    }
}

/// Several tensors of one buffer at once. The layout's ranges never overlap.
pub(super) fn disjoint<'a, const N: usize>(
    buffer: &'a mut [f32],
    slots: [&Range<usize>; N],
) -> [&'a mut [f32]; N] {
    buffer
        .get_disjoint_mut(slots.map(Clone::clone))
        .expect("the layout's ranges are disjoint and inside the buffer")
}
