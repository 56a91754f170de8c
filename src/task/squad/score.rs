//! The official scorer, `evaluate-v1.1.py`: exact match and F1 of answers after normalisation.

use std::collections::{BTreeMap, HashMap};

use super::Questions;

/// Sums over questions, in file order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    exact: f64,
    f1: f64,
    questions: usize,
    /// Questions without a prediction, which score 0.
    pub unanswered: usize,
}

impl Scores {
    /// The scores of predictions by question id; of questions that are not there they are not looked at.
    pub fn of(questions: &Questions, predictions: &BTreeMap<String, String>) -> Self {
        let mut scores = Self::default();
        for question in &questions.questions {
            scores.add(predictions.get(&question.id).map(String::as_str), &question.answers);
        }
        scores
    }

    /// One more question: its best scores over the answers, any of which is right. Returns exact match and F1.
    pub fn add(&mut self, prediction: Option<&str>, answers: &[String]) -> [f64; 2] {
        self.questions += 1;
        let Some(prediction) = prediction else {
            self.unanswered += 1;
            return [0.0; 2];
        };
        let prediction = normalised(prediction);
        let best =
            answers.iter().map(|answer| normalised(answer)).fold([0.0; 2], |best: [f64; 2], answer| {
                let exact = f64::from(u8::from(answer == prediction));
                [best[0].max(exact), best[1].max(f1(&prediction, &answer))]
            });
        self.exact += best[0];
        self.f1 += best[1];
        best
    }

    /// Exact match and F1 as shares of the questions; NaN of none.
    pub fn shares(&self) -> [f64; 2] {
        [self.exact, self.f1].map(|sum| sum / self.questions as f64)
    }

    /// The same in percent, with the official script's own rounding.
    pub fn percent(&self) -> [f64; 2] {
        [self.exact, self.f1].map(|sum| 100.0 * sum / self.questions as f64)
    }
}

/// Lower case, without ASCII punctuation and articles, words apart by single spaces: `normalize_answer`.
pub fn normalised(answer: &str) -> String {
    let plain: String = answer.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut without = String::with_capacity(plain.len());
    let mut rest = &plain[..];
    while !rest.is_empty() {
        // In turn a run of word characters, possibly empty, and a run of others.
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        let (between, after) = after.split_at(after.find(is_word).unwrap_or(after.len()));
        without.push_str(if ["a", "an", "the"].contains(&word) { " " } else { word });
        without.push_str(between);
        rest = after;
    }
    words(&without).collect::<Vec<_>>().join(" ")
}

/// `\w` of Python's re, punctuation being gone; it takes no combining vowel signs, which no article has beside it.
fn is_word(c: char) -> bool {
    c.is_alphanumeric()
}

/// `str.split()` of Python, which also splits at four control characters that Unicode does not call white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    text.split(is_space).filter(|word| !word.is_empty())
}

/// The harmonic mean of precision and recall of the words of normalised texts, each as often as it is there.
fn f1(prediction: &str, answer: &str) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    words(answer).for_each(|word| *left.entry(word).or_default() += 1);
    let mut same = 0.0;
    for word in words(prediction) {
        if let Some(n) = left.get_mut(word).filter(|n| **n > 0) {
            *n -= 1;
            same += 1.0;
        }
    }
    if same == 0.0 {
        return 0.0;
    }
    let precision = same / words(prediction).count() as f64;
    let recall = same / words(answer).count() as f64;
    (2.0 * precision * recall) / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        normalised: Vec<[String; 2]>,
        scores: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        prediction: String,
        answers: Vec<String>,
        exact_match: f64,
        f1: f64,
    }

    #[test]
    fn normalisation_and_scores_equal_the_official_scripts() {
        let golden: Golden = serde_json::from_str(include_str!("../../../tests/golden/squad.json")).unwrap();
        assert!(golden.normalised.len() >= 40 && golden.scores.len() >= 20);
        for [text, expected] in &golden.normalised {
            assert_eq!(normalised(text), *expected, "{text:?}");
        }
        for case in &golden.scores {
            let mut scores = Scores::default();
            let found = scores.add(Some(&case.prediction), &case.answers);
            assert_eq!(found, [case.exact_match, case.f1], "{:?}", case.prediction);
            assert_eq!(scores.percent(), found.map(|score| 100.0 * score));
        }
    }

    #[test]
    fn a_question_without_a_prediction_scores_0_and_counts() {
        let mut scores = Scores::default();
        let answers = ["The cat".to_owned(), "a dog".to_owned()];
        assert_eq!(scores.add(Some("cat!"), &answers), [1.0, 1.0]);
        assert_eq!(scores.add(None, &answers), [0.0, 0.0]);
        assert_eq!((scores.shares(), scores.percent(), scores.unanswered), ([0.5; 2], [50.0; 2], 1));
        assert!(Scores::default().shares().iter().all(|share| share.is_nan()));
    }
}
