//! The two kinds of units that can be pruned, and how many parameters each holds.

/// One prunable unit of the encoder; layers and heads count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// One attention head.
    Head { layer: usize, head: usize },
    /// The whole feed-forward block of a layer.
    Ffn { layer: usize },
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head { layer, head } => write!(f, "head {head} of layer {layer}"),
            Self::Ffn { layer } => write!(f, "the FFN of layer {layer}"),
        }
    }
}

/// Parameters that disappear when a unit is physically removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitSizes {
    /// Per head: its rows of the query, key and value weights and biases, its columns of the output projection.
    pub head: usize,
    /// Per FFN: both weights and both biases.
    pub ffn: usize,
}

impl UnitSizes {
    /// Sizes for an encoder of the given widths. The output projection's bias and the LayerNorms belong to no
    /// unit: they stay even in a layer that has lost every head and its FFN.
    pub fn new(hidden: usize, head_width: usize, ffn_width: usize) -> Self {
        Self {
            head: 4 * head_width * hidden + 3 * head_width,
            ffn: 2 * hidden * ffn_width + ffn_width + hidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bert_base_units_have_the_known_sizes() {
        let sizes = UnitSizes::new(768, 64, 3072);
        // 3 · (64 · 768 + 64) + 768 · 64, and (3072 · 768 + 3072) + (768 · 3072 + 768).
        assert_eq!(sizes, UnitSizes { head: 196_800, ffn: 4_722_432 });
    }

    #[test]
    fn units_are_named_as_a_reader_would_name_them() {
        assert_eq!(Unit::Head { layer: 2, head: 5 }.to_string(), "head 5 of layer 2");
        assert_eq!(Unit::Ffn { layer: 3 }.to_string(), "the FFN of layer 3");
    }
}
