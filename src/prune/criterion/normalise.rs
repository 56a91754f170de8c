//! From raw gate gradients to scores that can be compared over layers.

use super::importance::Importance;
use crate::{
    choice::choices,
    prune::{Kind, Mask},
};

/// Importances before normalisation; NaN for a unit that was not scored (physically absent).
#[derive(Debug, Clone, PartialEq)]
pub struct RawImportance {
    /// `layers · heads` values, row-major.
    pub heads: Vec<f64>,
    /// `layers` values.
    pub ffns: Vec<f64>,
}

choices! {
    /// How scores are made comparable over layers.
    pub enum Norm ("norm", default LayerL2) {
        /// heads divided by the L2 norm of their layer, then all heads scaled to 0 … 1; FFNs scaled to 0 … 1
        LayerL2 = "layer-l2",
        /// heads of all layers scaled to 0 … 1, and so FFNs: layers keep their ratio
        Global = "global",
        /// as they were measured
        None = "none",
    }
}

impl Norm {
    /// As tickets and records name it.
    pub fn described(self, pruned: PrunedUnits) -> &'static str {
        match (self, pruned) {
            (Self::LayerL2, PrunedUnits::Excluded) => "layer-l2+minmax",
            (Self::LayerL2, PrunedUnits::Included) => "layer-l2+minmax, pruned units included",
            (Self::Global, PrunedUnits::Excluded) => "minmax",
            (Self::Global, PrunedUnits::Included) => "minmax, pruned units included",
            (Self::None, _) => "none",
        }
    }
}

choices! {
    /// Whether pruned units take part in the layer norm and the min-max.
    pub enum PrunedUnits ("setting of importance.pruned_units") {
        /// only kept units are scaled against one another
        Excluded = "excluded",
        /// as published: a gate at 0 still has a gradient, and it shifts the other heads of its layer
        Included = "included",
    }
}

/// Scales raw importances to [0, 1] (Prasanna et al. 2020, section 3, and their code).
///
/// Heads: each layer is divided by its L2 norm (+ 1e-20), then min-max over all heads. FFNs: min-max alone.
/// Units that are not scored (non-finite), and pruned ones unless they are `Included`, come out as NaN and
/// influence no other unit. Where all values are equal the min-max is undefined; they become 0.
///
/// The arithmetic is f64 with one rounding to the published f32 at the end, so that very small gradients of a
/// well-fitted model do not underflow when squared.
pub fn normalise(raw: &RawImportance, mask: &Mask, pruned: PrunedUnits) -> Importance {
    scale(raw, mask, pruned, Norm::LayerL2)
}

/// [`normalise`] with another norm.
pub fn scale(raw: &RawImportance, mask: &Mask, pruned: PrunedUnits, norm: Norm) -> Importance {
    let part = |values: &[f64], kept: &[bool]| -> Vec<f64> {
        let takes_part =
            |value: f64, kept: bool| value.is_finite() && (kept || pruned == PrunedUnits::Included);
        values.iter().zip(kept).map(|(v, k)| if takes_part(*v, *k) { *v } else { f64::NAN }).collect()
    };
    let mut heads = part(&raw.heads, &mask.flags(Kind::Heads));
    let to_scale = |values: &[f64]| match norm {
        Norm::LayerL2 | Norm::Global => min_max(values),
        Norm::None => values.iter().map(|v| *v as f32).collect(),
    };
    for row in heads.chunks_mut(mask.heads_per_layer().max(1)).filter(|_| norm == Norm::LayerL2) {
        let norm = row.iter().filter(|v| !v.is_nan()).map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm + 1e-20);
    }
    let ffns = part(&raw.ffns, &mask.flags(Kind::Ffns));
    Importance::of_units(mask, &to_scale(&heads), &to_scale(&ffns))
}

fn min_max(values: &[f64]) -> Vec<f32> {
    // f64::min and f64::max pass over NaN.
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if high > low { high - low } else { 1.0 };
    values.iter().map(|v| ((v - low) / range) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Site;

    /// The scores of heads and of FFNs.
    fn scores(raw: &RawImportance, mask: &Mask, pruned: PrunedUnits) -> (Vec<f32>, Vec<f32>) {
        let scores = normalise(raw, mask, pruned);
        (scores.values(Kind::Heads), scores.values(Kind::Ffns))
    }

    fn raw(heads: &[f64], ffns: &[f64]) -> RawImportance {
        RawImportance { heads: heads.to_vec(), ffns: ffns.to_vec() }
    }

    #[test]
    fn heads_are_scaled_within_their_layer_and_then_over_all_layers() {
        // Rows (3, 4) and (0, 2) have norms 5 and 2: 0.6, 0.8, 0, 1, whose min-max changes nothing.
        let (heads, ffns) =
            scores(&raw(&[3., 4., 0., 2.], &[2., 6.]), &Mask::full(2, 2), PrunedUnits::Included);
        assert_eq!(heads, [0.6, 0.8, 0.0, 1.0]);
        assert_eq!(ffns, [0.0, 1.0]);
    }

    #[test]
    fn other_norms_keep_the_ratio_of_layers_or_every_value() {
        let mask = Mask::full(2, 2);
        let raw = raw(&[3., 4., 0., 2.], &[2., 6.]);
        let values = |norm| {
            let scores = scale(&raw, &mask, PrunedUnits::Excluded, norm);
            (scores.values(Kind::Heads), scores.values(Kind::Ffns))
        };
        assert_eq!(values(Norm::Global), (vec![0.75, 1.0, 0.0, 0.5], vec![0.0, 1.0]));
        assert_eq!(values(Norm::None), (vec![3.0, 4.0, 0.0, 2.0], vec![2.0, 6.0]));
        assert_eq!(values(Norm::LayerL2).0, [0.6, 0.8, 0.0, 1.0]);
    }

    #[test]
    fn ffns_are_only_min_maxed() {
        let (_, ffns) = scores(&raw(&[1., 1., 1.], &[1., 2., 5.]), &Mask::full(3, 1), PrunedUnits::Excluded);
        assert_eq!(ffns, [0.0, 0.25, 1.0]);
    }

    #[test]
    fn a_pruned_unit_shifts_the_others_only_when_it_is_included() {
        let mut mask = Mask::full(2, 2);
        mask.prune(&Site::Heads(0), 1);
        mask.prune(&Site::Ffn(1), 0);
        let raw = raw(&[3., 4., 0., 2.], &[2., 6.]);
        let included = scores(&raw, &mask, PrunedUnits::Included);
        assert_eq!(included, scores(&raw, &Mask::full(2, 2), PrunedUnits::Included));
        let (heads, ffns) = scores(&raw, &mask, PrunedUnits::Excluded);
        assert_eq!((heads[0], heads[2], heads[3]), (1.0, 0.0, 1.0));
        assert!(heads[1].is_nan() && ffns[1].is_nan());
        assert_eq!(ffns[0], 0.0);
    }

    #[test]
    fn an_absent_unit_takes_no_part_even_when_pruned_units_do() {
        let (heads, ffns) =
            scores(&raw(&[3., 4., f64::NAN, 2.], &[f64::NAN, 1.]), &Mask::full(2, 2), PrunedUnits::Included);
        assert_eq!((heads[0], heads[3]), (0.0, 1.0));
        assert!(heads[2].is_nan() && ffns[0].is_nan());
    }

    #[test]
    fn gradients_that_are_all_zero_or_equal_give_zeros_and_not_nan() {
        let (heads, ffns) = scores(&raw(&[0.; 4], &[7., 7.]), &Mask::full(2, 2), PrunedUnits::Excluded);
        assert_eq!((heads, ffns), (vec![0.0; 4], vec![0.0; 2]));
    }

    #[test]
    fn very_small_gradients_keep_their_order() {
        let (heads, _) =
            scores(&raw(&[3e-15, 1e-15, 2e-15, 2e-15], &[1., 2.]), &Mask::full(2, 2), PrunedUnits::Included);
        assert_eq!((heads[0], heads[1]), (1.0, 0.0));
        let (heads, _) = scores(&raw(&[3e-30, 1e-30], &[1.]), &Mask::full(1, 2), PrunedUnits::Included);
        assert_eq!(heads, [1.0, 0.0]);
    }
}
