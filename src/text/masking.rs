//! Masking: which tokens a masked language model has to predict, and what it sees in their place (Devlin et al. 2019,
//! "BERT: Pre-training of Deep Bidirectional Transformers", sections 3.1 and A.1).

use super::{SpecialIds, Tokenizer};
use crate::error::{Error, Result};
use crate::ops::rng::{Purpose, Stream};

/// BERT's masking rule over one vocabulary.
///
/// A mask is a pure function of (seed, epoch, sequence): training that resumes from a checkpoint draws the same one,
/// whatever the batches and threads.
#[derive(Clone, Debug)]
pub struct Masking {
    rate: f64,
    mask: u32,
    special: SpecialIds,
    /// All ids except special tokens; random replacements are drawn from these.
    ordinary: Vec<u32>,
}

impl Masking {
    /// `rate` is the fraction of tokens to predict, 0.15 in the paper.
    ///
    /// # Errors
    /// `Error::Usage` for a rate outside (0, 1), `Error::Data` for a tokenizer without `[MASK]` or without any token
    /// but the special ones.
    pub fn new(tokenizer: &Tokenizer, rate: f64) -> Result<Self> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::usage(format!(
                "invalid masking rate {rate}: it is the fraction of tokens to predict, strictly between 0 and 1. BERT uses \
                 0.15."
            )));
        }
        let lacking = |what: &str| {
            Error::data(format!(
                "{}: {what}, so it cannot be used for masked pre-training. Use the tokenizer of a BERT model, or train a \
                 vocabulary on the text.",
                tokenizer.source().display()
            ))
        };
        let special = tokenizer.special_ids();
        let mask = special.mask.ok_or_else(|| lacking("the token [MASK] is missing"))?;
        let mut ordinary = tokenizer.ids();
        ordinary.retain(|&id| !special.contain(id));
        if ordinary.is_empty() {
            return Err(lacking("there are only special tokens"));
        }
        Ok(Self { rate, mask, special, ordinary })
    }

    /// The number of tokens that may be chosen: all except special ones.
    pub fn maskable(&self, ids: &[u32]) -> usize {
        ids.iter().filter(|&&id| !self.special.contain(id)).count()
    }

    /// The number of tokens that [`apply`](Self::apply) chooses.
    pub fn hidden(&self, ids: &[u32]) -> usize {
        self.of(self.maskable(ids))
    }

    /// Of n maskable tokens.
    fn of(&self, n: usize) -> usize {
        ((self.rate * n as f64).round() as usize).max(1).min(n)
    }

    /// Chooses max(1, round(rate · n)) of the n maskable tokens, each subset of that size alike (none where n is 0).
    /// Of the chosen, 80 % become `[MASK]`, 10 % a token drawn uniformly from the vocabulary, 10 % stay as they are.
    /// The chosen places within the sequence, ascending, are appended to `rows` and their original ids to `targets`.
    pub fn apply(
        &self,
        ids: &mut [u32],
        seed: u64,
        epoch: u32,
        sequence: u32,
        rows: &mut Vec<u32>,
        targets: &mut Vec<u32>,
    ) {
        let mut places: Vec<u32> =
            (0..).zip(&*ids).filter(|(_, id)| !self.special.contain(**id)).map(|(place, _)| place).collect();
        let n = places.len();
        let chosen = self.of(n);
        let mut stream = Stream::with(seed, Purpose::Masking, epoch, sequence);
        // The beginning of a Fisher–Yates shuffle is a draw without replacement.
        for i in 0..chosen {
            places.swap(i, i + stream.below((n - i) as u32) as usize);
        }
        places.truncate(chosen);
        places.sort_unstable();
        for place in places {
            let id = &mut ids[place as usize];
            rows.push(place);
            targets.push(*id);
            match stream.below(10) {
                0..8 => *id = self.mask,
                8 => *id = self.ordinary[stream.below(self.ordinary.len() as u32) as usize],
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const MASK: u32 = 4;
    /// 95 words behind the 5 special tokens.
    const WORDS: u32 = 95;

    fn tokenizer(vocab: &str) -> Result<Tokenizer> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
        Tokenizer::from_folder(folder.path())
    }

    fn masking(rate: f64) -> Masking {
        let words: String = (0..WORDS).map(|i| format!("w{i}\n")).collect();
        Masking::new(&tokenizer(&format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}")).unwrap(), rate)
            .unwrap()
    }

    /// `[CLS]`, n words, `[SEP]`.
    fn sentence(n: u32) -> Vec<u32> {
        [vec![2], (0..n).map(|i| 5 + i * 7 % WORDS).collect(), vec![3]].concat()
    }

    /// What became of the ids, and (rows, targets).
    fn masked(ids: &[u32], key: (u64, u32, u32)) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        static MASKING: LazyLock<Masking> = LazyLock::new(|| masking(0.15));
        let (mut ids, mut rows, mut targets) = (ids.to_vec(), Vec::new(), Vec::new());
        MASKING.apply(&mut ids, key.0, key.1, key.2, &mut rows, &mut targets);
        (ids, rows, targets)
    }

    #[test]
    fn fifteen_percent_are_chosen_but_at_least_one() {
        for (n, chosen) in [(0, 0), (1, 1), (6, 1), (9, 1), (10, 2), (17, 3), (20, 3), (100, 15), (126, 19)] {
            assert_eq!(masking(0.15).maskable(&sentence(n)), n as usize);
            let (_, rows, targets) = masked(&sentence(n), (1, 0, 0));
            assert_eq!((rows.len(), targets.len()), (chosen, chosen), "{n} tokens");
        }
    }

    #[test]
    fn rows_ascend_with_the_original_ids_and_nothing_else_changes() {
        let ids = sentence(100);
        let (after, rows, targets) = masked(&ids, (1, 2, 3));
        assert!(rows.is_sorted_by(|a, b| a < b), "{rows:?}");
        assert!(rows.iter().zip(&targets).all(|(&row, &target)| ids[row as usize] == target));
        for (place, (before, after)) in ids.iter().zip(&after).enumerate() {
            assert!(before == after || rows.contains(&(place as u32)), "place {place}");
        }
    }

    #[test]
    fn what_is_there_already_in_rows_and_targets_stays() {
        let (mut ids, mut rows, mut targets) = (sentence(5), vec![77], vec![88]);
        masking(0.15).apply(&mut ids, 1, 0, 0, &mut rows, &mut targets);
        assert_eq!((rows[0], targets[0], rows.len(), targets.len()), (77, 88, 2, 2));
    }

    #[test]
    fn eight_in_ten_become_mask_one_a_random_token_one_stays() {
        let ids = sentence(100);
        let (mut mask, mut random, mut same, mut drawn) = (0, 0, 0, vec![0u32; 100]);
        for sequence in 0..4000 {
            let (after, rows, targets) = masked(&ids, (9, 0, sequence));
            for (&row, &target) in rows.iter().zip(&targets) {
                match after[row as usize] {
                    MASK => mask += 1,
                    id if id == target => same += 1,
                    id => {
                        random += 1;
                        drawn[id as usize] += 1;
                    }
                }
            }
        }
        // Of 60 000; one random token in 95 is the old one. The deviations of the counts are 98, 73 and 74: limits of 4.
        let random_expected = 6000.0 * 94.0 / 95.0;
        assert!((f64::from(mask) - 48_000.0).abs() < 392.0, "{mask}");
        assert!((f64::from(random) - random_expected).abs() < 294.0, "{random}");
        assert!((f64::from(same) - (12_000.0 - random_expected)).abs() < 296.0, "{same}");
        // Each word about 62 times (deviation 8), a special token never.
        assert_eq!(drawn[..5], [0; 5]);
        assert!(drawn[5..].iter().all(|&count| (25..105).contains(&count)), "{drawn:?}");
    }

    #[test]
    fn every_place_is_chosen_alike() {
        let mut counts = [0u32; 22];
        for sequence in 0..20_000 {
            masked(&sentence(20), (5, 0, sequence)).1.iter().for_each(|&row| counts[row as usize] += 1);
        }
        // 3 of 20 each time: 3000 expected in each place, the deviation is 51.
        assert_eq!((counts[0], counts[21]), (0, 0));
        assert!(counts[1..21].iter().all(|count| count.abs_diff(3000) < 230), "{counts:?}");
    }

    #[test]
    fn special_tokens_are_never_chosen() {
        let ids = [2, 0, 1, 50, 4, 3, 0, 0];
        assert_eq!(masking(0.15).maskable(&ids), 1);
        for sequence in 0..100 {
            assert_eq!(masked(&ids, (1, 0, sequence)).1, [3]);
        }
        assert_eq!(masked(&[2, 1, 3], (1, 0, 0)), (vec![2, 1, 3], vec![], vec![]));
    }

    #[test]
    fn a_mask_depends_on_seed_epoch_and_sequence_alone() {
        let ids = sentence(60);
        let base = masked(&ids, (1, 2, 3));
        assert_eq!(base, masked(&ids, (1, 2, 3)));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 3, 2)] {
            assert_ne!(base.1, masked(&ids, other).1, "{other:?}");
        }
    }

    /// Drawn a second time by a few lines of Python that follow Salmon et al. 2011 for Philox and [`Masking::apply`]
    /// for the rest: the first place becomes `[MASK]`, the second another word, the third stays.
    #[test]
    fn the_numbers_of_a_small_case_never_change() {
        let (ids, rows, targets) = masked(&sentence(20), (1337, 1, 49));
        assert_eq!((rows, targets), (vec![5, 6, 18], vec![33, 40, 29]));
        let mut expected = sentence(20);
        (expected[5], expected[6]) = (MASK, 12);
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_rate_that_is_no_share_is_a_usage_error() {
        let tokenizer = tokenizer("[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n").unwrap();
        for rate in [0.0, 1.0, -0.1, 15.0, f64::NAN, f64::INFINITY] {
            let error = Masking::new(&tokenizer, rate).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with(&format!("invalid masking rate {rate}: ")), "{error}");
        }
        Masking::new(&tokenizer, 0.999).unwrap();
    }

    #[test]
    fn a_tokenizer_that_cannot_be_masked_is_named() {
        for (vocab, what) in [
            ("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n", "the token [MASK] is missing"),
            ("[UNK]\n[CLS]\n[SEP]\n[MASK]\n", "there are only special tokens"),
        ] {
            let error = Masking::new(&tokenizer(vocab).unwrap(), 0.15).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            let text = error.to_string();
            assert!(
                text.contains(&format!("vocab.txt: {what}")) && text.contains("Use the tokenizer"),
                "{text}"
            );
        }
    }
}
