//! Resolving `--model` to a folder with the model's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    HubSettings, Snapshot,
    fetch::Fetch,
    name::{MODEL, Repo},
    repository::Repository,
    weights,
};
use crate::error::{Error, Result, dangling};

/// A folder with `config.json`, the weights and the tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    pub dir: PathBuf,
    /// For display: the folder's name, or the hub's `owner/name`, with the revision unless that is a commit.
    pub name: String,
    /// The commit on the hub.
    pub revision: Option<String>,
}

const CONFIG: &str = "config.json";
/// One of them is enough; the first carries everything.
const TOKENIZERS: [&str; 3] = ["tokenizer.json", "vocab.txt", "vocab.json"];
/// Optional files that affect the tokenizer; the first belongs to `vocab.json`.
const TOKENIZER_EXTRAS: [&str; 4] =
    ["merges.txt", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"];

/// A limit for configurations and vocabularies.
const MAX_TEXT: u64 = 256 << 20;

/// Resolves a model: an existing folder, otherwise `owner/name[@revision]` in the hub's cache, otherwise downloaded.
///
/// # Errors
/// Data: no such folder, an invalid name for the hub, files that are neither cached nor can be downloaded.
pub fn resolve_model(model: &str) -> Result<ModelFolder> {
    match local(model)? {
        Some(folder) => Ok(folder),
        None => on_hub(model, &HubSettings::from_env()),
    }
}

/// Whether this is not a local path, but a valid name for the hub.
pub fn is_on_hub(model: &str) -> bool {
    !Path::new(model).exists() && Repo::parse(MODEL, model).is_some()
}

/// [`resolve_model`] with a hub of the caller's choice.
pub fn resolve_model_with(model: &str, hub: &HubSettings) -> Result<ModelFolder> {
    match local(model)? {
        Some(folder) => Ok(folder),
        None => on_hub(model, hub),
    }
}

/// An existing folder.
fn local(model: &str) -> Result<Option<ModelFolder>> {
    let path = Path::new(model);
    if path.is_dir() {
        return Ok(Some(ModelFolder { dir: path.to_owned(), name: folder_name(path), revision: None }));
    }
    if path.exists() {
        return Err(Error::data(format!(
            "the model {model} is a file. Give --model the folder that holds it, with config.json beside it."
        )));
    }
    if let Some(link) = dangling(path) {
        return Err(Error::data(format!(
            "there is no model folder {model}: {link}. Fix the link, or give --model another folder."
        )));
    }
    Ok(None)
}

/// Resolves a model in the cache, downloading it if need be.
fn on_hub(model: &str, hub: &HubSettings) -> Result<ModelFolder> {
    let repo = Repo::parse(MODEL, model).ok_or_else(|| {
        let meant = owner(model).map(|owner| format!("Did you mean {owner}/{model}, on the Hugging Face hub? Otherwise give"));
        Error::data(format!(
            "there is no model folder {model}. {} --model an existing folder, or a name on the Hugging Face hub written \
             owner/name or owner/name@revision, such as google-bert/bert-base-uncased.",
            meant.as_deref().unwrap_or("Give")
        ))
    })?;
    let repository = Repository::new(repo, hub)?;
    let Snapshot { dir, commit } = repository.resolve(is_complete, |fetch| download(fetch, &repository))?;
    let name = if repo.revision == commit { repo.id } else { model };
    Ok(ModelFolder { dir, name: name.to_owned(), revision: Some(commit) })
}

/// Who has the model that is known by this name alone: the hub's names once had no owners.
fn owner(name: &str) -> Option<&'static str> {
    const OWNERS: [(&str, &str); 8] = [
        ("bert-base-", "google-bert"),
        ("bert-large-", "google-bert"),
        ("roberta-", "FacebookAI"),
        ("xlm-roberta-", "FacebookAI"),
        ("distilbert-", "distilbert"),
        ("distilroberta-", "distilbert"),
        ("all-MiniLM-", "sentence-transformers"),
        ("all-mpnet-", "sentence-transformers"),
    ];
    OWNERS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, owner)| *owner)
}

/// Downloads all files.
fn download<'a>(fetch: &mut Fetch<'a>, repository: &Repository<'a>) -> Result<()> {
    let mut get =
        |file: &str, limit| fetch.get(file, limit).map_err(|failure| repository.failed(file, &failure));
    if !get(CONFIG, MAX_TEXT)? {
        return Err(repository.without(CONFIG, REMEDY));
    }
    let mut tokenizers = 0;
    for file in TOKENIZERS {
        tokenizers += usize::from(get(file, MAX_TEXT)?);
    }
    if tokenizers == 0 {
        return Err(repository.without("tokenizer.json, vocab.txt or vocab.json", REMEDY));
    }
    for file in TOKENIZER_EXTRAS {
        get(file, MAX_TEXT)?;
    }
    // Last, since they take longest.
    match weights::download(fetch, |file, failure| repository.failed(file, failure))? {
        true => Ok(()),
        false => Err(repository.without("model.safetensors or pytorch_model.bin", REMEDY)),
    }
}

const REMEDY: &str = "Check the name and the revision; a model for TensorFlow or Flax alone must be saved as safetensors \
                      first, for example with save_pretrained of transformers.";

fn is_complete(dir: &Path) -> bool {
    let has = |file: &str| dir.join(file).is_file();
    has(CONFIG) && weights::are_complete(dir) && TOKENIZERS.into_iter().any(has)
}

fn folder_name(path: &Path) -> String {
    let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
