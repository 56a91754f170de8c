//! Which heads and FFNs a subnetwork keeps.

use serde::{Deserialize, Serialize};

use super::unit::{Unit, UnitSizes};
use crate::error::{Error, Result};

/// A subnetwork as one flag per unit, `true` = kept.
///
/// Written as `{"heads": ["1101", …one string per layer], "ffns": "1011"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "MaskStrings", into = "MaskStrings")]
pub struct Mask {
    pub layers: usize,
    pub heads_per_layer: usize,
    /// `layers · heads_per_layer` flags, row-major: head `h` of layer `l` is `l · heads_per_layer + h`.
    pub heads: Vec<bool>,
    /// `layers` flags.
    pub ffns: Vec<bool>,
}

#[derive(Clone, Serialize, Deserialize)]
struct MaskStrings {
    heads: Vec<String>,
    ffns: String,
}

impl From<Mask> for MaskStrings {
    fn from(mask: Mask) -> Self {
        Self { heads: mask.head_strings(), ffns: mask.ffn_string() }
    }
}

impl TryFrom<MaskStrings> for Mask {
    type Error = Error;

    fn try_from(strings: MaskStrings) -> Result<Self> {
        Self::from_strings(&strings.heads, &strings.ffns)
    }
}

impl Mask {
    /// The whole network.
    pub fn full(layers: usize, heads_per_layer: usize) -> Self {
        Self {
            layers,
            heads_per_layer,
            heads: vec![true; layers * heads_per_layer],
            ffns: vec![true; layers],
        }
    }

    /// Reads one string of `0` and `1` per layer for the heads, and one for the FFNs.
    ///
    /// # Errors
    /// `Data` when a character is neither 0 nor 1, or the strings do not describe the same layers.
    pub fn from_strings<S: AsRef<str>>(heads: &[S], ffns: &str) -> Result<Self> {
        let remedy = "A mask is one string of 0 and 1 per layer under \"heads\" (all equally long) and one \
                      character per layer under \"ffns\".";
        let layers = heads.len();
        let heads_per_layer = heads.first().map_or(0, |row| row.as_ref().chars().count());
        if heads_per_layer == 0 {
            return Err(Error::data(format!("the mask has no heads. {remedy}")));
        }
        let mut flags = Vec::with_capacity(layers * heads_per_layer);
        for (layer, row) in heads.iter().enumerate() {
            let row = parse_flags(row.as_ref(), &format!("heads[{layer}]"), remedy)?;
            if row.len() != heads_per_layer {
                return Err(Error::data(format!(
                    "the mask's heads[{layer}] has {} characters, heads[0] has {heads_per_layer}. {remedy}",
                    row.len()
                )));
            }
            flags.extend(row);
        }
        let ffns = parse_flags(ffns, "ffns", remedy)?;
        if ffns.len() != layers {
            return Err(Error::data(format!(
                "the mask's ffns has {} characters for {layers} layers. {remedy}",
                ffns.len()
            )));
        }
        Ok(Self { layers, heads_per_layer, heads: flags, ffns })
    }

    /// One string per layer, `1` = kept.
    pub fn head_strings(&self) -> Vec<String> {
        (0..self.layers).map(|layer| format_flags(self.layer_heads(layer))).collect()
    }

    /// One character per layer, `1` = kept.
    pub fn ffn_string(&self) -> String {
        format_flags(&self.ffns)
    }

    pub fn heads_kept(&self) -> usize {
        self.heads.iter().filter(|kept| **kept).count()
    }

    pub fn ffns_kept(&self) -> usize {
        self.ffns.iter().filter(|kept| **kept).count()
    }

    pub fn heads_total(&self) -> usize {
        self.heads.len()
    }

    pub fn ffns_total(&self) -> usize {
        self.ffns.len()
    }

    /// The flags of one layer's heads.
    pub fn layer_heads(&self, layer: usize) -> &[bool] {
        &self.heads[layer * self.heads_per_layer..(layer + 1) * self.heads_per_layer]
    }

    /// The kept heads of a layer, ascending.
    pub fn kept_heads(&self, layer: usize) -> Vec<usize> {
        (0..self.heads_per_layer).filter(|head| self.layer_heads(layer)[*head]).collect()
    }

    /// Whether a unit is kept.
    pub fn keeps(&self, unit: Unit) -> bool {
        match unit {
            Unit::Head { layer, head } => self.layer_heads(layer)[head],
            Unit::Ffn { layer } => self.ffns[layer],
        }
    }

    /// The unit whose flag is `heads[index]`.
    pub fn head_unit(&self, index: usize) -> Unit {
        Unit::Head { layer: index / self.heads_per_layer, head: index % self.heads_per_layer }
    }

    /// Takes a unit out of the network.
    pub fn prune(&mut self, unit: Unit) {
        match unit {
            Unit::Head { layer, head } => self.heads[layer * self.heads_per_layer + head] = false,
            Unit::Ffn { layer } => self.ffns[layer] = false,
        }
    }

    /// The units that both masks keep; over the tickets of several seeds these are the super-survivors.
    ///
    /// # Errors
    /// `Data` when the masks belong to networks of different shape.
    pub fn intersect(&self, other: &Mask) -> Result<Mask> {
        if (self.layers, self.heads_per_layer) != (other.layers, other.heads_per_layer) {
            return Err(Error::data(format!(
                "masks of {} × {} and {} × {} heads cannot be intersected. Take tickets of one model.",
                self.layers, self.heads_per_layer, other.layers, other.heads_per_layer
            )));
        }
        let both = |a: &[bool], b: &[bool]| a.iter().zip(b).map(|(a, b)| *a && *b).collect();
        Ok(Mask {
            heads: both(&self.heads, &other.heads),
            ffns: both(&self.ffns, &other.ffns),
            ..self.clone()
        })
    }

    /// Exactly the pruned units.
    pub fn complement(&self) -> Mask {
        let not = |flags: &[bool]| flags.iter().map(|kept| !kept).collect();
        Mask { heads: not(&self.heads), ffns: not(&self.ffns), ..self.clone() }
    }

    /// Whether neither a head nor an FFN is left.
    pub fn is_exhausted(&self) -> bool {
        self.heads_kept() == 0 && self.ffns_kept() == 0
    }

    /// Parameters that physical removal of the pruned units takes away.
    pub fn pruned_parameters(&self, sizes: &UnitSizes) -> usize {
        (self.heads_total() - self.heads_kept()) * sizes.head
            + (self.ffns_total() - self.ffns_kept()) * sizes.ffn
    }
}

fn parse_flags(text: &str, key: &str, remedy: &str) -> Result<Vec<bool>> {
    text.chars()
        .map(|c| match c {
            '0' => Ok(false),
            '1' => Ok(true),
            other => Err(Error::data(format!("the mask's {key} contains {other:?}. {remedy}"))),
        })
        .collect()
}

fn format_flags(flags: &[bool]) -> String {
    flags.iter().map(|kept| if *kept { '1' } else { '0' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Mask {
        Mask::from_strings(&["101", "000"], "10").unwrap()
    }

    #[test]
    fn a_mask_reads_and_writes_the_strings_of_the_ticket() {
        let json = r#"{"heads":["101","000"],"ffns":"10"}"#;
        let mask: Mask = serde_json::from_str(json).unwrap();
        assert_eq!(mask, example());
        assert_eq!(serde_json::to_string(&mask).unwrap(), json);
    }

    #[test]
    fn counts_and_kept_heads_follow_the_flags() {
        let mask = example();
        assert_eq!((mask.heads_kept(), mask.heads_total()), (2, 6));
        assert_eq!((mask.ffns_kept(), mask.ffns_total()), (1, 2));
        assert_eq!(mask.kept_heads(0), [0, 2]);
        assert!(mask.kept_heads(1).is_empty());
        assert!(mask.keeps(Unit::Head { layer: 0, head: 2 }) && !mask.keeps(Unit::Ffn { layer: 1 }));
        assert_eq!(mask.head_unit(5), Unit::Head { layer: 1, head: 2 });
    }

    #[test]
    fn pruning_the_last_units_exhausts_a_mask() {
        let mut mask = example();
        mask.prune(Unit::Head { layer: 0, head: 0 });
        mask.prune(Unit::Head { layer: 0, head: 2 });
        assert!(!mask.is_exhausted());
        mask.prune(Unit::Ffn { layer: 0 });
        assert!(mask.is_exhausted());
    }

    #[test]
    fn the_complement_shares_nothing_and_together_they_are_everything() {
        let mask = example();
        assert!(mask.intersect(&mask.complement()).unwrap().is_exhausted());
        assert_eq!(mask.complement().complement(), mask);
        assert_eq!(Mask::full(2, 3).intersect(&mask).unwrap(), mask);
        assert_eq!(Mask::full(2, 3).intersect(&Mask::full(3, 2)).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn removed_parameters_are_counted_per_kind() {
        assert_eq!(example().pruned_parameters(&UnitSizes { head: 10, ffn: 100 }), 4 * 10 + 100);
    }

    #[test]
    fn malformed_strings_are_refused_with_the_key_that_is_wrong() {
        let message = |heads: &[&str], ffns| Mask::from_strings(heads, ffns).unwrap_err().to_string();
        assert!(message(&["10", "1x"], "11").contains("heads[1] contains 'x'"));
        assert!(message(&["10", "1"], "11").contains("heads[1] has 1 characters"));
        assert!(message(&["10", "11"], "1").contains("ffns has 1 characters for 2 layers"));
        assert!(message(&[], "").contains("no heads"));
    }
}
