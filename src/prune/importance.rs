//! From raw gate gradients to the scores that units are ranked by.

use serde::{Deserialize, Serialize};

use super::mask::Mask;
use crate::{
    choice::choices,
    error::{Error, Result},
};

/// The name of the normalisation, as tickets and records write it.
pub const NORM: &str = "layer-l2+minmax";

/// Importances before normalisation; NaN for a unit that was not scored (physically absent).
#[derive(Debug, Clone, PartialEq)]
pub struct RawImportance {
    pub layers: usize,
    pub heads_per_layer: usize,
    /// `layers · heads_per_layer` values, row-major.
    pub heads: Vec<f64>,
    /// `layers` values.
    pub ffns: Vec<f64>,
}

choices! {
    /// Where the absolute value is taken while gate gradients `g = ∂L/∂ξ` are summed over the scoring data.
    pub enum Estimator ("estimator") {
        /// Σ over tokens of |g| (Michel et al. 2019 and Liang et al. 2021, in code)
        Token = "token",
        /// Σ over examples of |g| (Prasanna et al. 2020, the formula of I_h: the expectation over examples)
        Example = "example",
        /// Σ over batches of |mean g of the batch|
        Batch = "batch",
        /// Σ over batches of |running sum of the batch means|: what the code of Prasanna et al. computes, since it
        /// never zeroes the gates' gradients
        Cumulative = "cumulative",
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

/// Normalised importances; NaN for units that took no part.
///
/// Written as `{"heads": [[…one row per layer]], "ffns": […]}` with `null` for NaN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ImportanceRows", into = "ImportanceRows")]
pub struct Importance {
    /// `layers · heads_per_layer` values, row-major.
    pub heads: Vec<f32>,
    /// `layers` values.
    pub ffns: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct ImportanceRows {
    heads: Vec<Vec<Option<f32>>>,
    ffns: Vec<Option<f32>>,
}

impl From<Importance> for ImportanceRows {
    fn from(importance: Importance) -> Self {
        let optional = |values: &[f32]| values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect();
        let heads_per_layer = importance.heads.len().checked_div(importance.ffns.len()).unwrap_or(0).max(1);
        Self {
            heads: importance.heads.chunks(heads_per_layer).map(optional).collect(),
            ffns: optional(&importance.ffns),
        }
    }
}

impl TryFrom<ImportanceRows> for Importance {
    type Error = Error;

    fn try_from(rows: ImportanceRows) -> Result<Self> {
        let width = rows.heads.first().map_or(0, Vec::len);
        if rows.heads.len() != rows.ffns.len() || rows.heads.iter().any(|row| row.len() != width) {
            return Err(Error::data(
                "the importances have uneven rows. \"heads\" needs one equally long row per layer and \"ffns\" \
                 one number per layer.",
            ));
        }
        let number = |value: Option<f32>| value.unwrap_or(f32::NAN);
        Ok(Self {
            heads: rows.heads.into_iter().flatten().map(number).collect(),
            ffns: rows.ffns.into_iter().map(number).collect(),
        })
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
    let part = |values: &[f64], kept: &[bool]| -> Vec<f64> {
        let takes_part =
            |value: f64, kept: bool| value.is_finite() && (kept || pruned == PrunedUnits::Included);
        values.iter().zip(kept).map(|(v, k)| if takes_part(*v, *k) { *v } else { f64::NAN }).collect()
    };
    let mut heads = part(&raw.heads, &mask.heads);
    for row in heads.chunks_mut(raw.heads_per_layer.max(1)) {
        let norm = row.iter().filter(|v| !v.is_nan()).map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm + 1e-20);
    }
    Importance { heads: min_max(&heads), ffns: min_max(&part(&raw.ffns, &mask.ffns)) }
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

    fn raw(heads: &[f64], ffns: &[f64]) -> RawImportance {
        RawImportance {
            layers: ffns.len(),
            heads_per_layer: heads.len() / ffns.len(),
            heads: heads.to_vec(),
            ffns: ffns.to_vec(),
        }
    }

    #[test]
    fn heads_are_scaled_within_their_layer_and_then_over_all_layers() {
        // Rows (3, 4) and (0, 2) have norms 5 and 2: 0.6, 0.8, 0, 1, whose min-max changes nothing.
        let scores = normalise(&raw(&[3., 4., 0., 2.], &[2., 6.]), &Mask::full(2, 2), PrunedUnits::Included);
        assert_eq!(scores.heads, [0.6, 0.8, 0.0, 1.0]);
        assert_eq!(scores.ffns, [0.0, 1.0]);
    }

    #[test]
    fn ffns_are_only_min_maxed() {
        let scores = normalise(&raw(&[1., 1., 1.], &[1., 2., 5.]), &Mask::full(3, 1), PrunedUnits::Excluded);
        assert_eq!(scores.ffns, [0.0, 0.25, 1.0]);
    }

    #[test]
    fn a_pruned_unit_shifts_the_others_only_when_it_is_included() {
        let mut mask = Mask::full(2, 2);
        mask.heads[1] = false;
        mask.ffns[1] = false;
        let raw = raw(&[3., 4., 0., 2.], &[2., 6.]);
        let included = normalise(&raw, &mask, PrunedUnits::Included);
        assert_eq!(included, normalise(&raw, &Mask::full(2, 2), PrunedUnits::Included));
        let excluded = normalise(&raw, &mask, PrunedUnits::Excluded);
        assert_eq!((excluded.heads[0], excluded.heads[2], excluded.heads[3]), (1.0, 0.0, 1.0));
        assert!(excluded.heads[1].is_nan() && excluded.ffns[1].is_nan());
        assert_eq!(excluded.ffns[0], 0.0);
    }

    #[test]
    fn an_absent_unit_takes_no_part_even_when_pruned_units_do() {
        let scores = normalise(
            &raw(&[3., 4., f64::NAN, 2.], &[f64::NAN, 1.]),
            &Mask::full(2, 2),
            PrunedUnits::Included,
        );
        assert_eq!((scores.heads[0], scores.heads[3]), (0.0, 1.0));
        assert!(scores.heads[2].is_nan() && scores.ffns[0].is_nan());
    }

    #[test]
    fn gradients_that_are_all_zero_or_equal_give_zeros_and_not_nan() {
        let scores = normalise(&raw(&[0.; 4], &[7., 7.]), &Mask::full(2, 2), PrunedUnits::Excluded);
        assert_eq!((scores.heads, scores.ffns), (vec![0.0; 4], vec![0.0; 2]));
    }

    #[test]
    fn very_small_gradients_keep_their_order() {
        let scores = normalise(
            &raw(&[3e-15, 1e-15, 2e-15, 2e-15], &[1., 2.]),
            &Mask::full(2, 2),
            PrunedUnits::Included,
        );
        assert_eq!((scores.heads[0], scores.heads[1]), (1.0, 0.0));
        let underflowing = normalise(&raw(&[3e-30, 1e-30], &[1.]), &Mask::full(1, 2), PrunedUnits::Included);
        assert_eq!(underflowing.heads, [1.0, 0.0]);
    }

    #[test]
    fn units_without_a_score_are_written_as_null_and_read_back() {
        let scores = Importance { heads: vec![0.1, f32::NAN, 1.0, 0.25], ffns: vec![f32::NAN, 0.5] };
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(json, r#"{"heads":[[0.1,null],[1.0,0.25]],"ffns":[null,0.5]}"#);
        let back: Importance = serde_json::from_str(&json).unwrap();
        assert_eq!((back.heads[0], back.heads[2], back.heads[3], back.ffns[1]), (0.1, 1.0, 0.25, 0.5));
        assert!(back.heads[1].is_nan() && back.ffns[0].is_nan());
        assert!(
            serde_json::from_str::<Importance>(r#"{"heads":[[1.0],[1.0,2.0]],"ffns":[1.0,2.0]}"#).is_err()
        );
    }
}
