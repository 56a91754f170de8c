//! Whole models at the ends of what can be: the longest sequence, a single token, one head, none.

use crate::{
    gradients::compare,
    support::{Packed, random_bert_with, train_pass},
};
use lottery::{
    model::{Bert, BertConfig, Head, LayerShape, Pass, Workspace},
    ops::dropout::DropoutPlan,
};
use rayon::ThreadPoolBuilder;

const PLAN: DropoutPlan = DropoutPlan { seed: 3, step: 5, hidden: 0.1, attention: 0.1, classifier: 0.1 };
const LABELS: usize = 3;

/// BERT's 512 positions, of which a sequence may have all.
fn config(layers: usize, hidden: usize, heads: usize, ffn: usize) -> BertConfig {
    BertConfig { vocab_size: 61, ..BertConfig::of_shape(layers, hidden, heads, ffn) }
}

/// No head below, one above, and the other way round.
fn emptied() -> [Vec<LayerShape>; 2] {
    let layer = |heads: &[usize]| LayerShape { heads: heads.to_vec(), ffn: true.into() };
    [vec![layer(&[]), layer(&[1])], vec![layer(&[0]), layer(&[])]]
}

fn model(shape: &[LayerShape], head: Head) -> Bert {
    random_bert_with(config(2, 20, 2, 17), shape.to_vec(), head, 12)
}

#[test]
fn gradients_hold_at_511_tokens_beside_one_without_heads_and_with_one() {
    let mut workspace = Workspace::default();
    for shape in emptied() {
        for head in [Head::Classifier { labels: LABELS }, Head::MaskedLm] {
            let bert = model(&shape, head);
            for lengths in [&[511, 1][..], &[1], &[1, 1, 512]] {
                let packed = Packed::random(&bert.config, lengths, LABELS, 13);
                compare(&bert, &packed, Some(&PLAN), &mut workspace);
            }
        }
    }
}

#[test]
fn one_two_and_three_threads_give_the_same_bits_at_511_tokens_beside_one() {
    for shape in emptied() {
        let bert = model(&shape, Head::Classifier { labels: LABELS });
        let packed = Packed::random(&bert.config, &[1, 511, 1, 40], LABELS, 14);
        let bits = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let pass = Pass { dropout: Some(&PLAN), ..Pass::default() };
            let train = || train_pass(&bert, &packed, &pass, &mut Workspace::default());
            let (loss, gradient) = pool.install(train);
            (loss.to_bits(), gradient.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let alone = bits(1);
        for threads in [2, 3] {
            assert!(bits(threads) == alone, "{threads} threads, {shape:?}");
        }
    }
}
