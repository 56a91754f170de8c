//! Hashes of the models, data and tickets that runs read, without loading them. Two folders with the same name, or one
//! path whose file changed, are different models.

use super::{
    data_folder::data_folder,
    graph::Node,
    identity::Hashes,
    inputs::Place,
    protocol,
    stage::{Known, Outcomes},
    ticket_file::TicketFile,
    workload,
};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig},
    error::Result,
    hub::{HubSettings, resolve_model_with},
    model::{BertConfig, storage, tiny},
    store::{StageId, Store, hashes::Stamp},
    task::TaskId,
    text::Tokenizer,
};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// The contents of a model's folder.
#[derive(Clone, Debug)]
pub struct ModelContent {
    /// SHA-256 of the weights' file.
    pub sha256: String,
    config: BertConfig,
    tokenizer: String,
}

/// Task, and where its data are.
type DataOf = (TaskId, Place);

/// The ids of the stages of a run that read no other stage, by their names in the record.
pub type Roots = BTreeMap<&'static str, StageId>;

/// The contents of runs' models, data and tickets, each read once until the next [`refresh`](Self::refresh). What is missing or
/// unreadable, or on the hub and not in its cache, has none; the network is not used.
#[derive(Debug)]
pub struct Contents {
    /// The directory that relative paths in the runs' settings start from.
    directory: PathBuf,
    /// Caches the files' hashes.
    store: Store,
    models: HashMap<String, Option<ModelContent>>,
    data: HashMap<DataOf, Option<BTreeMap<String, String>>>,
    /// Hashes of ticket files.
    tickets: HashMap<String, Option<String>>,
    /// Models read so far, with the state of their folders; valid while that is unchanged.
    folders: HashMap<PathBuf, (Vec<FileState>, ModelContent)>,
}

/// A file's path, and its size and times.
type FileState = (PathBuf, Stamp);

impl Contents {
    pub fn new(directory: &Path, store: &Store) -> Self {
        Self {
            directory: directory.to_owned(),
            store: store.clone(),
            models: HashMap::new(),
            data: HashMap::new(),
            tickets: HashMap::new(),
            folders: HashMap::new(),
        }
    }

    /// Discards what was read: files may have changed since.
    pub fn refresh(&mut self) {
        self.models.clear();
        self.data.clear();
        self.tickets.clear();
    }

    /// Reads the model, data and ticket of a run with these settings, unless they were read before.
    pub fn read(&mut self, config: &ExperimentConfig) {
        if !self.models.contains_key(&config.model) {
            let content = self.model_content(&config.model);
            self.models.insert(config.model.clone(), content);
        }
        let key = data_of(config);
        if !self.data.contains_key(&key) {
            let content = self.data_content(config).ok();
            self.data.insert(key, content);
        }
        if let Some(path) = &config.ticket
            && !self.tickets.contains_key(path)
        {
            let file = TicketFile::read(&self.directory.join(path)).ok();
            self.tickets.insert(path.clone(), file.map(|file| file.hash));
        }
    }

    /// The run's [`Roots`], by the contents of its model, data and ticket; `None` if one of them has none or was not
    /// [`read`](Self::read).
    pub fn roots(&self, config: &ExperimentConfig) -> Option<Roots> {
        let model = self.model(&config.model)?;
        let data = self.data.get(&data_of(config))?.as_ref()?;
        let hashes = Hashes {
            weights: &model.sha256,
            model: &model.config,
            tokenizer: &model.tokenizer,
            data,
            ticket: config.ticket.as_ref().and_then(|path| self.tickets.get(path)?.as_deref()),
            source: None,
            partners: &[],
            finetuned: None,
        };
        let graph = protocol::graph(config).ok()?;
        let nothing = Outcomes::new();
        let known = Known::of(hashes, &nothing);
        let roots = graph.nodes().iter().filter(|node| node.stage.reads().is_empty());
        let id = |node: &Node| {
            let identity = node.stage.identity(&known).ok()?;
            // What tasks share depends on the others' tickets.
            Some(identity.map(|identity| (node.name, identity.id())))
        };
        let all: Option<Vec<_>> = roots.map(id).collect();
        Some(all?.into_iter().flatten().collect())
    }

    /// [`read`](Self::read) and [`roots`](Self::roots).
    pub fn look_up(&mut self, config: &ExperimentConfig) -> Option<Roots> {
        self.read(config);
        self.roots(config)
    }

    pub fn model(&self, name: &str) -> Option<&ModelContent> {
        self.models.get(name)?.as_ref()
    }

    fn model_content(&mut self, name: &str) -> Option<ModelContent> {
        let dir = self.model_folder(name).ok()?;
        let state = folder_state(&dir)?;
        if let Some((then, content)) = self.folders.get(&dir)
            && *then == state
        {
            return Some(content.clone());
        }
        let files = storage::files(&dir).ok()?;
        let hashes: Vec<String> =
            files.iter().map(|file| self.store.hashes().sha256(file)).collect::<Result<_>>().ok()?;
        let content = ModelContent {
            sha256: storage::joined(&hashes),
            config: BertConfig::load(&dir).ok()?,
            tokenizer: Tokenizer::from_folder(&dir).ok()?.hash().to_owned(),
        };
        self.folders.insert(dir, (state, content.clone()));
        Some(content)
    }

    fn model_folder(&self, name: &str) -> Result<PathBuf> {
        if name == EMBEDDED_MODEL {
            return tiny::folder();
        }
        let local = self.directory.join(name);
        if local.is_dir() {
            return Ok(local);
        }
        Ok(resolve_model_with(name, &HubSettings::cache_only())?.dir)
    }

    fn data_content(&self, config: &ExperimentConfig) -> Result<BTreeMap<String, String>> {
        let place = Place::of(config);
        let folder = data_folder(config.task, place.folder(), &HubSettings::cache_only())?;
        let (dir, texts) =
            (self.directory.join(folder.dir), place.texts().map(|texts| texts.below(&self.directory)));
        workload::hashes(config.task.spec(), &dir, texts.as_ref(), |path| self.store.hashes().sha256(path))
    }
}

fn data_of(config: &ExperimentConfig) -> DataOf {
    (config.task, Place::of(config))
}

/// The files directly in the folder. Symbolic links, as in the hub's cache, are followed.
fn folder_state(dir: &Path) -> Option<Vec<FileState>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).ok()?.flatten() {
        if let Ok(about) = fs::metadata(entry.path())
            && about.is_file()
        {
            files.push((entry.path(), Stamp::of(&about).ok()?));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Some(files)
}
