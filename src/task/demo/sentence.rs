//! The sentences of the demo task: what they say, how they are written, and which changes of one follow from it.
//!
//! Quantifiers decide which changes preserve truth (van Benthem 1986, monotonicity): after *some* a noun may become
//! more general, after *every* and *no* more special, and *no* and *not* turn the direction round for all behind them.

use std::fmt::{self, Write};

/// Nouns with the more general noun that each is a kind of.
pub const NOUNS: &[(&str, Option<&str>)] = &[
    ("animal", None),
    ("dog", Some("animal")),
    ("poodle", Some("dog")),
    ("hound", Some("dog")),
    ("bird", Some("animal")),
    ("sparrow", Some("bird")),
    ("eagle", Some("bird")),
    ("horse", Some("animal")),
    ("pony", Some("horse")),
    ("stallion", Some("horse")),
    ("person", None),
    ("artist", Some("person")),
    ("painter", Some("artist")),
    ("poet", Some("artist")),
    ("worker", Some("person")),
    ("baker", Some("worker")),
    ("miner", Some("worker")),
    ("athlete", Some("person")),
    ("runner", Some("athlete")),
    ("swimmer", Some("athlete")),
];

/// Verbs as infinitive, past, participle, and the infinitive of the more general verb.
pub const VERBS: &[(&str, &str, &str, Option<&str>)] = &[
    ("follow", "followed", "followed", None),
    ("chase", "chased", "chased", Some("follow")),
    ("shadow", "shadowed", "shadowed", Some("follow")),
    ("touch", "touched", "touched", None),
    ("hug", "hugged", "hugged", Some("touch")),
    ("tickle", "tickled", "tickled", Some("touch")),
    ("hit", "hit", "hit", None),
    ("kick", "kicked", "kicked", Some("hit")),
    ("slap", "slapped", "slapped", Some("hit")),
    ("help", "helped", "helped", None),
    ("rescue", "rescued", "rescued", Some("help")),
    ("feed", "fed", "fed", Some("help")),
    ("see", "saw", "seen", None),
    ("watch", "watched", "watched", Some("see")),
    ("spot", "spotted", "spotted", Some("see")),
];

pub const ADJECTIVES: &[&str] = &["old", "young", "tired", "hungry", "clever", "quiet"];
pub const ADJUNCTS: &[&str] = &["in the park", "near the river", "at night", "on Monday", "in the rain"];
pub const NAMES: &[&str] = &["Anna", "Ben", "Clara", "David", "Emma", "Felix"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    Some,
    Every,
    /// Of subjects alone.
    No,
}

/// Who acts, or to whom it is done. Words are indices of the tables above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phrase {
    Name(usize),
    Noun { quantifier: Quantifier, adjective: Option<usize>, noun: usize },
}

/// One sentence; the quantifier of the one who acts has the wider scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pub subject: Phrase,
    /// Of sentences whose subject is a name alone.
    pub negated: bool,
    pub verb: usize,
    pub object: Phrase,
    pub adjunct: Option<usize>,
    pub passive: bool,
}

/// The part of a sentence that a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Subject,
    Negation,
    Verb,
    Object,
    Adjunct,
    /// Who acts and to whom it is done change places.
    Roles,
    Voice,
}

/// A sentence that differs in one part, and whether it follows.
#[derive(Clone, Debug)]
pub struct Change {
    pub part: Part,
    pub sentence: Sentence,
    pub follows: bool,
}

/// How a word's replacement relates to the word. A word of another kind never follows and would give the label away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    General,
    Special,
}

impl Step {
    /// Whether truth is preserved where more general words (`upward`) or more special ones do so.
    fn follows(self, upward: bool) -> bool {
        match self {
            Self::General => upward,
            Self::Special => !upward,
        }
    }
}

/// The words one step away from `word` in a hierarchy given by each word's parent.
fn neighbours(parents: &[Option<usize>], word: usize) -> Vec<(usize, Step)> {
    let step = |other: usize| {
        if parents[word] == Some(other) {
            Some(Step::General)
        } else if parents[other] == Some(word) {
            Some(Step::Special)
        } else {
            None
        }
    };
    (0..parents.len()).filter_map(|other| Some((other, step(other)?))).collect()
}

/// The place of each noun's more general noun.
pub fn noun_parents() -> Vec<Option<usize>> {
    NOUNS.iter().map(|(_, parent)| NOUNS.iter().position(|(noun, _)| Some(*noun) == *parent)).collect()
}

/// The place of each verb's more general verb.
pub fn verb_parents() -> Vec<Option<usize>> {
    VERBS.iter().map(|(.., parent)| VERBS.iter().position(|(verb, ..)| Some(*verb) == *parent)).collect()
}

/// The ways in which an optional word may come or go.
fn optional(word: Option<usize>, all: &[&str]) -> Vec<(Option<usize>, Step)> {
    match word {
        None => (0..all.len()).map(|other| (Some(other), Step::Special)).collect(),
        Some(_) => vec![(None, Step::General)],
    }
}

impl Phrase {
    fn quantifier(&self) -> Option<Quantifier> {
        match self {
            Self::Name(_) => None,
            Self::Noun { quantifier, .. } => Some(*quantifier),
        }
    }

    /// The phrases one step away, and whether each follows. `positive`: nothing before the phrase turns the direction.
    fn changes(&self, is_subject: bool, positive: bool) -> Vec<(Self, bool)> {
        use Quantifier::{Every, No, Some as Any};
        match *self {
            Self::Name(_) => Vec::new(),
            Self::Noun { quantifier, adjective, noun } => {
                let upward = positive == (quantifier == Any);
                let mut found = Vec::new();
                for (noun, step) in neighbours(&noun_parents(), noun) {
                    found.push((Self::Noun { quantifier, adjective, noun }, step.follows(upward)));
                }
                for (adjective, step) in optional(adjective, ADJECTIVES) {
                    found.push((Self::Noun { quantifier, adjective, noun }, step.follows(upward)));
                }
                let others: &[Quantifier] = if is_subject { &[Any, Every, No] } else { &[Any, Every] };
                for &other in others.iter().filter(|other| **other != quantifier) {
                    // Every noun phrase is taken to have something that it is true of.
                    let follows = match (quantifier, other) {
                        (Every, Any) => positive,
                        (Any, Every) => !positive,
                        _ => false,
                    };
                    found.push((Self::Noun { quantifier: other, adjective, noun }, follows));
                }
                found
            }
        }
    }

    fn write(&self, out: &mut String, turned: bool) {
        let text = match self {
            Self::Name(name) => return out.push_str(NAMES[*name]),
            Self::Noun { quantifier: Quantifier::Some, .. } if turned => "any",
            Self::Noun { quantifier: Quantifier::Some, .. } => "some",
            Self::Noun { quantifier: Quantifier::Every, .. } => "every",
            Self::Noun { quantifier: Quantifier::No, .. } => "no",
        };
        out.push_str(text);
        if let Self::Noun { adjective, noun, .. } = self {
            for word in adjective.map(|a| ADJECTIVES[a]).into_iter().chain([NOUNS[*noun].0]) {
                out.push(' ');
                out.push_str(word);
            }
        }
    }
}

impl Sentence {
    /// Whether the verb phrase is affirmed: *no* and *not* turn it round.
    fn affirmed(&self) -> bool {
        !self.negated && self.subject.quantifier() != Some(Quantifier::No)
    }

    /// All sentences that differ in one part.
    pub fn changes(&self) -> Vec<Change> {
        let affirmed = self.affirmed();
        let mut found = Vec::new();
        let mut add = |part, follows, sentence: Sentence| {
            // Nobody acts on themselves, and a subject that is not a name is only negated by *no*.
            let names_differ =
                !matches!(sentence.subject, Phrase::Name(_)) || sentence.subject != sentence.object;
            if names_differ && (!sentence.negated || matches!(sentence.subject, Phrase::Name(_))) {
                found.push(Change { part, sentence, follows });
            }
        };
        for (subject, follows) in self.subject.changes(true, true) {
            add(Part::Subject, follows, Self { subject, ..self.clone() });
        }
        for (object, follows) in self.object.changes(false, affirmed) {
            add(Part::Object, follows, Self { object, ..self.clone() });
        }
        for (verb, step) in neighbours(&verb_parents(), self.verb) {
            add(Part::Verb, step.follows(affirmed), Self { verb, ..self.clone() });
        }
        for (adjunct, step) in optional(self.adjunct, ADJUNCTS) {
            add(Part::Adjunct, step.follows(affirmed), Self { adjunct, ..self.clone() });
        }
        if matches!(self.subject, Phrase::Name(_)) {
            add(Part::Negation, false, Self { negated: !self.negated, ..self.clone() });
        }
        if affirmed && self.subject != self.object {
            let (subject, object) = (self.object.clone(), self.subject.clone());
            add(Part::Roles, false, Self { subject, object, ..self.clone() });
        }
        let (subject, object) = (self.subject.quantifier(), self.object.quantifier());
        // The passive's first quantifier would have the wider scope: only where the two may be exchanged.
        if affirmed && (subject.is_none() || object.is_none() || subject == object) {
            add(Part::Voice, true, Self { passive: !self.passive, ..self.clone() });
        }
        found
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (infinitive, past, participle, _) = VERBS[self.verb];
        let mut text = String::new();
        if self.passive {
            self.object.write(&mut text, false);
            write!(text, " was {participle} by ")?;
            self.subject.write(&mut text, false);
        } else {
            self.subject.write(&mut text, false);
            match self.negated {
                true => write!(text, " did not {infinitive} ")?,
                false => write!(text, " {past} ")?,
            }
            self.object.write(&mut text, !self.affirmed());
        }
        if let Some(adjunct) = self.adjunct {
            write!(text, " {}", ADJUNCTS[adjunct])?;
        }
        write!(f, "{}{}.", text[..1].to_uppercase(), &text[1..])
    }
}
