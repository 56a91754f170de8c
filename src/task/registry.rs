//! Tasks by their names, in text and in files of settings.

use super::{Definition, TaskId, TaskSpec, registered, user};
use crate::{
    choice::{Choice, as_words},
    error::excerpt,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, sync::LazyLock};

impl TaskId {
    pub fn spec(self) -> &'static TaskSpec {
        match self {
            Self::User(task) => user::spec(task),
            task => registered::all().find(|spec| spec.id == task).expect("a test looks for each of them"),
        }
    }

    /// What a user's file says; none of a registered task.
    pub fn definition(self) -> Option<&'static Definition> {
        match self {
            Self::User(task) => Some(user::definition(task)),
            _ => None,
        }
    }

    /// Serialises what results depend on: the name of a registered task, the content of a user's.
    pub fn serialize_content<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.definition() {
            Some(definition) => definition.content().serialize(to),
            None => self.serialize(to),
        }
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.definition() {
            Some(definition) => definition.serialize(to),
            None => to.serialize_str(self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = TaskId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or the definition of a task")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<TaskId, E> {
                TaskId::read(word).map_err(|error| E::custom(format!("task {:?}: {error}", excerpt(word))))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TaskId, A::Error> {
                Definition::deserialize(MapAccessDeserializer::new(map))?.task().map_err(de::Error::custom)
            }
        }

        from.deserialize_any(Written)
    }
}

impl Choice for TaskId {
    const WHAT: &'static str = "task";

    /// Those that are registered.
    fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<TaskId>> = LazyLock::new(|| registered::all().map(|task| task.id).collect());
        &ALL
    }

    fn name(self) -> &'static str {
        self.spec().name
    }

    fn about(self) -> &'static str {
        self.spec().about
    }

    fn plain(word: &str) -> String {
        registered::plain(word)
    }

    fn find(word: &str) -> Option<Self> {
        registered::named(word).map(|task| task.id)
    }
}

as_words!(TaskId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_registered_once_and_decided_by_a_metric_that_it_reports() {
        assert_eq!(TaskId::all().iter().collect::<std::collections::BTreeSet<_>>().len(), 18);
        for &id in TaskId::all() {
            let spec = id.spec();
            assert_eq!(spec.id, id);
            assert!(spec.metrics.contains(&spec.metric), "{id}");
        }
    }

    #[test]
    fn a_task_is_written_by_its_short_name_and_read_back() {
        for &id in TaskId::all() {
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(json, format!("\"{}\"", id.spec().name));
            assert_eq!(serde_json::from_str::<TaskId>(&json).unwrap(), id);
            assert_eq!(id.to_string().parse::<TaskId>().unwrap(), id);
            let folder = id.spec().folder;
            assert!(folder == "SICK" || folder.parse::<TaskId>().unwrap() == id, "{folder}");
        }
    }

    #[test]
    fn glues_own_spellings_are_accepted_in_any_case() {
        for (word, id) in [
            ("SST-2", TaskId::Sst2),
            ("sst2", TaskId::Sst2),
            ("STS-B", TaskId::Stsb),
            ("sts_b", TaskId::Stsb),
            ("CoLA", TaskId::Cola),
            ("RTE", TaskId::Rte),
        ] {
            assert_eq!(word.parse::<TaskId>().unwrap(), id);
        }
    }

    #[test]
    fn an_unknown_task_names_the_nearest_one_and_the_list() {
        let error = "mrcp".parse::<TaskId>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        let all = "cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli, snli, scitail, sick-e, sick-r, hans, ax, squad, mlm or demo";
        assert_eq!(text, format!("expected {all}; did you mean mrpc?"));
    }

    #[test]
    fn similarities_are_regressions_and_every_spelling_of_a_label_stands_for_one() {
        for &id in TaskId::all().iter().filter(|id| **id != TaskId::Mlm) {
            let spec = id.spec();
            assert_eq!(spec.is_regression(), matches!(id, TaskId::Stsb | TaskId::SickR));
            let of_three = matches!(id, TaskId::Mnli | TaskId::Snli | TaskId::SickE | TaskId::Ax);
            assert_eq!(spec.num_labels(), if spec.is_regression() { 1 } else { 2 + usize::from(of_three) });
            // Whatever stands for a class is a name of one.
            for name in spec
                .hub_labels
                .iter()
                .chain(&spec.otherwise)
                .chain(spec.spellings.iter().map(|(name, _)| name))
            {
                assert!(spec.class(name).is_some(), "{id}: {name}");
            }
        }
    }
}
