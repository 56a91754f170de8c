//! Levels of one-shot pruning: all from one scoring of the whole network (Liang et al. 2021, section 3, and their code).

use super::select::lowest;
use crate::{
    error::{Error, Result},
    model::BertConfig,
    prune::{Importance, Kind, Mask, PruneRules, Site},
};

/// The published number of levels.
const LEVELS: usize = 8;

/// The masks of one scoring at one level.
pub struct OneShot {
    /// Without the least important units.
    pub mask: Mask,
    /// Without the most important ones, as many of each kind where layers need not keep a head.
    pub opposite: Mask,
}

/// The level that these settings ask for. Level k prunes ⌊0.1 · k · heads⌋ heads and ⌊k · layers / 12⌋ FFNs of a model with up
/// to 12 layers, which is what was published for BERT-base; deeper models have levels in proportion to one FFN each, as
/// published for BERT-large (5 % of the heads and one FFN). Level 0 prunes nothing. A sparsity prunes that share of the heads
/// and of the FFNs, or as many as save so many weights or FLOPs.
///
/// # Errors
/// `Usage` for settings that contradict each other or that no level fulfils; `Internal` for a unit without a score.
pub fn one_shot(
    scores: &Importance,
    whole: &Mask,
    rules: &PruneRules,
    model: &BertConfig,
) -> Result<OneShot> {
    // A level has one FFN where it has a share of 1.2 / layers of the heads; a sparsity is of both kinds.
    let ffns = if rules.sparsity.is_some() { 1.0 } else { 1.0 / 1.2 };
    let of = |share: f64, order| prune(scores, whole, sizes(share, ffns, whole), rules.head_per_layer, order);
    let share = match (rules.level, rules.sparsity) {
        (Some(_), Some(_)) => {
            return Err(Error::usage(
                "prune.level and prune.sparsity are both given. Leave one of the two out.",
            ));
        }
        (Some(level), None) => share_of_level(level, whole.layers())?,
        (None, None) => share_of_level(1, whole.layers())?,
        (None, Some(sparsity)) => {
            // Steps of a head, or of an FFN where these are more.
            let steps = whole.heads_total().max(whole.layers());
            let shares: Vec<f64> = (0..=steps).map(|step| step as f64 / steps as f64).collect();
            let masks = shares.iter().map(|share| of(*share, false)).collect::<Result<Vec<_>>>()?;
            let reached = sparsity.reached(&masks, model).ok_or_else(|| {
                Error::usage(format!(
                    "the sparsity {sparsity} is not reached, since every layer keeps a head. Give a smaller one, or \
                     prune.head_per_layer=false."
                ))
            })?;
            shares[reached]
        }
    };
    Ok(OneShot { mask: of(share, false)?, opposite: of(share, true)? })
}

/// How much of the heads level `level` prunes.
fn share_of_level(level: usize, layers: usize) -> Result<f64> {
    let step = if layers <= 12 { 0.1 } else { 1.2 / layers as f64 };
    let most = LEVELS * layers.div_ceil(12).max(1);
    if level > most {
        return Err(Error::usage(format!(
            "prune.level is {level}, and a model of {layers} layers has levels 1 to {most}. Give one of them, 0 to prune nothing, \
             or --sparsity."
        )));
    }
    Ok(step * level as f64)
}

/// Heads and FFNs to prune: rounded down, so that deeper levels contain shallower ones.
fn sizes(share: f64, ffns: f64, whole: &Mask) -> [(Kind, usize); 2] {
    // 0.1 · 3 · 10 is a little less than 3.
    let of = |total: f64| (share * total + 1e-9) as usize;
    [(Kind::Heads, of(whole.heads_total() as f64)), (Kind::Ffns, of(whole.layers() as f64 * ffns))]
}

fn prune(
    scores: &Importance,
    whole: &Mask,
    sizes: [(Kind, usize); 2],
    head_per_layer: bool,
    most_important: bool,
) -> Result<Mask> {
    let scores = if most_important { scores.negated() } else { scores.clone() };
    let mut mask = whole.clone();
    for (kind, n) in sizes {
        let order = lowest(&scores, whole, kind, usize::MAX)?;
        // The last of each layer in this order stays.
        let last = |layer: usize| order.iter().rev().find(|(site, _)| *site == Site::Heads(layer));
        let kept: Vec<_> = match kind {
            Kind::Heads if head_per_layer => (0..whole.layers()).filter_map(last).collect(),
            _ => Vec::new(),
        };
        order.iter().filter(|unit| !kept.contains(unit)).take(n).for_each(|(site, at)| mask.prune(site, *at));
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::{Mt19937, Sparsity};

    fn scores(whole: &Mask, seed: u32) -> Importance {
        let mut random = Mt19937::new(seed);
        let mut of = |n| (0..n).map(|_| random.next_f64() as f32).collect::<Vec<_>>();
        let (heads, ffns) = (of(whole.heads_total()), of(whole.layers()));
        Importance::of_units(whole, &heads, &ffns)
    }

    fn at_level(layers: usize, heads: usize, level: usize, head_per_layer: bool) -> Result<OneShot> {
        let whole = Mask::full(layers, heads);
        let model = BertConfig::of_shape(layers, 64 * heads, heads, 256 * heads);
        let rules = PruneRules { level: Some(level), head_per_layer, ..PruneRules::default() };
        one_shot(&scores(&whole, 3), &whole, &rules, &model)
    }

    fn pruned(mask: &Mask) -> (usize, usize) {
        (mask.heads_total() - mask.heads_kept(), mask.ffns_total() - mask.ffns_kept())
    }

    #[test]
    fn levels_have_the_published_sizes() {
        let base = [(14, 1), (28, 2), (43, 3), (57, 4), (72, 5), (86, 6), (100, 7), (115, 8)];
        for (k, size) in base.into_iter().enumerate() {
            assert_eq!(pruned(&at_level(12, 12, k + 1, true).unwrap().mask), size);
        }
        for (k, size) in [(1, (19, 1)), (2, (38, 2)), (7, (134, 7)), (8, (153, 8))] {
            assert_eq!(pruned(&at_level(24, 16, k, true).unwrap().mask), size);
        }
        let half = (1..=8).map(|k| pruned(&at_level(6, 12, k, true).unwrap().mask)).collect::<Vec<_>>();
        assert_eq!(half, [(7, 0), (14, 1), (21, 1), (28, 2), (36, 2), (43, 3), (50, 3), (57, 4)]);
        let refusal = |layers, level| at_level(layers, 12, level, true).err().unwrap().to_string();
        assert!(refusal(12, 9).contains("levels 1 to 8") && refusal(24, 17).contains("levels 1 to 16"));
    }

    #[test]
    fn levels_are_nested_and_each_layer_keeps_the_head_that_goes_last() {
        let whole = Mask::full(12, 12);
        let scores = scores(&whole, 3);
        let mut before = [whole.clone(), whole.clone()];
        for level in 1..=8 {
            let OneShot { mask, opposite } = at_level(12, 12, level, true).unwrap();
            for (now, best) in [(&mask, true), (&opposite, false)] {
                let before = &mut before[usize::from(best)];
                assert_eq!(now.intersect(before).unwrap(), *now);
                *before = now.clone();
                for layer in 0..12 {
                    let of_layer = scores.get(&Site::Heads(layer)).unwrap();
                    let by = |a: &usize, b: &usize| of_layer[*a].total_cmp(&of_layer[*b]);
                    let last = if best { (0..12).max_by(by) } else { (0..12).min_by(by) };
                    assert!(now.kept_heads(layer).contains(&last.unwrap()));
                }
            }
        }
        // Half of the heads: those of lowest and of highest score share none.
        let OneShot { mask, opposite } = at_level(12, 12, 5, false).unwrap();
        assert_eq!((mask.heads_kept(), opposite.heads_kept()), (72, 72));
        assert_eq!(mask.intersect(&opposite).unwrap().heads_kept(), 0);
    }

    #[test]
    fn a_sparsity_is_the_first_nested_mask_that_reaches_it() {
        let whole = Mask::full(6, 12);
        let model = BertConfig::of_shape(6, 384, 12, 1536);
        let scores = scores(&whole, 9);
        let of = |text: &str, level| {
            let rules = PruneRules {
                sparsity: Some(text.parse::<Sparsity>().unwrap()),
                level,
                ..PruneRules::default()
            };
            one_shot(&scores, &whole, &rules, &model)
        };
        assert_eq!(pruned(&of("0", None).unwrap().mask), (0, 0));
        assert_eq!(pruned(&of("0.5", None).unwrap().mask), (36, 3));
        for of_what in ["weights", "flops"] {
            let mask = of(&format!("0.4:{of_what}"), None).unwrap().mask;
            let share = mask.shares(&model, crate::model::Head::MaskedLm).unwrap().encoder;
            assert!((0.5..0.61).contains(&share), "{share}");
        }
        assert!(of("0.99", None).err().unwrap().to_string().contains("every layer keeps a head"));
        assert!(of("0.5", Some(2)).err().unwrap().to_string().contains("both given"));
    }
}
