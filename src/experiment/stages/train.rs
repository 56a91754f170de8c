//! Fine-tunes the pre-trained model, or a subnetwork rewound to its weights, and evaluates the result.

use super::{Gradual, Start, Subnetwork, files};
use crate::{
    config::{ExperimentConfig, Init, TrainConfig, essential_section},
    error::Result,
    experiment::{
        Inputs,
        inputs::Sources,
        split::HeldOut,
        stage::{Given, Identity, Known, Stage},
    },
    model::Bert,
    ops::optimizer::{AdamW, Adamax, Kind, Optimizer},
    prune::Mask,
    store::{FINETUNE, RETRAIN, StageKind, StageWriter},
    train::{
        Checkpoints, Dataset, Progress, Recipe, Select, Summary,
        finetune::{Labelled, finetune},
        gradual::Pruner,
        select::{Judge, best},
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{borrow::Cow, path::PathBuf};

/// Training from the pre-trained weights. All modes of a seed share that of the full model.
#[derive(Clone, Debug, Serialize)]
pub struct Train {
    #[serde(flatten)]
    sources: Sources,
    heldout: Option<HeldOut>,
    #[serde(serialize_with = "essential_section")]
    train: TrainConfig,
    seeds: Seeds,
    subnetwork: Subnetwork,
    #[serde(skip_serializing_if = "Start::is_pretrained")]
    start: Start,
    /// Ends early, on the schedule of the whole training.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Init>,
    /// One of so many trainings that one learning-rate schedule goes over, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<[u64; 2]>,
    /// Prunes single weights on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    gradual: Option<Gradual>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Seeds {
    order: u64,
    init: u64,
    dropout: u64,
}

impl Train {
    /// Training of the full model.
    pub fn new(config: &ExperimentConfig) -> Self {
        Self {
            sources: Sources::new(config),
            heldout: HeldOut::new(config),
            train: config.train.clone(),
            seeds: Seeds {
                order: config.order_seed(),
                init: config.init_seed(),
                dropout: config.dropout_seed(),
            },
            subnetwork: Subnetwork::Whole,
            start: Start::Pretrained,
            until: None,
            part: None,
            gradual: None,
        }
    }

    /// The same training of a subnetwork.
    pub fn of(&self, subnetwork: Subnetwork) -> Self {
        Self { subnetwork, ..self.clone() }
    }

    /// The same training from other weights.
    pub fn from(&self, start: Start) -> Self {
        Self { start, ..self.clone() }
    }

    /// The same training with this peak of the learning rate.
    pub fn at(&self, learning_rate: Option<f64>) -> Self {
        let learning_rate = learning_rate.unwrap_or(self.train.learning_rate);
        Self { train: TrainConfig { learning_rate, ..self.train.clone() }, ..self.clone() }
    }

    /// The same training, ended at this step or epoch.
    pub fn until(&self, point: Init) -> Self {
        Self { until: Some(point), ..self.clone() }
    }

    /// The same training on this part of one learning-rate schedule over so many trainings.
    pub fn part(&self, number: u64, of: u64) -> Self {
        Self { part: Some([number, of]), ..self.clone() }
    }

    /// The same training, in which single weights are pruned.
    pub fn gradually(&self, gradual: Gradual) -> Self {
        Self { gradual: Some(gradual), ..self.clone() }
    }

    /// What it reads of the task: its settings without those of the recipe and of the subnetwork.
    pub(super) fn data(&self) -> Value {
        let mut data = json!(self.sources);
        data["heldout"] = json!(self.heldout);
        data
    }

    /// The recipe and its seeds.
    pub(super) fn how(&self) -> Value {
        let all = json!(self);
        json!({ "train": all["train"], "seeds": all["seeds"] })
    }

    /// Puts the dropouts into a model's config that it was trained with.
    pub(super) fn tell_dropouts(&self, bert: &mut Bert) {
        let TrainConfig { dropout, attention_dropout, .. } = self.train;
        bert.config.set_dropouts([dropout, attention_dropout, self.train.classifier_dropout()]);
    }

    /// Where it is not that of the hidden states.
    pub(super) fn classifier_dropout(&self) -> Option<f64> {
        self.train.classifier_dropout
    }

    pub(super) fn init_seed(&self) -> u64 {
        self.seeds.init
    }

    /// The examples that are trained on.
    pub(super) fn examples<'a>(&self, inputs: &'a Inputs) -> Cow<'a, Dataset> {
        HeldOut::rest(self.heldout.as_ref(), &inputs.train)
    }

    /// Steps of all that is trained, of a training set of so many sequences.
    fn steps(&self, recipe: &Recipe, examples: usize) -> u64 {
        recipe.until.unwrap_or(u64::MAX).min(recipe.steps(examples))
    }

    /// How a training set of so many sequences is trained on.
    pub fn recipe(&self, examples: usize) -> Recipe {
        let train = &self.train;
        let until = self.until.map(|point| match point {
            Init::Step(step) => step,
            Init::Epoch(epochs) => (epochs * examples.div_ceil(train.batch_size) as f64).round() as u64,
            _ => u64::MAX,
        });
        let TrainConfig { beta1, beta2, epsilon, weight_decay, .. } = *train;
        Recipe {
            until,
            part: self.part,
            learning_rate: train.learning_rate,
            batch_size: train.batch_size,
            epochs: train.epochs,
            max_steps: None,
            warmup: train.warmup,
            clip: train.clip,
            optimizer: match train.optimizer {
                Kind::AdamW => Optimizer::AdamW(AdamW { beta1, beta2, epsilon, weight_decay }),
                Kind::Adamax => Optimizer::Adamax(Adamax { beta1, beta2, epsilon, weight_decay }),
            },
            schedule: train.schedule,
            batches: train.batches,
            dropout: train.dropout as f32,
            attention_dropout: train.attention_dropout as f32,
            classifier_dropout: train.classifier_dropout() as f32,
            order_seed: self.seeds.order,
            dropout_seed: self.seeds.dropout,
        }
    }

    fn kind(&self, mask: &Mask) -> &'static StageKind {
        if mask.is_whole() && self.gradual.is_none() { &FINETUNE } else { &RETRAIN }
    }
}

impl Stage for Train {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        self.start.node().into_iter().chain(self.subnetwork.reads()).collect()
    }

    fn weights_of(&self) -> Option<&'static str> {
        self.start.node()
    }

    fn writes_model(&self) -> bool {
        true
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let Some(mask) = self.subnetwork.mask(known)? else { return Ok(None) };
        let mut inputs = known.hashes.with_hashes(self.settings());
        let fields = inputs.as_object_mut().expect("a struct's fields");
        fields.remove("subnetwork");
        if !mask.is_whole() {
            fields.insert("mask".to_owned(), json!(mask));
        }
        if self.start == Start::Source {
            let Some(id) = known.hashes.source else { return Ok(None) };
            fields.insert("start".to_owned(), json!({ "source": id, "head": "drawn apart" }));
        }
        if let Some(node) = self.start.node() {
            let Some(id) = known.id(node) else { return Ok(None) };
            let what = if let Start::Head(_) = self.start { "head" } else { "stage" };
            fields.insert("start".to_owned(), json!({ what: id.as_str() }));
        }
        Ok(Some(Identity { kind: self.kind(&mask), inputs }))
    }

    fn describe(&self, inputs: &Inputs) -> String {
        let examples = HeldOut::remaining(self.heldout.as_ref(), &inputs.train);
        let steps = self.steps(&self.recipe(examples), examples);
        match self.subnetwork {
            Subnetwork::Whole if self.gradual.is_some() => {
                format!("{steps} steps, pruning weights gradually")
            }
            Subnetwork::Whole if self.start.is_pretrained() => format!("{steps} steps"),
            Subnetwork::Whole => format!("{steps} steps from {}", self.start),
            Subnetwork::Control { mode, .. } => {
                format!("{steps} steps of the {mode} subnetwork from {}", self.start)
            }
        }
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let (mut bert, summary) = self.retrain(given, out.checkpoint_dir(), progress)?;
        self.tell_dropouts(&mut bert);
        let metrics = files::evaluate(inputs, &bert, out)?;
        files::write_model(&bert, inputs.task.label_names(), &inputs.tokenizer, out)?;
        let rate = summary.rate();
        progress.end(&format!(
            "{}: {} steps in {:.1} s, {rate:.0} tokens/s, {}",
            given.id,
            summary.steps,
            summary.seconds,
            files::metric_text(inputs, &metrics)
        ));
        let mut info = files::trained(&summary);
        if let Some(epoch) = best(&summary.epoch_scores) {
            info["selected_epoch"] = json!(epoch + 1);
            info["epoch_scores"] = json!(summary.epoch_scores);
        }
        Ok(info)
    }

    fn retrain(
        &self,
        given: &Given,
        checkpoints: PathBuf,
        progress: &mut dyn Progress,
    ) -> Result<(Bert, Summary)> {
        let inputs = given.inputs;
        let mask = self.subnetwork.required_mask(given)?;
        let whole = self.start.weights(given, &mask, self.seeds.init, progress)?;
        let bert = mask.apply(&whole)?;
        drop(whole);
        let held = mask.held(&inputs.model.config, inputs.head())?;
        let train = self.examples(inputs);
        let recipe = self.recipe(train.len());
        progress.begin(self.kind(&mask).name, self.steps(&recipe, train.len()));
        let mut checkpoints = Checkpoints::new(checkpoints, given.checkpoint_every);
        let judge = Judge { task: inputs.task, dev: &inputs.dev };
        // The best epoch of a training that prunes would be one before it is through.
        let last = self.until.is_some() || self.gradual.is_some();
        let judge = (self.train.select == Select::BestEpoch && !last).then_some(judge);
        let gradual =
            self.gradual.map(|gradual| gradual.over(self.steps(&recipe, train.len()), &recipe, train.len()));
        let gradual = gradual.as_ref().map(|gradual| gradual as &dyn Pruner);
        let data = Labelled { train: &train, judge, gradual };
        finetune(&inputs.machine, bert, held.as_ref(), data, &recipe, &mut checkpoints, progress)
    }
}
