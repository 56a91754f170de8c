//! The search of the good ticket: units of the fine-tuned model are scored and pruned step by step.

use super::files;
use crate::{
    choice::Choice,
    config::{ExperimentConfig, ImportanceConfig, SearchConfig, Split, essential_section},
    error::Result,
    experiment::{
        Inputs,
        split::scoring,
        stage::{Given, Identity, Known, Stage},
        ticket::{TICKET, Ticket},
    },
    prune::{self, Method, PrunedUnits, Tried, scorer::ModelScorer},
    store::{SEARCH, StageWriter},
    train::{Event, Progress, event::SearchPass},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;

/// The search by one method on one fine-tuned model.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The node that has the model.
    finetune: &'static str,
    method: Method,
    #[serde(serialize_with = "essential_section")]
    importance: ImportanceConfig,
    #[serde(serialize_with = "essential_section")]
    search: SearchConfig,
    /// Of the choice of scoring examples, where there is one.
    split_seed: Option<u64>,
    /// Told in the ticket; it decides nothing here.
    #[serde(skip)]
    run_seed: u64,
}

impl Search {
    pub fn new(config: &ExperimentConfig, finetune: &'static str) -> Self {
        Self {
            finetune,
            method: config.method,
            importance: config.importance.clone(),
            search: config.search.clone(),
            split_seed: (config.importance.split != Split::Dev).then_some(config.seed),
            run_seed: config.seed,
        }
    }

    fn rules(&self) -> prune::SearchConfig {
        prune::SearchConfig {
            method: self.method,
            threshold: self.search.threshold,
            head_step: self.search.head_step,
            stale: self.search.stale,
            pruned_units: self.importance.pruned_units,
            keep_last_head: false,
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
        let (layers, heads) = (bert.config.num_hidden_layers, bert.config.num_attention_heads);
        let rules = self.rules();
        let data = scoring(inputs, self.importance.split, self.split_seed)?;
        progress.begin(SEARCH.name, 0);
        // The scorer reports batches, the search passes.
        let progress = RefCell::new(progress);
        let mut scorer = ModelScorer {
            machine: &inputs.machine,
            bert: &bert,
            data: &data,
            task: inputs.task,
            estimator: self.importance.estimator,
            pruned_units: if rules.stale { PrunedUnits::Included } else { rules.pruned_units },
            batch_size: self.importance.batch_size,
            progress: &progress,
            passes: 0,
        };
        let outcome = prune::search(&rules, layers, heads, &mut scorer, &mut |tried| {
            progress.borrow_mut().event(&Event::SearchPass(pass(tried)));
        })?;
        let metric = inputs.task.metric.name();
        progress.borrow_mut().end(&format!(
            "{}: {} passes, {} of {} heads and {} of {} FFNs kept, {metric} {:.4} of {:.4}",
            given.id,
            outcome.passes,
            outcome.mask.heads_kept(),
            outcome.mask.heads_total(),
            outcome.mask.ffns_kept(),
            outcome.mask.ffns_total(),
            outcome.score,
            outcome.full_score
        ));
        let passes = outcome.passes;
        let ticket = Ticket {
            format_version: 1,
            task: inputs.task.name.to_owned(),
            method: self.method,
            seed: self.run_seed,
            layers,
            heads_per_layer: heads,
            estimator: self.importance.estimator,
            norm: Ticket::norm(rules.pruned_units).to_owned(),
            split: self.importance.split,
            metric: metric.to_owned(),
            full_score: outcome.full_score,
            score: outcome.score,
            threshold: rules.threshold,
            exhausted: outcome.exhausted,
            note: outcome.note,
            mask: outcome.mask,
            steps: outcome.steps,
        };
        files::write_json(out, TICKET, &ticket)?;
        Ok(json!({ "passes": passes }))
    }
}

fn pass<'a>(tried: &Tried<'a>) -> SearchPass<'a> {
    let Tried { number, mask, score, threshold, step } = *tried;
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
