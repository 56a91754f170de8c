//! BERT: an encoder, possibly without some of its units, with a head.

use super::{
    classifier,
    config::BertConfig,
    encoder::{self, Input, Pass, Wanted},
    masked_lm,
    params::{Head, Layout, Params},
    shape::LayerShape,
};
use crate::ops::{
    fit,
    rng::{Purpose, Stream},
};

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub struct Workspace {
    pub(super) encoder: encoder::Saved,
    pub(super) classifier: classifier::Saved,
    pub(super) masked_lm: masked_lm::Saved,
}

impl Workspace {
    /// (B, labels) of the last forward pass.
    pub fn logits(&self) -> &[f32] {
        &self.classifier.logits
    }
}

/// A BERT with a head, possibly without some of its units.
#[derive(Clone, Debug, PartialEq)]
pub struct Bert {
    /// Sizes of the unpruned model.
    pub config: BertConfig,
    /// The units it has.
    pub shape: Vec<LayerShape>,
    pub head: Head,
    pub params: Params,
}

impl Bert {
    /// All parameters zero.
    pub fn zeros(config: BertConfig, shape: Vec<LayerShape>, head: Head) -> Self {
        let params = Params::zeros(Layout::new(&config, &shape, head));
        Self { config, shape, head, params }
    }

    /// Random weights as BERT's authors draw them: N(0, initializer_range), zero biases, unit LayerNorms.
    pub fn random(config: BertConfig, head: Head, seed: u64) -> Self {
        let shape = config.full_shape();
        let mut bert = Self::zeros(config, shape, head);
        bert.initialise(seed, |_| true);
        bert
    }

    /// Outputs of the classifier; 0 for another head.
    pub fn labels(&self) -> usize {
        match self.head {
            Head::Classifier { labels } => labels,
            Head::MaskedLm => 0,
        }
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

    /// Computes the classifier's logits (B, labels), found in `workspace` afterwards. Gates need all units present.
    pub fn forward(&self, input: &Input, pass: &Pass, workspace: &mut Workspace) {
        let Workspace { encoder, classifier, .. } = workspace;
        encoder.chosen.rows.clear();
        encoder.chosen.rows.extend_from_slice(&input.offsets[..input.sequences()]);
        encoder.chosen.offsets.clear();
        encoder.chosen.offsets.extend(0..=input.sequences());
        encoder::forward(self, input, pass, encoder);
        classifier::forward(&self.params, encoder.output(self.config.hidden_size), pass, classifier);
    }

    /// The gradients of the loss whose derivative by the logits is `d_logits` (B, labels), once after a `forward` of the
    /// same input and pass with `keep`.
    pub fn backward(
        &self,
        input: &Input,
        pass: &Pass,
        workspace: &mut Workspace,
        d_logits: &[f32],
        mut wanted: Wanted,
    ) {
        let Workspace { encoder, classifier, .. } = workspace;
        let h = self.config.hidden_size;
        let mut dy = std::mem::take(&mut encoder.dy);
        let d_first = fit(&mut dy, input.sequences() * h);
        let (first, gradient) = (encoder.output(h), wanted.weights());
        classifier::backward(&self.params, first, pass, classifier, d_logits, d_first, gradient);
        encoder.dy = dy;
        encoder::backward(self, input, pass, encoder, wanted);
    }
}
