//! Which output of a model means which class of a task: by the names in its `config.json`, never by position.

use crate::{
    error::{Error, Result, excerpt},
    model::BertConfig,
    task::{Labels, TaskSpec, argmax},
};
use serde_json::Value;

/// The classes of a task that a model's outputs mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// The class of each output; none where the outputs are scores.
    classes: Vec<usize>,
    /// Columns of the result.
    width: usize,
}

/// The names of a model's outputs in its `config.json`: those of `id2label`, else `LABEL_0`, ….
pub fn label_names(config: &BertConfig, outputs: usize) -> Vec<String> {
    let known = config.rest.get("id2label").and_then(Value::as_object);
    let name = |i: usize| known.and_then(|known| known.get(&i.to_string())).and_then(Value::as_str);
    (0..outputs).map(|i| name(i).map_or_else(|| format!("LABEL_{i}"), str::to_owned)).collect()
}

impl Matching {
    /// # Errors
    /// Data: the names are not those of the task's classes, or the model has other outputs than the task needs.
    pub fn new(task: &TaskSpec, names: &[String], model: &str) -> Result<Self> {
        let Labels::Classes(wanted) = task.labels else {
            return match names.len() {
                1 => Ok(Self { classes: Vec::new(), width: 1 }),
                n => Err(refused(
                    task,
                    names,
                    model,
                    &format!("the task has a score, and the model {n} classes"),
                )),
            };
        };
        if names.len() > 1 && names.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}")) {
            return Err(Error::data(format!(
                "{model}: its config.json does not name its classes (id2label is LABEL_0, …), and they are not taken by \
                 position. Name them in their order with --labels, such as --labels {}.",
                wanted.join(",")
            )));
        }
        let classes: Option<Vec<usize>> = names.iter().map(|name| class(task, wanted, name)).collect();
        match classes {
            Some(classes) if (0..wanted.len()).all(|class| classes.contains(&class)) => {
                Ok(Self { classes, width: wanted.len() })
            }
            _ => Err(refused(task, names, model, "they are other classes than the task's")),
        }
    }

    /// (examples, outputs) → (examples, classes): of several outputs that mean one class, the largest.
    pub fn apply(&self, outputs: &[f32]) -> Vec<f32> {
        if self.classes.is_empty() {
            return outputs.to_vec();
        }
        let row = |row: &[f32]| {
            let mut out = vec![f32::NEG_INFINITY; self.width];
            // NaN stays NaN.
            row.iter().zip(&self.classes).for_each(|(value, class)| {
                let best = &mut out[*class];
                if value.is_nan() || *value > *best {
                    *best = *value;
                }
            });
            out
        };
        outputs.chunks(self.classes.len()).flat_map(row).collect()
    }

    /// The predicted class of one example, by its row of [`apply`](Self::apply).
    pub fn predicted(row: &[f32]) -> usize {
        argmax(row) as usize
    }
}

/// The class that a name means. In a task of entailment alone, neutral and contradiction are its absence.
fn class(task: &TaskSpec, wanted: &[&str], name: &str) -> Option<usize> {
    let plain = |word: &str| {
        let word = word.trim().to_lowercase().replace(['-', ' '], "_");
        if word == "non_entailment" { "not_entailment".to_owned() } else { word }
    };
    let find = |word: &str| wanted.iter().position(|wanted| plain(wanted) == word);
    let word = plain(name);
    let own = task.class(name).or_else(|| task.class(&word)).map(|class| class as usize);
    let no_entailment = || ["neutral", "contradiction"].contains(&&*word).then(|| find("not_entailment"))?;
    own.or_else(|| find(&word)).or_else(no_entailment)
}

fn refused(task: &TaskSpec, names: &[String], model: &str, why: &str) -> Error {
    let names: Vec<_> = names.iter().take(20).map(|name| excerpt(name)).collect();
    let wanted = match task.labels {
        Labels::Classes(names) => names.join(", "),
        Labels::Score { .. } | Labels::Spans | Labels::Words => "a score".to_owned(),
    };
    Error::data(format!(
        "{model}: its outputs are {} (id2label in config.json), and {} has {wanted}: {why}. Choose a model of this task; \
         where the names alone differ, give them in the model's order with --labels.",
        names.join(", "),
        task.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskId;

    fn matching(task: TaskId, names: &[&str]) -> Result<Matching> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Matching::new(task.spec(), &names, "m")
    }

    #[test]
    fn outputs_are_moved_to_the_classes_of_their_names() {
        // The order of the hub, and other spellings.
        let hub = matching(TaskId::Mnli, &["entailment", "neutral", "contradiction"]).unwrap();
        assert_eq!(hub.apply(&[1.0, 2.0, 3.0, 6.0, 5.0, 4.0]), [3.0, 1.0, 2.0, 4.0, 6.0, 5.0]);
        let upper = matching(TaskId::Mnli, &["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]).unwrap();
        assert_eq!(upper.apply(&[1.0, 2.0, 3.0]), [1.0, 3.0, 2.0]);
        for (task, names) in [
            (TaskId::Rte, ["not-entailment", "Entailment"]),
            (TaskId::Hans, ["not_entailment", "entailment"]),
            (TaskId::Sst2, ["POSITIVE", "NEGATIVE"]),
            (TaskId::Mrpc, ["equivalent", "not_equivalent"]),
        ] {
            assert_eq!(matching(task, &names).unwrap().apply(&[1.0, 2.0]), [2.0, 1.0], "{task}");
        }
    }

    #[test]
    fn three_classes_of_entailment_answer_a_question_of_two() {
        let rte = matching(TaskId::Rte, &["entailment", "neutral", "contradiction"]).unwrap();
        let outputs = rte.apply(&[1.0, 0.5, 2.0, 3.0, 2.5, -1.0, f32::NAN, 0.0, 1.0]);
        assert_eq!(outputs[..4], [1.0, 2.0, 3.0, 2.5]);
        assert!(outputs[4].is_nan());
        let predicted: Vec<usize> = outputs[..4].chunks(2).map(Matching::predicted).collect();
        assert_eq!(predicted, [1, 0]);
        assert_eq!(
            matching(TaskId::Hans, &["contradiction", "entailment", "neutral"]).unwrap().classes,
            [1, 0, 1]
        );
        assert_eq!(matching(TaskId::Ax, &["contradiction", "neutral", "entailment"]).unwrap().width, 3);
    }

    #[test]
    fn classes_are_never_taken_by_position() {
        for (task, names, wanted) in [
            (TaskId::Rte, &["LABEL_0", "LABEL_1"][..], "--labels entailment,not_entailment"),
            (TaskId::Rte, &["positive", "negative"], "rte has entailment, not_entailment"),
            (TaskId::Rte, &["entailment", "entailment"], "other classes"),
            (TaskId::Mnli, &["entailment", "not_entailment"], "other classes"),
            (TaskId::Stsb, &["a", "b"], "the task has a score"),
            (TaskId::Sst2, &["LABEL_0"], "other classes"),
        ] {
            let error = matching(task, names).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains(wanted), "{error}");
        }
        assert_eq!(matching(TaskId::Stsb, &["LABEL_0"]).unwrap().apply(&[2.5]), [2.5]);
    }
}
