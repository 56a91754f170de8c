//! Numbers of published tables, as data with their sources, and the sweeps that give ours.

mod best_levels;
mod number;
mod setting;
mod target;

pub use number::{Number, Over};
pub use setting::Setting;
pub use target::Target;

use super::group::{Group, Mean};
use crate::{
    choice::choices,
    error::{Error, Result},
};
use serde::Deserialize;

choices! {
    /// A paper whose numbers are shipped.
    pub enum Paper ("paper") {
        /// full, pruned and retrained models of all tasks and modes (Prasanna et al. 2020, their result files)
        Prasanna2020 = "prasanna2020",
        /// iterative magnitude pruning (Chen et al. 2020, Table 2; not verified)
        Chen2020 = "chen2020",
        /// super tickets, several tasks on one encoder, and adaptation (Liang et al. 2021, Tables 1 and 3 to 8)
        Liang2021 = "liang2021",
    }
}

/// The numbers of a paper.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub source: String,
    /// The table or file that they are from.
    #[serde(rename = "where")]
    pub place: String,
    pub model: String,
    /// Whether they were compared with their source.
    pub verified: bool,
    pub note: Option<String>,
    pub cells: Vec<Number>,
}

impl Paper {
    /// Its numbers.
    ///
    /// # Errors
    /// Internal: the file within the program is damaged.
    pub fn numbers(self) -> Result<Published> {
        let text = match self {
            Self::Prasanna2020 => include_str!("prasanna2020.json"),
            Self::Chen2020 => include_str!("chen2020.json"),
            Self::Liang2021 => include_str!("liang2021.json"),
        };
        serde_json::from_str(text)
            .map_err(|e| Error::internal(format!("{}: {e}", crate::choice::Choice::name(self))))
    }
}

/// A published number, and ours of the same task, method, mode and metric.
#[derive(Clone, Debug)]
pub struct Beside {
    pub number: Number,
    pub model: String,
    pub ours: Option<Ours>,
    /// Whether our runs are of settings that the published ones had not.
    pub altered: bool,
}

/// What runs of this program gave.
#[derive(Clone, Debug)]
pub struct Ours {
    pub mean: Mean,
    pub model: String,
    /// The level and other settings that tell our groups apart.
    pub of: String,
}

impl Published {
    /// Every published number with each group of ours that it belongs to, or alone.
    pub fn beside(&self, groups: &[Group]) -> Vec<Beside> {
        let mut rows = Vec::new();
        for number in &self.cells {
            let ours = number.ours(groups);
            let model = number.model.as_ref().unwrap_or(&self.model);
            let row = |ours| Beside { number: number.clone(), model: model.clone(), ours, altered: false };
            match ours.is_empty() {
                true => rows.push(row(None)),
                false => rows.extend(ours.into_iter().map(|ours| row(Some(ours)))),
            }
        }
        rows
    }
}

impl Beside {
    /// Whether ours is theirs: `within 2 standard errors`, `above`, `below`, or why it cannot be said.
    pub fn verdict(&self) -> &'static str {
        let Some(Ours { mean: ours, model, .. }) = &self.ours else { return "no runs" };
        // Of `owner/name` the name; a hash in brackets tells apart models of one name.
        let name =
            |model: &str| model.split(" (").next().unwrap_or(model).rsplit('/').next().map(str::to_owned);
        if name(model) != name(&self.model) {
            return "cannot be compared: other model";
        }
        if self.altered {
            return "cannot be compared: other settings";
        }
        if self.number.n.is_none() && (self.number.std.is_some() || self.number.deviation_over.is_some()) {
            return "cannot be compared: number of runs not published";
        }
        let variance = |deviation: Option<f64>, n: Option<usize>| Some(deviation?.powi(2) / n? as f64);
        let (theirs, own) =
            (variance(self.number.std, self.number.n), variance(ours.deviation, Some(ours.n)));
        let Some(error) = theirs.zip(own).map(|(a, b)| (a + b).sqrt()) else {
            return "cannot be compared: no deviation";
        };
        match ours.mean - self.number.mean {
            apart if apart.abs() <= 2.0 * error => "within 2 standard errors",
            apart if apart > 0.0 => "above",
            _ => "below",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{choice::Choice, report::run::PARTS};

    #[test]
    fn every_papers_numbers_are_shares_of_registered_tasks_methods_and_modes() {
        for paper in Paper::all() {
            let published = paper.numbers().unwrap();
            assert!(published.cells.len() > 20, "{paper}");
            for number in &published.cells {
                number.task.parse::<crate::task::TaskId>().unwrap();
                number.mode.parse::<crate::prune::Mode>().unwrap();
                number.method.iter().for_each(|method| _ = method.parse::<crate::prune::Method>().unwrap());
                assert!(PARTS.contains(&number.part.as_str()) && number.mean.abs() <= 1.0, "{number:?}");
            }
        }
        assert!(!Paper::Chen2020.numbers().unwrap().verified);
    }

    #[test]
    fn a_verdict_asks_for_the_same_model_and_for_deviations() {
        let beside = |mean: f64, deviation: Option<f64>, model: &str, altered: bool| {
            let number = Number {
                task: "rte".to_owned(),
                method: None,
                mode: "good".to_owned(),
                part: "pruned".to_owned(),
                metric: "accuracy".to_owned(),
                sparsity: None,
                setting: Setting::Alone,
                fraction: None,
                deviation_over: None,
                mean: 0.6,
                std: Some(0.03),
                n: Some(5),
                model: None,
            };
            let mean = Mean { n: 5, mean, deviation };
            let ours = Some(Ours { mean, model: model.to_owned(), of: String::new() });
            Beside { number, model: "bert-base-uncased".to_owned(), ours, altered }.verdict()
        };
        let verdict = |mean, deviation, model: &str| beside(mean, deviation, model, false);
        let same = "google-bert/bert-base-uncased (sha256 0a1b2c3d)";
        assert_eq!(verdict(0.61, Some(0.03), same), "within 2 standard errors");
        assert_eq!(verdict(0.64, Some(0.03), same), "above");
        assert_eq!(verdict(0.55, Some(0.03), "bert-base-uncased"), "below");
        assert_eq!(verdict(0.61, None, same), "cannot be compared: no deviation");
        assert_eq!(verdict(0.61, Some(0.03), "tiny"), "cannot be compared: other model");
        assert_eq!(beside(0.61, Some(0.03), same, true), "cannot be compared: other settings");
    }
}
