//! Trains the subnetworks of several tasks together, on one encoder (Liang et al. 2021, algorithm 1; without tickets Liu et
//! al. 2019, algorithm 1).

use super::{Subnetwork, files, train::Train};
use crate::{
    choice::Choice,
    config::{ExperimentConfig, SharedConfig},
    error::{Error, Result},
    experiment::{
        Inputs,
        identity::Hashes,
        stage::{Given, Identity, Known, Stage},
    },
    model::{Bert, Head},
    prune::Mask,
    store::{SHARED, StageWriter, WEIGHTS},
    train::{
        Checkpoints, MaskedUnits, Progress, Summary,
        several::{Interleaved, OneTask, train_several},
    },
};
use serde_json::{Value, json};
use std::{borrow::Cow, path::PathBuf};

/// A task of several, as it is trained.
#[derive(Clone, Debug)]
pub struct Member(Train);

impl Member {
    pub fn new(config: &ExperimentConfig) -> Self {
        Self(Train::new(config))
    }

    fn classifier_dropout(&self) -> f32 {
        self.0.recipe(0).classifier_dropout
    }

    /// What the training depends on of this task; of its dropout where the recipe does not say it.
    fn identity(&self, hashes: &Hashes, mask: &Mask, own_dropout: bool) -> Value {
        let mut identity = hashes.with_hashes(self.0.data());
        if own_dropout {
            identity["classifier_dropout"] = json!(self.classifier_dropout());
        }
        if !mask.is_whole() {
            identity["mask"] = json!(mask);
        }
        identity
    }
}

/// Training of an encoder and a classifier for each task.
#[derive(Clone, Debug)]
pub struct TrainShared {
    own: Member,
    /// The run's subnetwork.
    subnetwork: Subnetwork,
    /// All tasks, in the order of their classifiers.
    tasks: Vec<&'static str>,
    temper: f64,
    masked: MaskedUnits,
    /// The settings of the other tasks, where they differ.
    others: Value,
    name: &'static str,
}

/// A task with everything that its training needs.
struct Ready<'a> {
    inputs: &'a Inputs,
    member: &'a Member,
    mask: Cow<'a, Mask>,
}

impl TrainShared {
    pub fn new(config: &ExperimentConfig, subnetwork: Subnetwork) -> Self {
        let name = config.task.name();
        let mut tasks: Vec<_> =
            config.shared.others(config.task).into_iter().map(|task| task.name()).collect();
        tasks.push(name);
        tasks.sort_unstable();
        let SharedConfig { temper, learning_rate, masked_units: masked, .. } = config.shared;
        let own = Member(Train::new(config).at(learning_rate));
        Self { own, subnetwork, tasks, temper, masked, others: json!(config.tasks), name }
    }

    /// The number of the run's task among the classifiers.
    pub fn classifier(&self) -> usize {
        self.tasks.iter().position(|task| *task == self.name).unwrap_or(0)
    }

    fn ready<'a>(&'a self, given: &Given<'a>) -> Result<Vec<Ready<'a>>> {
        let partners = given.inputs.partners.iter();
        let mut all: Vec<Ready> = partners
            .map(|partner| Ready {
                inputs: &partner.inputs,
                member: &partner.member,
                mask: Cow::Borrowed(&partner.mask),
            })
            .collect();
        let mask = Cow::Owned(self.subnetwork.required_mask(given)?);
        all.push(Ready { inputs: given.inputs, member: &self.own, mask });
        all.sort_unstable_by_key(|one| one.inputs.task.name);
        Ok(all)
    }

    /// Adds what is not as usual.
    fn add_options(&self, to: &mut Value) {
        if self.masked != MaskedUnits::default() {
            to["masked_units"] = json!(self.masked);
        }
    }

    fn labels(inputs: &Inputs) -> Result<usize> {
        match inputs.head() {
            Head::Classifier { labels } => Ok(labels),
            Head::Spans | Head::MaskedLm => Err(Error::usage(format!(
                "shared.tasks: {} has no classifier. Tasks of classes or scores can share an encoder.",
                inputs.task.name
            ))),
        }
    }

    /// Puts the dropouts into a model's config that it was trained with.
    pub fn tell_dropouts(&self, bert: &mut Bert) {
        self.own.0.tell_dropouts(bert);
    }

    /// The model that was trained, from its stage.
    pub fn load(&self, given: &Given, node: &str) -> Result<Bert> {
        let labels =
            self.ready(given)?.iter().map(|one| Self::labels(one.inputs)).collect::<Result<Vec<_>>>()?;
        let path = given.outcome(node)?.verified_path(WEIGHTS)?;
        Bert::read_several(&given.inputs.model.config, &labels, &path)
    }

    /// Trains it.
    pub fn train(
        &self,
        given: &Given,
        checkpoints: PathBuf,
        progress: &mut dyn Progress,
    ) -> Result<(Bert, Summary)> {
        let all = self.ready(given)?;
        if let Some(one) = all.iter().find(|one| one.mask.holds()) {
            return Err(Error::usage(format!(
                "shared.tasks: the ticket of {} is of single weights, and tasks share an encoder by heads and FFNs. Choose \
                 another --method, such as one-shot.",
                one.inputs.task.name
            )));
        }
        let labels = all.iter().map(|one| Self::labels(one.inputs)).collect::<Result<Vec<_>>>()?;
        let train = &self.own.0;
        let mut pretrained = given.inputs.model.clone();
        let bert = pretrained.build(Head::Classifier { labels: labels[0] }, train.init_seed(), true)?;
        pretrained.notes.iter().for_each(|note| progress.note(note));
        let bert = bert.of_several(&labels, train.init_seed());
        let data: Vec<_> = all.iter().map(|one| one.member.0.examples(one.inputs)).collect();
        let recipe = train.recipe(0);
        let sizes: Vec<usize> = data.iter().map(|data| data.len()).collect();
        let order = Interleaved::new(&sizes, &recipe, self.temper);
        let tasks: Vec<OneTask> = all
            .iter()
            .zip(&data)
            .map(|(one, data)| OneTask {
                train: data,
                gates: (!one.mask.is_whole()).then(|| one.mask.gates()),
                classifier_dropout: one.member.classifier_dropout(),
            })
            .collect();
        progress.begin(SHARED.name, recipe.steps_of(order.steps()));
        let mut checkpoints = Checkpoints::new(checkpoints, given.checkpoint_every);
        let (machine, masked) = (&given.inputs.machine, self.masked);
        train_several(machine, bert, &tasks, order, masked, &recipe, &mut checkpoints, progress)
    }
}

impl Stage for TrainShared {
    fn settings(&self) -> Value {
        let Self { tasks, temper, own, subnetwork, .. } = self;
        let mut settings =
            json!({ "tasks": tasks, "temper": temper, "train": own.0.settings(), "subnetwork": subnetwork });
        self.add_options(&mut settings);
        if self.others != json!({}) {
            settings["others"] = self.others.clone();
        }
        settings
    }

    fn reads(&self) -> Vec<&'static str> {
        self.subnetwork.reads()
    }

    fn writes_model(&self) -> bool {
        true
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let partners = known.hashes.partners;
        let Some(mask) = self.subnetwork.mask(known)?.filter(|_| partners.len() + 1 == self.tasks.len())
        else {
            return Ok(None);
        };
        let dropout = self.own.0.classifier_dropout();
        let own_dropouts = partners.iter().any(|one| one.member.0.classifier_dropout() != dropout);
        let of_partners = partners.iter().map(|one| {
            let identity = one.member.identity(&one.inputs.hashes(), &one.mask, own_dropouts);
            (one.inputs.task.name, identity)
        });
        let own = (self.name, self.own.identity(&known.hashes, &mask, own_dropouts));
        let mut members: Vec<(&str, Value)> = of_partners.chain([own]).collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        let mut inputs = self.own.0.how();
        if let Some(recipe) = inputs["train"].as_object_mut().filter(|_| own_dropouts) {
            recipe.remove("classifier_dropout");
        }
        self.add_options(&mut inputs);
        inputs["members"] = members.into_iter().map(|(_, member)| member).collect();
        inputs["temper"] = json!(self.temper);
        // Before, all began alike.
        inputs["classifiers"] = json!("drawn apart");
        Ok(Some(Identity { kind: &SHARED, inputs }))
    }

    fn describe(&self, _: &Inputs) -> String {
        format!("{} on one encoder", self.tasks.join(", "))
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let (bert, summary) = self.train(given, out.checkpoint_dir(), progress)?;
        out.write(WEIGHTS, &bert.to_safetensors()?)?;
        let rate = summary.rate();
        progress.end(&format!(
            "{}: {} steps of {} in {:.1} s, {rate:.0} tokens/s",
            given.id,
            summary.steps,
            self.tasks.join(", "),
            summary.seconds
        ));
        let mut info = files::trained(&summary);
        info["tasks"] = json!(self.tasks);
        Ok(info)
    }

    fn retrain(
        &self,
        given: &Given,
        checkpoints: PathBuf,
        progress: &mut dyn Progress,
    ) -> Result<(Bert, Summary)> {
        self.train(given, checkpoints, progress)
    }
}
