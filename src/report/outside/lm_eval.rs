//! Results and samples in the layout of lm-evaluation-harness 0.4: `<run>/results_<time>.json`, and beside it
//! `samples_<task>_<time>.jsonl`. Its filters are the full, the pruned and the retrained model here.

use super::Whole;
use crate::{
    error::Result,
    experiment::stages::PREDICTIONS,
    report::run::{PARTS, Run, gone},
    store::atomic_write,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Writes a folder for each run; with `samples` also what its models answered for each development example.
///
/// # Errors
/// Data: a record or a stage is not there any more or is damaged, or a file cannot be written.
pub fn lm_eval(runs: &[Run], dir: &Path, samples: bool) -> Result<()> {
    for run in runs {
        let whole = Whole::read(run)?;
        let dir = dir.join(whole.name());
        let time = run.written.replace(':', "-");
        atomic_write(&dir.join(format!("results_{time}.json")), &whole.results().to_string().into_bytes())?;
        if samples {
            let name = format!("samples_{}_{time}.jsonl", run.task);
            atomic_write(&dir.join(name), whole.samples()?.as_bytes())?;
        }
    }
    Ok(())
}

impl Whole<'_> {
    fn results(&self) -> Value {
        let Self { run, record } = self;
        let task = run.task.as_str();
        let mut results = Map::from_iter([("alias".to_owned(), json!(task))]);
        for (part, metric, score) in self.scores() {
            results.insert(format!("{metric},{part}"), json!(score));
            results.insert(format!("{metric}_stderr,{part}"), json!("N/A"));
        }
        // Perplexity alone is better when it is lower.
        let higher: Map<String, Value> =
            self.scores().map(|(_, metric, _)| (metric.to_owned(), json!(metric != "perplexity"))).collect();
        let metrics: Vec<Value> = higher
            .iter()
            .map(|(metric, higher)| json!({ "metric": metric, "higher_is_better": higher }))
            .collect();
        let examples = &record["data"]["dev"]["examples"];
        let (end, seconds) = self.times();
        json!({
            "results": { task: results },
            "group_subtasks": { task: [] },
            "configs": { task: { "task": task, "metric_list": metrics, "num_fewshot": 0, "repeats": 1 } },
            "versions": { task: record["format_version"] },
            "n-shot": { task: 0 },
            "higher_is_better": { task: higher },
            "n-samples": { task: { "original": examples, "effective": examples } },
            "config": {
                "model": "lottery",
                "model_args": {
                    "pretrained": run.model,
                    "sha256": run.model_sha256,
                    "method": run.method,
                    "mode": run.mode,
                    "settings": record["config"],
                },
                "batch_size": record["config"]["train"]["batch_size"],
                "device": record["device"]["kind"],
                "limit": record["config"]["data"]["dev_limit"],
                "random_seed": run.seed,
            },
            "git_hash": record["provenance"]["commit"],
            "date": end,
            "lottery_version": record["lottery_version"],
            "task_hashes": { task: record["data"]["sha256"] },
            "model_source": "lottery",
            "model_name": run.model,
            "model_name_sanitized": run.model.replace('/', "__"),
            "total_evaluation_time_seconds": seconds.to_string(),
            "command": run.command,
        })
    }

    /// A line for each example and model.
    fn samples(&self) -> Result<String> {
        let mut text = String::new();
        for (place, part) in PARTS.iter().enumerate() {
            let id = self.run.evaluated(place).ok_or_else(|| gone(self.run, "a stage"))?;
            let done = self.run.open()?.stage(&id).load()?.ok_or_else(|| gone(self.run, "the stage"))?;
            let bytes = done.read(PREDICTIONS)?;
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Value = serde_json::from_slice(line)
                    .map_err(|e| done.damaged(PREDICTIONS, &format!("has a line of another kind ({e})")))?;
                let (target, prediction) = (&line["label"], &line["prediction"]);
                let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let mut sample = json!({
                    "doc_id": line["index"],
                    "doc": {},
                    "target": word(target),
                    "arguments": {},
                    "resps": [[line.get("logits").cloned().unwrap_or_else(|| prediction.clone())]],
                    "filtered_resps": [word(prediction)],
                    "filter": part,
                    "metrics": [],
                });
                let own =
                    ["exact_match", "f1"].into_iter().filter_map(|key| Some((key, line[key].as_f64()?)));
                let mut own: Vec<(&str, f64)> = own.collect();
                if own.is_empty() && target.is_u64() {
                    own.push(("accuracy", f64::from(u8::from(target == prediction))));
                }
                for (key, score) in own {
                    sample["metrics"].as_array_mut().into_iter().for_each(|all| all.push(json!(key)));
                    sample[key] = json!(score);
                }
                text += &format!("{sample}\n");
            }
        }
        Ok(text)
    }
}
