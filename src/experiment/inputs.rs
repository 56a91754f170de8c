//! Everything that a run reads, loaded and checked before anything is computed.

use super::{
    data_folder::{DataFolder, data_folder},
    finetuned,
    fraction::{Chosen, Fraction},
    identity::Hashes,
    model_folder::model_folder,
    shared::Partner,
    ticket_file::TicketFile,
    transfer::Trained,
    words::Texts,
    workload::{self, Workload},
};
use crate::{
    config::{DataConfig, ExperimentConfig},
    engine::{Device, Machine},
    error::{Error, Result},
    hub::{HubSettings, ModelFolder},
    model::{BertConfig, Head, weights::Pretrained},
    ops::Format,
    task::{TaskId, TaskSpec},
    text::Tokenizer,
    train::{Dataset, Progress},
};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// The settings that decide what is read, and the format of the computation.
#[derive(Clone, Debug, Serialize)]
pub struct Sources {
    #[serde(serialize_with = "TaskId::serialize_content")]
    task: TaskId,
    /// A folder, or a name on the hub.
    model: String,
    /// The data's folder, or what is read in its place.
    data: Place,
    pub(super) max_length: usize,
    /// Like the next one without a meaning where texts have no windows.
    #[serde(skip_serializing_if = "is_usual_stride")]
    pub(super) doc_stride: usize,
    #[serde(skip_serializing_if = "is_usual_question_length")]
    pub(super) max_question_length: usize,
    pub(super) train_limit: Option<usize>,
    pub(super) dev_limit: Option<usize>,
    /// Of those that the limit leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fraction: Option<Fraction>,
    dtype: Format,
}

impl Sources {
    pub fn new(config: &ExperimentConfig) -> Self {
        Self {
            task: config.task,
            model: config.model.clone(),
            data: Place::of(config),
            max_length: config.data.max_length,
            doc_stride: config.data.doc_stride,
            max_question_length: config.data.max_question_length,
            train_limit: config.data.train_limit,
            dev_limit: config.data.dev_limit,
            fraction: Fraction::new(config),
            dtype: config.run.dtype,
        }
    }
}

/// Where a task's examples are, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Place {
    Text(Texts),
    Folder(Option<String>),
}

impl Place {
    pub fn of(config: &ExperimentConfig) -> Self {
        Texts::of(config).map_or_else(|| Self::Folder(config.data.dir.clone()), Self::Text)
    }

    pub fn texts(&self) -> Option<&Texts> {
        if let Self::Text(texts) = self { Some(texts) } else { None }
    }

    pub fn folder(&self) -> Option<&str> {
        if let Self::Folder(dir) = self { dir.as_deref() } else { None }
    }
}

// Settings that were added since the first format version enter no hash with their defaults.
fn is_usual_stride(tokens: &usize) -> bool {
    *tokens == DataConfig::default().doc_stride
}

fn is_usual_question_length(tokens: &usize) -> bool {
    *tokens == DataConfig::default().max_question_length
}

/// A run's model and data, loaded, and the machine that computes.
pub struct Inputs {
    pub machine: Machine,
    pub task: &'static TaskSpec,
    pub folder: ModelFolder,
    pub model: Pretrained,
    pub tokenizer: Tokenizer,
    /// The training examples that `data.train_limit` and `data.fraction` leave, including those held out for scoring.
    pub train: Dataset,
    pub dev: Dataset,
    /// MNLI's second development set.
    pub dev_mismatched: Option<Dataset>,
    /// The share of the training examples, where not all are wanted.
    pub chosen: Option<Chosen>,
    pub data: DataFolder,
    pub data_hashes: BTreeMap<String, String>,
    /// The ticket that the run takes up in the place of a search.
    pub ticket: Option<TicketFile>,
    /// The model that is fine-tuned already.
    pub finetuned: Option<Pretrained>,
    /// The model that another task's run has trained, which this one continues.
    pub source: Option<Trained>,
    /// The tasks that share the run's encoder, by name.
    pub partners: Vec<Partner>,
    /// Warnings about the data, the tokenizer and the words that it does not know.
    pub warnings: Vec<String>,
}

impl Inputs {
    /// Reads the model, the tokenizer and the data. `cache` is a folder for encoded texts.
    pub fn load(
        sources: &Sources,
        device: Device,
        cache: Option<&Path>,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let machine = Machine::open(device, sources.dtype, &mut |why| progress.note(why))?;
        let task = sources.task.spec();
        let folder = model_folder(&sources.model, progress)?;
        let model = Pretrained::load(&folder.dir)?;
        if model.config.saved_shape()? != model.config.full_shape() {
            return Err(Error::data(format!(
                "{}: this model is already pruned (key lottery in its config.json), but an experiment starts from a \
                 full model. Give --model the pre-trained model.",
                folder.dir.join("config.json").display()
            )));
        }
        check_length(sources.max_length, &model.config, &folder.name)?;
        let tokenizer = Tokenizer::from_folder(&folder.dir)?;
        let data_folder = data_folder(sources.task, sources.data.folder(), &HubSettings::from_env())?;
        let of_model = folder.revision.as_ref().map(|commit| (&folder.name, commit));
        for (name, commit) in
            of_model.into_iter().chain(data_folder.hub.as_ref().map(|(name, commit)| (name, commit)))
        {
            progress.note(&format!("from the hub: {name} at {commit}"));
        }
        let data = workload::read(task, &data_folder.dir, sources.data.texts())?;
        data.notes().iter().for_each(|note| progress.note(note));
        let Workload { train, dev, dev_mismatched, chosen, hashes, mut warnings } =
            data.encode(&tokenizer, sources, cache)?;
        for data in [&train, &dev].into_iter().chain(&dev_mismatched) {
            check_ids(data, &model, &folder.name)?;
        }
        let texts = [("training data", Some(&train)), ("development data", Some(&dev))];
        let texts = texts.into_iter().chain([("mismatched development data", dev_mismatched.as_ref())]);
        let unknown = texts.filter_map(|(name, data)| tokenizer.unknown_warning(name, &data?.encoded));
        warnings.extend(finetuned::warning(&model));
        warnings.extend(tokenizer.note().map(str::to_owned).into_iter().chain(unknown));
        warnings.iter().for_each(|warning| progress.warn(warning));
        Ok(Self {
            machine,
            task,
            folder,
            model,
            tokenizer,
            train,
            dev,
            dev_mismatched,
            chosen,
            data: data_folder,
            data_hashes: hashes,
            ticket: None,
            finetuned: None,
            source: None,
            partners: Vec::new(),
            warnings,
        })
    }

    /// With the ticket of this file, which must be of a model of this shape.
    pub fn with_ticket(mut self, file: Option<TicketFile>) -> Result<Self> {
        file.as_ref().map_or(Ok(()), |file| file.check(&self.model.config, &self.folder.name))?;
        self.ticket = file;
        Ok(self)
    }

    /// With the fine-tuned model of this folder, which must be of this model and task.
    pub fn with_finetuned(mut self, name: Option<&str>, progress: &mut dyn Progress) -> Result<Self> {
        self.finetuned = name.map(|name| finetuned::read(name, &self, progress)).transpose()?;
        Ok(self)
    }

    /// The task's head.
    pub fn head(&self) -> Head {
        workload::head(self.task)
    }

    /// Hashes of the files' contents.
    pub fn hashes(&self) -> Hashes<'_> {
        Hashes {
            weights: &self.model.sha256,
            model: &self.model.config,
            tokenizer: self.tokenizer.hash(),
            data: &self.data_hashes,
            ticket: self.ticket.as_ref().map(|file| file.hash.as_str()),
            finetuned: self.finetuned.as_ref().map(|model| model.sha256.as_str()),
            source: self.source.as_ref().map(|trained| trained.id().as_str()),
            partners: &self.partners,
        }
    }
}

fn check_ids(data: &Dataset, model: &Pretrained, name: &str) -> Result<()> {
    let largest = data.encoded.iter().flat_map(|e| e.ids.iter().copied()).max().unwrap_or(0) as usize;
    if largest >= model.config.vocab_size {
        return Err(Error::data(format!(
            "{name}: the tokenizer produces word id {largest}, but the model has {} words (vocab_size in its config.json). \
             Tokenizer and model do not belong together; download both again.",
            model.config.vocab_size
        )));
    }
    let segments =
        data.encoded.iter().flat_map(|e| e.segments.iter().copied()).max().unwrap_or(0) as usize + 1;
    if model.config.family.token_types.is_some() && segments > model.config.type_vocab_size {
        return Err(Error::data(format!(
            "{name}: the task has pairs of sentences and needs type_vocab_size {segments}, but the model's config.json \
             has {}. Choose a task of single sentences, or another model.",
            model.config.type_vocab_size
        )));
    }
    Ok(())
}

/// Refuses a maximum length that exceeds the model's number of positions.
pub(super) fn check_length(length: usize, model: &BertConfig, name: &str) -> Result<()> {
    let positions = model.longest_sequence();
    if length <= positions {
        return Ok(());
    }
    Err(Error::usage(format!(
        "data.max_length is {length}, but {name} has {positions} positions (max_position_embeddings in its config.json). \
         Use `--set data.max_length={positions}` or less."
    )))
}
