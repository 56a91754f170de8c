//! A model's buffers, and the passes that fill them on any backend: the encoder with one of its heads.

use super::{
    backend::{Backend, Done},
    classifier, encoder, masked_lm,
    pass::{Run, Wanted},
};

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub(crate) struct Activations<B> {
    encoder: encoder::Saved<B>,
    pub classifier: classifier::Saved<B>,
    pub masked_lm: masked_lm::Saved<B>,
}

impl<B: Default> Activations<B> {
    /// The classifier's logits.
    pub fn classify<O: Backend<Buffer = B>>(&mut self, ops: &O, run: &Run) -> Done<O> {
        encoder::forward(ops, run, &mut self.encoder)?;
        classifier::forward(ops, run, self.encoder.output().0, &mut self.classifier)
    }

    /// From `classifier.d_logits`, once after [`Self::classify`] of the same run with `keep`.
    pub fn classify_backward<O: Backend<Buffer = B>>(
        &mut self,
        ops: &O,
        run: &Run,
        mut wanted: Wanted<O::Gradient, O::GateGradients>,
    ) -> Done<O> {
        encoder::reserve(ops, run, &mut self.encoder)?;
        let (first, d_first) = self.encoder.output();
        classifier::backward(ops, run, first, &mut self.classifier, d_first, wanted.weights())?;
        encoder::backward(ops, run, &mut self.encoder, wanted)
    }

    /// The logits of the masked tokens.
    pub fn find_words<O: Backend<Buffer = B>>(&mut self, ops: &O, run: &Run) -> Done<O> {
        encoder::forward(ops, run, &mut self.encoder)?;
        masked_lm::forward(ops, run, self.encoder.output().0, &mut self.masked_lm)
    }

    /// From `masked_lm.d_logits`, once after [`Self::find_words`] of the same run with `keep`.
    pub fn find_words_backward<O: Backend<Buffer = B>>(
        &mut self,
        ops: &O,
        run: &Run,
        mut wanted: Wanted<O::Gradient, O::GateGradients>,
    ) -> Done<O> {
        encoder::reserve(ops, run, &mut self.encoder)?;
        let (x, dx) = self.encoder.output();
        masked_lm::backward(ops, run, x, &mut self.masked_lm, dx, wanted.weights())?;
        encoder::backward(ops, run, &mut self.encoder, wanted)
    }
}
