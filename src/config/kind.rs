//! What a key of the configuration may hold: read, checked, and said.

use std::path::Path;
use toml::Value;

use super::{Init, Split, init};
use crate::{
    choice::{Choice, Names},
    engine::Device,
    error::nearest,
    prune::{Sparsity, sparsity},
    task::{Definition, TaskId},
};
use Bound::{Excluded, Included};

/// What a key may hold.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One of these names, in any case.
    Choice(Names),
    Text,
    /// A whole number between these two, both included.
    Count(u64, u64),
    /// A finite number within these bounds.
    Real(Bound, Bound),
    Switch,
    Seed,
    Device,
    Split,
    Init,
    Sparsity,
    /// A list of seeds.
    Seeds,
    /// A list of tasks.
    Tasks,
    /// The name of a task, the path of a user's, or its definition.
    Task,
}

/// One end of a range of numbers.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    Included(f64),
    Excluded(f64),
    None,
}

/// Where a count has no end of its own.
pub(super) const MOST: u64 = 1_000_000_000;

impl Kind {
    /// The value in its canonical form, or what was expected instead.
    pub(super) fn check(self, value: &Value) -> std::result::Result<Value, String> {
        let expected = || self.expected();
        let text = || value.as_str().ok_or_else(expected);
        match self {
            Self::Choice(names) => {
                let word = text()?;
                let name = (names.canonical)(word).ok_or_else(|| {
                    let near = nearest(word, (names.all)());
                    expected() + &near.map(|near| format!(". Did you mean {near}?")).unwrap_or_default()
                })?;
                Ok(Value::String(name.to_owned()))
            }
            Self::Text => text().and_then(|text| {
                if text.trim().is_empty() { Err(expected()) } else { Ok(Value::String(text.to_owned())) }
            }),
            Self::Count(least, most) => value
                .as_integer()
                .and_then(|count| u64::try_from(count).ok())
                .filter(|count| (least..=most).contains(count))
                .map(|_| value.clone())
                .ok_or_else(expected),
            Self::Seed => {
                value.as_integer().filter(|seed| *seed >= 0).map(Value::Integer).ok_or_else(expected)
            }
            Self::Real(low, high) => value
                .as_float()
                .or_else(|| value.as_integer().map(|whole| whole as f64))
                .filter(|number| number.is_finite() && above(low, *number) && below(high, *number))
                .map(Value::Float)
                .ok_or_else(expected),
            Self::Switch => value.as_bool().map(Value::Boolean).ok_or_else(expected),
            Self::Device => canonical::<Device>(text()?).ok_or_else(expected),
            Self::Split => canonical::<Split>(text()?).ok_or_else(expected),
            Self::Init => canonical::<Init>(text()?).ok_or_else(expected),
            Self::Sparsity => {
                let number = value.as_float().map(|share| share.to_string());
                let number = number.or_else(|| value.as_integer().map(|share| share.to_string()));
                canonical::<Sparsity>(&number.map_or_else(|| text().map(str::to_owned), Ok)?)
                    .ok_or_else(expected)
            }
            Self::Seeds => {
                let seeds = value.as_array().filter(|seeds| !seeds.is_empty());
                let fits = |seed: &Value| seed.as_integer().is_some_and(|seed| seed >= 0);
                seeds.filter(|seeds| seeds.iter().all(fits)).map(|_| value.clone()).ok_or_else(expected)
            }
            Self::Tasks => {
                let tasks = value.as_array().ok_or_else(expected)?.iter();
                tasks.map(|one| task(one, Names::of::<TaskId>())).collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Task => task(value, Names::of::<TaskId>()),
        }
    }

    /// The names that it may hold, with their descriptions.
    pub(super) fn names(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Choice(names) => (names.described)(),
            Self::Task => TaskId::described(),
            _ => Vec::new(),
        }
    }

    /// Whether an unquoted word of `--set` is meant as text, whatever TOML would make of it.
    pub(super) fn is_text(self) -> bool {
        matches!(
            self,
            Self::Choice(_)
                | Self::Text
                | Self::Device
                | Self::Split
                | Self::Init
                | Self::Sparsity
                | Self::Task
        )
    }

    pub(super) fn expected(self) -> String {
        match self {
            Self::Choice(names) => format!("expected one of {}", (names.all)().join(", ")),
            Self::Task => {
                format!("expected one of {}, or the TOML file of a task of yours", TaskId::names().join(", "))
            }
            Self::Text => "expected a text that is not empty".into(),
            Self::Count(least, MOST) => format!("expected a whole number, at least {least}"),
            Self::Count(least, most) => format!("expected a whole number from {least} to {most}"),
            Self::Seed => format!("expected a whole number from 0 to {}", i64::MAX),
            Self::Real(low, high) => {
                let low = match low {
                    Included(low) => format!("at least {low}"),
                    Excluded(low) => format!("above {low}"),
                    Bound::None => String::new(),
                };
                match high {
                    Included(high) => format!("expected a number {low} and at most {high}"),
                    Excluded(high) => format!("expected a number {low} and below {high}"),
                    Bound::None => format!("expected a finite number {low}"),
                }
            }
            Self::Switch => "expected true or false".into(),
            Self::Device => "expected auto, cpu or cuda:N (N counts from 0)".into(),
            Self::Init => init::EXPECTED.into(),
            Self::Sparsity => sparsity::EXPECTED.into(),
            Self::Seeds => "expected a list of whole numbers from 0, such as [1337, 42]".into(),
            Self::Tasks => r#"expected a list of tasks, such as ["rte", "mrpc"]"#.into(),
            Self::Split => {
                "expected dev, train, train:N (N at least 1) or heldout:FRACTION (between 0 and 1, both excluded)"
                    .into()
            }
        }
    }
}

/// A registered task's name, or a user's definition as a table.
fn task(value: &Value, names: Names) -> std::result::Result<Value, String> {
    let definition = match value {
        Value::String(path) if Definition::is_path(path) => Definition::read(Path::new(path))
            .map_err(|error| error.to_string().trim_end_matches('.').to_owned())?,
        Value::Table(table) => table.clone().try_into().map_err(|error: toml::de::Error| {
            format!("it is no definition of a task: {}. Give its name, or its TOML file", error.message())
        })?,
        // An unknown name is answered as that of any choice.
        value => {
            let error = || Kind::Task.expected();
            let name = Kind::Choice(names).check(value);
            return name.map_err(|what| what.replace(&Kind::Choice(names).expected(), &error()));
        }
    };
    let task =
        definition.clone().task().map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
    Value::try_from(task).map_err(|error| error.to_string().trim_end_matches('.').to_owned())
}

fn above(low: Bound, number: f64) -> bool {
    match low {
        Included(low) => number >= low,
        Excluded(low) => number > low,
        Bound::None => true,
    }
}

fn below(high: Bound, number: f64) -> bool {
    match high {
        Included(high) => number <= high,
        Excluded(high) => number < high,
        Bound::None => true,
    }
}

fn canonical<T: std::str::FromStr + ToString>(text: &str) -> Option<Value> {
    text.parse::<T>().ok().map(|value| Value::String(value.to_string()))
}
