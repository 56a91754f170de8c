//! How the retrained model of a published number, or of a run, was trained.

use crate::{
    choice::{Choice, choices},
    config::{ExperimentConfig, Init},
};
use std::collections::BTreeMap;

choices! {
    /// What beside its task a model learns, and when.
    pub enum Setting ("setting of published numbers", default Alone) {
        /// its task alone
        Alone = "alone",
        /// with other tasks, on one encoder
        Shared = "shared",
        /// with other tasks, and then alone
        SharedFinetuned = "shared-finetuned",
        /// another task, and then its own
        Adapted = "adapted",
        /// other tasks on one encoder, and then its own
        AdaptedShared = "adapted-shared",
    }
}

impl Setting {
    fn new(continues: bool, shares: bool, finetunes: bool) -> Self {
        match (continues, shares) {
            (true, true) => Self::AdaptedShared,
            (true, false) => Self::Adapted,
            (false, true) if finetunes => Self::SharedFinetuned,
            (false, true) => Self::Shared,
            (false, false) => Self::Alone,
        }
    }

    /// Of a run's settings, by dotted key.
    pub fn of(settings: &BTreeMap<String, String>) -> Self {
        let is = |key: &str, value: &str| settings.get(key).is_some_and(|own| own == value);
        let shares = settings.get("shared.tasks").is_some_and(|tasks| tasks != "[]");
        Self::new(is("init", "source"), shares, is("shared.finetune", "true"))
    }

    /// Of a run that is planned.
    pub fn planned(config: &ExperimentConfig) -> Self {
        Self::new(config.init == Init::Source, config.shared.is_wanted(), config.shared.finetune)
    }

    /// Its name, where it is not the usual one.
    pub fn unusual(self) -> Option<&'static str> {
        (self != Self::default()).then(|| self.name())
    }
}
