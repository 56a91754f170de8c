//! Whether a tokenizer's vocabulary fits the text that it is used on.

use super::{Encoded, Tokenizer};

/// The fraction of unknown tokens from which there is a warning. With all-MiniLM-L6-v2 it is 0 in each split of CoLA,
/// SST-2, MRPC, STS-B, RTE and WNLI, and in the demo; if upper case is kept, which this vocabulary lacks, it is 10 to
/// 18 % (0.06 % or less in SST-2, which is in lower case).
const NOTABLE: f64 = 0.02;

impl Tokenizer {
    /// The fraction of tokens, without special ones, that are unknown ([UNK]).
    pub fn unknown_share(&self, encoded: &[Encoded]) -> f64 {
        let special = self.special_ids();
        let (mut unknown, mut all) = (0_usize, 0_usize);
        for id in encoded.iter().flat_map(|sequence| &sequence.ids) {
            unknown += usize::from(*id == special.unk);
            all += usize::from(![special.cls, special.sep].contains(id));
        }
        unknown as f64 / all.max(1) as f64
    }

    /// A warning with the likely cause if many tokens of the text are unknown; `what` names the text.
    pub fn unknown_warning(&self, what: &str, encoded: &[Encoded]) -> Option<String> {
        let share = self.unknown_share(encoded);
        (share >= NOTABLE).then(|| {
            format!(
                "{:.1} % of the tokens of the {what} are unknown to the vocabulary ([UNK]): {}",
                100.0 * share,
                self.likely_cause()
            )
        })
    }

    pub(super) fn likely_cause(&self) -> &'static str {
        match (self.keeps_upper_case(), self.has_upper_case()) {
            (true, false) => {
                "its words are in lower case, but upper case in the text is kept. Is do_lower_case false in \
                 tokenizer_config.json by mistake?"
            }
            (false, true) => {
                "its words are in upper and lower case, but the text is lowercased. Is do_lower_case true in \
                 tokenizer_config.json, or missing, by mistake?"
            }
            _ => "it may be for another language, or from another model",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(words: &str, config: &str, sentences: &[&str]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let vocab = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n{words}");
        std::fs::write(folder.path().join("vocab.txt"), vocab).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
        let encoded: Vec<Encoded> =
            sentences.iter().map(|text| tokenizer.encode(text, None, 512).unwrap()).collect();
        tokenizer.unknown_warning("training data", &encoded)
    }

    #[test]
    fn unknown_words_are_warned_of_from_two_in_a_hundred() {
        let text = |unknown: usize| format!("{}{}", "the ".repeat(100 - unknown), "zebra ".repeat(unknown));
        assert_eq!(warning("the\n", "{}", &[&text(0)]), None);
        assert_eq!(warning("the\n", "{}", &[&text(1)]), None);
        assert_eq!(
            warning("the\n", "{}", &[&text(2)]).unwrap(),
            "2.0 % of the tokens of the training data are unknown to the vocabulary ([UNK]): it may be for another \
             language, or from another model"
        );
        assert_eq!(warning("the\n", "{}", &[]), None);
        assert_eq!(warning("the\n", "{}", &["", ""]), None);
    }

    #[test]
    fn the_likely_cause_is_told() {
        let cased = r#"{"do_lower_case": false}"#;
        let text = warning("the\ncat\n", cased, &["The Cat", "THE cat"]).unwrap();
        assert!(text.starts_with("75.0 % ") && text.contains("Is do_lower_case false"), "{text}");
        let text = warning("The\nCat\n", "{}", &["The Cat"]).unwrap();
        assert!(text.starts_with("100.0 % ") && text.contains("Is do_lower_case true"), "{text}");
        let text = warning("The\nCat\n", cased, &["Die Katze"]).unwrap();
        assert!(text.contains("another language"), "{text}");
    }
}
