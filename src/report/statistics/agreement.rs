//! Agreement of several masks over the same units. A mask is a rater that sorts each unit into kept and pruned; all masks
//! have the same length.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

/// For each unit, how many masks keep it.
fn kept(masks: &[Vec<bool>]) -> Vec<f64> {
    let units = masks.first().map_or(0, Vec::len);
    (0..units).map(|unit| masks.iter().filter(|mask| mask[unit]).count() as f64).collect()
}

/// The share of pairs of masks that agree, over all units, and the share of units that are kept, over all masks.
fn shares(masks: &[Vec<bool>]) -> Option<(f64, f64)> {
    let (kept, raters) = (kept(masks), masks.len() as f64);
    let units = kept.len() as f64;
    if masks.len() < 2 || kept.is_empty() {
        return None;
    }
    let agreeing = |k: f64| (k * (k - 1.0) + (raters - k) * (raters - k - 1.0)) / (raters * (raters - 1.0));
    Some((
        kept.iter().map(|k| agreeing(*k)).sum::<f64>() / units,
        kept.iter().sum::<f64>() / (units * raters),
    ))
}

/// Fleiss' κ (1971): agreement beyond that of masks that keep each unit with the same probability. None where all masks
/// keep everything or nothing.
pub fn fleiss_kappa(masks: &[Vec<bool>]) -> Option<f64> {
    let (agreeing, kept) = shares(masks)?;
    let by_chance = kept * kept + (1.0 - kept).powi(2);
    (by_chance < 1.0).then(|| (agreeing - by_chance) / (1.0 - by_chance))
}

/// Krippendorff's α for nominal values (2004): as Fleiss' κ, with the chance of drawing two different ratings of a
/// finite number, without replacement.
pub fn krippendorff_alpha(masks: &[Vec<bool>]) -> Option<f64> {
    let (agreeing, kept) = shares(masks)?;
    let ratings = (masks.len() * masks[0].len()) as f64;
    let apart = 2.0 * kept * (1.0 - kept) * ratings / (ratings - 1.0);
    (apart > 0.0).then(|| 1.0 - (1.0 - agreeing) / apart)
}

/// Cochran's Q and its p-value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CochranQ {
    pub q: f64,
    pub p: f64,
}

/// Cochran's Q (1950): whether the masks keep equally *many* units. It does not say whether they keep the same ones. None
/// where no unit tells masks apart.
pub fn cochran_q(masks: &[Vec<bool>]) -> Option<CochranQ> {
    let (by_unit, raters) = (kept(masks), masks.len() as f64);
    let by_mask: Vec<f64> =
        masks.iter().map(|mask| mask.iter().filter(|kept| **kept).count() as f64).collect();
    let all: f64 = by_mask.iter().sum();
    let squares: f64 = by_mask.iter().map(|count| count * count).sum();
    let below = raters * all - by_unit.iter().map(|count| count * count).sum::<f64>();
    let chi = ChiSquared::new(raters - 1.0).ok().filter(|_| below > 0.0)?;
    let q = (raters - 1.0) * (raters * squares - all * all) / below;
    Some(CochranQ { q, p: chi.sf(q) })
}
