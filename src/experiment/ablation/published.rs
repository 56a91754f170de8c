//! The conditions that Prasanna et al. published results of (`experiments/` of their code, commit f02280f), by the names of
//! their files.

use super::{Condition, How, Part};

/// A condition with its name: that of the published file, without folder and ending where it says no more.
type Named = (String, Condition);

/// All of them but the full model, the majority class and those without the FFNs' residual connections, for a model of so
/// many layers.
pub fn published(layers: usize) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |name: String, how: How, parts: &[Part], layers: &[usize]| {
        all.push((name, Condition { how, parts: parts.to_vec(), layers: layers.to_vec() }));
    };
    let pairs = || (1..layers).map(|second| [second - 1, second]);
    let whole = [Part::QKV, Part::FC].concat();
    let embeddings = [Part::WordEmbeddings];
    add("randomize_embeddings".into(), How::Randomise, &embeddings, &[]);
    for part in [Part::Query, Part::Key, Part::Value] {
        add(format!("randomize_qkv/{part}_layer_all"), How::Randomise, &[part], &[]);
        (0..layers)
            .for_each(|l| add(format!("randomize_qkv/{part}_layer_{l}"), How::Randomise, &[part], &[l]));
    }
    add("randomize_qkv_together/qkv_layer_all".into(), How::Randomise, &Part::QKV, &[]);
    for l in 0..layers {
        add(format!("randomize_qkv_together/qkv_layer_{l}"), How::Randomise, &Part::QKV, &[l]);
    }
    for [a, b] in pairs() {
        let name = format!("randomize_qkv_together_pairwise/qkv_layers_{a}_{b}");
        add(name, How::Randomise, &Part::QKV, &[a, b]);
    }
    for (letter, part) in ["a", "i", "o"].into_iter().zip(Part::FC) {
        add(format!("randomize_fc/fc_{letter}_all"), How::Randomise, &[part], &[]);
    }
    add("randomize_fc/fc_a_i_o_layer_all".into(), How::Randomise, &Part::FC, &[]);
    (0..layers)
        .for_each(|l| add(format!("randomize_fc/fc_a_i_o_layer_{l}"), How::Randomise, &Part::FC, &[l]));
    for (folder, how) in
        [("randomize_full_layerwise", How::Reset), ("randomize_full_layerwise_wo_bias", How::Randomise)]
    {
        (0..layers).for_each(|l| add(format!("{folder}/randomize_layer_{l}"), how, &whole, &[l]));
        pairs().for_each(|[a, b]| add(format!("{folder}/randomize_layers_{a}_{b}"), how, &whole, &[a, b]));
    }
    let [q, k, v] = Part::QKV;
    let alone_and_together = [("query", vec![q]), ("key", vec![k]), ("value", vec![v]), ("qk", vec![q, k])];
    for (name, parts) in alone_and_together.iter().chain(&[("qkv", vec![q, k, v])]) {
        add(format!("zero_out_qkv/{name}_layer_all"), How::Zero, parts, &[]);
    }
    add("revert_embeddings".into(), How::Revert, &embeddings, &[]);
    add("revert_embeddings_rotate".into(), How::Rotate, &embeddings, &[]);
    let more = [("qv", vec![q, v]), ("vk", vec![v, k]), ("qkv", vec![q, k, v])];
    for (name, parts) in alone_and_together.iter().chain(&more) {
        add(format!("revert_qkv/{name}_layer_all"), How::Revert, parts, &[]);
    }
    for (letter, part) in ["a", "i", "o"].into_iter().zip(Part::FC) {
        add(format!("revert_fc/fc_{letter}_all"), How::Revert, &[part], &[]);
    }
    add("revert_fc/fc_a_i_o_layer_all".into(), How::Revert, &Part::FC, &[]);
    for share in [0.2, 0.5, 0.7] {
        add(format!("ablate_pruning/p_{share}_magnitude"), How::PruneSmallest(share), &whole, &[]);
        add(format!("ablate_pruning/p_{share}_random"), How::PruneRandom(share), &whole, &[]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditions_of_twelve_layers_are_counted_and_told_apart_by_their_names() {
        let all = published(12);
        // 1 + 39 + 13 + 11 + 16 + 23 + 23 randomised, 5 zeroed, 13 reverted, 6 pruned.
        assert_eq!(all.len(), 150);
        let mut names: Vec<&String> = all.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 150);
        assert!(all.iter().all(|(_, condition)| condition.check(12).is_ok()));
        let written = |name: &str| all.iter().find(|(own, _)| own == name).unwrap().1.to_string();
        assert_eq!(written("randomize_full_layerwise/randomize_layers_10_11"), "reset:layer@10+11");
        assert_eq!(written("randomize_fc/fc_i_all"), "randomise:intermediate");
    }
}
