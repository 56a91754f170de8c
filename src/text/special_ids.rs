//! The ids of BERT's special tokens.

/// The ids of BERT's special tokens; a tokenizer may lack the two that fine-tuning does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    pub pad: Option<u32>,
    pub unk: u32,
    pub cls: u32,
    pub sep: u32,
    pub mask: Option<u32>,
}

impl SpecialIds {
    pub(super) fn contain(&self, id: u32) -> bool {
        [self.unk, self.cls, self.sep].contains(&id) || [self.pad, self.mask].contains(&Some(id))
    }
}
