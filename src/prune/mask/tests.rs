//! Masks with all sites: strings, counts, set operations, files, and what they leave of a model.

use super::*;
use crate::{
    model::{Bert, BertConfig, Head, params::Layout},
    prune::Mt19937,
};
use std::path::Path;

const HEAD: Head = Head::Classifier { labels: 3 };

fn config() -> BertConfig {
    BertConfig { vocab_size: 50, ..BertConfig::of_shape(3, 12, 4, 20) }
}

fn matrix(layer: usize) -> String {
    format!("bert.encoder.layer.{layer}.attention.output.dense.weight")
}

/// A mask of the model of [`config`] with all kinds of sites, each unit kept with this probability.
fn random(random: &mut Mt19937, keep: f64) -> Mask {
    let mut bits = |len: usize| -> Bits { (0..len).map(|_| random.next_f64() < keep).collect() };
    let mut mask = Mask::full(3, 4);
    for layer in 0..3 {
        mask = mask.with(Site::Heads(layer), bits(4)).with(Site::Ffn(layer), bits(1));
    }
    // 12 × 12 in blocks of 5 × 8: 3 × 2.
    let blocks = Site::Blocks { tensor: matrix(1), size: [5, 8] };
    mask.with(Site::Neurons(0), bits(20))
        .with(Site::Neurons(2), bits(20))
        .with(blocks, bits(6))
        .with(Site::Weights(matrix(0)), bits(144))
        .with(Site::Weights("bert.encoder.layer.0.intermediate.dense.weight".into()), bits(240))
        .with(Site::Weights("classifier.bias".into()), bits(3))
}

fn masks() -> impl Iterator<Item = Mask> {
    let mut generator = Mt19937::new(17);
    (0..60).map(move |n| random(&mut generator, f64::from(n % 6) / 5.0))
}

fn example() -> Mask {
    Mask::from_strings(&["101", "000"], "10").unwrap()
}

#[test]
fn a_mask_reads_and_writes_the_strings_of_the_ticket() {
    let json = r#"{"heads":["101","000"],"ffns":"10"}"#;
    let mask: Mask = serde_json::from_str(json).unwrap();
    assert_eq!(mask, example());
    assert_eq!(serde_json::to_string(&mask).unwrap(), json);
}

#[test]
fn counts_and_kept_heads_follow_the_flags() {
    let mut mask = example();
    assert_eq!((mask.heads_kept(), mask.heads_total()), (2, 6));
    assert_eq!((mask.ffns_kept(), mask.ffns_total()), (1, 2));
    assert_eq!((mask.layers(), mask.heads_per_layer()), (2, 3));
    assert_eq!(mask.kept_heads(0), [0, 2]);
    assert!(mask.kept_heads(1).is_empty() && mask.keeps_ffn(0) && !mask.keeps_ffn(1));
    assert_eq!(mask.to_string(), "2 of 6 heads and 1 of 2 FFNs");
    mask.prune(&Site::Heads(0), 2);
    mask = mask.with(Site::Neurons(1), [true, false].into_iter().collect());
    assert_eq!(mask.to_string(), "1 of 6 heads, 1 of 2 FFNs and 1 of 2 FFN neurons");
}

#[test]
fn malformed_strings_are_refused_with_the_key_that_is_wrong() {
    let message = |heads: &[&str], ffns| Mask::from_strings(heads, ffns).unwrap_err().to_string();
    assert!(message(&["10", "1x"], "11").contains("heads[1] contains 'x'"));
    assert!(message(&["10", "1"], "11").contains("heads[1] has 1 characters"));
    assert!(message(&["10", "11"], "1").contains("ffns has 1 characters for 2 layers"));
    assert!(message(&[], "").contains("no heads"));
}

#[test]
fn set_operations_are_those_of_sets() {
    let pairs: Vec<(Mask, Mask)> = masks().zip(masks().skip(7)).collect();
    assert_eq!(pairs.len(), 53);
    for (a, b) in &pairs {
        let (both, either) = (a.intersect(b).unwrap(), a.union(b).unwrap());
        assert_eq!(both, b.intersect(a).unwrap());
        assert_eq!(either, b.union(a).unwrap());
        assert_eq!(both.complement(), a.complement().union(&b.complement()).unwrap());
        assert_eq!(a.difference(b).unwrap(), a.intersect(&b.complement()).unwrap());
        assert_eq!(both.union(&a.difference(b).unwrap()).unwrap(), *a);
        assert_eq!(a.complement().complement(), *a);
        assert_eq!((a.intersect(&either).unwrap(), a.union(&both).unwrap()), (a.clone(), a.clone()));
        for kind in a.kinds() {
            let [a_kept, b_kept, both, either, rest] =
                [a, b, &both, &either, &a.complement()].map(|mask| mask.count(kind).kept);
            assert_eq!(both + either, a_kept + b_kept);
            assert_eq!(a_kept + rest, a.count(kind).total);
            assert_eq!(a.flags(kind).iter().filter(|kept| **kept).count(), a_kept);
            assert_eq!(Mask::with_flags(b.clone(), kind, &a.flags(kind)).flags(kind), a.flags(kind));
        }
    }
}

#[test]
fn a_site_that_one_mask_lacks_is_kept_whole_there() {
    let mask = masks().nth(2).unwrap();
    let units = Mask::full(3, 4);
    assert_eq!(units.intersect(&mask).unwrap(), mask);
    assert_eq!(mask.difference(&units).unwrap().count(Kind::Weights).kept, 0);
    let either = units.union(&mask).unwrap();
    assert!(either.parts().all(|(_, bits)| bits.count_ones() == bits.len()));
    assert_eq!(either.kinds(), mask.kinds());
}

#[test]
fn masks_of_other_networks_cannot_be_combined() {
    let error = Mask::full(2, 3).intersect(&Mask::full(3, 2)).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("2 × 3 and 3 × 2 heads"), "{error}");
    let neurons = |n| Mask::full(2, 3).with(Site::Neurons(1), Bits::new(n, true));
    let error = neurons(4).union(&neurons(5)).unwrap_err().to_string();
    assert!(error.contains("4 and 5 FFN neurons in neurons.1"), "{error}");
}

#[test]
fn hashes_tell_masks_apart() {
    let hashes: std::collections::BTreeSet<String> = masks().map(|mask| mask.hash()).collect();
    let different: std::collections::HashSet<Mask> = masks().collect();
    assert_eq!(hashes.len(), different.len());
    assert!(hashes.len() > 40);
    assert_ne!(Mask::full(2, 3).hash(), Mask::full(3, 2).hash());
    // It is in ids of stages.
    let mask = example().with(Site::Weights("classifier.bias".into()), [true, false].into_iter().collect());
    assert_eq!(&mask.hash()[..16], "0d89bbe5525ebc2e");
}

#[test]
fn text_and_file_together_give_the_mask_back() {
    let path = Path::new("stages/search-0/mask.safetensors");
    for mask in masks() {
        let text = MaskText::from(&mask);
        let json = serde_json::to_string(&text).unwrap();
        assert!(json.contains("\"packed\":\""), "{json}");
        let bytes = mask.to_packed().unwrap().unwrap();
        assert_eq!(mask.to_packed().unwrap().unwrap(), bytes);
        assert_eq!(Mask::read(&serde_json::from_str(&json).unwrap(), Some((path, &bytes))).unwrap(), mask);
        let missing = serde_json::from_str::<Mask>(&json).unwrap_err().to_string();
        assert!(missing.contains("mask.safetensors is missing"), "{missing}");
    }
    assert_eq!(example().to_packed().unwrap(), None);
    let bytes = masks().next().unwrap().to_packed().unwrap().unwrap();
    assert!(Mask::read(&MaskText::from(&example()), Some((path, &bytes))).is_err());
}

/// A file with one site, described and filled like this.
fn file(key: &str, flags: &str, dtype: safetensors::Dtype, shape: Vec<usize>, bytes: &[u8]) -> Vec<u8> {
    let view = safetensors::tensor::TensorView::new(dtype, shape, bytes).unwrap();
    let metadata = [("lottery_mask_flags".to_owned(), flags.to_owned())].into();
    safetensors::serialize([(key, view)], Some(metadata)).unwrap()
}

#[test]
fn hostile_files_are_refused_by_their_name() {
    use safetensors::Dtype::{F32, U8};
    let path = Path::new("stages/search-0/mask.safetensors");
    let good = file("neurons.0", r#"{"neurons.0":12}"#, U8, vec![2], &[255, 15]);
    let sites = packed::parse(path, &good).unwrap();
    assert_eq!(sites, [(Site::Neurons(0), Bits::new(12, true))]);
    for (bytes, why) in [
        (good[..good.len() - 1].to_vec(), "is damaged"),
        (vec![], "is damaged"),
        (file("neurons.0", r#"{"neurons.0":12}"#, U8, vec![2], &[255, 31]), "has bits beyond its 12 flags"),
        (file("neurons.0", r#"{"neurons.0":17}"#, U8, vec![2], &[255, 15]), "has 2 bytes for 17 flags"),
        (
            file("neurons.0", r#"{"neurons.0":18446744073709551615}"#, U8, vec![2], &[255, 15]),
            "has 2 bytes for 18446744073709551615 flags",
        ),
        (file("neurons.0", "{}", U8, vec![2], &[255, 15]), "has 1 tensors and names 0"),
        (file("neurons.0", "[]", U8, vec![2], &[255, 15]), "has no lottery_mask_flags"),
        (file("neurons.0", r#"{"neurons.1":12}"#, U8, vec![2], &[255, 15]), "lacks neurons.1"),
        (file("heads.0", r#"{"heads.0":12}"#, U8, vec![2], &[255, 15]), "names no site with heads.0"),
        (file("rows.0", r#"{"rows.0":12}"#, U8, vec![2], &[255, 15]), "names no site with rows.0"),
        (file("neurons.0", r#"{"neurons.0":12}"#, U8, vec![1, 2], &[255, 15]), "another format"),
        (file("neurons.0", r#"{"neurons.0":12}"#, F32, vec![1], &[255, 15, 0, 0]), "another format"),
    ] {
        let error = packed::parse(path, &bytes).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 3);
        assert!(text.starts_with("stages/search-0/mask.safetensors ") && text.contains(why), "{text}");
    }
    let mut text = MaskText::from(&example());
    text.packed = Some("0".repeat(64));
    let error = Mask::read(&text, Some((path, &good))).unwrap_err().to_string();
    assert!(error.contains("is of another mask"), "{error}");
}

#[test]
fn no_damage_to_a_file_gives_another_mask() {
    let path = Path::new("stages/search-0/mask.safetensors");
    let mask = masks().nth(3).unwrap();
    let (text, bytes) = (MaskText::from(&mask), mask.to_packed().unwrap().unwrap());
    for at in 0..bytes.len() {
        for flip in [1, 128, 255] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            match Mask::read(&text, Some((path, &damaged))) {
                Ok(read) => assert_eq!(read, mask, "byte {at} flipped by {flip}"),
                Err(error) => assert_eq!(error.exit_code(), 3, "{error}"),
            }
        }
        assert!(Mask::read(&text, Some((path, &bytes[..at]))).is_err());
    }
}

/// The unpruned model with another number at each weight.
fn model() -> Bert {
    let mut bert = Bert::zeros(config(), config().full_shape(), HEAD);
    for entry in &bert.params.layout.entries {
        for at in entry.range.clone() {
            bert.params.data[at] = 1.0 + at as f32;
        }
    }
    bert
}

#[test]
fn what_is_held_is_what_the_applied_model_has_as_zeros() {
    let bert = model();
    for mask in masks() {
        let applied = mask.apply(&bert).unwrap();
        assert_eq!(applied.shape, mask.layer_shapes());
        let held = mask.held(&config(), HEAD).unwrap();
        let shares = mask.shares(&config(), HEAD).unwrap();
        let (mut left, mut left_in_encoder) = (0, 0);
        for entry in &applied.params.layout.entries {
            for at in entry.range.clone() {
                let is_held = held.as_ref().is_some_and(|held| !held.keeps(at));
                assert_eq!(applied.params.data[at] == 0.0, is_held, "{} {at}", entry.name);
                left += usize::from(!is_held);
                left_in_encoder += usize::from(!is_held && entry.is_encoder());
            }
        }
        let full = Layout::new(&config(), &config().full_shape(), HEAD);
        assert_eq!(shares.all, left as f64 / full.parameters() as f64);
        assert_eq!(shares.encoder, left_in_encoder as f64 / full.encoder_parameters() as f64);
        let pruned = |kind| mask.count(kind).kept < mask.count(kind).total;
        assert_eq!(held.is_some(), pruned(Kind::Blocks) || pruned(Kind::Weights));
    }
}

#[test]
fn a_pruned_block_is_the_rectangle_that_its_number_says() {
    let mut blocks = Bits::new(6, true);
    // The last of 3 × 2: rows 10 and 11, columns 8 to 11.
    blocks.set(5, false);
    let mask = Mask::full(3, 4).with(Site::Blocks { tensor: matrix(1), size: [5, 8] }, blocks);
    let applied = mask.apply(&model()).unwrap();
    let (_, weights) = applied.params.named(&matrix(1)).unwrap();
    let zeros: Vec<usize> = (0..144).filter(|at| weights[*at] == 0.0).collect();
    assert_eq!(zeros, [128, 129, 130, 131, 140, 141, 142, 143]);
    assert_eq!(mask.held(&config(), HEAD).unwrap().unwrap().held(), 8);
}

#[test]
fn kept_weights_move_with_the_heads_that_are_left() {
    let mut mask = Mask::full(3, 4);
    mask.prune(&Site::Heads(0), 0);
    let mut weights = Bits::new(144, true);
    // Row 1, column 4: the second column of head 1, which becomes the first head of three columns.
    weights.set(12 + 4, false);
    let mask = mask.with(Site::Weights(matrix(0)), weights);
    let held = mask.held(&config(), HEAD).unwrap().unwrap();
    let layout = Layout::new(&config(), &mask.layer_shapes(), HEAD);
    let entry = layout.entries.iter().find(|entry| entry.name == matrix(0)).unwrap();
    assert!(held.held() == 1 && !held.keeps(entry.range.start + 9 + 1));
}

#[test]
fn masks_of_tensors_that_the_model_lacks_or_has_otherwise_are_refused() {
    for (site, len, why) in [
        (Site::Weights("classifier.weights".into()), 3, "which the model has not"),
        (
            Site::Weights("classifier.bias".into()),
            4,
            "has 4 weights of classifier.bias, and the model's has 3",
        ),
        (Site::Blocks { tensor: matrix(0), size: [5, 8] }, 5, "has 5 blocks"),
    ] {
        let error = Mask::full(3, 4).with(site, Bits::new(len, false)).apply(&model()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_ticket_file_holds_every_mask_and_what_is_said_of_it() {
    let about = serde_json::json!({ "b": [1, "é"], "a": null }).as_object().unwrap().clone();
    let path = Path::new("t.safetensors");
    for mask in masks() {
        let bytes = mask.to_ticket_file(&about).unwrap();
        assert_eq!(mask.to_ticket_file(&about).unwrap(), bytes);
        assert_eq!(Mask::of_ticket_file(path, &bytes).unwrap(), (mask, about.clone()));
    }
}

#[test]
fn files_that_are_no_ticket_are_refused_by_their_name() {
    let path = Path::new("t.safetensors");
    let whole = Mask::full(2, 4);
    let file = |mask: &Mask| mask.to_ticket_file(&serde_json::Map::new()).unwrap();
    let other = || whole.clone();
    for (bytes, why) in [
        (b"{}".to_vec(), "is no ticket"),
        (masks().next().unwrap().to_packed().unwrap().unwrap(), "has no lottery_ticket"),
        (file(&other().with(Site::Heads(1), Bits::new(5, true))), "heads.1 has 5 flags"),
        (file(&other().with(Site::Heads(3), Bits::new(4, true))), "do not all have flags"),
        (file(&other().with(Site::Ffn(0), Bits::new(2, true))), "ffn.0 has 2 flags"),
        (file(&other().with(Site::Neurons(2), Bits::new(9, true))), "neurons.2 has 9 flags"),
    ] {
        let error = Mask::of_ticket_file(path, &bytes).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 3 && text.starts_with("t.safetensors ") && text.contains(why), "{text}");
        assert!(text.contains("lottery export --ticket"), "{text}");
    }
}
