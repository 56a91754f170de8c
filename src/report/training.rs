//! The losses of a run's trainings, from its events.

use super::run::Run;
use crate::file;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Event<'a> {
    event: &'a str,
    stage: Option<&'a str>,
    step: Option<u64>,
    total: Option<u64>,
    loss: Option<f64>,
}

/// The loss of batches by the share of the training that is done, of the stage of each id. Empty where the run has no
/// events any more; a line that was cut off says nothing.
pub fn losses(run: &Run) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut found: BTreeMap<String, BTreeMap<u64, (f64, f64)>> = BTreeMap::new();
    let path = run.name.as_ref().map(|name| run.store.join("events").join(format!("{name}.jsonl")));
    let bytes = path.and_then(|path| file::read(&path, file::LARGEST_JSON).ok()).unwrap_or_default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(Event {
            event: "step",
            stage: Some(stage),
            step: Some(step),
            total: Some(total),
            loss: Some(loss),
        }) = serde_json::from_slice(line)
        else {
            continue;
        };
        // A resumed training tells some steps again.
        found.entry(stage.to_owned()).or_default().insert(step, (step as f64 / total.max(1) as f64, loss));
    }
    found.into_iter().map(|(stage, steps)| (stage, steps.into_values().collect())).collect()
}

/// The mean loss in each of so many equal parts of a training; none where a part has no batch.
pub fn smooth(losses: &[(f64, f64)], parts: usize) -> Option<Vec<f64>> {
    let mut sums = vec![(0.0, 0usize); parts];
    for (at, loss) in losses {
        let (sum, count) = &mut sums[((at * parts as f64).ceil() as usize).clamp(1, parts) - 1];
        (*sum, *count) = (*sum + loss, *count + 1);
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_is_cut_into_equal_parts() {
        let losses = [(0.25, 4.0), (0.5, 2.0), (0.75, 1.0), (1.0, 0.0)];
        assert_eq!(smooth(&losses, 2), Some(vec![3.0, 0.5]));
        assert_eq!(smooth(&losses, 8), None);
    }
}
