//! Which class of transformers a folder's tokenizer is of.

use serde_json::{Map, Value};

use super::files::{CONFIG, Files, JSON, MODEL_CONFIG};
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// `BertTokenizer`, under whichever of its names.
    Bert,
    /// The same without segments.
    DistilBert,
    /// `RobertaTokenizer`: byte-level BPE.
    Roberta,
    /// `tokenizer.json` as it is.
    Fast,
}

/// With `Fast` at their end or without, these are `BertTokenizer` in transformers 5.24.
const BERT_CLASSES: [&str; 5] =
    ["BertTokenizer", "ElectraTokenizer", "LayoutLMTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"];

const FAST_CLASSES: [&str; 2] = ["PreTrainedTokenizerFast", "TokenizersBackend"];

/// The values of `model_type` whose tokenizer is `BertTokenizer` where no class is named, in transformers 5.24.
const BERT_MODELS: [&str; 26] = [
    "align",
    "bark",
    "bert",
    "blip",
    "bros",
    "chinese_clip",
    "convbert",
    "distilbert",
    "electra",
    "ernie",
    "flava",
    "git",
    "grounding-dino",
    "layoutlm",
    "megatron-bert",
    "mm-grounding-dino",
    "mobilebert",
    "nezha",
    "nomic_bert",
    "qdqbert",
    "realm",
    "retribert",
    "squeezebert",
    "tvp",
    "vilt",
    "visual_bert",
];

/// The value whose tokenizer is `RobertaTokenizer`.
const ROBERTA_MODEL: &str = "roberta";

/// From `tokenizer_class` in `tokenizer_config.json`, else in `config.json`, else from the `model_type`.
///
/// # Errors
/// `Error::Data` naming the file and the class if that is neither one of BERT's nor RoBERTa's.
pub(super) fn class(files: &Files, config: &Map<String, Value>) -> Result<Class> {
    if let Some(name) = given(config.get("tokenizer_class")) {
        return of_name(files, CONFIG, &name);
    }
    let model = files.object(MODEL_CONFIG)?;
    if let Some(name) = given(model.get("tokenizer_class")) {
        let class = of_name(files, MODEL_CONFIG, &name)?;
        return match class {
            Class::Bert => Ok(class),
            // The stage's config.json has this model_type too.
            Class::Roberta if model.get("model_type").and_then(Value::as_str) == Some(ROBERTA_MODEL) => {
                Ok(class)
            }
            // A stage has the tokenizer's files and a config.json of its own.
            Class::DistilBert | Class::Roberta | Class::Fast => Err(refused(
                files,
                MODEL_CONFIG,
                &name,
                "Write this class into tokenizer_config.json, which travels with a trained model.",
            )),
        };
    }
    match model.get("model_type").and_then(Value::as_str) {
        Some(ROBERTA_MODEL) => Ok(Class::Roberta),
        Some(kind) if !BERT_MODELS.contains(&kind) => Err(Error::data(format!(
            "{}: model_type is {kind:?}, whose tokenizer is neither BERT's nor RoBERTa's. Choose the tokenizer of such a \
             model; if this one is BERT's, write \"tokenizer_class\": \"BertTokenizer\" into tokenizer_config.json.",
            files.path(MODEL_CONFIG).display()
        ))),
        _ => Ok(Class::Bert),
    }
}

/// The class's name, or another value as it is written; `None` for none.
fn given(class: Option<&Value>) -> Option<String> {
    match class {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(other) => Some(other.to_string()),
    }
}

fn of_name(files: &Files, file: &str, name: &str) -> Result<Class> {
    if FAST_CLASSES.contains(&name) {
        return match files.get(JSON) {
            Some(_) => Ok(Class::Fast),
            None => Err(Error::data(format!(
                "{}: tokenizer_class is {name:?}, which reads {JSON}, and that is not in {}. Copy it from the model's \
                 repository.",
                files.path(file).display(),
                files.dir().display()
            ))),
        };
    }
    match name.strip_suffix("Fast").unwrap_or(name) {
        "DistilBertTokenizer" => Ok(Class::DistilBert),
        "RobertaTokenizer" => Ok(Class::Roberta),
        name if BERT_CLASSES.contains(&name) => Ok(Class::Bert),
        _ => Err(refused(
            files,
            file,
            name,
            "Choose a model whose tokenizer_class is BertTokenizer, DistilBertTokenizer or RobertaTokenizer.",
        )),
    }
}

fn refused(files: &Files, file: &str, name: &str, remedy: &str) -> Error {
    Error::data(format!(
        "{}: tokenizer_class is {name:?}, and only BERT's and RoBERTa's tokenizers are supported here. {remedy}",
        files.path(file).display()
    ))
}
