//! What a pre-training reads: running text, or pairs of sentences of the demo grammar.

use super::settings::{DEMO_TEXT, PretrainSettings};
use crate::{
    error::{Error, Result},
    task::{Example, demo_corpus},
    text::{Encoded, Tokenizer, Unit, read_text, sequences},
};
use std::path::Path;

/// One text, or a part of one.
#[derive(Clone, Debug)]
pub struct Text {
    /// The file's, or [`DEMO_TEXT`].
    pub name: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Pairs(Vec<Example>),
    Plain(String),
}

impl Text {
    pub fn read(name: &str, settings: &PretrainSettings) -> Result<Self> {
        let body = match name {
            DEMO_TEXT => Body::Pairs(demo_corpus(settings.demo_pairs)),
            path => Body::Plain(read_text(Path::new(path))?),
        };
        Ok(Self { name: name.to_owned(), body })
    }

    /// Every line, and both sentences of every pair.
    pub fn lines(&self) -> Vec<&str> {
        match &self.body {
            Body::Pairs(pairs) => {
                pairs.iter().flat_map(|p| [Some(p.first.as_str()), p.second.as_deref()]).flatten().collect()
            }
            Body::Plain(text) => text.lines().collect(),
        }
    }

    /// BLAKE3 of the text, in hex.
    pub fn hash(&self) -> String {
        match &self.body {
            Body::Pairs(_) => blake3::hash(self.lines().join("\n").as_bytes()),
            Body::Plain(text) => blake3::hash(text.as_bytes()),
        }
        .to_hex()
        .to_string()
    }

    /// The text without a part of its lines, and that part, each in order. A line's own words decide where it goes:
    /// equal lines stay together, and neither the other lines, the vocabulary nor the length of the sequences move it,
    /// so what was held out once is held out again when the training is continued in another way.
    pub fn split(&self, fraction: f64) -> (Self, Self) {
        let held = |line: &str| {
            let hash = blake3::hash(line.trim().as_bytes());
            let bits = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| hash.as_bytes()[i]));
            ((bits >> 11) as f64) < fraction * (1u64 << 53) as f64
        };
        let part = |out: bool| {
            let body = match &self.body {
                Body::Pairs(pairs) => {
                    Body::Pairs(pairs.iter().filter(|pair| held(&pair.first) == out).cloned().collect())
                }
                Body::Plain(text) => {
                    let lines: Vec<&str> = text.lines().filter(|line| held(line) == out).collect();
                    Body::Plain(lines.join("\n"))
                }
            };
            Self { name: self.name.clone(), body }
        };
        (part(false), part(true))
    }

    /// None of a text without a word, which may be left of a short one.
    pub fn encode(&self, tokenizer: &Tokenizer, unit: Unit, max_length: usize) -> Result<Vec<Encoded>> {
        match &self.body {
            Body::Pairs(pairs) => tokenizer.encode_all(pairs, max_length),
            Body::Plain(text) if text.trim().is_empty() => Ok(Vec::new()),
            Body::Plain(text) => sequences(tokenizer, text, unit, max_length),
        }
    }
}

/// A score on text that was learnt by heart says nothing, and a text that is given twice is split twice alike.
pub fn refuse_same(texts: &[Text], heldout: Option<&Text>) -> Result<()> {
    let hashes: Vec<String> = texts.iter().map(Text::hash).collect();
    for (i, hash) in hashes.iter().enumerate() {
        if let Some(earlier) = hashes[..i].iter().position(|other| other == hash) {
            return Err(Error::usage(format!(
                "--text {} and --text {} are the same text. Give it once; --epochs says how often it is read.",
                texts[earlier].name, texts[i].name
            )));
        }
    }
    let Some(heldout) = heldout else { return Ok(()) };
    match hashes.iter().position(|hash| *hash == heldout.hash()) {
        None => Ok(()),
        Some(at) => Err(Error::usage(format!(
            "--heldout {} is the same text as --text {}, so it is not held out. Give another text, or leave --heldout \
             out: a part of the lines is then kept out of training.",
            heldout.name, texts[at].name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn plain(lines: &[String]) -> Text {
        Text { name: "t".into(), body: Body::Plain(lines.join("\n")) }
    }

    #[test]
    fn a_line_is_held_out_for_its_own_sake() {
        let lines: Vec<String> = (0..4000).map(|i| format!("line number {}", i / 2)).collect();
        let (train, heldout) = plain(&lines).split(0.1);
        let [kept, out]: [HashSet<String>; 2] =
            [&train, &heldout].map(|part| part.lines().into_iter().map(str::to_owned).collect());
        assert!(kept.is_disjoint(&out));
        assert_eq!(train.lines().len() + heldout.lines().len(), lines.len());
        // 400 expected, in pairs: a deviation of 27.
        assert!(heldout.lines().len().abs_diff(400) < 140, "{}", heldout.lines().len());
        // Among other lines, and in a larger part.
        let (_, of_half) = plain(&lines[..2000]).split(0.1);
        assert!(of_half.lines().iter().all(|line| out.contains(*line)));
        let (_, more) = plain(&lines).split(0.3);
        let more: HashSet<&str> = more.lines().into_iter().collect();
        assert!(out.iter().all(|line| more.contains(line.as_str())));
    }

    #[test]
    fn pairs_are_held_out_by_their_first_sentences() {
        let text = Text { name: DEMO_TEXT.into(), body: Body::Pairs(demo_corpus(400)) };
        let (train, heldout) = text.split(0.1);
        assert_eq!(train.lines().len() + heldout.lines().len(), 800);
        assert!(heldout.lines().len() > 20);
        let more = Text { body: Body::Pairs(demo_corpus(800)), ..text };
        let again = more.split(0.1).1;
        assert!(heldout.lines().iter().all(|line| again.lines().contains(line)));
    }
}
