//! The TOML file of a user's task, with errors that name line and key.

use super::definition::{Column, ColumnNames, Definition, Fault, LabelName, ScoreRange};
use crate::{
    choice::Choice,
    error::{Error, Result, excerpt, nearest},
    file,
    task::{FileFormat, MetricId},
};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// No such file is that long.
const LARGEST: u64 = 1 << 20;

const KEYS: &[&str] = &[
    "name", "about", "folder", "train", "dev", "test", "format", "columns", "labels", "score", "metric",
    "metrics",
];

type Parsed<T> = std::result::Result<T, Fault>;

pub fn read(path: &Path) -> Result<Definition> {
    let shown = path.display();
    let bytes = file::read(path, LARGEST).map_err(|error| {
        Error::usage(format!("cannot read the task {shown}: {error}. Check the path given with --task."))
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::usage(format!("the task {shown} is not UTF-8 text. Write it as TOML.")))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Error::usage(format!("{shown}:{line}: not valid TOML: {}. Mend that line.", error.message()))
    })?;
    let told = |(key, what): Fault| {
        let line = line_of(&text, key).map_or_else(String::new, |line| format!(":{line}"));
        Error::usage(format!("{shown}{line}: {key}: {what}"))
    };
    unknown(&table, KEYS, "").map_err(|(key, what)| {
        let line = line_of(&text, &key).map_or_else(String::new, |line| format!(":{line}"));
        Error::usage(format!("{shown}{line}: unknown key {}.{what}", excerpt(&key)))
    })?;
    for (section, keys) in
        [("columns", &["first", "second", "label", "index"][..]), ("score", &["min", "max"])]
    {
        let Some(Value::Table(inner)) = table.get(section) else { continue };
        unknown(inner, keys, section).map_err(|(key, what)| {
            let line = line_of(&text, &key).map_or_else(String::new, |line| format!(":{line}"));
            Error::usage(format!("{shown}{line}: unknown key {}.{what}", excerpt(&key)))
        })?;
    }
    let mut definition = definition(&table).map_err(told)?;
    // Without a folder in its path or its text, that is the working directory.
    let parts = [path.parent().unwrap_or(Path::new("")), Path::new(&definition.folder)];
    let mut folder: PathBuf = parts.into_iter().filter(|part| !part.as_os_str().is_empty()).collect();
    if folder.as_os_str().is_empty() {
        folder.push(".");
    }
    let folder =
        std::path::absolute(folder).map_err(|error| Error::io(path, "find the folder of", &error))?;
    folder
        .to_str()
        .ok_or_else(|| Error::usage(format!("{shown}: the path of its folder is not UTF-8.")))?
        .clone_into(&mut definition.folder);
    definition.check().map_err(told)?;
    Ok(definition)
}

/// An unknown key, dotted, and what was meant.
fn unknown(table: &Table, keys: &[&str], section: &str) -> std::result::Result<(), (String, String)> {
    let Some(key) = table.keys().find(|key| !keys.contains(&key.as_str())) else { return Ok(()) };
    let near = nearest(key, keys.iter().copied());
    let what = near.map_or_else(
        || format!(" The keys are {}.", keys.join(", ")),
        |near| format!(" Did you mean {near}?"),
    );
    Err((if section.is_empty() { key.clone() } else { format!("{section}.{key}") }, what))
}

fn definition(table: &Table) -> Parsed<Definition> {
    let (labels, score) = (labels(table)?, score(table)?);
    let metric = table.get("metric").map(|value| metric("metric", value)).transpose()?;
    let usual = if score.is_some() { MetricId::Corr } else { MetricId::Accuracy };
    let metric = metric.unwrap_or(usual);
    let mut metrics = match table.get("metrics") {
        None if score.is_some() => vec![MetricId::Pearson, MetricId::Spearman, MetricId::Corr],
        None => vec![metric],
        Some(Value::Array(list)) => {
            list.iter().map(|value| self::metric("metrics", value)).collect::<Parsed<_>>()?
        }
        Some(_) => return Err(("metrics", "expected a list, such as [\"accuracy\", \"f1\"].".into())),
    };
    if !metrics.contains(&metric) {
        metrics.insert(0, metric);
    }
    Ok(Definition {
        name: text(table, "name")?
            .ok_or_else(|| ("name", "the task needs a name, for its results.".into()))?,
        about: text(table, "about")?.unwrap_or_default(),
        folder: text(table, "folder")?.unwrap_or_default(),
        train: files(table, "train")?,
        dev: files(table, "dev")?,
        test: files(table, "test")?,
        format: text(table, "format")?
            .map(|word| FileFormat::read(&word).map_err(|error| ("format", error.to_string())))
            .transpose()?,
        columns: columns(table)?,
        labels,
        score,
        metric,
        metrics,
    })
}

fn text(table: &Table, key: &'static str) -> Parsed<Option<String>> {
    match table.get(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(_) => Err((key, "expected a text that is not empty.".into())),
    }
}

fn files(table: &Table, key: &'static str) -> Parsed<Vec<String>> {
    let name = |value: &Value| value.as_str().filter(|name| !name.trim().is_empty()).map(str::to_owned);
    let files = match table.get(key) {
        None => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(name).collect(),
        Some(value) => name(value).map(|name| vec![name]),
    };
    files.ok_or_else(|| (key, "expected a file, or a list of files.".into()))
}

fn columns(table: &Table) -> Parsed<ColumnNames> {
    let example = "columns = { first = \"sentence\", label = \"label\" }";
    let Some(Value::Table(columns)) = table.get("columns") else {
        return Err(("columns", format!("say which columns hold the texts and the label: {example}.")));
    };
    let column = |name: &str, key: &'static str| match columns.get(name) {
        None => Ok(None),
        Some(Value::String(name)) if !name.is_empty() => Ok(Some(Column::Name(name.clone()))),
        Some(Value::Integer(place @ 0..=9999)) => Ok(Some(Column::Place(*place as usize))),
        Some(_) => Err((
            key,
            "expected the name of a column, or in files without a header its position from 0.".into(),
        )),
    };
    let needed =
        |column: Option<Column>, key| column.ok_or_else(|| (key, format!("it is missing: {example}.")));
    Ok(ColumnNames {
        first: needed(column("first", "columns.first")?, "columns.first")?,
        second: column("second", "columns.second")?,
        label: needed(column("label", "columns.label")?, "columns.label")?,
        index: match column("index", "columns.index")? {
            Some(Column::Place(_)) => return Err(("columns.index", "expected the name of a column.".into())),
            Some(Column::Name(name)) => Some(name),
            None => None,
        },
    })
}

fn labels(table: &Table) -> Parsed<Vec<LabelName>> {
    let word = |value: &Value| match value {
        Value::String(word) => Some(word.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let label = |value: &Value| match value {
        Value::Table(both) if both.len() == 2 => {
            Some(LabelName { name: word(both.get("name")?)?, value: word(both.get("value")?)? })
        }
        value => word(value).map(|name| LabelName { value: name.clone(), name }),
    };
    let labels = match table.get("labels") {
        None => Some(Vec::new()),
        Some(value) => value.as_array().and_then(|list| list.iter().map(label).collect()),
    };
    labels.ok_or_else(|| {
        let what = "expected a list of names, such as [\"no\", \"yes\"], or with what the files write in their place: \
                    [{ value = 0, name = \"no\" }, { value = 1, name = \"yes\" }].";
        ("labels", what.into())
    })
}

fn score(table: &Table) -> Parsed<Option<ScoreRange>> {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match table.get("score") {
        None => Ok(None),
        Some(value) => {
            let end = |key| value.get(key).and_then(number).map(|number| number as f32);
            let range = end("min").zip(end("max")).map(|(min, max)| ScoreRange { min, max });
            range.map(Some).ok_or_else(|| ("score", "expected { min = …, max = … } with two numbers.".into()))
        }
    }
}

fn metric(key: &'static str, value: &Value) -> Parsed<MetricId> {
    let word = value.as_str().unwrap_or_default();
    MetricId::ALL.into_iter().find(|metric| metric.name() == word).ok_or_else(|| {
        let names = MetricId::ALL.map(MetricId::name);
        let near = nearest(word, names.iter().copied());
        let near = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
        (key, format!("expected one of {}.{near}", names.join(", ")))
    })
}

/// The line that has a dotted key.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let begins = |line: &str, key: &str| {
        let rest = line.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(['=', '.']))
    };
    let find = |from: usize, wanted: &dyn Fn(&str) -> bool| {
        text.lines().enumerate().skip(from).find(|(_, line)| wanted(line)).map(|(at, _)| at)
    };
    let line = match key.split_once('.') {
        None => find(0, &|line| begins(line, key) || line.trim() == format!("[{key}]")),
        Some((section, key)) => {
            let section = find(0, &|line| begins(line, section) || line.trim() == format!("[{section}]"))?;
            find(section + 1, &|line| begins(line, key)).or(Some(section))
        }
    };
    line.map(|at| at + 1)
}
