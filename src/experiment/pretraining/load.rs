//! Everything that a pre-training reads, loaded and checked before anything is computed.

use super::settings::{DEFAULT_LENGTH, PretrainSettings, Start, Vocabulary};
use crate::{
    error::{Error, Result},
    experiment::{
        dropouts::dropout_notes,
        model_folder::model_folder,
        text::{DEMO_TEXT, MASK_RATE, Text, refuse_same},
    },
    model::{Bert, BertConfig, Head, memory, weights::Pretrained},
    store::{PRETRAIN, StageId, stage_id},
    text::{Encoded, Masking, Tokenizer, train_vocabulary},
    train::Progress,
};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A pre-training's inputs and settings.
pub struct Pretraining {
    pub settings: PretrainSettings,
    /// The model or the configuration that training starts from, by name.
    pub name: String,
    pub tokenizer: Tokenizer,
    pub masking: Masking,
    pub train: Vec<Encoded>,
    pub heldout: Vec<Encoded>,
    initial: Initial,
    /// Name, role and hash of every text.
    sources: Vec<Value>,
    /// The files of a trained vocabulary, until the stage has a copy.
    _vocabulary: Option<TempDir>,
}

enum Initial {
    Model(Box<Pretrained>),
    Random(BertConfig),
}

impl Pretraining {
    /// Reads the model or configuration, the texts and the vocabulary.
    pub fn load(mut settings: PretrainSettings, progress: &mut dyn Progress) -> Result<Self> {
        settings.check()?;
        let read = |name: &String| Text::read(name, settings.demo_pairs);
        let texts = settings.text.iter().map(read).collect::<Result<Vec<_>>>()?;
        let other = settings.heldout.as_ref().map(read).transpose()?;
        refuse_same(&texts, other.as_ref(), "--heldout")?;
        let of = |role: &'static str| move |text: &Text| json!({ "name": text.name, "role": role, "blake3": text.hash() });
        let sources: Vec<Value> =
            texts.iter().map(of("train")).chain(other.iter().map(of("heldout"))).collect();
        let (train, heldout): (Vec<Text>, Vec<Text>) = match other {
            Some(text) => (texts, vec![text]),
            None => texts.iter().map(|text| text.split(settings.heldout_fraction)).unzip(),
        };

        let mut vocabulary = None;
        let (name, initial, tokenizer) = match &settings.start {
            Start::Model(model) => {
                let folder = model_folder(model, progress)?;
                let tokenizer = Tokenizer::from_folder(&folder.dir)?;
                (folder.name, Initial::Model(Box::new(Pretrained::load(&folder.dir)?)), tokenizer)
            }
            Start::Config(path) => {
                let mut config = BertConfig::read(Path::new(path))?;
                let tokenizer = match &settings.vocabulary {
                    Vocabulary::Trained(size) => {
                        let lines: Vec<&str> = train.iter().flat_map(Text::lines).collect();
                        progress.note(&format!(
                            "making a vocabulary of {size} tokens from {} lines",
                            lines.len()
                        ));
                        let trained = train_vocabulary(&lines, *size, true)?;
                        let dir = tempfile::tempdir()
                            .map_err(|e| Error::data(format!("cannot create a temporary folder: {e}")))?;
                        trained.save(dir.path(), config.longest_sequence())?;
                        config.vocab_size = *size;
                        let tokenizer = Tokenizer::from_folder(dir.path())?;
                        vocabulary = Some(dir);
                        tokenizer
                    }
                    Vocabulary::Folder(dir) => Tokenizer::from_folder(Path::new(dir))?,
                    Vocabulary::OfModel => return Err(Error::internal("a shape without a vocabulary")),
                };
                (path.clone(), Initial::Random(config), tokenizer)
            }
        };
        let masking = Masking::new(&tokenizer, MASK_RATE)?;
        let config = initial.config();
        let max_length = settings.max_length.unwrap_or(DEFAULT_LENGTH.min(config.longest_sequence()));
        settings.max_length = Some(max_length);
        check(&settings, max_length, config, &tokenizer, &name)?;
        let dropout = ("--dropout ", settings.dropout);
        dropout_notes(config, [dropout; 3]).iter().for_each(|note| progress.note(note));

        let encode = |texts: &[Text]| -> Result<Vec<Encoded>> {
            let mut all = Vec::new();
            for text in texts {
                let found = text.encode(&tokenizer, settings.unit, max_length)?;
                all.extend(found.into_iter().filter(|sequence| masking.maskable(&sequence.ids) > 0));
            }
            Ok(all)
        };
        let (train, heldout) = (encode(&train)?, encode(&heldout)?);
        let names = settings.text.join(", ");
        match (train.is_empty(), heldout.is_empty(), &settings.heldout) {
            (false, false, _) => {}
            (true, true, None) | (true, _, Some(_)) => return Err(nothing_to_mask(&names)),
            (false, true, Some(heldout)) => return Err(nothing_to_mask(heldout)),
            (_, _, None) => return Err(too_short(&names, settings.heldout_fraction)),
        }
        let largest = train.iter().chain(&heldout).flat_map(|sequence| &sequence.ids).max();
        if largest.is_some_and(|id| *id as usize >= initial.config().vocab_size) {
            return Err(Error::data(format!(
                "{name}: vocab_size is {} in its config.json, but the text contains a special token that the tokenizer's \
                 files lack. Add [PAD] and [MASK] to the vocabulary, or remove them from the text.",
                initial.config().vocab_size
            )));
        }
        tokenizer.note().into_iter().for_each(|note| progress.warn(note));
        for (text, encoded) in [("text to train on", &train), ("text held out", &heldout)] {
            tokenizer.unknown_warning(text, encoded).iter().for_each(|warning| progress.warn(warning));
        }
        let tokens = |all: &[Encoded]| all.iter().map(|sequence| sequence.ids.len()).sum::<usize>();
        progress.note(&format!(
            "{} sequences to train on ({} tokens), {} held out ({} tokens); {name}: {} layers × {} heads, hidden size \
             {}, {} words",
            train.len(),
            tokens(&train),
            heldout.len(),
            tokens(&heldout),
            initial.config().num_hidden_layers,
            initial.config().num_attention_heads,
            initial.config().hidden_size,
            initial.config().vocab_size,
        ));
        Ok(Self {
            settings,
            name,
            tokenizer,
            masking,
            train,
            heldout,
            initial,
            sources,
            _vocabulary: vocabulary,
        })
    }

    /// The model before the first step, and notes about it.
    pub fn initial_weights(&self) -> Result<(Bert, Vec<String>)> {
        let seed = self.settings.seed;
        match &self.initial {
            Initial::Model(model) => {
                let mut model = model.clone();
                let bert = model.build(Head::MaskedLm, seed, self.settings.fresh_head)?;
                Ok((bert, model.notes))
            }
            Initial::Random(config) => Ok((Bert::random(config.clone(), Head::MaskedLm, seed), Vec::new())),
        }
    }

    /// The id of its stage.
    pub fn id(&self) -> StageId {
        stage_id(PRETRAIN.name, &self.inputs())
    }

    /// Everything that the result depends on.
    pub fn inputs(&self) -> Value {
        // Contents count, not paths; settings that are not used do not count.
        let mut settings = json!(self.settings);
        let demo = self.settings.text.iter().any(|text| text == DEMO_TEXT);
        let unused = [
            ("heldout_fraction", self.settings.heldout.is_some()),
            ("demo_pairs", true),
            ("unit", demo && self.settings.heldout.is_none()),
        ];
        let unused = unused.into_iter().filter(|(_, unused)| *unused).map(|(key, _)| key);
        for key in ["start", "vocabulary", "text", "heldout"].into_iter().chain(unused) {
            settings[key] = Value::Null;
        }
        let text: Vec<Value> =
            self.sources.iter().map(|text| json!([text["role"], text["blake3"]])).collect();
        json!({
            "model": self.model_sha256(),
            "model_config": self.initial.config(),
            "tokenizer": self.tokenizer.hash(),
            "text": text,
            "settings": settings,
        })
    }

    /// SHA-256 of the weights that training starts from; `None` if they are random.
    pub fn model_sha256(&self) -> Option<&str> {
        match &self.initial {
            Initial::Model(model) => Some(&model.sha256),
            Initial::Random(_) => None,
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
            "sources": self.sources,
        })
    }
}

impl Initial {
    fn config(&self) -> &BertConfig {
        match self {
            Self::Model(model) => &model.config,
            Self::Random(config) => config,
        }
    }
}

fn nothing_to_mask(text: &str) -> Error {
    Error::data(format!(
        "{text}: no token can be masked: the vocabulary contains none of its words. Choose a text and a vocabulary of the \
         same language."
    ))
}

fn too_short(text: &str, fraction: f64) -> Error {
    Error::data(format!(
        "{text}: too few lines to hold out {fraction} of them. Give more text, break it into lines, or give a separate \
         text for scoring with --heldout."
    ))
}

/// More than any BERT has. A larger number is a mistake in config.json, and the model would not fit into memory.
const MAX_PARAMETERS: f64 = 5e9;

fn check(
    settings: &PretrainSettings,
    max_length: usize,
    config: &BertConfig,
    tokenizer: &Tokenizer,
    name: &str,
) -> Result<()> {
    if max_length < 3 {
        return Err(Error::usage(format!(
            "--max-length {max_length} leaves no room for text: [CLS] and [SEP] take 2 tokens. 128 is usual."
        )));
    }
    let [h, f, v, layers, positions] = [
        config.hidden_size,
        config.intermediate_size,
        config.vocab_size,
        config.num_hidden_layers,
        config.max_position_embeddings,
    ]
    .map(|size| size as f64);
    let parameters = h * (v + positions) + layers * (4.0 * h * h + 2.0 * h * f);
    if parameters > MAX_PARAMETERS {
        return Err(Error::data(format!(
            "{name}: a model of this shape has {parameters:.1e} parameters; the limit is {MAX_PARAMETERS:.0e}. Lower \
             hidden_size, intermediate_size, num_hidden_layers or vocab_size."
        )));
    }
    memory::check(config, &config.saved_shape()?, Head::MaskedLm, memory::TRAINED, name)?;
    let positions = config.longest_sequence();
    if max_length > positions {
        return Err(Error::usage(format!(
            "--max-length {max_length}: {name} has {positions} positions (max_position_embeddings in its config.json). \
             Use {positions} or less."
        )));
    }
    if tokenizer.vocab_size() > config.vocab_size {
        return Err(Error::data(format!(
            "{name}: vocab_size is {} in its config.json, but the tokenizer has {} words. Set vocab_size to {}, or use \
             the tokenizer of the same model.",
            config.vocab_size,
            tokenizer.vocab_size(),
            tokenizer.vocab_size()
        )));
    }
    let pairs = settings.text.iter().chain(&settings.heldout).any(|text| text == DEMO_TEXT);
    if pairs && config.type_vocab_size < 2 {
        return Err(Error::usage(format!(
            "{name}: the demo grammar writes pairs of sentences, which need type_vocab_size 2 in config.json."
        )));
    }
    Ok(())
}
