//! The labels against finite models: what follows is true wherever the first sentence is, and what does not is false
//! somewhere where the first is true.

use super::{
    first_sentence, second,
    sentence::{ADJECTIVES, NAMES, Phrase, Quantifier, Sentence, noun_parents, verb_parents},
};
use crate::ops::rng::{Purpose, Stream};

/// A small world: who is what, and who did what to whom.
struct World {
    size: usize,
    /// Which nouns are true of each entity, [noun][entity].
    nouns: Vec<Vec<bool>>,
    adjectives: Vec<Vec<bool>>,
    names: Vec<usize>,
    /// (who, verb, whom, adjunct): more general verbs are true of it too, and so is the event without its adjunct.
    events: Vec<(usize, usize, usize, Option<usize>)>,
}

impl World {
    fn random(stream: &mut Stream, about: &[&Sentence]) -> Self {
        let size = 1 + stream.below(4) as usize;
        let mut chance = |percent: u32| stream.below(100) < percent;
        let dense = [10, 50, 90];
        let nouns_density = if chance(50) { 50 } else { 90 };
        let mut nouns: Vec<Vec<bool>> = Vec::new();
        // The table has general nouns before their special ones.
        for parent in noun_parents() {
            let is = |entity: usize| parent.is_none_or(|p| nouns[p][entity]);
            let row = (0..size).map(|entity| chance(nouns_density) && is(entity)).collect();
            nouns.push(row);
        }
        let adjectives = (0..ADJECTIVES.len()).map(|_| (0..size).map(|_| chance(60)).collect()).collect();
        let names = NAMES.iter().map(|_| stream.below(size as u32) as usize).collect();
        let density = dense[stream.below(3) as usize];
        let mut events = Vec::new();
        let verbs: Vec<usize> = about.iter().map(|s| s.verb).collect();
        let adjuncts: Vec<Option<usize>> = about.iter().map(|s| s.adjunct).chain([None]).collect();
        for who in 0..size {
            for whom in 0..size {
                for &verb in &verbs {
                    for &adjunct in &adjuncts {
                        if stream.below(100) < density {
                            events.push((who, verb, whom, adjunct));
                        }
                    }
                }
            }
        }
        Self { size, nouns, adjectives, names, events }
    }

    fn happened(&self, who: usize, sentence: &Sentence, whom: usize) -> bool {
        let parents = verb_parents();
        self.events.iter().any(|&(subject, verb, object, adjunct)| {
            (subject, object) == (who, whom)
                && (verb == sentence.verb || parents[verb] == Some(sentence.verb))
                && (sentence.adjunct.is_none() || sentence.adjunct == adjunct)
        })
    }

    /// The entities that a phrase is about.
    fn range(&self, phrase: &Phrase) -> Vec<usize> {
        match *phrase {
            Phrase::Name(name) => vec![self.names[name]],
            Phrase::Noun { adjective, noun, .. } => (0..self.size)
                .filter(|&e| self.nouns[noun][e] && adjective.is_none_or(|a| self.adjectives[a][e]))
                .collect(),
        }
    }

    fn holds(&self, phrase: &Phrase, is_true: impl Fn(usize) -> bool) -> bool {
        let mut range = self.range(phrase).into_iter();
        match phrase {
            Phrase::Noun { quantifier: Quantifier::Every, .. } => range.all(is_true),
            Phrase::Noun { quantifier: Quantifier::No, .. } => !range.any(is_true),
            Phrase::Name(_) | Phrase::Noun { .. } => range.any(is_true),
        }
    }

    fn makes_true(&self, sentence: &Sentence) -> bool {
        let object_first = |whom| self.holds(&sentence.subject, |who| self.happened(who, sentence, whom));
        let subject_first = |who| self.holds(&sentence.object, |whom| self.happened(who, sentence, whom));
        // The quantifier that is written first has the wider scope.
        let affirmed = match sentence.passive {
            true => self.holds(&sentence.object, object_first),
            false => self.holds(&sentence.subject, subject_first),
        };
        affirmed != sentence.negated
    }

    fn presupposed(&self, sentence: &Sentence) -> bool {
        [&sentence.subject, &sentence.object].iter().all(|phrase| !self.range(phrase).is_empty())
    }
}

#[test]
fn every_label_is_right_in_finite_worlds() {
    let mut stream = Stream::new(7, Purpose::DemoTask, 1);
    let mut pairs = 0;
    while pairs < 300 {
        let follows = pairs % 2 == 0;
        let first = first_sentence(&mut stream);
        let Some(second) = second(&mut stream, &first, follows) else { continue };
        pairs += 1;
        let (mut both, mut refuted) = (0, false);
        for _ in 0..20_000 {
            let world = World::random(&mut stream, &[&first, &second]);
            if world.presupposed(&first) && world.presupposed(&second) && world.makes_true(&first) {
                both += 1;
                refuted |= !world.makes_true(&second);
                if refuted || (follows && both == 500) {
                    break;
                }
            }
        }
        assert!(both > 0, "no world for: {first}");
        assert_eq!(refuted, !follows, "{first} / {second}");
    }
}
