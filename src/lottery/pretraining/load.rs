//! Everything a pre-training reads, loaded and checked before anything is computed.

use super::settings::{DEMO_TEXT, MASK_RATE, PretrainSettings, Start, USUAL_LENGTH, Vocabulary};
use crate::{
    error::{Error, Result},
    lottery::model_folder::model_folder,
    model::{Bert, BertConfig, Head, weights::Pretrained},
    ops::rng::{Purpose, Stream},
    task::demo_corpus,
    text::{Encoded, Masking, Tokenizer, Unit, read_text, sequences, train_vocabulary},
    train::Progress,
};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// The split into training and held-out sequences does not depend on the run's seed, so that seeds can be compared.
const SPLIT_SEED: u64 = 0;

/// A pre-training's inputs and settings.
pub struct Pretraining {
    pub settings: PretrainSettings,
    /// The model or the configuration that training starts from, by name.
    pub name: String,
    pub tokenizer: Tokenizer,
    pub masking: Masking,
    pub train: Vec<Encoded>,
    pub heldout: Vec<Encoded>,
    first: First,
    /// Of every text, by name.
    text_hashes: Vec<(String, String)>,
    /// Where the files of a trained vocabulary are until the stage has them.
    _vocabulary: Option<TempDir>,
}

enum First {
    Model(Box<Pretrained>),
    Random(BertConfig),
}

/// What is read: pairs of sentences, or running text.
enum Text {
    Demo(Vec<crate::task::Example>),
    Plain(String),
}

impl Text {
    /// The name is a file's, or the demo grammar's.
    fn read(name: &str, settings: &PretrainSettings) -> Result<Self> {
        Ok(match name {
            DEMO_TEXT => Self::Demo(demo_corpus(settings.demo_pairs)),
            path => Self::Plain(read_text(Path::new(path))?),
        })
    }

    fn lines(&self) -> Vec<&str> {
        match self {
            Self::Demo(pairs) => {
                pairs.iter().flat_map(|p| [Some(p.first.as_str()), p.second.as_deref()]).flatten().collect()
            }
            Self::Plain(text) => text.lines().collect(),
        }
    }

    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        match self {
            Self::Demo(_) => self.lines().iter().for_each(|line| {
                hasher.update(line.as_bytes()).update(b"\n");
            }),
            Self::Plain(text) => _ = hasher.update(text.as_bytes()),
        }
        hasher.finalize().to_hex().to_string()
    }

    fn encode(&self, tokenizer: &Tokenizer, unit: Unit, max_length: usize) -> Result<Vec<Encoded>> {
        match self {
            Self::Demo(pairs) => tokenizer.encode_all(pairs, max_length),
            Self::Plain(text) => sequences(tokenizer, text, unit, max_length),
        }
    }
}

impl Pretraining {
    /// Reads the model or the shape, the texts and the vocabulary.
    pub fn load(mut settings: PretrainSettings, progress: &mut dyn Progress) -> Result<Self> {
        settings.check()?;
        let texts =
            settings.text.iter().map(|name| Text::read(name, &settings)).collect::<Result<Vec<_>>>()?;
        let other = settings.heldout.as_deref().map(|name| Text::read(name, &settings)).transpose()?;
        let names = settings.text.iter().chain(&settings.heldout).cloned();
        let text_hashes = names.zip(texts.iter().chain(&other).map(Text::hash)).collect();

        let mut vocabulary = None;
        let (name, first, tokenizer) = match &settings.start {
            Start::Model(model) => {
                let folder = model_folder(model)?;
                let tokenizer = Tokenizer::from_folder(&folder.dir)?;
                (folder.name, First::Model(Box::new(Pretrained::load(&folder.dir)?)), tokenizer)
            }
            Start::Config(path) => {
                let mut config = BertConfig::read(Path::new(path))?;
                let tokenizer = match &settings.vocabulary {
                    Vocabulary::Trained(size) => {
                        let lines: Vec<&str> = texts.iter().flat_map(Text::lines).collect();
                        progress
                            .say(&format!("making a vocabulary of {size} tokens from {} lines", lines.len()));
                        let trained = train_vocabulary(&lines, *size, true)?;
                        let dir = tempfile::tempdir()
                            .map_err(|e| Error::data(format!("cannot create a temporary folder: {e}")))?;
                        trained.save(dir.path(), config.max_position_embeddings)?;
                        config.vocab_size = *size;
                        let tokenizer = Tokenizer::from_folder(dir.path())?;
                        vocabulary = Some(dir);
                        tokenizer
                    }
                    Vocabulary::Folder(dir) => Tokenizer::from_folder(Path::new(dir))?,
                    Vocabulary::OfModel => return Err(Error::internal("a shape without a vocabulary")),
                };
                (path.clone(), First::Random(config), tokenizer)
            }
        };
        let masking = Masking::new(&tokenizer, MASK_RATE)?;
        let config = first.config();
        let max_length = settings.max_length.unwrap_or(USUAL_LENGTH.min(config.max_position_embeddings));
        settings.max_length = Some(max_length);
        check(&settings, max_length, config, &tokenizer, &name)?;

        let encode = |text: &Text| text.encode(&tokenizer, settings.unit, max_length);
        let whole = |found: Vec<Encoded>| -> Vec<Encoded> {
            found.into_iter().filter(|sequence| masking.maskable(&sequence.ids) > 0).collect()
        };
        let all: Vec<Encoded> =
            texts.iter().map(encode).collect::<Result<Vec<_>>>()?.into_iter().flat_map(whole).collect();
        if all.is_empty() {
            return Err(nothing_to_mask(&settings.text.join(", ")));
        }
        let (train, heldout) = match &other {
            Some(text) => (all, whole(encode(text)?)),
            None => split(all, settings.heldout_fraction)?,
        };
        if heldout.is_empty() {
            return Err(nothing_to_mask(settings.heldout.as_deref().unwrap_or_default()));
        }
        let tokens = |all: &[Encoded]| all.iter().map(|sequence| sequence.ids.len()).sum::<usize>();
        progress.say(&format!(
            "{} sequences to train on ({} tokens), {} held out ({} tokens); {name}: {} layers × {} heads, hidden size \
             {}, {} words",
            train.len(),
            tokens(&train),
            heldout.len(),
            tokens(&heldout),
            first.config().num_hidden_layers,
            first.config().num_attention_heads,
            first.config().hidden_size,
            first.config().vocab_size,
        ));
        Ok(Self {
            settings,
            name,
            tokenizer,
            masking,
            train,
            heldout,
            first,
            text_hashes,
            _vocabulary: vocabulary,
        })
    }

    /// The model before the first step, and what is worth telling about it.
    pub fn first_weights(&self) -> Result<(Bert, Vec<String>)> {
        let seed = self.settings.seed;
        match &self.first {
            First::Model(model) => {
                let mut model = model.clone();
                let bert = model.build(Head::MaskedLm, seed, self.settings.fresh_head)?;
                Ok((bert, model.notes))
            }
            First::Random(config) => Ok((Bert::random(config.clone(), Head::MaskedLm, seed), Vec::new())),
        }
    }

    /// What the outcome depends on.
    pub fn inputs(&self) -> Value {
        // Where the texts and the model lie is not what they are.
        let mut settings = json!(self.settings);
        for key in ["start", "vocabulary", "text", "heldout"] {
            settings[key] = Value::Null;
        }
        json!({
            "model": self.model_sha256(),
            "model_config": self.first.config(),
            "tokenizer": self.tokenizer.hash(),
            "text": self.text_hashes.iter().map(|(_, hash)| hash).collect::<Vec<_>>(),
            "own_heldout": self.settings.heldout.is_some(),
            "settings": settings,
        })
    }

    /// Of the weights that training starts from; `None` when they are random.
    pub fn model_sha256(&self) -> Option<&str> {
        match &self.first {
            First::Model(model) => Some(&model.sha256),
            First::Random(_) => None,
        }
    }

    /// The part of the record that describes the text.
    pub fn describe_text(&self) -> Value {
        let about = |all: &[Encoded]| {
            json!({
                "sequences": all.len(),
                "tokens": all.iter().map(|sequence| sequence.ids.len()).sum::<usize>(),
            })
        };
        json!({
            "train": about(&self.train),
            "heldout": about(&self.heldout),
            "blake3": self.text_hashes.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }
}

impl First {
    fn config(&self) -> &BertConfig {
        match self {
            Self::Model(model) => &model.config,
            Self::Random(config) => config,
        }
    }
}

fn nothing_to_mask(text: &str) -> Error {
    Error::data(format!(
        "{text}: no token can be masked: the vocabulary knows none of its words. Choose a text and a vocabulary of one \
         language."
    ))
}

fn check(
    settings: &PretrainSettings,
    max_length: usize,
    config: &BertConfig,
    tokenizer: &Tokenizer,
    name: &str,
) -> Result<()> {
    let positions = config.max_position_embeddings;
    if max_length > positions {
        return Err(Error::usage(format!(
            "--max-length {max_length}: {name} has {positions} positions (max_position_embeddings in its config.json). \
             Use {positions} or less."
        )));
    }
    if tokenizer.vocab_size() > config.vocab_size {
        return Err(Error::data(format!(
            "{name}: vocab_size is {} in its config.json, and the tokenizer has {} words. Set vocab_size to {}, or use \
             the tokenizer of the same model.",
            config.vocab_size,
            tokenizer.vocab_size(),
            tokenizer.vocab_size()
        )));
    }
    let pairs = settings.text.iter().chain(&settings.heldout).any(|text| text == DEMO_TEXT);
    if pairs && config.type_vocab_size < 2 {
        return Err(Error::usage(format!(
            "{name}: the demo grammar writes pairs of sentences, which take type_vocab_size 2 in config.json."
        )));
    }
    Ok(())
}

/// Training and held-out sequences, each in file order.
fn split(all: Vec<Encoded>, fraction: f64) -> Result<(Vec<Encoded>, Vec<Encoded>)> {
    let n = (all.len() as f64 * fraction).round() as usize;
    if n == 0 || n == all.len() {
        return Err(Error::data(format!(
            "the text makes {} sequences, too few to hold out {fraction} of them. Give more text, a shorter \
             --max-length, or a text of its own to score on with --heldout.",
            all.len()
        )));
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    Stream::new(SPLIT_SEED, Purpose::Split, 1).shuffle(&mut order);
    let mut held = vec![false; all.len()];
    order[..n].iter().for_each(|i| held[*i] = true);
    let (heldout, train): (Vec<_>, Vec<_>) = all.into_iter().zip(held).partition(|(_, held)| *held);
    let plain = |part: Vec<(Encoded, bool)>| part.into_iter().map(|(sequence, _)| sequence).collect();
    Ok((plain(train), plain(heldout)))
}
