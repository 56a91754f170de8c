//! Everything a run reads, loaded and checked before anything is computed.

use super::{
    dropouts::other_dropouts,
    identity::{Read, training_inputs},
    model_folder::model_folder,
};
use crate::{
    config::{ExperimentConfig, Split},
    engine::Machine,
    error::{Error, Result},
    model::{BertConfig, Head, weights::Pretrained},
    ops::adamw::AdamW,
    prune::{Estimator, Method, Mode, RandomRule, SearchConfig},
    task::{self, Example, TaskSpec},
    text::{Tokenizer, encode_cached},
    train::{Dataset, Progress, Recipe},
};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A run's inputs and settings, typed.
pub struct Experiment {
    pub config: ExperimentConfig,
    /// What computes.
    pub machine: Machine,
    pub task: &'static TaskSpec,
    pub mode: Mode,
    pub method: Method,
    pub estimator: Estimator,
    pub random: RandomRule,
    pub search: SearchConfig,
    pub recipe: Recipe,
    pub model_name: String,
    pub model: Pretrained,
    pub tokenizer: Tokenizer,
    /// What the model is trained on.
    pub train: Dataset,
    pub dev: Dataset,
    /// MNLI's second development set.
    pub dev_mismatched: Option<Dataset>,
    /// What scores units and stops the search, when it is not `dev`.
    pub scoring: Option<Dataset>,
    pub data_hashes: BTreeMap<String, String>,
    /// Of the tokenizer and its use on the texts.
    pub warnings: Vec<String>,
}

impl Experiment {
    /// Reads the model, the tokenizer and the data. `cache` is where encoded texts are kept, if they are.
    pub fn load(config: ExperimentConfig, cache: Option<&Path>, progress: &mut dyn Progress) -> Result<Self> {
        let machine = Machine::open(config.run.device, config.run.dtype, &mut |why| progress.say(why))?;
        let task = config.task.spec();
        let folder = model_folder(&config.model, progress)?;
        let model = Pretrained::load(&folder.dir)?;
        if model.config.saved_shape()? != model.config.full_shape() {
            return Err(Error::data(format!(
                "{}: units were already removed from this model (key lottery in its config.json), and an experiment \
                 begins with a whole one. Give --model the pre-trained model.",
                folder.dir.join("config.json").display()
            )));
        }
        check_length(&config, &model.config, &folder.name)?;
        let hidden = ("--set train.dropout=", config.train.dropout);
        let attention = ("--set train.attention_dropout=", config.train.attention_dropout);
        other_dropouts(&model.config, hidden, attention).iter().for_each(|note| progress.say(note));
        let tokenizer = Tokenizer::from_folder(&folder.dir)?;
        let data = task::load(task, Path::new(config.data.dir.as_deref().unwrap_or_default()))?;
        let encode = |examples: &[Example], limit: Option<usize>| -> Result<Dataset> {
            let examples = &examples[..limit.unwrap_or(usize::MAX).min(examples.len())];
            let encoded = encode_cached(&tokenizer, examples, config.data.max_length, cache)?;
            let labels = examples.iter().map(|e| e.label).collect();
            Ok(Dataset { encoded, labels })
        };
        let all = encode(&data.train, config.data.train_limit)?;
        let dev = encode(&data.dev, config.data.dev_limit)?;
        let dev_mismatched =
            data.dev_mismatched.as_deref().map(|d| encode(d, config.data.dev_limit)).transpose()?;
        for data in [&all, &dev].into_iter().chain(&dev_mismatched) {
            check_ids(data, &model, &folder.name)?;
        }
        let texts = [("training data", Some(&all)), ("development data", Some(&dev))];
        let texts = texts.into_iter().chain([("mismatched development data", dev_mismatched.as_ref())]);
        let unknown = texts.filter_map(|(name, data)| tokenizer.unknown_warning(name, &data?.encoded));
        let warnings: Vec<String> = tokenizer.note().map(str::to_owned).into_iter().chain(unknown).collect();
        warnings.iter().for_each(|warning| progress.warn(warning));
        let (train, scoring) = split(all, &config)?;
        progress.say(&format!(
            "{}: {} training and {} development examples, {:.1} tokens on average; {}: {} layers × {} heads, hidden size {}",
            task.folder,
            train.len(),
            dev.len(),
            train.tokens() as f64 / train.len() as f64,
            folder.name,
            model.config.num_hidden_layers,
            model.config.num_attention_heads,
            model.config.hidden_size,
        ));
        let longest = config.data.max_length;
        let [in_train, in_dev] = [&train, &dev].map(|data| data.of_length(longest));
        if in_train + in_dev > 0 {
            progress.say(&format!(
                "{in_train} training and {in_dev} development examples have {longest} tokens: longer ones are cut there \
                 (data.max_length)"
            ));
        }
        Ok(Self {
            machine,
            task,
            mode: config.mode,
            method: config.method,
            estimator: config.importance.estimator,
            random: config.control.random,
            search: search_config(&config),
            recipe: recipe(&config),
            model_name: folder.name,
            model,
            tokenizer,
            train,
            dev,
            dev_mismatched,
            scoring,
            data_hashes: data.sha256,
            warnings,
            config,
        })
    }

    /// What the task needs on the encoder.
    pub fn head(&self) -> Head {
        Head::Classifier { labels: self.task.num_labels() }
    }

    /// The examples that score units and stop the search.
    pub fn scoring_data(&self) -> &Dataset {
        self.scoring.as_ref().unwrap_or(&self.dev)
    }

    /// See [`training_inputs`].
    pub fn training_inputs(&self) -> Value {
        let read = Read {
            weights: &self.model.sha256,
            model: &self.model.config,
            tokenizer: self.tokenizer.hash(),
            data: &self.data_hashes,
        };
        training_inputs(&self.config, read)
    }
}

fn check_ids(data: &Dataset, model: &Pretrained, name: &str) -> Result<()> {
    let largest = data.encoded.iter().flat_map(|e| e.ids.iter().copied()).max().unwrap_or(0) as usize;
    if largest >= model.config.vocab_size {
        return Err(Error::data(format!(
            "{name}: the tokenizer gives word id {largest}, and the model has {} words (vocab_size in its config.json). \
             Tokenizer and model are not of one folder; fetch both again.",
            model.config.vocab_size
        )));
    }
    let segments =
        data.encoded.iter().flat_map(|e| e.segments.iter().copied()).max().unwrap_or(0) as usize + 1;
    if segments > model.config.type_vocab_size {
        return Err(Error::data(format!(
            "{name}: the task has pairs of sentences, and the model knows {} segment (type_vocab_size in its \
             config.json) where {segments} are needed. Choose a task of single sentences, or a model with \
             type_vocab_size {segments}.",
            model.config.type_vocab_size
        )));
    }
    Ok(())
}

/// Training data, and the scoring split when it is not the development set.
fn split(all: Dataset, config: &ExperimentConfig) -> Result<(Dataset, Option<Dataset>)> {
    match config.importance.split {
        Split::Dev => Ok((all, None)),
        Split::Train(n) => {
            if n > all.len() {
                return Err(Error::usage(format!(
                    "importance.split=train:{n} asks for more examples than the {} of the training set. Use \
                     train:{} or less.",
                    all.len(),
                    all.len()
                )));
            }
            let (chosen, _) = all.choose(n, config.seed);
            let scoring = all.subset(&chosen);
            Ok((all, Some(scoring)))
        }
        Split::Heldout(fraction) => {
            let n = (all.len() as f64 * fraction).round() as usize;
            if n == 0 || n == all.len() {
                return Err(Error::usage(format!(
                    "importance.split=heldout:{fraction} of {} training examples leaves nothing on one side. Use a \
                     fraction such as 0.1.",
                    all.len()
                )));
            }
            let (chosen, rest) = all.choose(n, config.seed);
            Ok((all.subset(&rest), Some(all.subset(&chosen))))
        }
    }
}

/// Refuses examples that may be longer than the model's table of positions.
pub(super) fn check_length(config: &ExperimentConfig, model: &BertConfig, name: &str) -> Result<()> {
    let (length, positions) = (config.data.max_length, model.max_position_embeddings);
    if length <= positions {
        return Ok(());
    }
    Err(Error::usage(format!(
        "data.max_length is {length}, and {name} has {positions} positions (max_position_embeddings in its config.json). \
         Use `--set data.max_length={positions}` or less."
    )))
}

fn search_config(config: &ExperimentConfig) -> SearchConfig {
    SearchConfig {
        method: config.method,
        threshold: config.search.threshold,
        head_step: config.search.head_step,
        stale: config.search.stale,
        pruned_units: config.importance.pruned_units,
        keep_last_head: false,
    }
}

fn recipe(config: &ExperimentConfig) -> Recipe {
    let train = &config.train;
    Recipe {
        learning_rate: train.learning_rate,
        batch_size: train.batch_size,
        epochs: train.epochs,
        max_steps: None,
        warmup: train.warmup,
        clip: train.clip,
        optimizer: AdamW {
            beta1: train.beta1,
            beta2: train.beta2,
            epsilon: train.epsilon,
            weight_decay: train.weight_decay,
        },
        dropout: train.dropout as f32,
        attention_dropout: train.attention_dropout as f32,
        order_seed: config.order_seed(),
        dropout_seed: config.dropout_seed(),
    }
}
