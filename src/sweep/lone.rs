//! Runs outside of sweeps that have no record: running, stopped, failed or killed. Their events tell.

use crate::{
    file,
    store::{Store, names},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::HashSet,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// How much of the end of a file of events is read: more than one process writes.
const TAIL_BYTES: u64 = 1 << 20;

/// What has become of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Running,
    /// On request; the same command resumes it.
    Stopped,
    /// Killed, or on another machine.
    Interrupted,
    Failed,
}

/// A run outside of sweeps.
#[derive(Clone, Debug, Serialize)]
pub struct Lone {
    pub run: String,
    pub fate: Fate,
    /// The last stage that was begun.
    pub stage: Option<String>,
    /// Its last recorded step, of how many.
    pub step: Option<[u64; 2]>,
    /// Why it failed or stopped.
    pub message: Option<String>,
    pub host: String,
    pub pid: u64,
    /// Seconds since 1970, of the last event.
    pub time: f64,
    /// The command line of its process.
    pub command: Option<String>,
}

/// All of the store but the `known` ones, which sweeps list or which have a record; in the order of their last events.
pub fn lone(store: &Store, known: &HashSet<&str>) -> Vec<Lone> {
    let dir = store.dir().join("events");
    let files = names(&dir).unwrap_or_default();
    let runs = files.iter().filter_map(|name| Some((name, name.strip_suffix(".jsonl")?)));
    let unknown = runs.filter(|(_, run)| !known.contains(run));
    let mut found: Vec<Lone> = unknown.filter_map(|(name, run)| read(run, &dir.join(name))).collect();
    found.sort_by(|a, b| a.time.total_cmp(&b.time));
    found
}

fn read(run: &str, path: &Path) -> Option<Lone> {
    let mut file = file::open(path).ok()?;
    let from = file.metadata().ok()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["event"].is_string()).collect();
    let last = lines.last()?;
    // Several processes may have executed it, one after the other.
    let own: Vec<&Value> =
        lines.iter().filter(|line| line["pid"] == last["pid"] && line["host"] == last["host"]).collect();
    let (host, pid) = (last["host"].as_str()?.to_owned(), last["pid"].as_u64()?);
    let fate = match last["event"].as_str()? {
        "record_written" => return None,
        "failed" => Fate::Failed,
        "stopped" => Fate::Stopped,
        _ if crate::events::is_alive(&host, pid) => Fate::Running,
        _ => Fate::Interrupted,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let step = own.iter().rev().find(|line| line["event"] == "step");
    let stage = own.iter().rev().find_map(|line| text(&line["stage"]));
    let step = step.filter(|line| text(&line["stage"]) == stage);
    Some(Lone {
        run: run.to_owned(),
        fate,
        step: step.and_then(|line| Some([line["step"].as_u64()?, line["total"].as_u64()?])),
        stage,
        message: text(&last["message"]),
        host,
        pid,
        time: last["time"].as_f64().unwrap_or_default(),
        command: own
            .iter()
            .rev()
            .find_map(|line| text(&line["command"]))
            .filter(|command| can_be_repeated(command)),
    })
}

/// Whether the settings are still there that a command reads: those of a sweep are gone once it is forgotten.
fn can_be_repeated(command: &str) -> bool {
    let words = shlex::split(command).unwrap_or_default();
    let config = words.iter().skip_while(|word| *word != "--config").nth(1);
    config.is_none_or(|path| Path::new(path).is_relative() || Path::new(path).exists())
}
