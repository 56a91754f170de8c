//! Published tables, and the ready sweeps whose runs give ours.

use super::{
    Number, Over, Paper, Published, Setting,
    best_levels::{best_levels, has_several_levels},
    number::WEIGHTS,
};
use crate::{
    choice::choices,
    error::Result,
    report::{group::groups, run::Runs, table::Table, tables},
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
        /// the same of BERT-large
        Liang2021Table1Large = "liang2021/table1-large",
        /// several tasks on one encoder, with and without tickets, and each fine-tuned from there
        Liang2021Table3 = "liang2021/table3",
        /// the same of BERT-large
        Liang2021Table3Large = "liang2021/table3-large",
        /// adaptation of MNLI and of several tasks to SNLI and SciTail, by the share of their data
        Liang2021Table4 = "liang2021/table4",
        /// deviations over seeds of BERT-large, of one task and of several on one encoder
        Liang2021Table5 = "liang2021/table5",
        /// deviations over seeds of super tickets
        Liang2021Table6 = "liang2021/table6",
        /// the weights that super tickets leave
        Liang2021Table7 = "liang2021/table7",
        /// the same of BERT-large
        Liang2021Table7Large = "liang2021/table7-large",
        /// deviations over learning rates of BERT-large, of several tasks on one encoder
        Liang2021Table8 = "liang2021/table8",
    }
}

macro_rules! ready {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../configs/sweeps/", $name)))
    };
}

/// Where the numbers of a table are from, and where ours are.
struct Origin {
    paper: Paper,
    /// The model of the sweeps, as numbers name it.
    model: &'static str,
    /// Name and text of the files in `configs/sweeps` that have its runs.
    sweeps: Vec<(&'static str, &'static str)>,
}

const BASE: &str = "bert-base-uncased";
const LARGE: &str = "bert-large-uncased";

impl Target {
    fn origin(self) -> Origin {
        use Paper::{Chen2020, Liang2021, Prasanna2020};
        let (paper, model, sweeps) = match self {
            Self::Prasanna2020Figure2 | Self::Prasanna2020Table2 => {
                (Prasanna2020, BASE, vec![ready!("prasanna2020.toml"), ready!("prasanna2020-magnitude.toml")])
            }
            Self::Prasanna2020Super => (Prasanna2020, BASE, vec![ready!("prasanna2020-super.toml")]),
            Self::Prasanna2020Methods => (Prasanna2020, BASE, vec![ready!("prasanna2020-methods.toml")]),
            Self::Chen2020Table2 => {
                (Chen2020, BASE, vec![ready!("chen2020.toml"), ready!("chen2020-squad.toml")])
            }
            Self::Liang2021Table1 | Self::Liang2021Table6 | Self::Liang2021Table7 => {
                (Liang2021, BASE, vec![ready!("liang2021-levels.toml")])
            }
            Self::Liang2021Table1Large | Self::Liang2021Table7Large => {
                (Liang2021, LARGE, vec![ready!("liang2021-large.toml")])
            }
            Self::Liang2021Table3 => (Liang2021, BASE, vec![ready!("liang2021-shared.toml")]),
            Self::Liang2021Table3Large => (Liang2021, LARGE, vec![ready!("liang2021-shared-large.toml")]),
            Self::Liang2021Table4 => {
                let sweeps =
                    vec![ready!("liang2021-adaptation.toml"), ready!("liang2021-adaptation-shared.toml")];
                (Liang2021, BASE, sweeps)
            }
            Self::Liang2021Table5 => (
                Liang2021,
                LARGE,
                vec![ready!("liang2021-large.toml"), ready!("liang2021-shared-large.toml")],
            ),
            Self::Liang2021Table8 => (Liang2021, LARGE, vec![ready!("liang2021-rates.toml")]),
        };
        Origin { paper, model, sweeps }
    }

    /// Name and text of the files in `configs/sweeps` that have its runs.
    pub fn sweeps(self) -> Vec<(&'static str, &'static str)> {
        self.origin().sweeps
    }

    /// Whether the number is one of its own, model aside.
    fn has(self, number: &Number) -> bool {
        let (method, mode) = (number.method.as_deref().unwrap_or_default(), number.mode.as_str());
        let (full, is_score) = (number.part == "full", number.deviation_over.is_none());
        let alone = number.setting == Setting::Alone;
        let of_ticket = number.metric == WEIGHTS;
        let shares = [Setting::Shared, Setting::SharedFinetuned].contains(&number.setting);
        match self {
            Self::Prasanna2020Figure2 => {
                full || ["heads+ffns", "magnitude"].contains(&method)
                    && ["good", "bad", "random"].contains(&mode)
            }
            Self::Prasanna2020Table2 => {
                full || Self::Prasanna2020Figure2.has(number) && number.part == "retrained"
            }
            Self::Prasanna2020Super => full || method == "heads+ffns" && mode.starts_with("super-"),
            Self::Prasanna2020Methods => full || ["heads", "ffns"].contains(&method) && mode == "good",
            Self::Chen2020Table2 => true,
            Self::Liang2021Table1 | Self::Liang2021Table1Large => alone && is_score && !of_ticket,
            Self::Liang2021Table3 | Self::Liang2021Table3Large => full || shares && is_score,
            Self::Liang2021Table4 => [Setting::Adapted, Setting::AdaptedShared].contains(&number.setting),
            Self::Liang2021Table5 => number.deviation_over == Some(Over::Seeds),
            Self::Liang2021Table6 => number.deviation_over == Some(Over::Seeds) && alone && !full,
            Self::Liang2021Table7 | Self::Liang2021Table7Large => of_ticket,
            Self::Liang2021Table8 => number.deviation_over == Some(Over::LearningRates),
        }
    }

    /// Its numbers, by the model that its sweeps are of.
    ///
    /// # Errors
    /// Those of [`Paper::numbers`].
    pub fn numbers(self) -> Result<Published> {
        let Origin { paper, model, .. } = self.origin();
        let mut published = paper.numbers()?;
        if matches!(self, Self::Liang2021Table5 | Self::Liang2021Table6) {
            published.cells = published.cells.iter().filter_map(Number::deviation_over_seeds).collect();
        }
        let usual = published.model.clone();
        published.cells.retain(|number| self.has(number) && number.model.as_ref().unwrap_or(&usual) == model);
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
        if groups.iter().any(has_several_levels) {
            table.notes.push(
                "Of the levels, each seed's best by its development score stands here, as published: the selection is part \
                 of its gain. `lottery levels` shows how much of it."
                    .to_owned(),
            );
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{choice::Choice, config::Layers, sweep::Grid};

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
            let model = target.origin().model;
            assert!(runs.iter().all(|run| run.model.to_string().ends_with(model)), "{target}: {model}");
        }
    }
}
