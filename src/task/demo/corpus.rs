//! Text of the demo grammar to pre-train on: two sentences, the second following from the first.

use super::{ENTAILMENT, SEED, data, first_sentence, second};
use crate::{
    ops::rng::{Purpose, Stream},
    task::{Example, Label},
};
use std::collections::HashSet;

/// `n` different pairs of sentences, the same on every machine. No first sentence comes twice, so any split of them is
/// one of first sentences; and none of the task's development set is among the sentences.
pub fn corpus(n: usize) -> Vec<Example> {
    let mut stream = Stream::new(SEED, Purpose::DemoTask, 1);
    let dev = data().dev.into_iter();
    let mut seen: HashSet<String> = dev.flat_map(|e| [Some(e.first), e.second]).flatten().collect();
    let held_back = seen.clone();
    let mut found = Vec::with_capacity(n);
    while found.len() < n {
        let first = first_sentence(&mut stream);
        let Some(second) = second(&mut stream, &first, true) else { continue };
        let (first, second) = (first.to_string(), second.to_string());
        if !held_back.contains(&second) && seen.insert(first.clone()) {
            found.push(Example { first, second: Some(second), label: Label::Class(ENTAILMENT) });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sentences_differ_and_none_is_of_the_development_set() {
        let text = corpus(3000);
        assert_eq!(text[..100], corpus(100));
        let firsts: HashSet<&str> = text.iter().map(|e| e.first.as_str()).collect();
        assert_eq!(firsts.len(), text.len());
        let seconds: HashSet<&str> = text.iter().filter_map(|e| e.second.as_deref()).collect();
        for example in data().dev {
            for sentence in [Some(example.first), example.second].into_iter().flatten() {
                assert!(!firsts.contains(sentence.as_str()) && !seconds.contains(sentence.as_str()));
            }
        }
    }
}
