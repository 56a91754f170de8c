//! Whether an export computes what its source does: the logits of both on the same examples.

use crate::{
    engine::Machine,
    error::{Error, Result},
    eval::{Development, Trained, blocks, check_tokens, encode},
    experiment::{
        words::{self, hidden},
        workload::in_windows,
    },
    model::{Bert, Head},
    ops::rng::{Purpose, Stream},
    task::Label,
    text::{Encoded, WindowRules},
    train::{Dataset, logits},
};

/// The largest difference, relative to logits beyond 1.
const TOLERANCE: f32 = 1e-5;

/// Examples that are compared.
const EXAMPLES: usize = 64;

/// What an export was compared on.
pub struct Examples {
    pub data: Dataset,
    /// For people: `64 development examples of rte`.
    pub what: String,
}

impl Examples {
    /// The first of a task's development examples.
    pub fn of_task(task: &str, dev: Development, trained: &Trained, max_length: usize) -> Result<Self> {
        let (encoded, of) = match dev {
            Development::Text(text) => {
                let data = blocks(trained, &text, max_length, EXAMPLES)?;
                let what = format!("{} development blocks of {task}", data.len());
                return Ok(Self { data, what });
            }
            Development::Sentences(sets) => {
                let dev = sets.into_iter().next().map(|set| set.examples).unwrap_or_default();
                (encode(trained, &dev[..dev.len().min(EXAMPLES)], max_length)?, "examples")
            }
            Development::Questions(mut all) => {
                all.truncate(EXAMPLES);
                // Narrow windows, which fit into any model.
                let [overlap, max_question_length] = [max_length / 8, max_length / 4];
                let rules = WindowRules { max_length, overlap, max_question_length };
                let mut encoded = in_windows(all, &trained.tokenizer, rules, None)?.encoded;
                encoded.truncate(EXAMPLES);
                check_tokens(trained, &encoded)?;
                (encoded, "windows")
            }
        };
        let what = format!("{} development {of} of {task}", encoded.len());
        Ok(Self { data: unlabelled(encoded), what })
    }

    /// Sequences of words that are drawn, with one segment or two.
    pub fn generated(trained: &Trained) -> Result<Self> {
        let config = &trained.bert.config;
        let mut draw = Stream::new(0, Purpose::Split, 1);
        let mut below = |n: usize| draw.below(n as u32) as usize;
        let segments = if config.family.token_types.is_some() { config.type_vocab_size.min(2) } else { 1 };
        let mut sequence = || {
            let length = 2 + below(config.longest_sequence().clamp(3, 128) - 2);
            let middle = if segments == 2 { 1 + below(length) } else { length };
            Encoded {
                ids: (0..length).map(|_| below(config.vocab_size) as u32).collect(),
                segments: (0..length).map(|at| u8::from(at >= middle)).collect(),
            }
        };
        let encoded = (0..EXAMPLES).map(|_| sequence()).collect();
        let data = match trained.bert.head {
            Head::MaskedLm => hidden(encoded, &words::masking(&trained.tokenizer)?),
            _ => unlabelled(encoded),
        };
        Ok(Self { data, what: format!("{EXAMPLES} sequences of drawn words") })
    }

    /// Compares both models' logits, of masked-LM heads the losses of hidden words. Returns the largest difference.
    ///
    /// # Errors
    /// Internal: they differ.
    pub fn compare(&self, source: &Bert, export: &Bert) -> Result<f32> {
        // In f32 whatever the export is timed in.
        let machine = Machine::default();
        let [expected, found] = [source, export].map(|bert| logits(&mut *machine.reader(bert)?, &self.data));
        let (expected, found) = (expected?, found?);
        let pairs = || expected.iter().zip(&found);
        // Of what is no number neither side is larger.
        let equal = pairs().all(|(a, b)| (a - b).abs() <= TOLERANCE * a.abs().max(1.0));
        let largest = pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if !equal || expected.len() != found.len() {
            return Err(Error::internal(format!(
                "the export was read again, and its logits differ from the source's by {largest:e} on {}; nothing was kept",
                self.what
            )));
        }
        Ok(largest)
    }
}

fn unlabelled(encoded: Vec<Encoded>) -> Dataset {
    Dataset { labels: vec![Label::Class(0); encoded.len()], encoded, ..Dataset::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::BertConfig, text::Tokenizer};

    #[test]
    fn an_export_that_computes_something_else_is_refused() {
        let config = BertConfig { vocab_size: 40, ..BertConfig::of_shape(2, 32, 4, 64) };
        let bert = Bert::random(config, Head::Classifier { labels: 2 }, 1);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n").unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        let (name, labels) = (String::new(), Vec::new());
        let trained = Trained { name, bert: bert.clone(), tokenizer, labels, fresh: false };
        let examples = Examples::generated(&trained).unwrap();
        assert_eq!(examples.data.len(), EXAMPLES);
        assert_eq!(examples.compare(&bert, &bert.clone()).unwrap(), 0.0);
        for (change, refused) in [(5e-6, false), (3e-5, true), (f32::NAN, true)] {
            let mut other = bert.clone();
            let bias = other.params.layout.classifier_bias.start;
            other.params.data[bias] += change;
            match examples.compare(&bert, &other) {
                Ok(largest) => {
                    assert!(!refused && largest > 0.0 && largest <= TOLERANCE, "{change}: {largest}")
                }
                Err(error) => assert!(refused && error.to_string().contains("nothing was kept"), "{error}"),
            }
        }
    }
}
