//! Which units a pruning step takes: the kept ones with the lowest importance.

use super::importance::Importance;
use super::mask::Mask;
use super::unit::Unit;
use crate::error::{Error, Result};

/// The `n` kept heads of lowest importance, ascending, as indices into `mask.heads`; fewer when fewer are left.
///
/// Heads of all layers compete. Equal importances: the lower index first. With `keep_last_head` a head that is
/// the last of its layer is passed over and the next one taken (the first published heads-only rule).
///
/// # Errors
/// `Internal` when a kept head has no importance.
pub fn lowest_heads(
    importance: &Importance,
    mask: &Mask,
    n: usize,
    keep_last_head: bool,
) -> Result<Vec<usize>> {
    let ranked = ranked(&importance.heads, &mask.heads, |index| mask.head_unit(index))?;
    if !keep_last_head {
        return Ok(ranked.into_iter().take(n).collect());
    }
    let mut left: Vec<usize> = (0..mask.layers).map(|layer| mask.kept_heads(layer).len()).collect();
    let mut chosen = Vec::with_capacity(n);
    for index in ranked {
        let layer = index / mask.heads_per_layer;
        if chosen.len() < n && left[layer] > 1 {
            left[layer] -= 1;
            chosen.push(index);
        }
    }
    Ok(chosen)
}

/// The `n` kept FFNs of lowest importance, ascending, as layers; fewer when fewer are left. Equal importances:
/// the lower layer first.
///
/// # Errors
/// `Internal` when a kept FFN has no importance.
pub fn lowest_ffns(importance: &Importance, mask: &Mask, n: usize) -> Result<Vec<usize>> {
    let ranked = ranked(&importance.ffns, &mask.ffns, |layer| Unit::Ffn { layer })?;
    Ok(ranked.into_iter().take(n).collect())
}

fn ranked(scores: &[f32], kept: &[bool], unit: impl Fn(usize) -> Unit) -> Result<Vec<usize>> {
    let mut indices: Vec<usize> = (0..kept.len()).filter(|index| kept[*index]).collect();
    if let Some(index) = indices.iter().find(|index| scores.get(**index).is_none_or(|s| s.is_nan())) {
        return Err(Error::internal(format!(
            "the importance of {} is not a finite number, so no unit can be chosen. The model's gradients have \
             overflowed or the unit was not scored: fine-tune again with a lower learning rate.",
            unit(*index)
        )));
    }
    // A stable sort keeps ties in index order; + 0.0 makes -0 equal to 0.
    indices.sort_by(|a, b| (scores[*a] + 0.0).total_cmp(&(scores[*b] + 0.0)));
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(heads: &[f32], ffns: &[f32]) -> Importance {
        Importance { heads: heads.to_vec(), ffns: ffns.to_vec() }
    }

    #[test]
    fn the_lowest_kept_heads_of_all_layers_are_taken_in_ascending_order() {
        let mut mask = Mask::full(2, 3);
        mask.heads[4] = false;
        let importance = scores(&[0.5, 0.1, 0.9, 0.3, 0.0, 1.0], &[0.0, 1.0]);
        assert_eq!(lowest_heads(&importance, &mask, 3, false).unwrap(), [1, 3, 0]);
        assert_eq!(lowest_heads(&importance, &mask, 99, false).unwrap(), [1, 3, 0, 2, 5]);
    }

    #[test]
    fn equal_importances_are_taken_by_lower_index() {
        let importance = scores(&[0.2, 0.0, 0.2, -0.0], &[0.0, 0.0]);
        assert_eq!(lowest_heads(&importance, &Mask::full(2, 2), 3, false).unwrap(), [1, 3, 0]);
        assert_eq!(lowest_ffns(&importance, &Mask::full(2, 2), 1).unwrap(), [0]);
    }

    #[test]
    fn the_last_head_of_a_layer_is_passed_over_when_the_rule_says_so() {
        let importance = scores(&[0.0, 0.1, 0.8, 0.9], &[0.0, 0.0]);
        let mask = Mask::full(2, 2);
        assert_eq!(lowest_heads(&importance, &mask, 2, false).unwrap(), [0, 1]);
        assert_eq!(lowest_heads(&importance, &mask, 2, true).unwrap(), [0, 2]);
        assert_eq!(lowest_heads(&importance, &mask, 4, true).unwrap(), [0, 2]);
    }

    #[test]
    fn a_kept_unit_without_importance_is_an_error_and_a_pruned_one_is_not() {
        let importance = scores(&[0.3, f32::NAN], &[f32::NAN]);
        let mut mask = Mask::full(1, 2);
        let error = lowest_heads(&importance, &mask, 1, false).unwrap_err().to_string();
        assert!(error.contains("head 1 of layer 0"), "{error}");
        assert!(lowest_ffns(&importance, &mask, 1).unwrap_err().to_string().contains("the FFN of layer 0"));
        mask.heads[1] = false;
        assert_eq!(lowest_heads(&importance, &mask, 1, false).unwrap(), [0]);
    }
}
