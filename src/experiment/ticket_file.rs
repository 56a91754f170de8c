//! A ticket as one file, to be taken up on another machine: the mask, the model that it belongs to, and how it was found.

use super::ticket::{MASK_KEYS, Ticket};
use crate::{
    error::{Error, Result},
    file,
    model::BertConfig,
    prune::{Kind, Mask},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// More than a bit for each weight of any model.
const LARGEST: u64 = 1 << 31;

/// A ticket file, read.
#[derive(Clone, Debug)]
pub struct TicketFile {
    pub mask: Mask,
    pub about: About,
    /// BLAKE3 of its bytes, in hexadecimal digits.
    pub hash: String,
    path: PathBuf,
}

/// What a ticket file says of its mask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    pub format_version: u32,
    pub lottery_version: String,
    pub base: Base,
    pub task: String,
    pub metric: String,
    /// Which subnetwork of its run this is: the search's own is `good`.
    pub mode: Option<String>,
    pub seed: Option<u64>,
    pub preset: Option<String>,
    /// Metrics of the full, the pruned and the retrained model, as far as they are known.
    pub scores: Value,
    /// All settings of the run, where a record had them.
    pub config: Value,
    pub stages: Value,
    /// `ticket.json` of the search, without mask and steps.
    pub search: Map<String, Value>,
}

/// The pre-trained model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// A name on the hub, or of a folder.
    pub name: Option<String>,
    pub revision: Option<String>,
    /// SHA-256 of its weights.
    pub sha256: String,
    pub layers: usize,
    pub heads: usize,
    pub hidden: usize,
    pub ffn: usize,
}

impl Base {
    pub fn new(name: Option<String>, revision: Option<String>, sha256: &str, config: &BertConfig) -> Self {
        Self {
            name,
            revision,
            sha256: sha256.to_owned(),
            layers: config.num_hidden_layers,
            heads: config.num_attention_heads,
            hidden: config.hidden_size,
            ffn: config.intermediate_size,
        }
    }

    /// Its name, or the start of its hash.
    pub fn title(&self) -> String {
        let hash = self.sha256.get(..12).unwrap_or(&self.sha256);
        self.name.clone().unwrap_or_else(|| format!("the model of SHA-256 {hash}…"))
    }
}

impl TicketFile {
    /// # Errors
    /// Data: the file cannot be read, or is no ticket.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = file::read(path, LARGEST).map_err(|e| Error::io(path, "read", &e))?;
        Self::parse(path, &bytes)
    }

    /// The same of bytes; `path` is for messages.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (mask, about) = Mask::of_ticket_file(path, bytes)?;
        let about: About = serde_json::from_value(Value::Object(about)).map_err(|e| {
            Error::data(format!("{}: its metadata is not a ticket's: {e}. Export it again.", path.display()))
        })?;
        let hash = blake3::hash(bytes).to_hex().to_string();
        let read = Self { mask, about, hash, path: path.to_owned() };
        let Base { layers, heads, ffn, .. } = read.about.base;
        if read.about.format_version != 1 {
            return Err(read.wrong(&format!("has format version {}", read.about.format_version)));
        }
        let neurons = read.mask.sites(Kind::Neurons).all(|(_, bits)| bits.len() == ffn);
        if [layers, heads] != [read.mask.layers(), read.mask.heads_per_layer()] || !neurons {
            return Err(read.wrong("has a mask of another shape than the model that it names"));
        }
        read.ticket().map(|_| read)
    }

    fn wrong(&self, why: &str) -> Error {
        let path = self.path.display();
        Error::data(format!("{path} {why}. Export it again, with this version of lottery."))
    }

    /// The bytes of the file.
    pub fn bytes(mask: &Mask, about: &About) -> Result<Vec<u8>> {
        let Value::Object(about) = json!(about) else { return Err(Error::internal("a struct's fields")) };
        mask.to_ticket_file(&about)
    }

    /// The ticket as a search would have written it, without steps.
    pub fn ticket(&self) -> Result<Ticket> {
        let mut ticket = self.about.search.clone();
        ticket.insert("heads".to_owned(), json!(self.mask.head_strings()));
        ticket.insert("ffns".to_owned(), json!(self.mask.ffn_string()));
        ticket.insert("steps".to_owned(), json!([]));
        let ticket: Ticket = serde_json::from_value(Value::Object(ticket))
            .map_err(|e| self.wrong(&format!("does not say how it was found: {e}")))?;
        Ok(Ticket { mask: self.mask.clone(), ..ticket })
    }

    /// Refuses a model of another shape.
    pub fn check(&self, model: &BertConfig, name: &str) -> Result<()> {
        let Base { layers, heads, hidden, ffn, .. } = self.about.base;
        let here = Base::new(None, None, "", model);
        if [layers, heads, hidden, ffn] == [here.layers, here.heads, here.hidden, here.ffn] {
            return Ok(());
        }
        Err(Error::data(format!(
            "{}: this ticket is of {}, {layers} layers × {heads} heads, hidden size {hidden}, FFNs of {ffn}; {name} has \
             {} × {}, {} and {}. Give --model a model of the ticket's shape.",
            self.path.display(),
            self.about.base.title(),
            here.layers,
            here.heads,
            here.hidden,
            here.ffn
        )))
    }

    /// What a reader of a record must know of a ticket that was found on another model or task.
    pub fn warnings(&self, model: &str, sha256: &str, task: &str) -> Vec<String> {
        let About { base, task: own, .. } = &self.about;
        let mut warnings = Vec::new();
        if base.sha256 != sha256 {
            warnings.push(format!(
                "a transfer between models: the ticket was found in {}, and this run's model is {model}, whose weights are \
                 others",
                base.title()
            ));
        }
        if own != task {
            warnings.push(format!("a transfer between tasks: the ticket was found on {own}"));
        }
        warnings
    }
}

/// `ticket.json` of a search without its mask and steps.
pub fn search_of(mut ticket: Map<String, Value>) -> Map<String, Value> {
    ticket.retain(|key, _| !MASK_KEYS.contains(&key.as_str()) && key != "steps");
    ticket
}
