//! Which units a pruning step takes: the kept ones with the lowest importance.

use crate::{
    error::{Error, Result},
    prune::{Importance, Kind, Mask, Site},
};

/// The `n` kept units of a kind of lowest importance, ascending, each with its place in its site; fewer when fewer are left.
///
/// Units of all layers compete. Equal importances: the first in the mask's order first.
///
/// # Errors
/// `Internal` when a kept unit has no importance.
pub fn lowest(importance: &Importance, mask: &Mask, kind: Kind, n: usize) -> Result<Vec<(Site, usize)>> {
    let mut units: Vec<(f32, &Site, usize)> = Vec::new();
    for (site, bits) in mask.sites(kind) {
        let scores = importance.get(site).unwrap_or_default();
        for index in (0..bits.len()).filter(|index| bits.get(*index)) {
            match scores.get(index) {
                // + 0.0 makes -0 equal to 0.
                Some(score) if !score.is_nan() => units.push((score + 0.0, site, index)),
                _ => return Err(no_importance(&site.unit(index))),
            }
        }
    }
    // A stable sort keeps ties in order.
    units.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(units.into_iter().take(n).map(|(_, site, index)| (site.clone(), index)).collect())
}

fn no_importance(unit: &str) -> Error {
    Error::internal(format!(
        "the importance of {unit} is not a finite number, so no unit can be chosen. The model's gradients have \
         overflowed or the unit was not scored: fine-tune again with a lower learning rate."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads as l · heads + h, or layers.
    fn lowest_of(kind: Kind, scores: (&[f32], &[f32]), mask: &Mask, n: usize) -> Vec<usize> {
        let importance = Importance::of_units(mask, scores.0, scores.1);
        let place = |(site, index)| match site {
            Site::Heads(layer) => layer * mask.heads_per_layer() + index,
            Site::Ffn(layer) => layer,
            other => panic!("{other:?}"),
        };
        lowest(&importance, mask, kind, n).unwrap().into_iter().map(place).collect()
    }

    #[test]
    fn the_lowest_kept_heads_of_all_layers_are_taken_in_ascending_order() {
        let mut mask = Mask::full(2, 3);
        mask.prune(&Site::Heads(1), 1);
        let scores: (&[f32], &[f32]) = (&[0.5, 0.1, 0.9, 0.3, 0.0, 1.0], &[0.0, 1.0]);
        assert_eq!(lowest_of(Kind::Heads, scores, &mask, 3), [1, 3, 0]);
        assert_eq!(lowest_of(Kind::Heads, scores, &mask, 99), [1, 3, 0, 2, 5]);
    }

    #[test]
    fn equal_importances_are_taken_by_lower_index() {
        let scores: (&[f32], &[f32]) = (&[0.2, 0.0, 0.2, -0.0], &[0.0, 0.0]);
        assert_eq!(lowest_of(Kind::Heads, scores, &Mask::full(2, 2), 3), [1, 3, 0]);
        assert_eq!(lowest_of(Kind::Ffns, scores, &Mask::full(2, 2), 1), [0]);
    }

    #[test]
    fn a_kept_unit_without_importance_is_an_error_and_a_pruned_one_is_not() {
        let mut mask = Mask::full(1, 2);
        let importance = Importance::of_units(&mask, &[0.3, f32::NAN], &[f32::NAN]);
        let refusal = |kind| lowest(&importance, &mask, kind, 1).unwrap_err().to_string();
        assert!(refusal(Kind::Heads).contains("head 1 of layer 0"));
        assert!(refusal(Kind::Ffns).contains("the FFN of layer 0"));
        mask.prune(&Site::Heads(0), 1);
        assert_eq!(lowest(&importance, &mask, Kind::Heads, 1).unwrap(), [(Site::Heads(0), 0)]);
    }
}
