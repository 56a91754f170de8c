//! Prunes single weights by their magnitude to a given share, without scoring: one-shot pruning, and a round of iterative
//! pruning (Chen et al. 2020, section 3).

use super::files;
use crate::{
    choice::Choice,
    config::ExperimentConfig,
    error::Result,
    experiment::{
        Inputs,
        stage::{Given, Identity, Known, Stage},
        ticket::Ticket,
    },
    model::params::Params,
    ops::select::Order,
    prune::{Kind, Mask, Method, PruneRules, Scope, Sparsity, WeightSet, prune_weights},
    store::{SEARCH, StageWriter},
    train::Progress,
};
use serde::Serialize;
use serde_json::{Value, json};

/// Prunes the weights of a trained model, or of the pre-trained one.
#[derive(Clone, Debug, Serialize)]
pub struct Magnitude {
    /// The node that trained the model; none for the pre-trained one.
    model: Option<&'static str>,
    /// The node with the mask that it was trained under.
    after: Option<&'static str>,
    method: Method,
    sparsity: Sparsity,
    weights: WeightSet,
    scope: Scope,
    /// Draws what the pre-trained model lacks.
    init: Option<u64>,
    /// Written to the ticket.
    #[serde(skip)]
    run_seed: u64,
}

/// How much is pruned where nothing is said: what Chen et al. 2020 transfer between tasks.
pub const USUAL: Sparsity = Sparsity { share: 0.7, of: crate::prune::Whole::Units };

impl Magnitude {
    /// Of the model that this node trains.
    pub fn of(config: &ExperimentConfig, model: &'static str) -> Self {
        let PruneRules { weights, scope, sparsity, .. } = config.prune;
        let usual = if config.method == Method::Magnitude { WeightSet::Prasanna } else { WeightSet::Chen };
        Self {
            model: Some(model),
            after: None,
            method: config.method,
            sparsity: sparsity.unwrap_or(USUAL),
            weights: weights.unwrap_or(usual),
            scope,
            init: None,
            run_seed: config.seed,
        }
    }

    /// Of the pre-trained model.
    pub fn of_pretrained(config: &ExperimentConfig) -> Self {
        Self { model: None, init: Some(config.init_seed()), ..Self::of(config, "") }
    }

    /// A round of iterative pruning: to this share, after the mask of another node.
    pub fn round(self, sparsity: Sparsity, after: Option<&'static str>) -> Self {
        Self { sparsity, after, ..self }
    }

    /// The mask, and what the same rule prunes last: of a round none, since its controls are of the last one.
    fn masks(&self, params: &Params, before: &Mask) -> Result<(Mask, Option<Mask>)> {
        let before = self.weights.of(before, &params.layout);
        let n = self
            .sparsity
            .of_weights(before.count(Kind::Weights).total, params.layout.encoder_parameters())?;
        let prune = |order| prune_weights(&before, params, n, self.scope, order);
        let opposite = self.after.is_none().then(|| prune(Order::Largest)).transpose()?;
        Ok((prune(Order::Smallest)?, opposite))
    }
}

impl Stage for Magnitude {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        self.model.into_iter().chain(self.after).collect()
    }

    fn weights_of(&self) -> Option<&'static str> {
        self.model
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let mut inputs = self.settings();
        match self.model {
            None => {
                inputs["pretrained"] = json!({ "sha256": known.hashes.weights, "config": known.hashes.model })
            }
            Some(node) => {
                let Some(id) = known.id(node) else { return Ok(None) };
                inputs["finetune"] = json!(id.as_str());
                inputs["model"] = Value::Null;
            }
        }
        if let Some(node) = self.after {
            let Some(id) = known.id(node) else { return Ok(None) };
            inputs["after"] = json!(id.as_str());
        }
        Ok(Some(Identity { kind: &SEARCH, inputs }))
    }

    fn describe(&self, _: &Inputs) -> String {
        let of = if self.model.is_some() { "trained" } else { "pre-trained" };
        format!("single weights of the {of} model to a sparsity of {}", self.sparsity)
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let model = &inputs.model.config;
        let bert = match self.model {
            Some(node) => files::load_model(inputs, given.outcome(node)?)?,
            None => inputs.model.clone().build(inputs.head(), self.init.unwrap_or_default(), true)?,
        };
        let before = match self.after {
            Some(node) => Ticket::read(given.outcome(node)?, model)?.mask,
            None => Mask::full(model.num_hidden_layers, model.num_attention_heads),
        };
        let (mask, opposite) = self.masks(&bert.params, &before)?;
        progress.note(&format!("{}: {} kept", given.id, mask));
        let metric = inputs.task.metric.name();
        let scores = self.model.map(|node| files::scores(inputs, given.outcome(node)?)).transpose()?;
        Ticket {
            format_version: 1,
            task: inputs.task.name.to_owned(),
            method: self.method,
            seed: self.run_seed,
            layers: mask.layers(),
            heads_per_layer: mask.heads_per_layer(),
            estimator: None,
            norm: None,
            split: None,
            metric: metric.to_owned(),
            full_score: scores.map(|scores| scores[metric]),
            score: None,
            threshold: None,
            exhausted: false,
            note: None,
            opposite,
            mask,
            steps: Vec::new(),
        }
        .write(out)?;
        Ok(json!({ "method": self.method.name(), "sparsity": self.sparsity }))
    }
}
