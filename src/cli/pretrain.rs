//! `lottery pretrain`: masked-LM pre-training and continuation.

use super::{
    console::{Console, feed, report_share},
    options::{numbers, real, size, store_folder, variable},
    output::{document, print, show},
    signals,
    table::{Column, Sheet},
    terminal,
};
use crate::{
    cores,
    engine::{Device, Machine},
    error::{Error, Result},
    experiment::pretraining::{
        self, PretrainRecord, PretrainSettings, Pretraining, Start, Vocabulary, check_out, copy_out,
    },
    ops::Format,
    store::Store,
    text::Unit,
    train::Progress,
};
use clap::{ArgGroup, Args};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const ABOUT: &str = "\
Masked-LM pre-training: from random weights (--config), or continued from a model (--model).

Selects 15 % of the tokens of running text (of these, 80 % are replaced by [MASK], 10 % by another token, 10 % are kept) and \
trains the model to predict them, as in Devlin et al. 2019, without the next-sentence task. Held-out text, always masked in \
the same way, is scored before the first step, during training and after the last step: perplexity and accuracy.

The result is a stage in the store: a folder that BertForMaskedLM.from_pretrained and --model can load. Running the same \
command again trains nothing; training that was stopped or killed resumes from its last checkpoint.";

const EXAMPLES: &str = "\
Examples:
  Continue a model's pre-training on text of a domain, and copy the result to a folder:
    lottery pretrain --model google-bert/bert-base-uncased --text corpus.txt.zst --out domain-bert

  From scratch, with a vocabulary trained on the text:
    lottery pretrain --config config.json --vocab-size 8000 --text a.txt --text b.txt.gz --epochs 10";

/// The flags of `lottery pretrain`.
#[derive(Args, Clone, Debug)]
#[command(about = "Masked-LM pre-training from random weights, or continued from a model")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("start").required(true).args(["model", "config"])))]
pub struct PretrainArgs {
    /// UTF-8 text to train on, also .gz or .zst; repeatable. demo: pairs of sentences from the demo task's grammar
    #[arg(long, value_name = "FILE|demo", required = true, help_heading = "Text")]
    text: Vec<String>,

    /// Held-out text for scoring [default: a part of the training text's lines, which is then not trained on]
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    heldout: Option<String>,

    /// Without --heldout: the fraction of lines to hold out; always the same lines, whatever the other settings
    #[arg(long, value_name = "FRACTION", default_value_t = 0.05, help_heading = "Text", value_parser = real)]
    heldout_fraction: f64,

    /// What sequences are cut from: file (all lines joined) or line (each line separately)
    #[arg(long, value_name = "UNIT", default_value = "file", help_heading = "Text")]
    unit: String,

    /// Tokens per sequence, including [CLS] and [SEP] [default: 128, or the model's number of positions]
    #[arg(long, value_name = "N", help_heading = "Text", value_parser = size)]
    max_length: Option<usize>,

    /// Pairs of sentences to generate for --text demo
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = numbers(2..=1_000_000), help_heading = "Text")]
    demo_pairs: u64,

    /// Start from this model: a folder, owner/name on the Hugging Face hub, or tiny
    ///
    /// Its masked-LM head is used if it has one, otherwise initialised from the seed.
    #[arg(long, value_name = "DIR|OWNER/NAME|tiny", help_heading = "Model")]
    model: Option<String>,

    /// Start from random weights, with the architecture in this config.json
    #[arg(long, value_name = "config.json", help_heading = "Model")]
    config: Option<String>,

    /// Initialise the masked-LM head from the seed even if the model has one
    #[arg(long, requires = "model", help_heading = "Model")]
    fresh_head: bool,

    /// With --config: train a lower-case WordPiece vocabulary of N tokens on the training text
    #[arg(long, value_name = "N", conflicts_with = "tokenizer", help_heading = "Model", value_parser = size)]
    vocab_size: Option<usize>,

    /// With --config: the folder of an existing tokenizer
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    tokenizer: Option<String>,

    /// Passes over the text
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers(1..=1_000_000), help_heading = "Training")]
    epochs: u64,

    /// Stop after N steps if the epochs have more; the learning-rate schedule ends there. 0: save the initial weights
    #[arg(long, value_name = "N", help_heading = "Training", value_parser = numbers(0..))]
    steps: Option<u64>,

    /// Sequences per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = numbers(1..=65_536), help_heading = "Training")]
    batch_size: u64,

    /// Peak learning rate, which decays linearly to 0
    #[arg(long, value_name = "RATE", default_value_t = 1e-4, help_heading = "Training", value_parser = real)]
    learning_rate: f64,

    /// Fraction of the steps in which the learning rate rises
    #[arg(long, value_name = "FRACTION", default_value_t = 0.06, help_heading = "Training", value_parser = real)]
    warmup: f64,

    #[arg(
        long,
        value_name = "DECAY",
        default_value_t = 0.01,
        help_heading = "Training",
        help = "AdamW's weight decay; not applied to biases and LayerNorms", value_parser = real)]
    weight_decay: f64,

    /// Dropout on hidden states and attention probabilities; overrides config.json
    #[arg(long, value_name = "RATE", default_value_t = 0.1, help_heading = "Training", value_parser = real)]
    dropout: f64,

    /// Seed of the initial weights, the order of sequences, the masks and dropout
    #[arg(long, value_name = "N", default_value_t = 1337, help_heading = "Training", value_parser = numbers(0..))]
    seed: u64,

    /// Steps between evaluations on held-out text [default: a tenth of all steps]
    #[arg(long, value_name = "N", value_parser = numbers(1..), help_heading = "Training")]
    evaluate_every: Option<u64>,

    /// Also copy the model's files to this folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,

    /// With --out: save the weights as 16-bit floats
    #[arg(long, requires = "out", help_heading = "Output")]
    half: bool,

    /// Where stages are kept [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    store: Option<PathBuf>,

    /// Seconds between checkpoints; 0 writes one after every step
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, help_heading = "Output", value_parser = real)]
    checkpoint_every: f64,

    /// Where to compute: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Output")]
    device: Device,

    /// Format of matrix products: f32, bf16 (weights and sums stay f32), or tf32 on CUDA
    #[arg(long, value_name = "TYPE", default_value = "f32", help_heading = "Training")]
    dtype: Format,

    /// CPU threads; the result does not depend on them [default: one per core, less those that other runs use]
    #[arg(long, value_name = "N", value_parser = numbers(1..=1024), help_heading = "Output")]
    threads: Option<u64>,

    /// Print the record as JSON on stdout, and nothing else
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print no progress and no notes, only errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

impl PretrainArgs {
    fn settings(&self) -> Result<PretrainSettings> {
        let unit =
            self.unit.parse::<Unit>().map_err(|e| Error::usage(format!("--unit {}: {e}.", self.unit)))?;
        let start = match (&self.model, &self.config) {
            (Some(model), _) => Start::Model(model.clone()),
            (None, Some(config)) => Start::Config(config.clone()),
            (None, None) => return Err(Error::usage("give --model or --config.")),
        };
        let vocabulary = match (self.vocab_size, &self.tokenizer) {
            (Some(size), _) => Vocabulary::Trained(size),
            (None, Some(dir)) => Vocabulary::Folder(dir.clone()),
            (None, None) => Vocabulary::OfModel,
        };
        Ok(PretrainSettings {
            start,
            vocabulary,
            fresh_head: self.fresh_head,
            text: self.text.clone(),
            heldout: self.heldout.clone(),
            heldout_fraction: self.heldout_fraction,
            demo_pairs: self.demo_pairs as usize,
            unit,
            max_length: self.max_length,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size as usize,
            epochs: self.epochs as usize,
            max_steps: self.steps,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            clip: 1.0,
            dropout: self.dropout,
            seed: self.seed,
            evaluate_every: self.evaluate_every,
            dtype: self.dtype,
        })
    }
}

pub fn run(arguments: &PretrainArgs) -> Result<()> {
    let every = Duration::try_from_secs_f64(arguments.checkpoint_every).map_err(|_| {
        Error::usage(format!(
            "--checkpoint-every {}: expected seconds, 0 or more, such as 60.",
            arguments.checkpoint_every
        ))
    })?;
    let threads = arguments.threads.map(|n| n as usize);
    let share = cores::begin(threads, None)?;
    let mut console = Console::new(arguments.quiet, signals::stop_flag()?);
    report_share(threads, share, &mut console);
    let mut arguments = arguments.clone();
    if let Some(note) = Machine::settle(arguments.device, &mut arguments.dtype) {
        console.note(&note);
    }
    let machine = Machine::open(arguments.device, arguments.dtype, &mut |why| console.note(why))?;
    let pretraining = Pretraining::load(arguments.settings()?, &mut console)?;
    feed(&machine);
    if let Some(out) = &arguments.out {
        check_out(out, &pretraining.id(), arguments.half)?;
    }
    let store = Store::open(&store_folder(arguments.store.as_deref(), variable))?;
    let (record, done) = pretraining::run(&machine, &pretraining, &store, every, &mut console)?;
    let folder = match &arguments.out {
        Some(out) => {
            copy_out(&done, out, arguments.half)?;
            out
        }
        None => done.dir(),
    };
    if arguments.json {
        return print(&document(&record)?);
    }
    show(&summary(&record, folder))
}

fn summary(record: &PretrainRecord, folder: &Path) -> String {
    let columns = ["step", "held-out loss", "perplexity", "accuracy"];
    let mut table = Sheet::new(columns.map(|name| (name, Column::Number)));
    for e in &record.evaluations {
        table.row([
            e.step.to_string(),
            format!("{:.4}", e.loss),
            e.perplexity_text(),
            format!("{:.4}", e.accuracy),
        ]);
    }
    format!("{}model: {}\n", table.text(terminal::width()), folder.display())
}
