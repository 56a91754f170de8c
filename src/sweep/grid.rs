//! The grid: settings with several values each. Every combination is a run; `exclude` entries remove some, `include`
//! entries add some.

use crate::{
    choice::Choice,
    config::{ExperimentConfig, Layers, canonical, leaves, parse_toml, typed},
    error::{Error, Result, nearest},
    task::TaskId,
};
use std::{collections::BTreeMap, fs, path::Path};
use toml::{Table, Value};

/// The seeds of Prasanna et al. 2020.
pub const PAPER_SEEDS: [i64; 5] = [1337, 42, 86, 71, 166];

/// More are assumed to be a mistake.
const MAX_RUNS: usize = 100_000;

/// The settings that vary in a sweep.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    axes: Vec<Axis>,
    include: Vec<Vec<Axis>>,
    exclude: Vec<Vec<Axis>>,
}

/// One setting and its values, in their canonical spelling.
#[derive(Clone, Debug)]
struct Axis {
    key: &'static str,
    values: Vec<Value>,
}

impl Axis {
    fn new(key: &str, values: &[Value], origin: &str) -> Result<Self> {
        // An unknown key is reported before an empty list of its values.
        let values = values.iter().flat_map(|value| expanded(key, value));
        let checked = values.map(|value| canonical(key, &value, origin)).collect::<Result<Vec<_>>>()?;
        let Some((key, _)) = checked.first() else {
            return Err(Error::usage(format!(
                "{key} ({origin}) has no values. Give at least one, or remove the key."
            )));
        };
        let mut values: Vec<Value> = Vec::new();
        for (_, value) in &checked {
            // A range or a group may contain what is named beside it.
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        Ok(Self { key, values })
    }

    /// An axis for each leaf of a table: a list holds several values, anything else is one value.
    fn of_table(table: &Table, origin: &str) -> Result<Vec<Self>> {
        let values = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        leaves(table).into_iter().map(|(key, value)| Self::new(&key, &values(value), origin)).collect()
    }
}

/// The values that a word stands for: `glue` for its tasks, `paper` and `1-5` for seeds.
fn expanded(key: &str, value: &Value) -> Vec<Value> {
    match (key, value.as_str()) {
        ("task", Some("glue")) => TaskId::glue().into_iter().map(|task| task.name().into()).collect(),
        ("seed", Some("paper")) => PAPER_SEEDS.map(Value::Integer).to_vec(),
        ("seed", Some(text)) => {
            match text.split_once('-').map(|(from, to)| (from.parse(), to.parse::<i64>())) {
                Some((Ok(from @ 0i64..), Ok(to))) if from <= to && to - from < MAX_RUNS as i64 => {
                    (from..=to).map(Value::Integer).collect()
                }
                _ => vec![value.clone()],
            }
        }
        _ => vec![value.clone()],
    }
}

impl Grid {
    /// Reads a sweep's file: its `grid`, `include` and `exclude`, and the table of everything else: the settings that
    /// all runs share, and `slurm`.
    pub fn read(path: &Path) -> Result<(Self, Table)> {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::usage(format!(
                "cannot read the sweep file {}: {error}. Check the path; configs/sweeps/ has examples.",
                path.display()
            ))
        })?;
        Self::parse(&text, &format!("file {}", path.display()))
    }

    /// What [`Grid::read`] reads, of a text.
    ///
    /// # Errors
    /// Usage: it is no TOML, or a table or a key in it is none of a sweep's.
    pub fn parse(text: &str, origin: &str) -> Result<(Self, Table)> {
        let mut table = parse_toml(text, origin)?;
        let mut grid = Self::default();
        if let Some(axes) = table.remove("grid") {
            let Value::Table(axes) = axes else {
                return Err(Error::usage(format!(
                    "grid ({origin}) is not a table. Write [grid], and below it lines such as seed = [1337, 42]."
                )));
            };
            grid.axes = Axis::of_table(&axes, &format!("grid of {origin}"))?;
        }
        for (name, entries) in [("include", &mut grid.include), ("exclude", &mut grid.exclude)] {
            let Some(value) = table.remove(name) else { continue };
            let listed = value.as_array().and_then(|list| list.iter().map(Value::as_table).collect());
            let Some::<Vec<&Table>>(listed) = listed else {
                return Err(Error::usage(format!(
                    "{name} ({origin}) is not a list of tables. Write [[{name}]], and below it lines such as task = \"rte\"."
                )));
            };
            for (n, entry) in listed.into_iter().enumerate() {
                if entry.is_empty() {
                    return Err(Error::usage(format!(
                        "{name} {} ({origin}) is empty. Name the settings of the runs that it applies to.",
                        n + 1
                    )));
                }
                entries.push(Axis::of_table(entry, &format!("{name} {} of {origin}", n + 1))?);
            }
        }
        let misspelt = table.iter().find_map(|(key, value)| {
            let meant = nearest(key, ["grid", "include", "exclude", "slurm"])?;
            let known = key == "slurm" || canonical(key, value, origin).is_ok();
            (!known && is_table_or_list_of_tables(value)).then_some((key, meant))
        });
        match misspelt {
            Some((key, meant)) => {
                Err(Error::usage(format!("unknown key {key} ({origin}). Did you mean {meant}?")))
            }
            None => Ok((grid, table)),
        }
    }

    /// Sets the values of one setting, as typed; they replace those of the file.
    pub fn axis(&mut self, key: &str, words: &[impl AsRef<str>], origin: &str) -> Result<()> {
        let values: Vec<Value> = words.iter().map(|word| typed(key, word.as_ref())).collect();
        let axis = Axis::new(key, &values, origin)?;
        self.axes.retain(|other| other.key != axis.key);
        self.axes.push(axis);
        Ok(())
    }

    /// The runs: every combination over `base` except the excluded ones, then the included ones. `below` adds the
    /// settings of lowest precedence.
    ///
    /// # Errors
    /// Usage: those of [`Layers::resolve`]; a grid without runs or with too many.
    pub fn runs(
        &self,
        base: &Layers,
        below: impl Fn(&mut Layers) -> Result<()>,
    ) -> Result<Vec<ExperimentConfig>> {
        let resolve = |point: &[(&str, &Value)]| {
            let mut layers = base.clone();
            for (key, value) in point {
                layers.value(key, (*value).clone(), "grid")?;
            }
            below(&mut layers)?;
            layers.resolve()
        };
        let mut runs = Vec::new();
        for point in product(&self.axes)? {
            let config = resolve(&point)?;
            let settings = config.settings()?;
            if !self.exclude.iter().any(|entry| matches(entry, &settings)) {
                runs.push(config);
            }
        }
        let single = self.axes.iter().filter(|axis| axis.values.len() == 1);
        for entry in &self.include {
            // Settings with a single value in the grid have it here too.
            let shared = single.clone().filter(|axis| entry.iter().all(|own| own.key != axis.key));
            let axes: Vec<Axis> = shared.chain(entry).cloned().collect();
            for point in product(&axes)? {
                runs.push(resolve(&point)?);
            }
        }
        if runs.is_empty() {
            return Err(Error::usage(
                "every run of the grid is excluded. Remove an [[exclude]] entry from the file.",
            ));
        }
        Ok(runs)
    }
}

fn is_table_or_list_of_tables(value: &Value) -> bool {
    let tables = |list: &Vec<Value>| list.iter().all(Value::is_table);
    value.is_table() || value.as_array().is_some_and(tables)
}

/// Whether a run has one of the entry's values for each of its settings.
fn matches(entry: &[Axis], settings: &BTreeMap<String, Value>) -> bool {
    entry.iter().all(|axis| settings.get(axis.key).is_some_and(|value| axis.values.contains(value)))
}

/// Every combination; the last axis varies fastest.
fn product(axes: &[Axis]) -> Result<Vec<Vec<(&'static str, &Value)>>> {
    let count = axes.iter().try_fold(1usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MAX_RUNS) {
        return Err(Error::usage(format!(
            "the grid has more than {MAX_RUNS} runs. Divide it into several sweeps."
        )));
    }
    let mut axes: Vec<&Axis> = axes.iter().collect();
    axes.sort_by_key(|axis| rank(axis.key));
    let mut points = vec![Vec::new()];
    for axis in axes {
        points = points
            .iter()
            .flat_map(|point: &Vec<_>| {
                axis.values.iter().map(move |value| [&point[..], &[(axis.key, value)]].concat())
            })
            .collect();
    }
    Ok(points)
}

/// Seeds vary slowest, so that one seed of everything is done early and mistakes fail early; modes vary fastest,
/// because they share a fine-tuned model.
fn rank(key: &str) -> usize {
    match key {
        "seed" => 0,
        "model" => 1,
        "task" => 2,
        "method" => 4,
        "search.threshold" | "prune.sparsity" | "prune.level" | "init" | "ticket_from" => 5,
        "mode" => 6,
        _ => 3,
    }
}

/// Splits `a,b` at its commas, except those within quotes or brackets.
pub fn words(list: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut depth) = (None, 0usize);
    for letter in list.chars() {
        match (letter, quote) {
            (',', None) if depth == 0 => words.push(String::new()),
            _ => {
                match (letter, quote) {
                    ('"' | '\'', None) => quote = Some(letter),
                    (_, Some(open)) if open == letter => quote = None,
                    ('[', None) => depth += 1,
                    (']', None) => depth = depth.saturating_sub(1),
                    _ => {}
                }
                words.last_mut().into_iter().for_each(|word| word.push(letter));
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Result<Vec<String>> {
        let (grid, rest) = Grid::parse(text, "file x.toml")?;
        let mut base = Layers::new();
        base.table(&rest, "file x.toml")?;
        let runs = grid.runs(&base, |_| Ok(()))?;
        Ok(runs.iter().map(|c| format!("{} {} {} {}", c.task, c.mode, c.seed, c.search.threshold)).collect())
    }

    #[test]
    fn groups_and_ranges_stand_for_their_values_once_each() {
        let seeds = |text: &str| {
            runs(&format!("task = 'rte'\nmodel = 'm'\n[grid]\nseed = [{text}]")).map(|runs| {
                runs.iter().map(|run| run.split(' ').nth(2).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(seeds("'paper'").unwrap(), "1337 42 86 71 166");
        assert_eq!(seeds("'1-3', 2, '7-7'").unwrap(), "1 2 3 7");
        for wrong in ["'3-1'", "'1-x'", "'-1-3'", "'0-99999999999'"] {
            assert!(seeds(wrong).unwrap_err().to_string().contains("whole number"), "{wrong}");
        }
        let glue = runs("model = 'm'\n[grid]\ntask = ['glue', 'rte', 'demo']\nseed = 1").unwrap();
        assert_eq!(glue.len(), 10, "{glue:?}");
    }

    #[test]
    fn every_combination_but_the_excluded_is_a_run_and_included_ones_are_added() {
        let text = r#"
            model = "m"
            data.dir = "d"
            [grid]
            task = ["RTE", "wnli"]
            mode = ["good", "bad"]
            search.threshold = [0.9, 0.5]
            [[exclude]]
            task = "wnli"
            mode = ["bad", "random"]
            [[exclude]]
            search.threshold = 0.5
            mode = "bad"
            [[include]]
            task = "mrpc"
            seed = [1, 2]
        "#;
        let expected = [
            "rte good 1337 0.9",
            "rte bad 1337 0.9",
            "rte good 1337 0.5",
            "wnli good 1337 0.9",
            "wnli good 1337 0.5",
            "mrpc good 1 0.9",
            "mrpc good 2 0.9",
        ];
        assert_eq!(runs(text).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_reported_with_their_place_and_the_remedy() {
        for (text, wanted) in [
            ("[grid]\ntasks = ['rte']", "unknown key tasks (grid of file x.toml). Did you mean task?"),
            ("[grid]\nmode = ['goof']", "Did you mean good?"),
            ("[grid]\nseed = []", "seed (grid of file x.toml) has no values"),
            ("[gird]\nseed = [1]", "unknown key gird (file x.toml). Did you mean grid?"),
            ("[[excludes]]\nseed = 1", "Did you mean exclude?"),
            ("[[exclude]]\nmoed = 'bad'", "exclude 1 of file x.toml"),
            ("[[exclude]]\n", "exclude 1 (file x.toml) is empty"),
            ("exclude = 3", "Write [[exclude]]"),
            ("grid = 3", "Write [grid]"),
            ("[grid]\nmode = ['good']\n[[exclude]]\nmode = 'good'", "every run of the grid is excluded"),
            ("[train]\nepoch = 3", "Did you mean train.epochs?"),
            ("grid = ", "not valid TOML"),
        ] {
            let error = runs(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let many = (0..400).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let text = format!("[grid]\nseed = [{many}]\ntrain.epochs = [{}]", many.replacen('0', "1", 1));
        assert!(runs(&text).unwrap_err().to_string().contains("more than 100000"));
    }

    #[test]
    fn a_flag_replaces_the_axis_of_the_file() {
        let (mut grid, _) = Grid::parse("[grid]\nseed = [1, 2]\nmode = ['good', 'bad']", "x").unwrap();
        grid.axis("seed", &["7"], "--seeds").unwrap();
        let runs = grid.runs(&Layers::new(), |_| Ok(())).unwrap();
        assert_eq!(runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [7, 7]);
        assert!(grid.axis("seed", &["x"], "--seeds").unwrap_err().to_string().contains("--seeds"));
    }

    #[test]
    fn commas_within_quotes_do_not_split() {
        assert_eq!(words("1,2"), ["1", "2"]);
        assert_eq!(words("'a,b',c"), ["'a,b'", "c"]);
        assert_eq!(words("one"), ["one"]);
    }
}
