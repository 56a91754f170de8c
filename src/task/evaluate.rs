//! A task's metrics from a model's logits, and the majority baseline.

use std::collections::BTreeMap;

use super::metrics::{MetricId, Predictions, compute};
use super::{Label, TaskSpec};
use crate::{
    choice::Choice,
    error::{Error, Result, excerpt},
};

/// All metrics of the task by name.
///
/// `logits` is row-major, n × `spec.num_labels()`; `labels` has n entries of the task's kind. The predicted class is
/// the largest logit, the first one on ties. A NaN logit makes every metric NaN.
///
/// # Panics
/// If `logits` and `labels` disagree in length.
pub fn evaluate(spec: &TaskSpec, logits: &[f32], labels: &[Label]) -> BTreeMap<String, f64> {
    if !spec.is_regression() {
        let own: Vec<u32> = (0..spec.num_labels() as u32).collect();
        return of_classes(spec, &own, logits, labels);
    }
    assert_eq!(logits.len(), labels.len(), "a score per label");
    if logits.iter().any(|logit| logit.is_nan()) {
        return all(spec, |_| f64::NAN);
    }
    let labels: Vec<f32> = labels.iter().map(|label| label.value()).collect();
    all(spec, |metric| compute(metric, &Predictions::Scores { predicted: logits, labels: &labels }))
}

/// The metrics of logits for `classes.len()` classes of a model, each of which counts as this class of the task.
fn of_classes(spec: &TaskSpec, classes: &[u32], logits: &[f32], labels: &[Label]) -> BTreeMap<String, f64> {
    let width = classes.len();
    assert_eq!(logits.len(), labels.len() * width, "one row of {width} logits per label");
    if logits.iter().any(|logit| logit.is_nan()) {
        return all(spec, |_| f64::NAN);
    }
    let predicted: Vec<u32> = logits.chunks_exact(width).map(|row| classes[argmax(row) as usize]).collect();
    let labels: Vec<u32> = labels.iter().filter_map(|label| label.class()).collect();
    all(spec, |metric| compute(metric, &Predictions::Classes { predicted: &predicted, labels: &labels }))
}

fn all(spec: &TaskSpec, score: impl Fn(MetricId) -> f64) -> BTreeMap<String, f64> {
    spec.metrics.iter().map(|&metric| (metric.name().to_owned(), score(metric))).collect()
}

/// [`evaluate`] with the logits of a model of another task whose classes are `names`: n × `names.len()`.
///
/// A class of the model counts as that of the same name. What the task has no name for counts as its
/// [`otherwise`](TaskSpec::otherwise): of HANS, contradiction and neutral count as non-entailment (McCoy et al. 2019).
///
/// # Errors
/// Usage: the model has a class that stands for none of the task's.
///
/// # Panics
/// If `logits` and `labels` disagree in length.
pub fn evaluate_as(
    spec: &TaskSpec,
    names: &[&str],
    logits: &[f32],
    labels: &[Label],
) -> Result<BTreeMap<String, f64>> {
    Ok(of_classes(spec, &classes_as(spec, names)?, logits, labels))
}

/// The class of the task that each class of a model, by these names, counts as; see [`evaluate_as`].
///
/// # Errors
/// Usage: one of them stands for none of the task's.
pub fn classes_as(spec: &TaskSpec, names: &[&str]) -> Result<Vec<u32>> {
    let class = |name: &&str| {
        spec.class(name).or_else(|| spec.class(spec.otherwise?)).ok_or_else(|| {
            Error::usage(format!(
                "{} has the labels {}, but the model predicts \"{}\". Evaluate a model that was trained on {}.",
                spec.name,
                spec.label_names().join(", "),
                excerpt(name),
                spec.evaluates.map_or(spec.name, Choice::name),
            ))
        })
    };
    if names.is_empty() {
        return Err(Error::usage(format!("{} has classes, but the model predicts a score.", spec.name)));
    }
    names.iter().map(class).collect()
}

/// The deciding metric when the most frequent class of these labels (the lowest on ties) is always predicted. 0 for a
/// regression, since a constant has no correlation. NaN without labels.
pub fn majority_baseline(spec: &TaskSpec, labels: &[Label]) -> f64 {
    if labels.is_empty() {
        return f64::NAN;
    }
    if spec.is_regression() {
        return 0.0;
    }
    let labels: Vec<u32> = labels.iter().filter_map(|label| label.class()).collect();
    let mut counts = BTreeMap::new();
    for &label in &labels {
        *counts.entry(label).or_insert(0usize) += 1;
    }
    let commonest = counts.iter().rev().max_by_key(|(_, count)| **count).map_or(0, |(&label, _)| label);
    let predicted = vec![commonest; labels.len()];
    compute(spec.metric, &Predictions::Classes { predicted: &predicted, labels: &labels })
}

/// The class of the largest logit, the first on ties.
pub fn argmax(row: &[f32]) -> u32 {
    (0u32..).zip(row).fold((0, f32::NEG_INFINITY), |best, (i, &x)| if x > best.1 { (i, x) } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    fn classes(labels: &[u32]) -> Vec<Label> {
        labels.iter().map(|&label| Label::Class(label)).collect()
    }

    #[test]
    fn the_largest_logit_is_the_predicted_class_and_the_first_one_on_ties() {
        assert_eq!([argmax(&[0.1, 0.3, 0.2]), argmax(&[2.0, 2.0]), argmax(&[-1.0, -2.0])], [1, 0, 0]);
    }

    #[test]
    fn a_classification_reports_all_its_metrics() {
        let logits = [0.0, 1.0, 2.0, -1.0, 0.0, 3.0, 0.5, 0.4]; // classes 1 0 1 0
        let found = evaluate(TaskId::Mrpc.spec(), &logits, &classes(&[1, 0, 1, 1]));
        let expected = BTreeMap::from([("accuracy".to_owned(), 0.75), ("f1".to_owned(), 0.8)]);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_regression_reports_three_correlations() {
        let labels = [1.0, 2.0, 4.0].map(Label::Score);
        let found = evaluate(TaskId::Stsb.spec(), &[1.0, 2.0, 3.0], &labels);
        assert_eq!(found["spearman"], 1.0);
        assert_eq!(found["corr"], (found["pearson"] + 1.0) / 2.0);
        assert!(found["pearson"] > 0.98 && found["pearson"] < 1.0);
    }

    #[test]
    fn what_a_model_of_mnli_calls_neutral_or_a_contradiction_is_no_entailment_in_hans() {
        let names = TaskId::Mnli.spec().label_names();
        assert_eq!(names, ["contradiction", "entailment", "neutral"]);
        let hans = TaskId::Hans.spec();
        assert_eq!(classes_as(hans, names).unwrap(), [1, 0, 1]);
        // Predicted: contradiction, entailment, neutral, entailment. By sums of probabilities the second would be none.
        let logits = [2.0, 0.0, 1.0, 1.0, 1.1, 1.0, 0.0, 0.0, 1.0, 0.0, 9.0, 0.0];
        let found = evaluate_as(hans, names, &logits, &classes(&[1, 0, 0, 0])).unwrap();
        assert_eq!(found, BTreeMap::from([("accuracy".to_owned(), 0.75)]));
        assert!(evaluate_as(hans, names, &[f32::NAN; 3], &classes(&[1])).unwrap()["accuracy"].is_nan());
        // A model whose classes are in another order.
        assert_eq!(
            classes_as(TaskId::Ax.spec(), &["entailment", "neutral", "contradiction"]).unwrap(),
            [1, 2, 0]
        );
        let error = classes_as(TaskId::Ax.spec(), &["0", "1"]).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().ends_with("was trained on mnli."), "{error}");
    }

    #[test]
    fn a_nan_logit_makes_every_metric_nan() {
        for (task, labels) in [(TaskId::Mrpc, classes(&[1])), (TaskId::Cola, classes(&[0]))] {
            let found = evaluate(task.spec(), &[f32::NAN, 0.0], &labels);
            assert!(!found.is_empty() && found.values().all(|value| value.is_nan()));
        }
    }

    #[test]
    fn the_majority_baseline_is_the_share_of_the_commonest_class() {
        assert_eq!(majority_baseline(TaskId::Rte.spec(), &classes(&[0, 1, 1, 1])), 0.75);
        assert_eq!(majority_baseline(TaskId::Rte.spec(), &classes(&[1, 0])), 0.5);
        assert_eq!(majority_baseline(TaskId::Cola.spec(), &classes(&[0, 1, 1])), 0.0);
        assert_eq!(majority_baseline(TaskId::Stsb.spec(), &[Label::Score(1.0), Label::Score(2.0)]), 0.0);
        assert!(majority_baseline(TaskId::Rte.spec(), &[]).is_nan());
    }
}
