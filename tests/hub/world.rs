//! A hub, the host that keeps its large files, and an empty cache.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use lottery::{
    error::Result,
    hub::{HubSettings, ModelFolder, Network, Token, resolve_model_with},
};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::server::{Reply, Request, Server, TOKEN};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const MODEL: &str = "owner/name";
pub const REPO: &str = "hub/models--owner--name";

/// The hub has no tokenizer.json.
pub const SMALL: [(&str, &str); 5] = [
    ("config.json", "{\"model_type\": \"bert\"}\n"),
    ("vocab.txt", "[PAD]\n[UNK]\n"),
    ("tokenizer_config.json", "{}\n"),
    ("added_tokens.json", "{\"[X]\": 2}\n"),
    ("special_tokens_map.json", ""),
];

pub fn weights() -> Vec<u8> {
    (0..300_000_u32).map(|nth| (nth % 251) as u8).collect()
}

pub fn git_hash(content: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", content.len())).chain_update(content).finalize())
}

pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All of it, or what is asked for by `Range`.
pub fn content(request: &Request, content: &[u8]) -> Reply {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match range.map(|start| start.parse::<usize>().unwrap()) {
        None => Reply::new("200 OK").body(content),
        Some(start) if start >= content.len() => Reply::new("416 Range Not Satisfiable"),
        Some(start) => Reply::new("206 Partial Content")
            .with("Content-Range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
            .body(&content[start..]),
    }
}

/// As huggingface.co answers: small files itself, large ones by a redirect to `cdn`.
pub fn usual(request: &Request, cdn: &str) -> Reply {
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Reply::new("401 Unauthorized");
    }
    let known = ["main", COMMIT].map(|revision| format!("/{MODEL}/resolve/{revision}/"));
    let Some(file) = known.iter().find_map(|prefix| request.path.strip_prefix(prefix.as_str())) else {
        return Reply::new("404 Not Found").with("X-Error-Code", "RepoNotFound");
    };
    if file == "model.safetensors" {
        return Reply::new("302 Found")
            .with("Location", format!("{cdn}/blobs/model.safetensors?signature=abc"))
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-ETag", format!("\"{}\"", sha256(&weights())))
            .with("X-Linked-Size", weights().len())
            .with("ETag", "\"of-the-pointer\"");
    }
    match SMALL.iter().find(|(name, _)| *name == file) {
        Some((_, text)) => content(request, text.as_bytes())
            .with("X-Repo-Commit", COMMIT)
            .with("ETag", format!("\"{}\"", git_hash(text.as_bytes()))),
        None => Reply::new("404 Not Found").with("X-Error-Code", "EntryNotFound"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    Hub,
    Cdn,
}

/// A request, and what would be answered.
pub struct Ask<'a> {
    pub host: Host,
    pub request: &'a Request,
    /// How many requests of this method and path came before.
    pub nth: usize,
    pub usual: Reply,
    /// The addresses of the two hosts.
    pub hub: &'a str,
    pub cdn: &'a str,
}

impl Ask<'_> {
    /// Whether the hub is asked for this file.
    pub fn hub(&self, method: &str, file: &str) -> bool {
        self.host == Host::Hub && self.request.is(method, file)
    }

    /// Whether the other host is asked for the weights.
    pub fn cdn(&self) -> bool {
        self.host == Host::Cdn && self.request.is("GET", "model.safetensors")
    }
}

pub struct World {
    pub home: TempDir,
    pub hub: Server,
    pub cdn: Server,
    pub settings: HubSettings,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl World {
    pub fn usual() -> Self {
        Self::new(|_| None)
    }

    /// What `twist` answers stands in the place of the usual.
    pub fn new(twist: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let twist = Arc::new(twist);
        let urls = Arc::new([const { OnceLock::<String>::new() }; 2]);
        let start = |host: Host| {
            let (twist, urls, seen) = (Arc::clone(&twist), Arc::clone(&urls), Mutex::new(BTreeMap::new()));
            Server::start(move |request| {
                let key = format!("{} {}", request.method, request.path);
                let nth = {
                    let mut seen = seen.lock().unwrap();
                    let count = seen.entry(key).or_insert(0);
                    *count += 1;
                    *count - 1
                };
                let [hub, cdn] = [urls[0].wait().as_str(), urls[1].wait().as_str()];
                let usual = match host {
                    Host::Hub => usual(request, cdn),
                    Host::Cdn => content(request, &weights()).with("ETag", "\"of-the-cdn\""),
                };
                let ask = Ask { host, request, nth, usual, hub, cdn };
                twist(&ask).unwrap_or(ask.usual)
            })
        };
        let (hub, cdn) = (start(Host::Hub), start(Host::Cdn));
        urls[0].set(hub.url.clone()).unwrap();
        urls[1].set(cdn.url.clone()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pauses);
        let network = Network {
            read_timeout: Duration::from_secs(20),
            pause: Arc::new(move |pause| kept.lock().unwrap().push(pause)),
            proxy: false,
            ..Network::default()
        };
        let settings = HubSettings {
            cache: Some(home.path().join("hub")),
            endpoint: hub.url.clone(),
            offline: false,
            token: Token::parse(TOKEN, "HF_TOKEN"),
            network,
        };
        Self { home, hub, cdn, settings, pauses }
    }

    pub fn resolve(&self) -> Result<ModelFolder> {
        self.resolve_named(MODEL)
    }

    pub fn resolve_named(&self, model: &str) -> Result<ModelFolder> {
        resolve_model_with(model, &self.settings).inspect_err(|error| {
            let error = error.to_string();
            assert!(!error.contains(TOKEN) && !error.contains("signature"), "{error}");
        })
    }

    /// Everything is fetched as the hub has it.
    pub fn succeed(&self) {
        let found = self.resolve().unwrap();
        for (file, text) in SMALL {
            assert_eq!(fs::read_to_string(found.dir.join(file)).unwrap(), text, "{file}");
        }
        assert!(fs::read(found.dir.join("model.safetensors")).unwrap() == weights());
        assert!(!self.files().iter().any(|file| file.contains("incomplete") || file.contains("tmp")));
    }

    /// It ends with an error that has these words, and no snapshot.
    pub fn fail(&self, words: &[&str]) -> String {
        let error = self.resolve().unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let error = error.to_string();
        for word in words {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert!(!self.home.path().join(REPO).join("snapshots").exists(), "{error}");
        error
    }

    pub fn pauses(&self) -> Vec<u64> {
        self.pauses.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    /// All files and links below the home, by their paths.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        walk(self.home.path(), self.home.path(), &mut files);
        files.sort();
        files
    }

    /// Where the file of this content is, and its beginning before it is complete.
    pub fn blob(&self, etag: &str) -> [PathBuf; 2] {
        let blobs = self.home.path().join(REPO).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        [blobs.join(etag), blobs.join(format!("{etag}.incomplete"))]
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => walk(root, &entry.path(), files),
            false => files.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
        }
    }
}

impl Drop for World {
    /// In every test: the token stays with the hub.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            for request in self.cdn.requests() {
                assert!(
                    !request.has_token() && request.header("authorization").is_none(),
                    "{}",
                    request.head
                );
            }
        }
    }
}
