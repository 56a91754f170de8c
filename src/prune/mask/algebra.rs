//! Set operations on the kept units of masks.

use super::{Bits, Mask, Site};
use crate::error::{Error, Result};

impl Mask {
    /// The units that both masks keep; over the tickets of several seeds these are the super-survivors.
    ///
    /// # Errors
    /// `Data` when the masks belong to networks of different shape.
    pub fn intersect(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a & b)
    }

    /// The units that one of the masks keeps, or both.
    ///
    /// # Errors
    /// As [`intersect`](Self::intersect).
    pub fn union(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a | b)
    }

    /// The units that this mask keeps and the other does not.
    ///
    /// # Errors
    /// As [`intersect`](Self::intersect).
    pub fn difference(&self, other: &Self) -> Result<Self> {
        self.combine(other, |a, b| a & !b)
    }

    /// Exactly the pruned units of the sites that the mask has.
    pub fn complement(&self) -> Self {
        let parts = self.parts.iter().map(|(site, bits)| (site.clone(), bits.complement()));
        Self { parts: parts.collect() }
    }

    /// Over the sites of both; one that a mask does not have is kept whole there.
    fn combine(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Result<Self> {
        let (layers, heads) = (self.layers(), self.heads_per_layer());
        if (layers, heads) != (other.layers(), other.heads_per_layer()) {
            return Err(Error::data(format!(
                "masks of {layers} × {heads} and {} × {} heads cannot be combined. Take tickets of one model.",
                other.layers(),
                other.heads_per_layer()
            )));
        }
        let missing = other.parts.keys().filter(|site| !self.parts.contains_key(site));
        let sites = self.parts.keys().chain(missing);
        let part = |site: &Site| {
            let (a, b) = (self.get(site), other.get(site));
            let len = a.or(b).map_or(0, Bits::len);
            let whole = || Bits::new(len, true);
            let (a, b) = (a.cloned().unwrap_or_else(whole), b.cloned().unwrap_or_else(whole));
            if a.len() != b.len() {
                return Err(Error::data(format!(
                    "masks with {} and {} {} in {} cannot be combined. Take tickets of one model.",
                    a.len(),
                    b.len(),
                    site.kind(),
                    site.key()
                )));
            }
            Ok((site.clone(), a.combine(&b, &of)))
        };
        Ok(Self { parts: sites.map(part).collect::<Result<_>>()? })
    }
}
