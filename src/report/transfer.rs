//! Tickets of one task on another (Chen et al. 2020, section 4, Figure 4).

use super::{
    group::{Group, Mean},
    published::Setting,
    run::Run,
};
use crate::{choice::Choice, prune::Method};

/// Where a ticket comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Task(String),
    /// The pre-trained model's own smallest weights, pruned at once.
    Pretrained,
}

impl Source {
    pub fn name(&self) -> &str {
        match self {
            Self::Task(task) => task,
            Self::Pretrained => "pre-trained",
        }
    }
}

/// A ticket, trained on a task.
#[derive(Clone, Debug)]
pub struct Transferred {
    pub target: String,
    pub source: Source,
    pub metric: String,
    /// The settings in which runs of the target differ, the source aside.
    pub settings: String,
    pub full: Mean,
    pub retrained: Mean,
    /// Its share of the score of the task's own ticket, of the seeds that both have; none where that one was not run.
    pub relative: Option<f64>,
}

/// Tickets of one method and size on the tasks of each other.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub method: String,
    pub model: String,
    pub level: String,
    /// By target, then by source; the task's own ticket first, the pre-trained model's last.
    pub cells: Vec<Transferred>,
}

impl Transfer {
    pub fn targets(&self) -> Vec<&str> {
        let mut targets: Vec<&str> = self.cells.iter().map(|cell| cell.target.as_str()).collect();
        targets.dedup();
        targets
    }

    /// In the order of the targets, then those that are none, then the pre-trained model's.
    pub fn sources(&self) -> Vec<&Source> {
        let targets = self.targets();
        let place = |source: &Source| match source {
            Source::Task(task) => targets.iter().position(|target| target == task).unwrap_or(targets.len()),
            Source::Pretrained => usize::MAX,
        };
        let mut sources: Vec<&Source> = self.cells.iter().map(|cell| &cell.source).collect();
        sources.sort_by(|a, b| (place(a), a.name()).cmp(&(place(b), b.name())));
        sources.dedup();
        sources
    }

    pub fn cell(&self, target: &str, source: &Source) -> Option<&Transferred> {
        self.cells.iter().find(|cell| cell.target == target && cell.source == *source)
    }
}

/// A matrix for each method, model and size of tickets of which at least one was trained on another task.
pub fn transfers(groups: &[Group]) -> Vec<Transfer> {
    let good: Vec<&Group> =
        groups.iter().filter(|group| group.mode == "good" && group.setting() == Setting::Alone).collect();
    let taken = |group: &&&Group| group.ticket_from().is_some_and(|source| source != group.task);
    let key = |group: &Group| (group.method.to_owned(), group.model.to_owned(), group.level_text());
    let mut matrices: Vec<Vec<&Group>> = Vec::new();
    for group in good.iter().filter(taken) {
        // The same pair once more has other settings, and is of a matrix of its own.
        let cell = |group: &Group| (group.task.to_owned(), group.ticket_from().map(str::to_owned));
        let alike = |matrix: &&mut Vec<&Group>| {
            key(matrix[0]) == key(group) && matrix.iter().all(|other| cell(other) != cell(group))
        };
        match matrices.iter_mut().find(alike) {
            Some(matrix) => matrix.push(group),
            None => matrices.push(vec![group]),
        }
    }
    matrices.iter().map(|taken| matrix(taken, &good)).collect()
}

/// Tickets of other tasks, target by target, with what each target's own and the pre-trained model's smallest weights give.
fn matrix(taken: &[&Group], good: &[&Group]) -> Transfer {
    let mut cells = Vec::new();
    for of_target in taken.chunk_by(|a, b| a.task == b.task) {
        let first = of_target[0];
        let beside = |method: &str| {
            good.iter().find(|group| {
                group.ticket_from().is_none_or(|source| source == group.task)
                    && (group.task, group.method, group.model) == (first.task, method, first.model)
                    && (group.level, &group.runs[0].init) == (first.level, &first.runs[0].init)
                    && group.has_full_models_of(first)
            })
        };
        let own = beside(first.method).copied();
        let cell = |group: &Group, source| Transferred::of(group, source, own);
        cells.extend(own.and_then(|own| cell(own, Source::Task(own.task.to_owned()))));
        for group in of_target {
            let source = group.ticket_from().unwrap_or_default();
            cells.extend(cell(group, Source::Task(source.to_owned())));
        }
        cells.extend(beside(Method::Omp.name()).and_then(|group| cell(group, Source::Pretrained)));
    }
    let first = taken[0];
    Transfer {
        method: first.method.to_owned(),
        model: first.model.to_owned(),
        level: first.level_text(),
        cells,
    }
}

impl Transferred {
    fn of(group: &Group, source: Source, own: Option<&Group>) -> Option<Self> {
        let relative = own.map(|own| group.paired(own)).filter(|pairs| !pairs.is_empty()).map(|pairs| {
            let sum = |run: &dyn Fn(&(&Run, &Run)) -> f64| pairs.iter().map(run).sum::<f64>();
            sum(&|(run, _)| run.scores[2]) / sum(&|(_, own)| own.scores[2])
        });
        let of_source = |setting: &&str| {
            ["ticket_from=", "tasks.", "data.text="].iter().any(|key| setting.starts_with(key))
        };
        let settings = group.distinct.iter().map(String::as_str).filter(|setting| !of_source(setting));
        Some(Self {
            target: group.task.to_owned(),
            source,
            metric: group.metric.to_owned(),
            settings: settings.collect::<Vec<_>>().join(" "),
            full: Mean::of(&group.scores(0))?,
            retrained: Mean::of(&group.scores(2))?,
            relative,
        })
    }
}
