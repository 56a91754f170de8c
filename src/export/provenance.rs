//! Where an exported model or ticket comes from: what its record says, or the stage where there is no record.

use crate::{
    choice::Choice,
    error::{Error, Result},
    eval::{RecordFile, Source, record_of},
    experiment::{
        stages::metrics,
        ticket::{TICKET, Ticket},
        ticket_file::{About, Base, search_of},
    },
    model::BertConfig,
    prune::{Mask, MaskText},
    store::{Done, StageId, Store},
    task::TaskId,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What is known of the source; none of a model's folder.
pub fn about(source: &Source) -> Result<Option<About>> {
    match source {
        Source::Model(_) => Ok(None),
        // Its scores are those of other weights than the ones that it is applied to.
        Source::Ticket(file) => Ok(Some(About { scores: Value::Null, ..file.about.clone() })),
        Source::Record(file) => of_record(&file.record).map(Some),
        Source::Stage(done, store) => match record_of(store, done.id()) {
            Some(record) => of_record(&record).map(|about| Some(as_of_stage(done, about))),
            None => of_stage(done, store).map(Some),
        },
    }
}

/// What a record says of a stage that it shares with others.
fn as_of_stage(done: &Done, mut about: About) -> About {
    let mode = match done.id().kind() {
        "finetune" => "full",
        "search" | "ticket" => "good",
        _ => return about,
    };
    if about.mode.as_deref() != Some(mode) {
        about.scores = json!({ "full": about.scores["full"] });
        about.mode = Some(mode.to_owned());
    }
    about
}

/// The mask of the source, with how it was found.
///
/// # Errors
/// Usage: the source has no ticket.
pub fn ticket(source: &Source) -> Result<(Mask, About)> {
    let none = |what: &str| {
        Err(Error::usage(format!(
            "{what} has no ticket. Give --ticket a record whose mode is not full, or a stage search-… or ticket-…."
        )))
    };
    let about = about(source)?;
    let (Some(about), true) = (about, !matches!(source, Source::Model(_))) else {
        return none("a model's folder");
    };
    match source {
        Source::Model(_) => none("a model's folder"),
        Source::Ticket(file) => Ok((file.mask.clone(), file.about.clone())),
        Source::Record(RecordFile { record, store }) => of_control(record, store, about),
        Source::Stage(done, store) => match done.id().kind() {
            "search" | "ticket" => {
                let (ticket, search) = read(done, &about)?;
                Ok((ticket.mask, About { search, ..about }))
            }
            "retrain" | "evaluate" => match record_of(store, done.id()) {
                Some(record) => of_control(&record, store, about),
                None => Err(Error::usage(format!(
                    "no record in {} names {}, so how its mask was found is not known. Give the stage search-… that found \
                     it.",
                    store.dir().display(),
                    done.id()
                ))),
            },
            _ => none(done.id().as_str()),
        },
    }
}

/// The mask that a record's run retrained.
fn of_control(record: &Value, store: &Store, about: About) -> Result<(Mask, About)> {
    let Some(id) = record["ticket"]["stage"].as_str().and_then(StageId::parse) else {
        return Err(Error::usage(
            "the record's run pruned nothing (mode full), so it has no ticket. Give another.",
        ));
    };
    let done = store.stage(&id).load()?.ok_or_else(|| {
        Error::data(format!(
            "the record's ticket is of {id}, which is not in the store {}. Name its store with --store.",
            store.dir().display()
        ))
    })?;
    let (ticket, search) = read(&done, &about)?;
    let text = MaskText::deserialize(&record["ticket"]).map_err(|e| {
        Error::data(format!("the record's ticket is damaged: {e}. Run the same command again."))
    })?;
    let strings = Mask::read(&text, None)?;
    let whole = MaskText::from(&ticket.mask);
    let mask = match (&whole.packed, whole.heads == text.heads && whole.ffns == text.ffns) {
        (None, _) => strings,
        (Some(_), true) if record["mode"] == "good" => ticket.mask,
        _ => {
            return Err(Error::usage(
                "the record's mask has more than heads and FFNs, which records do not hold. Give the stage of its search.",
            ));
        }
    };
    Ok((mask, About { search, ..about }))
}

fn read(done: &Done, about: &About) -> Result<(Ticket, Map<String, Value>)> {
    let Base { layers, heads, hidden, ffn, .. } = about.base;
    let ticket = Ticket::read(done, &BertConfig::of_shape(layers, hidden, heads, ffn))?;
    Ok((ticket, search_of(done.read_json(TICKET)?)))
}

fn of_record(record: &Value) -> Result<About> {
    let damaged = |what: &str| Error::data(format!("the record has no {what}. Run the same command again."));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let base = Base::deserialize(&record["model"]).map_err(|e| damaged(&format!("model: {e}")))?;
    let scores = |key: &str| record[key]["metrics"].clone();
    Ok(About {
        format_version: 1,
        lottery_version: text(&record["lottery_version"]).unwrap_or_default(),
        base,
        task: text(&record["task"]).ok_or_else(|| damaged("task"))?,
        metric: text(&record["metric"]).ok_or_else(|| damaged("metric"))?,
        mode: text(&record["mode"]),
        seed: record["seed"].as_u64(),
        preset: text(&record["preset"]),
        scores: json!({ "full": scores("full"), "pruned": scores("pruned"), "retrained": scores("retrained") }),
        config: record["config"].clone(),
        stages: record["stages"].clone(),
        search: Map::new(),
    })
}

fn of_stage(done: &Done, store: &Store) -> Result<About> {
    let inputs = &done.info()["inputs"];
    if done.id().kind() == "ticket" {
        return About::deserialize(&done.info()["ticket"])
            .map_err(|e| done.damaged("stage.json", &format!("does not say whose ticket it is ({e})")));
    }
    let finetuned = inputs["finetune"].as_str().and_then(StageId::parse);
    let finetuned = finetuned.map(|id| store.stage(&id).load()).transpose()?.flatten();
    let trained = finetuned.as_ref().map_or(inputs, |done| &done.info()["inputs"]);
    let config: BertConfig = serde_json::from_value(trained["model_config"].clone())
        .map_err(|e| done.damaged("stage.json", &format!("does not say of which model it is ({e})")))?;
    let task = trained["task"].as_str().unwrap_or_default();
    let metric = task.parse::<TaskId>().map_or("", |task| task.spec().metric.name());
    let scores = match done.id().kind() {
        "search" => {
            let ticket: Value = done.read_json(TICKET)?;
            json!({ "full": { metric: ticket["full_score"] }, "pruned": { metric: ticket["score"] } })
        }
        "evaluate" => json!({ "pruned": metrics(done)? }),
        "retrain" => json!({ "retrained": metrics(done)? }),
        _ => json!({ "full": metrics(done)? }),
    };
    Ok(About {
        format_version: 1,
        lottery_version: done.info()["lottery_version"].as_str().unwrap_or_default().to_owned(),
        base: Base::new(None, None, trained["model"].as_str().unwrap_or_default(), &config),
        task: task.to_owned(),
        metric: metric.to_owned(),
        mode: None,
        seed: trained["seeds"]["order"].as_u64(),
        preset: None,
        scores,
        config: inputs.clone(),
        stages: json!({ done.id().kind(): done.id().as_str() }),
        search: Map::new(),
    })
}

/// The task of a source, if this version has it; a user's is in the settings.
pub fn task(about: &About) -> Option<TaskId> {
    TaskId::find(&about.task).or_else(|| TaskId::deserialize(&about.config["task"]).ok())
}
