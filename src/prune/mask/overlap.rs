//! What two masks keep in common, beside what random masks of the same sizes would.

use super::{Bits, Kind, Mask, Site};
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// Units of two masks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Overlap {
    pub total: usize,
    /// By either mask.
    pub kept: [usize; 2],
    pub both: usize,
    /// What two masks that are drawn with the same counts in each site have in common on average, Σ ab/N over sites, and the
    /// variance of that (hypergeometric).
    pub expected: f64,
    pub variance: f64,
}

impl Overlap {
    /// |A ∩ B| / |A ∪ B|; 1 of two masks that keep nothing.
    pub fn jaccard(&self) -> f64 {
        self.over_union(self.both as f64)
    }

    /// The same of [`expected`](Self::expected) in the place of what both keep.
    pub fn expected_jaccard(&self) -> f64 {
        self.over_union(self.expected)
    }

    fn over_union(&self, both: f64) -> f64 {
        let union = (self.kept[0] + self.kept[1]) as f64 - both;
        if union > 0.0 { both / union } else { 1.0 }
    }

    /// By how many standard deviations of chance more is kept by both; none where chance leaves no choice.
    pub fn deviations(&self) -> Option<f64> {
        (self.variance > 0.0).then(|| (self.both as f64 - self.expected) / self.variance.sqrt())
    }

    fn of(a: &Bits, b: &Bits) -> Self {
        let (n, kept) = (a.len(), [a.count_ones(), b.count_ones()]);
        let [x, y] = kept.map(|kept| kept as f64);
        let all = n as f64;
        Self {
            total: n,
            kept,
            both: a.combine(b, |a, b| a & b).count_ones(),
            expected: if n == 0 { 0.0 } else { x * y / all },
            variance: if n < 2 { 0.0 } else { x * y * (all - x) * (all - y) / (all * all * (all - 1.0)) },
        }
    }

    /// Of two groups of sites, drawn independently.
    pub fn and(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            kept: [self.kept[0] + other.kept[0], self.kept[1] + other.kept[1]],
            both: self.both + other.both,
            expected: self.expected + other.expected,
            variance: self.variance + other.variance,
        }
    }
}

impl Mask {
    /// By kind and layer, of what belongs to none under no layer. Kinds of which both masks keep everything are left out.
    ///
    /// # Errors
    /// `Data` when the masks belong to networks of different shape.
    pub fn overlap(&self, other: &Self) -> Result<BTreeMap<(Kind, Option<usize>), Overlap>> {
        // Also checks their shapes.
        let union = self.union(other)?;
        let mut found: BTreeMap<(Kind, Option<usize>), Overlap> = BTreeMap::new();
        for (site, bits) in union.parts() {
            let whole = || Bits::new(bits.len(), true);
            let [a, b] = [self, other].map(|mask| mask.get(site).cloned().unwrap_or_else(whole));
            let at = found.entry((site.kind(), layer(site))).or_default();
            *at = at.and(Overlap::of(&a, &b));
        }
        let chosen: Vec<Kind> =
            found.iter().filter(|(_, of)| of.kept != [of.total; 2]).map(|((kind, _), _)| *kind).collect();
        found.retain(|(kind, _), _| chosen.contains(kind));
        Ok(found)
    }
}

/// The layer of a site; of a tensor the number in its name.
fn layer(site: &Site) -> Option<usize> {
    match site {
        Site::Heads(layer) | Site::Ffn(layer) | Site::Neurons(layer) => Some(*layer),
        Site::Blocks { tensor, .. } | Site::Weights(tensor) => {
            tensor.split('.').find_map(|part| part.parse().ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::rng::{Purpose, Stream};

    fn bits(text: &str) -> Bits {
        text.chars().map(|c| c == '1').collect()
    }

    #[test]
    fn what_both_keep_is_counted_by_kind_and_layer() {
        let weights = |layer: usize, text: &str| {
            (Site::Weights(format!("bert.encoder.layer.{layer}.output.dense.weight")), bits(text))
        };
        let pooler = |text: &str| (Site::Weights("bert.pooler.dense.weight".into()), bits(text));
        let mask = |parts: [(Site, Bits); 3]| {
            parts.into_iter().fold(Mask::full(2, 2), |mask, (site, bits)| mask.with(site, bits))
        };
        let a = mask([weights(0, "11110000"), weights(1, "10101010"), pooler("1100")]);
        let b = mask([weights(0, "11001100"), weights(1, "10101010"), pooler("0011")]);
        let found = a.overlap(&b).unwrap();
        // Heads and FFNs are all there.
        assert_eq!(
            found.keys().map(|(kind, layer)| (*kind, *layer)).collect::<Vec<_>>(),
            [(Kind::Weights, None), (Kind::Weights, Some(0)), (Kind::Weights, Some(1))]
        );
        let of = |layer| found[&(Kind::Weights, layer)];
        assert_eq!((of(Some(0)).both, of(Some(0)).expected, of(Some(0)).jaccard()), (2, 2.0, 1.0 / 3.0));
        assert_eq!((of(Some(1)).both, of(Some(1)).jaccard(), of(None).both), (4, 1.0, 0));
        // 4 · 4 · 4 · 4 / (64 · 7)
        assert!((of(Some(1)).variance - 256.0 / 448.0).abs() < 1e-12);
        assert_eq!((of(None).expected, of(None).expected_jaccard()), (1.0, 1.0 / 3.0));
        let all = of(Some(0)).and(of(Some(1)));
        assert_eq!((all.both, all.kept, all.total, all.expected), (6, [8, 8], 16, 4.0));
    }

    #[test]
    fn random_masks_have_in_common_what_is_expected_within_its_deviation() {
        let mut draw = Stream::new(5, Purpose::Split, 3);
        let mut mask = |share: f64| {
            let bits: Bits = (0..20_000).map(|_| draw.uniform() < share).collect();
            Mask::full(1, 1).with(Site::Weights("layer.0.w".into()), bits)
        };
        let mut sum = 0.0;
        for _ in 0..20 {
            let overlap = mask(0.3).overlap(&mask(0.6)).unwrap()[&(Kind::Weights, Some(0))];
            let deviations = overlap.deviations().unwrap();
            assert!(deviations.abs() < 4.5, "{overlap:?}");
            sum += deviations.powi(2);
        }
        // χ² of 20.
        assert!((5.0..45.0).contains(&sum), "{sum}");
        let same = mask(0.3);
        let of_itself = same.overlap(&same).unwrap()[&(Kind::Weights, Some(0))];
        assert!(of_itself.jaccard() == 1.0 && of_itself.deviations().unwrap() > 100.0);
    }

    #[test]
    fn masks_of_other_shapes_are_refused_and_whole_ones_have_nothing_to_compare() {
        assert!(Mask::full(2, 2).overlap(&Mask::full(3, 2)).is_err());
        assert!(Mask::full(2, 2).overlap(&Mask::full(2, 2)).unwrap().is_empty());
    }
}
