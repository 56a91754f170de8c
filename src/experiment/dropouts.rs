//! Dropout probabilities in a model's `config.json` that training does not use.

use crate::model::BertConfig;

/// A note for each key whose value differs. `hidden` and `attention` are the start of the command-line option and the
/// value used.
pub fn dropout_notes(model: &BertConfig, hidden: (&str, f64), attention: (&str, f64)) -> Vec<String> {
    let differs = |(key, p): (&str, f64)| {
        let (setting, trained) = if key == model.attention_dropout_key() { attention } else { hidden };
        let note = format!(
            "the model's config.json has {key} {p}, and training uses {trained}; `{setting}{p}` would use the model's"
        );
        (p != trained).then_some(note)
    };
    model.dropouts().into_iter().filter_map(differs).collect()
}
