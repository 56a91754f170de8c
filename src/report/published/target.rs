//! Published tables, and the ready sweeps whose runs give ours.

use super::{Number, Paper, Published, Setting};
use crate::{
    choice::{Choice, choices},
    config::ExperimentConfig,
    error::Result,
    report::{
        group::{Group, groups},
        run::Runs,
        table::Table,
        tables,
    },
};

choices! {
    /// A published table or figure that the program has numbers of.
    pub enum Target ("table") {
        /// good, bad and random subnetworks, structured and by magnitude, pruned and retrained
        Prasanna2020Figure2 = "prasanna2020/figure2",
        /// the same, retrained
        Prasanna2020Table2 = "prasanna2020/table2",
        /// what survives for all five seeds, and its controls (section 5)
        Prasanna2020Super = "prasanna2020/super",
        /// subnetworks of heads alone and of FFNs alone (result files)
        Prasanna2020Methods = "prasanna2020/methods",
        /// IMP and random pruning at the highest sparsity that matches (not verified)
        Chen2020Table2 = "chen2020/table2",
        /// super tickets: the best of eight one-shot levels
        Liang2021Table1 = "liang2021/table1",
        /// several tasks on one encoder, with and without tickets, and each fine-tuned from there
        Liang2021Table3 = "liang2021/table3",
        /// adaptation of MNLI and of several tasks to SNLI and SciTail, by the share of their data
        Liang2021Table4 = "liang2021/table4",
    }
}

macro_rules! ready {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../configs/sweeps/", $name)))
    };
}

impl Target {
    pub fn paper(self) -> Paper {
        match self {
            Self::Prasanna2020Figure2
            | Self::Prasanna2020Table2
            | Self::Prasanna2020Super
            | Self::Prasanna2020Methods => Paper::Prasanna2020,
            Self::Chen2020Table2 => Paper::Chen2020,
            Self::Liang2021Table1 | Self::Liang2021Table3 | Self::Liang2021Table4 => Paper::Liang2021,
        }
    }

    /// Name and text of the files in `configs/sweeps` that have its runs.
    pub fn sweeps(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Prasanna2020Figure2 | Self::Prasanna2020Table2 => {
                vec![ready!("prasanna2020.toml"), ready!("prasanna2020-magnitude.toml")]
            }
            Self::Prasanna2020Super => vec![ready!("prasanna2020-super.toml")],
            Self::Prasanna2020Methods => vec![ready!("prasanna2020-methods.toml")],
            Self::Chen2020Table2 => vec![ready!("chen2020.toml"), ready!("chen2020-squad.toml")],
            Self::Liang2021Table1 => vec![ready!("liang2021-levels.toml")],
            Self::Liang2021Table3 => vec![ready!("liang2021-shared.toml")],
            Self::Liang2021Table4 => {
                vec![ready!("liang2021-adaptation.toml"), ready!("liang2021-adaptation-shared.toml")]
            }
        }
    }

    fn has(self, number: &Number) -> bool {
        let (method, mode) = (number.method.as_deref().unwrap_or_default(), number.mode.as_str());
        if number.part == "full" {
            return self != Self::Liang2021Table4;
        }
        match self {
            Self::Prasanna2020Figure2 => {
                ["heads+ffns", "magnitude"].contains(&method) && ["good", "bad", "random"].contains(&mode)
            }
            Self::Prasanna2020Table2 => Self::Prasanna2020Figure2.has(number) && number.part == "retrained",
            Self::Prasanna2020Super => method == "heads+ffns" && mode.starts_with("super-"),
            Self::Prasanna2020Methods => ["heads", "ffns"].contains(&method) && mode == "good",
            Self::Chen2020Table2 => true,
            Self::Liang2021Table1 => number.setting == Setting::Alone,
            Self::Liang2021Table3 => [Setting::Shared, Setting::SharedFinetuned].contains(&number.setting),
            Self::Liang2021Table4 => [Setting::Adapted, Setting::AdaptedShared].contains(&number.setting),
        }
    }

    /// Its numbers, by the model that its sweeps are of.
    ///
    /// # Errors
    /// Those of [`Paper::numbers`].
    pub fn numbers(self) -> Result<Published> {
        let mut published = self.paper().numbers()?;
        let base = published.model.clone();
        published
            .cells
            .retain(|number| self.has(number) && number.model.as_deref().is_none_or(|model| model == base));
        Ok(published)
    }

    /// Its numbers beside those of these runs; `altered` where they have settings that the published ones had not.
    ///
    /// # Errors
    /// Those of [`Paper::numbers`].
    pub fn reproduced(self, numbers: &Published, runs: &Runs, altered: bool) -> Table {
        let groups = best_levels(groups(&runs.found));
        let mut rows = numbers.beside(&groups);
        rows.iter_mut().for_each(|row| row.altered = altered);
        let mut table = tables::beside(numbers, &rows);
        if self == Self::Liang2021Table1 {
            table.notes.push(
                "Of the levels, the best by its development score stands here, as published: the selection is part of \
                 its gain. `lottery levels` shows how much of it."
                    .to_owned(),
            );
        }
        table
    }
}

impl Number {
    /// Whether the score is one of this run. A full model's is part of every record, and needs no run of its own.
    pub fn needs(&self, run: &ExperimentConfig) -> bool {
        let sparsity = run.prune.sparsity.map(|sparsity| sparsity.share);
        self.part != "full"
            && self.task == run.task.name()
            && self.method.as_deref().is_none_or(|method| method == run.method.name())
            && self.mode == run.mode.name()
            && (self.sparsity.is_none() || self.sparsity == sparsity)
            && self.setting == Setting::planned(run)
            && self.fraction.is_none_or(|fraction| fraction == run.data.fraction)
    }
}

/// Of groups that differ in their one-shot level alone, the one with the best retrained score.
fn best_levels(groups: Vec<Group>) -> Vec<Group> {
    let score = |group: &Group| group.mean(|run| Some(run.scores[2])).map(|mean| mean.mean);
    let is_beaten = |group: &Group| {
        let mut others = groups.iter().filter(|other| {
            other.method == "one-shot" && other.family() == group.family() && other.mode == group.mode
        });
        others.any(|other| score(other) > score(group))
    };
    let kept: Vec<bool> = groups.iter().map(|group| !is_beaten(group)).collect();
    groups.into_iter().zip(kept).filter_map(|(group, kept)| kept.then_some(group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Layers, sweep::Grid};

    #[test]
    fn every_table_has_numbers_and_every_number_a_run_of_its_sweeps() {
        for target in Target::all() {
            let numbers = target.numbers().unwrap();
            let mut runs = Vec::new();
            for (name, text) in target.sweeps() {
                let (grid, table) = Grid::parse(text, name).unwrap();
                let mut layers = Layers::default();
                layers.table(&table, name).unwrap();
                let folder = |layers: &mut Layers| layers.value_below("data.dir", "glue", "test");
                runs.extend(grid.runs(&layers, folder).unwrap());
            }
            for number in numbers.cells.iter().filter(|number| number.part != "full") {
                assert!(runs.iter().any(|run| number.needs(run)), "{target}: {number:?}");
            }
            assert!(numbers.cells.iter().any(|number| number.part == "retrained"), "{target}");
        }
    }
}
