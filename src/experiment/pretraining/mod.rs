//! One masked-LM pre-training, from text and a model or configuration to a model folder.

mod load;
mod out;
mod settings;

pub use super::text::DEMO_TEXT;
pub use load::Pretraining;
pub use out::{check_out, copy_out};
pub use settings::{PretrainSettings, Start, Vocabulary};

use super::{executor::find_or_compute, record, stages};
use crate::{
    engine::Machine,
    error::{Error, Result},
    model::{Bert, BertConfig},
    store::{Done, PRETRAIN, Store},
    train::{Checkpoints, MaskedText, Progress, checkpoint::Evaluation, pretrain},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// The record of a pre-training. Field names are fixed: other programs read them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PretrainRecord {
    pub format_version: u32,
    pub lottery_version: String,
    pub stage: String,
    pub model: Value,
    pub text: Value,
    pub steps: u64,
    pub tokens: u64,
    /// Scores on held-out text, with the same masking each time: before the first step, in between and after the last.
    pub evaluations: Vec<Evaluation>,
    /// The mean training loss of each completed epoch, in nats.
    pub epoch_losses: Vec<f64>,
    /// Includes the time of the evaluations.
    pub timing: Value,
    pub device: Value,
    pub config: Value,
}

/// Trains the model, or loads the result of the same training from the store.
pub fn run(
    machine: &Machine,
    pretraining: &Pretraining,
    store: &Store,
    checkpoint_every: Duration,
    progress: &mut dyn Progress,
) -> Result<(PretrainRecord, Done)> {
    let inputs = pretraining.inputs();
    let id = pretraining.id();
    let done = find_or_compute(machine, store, &id, &inputs, progress, |writer, progress| {
        let (bert, notes) = pretraining.initial_weights()?;
        notes.iter().for_each(|note| progress.note(note));
        let recipe = pretraining.settings.recipe();
        let total = recipe.steps(pretraining.train.len());
        progress.begin(PRETRAIN.name, total);
        let text = MaskedText {
            train: &pretraining.train,
            heldout: &pretraining.heldout,
            masking: &pretraining.masking,
            seed: pretraining.settings.seed,
            evaluate_every: pretraining.settings.evaluate_every.unwrap_or(total.div_ceil(10)),
        };
        let mut checkpoints = Checkpoints::new(writer.checkpoint_dir(), checkpoint_every);
        let (mut bert, summary) = pretrain(machine, bert, None, &text, &recipe, &mut checkpoints, progress)?;
        let rate = summary.rate();
        let dropout = pretraining.settings.dropout;
        bert.config.set_dropouts([dropout; 3]);
        stages::write_model(&bert, &[], &pretraining.tokenizer, writer)?;
        let record = PretrainRecord {
            format_version: 1,
            lottery_version: env!("CARGO_PKG_VERSION").to_owned(),
            stage: id.to_string(),
            model: describe(pretraining, &bert),
            text: pretraining.describe_text(),
            steps: summary.steps,
            tokens: summary.tokens,
            evaluations: summary.evaluations,
            epoch_losses: summary.epoch_losses,
            timing: json!({ "train_s": summary.seconds, "train_tokens_per_s": rate }),
            device: record::device(machine),
            config: serde_json::to_value(&pretraining.settings)
                .map_err(|e| Error::internal(e.to_string()))?,
        };
        stages::write_json(writer, "pretrain.json", &record)?;
        let last = record.evaluations.last().map(Evaluation::perplexity_text).unwrap_or_default();
        progress.end(&format!(
            "{id}: {} steps in {:.1} s, {rate:.0} tokens/s, held-out perplexity {last}",
            summary.steps, summary.seconds
        ));
        Ok(json!({ "seconds_before": summary.seconds_before, "computed_by": summary.computed_by }))
    })?;
    Ok((done.read_json("pretrain.json")?, done))
}

fn describe(pretraining: &Pretraining, bert: &Bert) -> Value {
    let BertConfig {
        vocab_size,
        hidden_size,
        num_hidden_layers,
        num_attention_heads,
        intermediate_size,
        max_position_embeddings,
        ..
    } = &bert.config;
    json!({
        "name": pretraining.name,
        "sha256": pretraining.model_sha256(),
        "layers": num_hidden_layers,
        "heads": num_attention_heads,
        "hidden": hidden_size,
        "ffn": intermediate_size,
        "vocabulary": vocab_size,
        "positions": max_position_embeddings,
        "parameters": bert.params.layout.parameters(),
    })
}
