//! BERT: an encoder, possibly without some of its units, with a head.

use super::{
    activations::Activations,
    config::BertConfig,
    cpu::{Chosen, Cpu},
    gates::GateGradients,
    params::{Head, Layout, Params},
    pass::{Input, Pass, Run, Wanted},
    shape::LayerShape,
};
use crate::ops::rng::{Purpose, Stream};

/// The activations and scratch space of a pass on the CPU; reused from batch to batch.
#[derive(Default)]
pub struct Workspace {
    /// What the head reads.
    pub(super) chosen: Chosen,
    pub(super) activations: Activations<Vec<f32>>,
}

impl Workspace {
    /// (B, labels) of the last forward pass; of the span head (T, 2).
    pub fn logits(&self) -> &[f32] {
        &self.activations.classifier.logits
    }

    /// The head reads every token.
    pub(super) fn choose_all(&mut self, input: &Input) {
        let Chosen { rows, offsets } = &mut self.chosen;
        rows.clear();
        offsets.clear();
        rows.extend(0..input.tokens());
        offsets.extend_from_slice(input.offsets);
    }

    /// (M, vocabulary) of the last masked pass; [`Bert::backward_masked`] expects their gradient in the same place.
    pub fn masked_logits(&mut self) -> &mut [f32] {
        &mut self.activations.masked_lm.logits
    }
}

/// Draws a matrix from the stream of a seed and a tensor's name.
pub(super) fn draw(values: &mut [f32], seed: u64, name: &str, deviation: f64) {
    let hash = blake3::hash(name.as_bytes());
    let index = u32::from_le_bytes([0, 1, 2, 3].map(|i| hash.as_bytes()[i]));
    let mut stream = Stream::new(seed, Purpose::Initialisation, index);
    values.iter_mut().for_each(|v| *v = (stream.normal() * deviation) as f32);
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

    /// Outputs of the classifier for a sequence, or of the span head for a token; 0 for another head.
    pub fn labels(&self) -> usize {
        match self.head {
            Head::Classifier { labels } => labels,
            Head::Spans => 2,
            Head::MaskedLm => 0,
        }
    }

    /// Draws the tensors whose name `chosen` accepts. Each has a stream of its own, keyed by the seed and its name, so
    /// the classifier of a seed is the same for every ticket.
    pub fn initialise(&mut self, seed: u64, chosen: impl Fn(&str) -> bool) {
        let deviation = self.config.initializer_range;
        let scales: Vec<_> = self.params.layout.scales().into_iter().cloned().collect();
        for entry in self.params.layout.entries.iter().filter(|e| chosen(&e.name)) {
            let values = &mut self.params.data[entry.range.clone()];
            if entry.shape.len() == 1 {
                values.fill(if scales.contains(&entry.range) { 1.0 } else { 0.0 });
            } else {
                draw(values, seed, &entry.name, deviation);
            }
        }
    }

    /// Computes the classifier's logits (B, labels) or the span head's (T, 2), found in `workspace` afterwards. Gates need
    /// all units present.
    pub fn forward(&self, input: &Input, pass: &Pass, workspace: &mut Workspace) {
        if self.head == Head::Spans {
            workspace.choose_all(input);
        } else {
            let Chosen { rows, offsets } = &mut workspace.chosen;
            rows.clear();
            offsets.clear();
            rows.extend_from_slice(&input.offsets[..input.sequences()]);
            offsets.extend(0..=input.sequences());
        }
        let Workspace { chosen, activations } = workspace;
        let (ops, run) = self.on_cpu(input, chosen, pass);
        let Ok(()) = activations.classify(&ops, &run);
    }

    /// The gradients of the loss whose derivative by the logits is `d_logits`, laid out as they are, once after a `forward` of
    /// the same input and pass with `keep`.
    pub fn backward(
        &self,
        input: &Input,
        pass: &Pass,
        workspace: &mut Workspace,
        d_logits: &[f32],
        wanted: Wanted,
    ) {
        let Workspace { chosen, activations } = workspace;
        let (ops, run) = self.on_cpu(input, chosen, pass);
        activations.classifier.d_logits.clear();
        activations.classifier.d_logits.extend_from_slice(d_logits);
        let Ok(()) = activations.classify_backward(&ops, &run, self.emptied(wanted));
    }

    /// ‖y‖² of every unit at every row of its layer's output, once after a `forward` of the same input and pass with `keep`
    /// and `gate_gradients`: y is a head's context, or what an FFN gives to its residual.
    pub fn squared_norms(&self, input: &Input, pass: &Pass, workspace: &Workspace) -> GateGradients {
        let Workspace { chosen, activations } = workspace;
        let (ops, run) = self.on_cpu(input, chosen, pass);
        let mut out = GateGradients::default();
        out.layers.resize_with(self.shape.len(), Default::default);
        let Ok(()) = activations.squared_norms(&ops, &run, &mut out);
        out
    }

    /// Computes the logits of the tokens at `rows` (M, ascending, at least one), found in `workspace` afterwards.
    ///
    /// # Panics
    /// If `rows` does not ascend or leaves the batch, or the model has another head.
    pub fn forward_masked(&self, input: &Input, rows: &[usize], pass: &Pass, workspace: &mut Workspace) {
        assert!(rows.is_sorted_by(|a, b| a < b) && rows.last().is_some_and(|last| *last < input.tokens()));
        let Workspace { chosen, activations } = workspace;
        chosen.rows.clear();
        chosen.rows.extend_from_slice(rows);
        chosen.offsets.clear();
        let before = |end: &usize| rows.partition_point(|row| row < end);
        chosen.offsets.extend(input.offsets.iter().map(before));
        let (ops, run) = self.on_cpu(input, chosen, pass);
        let Ok(()) = activations.find_words(&ops, &run);
    }

    /// The gradients of the loss whose derivative stands in [`Workspace::masked_logits`], once after a
    /// `forward_masked` of the same input and pass with `keep`.
    pub fn backward_masked(&self, input: &Input, pass: &Pass, workspace: &mut Workspace, wanted: Wanted) {
        let Workspace { chosen, activations } = workspace;
        let (ops, run) = self.on_cpu(input, chosen, pass);
        let of_head = &mut activations.masked_lm;
        // The loss left its derivative in the logits' place.
        std::mem::swap(&mut of_head.logits, &mut of_head.d_logits);
        let Ok(()) = activations.find_words_backward(&ops, &run, self.emptied(wanted));
        let of_head = &mut activations.masked_lm;
        std::mem::swap(&mut of_head.logits, &mut of_head.d_logits);
    }

    pub(super) fn on_cpu<'a>(
        &'a self,
        input: &'a Input,
        chosen: &'a Chosen,
        pass: &Pass<'a>,
    ) -> (Cpu<'a>, Run<'a>) {
        let Self { config, shape, params, head } = self;
        let (epsilon, format) = (config.layer_norm_eps as f32, pass.format);
        let (tokens, read) = (input.tokens(), chosen.rows.len());
        let run = Run { config, shape, head: *head, layout: &params.layout, pass: *pass, tokens, read };
        (Cpu { params, epsilon, format, input, padding: config.padding(), chosen }, run)
    }

    /// Gate gradients of as many layers as there are, still without any.
    fn emptied<'a>(&self, mut wanted: Wanted<'a>) -> Wanted<'a> {
        if let Wanted::Gates(out) = &mut wanted {
            out.layers.resize_with(self.shape.len(), Default::default);
            out.layers.iter_mut().for_each(|layer| {
                layer.heads.clear();
                layer.ffn.clear();
            });
        }
        wanted
    }
}
