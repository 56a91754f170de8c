//! The search for the good ticket: units of the fine-tuned model are scored and pruned step by step.

use super::files;
use crate::{
    choice::Choice,
    config::{ExperimentConfig, ImportanceConfig, Split, essential_section},
    error::Result,
    experiment::{
        Inputs,
        split::scoring,
        stage::{Given, Identity, Known, Stage},
        ticket::{TICKET, Ticket},
    },
    prune::{Method, ModelProbe, Pass, SearchRules},
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
    /// Selects the scoring examples; `None` for the development set.
    split_seed: Option<u64>,
    /// Written to the ticket; does not affect the search.
    #[serde(skip)]
    run_seed: u64,
}

impl Search {
    pub fn new(config: &ExperimentConfig, finetune: &'static str) -> Self {
        Self {
            finetune,
            method: config.method,
            importance: config.importance.clone(),
            search: config.search,
            split_seed: (config.importance.split != Split::Dev).then_some(config.seed),
            run_seed: config.seed,
        }
    }
}

impl Stage for Search {
    fn settings(&self) -> Value {
        json!(self)
    }

    fn reads(&self) -> Vec<&'static str> {
        vec![self.finetune]
    }

    fn weights_of(&self) -> Option<&'static str> {
        Some(self.finetune)
    }

    fn identity(&self, known: &Known) -> Result<Option<Identity>> {
        let Some(finetuned) = known.id(self.finetune) else { return Ok(None) };
        let mut inputs = self.settings();
        inputs["finetune"] = json!(finetuned.as_str());
        Ok(Some(Identity { kind: &SEARCH, inputs }))
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
        let trace = self.method.search(self.search).run(&mut probe, &mut *criterion, &mut |pass| {
            progress.borrow_mut().event(&Event::SearchPass(reported(pass)));
        })?;
        let metric = inputs.task.metric.name();
        progress.borrow_mut().end(&format!(
            "{}: {} passes, {} kept, {metric} {:.4} of {:.4}",
            given.id, trace.passes, trace.mask, trace.score, trace.full_score
        ));
        let passes = trace.passes;
        let ticket = Ticket {
            format_version: 1,
            task: inputs.task.name.to_owned(),
            method: self.method,
            seed: self.run_seed,
            layers: trace.mask.layers(),
            heads_per_layer: trace.mask.heads_per_layer(),
            estimator: self.importance.estimator,
            norm: criterion.norm().to_owned(),
            split: self.importance.split,
            metric: metric.to_owned(),
            full_score: trace.full_score,
            score: trace.score,
            threshold: self.search.threshold,
            exhausted: trace.exhausted,
            note: trace.note,
            mask: trace.mask,
            steps: trace.steps,
        };
        files::write_json(out, TICKET, &ticket)?;
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
