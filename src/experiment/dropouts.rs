//! Dropout probabilities in a model's `config.json` that training does not use.

use crate::model::BertConfig;

/// A note for each key whose value differs. `used` has the start of the command-line option and the value for hidden
/// states, attention and the classifier's input.
pub fn dropout_notes(model: &BertConfig, used: [(&str, f64); 3]) -> Vec<String> {
    let differs = |(key, p): (&str, f64)| {
        let at = model.family.dropouts.iter().position(|(own, _)| *own == key)?;
        let (setting, trained) = used[at];
        let note = format!(
            "the model's config.json has {key} {p}, and training uses {trained}; `{setting}{p}` would use the model's"
        );
        (p != trained).then_some(note)
    };
    model.dropouts().into_iter().filter_map(differs).collect()
}
