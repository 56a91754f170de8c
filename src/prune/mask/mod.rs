//! Which units a subnetwork keeps: one type for heads, FFNs, FFN neurons, blocks and single weights.

mod algebra;
mod bits;
mod on_model;
mod overlap;
mod packed;
mod site;
mod survivors;
#[cfg(test)]
mod tests;
mod text;

pub use bits::Bits;
pub use on_model::Shares;
pub use overlap::Overlap;
pub use packed::PACKED;
pub use site::{Kind, Site};
pub use text::MaskText;

use std::{collections::BTreeMap, fmt};

/// A subnetwork as one flag per unit, set = kept.
///
/// Heads and FFNs of every layer always have flags; of other sites a mask has those that it may prune, and what it does
/// not have is kept whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mask {
    parts: BTreeMap<Site, Bits>,
}

/// Units of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub kept: usize,
    pub total: usize,
}

impl Mask {
    /// The whole network of so many layers.
    pub fn full(layers: usize, heads_per_layer: usize) -> Self {
        let heads = (0..layers).map(|layer| (Site::Heads(layer), Bits::new(heads_per_layer, true)));
        let ffns = (0..layers).map(|layer| (Site::Ffn(layer), Bits::new(1, true)));
        Self { parts: heads.chain(ffns).collect() }
    }

    /// With these flags for a site, in the place of those that it has.
    pub fn with(mut self, site: Site, bits: Bits) -> Self {
        self.parts.insert(site, bits);
        self
    }

    pub fn layers(&self) -> usize {
        self.sites(Kind::Ffns).count()
    }

    pub fn heads_per_layer(&self) -> usize {
        self.get(&Site::Heads(0)).map_or(0, Bits::len)
    }

    /// The sites that have flags, in order.
    pub fn parts(&self) -> impl Iterator<Item = (&Site, &Bits)> {
        self.parts.iter()
    }

    pub fn sites(&self, kind: Kind) -> impl Iterator<Item = (&Site, &Bits)> {
        self.parts().filter(move |(site, _)| site.kind() == kind)
    }

    pub fn get(&self, site: &Site) -> Option<&Bits> {
        self.parts.get(site)
    }

    /// The kinds that have flags, in order.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.parts.keys().map(Site::kind).collect();
        kinds.dedup();
        kinds
    }

    /// The flags of all sites of a kind, one site behind the other: head h of layer l at l · heads + h.
    pub fn flags(&self, kind: Kind) -> Vec<bool> {
        self.sites(kind).flat_map(|(_, bits)| bits.iter()).collect()
    }

    /// With these [`flags`](Self::flags) of a kind.
    pub fn with_flags(mut self, kind: Kind, flags: &[bool]) -> Self {
        let mut flags = flags.iter().copied();
        for (_, bits) in self.parts.iter_mut().filter(|(site, _)| site.kind() == kind) {
            *bits = flags.by_ref().take(bits.len()).collect();
        }
        self
    }

    /// Takes a unit out of the network.
    pub fn prune(&mut self, site: &Site, index: usize) {
        if let Some(bits) = self.parts.get_mut(site) {
            bits.set(index, false);
        }
    }

    /// Whether nothing is pruned.
    pub fn is_whole(&self) -> bool {
        self.parts().all(|(_, bits)| bits.count_ones() == bits.len())
    }

    pub fn count(&self, kind: Kind) -> Count {
        self.sites(kind).fold(Count::default(), |count, (_, bits)| Count {
            kept: count.kept + bits.count_ones(),
            total: count.total + bits.len(),
        })
    }

    pub fn heads_kept(&self) -> usize {
        self.count(Kind::Heads).kept
    }

    pub fn heads_total(&self) -> usize {
        self.count(Kind::Heads).total
    }

    pub fn ffns_kept(&self) -> usize {
        self.count(Kind::Ffns).kept
    }

    pub fn ffns_total(&self) -> usize {
        self.count(Kind::Ffns).total
    }

    /// The kept heads of a layer, ascending.
    pub fn kept_heads(&self, layer: usize) -> Vec<usize> {
        self.kept(&Site::Heads(layer)).unwrap_or_default()
    }

    pub fn keeps_ffn(&self, layer: usize) -> bool {
        self.get(&Site::Ffn(layer)).is_none_or(|bits| bits.get(0))
    }

    /// The kept units of a site that has flags, ascending.
    fn kept(&self, site: &Site) -> Option<Vec<usize>> {
        let bits = self.get(site)?;
        Some((0..bits.len()).filter(|index| bits.get(*index)).collect())
    }

    /// BLAKE3 of all flags and of the sites that they belong to, in hexadecimal digits.
    pub fn hash(&self) -> String {
        hash(self.parts())
    }
}

fn hash<'a>(parts: impl Iterator<Item = (&'a Site, &'a Bits)>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (site, bits) in parts {
        let key = site.key();
        for len in [key.len(), bits.len()] {
            hasher.update(&(len as u64).to_le_bytes());
        }
        hasher.update(key.as_bytes()).update(&bits.to_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// `50 of 72 heads and 5 of 6 FFNs`.
impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds();
        for (n, kind) in kinds.iter().enumerate() {
            let Count { kept, total } = self.count(*kind);
            let before = match n {
                0 => "",
                n if n + 1 == kinds.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{kept} of {total} {kind}")?;
        }
        Ok(())
    }
}
