//! The text of a pre-training or of masked-LM tickets: running text, or pairs of sentences from the demo grammar.

use crate::{
    error::{Error, Result},
    task::{Example, demo_corpus},
    text::{Encoded, Tokenizer, Unit, read_text, sequences},
};
use std::path::Path;

/// The name of the text that the demo task's grammar writes.
pub const DEMO_TEXT: &str = "demo";

/// The share of a sequence's tokens that is masked (Devlin et al. 2019, section 3.1).
pub const MASK_RATE: f64 = 0.15;

/// A text, or a part of one.
#[derive(Clone, Debug)]
pub struct Text {
    /// The path of the file, or [`DEMO_TEXT`].
    pub name: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Pairs(Vec<Example>),
    Plain(String),
}

impl Text {
    /// The file, or so many pairs of the demo grammar.
    pub fn read(name: &str, demo_pairs: usize) -> Result<Self> {
        let body = match name {
            DEMO_TEXT => Body::Pairs(demo_corpus(demo_pairs)),
            path => Body::Plain(read_text(Path::new(path))?),
        };
        Ok(Self { name: name.to_owned(), body })
    }

    /// All lines; of pairs, both sentences.
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

    /// Splits the text into lines to train on and lines to hold out, each in order. Only the content of a line decides
    /// where it goes: equal lines stay together, and other lines, the vocabulary and the sequence length make no
    /// difference. So a line that was held out once stays held out when training continues with other settings.
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

    /// The sequences; none if the text is blank, which may be what remains of a short one.
    pub fn encode(&self, tokenizer: &Tokenizer, unit: Unit, max_length: usize) -> Result<Vec<Encoded>> {
        match &self.body {
            Body::Pairs(pairs) => tokenizer.encode_all(pairs, max_length),
            Body::Plain(text) if text.trim().is_empty() => Ok(Vec::new()),
            Body::Plain(text) => sequences(tokenizer, text, unit, max_length),
        }
    }
}

/// Refuses equal texts: a score on text that was trained on says nothing, and a text given twice is held out twice.
pub fn refuse_same(texts: &[Text], heldout: Option<&Text>, flag: &str) -> Result<()> {
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
            "{flag} {} is the same text as --text {}, so it is not held out. Give another text, or leave {flag} \
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
    fn only_its_content_decides_whether_a_line_is_held_out() {
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
