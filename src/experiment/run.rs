//! One run: its settings, inputs and graph; its execution, and its dry run.

use super::{
    Inputs, Record,
    dropouts::dropout_notes,
    executor::execute,
    graph::Graph,
    inputs::Sources,
    protocol::{self, Protocol},
    split::{self, training_data},
    stage::{Known, Outcomes},
    ticket_file::TicketFile,
};
use crate::{
    choice::Choice,
    config::ExperimentConfig,
    error::{Error, Result},
    file,
    store::{Done, Store, WEIGHTS},
    train::{Event, Progress},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A run whose inputs are loaded and checked.
pub struct Experiment {
    pub config: ExperimentConfig,
    pub inputs: Inputs,
    pub(super) protocol: &'static dyn Protocol,
    pub(super) graph: Graph,
}

impl Experiment {
    /// Reads the model, the tokenizer and the data. `cache` is a folder for encoded texts.
    pub fn load(config: ExperimentConfig, cache: Option<&Path>, progress: &mut dyn Progress) -> Result<Self> {
        let protocol = protocol::protocol(&config);
        let graph = protocol.graph(&config)?;
        let ticket = config.ticket.as_deref().map(|path| TicketFile::read(Path::new(path))).transpose()?;
        let inputs = Inputs::load(&Sources::new(&config), config.run.device, cache, progress)?;
        let inputs = inputs.with_ticket(ticket)?.with_finetuned(config.finetuned.as_deref(), progress)?;
        let hidden = ("--set train.dropout=", config.train.dropout);
        let attention = ("--set train.attention_dropout=", config.train.attention_dropout);
        let classifier = ("--set train.classifier_dropout=", config.train.classifier_dropout());
        dropout_notes(&inputs.model.config, [hidden, attention, classifier])
            .iter()
            .for_each(|note| progress.note(note));
        split::check(config.importance.split, &inputs.train)?;
        let experiment = Self { config, inputs, protocol, graph };
        experiment.describe(progress);
        Ok(experiment)
    }

    /// With the ticket that another run has found.
    pub fn with_ticket(self, file: TicketFile) -> Result<Self> {
        Ok(Self { inputs: self.inputs.with_ticket(Some(file))?, ..self })
    }

    fn describe(&self, progress: &mut dyn Progress) {
        let Inputs { task, dev, model, folder, .. } = &self.inputs;
        let train = training_data(&self.config, &self.inputs);
        let windows = match dev.questioned {
            Some(_) => format!(" in {} and {} windows", train.len(), dev.len()),
            None => String::new(),
        };
        progress.note(&format!(
            "{}: {} training and {} development examples{windows}, {:.1} tokens on average; {}: {} layers × {} heads, \
             hidden size {}",
            task.folder,
            train.examples(),
            dev.examples(),
            train.tokens() as f64 / train.len() as f64,
            folder.name,
            model.config.num_hidden_layers,
            model.config.num_attention_heads,
            model.config.hidden_size,
        ));
        if let Some(chosen) = &self.inputs.chosen {
            let (n, of) = (chosen.indices.len(), chosen.of);
            progress.note(&format!("{n} of {of} training examples, chosen by label (data.fraction)"));
        }
        let longest = self.config.data.max_length;
        let [in_train, in_dev] = [&*train, dev].map(|data| data.of_length(longest));
        if in_train + in_dev > 0 && windows.is_empty() && dev.masking.is_none() {
            progress.note(&format!(
                "{in_train} training and {in_dev} development examples have the maximum of {longest} tokens; longer ones are \
                 truncated (data.max_length)"
            ));
        }
    }

    fn record_path(&self, store: &Store) -> PathBuf {
        let config = &self.config;
        store.results_path(config.task.name(), config.method.name(), config.mode.name(), config.seed)
    }

    /// The number of stages that train a model, whether they are done or not.
    pub fn trainings(&self) -> u64 {
        self.graph.nodes().iter().filter(|node| node.stage.writes_model()).count() as u64
    }

    /// The stages that runs with other settings may share, by their names in the record.
    pub fn shared_stages(&self) -> impl Iterator<Item = &'static str> {
        self.graph.nodes().iter().map(|node| node.name).filter(|name| self.graph.is_read(name))
    }
}

/// Executes all stages and writes the record.
pub fn run(experiment: &Experiment, store: &Store, progress: &mut dyn Progress) -> Result<(Record, PathBuf)> {
    let Experiment { config, inputs, protocol, graph } = experiment;
    let every = config.run.checkpoint_interval();
    let done = execute(graph, inputs, every, store, progress)?;
    check_stages(done.values(), store)?;
    let mut record = protocol.record(config, inputs, &done)?;
    let path = experiment.record_path(store);
    if let Some(earlier) = file::read_if_there(&path)? {
        keep_provenance(&mut record, &earlier);
    }
    let text = serde_json::to_string_pretty(&record).map_err(|e| Error::internal(e.to_string()))?;
    if let Some(moved) = store.write_record(&path, &format!("{text}\n"))? {
        progress.note(&format!("moved the earlier record, which has other settings, to {}", moved.display()));
    }
    progress.event(&Event::RecordWritten { path: &path });
    Ok((record, path))
}

/// Leaves a record that is made again by loading what was computed before as it is.
fn keep_provenance(record: &mut Record, earlier: &[u8]) {
    let Ok(mut earlier) = serde_json::from_slice::<Value>(earlier) else { return };
    let of_earlier = std::mem::replace(&mut earlier["provenance"], record.provenance.clone());
    if of_earlier.is_object() && json!(record) == earlier {
        record.provenance = of_earlier;
    }
}

/// Checks that the stages that a record will name are still in the store.
///
/// # Errors
/// Data: one of them was removed or changed during the run.
fn check_stages<'a>(stages: impl Iterator<Item = &'a Done>, store: &Store) -> Result<()> {
    for done in stages {
        let now = store.stage(done.id()).load_by_size()?;
        if !now.is_some_and(|now| now.is_same(done)) {
            return Err(Error::data(format!(
                "stage {} was removed from {} or changed during this run, so the record is not written. Run the same command \
                 again: it computes what is missing.",
                done.id(),
                done.dir().display()
            )));
        }
    }
    Ok(())
}

/// A line for each stage: what [`run`] would do, and whether the stage is in the store. Computes nothing. A stage that
/// depends on a ticket which is not in the store has no id.
pub fn plan(experiment: &Experiment, store: &Store) -> Result<Vec<String>> {
    let inputs = &experiment.inputs;
    let (mut done, mut planned, mut lines) = (Outcomes::new(), BTreeMap::new(), Vec::new());
    for node in experiment.graph.nodes() {
        let about = node.stage.describe(inputs);
        let known = Known { hashes: inputs.hashes(), done: &done, planned: &planned };
        let Some(id) = node.stage.identity(&known)?.map(|identity| identity.id()) else {
            lines.push(format!("{}: {about}", node.name));
            continue;
        };
        let found = store.stage(&id).load()?;
        let state = match &found {
            Some(done) if done.is_removed(WEIGHTS) => "in the store, without its weights",
            Some(_) => "in the store",
            None => "to be computed",
        };
        // Retraining the full model is the same stage as fine-tuning it.
        if !planned.values().any(|earlier| *earlier == id) {
            lines.push(format!("{id}: {about}, {state}"));
        }
        planned.insert(node.name, id);
        done.extend(found.map(|found| (node.name, found)));
    }
    lines.push(format!("record: {}", experiment.record_path(store).display()));
    Ok(lines)
}
