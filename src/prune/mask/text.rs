//! Masks in JSON: heads and FFNs as strings, of all else the hash.

use super::{Bits, Kind, Mask, Site, hash, packed};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

const REMEDY: &str = "A mask is one string of 0 and 1 per layer under \"heads\" (all equally long) and one character per \
                      layer under \"ffns\".";

/// `{"heads": ["1101", …one string per layer], "ffns": "1011"}`: what tickets, records and ids of stages have of a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskText {
    pub heads: Vec<String>,
    pub ffns: String,
    /// The hash of the sites that are in `mask.safetensors`, when the mask has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
}

impl Mask {
    /// The text of a mask and, when it has more than heads and FFNs, the bytes of its file
    /// [`mask.safetensors`](super::PACKED).
    ///
    /// # Errors
    /// `Data` when one of them is damaged, or they are not of one mask.
    pub fn read(text: &MaskText, file: Option<(&Path, &[u8])>) -> Result<Self> {
        let mut mask = Self::from_strings(&text.heads, &text.ffns)?;
        match (&text.packed, file) {
            (None, None) => {}
            (Some(expected), Some((path, bytes))) => {
                mask.parts.extend(packed::parse(path, bytes)?);
                if mask.packed_hash().as_ref() != Some(expected) {
                    return Err(packed::damaged(path, "is of another mask than the ticket beside it"));
                }
            }
            (Some(_), None) => {
                return Err(Error::data(format!(
                    "the mask has more than heads and FFNs, and its {} is missing. \
                     Delete the stage, so that it is computed anew.",
                    super::PACKED
                )));
            }
            (None, Some((path, _))) => {
                return Err(packed::damaged(path, "is beside a mask of heads and FFNs alone"));
            }
        }
        Ok(mask)
    }

    /// Reads one string of `0` and `1` per layer for the heads, and one for the FFNs.
    ///
    /// # Errors
    /// `Data` when a character is neither 0 nor 1, or the strings do not describe the same layers.
    pub fn from_strings<S: AsRef<str>>(heads: &[S], ffns: &str) -> Result<Self> {
        let layers = heads.len();
        let heads_per_layer = heads.first().map_or(0, |row| row.as_ref().chars().count());
        if heads_per_layer == 0 {
            return Err(Error::data(format!("the mask has no heads. {REMEDY}")));
        }
        let mut mask = Self::full(layers, heads_per_layer);
        for (layer, row) in heads.iter().enumerate() {
            let row = parse(row.as_ref(), &format!("heads[{layer}]"))?;
            if row.len() != heads_per_layer {
                return Err(Error::data(format!(
                    "the mask's heads[{layer}] has {} characters, heads[0] has {heads_per_layer}. {REMEDY}",
                    row.len()
                )));
            }
            mask = mask.with(Site::Heads(layer), row);
        }
        let ffns = parse(ffns, "ffns")?;
        if ffns.len() != layers {
            return Err(Error::data(format!(
                "the mask's ffns has {} characters for {layers} layers. {REMEDY}",
                ffns.len()
            )));
        }
        Ok(mask.with_flags(Kind::Ffns, &ffns.iter().collect::<Vec<_>>()))
    }

    /// One string per layer, `1` = kept.
    pub fn head_strings(&self) -> Vec<String> {
        self.sites(Kind::Heads).map(|(_, bits)| format(bits.iter())).collect()
    }

    /// One character per layer, `1` = kept.
    pub fn ffn_string(&self) -> String {
        format(self.sites(Kind::Ffns).flat_map(|(_, bits)| bits.iter()))
    }

    fn packed_hash(&self) -> Option<String> {
        self.packed_parts().next().is_some().then(|| hash(self.packed_parts()))
    }
}

impl From<&Mask> for MaskText {
    fn from(mask: &Mask) -> Self {
        Self { heads: mask.head_strings(), ffns: mask.ffn_string(), packed: mask.packed_hash() }
    }
}

impl Serialize for Mask {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        MaskText::from(self).serialize(to)
    }
}

/// Of a mask of heads and FFNs alone; see [`Mask::read`].
impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        Self::read(&MaskText::deserialize(from)?, None).map_err(serde::de::Error::custom)
    }
}

fn parse(text: &str, key: &str) -> Result<Bits> {
    text.chars()
        .map(|c| match c {
            '0' => Ok(false),
            '1' => Ok(true),
            other => Err(Error::data(format!("the mask's {key} contains {other:?}. {REMEDY}"))),
        })
        .collect()
}

fn format(flags: impl Iterator<Item = bool>) -> String {
    flags.map(|kept| if kept { '1' } else { '0' }).collect()
}
