//! What a run will take, before it is started: how much it reads, and how fast this machine computes.

use super::{
    data_folder::data_folder,
    inputs::{Place, Sources},
    model_folder::model_folder,
    run::Experiment,
    stages::Train,
    workload,
};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    hub::HubSettings,
    text::Tokenizer,
    train::{Checkpoints, Event, Progress, Silent, finetune},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Examples of each split that are read to learn how long they are.
const SAMPLE: usize = 500;

/// What a run reads: tokens of the training and of the development set, once each, and the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tokens {
    pub train: f64,
    pub steps: f64,
    pub dev: f64,
}

/// The tokens of a run's data, by a sample of them. Nothing is downloaded.
///
/// # Errors
/// Model or data are not at hand.
pub fn tokens(config: &ExperimentConfig) -> Result<Tokens> {
    let folder = model_folder(&config.model, &mut Silent)?;
    let tokenizer = Tokenizer::from_folder(&folder.dir)?;
    let place = Place::of(config);
    let data = data_folder(config.task, place.folder(), &HubSettings::cache_only())?;
    let examples = workload::read(config.task.spec(), Path::new(&data.dir), place.texts())?;
    let limits = [config.data.train_limit, config.data.dev_limit];
    let (sample, [train, dev]) = examples.sampled(limits, SAMPLE);
    let sampled = sample.counts();
    let encoded = sample.encode(&tokenizer, &Sources::new(config), None)?;
    let scaled = |tokens: usize, of: usize, all: usize| tokens as f64 * all as f64 / of.max(1) as f64;
    let chosen = train as f64 * config.data.fraction;
    Ok(Tokens {
        train: scaled(encoded.train.tokens(), sampled[0], train) * config.data.fraction,
        steps: (chosen / config.train.batch_size as f64).ceil(),
        dev: scaled(encoded.dev.tokens(), sampled[1], dev),
    })
}

/// How fast training was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub tokens_per_s: f64,
    pub steps: u64,
}

/// Enough for the pace to be steady, and not longer than this.
const STEPS: u64 = 20;
const LONGEST: Duration = Duration::from_secs(40);

/// Takes a few real training steps of the whole model; nothing is kept.
///
/// # Errors
/// As those of the run.
pub fn measure(config: &ExperimentConfig) -> Result<Measured> {
    let experiment = Experiment::load(config.clone(), None, &mut Silent)?;
    let inputs = &experiment.inputs;
    let recipe = Train::new(config).recipe(inputs.train.len());
    let recipe = crate::train::Recipe { max_steps: Some(STEPS), ..recipe };
    let bert = inputs.model.clone().build(inputs.head(), config.seed, true)?;
    let folder = tempfile::tempdir().map_err(|e| Error::io(&std::env::temp_dir(), "write", &e))?;
    let mut checkpoints = Checkpoints::new(folder.path().join("checkpoint"), Duration::MAX);
    let mut meter = Meter { began: Instant::now(), first: None, last: None };
    match finetune(&inputs.machine, bert, None, &inputs.train, &recipe, &mut checkpoints, &mut meter) {
        // It took long enough.
        Ok(_) | Err(Error::Stopped(_)) => {}
        Err(error) => return Err(error),
    }
    meter.measured().ok_or_else(|| Error::internal("no step was measured"))
}

/// Notes when steps end. The first one also pays for memory and caches.
struct Meter {
    began: Instant,
    first: Option<(Instant, f64)>,
    last: Option<(u64, Instant, f64)>,
}

impl Meter {
    fn measured(&self) -> Option<Measured> {
        let (steps, at, tokens) = self.last?;
        let (from, before) = self.first.filter(|_| steps > 1).unwrap_or((self.began, 0.0));
        let seconds = at.duration_since(from).as_secs_f64();
        (seconds > 0.0).then(|| Measured { tokens_per_s: (tokens - before) / seconds, steps })
    }
}

impl Progress for Meter {
    fn begin(&mut self, _: &str, _: u64) {}
    fn step(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}

    fn event(&mut self, event: &Event) {
        if let Event::Step(step) = event {
            let now = Instant::now();
            // The rate is that since the first step began.
            let tokens = step.tokens_per_s * now.duration_since(self.began).as_secs_f64();
            self.first.get_or_insert((now, tokens));
            self.last = Some((step.step, now, tokens));
        }
    }

    fn stop_wanted(&self) -> bool {
        self.last.is_some_and(|(steps, ..)| steps > 2 && self.began.elapsed() > LONGEST)
    }
}
