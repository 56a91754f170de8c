//! RoBERTa's byte-level BPE, as transformers' `RobertaTokenizer` builds it from vocabulary and merges.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;
use tokenizers::models::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::build::kind;
use super::files::{BPE_VOCAB, Files, JSON, MERGES};
use super::settings::Settings;
use crate::error::{Error, Result};

/// What counts of `tokenizer.json`.
#[derive(Deserialize)]
struct Json {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// Two tokens, with a space between them in files of older versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

type Parts = (HashMap<String, u32>, Vec<(String, String)>);

/// # Errors
/// `Error::Data` naming the file: missing, damaged, or of another kind of tokenizer.
pub(super) fn byte_level(
    files: &Files,
    settings: &Settings,
    parsed: Option<&tokenizers::Tokenizer>,
) -> Result<tokenizers::Tokenizer> {
    let (name, (vocab, merges)) = match parsed.map(|tokenizer| tokenizer.get_model()) {
        Some(ModelWrapper::BPE(_)) => (JSON, of_json(files)?),
        Some(other) => {
            return Err(Error::data(format!(
                "{}: model.type is {:?}, and RoBERTa's tokenizer is byte-level BPE. Choose a RoBERTa model; if the tokenizer \
                 is BERT's, write \"tokenizer_class\": \"BertTokenizer\" into tokenizer_config.json.",
                files.path(JSON).display(),
                kind(other)
            )));
        }
        None => (BPE_VOCAB, of_two_files(files)?),
    };
    if vocab.is_empty() {
        return Err(files.damaged(name, "its vocabulary is empty"));
    }
    let model = json!({
        "type": "BPE", "vocab": vocab, "merges": merges, "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
    });
    let model: BPE =
        serde_json::from_str(&model.to_string()).map_err(|error| files.damaged(name, &error.to_string()))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(settings.prefix_space, true, true)));
    Ok(tokenizer)
}

fn of_json(files: &Files) -> Result<Parts> {
    let bytes = files.get(JSON).unwrap_or_default();
    let Json { model } =
        serde_json::from_slice(bytes).map_err(|error| files.damaged(JSON, &error.to_string()))?;
    let merges = model.merges.into_iter().map(|merge| match merge {
        Merge::Pair(first, second) => Some((first, second)),
        Merge::Text(text) => pair(&text),
    });
    let merges = merges.collect::<Option<_>>();
    Ok((model.vocab, merges.ok_or_else(|| files.damaged(JSON, "a merge is not of two tokens"))?))
}

fn of_two_files(files: &Files) -> Result<Parts> {
    let bytes = files.get(BPE_VOCAB).unwrap_or_default();
    let vocab =
        serde_json::from_slice(bytes).map_err(|error| files.damaged(BPE_VOCAB, &error.to_string()))?;
    let Some(bytes) = files.get(MERGES) else {
        return Err(Error::data(format!(
            "{}: {BPE_VOCAB} is there without {MERGES}, which the tokenizer needs too. Copy it from the model's repository.",
            files.dir().display()
        )));
    };
    let text = std::str::from_utf8(bytes).map_err(|error| files.damaged(MERGES, &error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    let merge = |(number, line): (usize, &str)| {
        pair(line).ok_or_else(|| files.damaged(MERGES, &format!("line {} is not of two tokens", number + 1)))
    };
    Ok((vocab, lines.map(merge).collect::<Result<_>>()?))
}

fn pair(text: &str) -> Option<(String, String)> {
    let (first, second) = text.split_once(' ')?;
    (!second.contains(' ')).then(|| (first.to_owned(), second.to_owned()))
}
