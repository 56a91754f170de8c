//! From what `--model` says to a folder with the model's files.

use std::{
    env, fs,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{ApiBuilder, ApiError, ApiRepo},
};

use crate::error::{Error, Result, dangling};

/// A folder with `config.json`, `model.safetensors` and the tokenizer's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFolder {
    pub dir: PathBuf,
    /// For people: the folder's own name, or the hub's `owner/name[@revision]`.
    pub name: String,
}

/// Where the hub is, and where its files are kept.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// The cache folder `hub`; `None` where neither `HF_HOME` nor a home folder is known.
    pub cache: Option<PathBuf>,
    pub endpoint: String,
    /// Touch no network.
    pub offline: bool,
    pub token: Option<String>,
}

const REQUIRED: [&str; 2] = ["config.json", "model.safetensors"];
/// One of them is enough; the first carries everything.
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

impl HubSettings {
    /// From `HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HF_TOKEN`.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| env::var(name).ok(), env::home_dir())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>, home: Option<PathBuf>) -> Self {
        let given =
            |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let hf_home = given("HF_HOME").map(PathBuf::from);
        let hf_home = hf_home.or_else(|| home.map(|home| home.join(".cache/huggingface")));
        let endpoint = given("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = given("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on"));
        Self {
            cache: hf_home.map(|hf_home| hf_home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            offline,
            token: given("HF_TOKEN"),
        }
    }
}

/// Finds the model: an existing folder as it is, else `owner/name[@revision]` in the hub's cache, else from the hub.
///
/// Data errors: no such folder, a name that the hub cannot have, files that can neither be found nor fetched.
pub fn resolve_model(model: &str) -> Result<ModelFolder> {
    resolve_model_with(model, &HubSettings::from_env())
}

/// Whether this is no place here, but a name that the hub may have.
pub fn is_on_hub(model: &str) -> bool {
    !Path::new(model).exists() && HubName::parse(model).is_some()
}

/// [`resolve_model`] with a hub of the caller's choice.
pub fn resolve_model_with(model: &str, hub: &HubSettings) -> Result<ModelFolder> {
    let path = Path::new(model);
    if path.is_dir() {
        return Ok(ModelFolder { dir: path.to_owned(), name: folder_name(path) });
    }
    if path.exists() {
        return Err(Error::data(format!(
            "the model {model} is a file. Give --model the folder that holds it, with config.json beside it."
        )));
    }
    if let Some(link) = dangling(path) {
        return Err(Error::data(format!(
            "there is no model folder {model}: {link}. Mend the link, or give --model another folder."
        )));
    }
    let name = HubName::parse(model).ok_or_else(|| {
        Error::data(format!(
            "there is no model folder {model}. Give --model an existing folder, or a name on the Hugging Face hub \
             written owner/name or owner/name@revision, such as google-bert/bert-base-uncased."
        ))
    })?;
    let Some(cache_dir) = &hub.cache else {
        return Err(Error::data(
            "there is no place for the Hugging Face cache. Set HF_HOME to a folder, or give --model a folder.",
        ));
    };
    let cache = Cache::new(cache_dir.clone());
    if let Some(dir) = name.cached(&cache) {
        return Ok(ModelFolder { dir, name: model.to_owned() });
    }
    if hub.offline {
        return Err(name.unreachable(cache_dir, "HF_HUB_OFFLINE is set"));
    }
    Ok(ModelFolder { dir: name.fetch(cache, hub)?, name: model.to_owned() })
}

fn folder_name(path: &Path) -> String {
    let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}

struct HubName<'a> {
    /// `owner/name`
    id: &'a str,
    revision: &'a str,
}

impl<'a> HubName<'a> {
    /// `None` for what the hub's rules exclude. `..`, `.` and absolute paths are among it, so that no name leads out
    /// of the cache.
    fn parse(model: &'a str) -> Option<Self> {
        let (id, revision) = model.split_once('@').unwrap_or((model, "main"));
        let (owner, name) = id.split_once('/')?;
        let plain = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
                && !part.contains("..")
                && !part.contains("--")
        };
        let valid = plain(owner) && plain(name) && revision.split('/').all(plain);
        valid.then_some(Self { id, revision })
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.id.to_owned(), RepoType::Model, self.revision.to_owned())
    }

    /// The snapshot folder, when the cache has every file that is needed. A revision is a branch or tag, kept in
    /// `refs/`, or a commit, whose snapshot has its name.
    fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        let repo = cache.repo(self.repo());
        let reference = cache.path().join(self.repo().folder_name()).join("refs").join(self.revision);
        let commit = fs::read_to_string(reference).ok().map(|commit| commit.trim().to_owned());
        let commit = commit.unwrap_or_else(|| self.revision.to_owned());
        if commit.is_empty() || !commit.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return None;
        }
        let dir = repo.pointer_path(&commit);
        let has = |file: &str| dir.join(file).is_file();
        (REQUIRED.iter().all(|file| has(file)) && TOKENIZERS.iter().any(|file| has(file))).then_some(dir)
    }

    fn fetch(&self, cache: Cache, hub: &HubSettings) -> Result<PathBuf> {
        let cache_dir = cache.path().clone();
        let token = hub.token.clone().or_else(|| cache.token());
        let api = ApiBuilder::from_cache(cache)
            .with_endpoint(hub.endpoint.clone())
            .with_token(token)
            .with_progress(std::io::stderr().is_terminal())
            .build()
            .map_err(|error| self.unreachable(&cache_dir, &error.to_string()))?;
        let api = api.repo(self.repo());
        let get = |file: &str| self.get(&api, file, &hub.endpoint, &cache_dir);

        let mut snapshots = Vec::new();
        for file in REQUIRED {
            snapshots.push(get(file)?.ok_or_else(|| self.without(file, &hub.endpoint))?);
        }
        let mut tokenizers = Vec::new();
        for file in TOKENIZERS {
            tokenizers.extend(get(file)?);
        }
        if tokenizers.is_empty() {
            return Err(self.without("tokenizer.json or vocab.txt", &hub.endpoint));
        }
        snapshots.append(&mut tokenizers);
        snapshots.extend(get(TOKENIZER_CONFIG)?);

        let dir = snapshots.swap_remove(0);
        if snapshots.iter().any(|other| *other != dir) {
            return Err(Error::data(format!(
                "{} changed on the hub while it was fetched. Run the same command again.",
                self.id
            )));
        }
        Ok(dir)
    }

    /// The snapshot folder that now has this file; `None` where the hub has no such file.
    fn get(&self, api: &ApiRepo, file: &str, endpoint: &str, cache_dir: &Path) -> Result<Option<PathBuf>> {
        match api.get(file) {
            Ok(path) => Ok(path.parent().map(Path::to_owned)),
            Err(error) if has_status(&error, 404) => Ok(None),
            Err(error) if has_status(&error, 401) || has_status(&error, 403) => Err(Error::data(format!(
                "{endpoint} does not hand out {}: {error}. Check the spelling; for a private or gated model set \
                 HF_TOKEN to a token that may read it.",
                self.id
            ))),
            Err(error) => Err(self.unreachable(cache_dir, &format!("{file} from {endpoint}: {error}"))),
        }
    }

    fn without(&self, file: &str, endpoint: &str) -> Error {
        Error::data(format!(
            "{endpoint} has no file {file} for {} at revision {}. Check the name and the revision; a model with \
             pytorch_model.bin alone has to be saved as safetensors first (save_pretrained of transformers does).",
            self.id, self.revision
        ))
    }

    fn unreachable(&self, cache_dir: &Path, why: &str) -> Error {
        let Self { id, revision, .. } = self;
        Error::data(format!(
            "the model {id} (revision {revision}) is not complete in the cache {} and cannot be fetched: {why}. \
             On a machine with a network run `hf download {id} --revision {revision} --local-dir DIR`, copy DIR here \
             and give it as --model DIR; or copy that machine's cache and set HF_HOME to it.",
            cache_dir.display()
        ))
    }
}

/// The HTTP client's error type is not exported by hf-hub; its text is the only way to the status.
fn has_status(error: &ApiError, status: u16) -> bool {
    matches!(error, ApiError::RequestError(error) if error.to_string().ends_with(&format!("status: {status}")))
}

#[cfg(test)]
mod tests;
