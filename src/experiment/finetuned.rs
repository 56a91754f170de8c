//! A model that was fine-tuned elsewhere, in the place of this run's fine-tuning.

use super::Inputs;
use crate::{
    error::{Error, Result},
    model::{Head, weights::Pretrained},
    task::Labels,
    text::Tokenizer,
    train::Progress,
};

/// Reads the model of this folder, or name on the hub.
///
/// # Errors
/// Data: it is of another shape than the run's model, has another head than the task needs, or other labels or another
/// tokenizer.
pub fn read(name: &str, inputs: &Inputs, progress: &mut dyn Progress) -> Result<Pretrained> {
    let folder = super::model_folder(name, progress)?;
    let model = Pretrained::load(&folder.dir)?;
    let wrong = |why: &str| {
        Error::data(format!(
            "{}: {why}. Give --finetuned a model that was fine-tuned on this task, from --model.",
            folder.name
        ))
    };
    let (own, base) = (&model.config, &inputs.model.config);
    let shape = |config: &crate::model::BertConfig| {
        [
            config.num_hidden_layers,
            config.num_attention_heads,
            config.hidden_size,
            config.intermediate_size,
            config.vocab_size,
        ]
    };
    if shape(own) != shape(base) || own.family.model_type != base.family.model_type {
        return Err(wrong(&format!("it is of another shape than {}", inputs.folder.name)));
    }
    if own.saved_shape()? != own.full_shape() {
        return Err(wrong("it is pruned already"));
    }
    match (inputs.head(), model.saved_head()) {
        (needed, Some(own)) if needed == own => {}
        (Head::MaskedLm, _) if model.has_masked_lm() => {}
        (Head::MaskedLm, _) => return Err(wrong("it has no masked-LM head")),
        (Head::Classifier { labels }, Some(Head::Classifier { labels: outputs })) => {
            let task = inputs.task.name;
            return Err(wrong(&format!(
                "its classifier has {outputs} outputs, and {task} has {labels} labels"
            )));
        }
        (_, None) => return Err(wrong("it has no classifier")),
        (_, Some(_)) => return Err(wrong("its head is of another kind than the task's")),
    }
    if let (Labels::Classes(names), Some(own)) = (inputs.task.labels, labels_of(&model))
        && own != names
        && names.iter().all(|name| own.iter().any(|own| own == name))
    {
        return Err(wrong(&format!(
            "its labels are in another order: {}, and here {}",
            own.join(", "),
            names.join(", ")
        )));
    }
    match Tokenizer::from_folder(&folder.dir) {
        Ok(tokenizer) if tokenizer.hash() != inputs.tokenizer.hash() => {
            Err(wrong(&format!("its tokenizer is not that of {}", inputs.folder.name)))
        }
        // Without one it has the model's.
        _ => Ok(model),
    }
}

/// The names of the classifier's outputs, as its `config.json` has them.
fn labels_of(model: &Pretrained) -> Option<Vec<String>> {
    let names = model.config.rest.get("id2label")?.as_object()?;
    (0..names.len()).map(|id| Some(names.get(&id.to_string())?.as_str()?.to_owned())).collect()
}

/// The warning of a model to rewind to that is no pre-trained one.
pub fn warning(model: &Pretrained) -> Option<String> {
    model.saved_head().map(|_| {
        "the model has a classifier, as one that is fine-tuned already: rewinding goes to its weights, not to pre-trained \
         ones (--finetuned names such a model, --model the pre-trained one)"
            .to_owned()
    })
}
