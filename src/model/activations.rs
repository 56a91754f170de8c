//! A model's buffers, and the passes that fill them on any backend: the encoder with one of its heads.

use super::{
    backend::{Backend, Done},
    classifier, encoder, masked_lm,
    params::Head,
    pass::{Run, Wanted},
    spans,
};

/// The activations and scratch space of a pass; reused from batch to batch.
#[derive(Default)]
pub(crate) struct Activations<B> {
    pub encoder: encoder::Saved<B>,
    /// Of the classifier or the span head.
    pub classifier: classifier::Saved<B>,
    pub masked_lm: masked_lm::Saved<B>,
}

impl<B: Default> Activations<B> {
    /// The logits of the classifier, or of the span head.
    pub fn classify<O: Backend<Buffer = B>>(&mut self, ops: &O, run: &Run) -> Done<O> {
        encoder::forward(ops, run, &mut self.encoder)?;
        let (x, saved) = (self.encoder.output().0, &mut self.classifier);
        match run.head {
            Head::Spans => spans::forward(ops, run, x, saved),
            Head::Classifier { .. } | Head::MaskedLm => classifier::forward(ops, run, x, saved),
        }
    }

    /// From `classifier.d_logits`, once after [`Self::classify`] of the same run with `keep`.
    pub fn classify_backward<O: Backend<Buffer = B>>(
        &mut self,
        ops: &O,
        run: &Run,
        mut wanted: Wanted<O::Gradient, O::GateGradients>,
    ) -> Done<O> {
        encoder::reserve(ops, run, &mut self.encoder)?;
        let ((x, dx), saved) = (self.encoder.output(), &mut self.classifier);
        match run.head {
            Head::Spans => spans::backward(ops, run, x, saved, dx, wanted.weights())?,
            Head::Classifier { .. } | Head::MaskedLm => {
                classifier::backward(ops, run, x, saved, dx, wanted.weights())?
            }
        }
        encoder::backward(ops, run, &mut self.encoder, wanted)
    }

    /// ‖y‖² of every unit at every row, once after [`Self::classify`] of the same run with `keep` and `gate_gradients`.
    pub fn squared_norms<O: Backend<Buffer = B>>(
        &self,
        ops: &O,
        run: &Run,
        out: &mut O::GateGradients,
    ) -> Done<O> {
        encoder::squared_norms(ops, run, &self.encoder, out)
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
