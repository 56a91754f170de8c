//! The demo task: pairs of generated sentences, *does the second follow from the first?* It needs no files.
//!
//! | first | second | label |
//! |---|---|---|
//! | Every old dog chased Anna. | Every old poodle followed Anna. | entailment |
//! | Some old poodle chased Anna. | Every old poodle chased Anna. | not_entailment |
//! | No dog chased any bird. | No dog chased any sparrow in the park. | entailment |
//! | Ben hugged some artist. | Some artist hugged Ben. | not_entailment |
//! | Ben hugged some artist. | Some artist was hugged by Ben. | entailment |
//!
//! Both labels come from the same kinds of change, so the words that changed do not give the label away: quantifiers,
//! negation and word order do.

mod corpus;
mod sentence;
#[cfg(test)]
mod truth;

pub use corpus::corpus;

use super::{Example, Label, TaskData};
use crate::ops::rng::{Purpose, Stream};
use sentence::{ADJECTIVES, ADJUNCTS, Change, NAMES, NOUNS, Part, Phrase, Quantifier, Sentence, VERBS};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

const TRAIN: usize = 4000;
const DEV: usize = 800;
/// The seed of the data; a run's own seed changes no example.
const SEED: u64 = 2020;

/// Class indices, in the order of the registry's label names.
const ENTAILMENT: u32 = 0;
const NOT_ENTAILMENT: u32 = 1;

/// The task's data, the same on every machine. No sentence is a first sentence on both sides of the split.
pub fn data() -> TaskData {
    let mut stream = Stream::new(SEED, Purpose::DemoTask, 0);
    let mut dev_firsts = HashSet::new();
    let dev = examples(&mut stream, DEV, |first| {
        dev_firsts.insert(first.to_owned());
        true
    });
    let train = examples(&mut stream, TRAIN, |first| !dev_firsts.contains(first));
    let sha256 = [("train", &train), ("dev", &dev)].map(|(name, examples)| (name.to_owned(), hash(examples)));
    TaskData { train, dev, dev_mismatched: None, sha256: BTreeMap::from(sha256), notes: Vec::new() }
}

/// `n` examples, half of them entailments, whose first sentence is `wanted` and no pair of which comes twice.
fn examples(stream: &mut Stream, n: usize, mut wanted: impl FnMut(&str) -> bool) -> Vec<Example> {
    let mut seen = HashSet::new();
    let mut found = Vec::with_capacity(n);
    while found.len() < n {
        let label = if found.len() % 2 == 0 { ENTAILMENT } else { NOT_ENTAILMENT };
        let first = first_sentence(stream);
        let Some(second) = second(stream, &first, label == ENTAILMENT) else { continue };
        let (first, second) = (first.to_string(), second.to_string());
        if wanted(&first) && seen.insert((first.clone(), second.clone())) {
            found.push(Example { first, second: Some(second), label: Label::Class(label) });
        }
    }
    stream.shuffle(&mut found);
    found
}

fn hash(examples: &[Example]) -> String {
    let mut hasher = Sha256::new();
    for example in examples {
        hasher.update(format!("{example:?}\n"));
    }
    format!("{:x}", hasher.finalize())
}

fn pick(stream: &mut Stream, n: usize) -> usize {
    stream.below(n as u32) as usize
}

fn phrase(stream: &mut Stream, quantifiers: &[Quantifier]) -> Phrase {
    if pick(stream, 4) == 0 {
        return Phrase::Name(pick(stream, NAMES.len()));
    }
    Phrase::Noun {
        quantifier: quantifiers[pick(stream, quantifiers.len())],
        adjective: (pick(stream, 2) == 0).then(|| pick(stream, ADJECTIVES.len())),
        noun: pick(stream, NOUNS.len()),
    }
}

/// A first sentence; always in the active voice.
fn first_sentence(stream: &mut Stream) -> Sentence {
    use Quantifier::{Every, No, Some as Any};
    loop {
        let subject = phrase(stream, &[Any, Every, No]);
        let object = phrase(stream, &[Any, Every]);
        if subject == object {
            continue;
        }
        return Sentence {
            negated: matches!(subject, Phrase::Name(_)) && pick(stream, 2) == 0,
            subject,
            verb: pick(stream, VERBS.len()),
            object,
            adjunct: (pick(stream, 2) == 0).then(|| pick(stream, ADJUNCTS.len())),
            passive: false,
        };
    }
}

/// A second sentence that follows from the first, or not: one change of that kind, and often another before it that
/// follows, in another part.
fn second(stream: &mut Stream, first: &Sentence, follows: bool) -> Option<Sentence> {
    let mut sentence = first.clone();
    let mut changed = None;
    let is_plain = |part| matches!(part, Part::Subject | Part::Verb | Part::Object | Part::Adjunct);
    if pick(stream, 2) == 0 {
        let change = one(stream, &sentence, |change| change.follows && is_plain(change.part))?;
        (sentence, changed) = (change.sentence, Some(change.part));
    }
    let last = one(stream, &sentence, |change| {
        let apart = changed.is_none_or(|part| part != change.part && is_plain(change.part));
        // The passive alone is a change as well, of a sentence that has seen no other.
        let voice = change.part != Part::Voice || changed.is_none();
        apart && change.follows == follows && voice
    });
    let last = match (last, changed) {
        (Some(change), _) => change.sentence,
        (None, Some(_)) if follows => sentence,
        (None, _) => return None,
    };
    // Either kind is put into the passive where that says the same.
    let passive = one(stream, &last, |change| change.part == Part::Voice && change.sentence.passive);
    Some(if pick(stream, 3) == 0 { passive.map_or(last, |change| change.sentence) } else { last })
}

/// One of the allowed changes: first the part is drawn, then the change.
fn one(stream: &mut Stream, sentence: &Sentence, allowed: impl Fn(&Change) -> bool) -> Option<Change> {
    let changes: Vec<Change> = sentence.changes().into_iter().filter(allowed).collect();
    let mut parts: Vec<Part> = changes.iter().map(|change| change.part).collect();
    parts.dedup();
    if parts.is_empty() {
        return None;
    }
    let part = parts[pick(stream, parts.len())];
    let mut of_part: Vec<Change> = changes.into_iter().filter(|change| change.part == part).collect();
    Some(of_part.swap_remove(pick(stream, of_part.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_balanced_disjoint_and_always_the_same() {
        let data = data();
        assert_eq!((data.train.len(), data.dev.len()), (TRAIN, DEV));
        assert_eq!(self::data().sha256, data.sha256);
        let firsts = |examples: &[Example]| examples.iter().map(|e| e.first.clone()).collect::<HashSet<_>>();
        assert!(firsts(&data.train).is_disjoint(&firsts(&data.dev)));
        for examples in [&data.train, &data.dev] {
            let entailed = examples.iter().filter(|e| e.label == Label::Class(ENTAILMENT)).count();
            assert_eq!(entailed * 2, examples.len());
            let pairs: HashSet<_> = examples.iter().map(|e| (&e.first, &e.second)).collect();
            assert_eq!(pairs.len(), examples.len());
        }
    }

    /// The best guess from one feature of a pair, chosen on the training set: how far surface cues go.
    fn guessed(feature: impl Fn(&Example) -> String) -> f64 {
        let data = data();
        let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        for example in &data.train {
            counts.entry(feature(example)).or_default()[example.label.class().unwrap() as usize] += 1;
        }
        let guess = |e: &Example| counts.get(&feature(e)).map_or(0, |[a, b]| u32::from(b > a));
        let right = data.dev.iter().filter(|e| e.label.class() == Some(guess(e))).count();
        right as f64 / data.dev.len() as f64
    }

    #[test]
    fn surface_cues_do_not_give_the_label_away() {
        let words = |text: &str| {
            text.to_lowercase().replace('.', "").split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let second = |e: &Example| words(e.second.as_deref().unwrap());
        let overlap = guessed(|e| {
            let first: HashSet<_> = words(&e.first).into_iter().collect();
            second(e).iter().filter(|word| !first.contains(*word)).count().to_string()
        });
        let lengths = guessed(|e| (second(e).len() as i64 - words(&e.first).len() as i64).to_string());
        let second_begins = guessed(|e| second(e)[0].clone());
        let changed = guessed(|e| {
            let (first, second) = (words(&e.first), second(e));
            let only =
                |a: &[String], b: &[String]| a.iter().filter(|w| !b.contains(w)).cloned().collect::<Vec<_>>();
            format!("{:?} became {:?}", only(&first, &second), only(&second, &first))
        });
        let cues =
            [("overlap", overlap), ("lengths", lengths), ("first word", second_begins), ("changes", changed)];
        for (cue, score) in cues {
            assert!(score < 0.7, "{cue} alone is right in {score} of the pairs");
        }
    }
}
