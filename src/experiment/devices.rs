//! The devices that computed the stages of a run: a stage found in the store may come from another machine.

use super::stage::Outcomes;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The device of each stage, by the stage's name in the record.
#[derive(Clone, Debug, Serialize)]
pub struct Devices(BTreeMap<&'static str, Value>);

impl Devices {
    /// The devices recorded in the stages' `stage.json`.
    pub fn of(stages: &Outcomes) -> Self {
        Self(stages.iter().map(|(name, stage)| (*name, stage.info()["device"].clone())).collect())
    }

    /// A warning if the devices may differ in the last bits of their results. The number of threads makes no
    /// difference.
    pub fn mixture(&self) -> Option<String> {
        let mut of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (stage, device) in &self.0 {
            let [name, kernels] = ["name", "kernels"].map(|key| device[key].as_str().unwrap_or("unknown"));
            of.entry(format!("{name} ({kernels})")).or_default().push(stage);
        }
        let kinds = of.iter().map(|(device, stages)| format!("{} on {device}", stages.join(", ")));
        (of.len() > 1).then(|| {
            format!(
                "the stages were computed by different devices or kernels, whose last bits differ: {}",
                kinds.collect::<Vec<_>>().join("; ")
            )
        })
    }
}
