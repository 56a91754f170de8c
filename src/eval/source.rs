//! What a model, a stage, a record or a ticket file stands for: a trained model, with its tokenizer and labels.

use super::labels::label_names;
use crate::{
    error::{Error, Result},
    experiment::{TicketFile, model_folder, ticket::Ticket},
    file,
    hub::ModelFolder,
    model::{Bert, BertConfig, Head, weights::Pretrained},
    prune::{Mask, MaskText},
    store::{Done, StageId, Store, WEIGHTS, names},
    text::Tokenizer,
    train::Progress,
};
use serde_json::Value;
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// What the user named.
pub enum Source {
    Model(ModelFolder),
    /// A finished stage, and the store that it is in.
    Stage(Done, Store),
    Record(RecordFile),
    Ticket(Box<TicketFile>),
}

/// A record, and the store with its stages.
pub struct RecordFile {
    pub record: Value,
    pub store: Store,
}

/// A model that is to be evaluated or exported.
pub struct Trained {
    /// For people.
    pub name: String,
    /// With the units that are left.
    pub bert: Bert,
    pub tokenizer: Tokenizer,
    /// The names of its classifier's outputs; none of a head that finds spans or words.
    pub labels: Vec<String>,
    /// The head was drawn: the model was not trained for a task.
    pub fresh: bool,
}

impl Source {
    /// The stage of this id, the file, the folder, or the model on the hub.
    pub fn find(word: &str, store: &Store, progress: &mut dyn Progress) -> Result<Self> {
        let path = Path::new(word);
        if let Some(id) = StageId::parse(word)
            && !path.exists()
        {
            return match store.stage(&id).load()? {
                Some(done) => Ok(Self::Stage(done, store.clone())),
                None => Err(Error::data(format!(
                    "there is no finished stage {id} in the store {}. Name its store with --store or LOTTERY_STORE.",
                    store.dir().display()
                ))),
            };
        }
        if path.is_dir()
            && let Some(done) = Done::of_folder(path)
        {
            let stages = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
            let dir = stages.as_deref().and_then(Path::parent).unwrap_or_else(|| store.dir());
            return Ok(Self::Stage(done, Store::at(dir)?));
        }
        if path.is_file() {
            let mut first = [0];
            let read = file::open(path).and_then(|mut file| file.read(&mut first));
            read.map_err(|e| Error::io(path, "read", &e))?;
            return match first {
                [b'{'] => RecordFile::read(path, store).map(Self::Record),
                _ => TicketFile::read(path).map(|file| Self::Ticket(Box::new(file))),
            };
        }
        model_folder(word, progress).map(Self::Model)
    }

    /// The model. A ticket file is applied to the model `with`; `untrained` is the head that is drawn where there is none.
    pub fn trained(
        &self,
        with: Option<&Source>,
        untrained: Option<Head>,
        progress: &mut dyn Progress,
    ) -> Result<Trained> {
        match self {
            Self::Model(ModelFolder { dir, name, .. }) => load(dir, name, None, untrained, progress),
            Self::Stage(done, store) => of_stage(done, store, progress),
            Self::Record(file) => of_stage(&file.stage("retrain")?, &file.store, progress),
            Self::Ticket(ticket) => match with {
                Some(model @ (Self::Model(_) | Self::Stage(..))) => {
                    let trained = model.trained(None, untrained, progress)?;
                    ticket.check(&trained.bert.config, &trained.name)?;
                    trained.masked(&ticket.mask)
                }
                _ => Err(Error::usage(
                    "a ticket file has a mask and no weights. Give --model the fine-tuned model, a folder or a stage.",
                )),
            },
        }
    }
}

impl RecordFile {
    /// The record's store is the one whose `results` it is in, else `store`.
    fn read(path: &Path, store: &Store) -> Result<Self> {
        let bytes = file::read(path, file::LARGEST_JSON).map_err(|e| Error::io(path, "read", &e))?;
        let record: Value = serde_json::from_slice(&bytes).map_err(|e| not_a_record(path, &e.to_string()))?;
        if !record["stages"].is_object() || !record["ticket"].is_object() {
            return Err(not_a_record(path, "it names no stages"));
        }
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let results = absolute.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "results"));
        let own = results.and_then(Path::parent).filter(|dir| dir.join("stages").is_dir());
        let store = own.map_or_else(|| Ok(store.clone()), Store::at)?;
        Ok(Self { record, store })
    }

    /// The stage that the record has under this name.
    pub fn stage(&self, name: &str) -> Result<Done> {
        let id = self.record["stages"][name].as_str();
        stage_of(&self.store, id, &format!("the record's stage {name}"))
    }
}

fn not_a_record(path: &Path, why: &str) -> Error {
    Error::data(format!(
        "{}: not a record of lottery ({why}). Give a record, a stage, a ticket file or a model's folder.",
        path.display()
    ))
}

/// The finished stage of this id.
fn stage_of(store: &Store, id: Option<&str>, what: &str) -> Result<Done> {
    let id = id.and_then(StageId::parse);
    let found = id.as_ref().map(|id| store.stage(id).load()).transpose()?.flatten();
    found.ok_or_else(|| {
        let id = id.map_or_else(|| "no stage".to_owned(), |id| id.to_string());
        Error::data(format!(
            "{what} is {id}, which is not in the store {}. Name its store with --store or LOTTERY_STORE.",
            store.dir().display()
        ))
    })
}

fn of_stage(done: &Done, store: &Store, progress: &mut dyn Progress) -> Result<Trained> {
    let name = done.id().as_str();
    let finetuned = || {
        let id = done.info()["inputs"]["finetune"].as_str();
        stage_of(store, id, &format!("the fine-tuned model of {name}"))
    };
    let of = |done: &Done, mask: Option<&Mask>, progress: &mut dyn Progress| {
        done.verified_path(WEIGHTS)?;
        load(done.dir(), name, mask, None, progress)
    };
    match done.id().kind() {
        "finetune" | "retrain" => of(done, None, progress),
        "evaluate" => {
            let mask = serde_json::from_value::<MaskText>(done.info()["inputs"]["mask"].clone())
                .map_err(|e| done.damaged("stage.json", &format!("has no mask ({e})")))?;
            of(&finetuned()?, Some(&Mask::read(&mask, None)?), progress)
        }
        "search" => {
            let finetuned = finetuned()?;
            let mask = Ticket::read(done, &BertConfig::load(finetuned.dir())?)?.mask;
            of(&finetuned, Some(&mask), progress)
        }
        _ => Err(Error::usage(format!(
            "{name} has no trained head. Give a stage that fine-tuned, retrained, evaluated or searched, or a record."
        ))),
    }
}

fn load(
    dir: &Path,
    name: &str,
    mask: Option<&Mask>,
    untrained: Option<Head>,
    progress: &mut dyn Progress,
) -> Result<Trained> {
    let mut model = Pretrained::load(dir)?;
    let own = model.saved_head();
    let words = model.has_masked_lm().then_some(Head::MaskedLm);
    let Some(head) = own.or(untrained).or(words) else {
        return Err(Error::data(format!(
            "{}: this model has no classifier, no span head and no masked-LM head. Fine-tune it on the task first (`lottery run`), and give that stage.",
            dir.display()
        )));
    };
    let bert = model.build(head, 0, false)?;
    model.notes.iter().for_each(|note| progress.note(&format!("{name}: {note}")));
    let trained = Trained {
        name: name.to_owned(),
        labels: match head {
            Head::Classifier { labels } => label_names(&bert.config, labels),
            Head::Spans | Head::MaskedLm => Vec::new(),
        },
        tokenizer: Tokenizer::from_folder(dir)?,
        fresh: own.is_none() && words != Some(head),
        bert,
    };
    mask.map_or(Ok(()), |mask| fits(mask, &trained.bert.config, name))?;
    match mask {
        Some(mask) => trained.masked(mask),
        None => Ok(trained),
    }
}

fn fits(mask: &Mask, config: &BertConfig, name: &str) -> Result<()> {
    let shape = [mask.layers(), mask.heads_per_layer()];
    if shape == [config.num_hidden_layers, config.num_attention_heads] {
        return Ok(());
    }
    Err(Error::data(format!(
        "{name}: its mask is of a model of another shape. Delete the stage and run again."
    )))
}

impl Trained {
    /// Without what the mask prunes.
    fn masked(self, mask: &Mask) -> Result<Self> {
        if self.bert.shape != self.bert.config.full_shape() {
            return Err(Error::data(format!(
                "{}: this model is already pruned, and the mask is of a whole one. Give the fine-tuned full model.",
                self.name
            )));
        }
        Ok(Self { bert: mask.apply(&self.bert)?, ..self })
    }
}

/// A record in the store that names this stage; of several, one whose retrained model it is, if there is one.
pub fn record_of(store: &Store, id: &StageId) -> Option<Value> {
    let below = |dirs: Vec<PathBuf>| -> Vec<PathBuf> {
        let names = dirs.iter().map(|dir| (dir, names(dir).unwrap_or_default()));
        names.flat_map(|(dir, names)| names.into_iter().map(|name| dir.join(name))).collect()
    };
    // results/<task>/<method>/<mode>/seed-<n>.json
    let files = (0..4).fold(vec![store.dir().join("results")], |dirs, _| below(dirs));
    let records = files.iter().filter_map(|path| {
        let record: Value = serde_json::from_slice(&file::read_if_there(path).ok()??).ok()?;
        let stages = record["stages"].as_object()?;
        let name = stages.iter().find(|(_, stage)| *stage == id.as_str()).map(|(name, _)| name.clone())?;
        // A search is that of its good ticket before it is that of a control.
        let rank = (name != "retrain", record["mode"] != "good");
        Some((rank, record))
    });
    records.min_by_key(|(rank, _)| *rank).map(|(_, record)| record)
}
