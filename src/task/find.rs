//! Which files hold a task's splits: the classic layout, the publishers' own, and the hub's.

use super::{FileFormat, Split, Stem, TaskId, TaskSpec, file_format::ENDINGS};
use crate::error::{Error, Result, dangling, excerpt};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// A file with examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Below the task's folder, with slashes.
    pub name: String,
    pub path: PathBuf,
    pub format: FileFormat,
    /// See [`Stem::only`].
    pub only: Option<(&'static str, &'static str)>,
}

/// The files of each of these splits: all in the first of the task's folders that has the first split.
///
/// # Errors
/// Data: no folder, or a missing file, with what is expected and what is there instead.
pub fn find(spec: &TaskSpec, data_dir: &Path, splits: &[Split]) -> Result<Vec<Vec<DataFile>>> {
    let Some(first) = splits.first() else { return Ok(Vec::new()) };
    let folders = [spec.folder].into_iter().chain(spec.other_folders.iter().copied());
    let mut there = None;
    for folder in folders.map(|folder| data_dir.join(folder)).filter(|folder| folder.is_dir()) {
        if !files(spec, &folder, first)?.is_empty() {
            return splits
                .iter()
                .map(|split| match files(spec, &folder, split)? {
                    files if files.is_empty() => Err(missing_file(spec, &folder, split)),
                    files => Ok(files),
                })
                .collect();
        }
        there.get_or_insert(folder);
    }
    Err(match there.filter(|folder| folder != data_dir) {
        Some(folder) => missing_file(spec, &folder, first),
        None => missing_folder(spec, data_dir),
    })
}

fn files(spec: &TaskSpec, folder: &Path, split: &Split) -> Result<Vec<DataFile>> {
    match split {
        Split::Any(stems) => {
            for stem in *stems {
                let files = of_stem(folder, stem)?;
                if !files.is_empty() {
                    return Ok(files);
                }
            }
            Ok(Vec::new())
        }
        Split::All(names) => names
            .iter()
            .map(|name| {
                let format = spec.format.or_else(|| FileFormat::of_name(name)).ok_or_else(|| {
                    Error::usage(format!(
                        "the task {}: it is not clear what format {} has. Write format = \"csv\", or tsv, jsonl, parquet.",
                        spec.name,
                        excerpt(name)
                    ))
                })?;
                Ok(DataFile { name: (*name).to_owned(), path: folder.join(name), format, only: None })
            })
            .collect(),
    }
}

fn of_stem(folder: &Path, stem: &Stem) -> Result<Vec<DataFile>> {
    let file = |name: String, format| DataFile { path: folder.join(&name), name, format, only: stem.only };
    for (ending, format) in ENDINGS {
        let name = format!("{}.{ending}", stem.name);
        if exists(&folder.join(&name)) {
            return Ok(vec![file(name, *format)]);
        }
    }
    let names = shards(folder, stem.name)?;
    Ok(names.into_iter().filter_map(|name| Some(file(name.clone(), FileFormat::of_name(&name)?))).collect())
}

/// `train-00000-of-00002.parquet`, … as on the hub, or `train/0000.parquet`, … as the hub converts data sets.
fn shards(folder: &Path, stem: &str) -> Result<Vec<String>> {
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for name in names(folder).unwrap_or_default() {
        let numbers = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| {
            let (numbers, _) = rest.split_once('.')?;
            let (number, total) = numbers.split_once("-of-")?;
            Some((number.parse().ok()?, total.parse().ok()?))
        });
        if let Some((number, total)) = numbers.filter(|_| FileFormat::of_name(&name).is_some()) {
            found.push((number, total, name));
        }
    }
    found.sort();
    if let Some((_, total, name)) = found.first() {
        let complete = found.len() == *total
            && found.iter().enumerate().all(|(at, shard)| shard.0 == at && shard.1 == *total);
        if !complete {
            return Err(Error::data(format!(
                "{}: of the files of {stem}, {} are there, but {} is one of {total}. Fetch all of them, and remove \
                 those of another version.",
                folder.display(),
                found.len(),
                excerpt(name)
            )));
        }
        return Ok(found.into_iter().map(|(_, _, name)| name).collect());
    }
    let converted = names(&folder.join(stem)).unwrap_or_default();
    let converted = converted.into_iter().filter(|name| name.ends_with(".parquet"));
    Ok(converted.map(|name| format!("{stem}/{name}")).collect())
}

/// Whether something has this name, be it a link to nowhere: an error about that is better than another file.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
}

fn missing_folder(spec: &TaskSpec, data_dir: &Path) -> Error {
    let folder = data_dir.join(spec.folder);
    let train = if spec.train.is_none() {
        String::new()
    } else {
        format!("{}/{} and ", spec.folder, spec.train.file())
    };
    let dev: Vec<String> = spec.dev.iter().map(|split| format!("{}/{}", spec.folder, split.file())).collect();
    let there = dangling(&folder).unwrap_or_else(|| listed(data_dir));
    let layout = match spec.other_folders.first() {
        Some(hub) => {
            format!("the official layout, {train}{}, or that of the hub, {hub}/….parquet", dev.join(", "))
        }
        None => format!("{train}{}", dev.join(", ")),
    };
    Error::data(format!(
        "no folder {}; {there}. Expected {layout}: give --data the folder that contains {}.",
        folder.display(),
        spec.folder,
    ))
}

fn missing_file(spec: &TaskSpec, folder: &Path, split: &Split) -> Error {
    let file = &*split.file();
    let there = names(folder).unwrap_or_default();
    let find = |wanted: &dyn Fn(&str) -> bool| there.iter().find(|name| wanted(&name.to_lowercase()));
    let (stem, _) = file.split_once('.').unwrap_or((file, ""));
    let hint = if let Some(raw) = find(&|name| name.starts_with("msr_paraphrase"))
        && spec.id == TaskId::Mrpc
    {
        format!(
            "{} is from the original corpus, which GLUE splits into train.tsv and dev.tsv by a list of ids \
             (mrpc_dev_ids.tsv): download GLUE's files, or split it in the same way.",
            excerpt(raw)
        )
    } else if let Some(raw) = find(&|name| name.starts_with("multinli") || name.starts_with("snli"))
        && spec.id != TaskId::Snli
    {
        format!(
            "{} is from the original corpus: download GLUE's files, or remove its rows whose gold_label is - and name it {file}.",
            excerpt(raw)
        )
    } else if let Some(packed) = find(&|name| name.starts_with(&format!("{file}."))) {
        format!("Unpack {} first.", excerpt(packed))
    } else if let Some(other) = find(&|name| name.starts_with(&format!("{stem}."))) {
        format!("If {} is that file, separate its columns by tabs and name it {file}.", excerpt(other))
    } else {
        let needed = [&spec.train].into_iter().filter(|split| !split.is_none()).chain(spec.dev);
        let needed: Vec<String> = needed.map(Split::file).collect();
        format!(
            "A folder of {} contains {}; other formats (.csv, .jsonl, .parquet) are read, too.",
            spec.folder,
            needed.join(" and ")
        )
    };
    let path = folder.join(file);
    Error::data(format!("cannot read {}: no such file; {}. {hint}", path.display(), listed(folder)))
}

/// The contents of a folder, as part of a sentence.
fn listed(folder: &Path) -> String {
    let shown = folder.display();
    match names(folder) {
        Err(error) => format!("{shown} cannot be listed ({error})"),
        Ok(names) if names.is_empty() => format!("{shown} is empty"),
        Ok(names) => {
            let more = if names.len() > 12 { ", …" } else { "" };
            let first: Vec<_> = names.iter().take(12).map(|name| excerpt(name)).collect();
            format!("{shown} contains: {}{more}", first.join(", "))
        }
    }
}

fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}
