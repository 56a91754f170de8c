//! All parameters of one model in a single buffer, so that the optimizer, the clip and a checkpoint are one pass each.

use super::{config::BertConfig, shape::LayerShape};
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
}

/// A tensor of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in Hugging Face's `BertForSequenceClassification` or `BertForMaskedLM`.
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

impl Entry {
    /// Weight decay applies to weights of linear layers and embeddings, not to biases and LayerNorms.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }

    /// Whether it belongs to the encoder's layers.
    pub fn is_encoder(&self) -> bool {
        self.name.starts_with("bert.encoder.")
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
    pub positions: Range<usize>,
    pub segments: Range<usize>,
    pub embedding_gamma: Range<usize>,
    pub embedding_beta: Range<usize>,
    pub layers: Vec<LayerSlots>,
    pub pooler_weight: Range<usize>,
    pub pooler_bias: Range<usize>,
    pub classifier_weight: Range<usize>,
    pub classifier_bias: Range<usize>,
    pub transform_weight: Range<usize>,
    pub transform_bias: Range<usize>,
    pub transform_gamma: Range<usize>,
    pub transform_beta: Range<usize>,
    /// The decoder's weight is the word embeddings' table.
    pub decoder_bias: Range<usize>,
}

impl Layout {
    /// The layout of a BERT with this head, whose layers have these units. A head's slots are empty in the other's.
    pub fn new(config: &BertConfig, shape: &[LayerShape], head: Head) -> Self {
        let h = config.hidden_size;
        let mut layout = Self::default();
        layout.words = layout.add("bert.embeddings.word_embeddings.weight", &[config.vocab_size, h]);
        layout.positions =
            layout.add("bert.embeddings.position_embeddings.weight", &[config.max_position_embeddings, h]);
        layout.segments =
            layout.add("bert.embeddings.token_type_embeddings.weight", &[config.type_vocab_size, h]);
        layout.embedding_gamma = layout.add("bert.embeddings.LayerNorm.weight", &[h]);
        layout.embedding_beta = layout.add("bert.embeddings.LayerNorm.bias", &[h]);
        for (i, layer) in shape.iter().enumerate() {
            let a = layer.heads.len() * config.head_size();
            let name = |rest: &str| format!("bert.encoder.layer.{i}.{rest}");
            let mut slots = LayerSlots::default();
            if a > 0 {
                let three = |kind: &str| {
                    ["query", "key", "value"].map(|p| name(&format!("attention.self.{p}.{kind}")))
                };
                slots.qkv_weight = layout.add_joined(&three("weight"), &[a, h]);
                slots.qkv_bias = layout.add_joined(&three("bias"), &[a]);
                slots.output_weight = layout.add(&name("attention.output.dense.weight"), &[h, a]);
            }
            slots.output_bias = layout.add(&name("attention.output.dense.bias"), &[h]);
            slots.attention_gamma = layout.add(&name("attention.output.LayerNorm.weight"), &[h]);
            slots.attention_beta = layout.add(&name("attention.output.LayerNorm.bias"), &[h]);
            let f = layer.ffn.width(config.intermediate_size);
            if f > 0 {
                slots.up_weight = layout.add(&name("intermediate.dense.weight"), &[f, h]);
                slots.up_bias = layout.add(&name("intermediate.dense.bias"), &[f]);
                slots.down_weight = layout.add(&name("output.dense.weight"), &[h, f]);
            }
            if layer.ffn.is_present() {
                slots.down_bias = layout.add(&name("output.dense.bias"), &[h]);
            }
            slots.ffn_gamma = layout.add(&name("output.LayerNorm.weight"), &[h]);
            slots.ffn_beta = layout.add(&name("output.LayerNorm.bias"), &[h]);
            layout.layers.push(slots);
        }
        match head {
            Head::Classifier { labels } => {
                layout.pooler_weight = layout.add("bert.pooler.dense.weight", &[h, h]);
                layout.pooler_bias = layout.add("bert.pooler.dense.bias", &[h]);
                layout.classifier_weight = layout.add("classifier.weight", &[labels, h]);
                layout.classifier_bias = layout.add("classifier.bias", &[labels]);
            }
            Head::MaskedLm => {
                let name = |rest: &str| format!("cls.predictions.{rest}");
                layout.transform_weight = layout.add(&name("transform.dense.weight"), &[h, h]);
                layout.transform_bias = layout.add(&name("transform.dense.bias"), &[h]);
                layout.transform_gamma = layout.add(&name("transform.LayerNorm.weight"), &[h]);
                layout.transform_beta = layout.add(&name("transform.LayerNorm.bias"), &[h]);
                layout.decoder_bias = layout.add(&name("bias"), &[config.vocab_size]);
            }
        }
        layout
    }

    fn add(&mut self, name: &str, shape: &[usize]) -> Range<usize> {
        self.add_joined(&[name.to_owned()], shape)
    }

    /// Tensors of one shape without a gap between them. Sizes beyond all memory end at the largest number.
    fn add_joined(&mut self, names: &[String], shape: &[usize]) -> Range<usize> {
        let start = self.len.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX);
        self.len = start;
        for name in names {
            let elements = shape.iter().copied().fold(1, usize::saturating_mul);
            let range = self.len..self.len.saturating_add(elements);
            self.len = range.end;
            self.entries.push(Entry { name: name.clone(), shape: shape.to_vec(), range });
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
