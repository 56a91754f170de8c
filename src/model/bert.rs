//! BERT for sequence classification: one forward pass, one backward pass.

use super::{
    attention_block, classifier,
    config::BertConfig,
    embeddings, ffn_block,
    gates::{GateGradients, Gates},
    params::{LayerShape, LayerSlots, Layout, Params},
};
use crate::ops::{
    dropout::DropoutPlan,
    fit,
    rng::{Purpose, Stream},
};

/// A packed batch: `B` sequences one behind another, `T` tokens in all, no padding.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// (T) word ids
    pub ids: &'a [u32],
    /// (T) positions within the sequence
    pub positions: &'a [u32],
    /// (T) segment ids
    pub segments: &'a [u32],
    /// (B + 1) where sequences begin
    pub offsets: &'a [usize],
}

impl Input<'_> {
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// What one pass does besides computing logits.
#[derive(Clone, Copy, Default)]
pub struct Pass<'a> {
    /// Dropout masks; `None` in evaluation.
    pub dropout: Option<&'a DropoutPlan>,
    /// Multipliers on the units of an unpruned model.
    pub gates: Option<&'a Gates>,
    /// Whether [`Bert::backward`] will follow.
    pub keep: bool,
    /// Whether that will be for gate gradients.
    pub gate_gradients: bool,
}

/// What a backward pass is for. Gate gradients need no weight gradient, and no input gradient below the first layer.
pub enum Wanted<'a> {
    /// Adds the gradients of all parameters to a buffer laid out like them.
    Weights(&'a mut [f32]),
    Gates(&'a mut GateGradients),
}

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub struct Workspace {
    embeddings: embeddings::Saved,
    layers: Vec<LayerSaved>,
    classifier: classifier::Saved,
    attention: attention_block::Scratch,
    ffn: ffn_block::Scratch,
    dy: Vec<f32>,
    embedding_scratch: Vec<f32>,
    first_offsets: Vec<usize>,
}

impl Workspace {
    /// (B, labels) of the last forward pass.
    pub fn logits(&self) -> &[f32] {
        &self.classifier.logits
    }
}

#[derive(Default)]
struct LayerSaved {
    attention: attention_block::Saved,
    ffn: ffn_block::Saved,
}

/// One layer in the context of one pass.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub number: usize,
    pub params: &'a Params,
    pub slots: &'a LayerSlots,
    pub shape: &'a LayerShape,
    pub head_size: usize,
    pub hidden: usize,
    pub inner: usize,
    pub epsilon: f32,
    /// Heads of the unpruned layer.
    heads_total: usize,
    pub offsets: &'a [usize],
    pub query_offsets: &'a [usize],
    /// Whether only each sequence's first token is computed.
    pub first_only: bool,
    pub dropout: Option<&'a DropoutPlan>,
    pub gates: Option<&'a Gates>,
}

impl Layer<'_> {
    /// Rows of the input.
    pub fn tokens(&self) -> usize {
        self.offsets[self.offsets.len() - 1]
    }

    /// Rows of the output.
    pub fn rows(&self) -> usize {
        self.query_offsets[self.query_offsets.len() - 1]
    }

    /// A: the width of all heads together.
    pub fn width(&self) -> usize {
        self.shape.heads.len() * self.head_size
    }

    /// This layer's part of [`Gates::heads`].
    pub fn head_range(&self) -> std::ops::Range<usize> {
        self.number * self.heads_total..(self.number + 1) * self.heads_total
    }
}

/// A BERT with a classifier, possibly without some of its units.
#[derive(Clone, Debug, PartialEq)]
pub struct Bert {
    /// Sizes of the unpruned model.
    pub config: BertConfig,
    /// The units it has.
    pub shape: Vec<LayerShape>,
    pub labels: usize,
    pub params: Params,
}

impl Bert {
    /// All parameters zero.
    pub fn zeros(config: BertConfig, shape: Vec<LayerShape>, labels: usize) -> Self {
        let params = Params::zeros(Layout::new(&config, &shape, labels));
        Self { config, shape, labels, params }
    }

    /// Random weights as BERT's authors draw them: N(0, initializer_range), zero biases, unit LayerNorms.
    pub fn random(config: BertConfig, labels: usize, seed: u64) -> Self {
        let shape = config.full_shape();
        let mut bert = Self::zeros(config, shape, labels);
        bert.initialise(seed, |_| true);
        bert
    }

    /// Draws the tensors whose name `chosen` accepts. Each has a stream of its own, keyed by the seed and its name, so
    /// the classifier of a seed is the same for every ticket.
    pub fn initialise(&mut self, seed: u64, chosen: impl Fn(&str) -> bool) {
        let deviation = self.config.initializer_range;
        for entry in self.params.layout.entries.iter().filter(|e| chosen(&e.name)) {
            let values = &mut self.params.data[entry.range.clone()];
            if entry.shape.len() == 1 {
                values.fill(if entry.name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 });
            } else {
                let hash = blake3::hash(entry.name.as_bytes());
                let index = u32::from_le_bytes([0, 1, 2, 3].map(|i| hash.as_bytes()[i]));
                let mut stream = Stream::new(seed, Purpose::Initialisation, index);
                values.iter_mut().for_each(|v| *v = (stream.normal() * deviation) as f32);
            }
        }
    }

    fn layer<'a>(
        &'a self,
        number: usize,
        input: &Input<'a>,
        first: &'a [usize],
        pass: &Pass<'a>,
    ) -> Layer<'a> {
        let first_only = number + 1 == self.shape.len();
        Layer {
            number,
            params: &self.params,
            slots: &self.params.layout.layers[number],
            shape: &self.shape[number],
            head_size: self.config.head_size(),
            hidden: self.config.hidden_size,
            inner: self.config.intermediate_size,
            epsilon: self.config.layer_norm_eps as f32,
            heads_total: self.config.num_attention_heads,
            offsets: input.offsets,
            query_offsets: if first_only { first } else { input.offsets },
            first_only,
            dropout: pass.dropout,
            gates: pass.gates,
        }
    }

    /// Computes the logits (B, labels), found in `workspace` afterwards. Gates need all units present.
    pub fn forward(&self, input: &Input, pass: &Pass, workspace: &mut Workspace) {
        assert!(
            pass.gates.is_none() || self.shape == self.config.full_shape(),
            "gates are for unpruned models"
        );
        let layers = self.shape.len();
        workspace.layers.resize_with(layers, LayerSaved::default);
        workspace.first_offsets = (0..=input.sequences()).collect();
        let Workspace { embeddings, layers: saved, classifier, attention, first_offsets, .. } = workspace;
        embeddings::forward(&self.config, &self.params, input, pass.dropout, embeddings);
        let rows = input.tokens() * self.config.hidden_size;
        // Without a backward pass two layers' buffers serve in turn.
        let place = |l: usize| if pass.keep { l } else { l % 2 };
        for l in 0..layers {
            let layer = self.layer(l, input, first_offsets, pass);
            let (current, previous) = if l == 0 {
                (&mut saved[0], None)
            } else {
                let [current, previous] = saved
                    .get_disjoint_mut([place(l), place(l - 1)])
                    .expect("neighbouring layers have different buffers");
                (current, Some(previous))
            };
            let x = previous.map_or(&embeddings.y[..rows], |p| &p.ffn.y[..rows]);
            attention_block::forward(&layer, x, &mut current.attention, attention);
            let y = &current.attention.y[..layer.rows() * layer.hidden];
            ffn_block::forward(&layer, y, &mut current.ffn, pass.gate_gradients);
        }
        let first = &saved[place(layers - 1)].ffn.y[..input.sequences() * self.config.hidden_size];
        classifier::forward(&self.params, first, pass.dropout, classifier);
    }

    /// The gradients of the loss whose derivative by the logits is `d_logits` (B, labels), after a `forward` of the
    /// same input and pass with `keep`.
    pub fn backward(
        &self,
        input: &Input,
        pass: &Pass,
        workspace: &mut Workspace,
        d_logits: &[f32],
        mut wanted: Wanted,
    ) {
        let (layers, h, t) = (self.shape.len(), self.config.hidden_size, input.tokens());
        let Workspace {
            embeddings,
            layers: saved,
            classifier,
            attention,
            ffn,
            dy,
            embedding_scratch,
            first_offsets,
        } = workspace;
        if let Wanted::Gates(out) = &mut wanted {
            out.layers.resize_with(layers, Default::default);
            out.layers.iter_mut().for_each(|l| {
                l.heads.clear();
                l.ffn.clear();
            });
        }
        let first = &saved[layers - 1].ffn.y[..input.sequences() * h];
        let d_first = fit(dy, input.sequences() * h);
        let gradient = match &mut wanted {
            Wanted::Weights(gradient) => Some(&mut **gradient),
            Wanted::Gates(_) => None,
        };
        classifier::backward(&self.params, first, pass.dropout, classifier, d_logits, d_first, gradient);
        for l in (0..layers).rev() {
            let layer = self.layer(l, input, first_offsets, pass);
            let y = &saved[l].attention.y[..layer.rows() * h];
            ffn_block::backward(&layer, y, &saved[l].ffn, ffn, &mut dy[..layer.rows() * h], &mut wanted);
            let x = if l == 0 { &embeddings.y[..t * h] } else { &saved[l - 1].ffn.y[..t * h] };
            attention_block::backward(&layer, x, &saved[l].attention, attention, dy, &mut wanted);
        }
        if let Wanted::Weights(gradient) = wanted {
            let (dy, scratch) = (&mut dy[..t * h], fit(embedding_scratch, t * h));
            embeddings::backward(&self.params, input, pass.dropout, embeddings, dy, scratch, gradient);
        }
    }
}
