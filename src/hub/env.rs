//! Settings from the environment, read as `constants.py` of huggingface_hub reads them.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Network, Token};

/// The hub's address, access and cache.
#[derive(Clone, Debug)]
pub struct HubSettings {
    /// The cache folder; `None` if neither a variable nor a home folder determines one.
    pub cache: Option<PathBuf>,
    pub endpoint: String,
    /// Whether to avoid the network.
    pub offline: bool,
    pub token: Option<Token>,
    pub network: Network,
}

impl HubSettings {
    /// From `HF_HOME`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `XDG_CACHE_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`,
    /// `TRANSFORMERS_OFFLINE`, `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, `HF_TOKEN_PATH`, the token file and
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| env::var_os(name), env::home_dir())
    }

    /// [`from_env`](Self::from_env), without the network whatever the environment says.
    pub fn cache_only() -> Self {
        Self { offline: true, ..Self::from_env() }
    }

    /// [`from_env`](Self::from_env) with another environment. An empty variable counts as unset.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let variables = Variables { lookup, home };
        let hf_home = variables.hf_home();
        let endpoint = variables.text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        // The second variable is ignored if the first has a value, even 0.
        let offline = variables.text("HF_HUB_OFFLINE").or_else(|| variables.text("TRANSFORMERS_OFFLINE"));
        Self {
            cache: (variables.path("HF_HUB_CACHE"))
                .or_else(|| variables.path("HUGGINGFACE_HUB_CACHE"))
                .or_else(|| hf_home.as_deref().map(|hf_home| variables.below(hf_home, "hub"))),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            offline: offline.is_some_and(|value| is_true(&value)),
            token: variables.token(hf_home.as_deref()),
            network: Network::default(),
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

struct Variables<F> {
    lookup: F,
    home: Option<PathBuf>,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn given(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// Invalid Unicode is kept recognisable as such.
    fn text(&self, name: &str) -> Option<String> {
        let value = self.given(name)?;
        Some(value.to_string_lossy().trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.given(name)?;
        Some(match value.to_str() {
            Some(text) => self.expanded(text),
            None => PathBuf::from(value),
        })
    }

    fn hf_home(&self) -> Option<PathBuf> {
        let caches = || match self.path("XDG_CACHE_HOME") {
            Some(caches) => Some(caches),
            None => self.home.as_ref().map(|home| home.join(".cache")),
        };
        self.path("HF_HOME").or_else(|| caches().map(|caches| caches.join("huggingface")))
    }

    /// Python's module expands paths below `HF_HOME` again, including variables in the values of variables.
    fn below(&self, hf_home: &Path, name: &str) -> PathBuf {
        let path = hf_home.join(name);
        path.to_str().map(|text| self.expanded(text)).unwrap_or(path)
    }

    fn token(&self, hf_home: Option<&Path>) -> Option<Token> {
        if self.text("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value)) {
            return None;
        }
        let of_variable = |name: &str| Some((self.given(name)?, name.to_owned()));
        let given = of_variable("HF_TOKEN").or_else(|| of_variable("HUGGING_FACE_HUB_TOKEN"));
        given.and_then(|(value, name)| Token::parse(&value.to_string_lossy(), &name)).or_else(|| {
            let path =
                self.path("HF_TOKEN_PATH").or_else(|| hf_home.map(|hf_home| self.below(hf_home, "token")));
            Token::read(&path?)
        })
    }

    /// Expands a leading `~`, and `$NAME` and `${NAME}` of variables that are set.
    fn expanded(&self, text: &str) -> PathBuf {
        match (&self.home, text.strip_prefix('~')) {
            (Some(home), Some("")) => home.clone(),
            (Some(home), Some(rest)) if rest.starts_with('/') => {
                home.join(self.with_variables(rest).trim_start_matches('/'))
            }
            _ => PathBuf::from(self.with_variables(text)),
        }
    }

    fn with_variables(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let (name, length) = match rest[1..].strip_prefix('{').map(|braced| braced.find('}')) {
                Some(Some(end)) => (&rest[2..2 + end], end + 3),
                Some(None) => ("", 1),
                None => {
                    let end = rest[1..].find(|letter| !of_word(letter)).unwrap_or(rest.len() - 1);
                    (&rest[1..=end], end + 1)
                }
            };
            match (!name.is_empty()).then(|| (self.lookup)(name)).flatten() {
                Some(value) => out.push_str(&value.to_string_lossy()),
                None => out.push_str(&rest[..length]),
            }
            rest = &rest[length..];
        }
        out + rest
    }
}

#[cfg(test)]
mod tests;
