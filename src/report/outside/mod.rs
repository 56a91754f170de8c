//! Records as files that other programs read. JSON stays the truth.

mod lm_eval;
mod mlflow;

pub use lm_eval::lm_eval;
pub use mlflow::mlflow;

use super::run::{PARTS, Run};
use crate::{
    error::{Error, Result},
    file,
};
use serde_json::Value;
use std::time::SystemTime;

/// A run with its whole record.
struct Whole<'a> {
    run: &'a Run,
    record: Value,
}

impl<'a> Whole<'a> {
    fn read(run: &'a Run) -> Result<Self> {
        let bytes =
            file::read(&run.path, file::LARGEST_JSON).map_err(|e| Error::io(&run.path, "read", &e))?;
        let record = serde_json::from_slice(&bytes)
            .map_err(|e| Error::data(format!("{} is damaged: {e}", run.path.display())))?;
        Ok(Self { run, record })
    }

    /// A name that no other run of these has: for files, lower case, without blanks.
    fn name(&self) -> String {
        let own = self.run.name.clone();
        own.unwrap_or_else(|| blake3::hash(self.run.place().as_bytes()).to_hex()[..16].to_owned())
    }

    /// Seconds since 1970 at which it was written, and how long its stages took.
    fn times(&self) -> (u64, f64) {
        let written = humantime::parse_rfc3339(&self.run.written).ok();
        let written = written.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let timing = self.record["timing"].as_object().into_iter().flatten();
        let stages = timing.filter(|(key, _)| key.ends_with("_s") && !key.contains("per"));
        (written.map_or(0, |time| time.as_secs()), stages.filter_map(|(_, seconds)| seconds.as_f64()).sum())
    }

    /// Part (full, pruned, retrained), metric and score.
    fn scores(&self) -> impl Iterator<Item = (&'static str, &str, f64)> {
        let parts = PARTS.iter().zip(&self.run.metrics);
        parts.flat_map(|(part, metrics)| {
            metrics.iter().map(|(metric, score)| (*part, metric.as_str(), *score))
        })
    }
}
