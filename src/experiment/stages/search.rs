//! The search for the good ticket: units of the fine-tuned model are scored and pruned step by step.

use super::files;
use crate::{
    choice::Choice,
    config::{ExperimentConfig, ImportanceConfig, essential_section},
    error::Result,
    experiment::{
        Inputs,
        split::scoring,
        stage::{Given, Identity, Known, Stage},
        ticket::Ticket,
    },
    prune::{Kind, Method, ModelProbe, Pass, PruneRules, SearchRules},
    store::{SEARCH, StageWriter},
    train::{Event, Progress, event::SearchPass},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;

/// The search by one method on one fine-tuned model.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The node that fine-tunes the model.
    finetune: &'static str,
    method: Method,
    #[serde(serialize_with = "essential_section")]
    importance: ImportanceConfig,
    #[serde(serialize_with = "essential_section")]
    search: SearchRules,
    /// Left out while nothing of it differs from its default.
    #[serde(serialize_with = "essential_section", skip_serializing_if = "is_default")]
    prune: PruneRules,
    /// Selects the scoring examples; see [`Split::seed`](crate::config::Split::seed).
    split_seed: Option<u64>,
    /// Written to the ticket; does not affect the search.
    #[serde(skip)]
    run_seed: u64,
}

fn is_default(rules: &PruneRules) -> bool {
    *rules == PruneRules::default()
}

impl Search {
    pub fn new(config: &ExperimentConfig, finetune: &'static str) -> Self {
        Self {
            finetune,
            method: config.method,
            importance: config.importance.clone(),
            search: config.search,
            prune: config.prune,
            split_seed: config.importance.split.seed(config.seed),
            run_seed: config.seed,
        }
    }
}

impl Stage for Search {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        Ok(Identity::after(self.finetune, "finetune", &SEARCH, self.settings(), known))
    }

    fn describe(&self, _: &Inputs) -> String {
        self.method.name().to_owned()
    }

    fn run(&self, given: &Given, out: &StageWriter, progress: &mut dyn Progress) -> Result<Value> {
        let inputs = given.inputs;
        let bert = files::load_model(inputs, given.outcome(self.finetune)?)?;
        let data = scoring(inputs, self.importance.split, self.split_seed)?;
        progress.begin(SEARCH.name, 0);
        // Both the probe and the search report to it: batches and passes.
        let progress = RefCell::new(progress);
        let mut probe = ModelProbe::new(&inputs.machine, &bert, &data, inputs.task, &progress);
        let mut criterion = self.importance.criterion(self.search.stale);
        let trace =
            self.method.search(self.search, self.prune).run(&mut probe, &mut *criterion, &mut |pass| {
                progress.borrow_mut().event(&Event::SearchPass(reported(pass)));
            })?;
        let metric = inputs.task.metric.name();
        progress.borrow_mut().end(&format!(
            "{}: {} passes, {} kept, {metric} {:.4} of {:.4}",
            given.id, trace.passes, trace.mask, trace.score, trace.full_score
        ));
        let passes = trace.passes;
        let units = !self.method.kinds().contains(&Kind::Weights);
        let ticket = Ticket {
            format_version: 1,
            task: inputs.task.name.to_owned(),
            method: self.method,
            seed: self.run_seed,
            layers: trace.mask.layers(),
            heads_per_layer: trace.mask.heads_per_layer(),
            estimator: units.then_some(self.importance.estimator),
            norm: units.then(|| criterion.norm().to_owned()),
            split: Some(self.importance.split),
            metric: metric.to_owned(),
            full_score: Some(trace.full_score),
            score: Some(trace.score),
            threshold: self.prune.sparsity.is_none().then_some(self.search.threshold),
            exhausted: trace.exhausted,
            note: trace.note,
            mask: trace.mask,
            opposite: trace.opposite,
            steps: trace.steps,
        };
        ticket.write(out)?;
        Ok(json!({ "passes": passes }))
    }
}

fn reported<'a>(pass: &Pass<'a>) -> SearchPass<'a> {
    let Pass { number, mask, score, threshold, step } = *pass;
    SearchPass {
        pass: number,
        phase: step.map_or("full", |step| step.phase.name()),
        pruned_heads: step.map_or(&[], |step| &step.pruned_heads),
        pruned_ffns: step.map_or(&[], |step| &step.pruned_ffns),
        heads_kept: mask.heads_kept(),
        ffns_kept: mask.ffns_kept(),
        score,
        threshold,
        accepted: step.is_none_or(|step| step.accepted),
    }
}
