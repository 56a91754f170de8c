//! Masks in the model's terms: what to compute, or what to multiply by 0.

use super::Mask;
use crate::model::{Bert, Gates, LayerShape};

impl Mask {
    /// The units that a physically shrunk model has.
    pub fn layer_shapes(&self) -> Vec<LayerShape> {
        (0..self.layers).map(|l| LayerShape { heads: self.kept_heads(l), ffn: self.ffns[l].into() }).collect()
    }

    /// 1 for kept units, 0 for pruned ones.
    pub fn gates(&self) -> Gates {
        let gate = |kept: &bool| f32::from(u8::from(*kept));
        Gates { heads: self.heads.iter().map(gate).collect(), ffns: self.ffns.iter().map(gate).collect() }
    }
}

impl Bert {
    /// Heads that the model has.
    pub fn heads(&self) -> usize {
        self.shape.iter().map(|l| l.heads.len()).sum()
    }

    /// FFNs that the model has.
    pub fn ffns(&self) -> usize {
        self.shape.iter().filter(|l| l.ffn.is_present()).count()
    }
}
