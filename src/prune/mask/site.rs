//! Where units can be pruned.

use std::fmt;

/// What is pruned together; the order in which masks list and draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Heads,
    Ffns,
    Neurons,
    Blocks,
    Weights,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Heads => "heads",
            Self::Ffns => "FFNs",
            Self::Neurons => "FFN neurons",
            Self::Blocks => "blocks",
            Self::Weights => "weights",
        })
    }
}

/// A place of the unpruned model with prunable units. Layers and units count from 0; a tensor has its Hugging Face name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// The attention heads of a layer.
    Heads(usize),
    /// The feed-forward block of a layer: one unit.
    Ffn(usize),
    /// The inner neurons of a layer's FFN, each with its row of the up-projection and its column of the down-projection.
    Neurons(usize),
    /// The blocks of so many rows and columns that a matrix is cut into, row by row; those at its ends may be smaller.
    Blocks { tensor: String, size: [usize; 2] },
    /// The weights of a tensor, row by row.
    Weights(String),
}

impl Site {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Heads(_) => Kind::Heads,
            Self::Ffn(_) => Kind::Ffns,
            Self::Neurons(_) => Kind::Neurons,
            Self::Blocks { .. } => Kind::Blocks,
            Self::Weights(_) => Kind::Weights,
        }
    }

    /// A unit of this site, for people.
    pub fn unit(&self, index: usize) -> String {
        match self {
            Self::Heads(layer) => format!("head {index} of layer {layer}"),
            Self::Ffn(layer) => format!("the FFN of layer {layer}"),
            Self::Neurons(layer) => format!("FFN neuron {index} of layer {layer}"),
            Self::Blocks { tensor, .. } => format!("block {index} of {tensor}"),
            Self::Weights(tensor) => format!("weight {index} of {tensor}"),
        }
    }

    /// The site as a file names it.
    pub fn key(&self) -> String {
        match self {
            Self::Heads(layer) => format!("heads.{layer}"),
            Self::Ffn(layer) => format!("ffn.{layer}"),
            Self::Neurons(layer) => format!("neurons.{layer}"),
            Self::Blocks { tensor, size: [rows, columns] } => format!("blocks.{rows}x{columns}.{tensor}"),
            Self::Weights(tensor) => format!("weights.{tensor}"),
        }
    }

    /// The site of this [`key`](Self::key).
    pub fn of_key(key: &str) -> Option<Self> {
        let (kind, rest) = key.split_once('.')?;
        let layer = || rest.parse().ok();
        let site = match kind {
            "heads" => Self::Heads(layer()?),
            "ffn" => Self::Ffn(layer()?),
            "neurons" => Self::Neurons(layer()?),
            "blocks" => {
                let (size, tensor) = rest.split_once('.')?;
                let (rows, columns) = size.split_once('x')?;
                let size = [rows.parse().ok()?, columns.parse().ok()?];
                size.iter().all(|n| *n > 0).then(|| Self::Blocks { tensor: tensor.to_owned(), size })?
            }
            "weights" => Self::Weights(rest.to_owned()),
            _ => return None,
        };
        // No second spelling, such as +1 or 01.
        (site.key() == key).then_some(site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_named_as_a_reader_would_name_them() {
        assert_eq!(Site::Heads(2).unit(5), "head 5 of layer 2");
        assert_eq!(Site::Ffn(3).unit(0), "the FFN of layer 3");
        assert_eq!(Site::Weights("pooler.dense.weight".into()).unit(7), "weight 7 of pooler.dense.weight");
    }

    #[test]
    fn a_site_is_read_from_its_key_and_from_nothing_else() {
        let tensor = || "bert.pooler.dense.weight".to_owned();
        for site in [
            Site::Heads(0),
            Site::Ffn(11),
            Site::Neurons(3),
            Site::Blocks { tensor: tensor(), size: [16, 32] },
            Site::Weights(tensor()),
        ] {
            assert_eq!(Site::of_key(&site.key()).as_ref(), Some(&site));
        }
        for wrong in [
            "",
            "heads",
            "heads.",
            "heads.+1",
            "ffn.01",
            "neurons.-1",
            "blocks.16.t",
            "blocks.0x4.t",
            "rows.1",
        ] {
            assert_eq!(Site::of_key(wrong), None, "{wrong:?}");
        }
    }
}
