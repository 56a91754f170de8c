//! What a user's task is made of, and which of them make sense.

use crate::task::{FileFormat, MetricId, registered};
use serde::{Deserialize, Serialize};

/// A user's task, complete: every default is filled in. It is what a configuration keeps under `task`, so that a run
/// does not depend on the TOML file any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub name: String,
    pub about: String,
    /// Where the files are; enters no hash.
    pub folder: String,
    /// Each split is one or more files, in order.
    pub train: Vec<String>,
    pub dev: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    pub columns: ColumnNames,
    /// The classes in their order; none for a score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<ScoreRange>,
    pub metric: MetricId,
    pub metrics: Vec<MetricId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnNames {
    pub first: Column,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Column>,
    pub label: Column,
    /// What identifies an example in predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

/// A column by its name, or in files without a header by its position from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    Place(usize),
    Name(String),
}

/// A class, and how the files write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelName {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreRange {
    pub min: f32,
    pub max: f32,
}

/// A key, and what is wrong with it.
pub type Fault = (&'static str, String);

impl Definition {
    /// What a run's results depend on, for hashes and records: all but the folder and the line of help.
    pub fn content(&self) -> serde_json::Value {
        let mut content = serde_json::json!(self);
        if let Some(fields) = content.as_object_mut() {
            fields.retain(|key, _| key != "folder" && key != "about");
        }
        content
    }

    /// # Errors
    /// The key that is wrong, and why.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_name()?;
        self.check_files()?;
        self.check_labels()?;
        self.check_metrics()
    }

    fn check_name(&self) -> Result<(), Fault> {
        let name = &*self.name;
        if let Some(task) = registered::named(name).map(|task| task.name) {
            return Err((
                "name",
                format!("{task} is a registered task. Give yours another name, such as my-{task}."),
            ));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = name.len() <= 64
            && name.starts_with(plain)
            && name.chars().all(|c| plain(c) || matches!(c, '.' | '-' | '_'))
            && !name.ends_with(".toml");
        fits.then_some(()).ok_or_else(|| {
            ("name", "expected up to 64 of the characters a-z, 0-9, -, _ and ., beginning with a letter or a digit.".into())
        })
    }

    fn check_files(&self) -> Result<(), Fault> {
        for (key, files) in [("train", &self.train), ("dev", &self.dev)] {
            if files.is_empty() {
                return Err((key, "name at least one file.".into()));
            }
        }
        if let Some(both) = self.dev.iter().find(|file| self.train.contains(file)) {
            return Err(("dev", format!("{both} is the training data, too. Divide it into two files.")));
        }
        let has_place = {
            let ColumnNames { first, second, label, .. } = &self.columns;
            let places =
                [Some(first), second.as_ref(), Some(label)].map(|c| c.map(|c| matches!(c, Column::Place(_))));
            let all = places.into_iter().flatten().collect::<Vec<_>>();
            if all.contains(&true) && all.contains(&false) {
                return Err(("columns", "name all columns, or give the positions of all of them.".into()));
            }
            all.contains(&true)
        };
        for (key, file) in [("train", &self.train), ("dev", &self.dev), ("test", &self.test)]
            .into_iter()
            .flat_map(|(key, files)| files.iter().map(move |file| (key, file)))
        {
            let Some(format) = self.format.or_else(|| FileFormat::of_name(file)) else {
                return Err((
                    key,
                    format!(
                        "the ending of {file} tells no format. Add format = \"tsv\", or csv, jsonl, parquet."
                    ),
                ));
            };
            if has_place && matches!(format, FileFormat::Jsonl | FileFormat::Parquet) {
                return Err(("columns", format!("the columns of {format} files have names: give them.")));
            }
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), Fault> {
        match (&*self.labels, self.score) {
            ([], None) => Err((
                "labels",
                "list the names of the classes, as in labels = [\"no\", \"yes\"], or give score = { min = 0, max = 5 }.".into(),
            )),
            ([_, ..], Some(_)) => Err(("score", "a task has labels or a score, not both.".into())),
            ([], Some(ScoreRange { min, max })) if !(min.is_finite() && max.is_finite() && min < max) => {
                Err(("score", "min has to be below max.".into()))
            }
            ([], Some(_)) => Ok(()),
            ([_], _) => Err(("labels", "one class leaves nothing to learn: list at least two.".into())),
            (labels, None) => {
                for (at, label) in labels.iter().enumerate() {
                    if label.name.is_empty() || label.value.is_empty() {
                        return Err(("labels", "the name of a class is empty.".into()));
                    }
                    let same = |other: &LabelName| {
                        [&other.name, &other.value].into_iter().any(|text| *text == label.name || *text == label.value)
                    };
                    if let Some(other) = labels[..at].iter().find(|other| same(other)) {
                        return Err(("labels", format!("{} and {} cannot be told apart.", other.name, label.name)));
                    }
                }
                Ok(())
            }
        }
    }

    fn check_metrics(&self) -> Result<(), Fault> {
        use MetricId::{Accuracy, Corr, F1, Matthews, Pearson, Spearman};
        let (fitting, kind): (&[MetricId], _) = match self.labels.len() {
            0 => (&[Corr, Pearson, Spearman], "a score"),
            2 => (&[Accuracy, F1, Matthews], "two classes"),
            _ => (&[Accuracy, Matthews], "more than two classes"),
        };
        let wrong = |metric: &&MetricId| !fitting.contains(metric);
        let told = |metric: &MetricId| {
            let names: Vec<&str> = fitting.iter().map(|metric| metric.name()).collect();
            format!("{metric} is no metric for {kind}: {} are.", names.join(", "))
        };
        if wrong(&&self.metric) {
            return Err(("metric", told(&self.metric)));
        }
        match self.metrics.iter().find(wrong) {
            Some(metric) => Err(("metrics", told(metric))),
            None => Ok(()),
        }
    }
}
