//! The meaning of one run, complete: what the record repeats under `config`.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

use super::{Init, Split};
use crate::{
    choice::Choice,
    engine::Device,
    ops::{Format, optimizer},
    prune::{
        ControlRules, Criterion, CriterionRules, Estimator, Method, Mode, Norm, PruneRules, PrunedUnits,
        SearchRules,
    },
    task::TaskId,
    train::{Batches, MaskedUnits, Schedule, Select},
};

/// One task × mode × seed. A setting that is added has a default, with which what was computed before stays as it is: see
/// [`essential`](super::essential()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    pub task: TaskId,
    /// Which subnetwork is retrained.
    pub mode: Mode,
    /// What the search may prune.
    pub method: Method,
    pub seed: u64,
    /// The preset below the file and the flags.
    pub preset: Option<String>,
    /// A folder, or `owner/name[@revision]` on the Hugging Face hub.
    pub model: String,
    /// A ticket file whose mask stands in the place of a search, with the method `ticket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The task whose ticket is taken, found by the method, in the place of one of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_from: Option<TaskId>,
    /// Which weights the subnetwork is retrained from.
    #[serde(default)]
    pub init: Init,
    /// The folder of the model as it is after fine-tuning, or its name on the hub; fine-tuning is then not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetuned: Option<String>,
    #[serde(default)]
    pub data: DataConfig,
    #[serde(default)]
    pub train: TrainConfig,
    #[serde(default)]
    pub importance: ImportanceConfig,
    #[serde(default)]
    pub search: SearchRules,
    #[serde(default)]
    pub prune: PruneRules,
    #[serde(default)]
    pub control: ControlRules,
    #[serde(default)]
    pub shared: SharedConfig,
    /// Settings of the tasks that share the encoder where they are not this run's: by task, then as those of a run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, toml::Table>,
    #[serde(default)]
    pub seeds: SeedsConfig,
    /// How, not what: this section enters no stage's hash.
    #[serde(default)]
    pub run: RunConfig,
}

/// A part of a run's settings, under this key.
pub trait Section {
    const NAME: &'static str;
}

impl Section for TrainConfig {
    const NAME: &'static str = "train";
}

impl Section for ImportanceConfig {
    const NAME: &'static str = "importance";
}

impl Section for SearchRules {
    const NAME: &'static str = "search";
}

impl Section for PruneRules {
    const NAME: &'static str = "prune";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The folder with `RTE/train.tsv`, …; relative to the working directory. `demo` needs none.
    pub dir: Option<String>,
    /// Of masked words: a text, one paragraph a line, or `demo`.
    pub text: Option<String>,
    /// Of masked words: the text that scores; without it a part of the lines of `text`.
    pub dev_text: Option<String>,
    /// Tokens per example, `[CLS]` and `[SEP]` included.
    pub max_length: usize,
    /// Of SQuAD: tokens of a paragraph that two neighbouring windows share.
    pub doc_stride: usize,
    /// Of SQuAD: tokens of a question; what is longer loses its end.
    pub max_question_length: usize,
    /// Keep only the first N training examples.
    pub train_limit: Option<usize>,
    /// Keep only the first N development examples.
    pub dev_limit: Option<usize>,
    /// Keep this share of the training examples, in (0, 1], stratified by label; a smaller share is a part of a larger one.
    pub fraction: f64,
}

/// The recipe of both fine-tunings: of the full model and of the rewound subnetwork.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// The peak.
    pub learning_rate: f64,
    pub batch_size: usize,
    pub epochs: usize,
    /// The part of all steps in which the learning rate rises from 0.
    pub warmup: f64,
    /// Decoupled; not for biases and LayerNorm.
    pub weight_decay: f64,
    /// The largest global L2 norm of the gradient.
    pub clip: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Of the embeddings and both block outputs.
    pub dropout: f64,
    /// Of the attention probabilities.
    pub attention_dropout: f64,
    /// Of the classifier's input; without a value, `dropout`.
    pub classifier_dropout: Option<f64>,
    pub optimizer: optimizer::Kind,
    pub schedule: Schedule,
    pub batches: Batches,
    /// Which weights are kept: the last ones or the best epoch's.
    pub select: Select,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportanceConfig {
    pub estimator: Estimator,
    pub norm: Norm,
    pub split: Split,
    pub pruned_units: PrunedUnits,
    /// Examples per scoring batch; has a meaning for the estimators `batch`, `cumulative` and `token-cumulative` alone.
    pub batch_size: usize,
}

/// The tasks that share an encoder in the second training (Liang et al. 2021, section 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedConfig {
    /// All tasks that are trained together; without any, the run's alone. The run's own may be among them.
    pub tasks: Vec<TaskId>,
    /// The power of a task's size that its share of the batches is in proportion to.
    pub temper: f64,
    /// Whether the run's task is trained once more, alone, from the weights that all tasks have found.
    pub finetune: bool,
    /// The peak of their training; without a value that of the tasks, which is then the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// The peak of the training that goes on from there, alone; without a value that of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune_learning_rate: Option<f64>,
    /// What becomes of units in the steps of a task whose ticket has them not.
    pub masked_units: MaskedUnits,
}

impl Default for SharedConfig {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            temper: 1.0,
            finetune: false,
            learning_rate: None,
            finetune_learning_rate: None,
            masked_units: MaskedUnits::default(),
        }
    }
}

impl SharedConfig {
    /// Whether tasks are trained together.
    pub fn is_wanted(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The tasks beside this one.
    pub fn others(&self, than: TaskId) -> Vec<TaskId> {
        let mut others: Vec<TaskId> = self.tasks.iter().copied().filter(|task| *task != than).collect();
        others.sort_unstable_by_key(|task| task.name());
        others.dedup();
        others
    }
}

/// Seeds that differ from the run's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedsConfig {
    /// Of the order of the training examples.
    pub order: Option<u64>,
    /// Of the classifier's first weights.
    pub init: Option<u64>,
    pub dropout: Option<u64>,
    /// Of the examples that `data.fraction` chooses.
    pub data: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    pub device: Device,
    pub dtype: Format,
    /// CPU threads; without a value, a share of the cores.
    pub threads: Option<usize>,
    /// Seconds between checkpoints of a training; 0 asks for one after every step.
    pub checkpoint_every: f64,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { device: Device::default(), dtype: Format::default(), threads: None, checkpoint_every: 60.0 }
    }
}

impl RunConfig {
    /// The time between checkpoints; for ever where a duration cannot hold it.
    pub fn checkpoint_interval(&self) -> Duration {
        Duration::try_from_secs_f64(self.checkpoint_every).unwrap_or(Duration::MAX)
    }
}

impl ExperimentConfig {
    /// The defaults for this task, model and data folder; they are the recipe of `prasanna2020`.
    pub fn new(task: TaskId, model: impl Into<String>, data_dir: impl Into<String>) -> Self {
        Self {
            task,
            mode: Mode::Good,
            method: Method::HeadsFfns,
            seed: 1337,
            preset: None,
            model: model.into(),
            ticket: None,
            ticket_from: None,
            init: Init::Pretrained,
            finetuned: None,
            data: DataConfig { dir: Some(data_dir.into()), ..DataConfig::default() },
            train: TrainConfig::default(),
            importance: ImportanceConfig::default(),
            search: SearchRules::default(),
            prune: PruneRules::default(),
            control: ControlRules::default(),
            shared: SharedConfig::default(),
            tasks: BTreeMap::new(),
            seeds: SeedsConfig::default(),
            run: RunConfig::default(),
        }
    }

    /// Whether the run's subnetwork is trained with those of other tasks. Of a run that continues another, they have shared that
    /// one's encoder.
    pub fn shares_encoder(&self) -> bool {
        self.shared.is_wanted() && self.init != Init::Source
    }

    pub fn order_seed(&self) -> u64 {
        self.seeds.order.unwrap_or(self.seed)
    }

    pub fn init_seed(&self) -> u64 {
        self.seeds.init.unwrap_or(self.seed)
    }

    pub fn dropout_seed(&self) -> u64 {
        self.seeds.dropout.unwrap_or(self.seed)
    }

    pub fn data_seed(&self) -> u64 {
        self.seeds.data.unwrap_or(self.seed)
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dir: None,
            text: None,
            dev_text: None,
            max_length: 128,
            doc_stride: 128,
            max_question_length: 64,
            train_limit: None,
            dev_limit: None,
            fraction: 1.0,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            learning_rate: 2e-5,
            batch_size: 32,
            epochs: 3,
            warmup: 0.0,
            weight_decay: 0.0,
            clip: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            dropout: 0.1,
            attention_dropout: 0.1,
            classifier_dropout: None,
            optimizer: optimizer::Kind::default(),
            schedule: Schedule::default(),
            batches: Batches::default(),
            select: Select::default(),
        }
    }
}

impl TrainConfig {
    pub fn classifier_dropout(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.dropout)
    }
}

impl Default for ImportanceConfig {
    fn default() -> Self {
        Self {
            estimator: Estimator::Example,
            norm: Norm::default(),
            split: Split::Dev,
            pruned_units: PrunedUnits::Excluded,
            batch_size: 64,
        }
    }
}

impl ImportanceConfig {
    /// What scores units; with `stale` for a search that ranks units of one mask by what was measured at another.
    pub fn criterion(&self, stale: bool) -> Box<dyn Criterion> {
        let Self { norm, pruned_units, batch_size, .. } = *self;
        self.estimator.criterion(CriterionRules { norm, pruned_units, batch_size, stale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_reads_back_from_json_as_it_was() {
        let mut config = ExperimentConfig::new(TaskId::Rte, "model", "glue");
        config.importance.split = Split::Heldout(0.1);
        config.run.device = Device::Cuda(1);
        config.seeds.init = Some(7);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ExperimentConfig>(&json).unwrap(), config);
        assert!(serde_json::from_str::<ExperimentConfig>(&json.replace("epochs", "epoch")).is_err());
    }

    #[test]
    fn settings_that_an_older_file_lacks_have_their_defaults() {
        let config = ExperimentConfig::new(TaskId::Rte, "model", "glue");
        let mut json = serde_json::to_value(&config).unwrap();
        json.as_object_mut().unwrap().shift_remove("control");
        json["train"].as_object_mut().unwrap().shift_remove("warmup");
        json["data"].as_object_mut().unwrap().shift_remove("dev_limit");
        assert_eq!(serde_json::from_value::<ExperimentConfig>(json).unwrap(), config);
    }

    #[test]
    fn seeds_follow_the_run_unless_set() {
        let mut config = ExperimentConfig::new(TaskId::Rte, "model", "glue");
        config.seed = 42;
        config.seeds.order = Some(7);
        assert_eq!((config.order_seed(), config.init_seed(), config.dropout_seed()), (7, 42, 42));
    }
}
