//! Resolving `--model` to a folder with the model's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    HubSettings, Token,
    cache::RepoCache,
    client::Client,
    failure::{Failure, FailureKind},
    fetch::Fetch,
    name::{MODEL, Repo},
};
use crate::error::{Error, Result, dangling};

/// A folder with `config.json`, `model.safetensors` and the tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    pub dir: PathBuf,
    /// For display: the folder's name, or the hub's `owner/name[@revision]`.
    pub name: String,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
/// The index of a model that is saved in several files.
const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
const REQUIRED: [&str; 2] = [CONFIG, WEIGHTS];
/// One of them is enough; the first carries everything.
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// Optional files that affect the tokenizer.
const TOKENIZER_EXTRAS: [&str; 3] = ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"];

/// A limit for configurations and vocabularies.
const MAX_TEXT: u64 = 256 << 20;
/// A limit for weights, the hub's own for a single file.
const MAX_WEIGHTS: u64 = 50_000_000_000;

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
        return Ok(Some(ModelFolder { dir: path.to_owned(), name: folder_name(path) }));
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
        Error::data(format!(
            "there is no model folder {model}. Give --model an existing folder, or a name on the Hugging Face hub \
             written owner/name or owner/name@revision, such as google-bert/bert-base-uncased."
        ))
    })?;
    let Some(cache_dir) = &hub.cache else {
        return Err(Error::data(
            "there is no folder for the Hugging Face cache. Set HF_HOME to one, or give --model a local folder.",
        ));
    };
    let cache = RepoCache::new(cache_dir, &repo);
    if let Some(dir) = cache.known_snapshot(repo.revision).filter(|dir| is_complete(dir)) {
        return Ok(ModelFolder { dir, name: model.to_owned() });
    }
    let model_on_hub = HubModel { repo, hub, cache_dir };
    if hub.offline {
        return Err(model_on_hub.unreachable("HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set"));
    }
    Ok(ModelFolder { dir: model_on_hub.fetch(cache)?, name: model.to_owned() })
}

fn is_complete(dir: &Path) -> bool {
    let has = |file: &str| dir.join(file).is_file();
    REQUIRED.into_iter().all(has) && TOKENIZERS.into_iter().any(has)
}

fn folder_name(path: &Path) -> String {
    let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}

/// A model that is not complete in the cache.
struct HubModel<'a> {
    repo: Repo<'a>,
    hub: &'a HubSettings,
    cache_dir: &'a Path,
}

impl HubModel<'_> {
    /// Downloads all files. Returns the snapshot's folder.
    fn fetch(&self, cache: RepoCache) -> Result<PathBuf> {
        let Self { repo, hub, .. } = self;
        let token = hub.token.as_ref().map(Token::header).transpose()?;
        let client = Client::new(&hub.endpoint, token, &hub.network);
        let client = client.map_err(|failure| self.unreachable(&failure.to_string()))?;
        let mut fetch = Fetch::new(client, *repo, cache);
        let mut get = |file, limit| fetch.get(file, limit).map_err(|failure| self.failed(file, &failure));

        if !get(CONFIG, MAX_TEXT)? {
            return Err(self.without(CONFIG));
        }
        let mut tokenizers = 0;
        for file in TOKENIZERS {
            tokenizers += usize::from(get(file, MAX_TEXT)?);
        }
        if tokenizers == 0 {
            return Err(self.without("tokenizer.json or vocab.txt"));
        }
        for file in TOKENIZER_EXTRAS {
            get(file, MAX_TEXT)?;
        }
        // Last, since they take longest.
        if !get(WEIGHTS, MAX_WEIGHTS)? {
            let sharded = fetch.has(WEIGHTS_INDEX).map_err(|failure| self.failed(WEIGHTS_INDEX, &failure))?;
            return Err(if sharded { self.sharded() } else { self.without(WEIGHTS) });
        }
        fetch.finish().map_err(|failure| self.unreachable(&failure.to_string()))
    }

    fn failed(&self, file: &str, failure: &Failure) -> Error {
        match failure.kind {
            FailureKind::Denied => Error::data(format!(
                "{} denies access to {}: {failure}, for {file}. Check the spelling; for a private or gated model, set \
                 HF_TOKEN to a token that may read it.",
                self.hub.endpoint, self.repo.id
            )),
            _ => self.unreachable(&format!("{file}: {failure}")),
        }
    }

    fn sharded(&self) -> Error {
        let Repo { id, revision, .. } = self.repo;
        Error::data(format!(
            "{} has the weights of {id} at revision {revision} in several files ({WEIGHTS_INDEX}), and only a single \
             {WEIGHTS} can be read. Save the model as one file (save_pretrained of transformers with a \
             max_shard_size above its size) and give that folder as --model.",
            self.hub.endpoint
        ))
    }

    fn without(&self, file: &str) -> Error {
        Error::data(format!(
            "{} has no file {file} for {} at revision {}. Check the name and the revision; a model that only has \
             pytorch_model.bin must be saved as safetensors first, for example with save_pretrained of transformers.",
            self.hub.endpoint, self.repo.id, self.repo.revision
        ))
    }

    fn unreachable(&self, why: &str) -> Error {
        let Repo { id, revision, .. } = self.repo;
        Error::data(format!(
            "the model {id} (revision {revision}) is not complete in the cache {} and cannot be downloaded: {why}. \
             On a machine with network access, run `hf download {id} --revision {revision} --local-dir DIR`, copy DIR here \
             and give it as --model DIR; or copy that machine's cache and set HF_HOME to it.",
            self.cache_dir.display()
        ))
    }
}

#[cfg(test)]
mod tests;
