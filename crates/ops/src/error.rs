//! One error type with the exit codes that scripts rely on.

mod text;

pub use text::{excerpt, message, printable};

use std::{fs, path::Path};

/// What went wrong, in one paragraph that names the file or key and the remedy. It is displayed as a [`message`],
/// whatever text from files it contains.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid command line or configuration (exit code 2).
    #[error("{}", message(.0))]
    Usage(String),
    /// An unusable data file, model file or store (exit code 3).
    #[error("{}", message(.0))]
    Data(String),
    /// Stopped on request; running the same command resumes (exit code 4).
    #[error("{}", message(.0))]
    Stopped(String),
    /// Some runs of a sweep failed (exit code 5).
    #[error("{}", message(.0))]
    SomeFailed(String),
    /// What was done has warnings, and none are wanted (exit code 6).
    #[error("{}", message(.0))]
    Warned(String),
    /// Everything else (exit code 1).
    #[error("{}", message(.0))]
    Internal(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::Data(message.into())
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(message.into())
    }

    /// `what` completes the sentence "stopped …", such as "after step 3".
    pub fn stopped(what: &str) -> Self {
        Self::Stopped(format!("stopped {what}; finished work is kept"))
    }

    /// A failed file operation: `what` is the verb ("read", "write", "create").
    pub fn io(path: &Path, what: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        if error.kind() == NotFound
            && let Some(link) = dangling(path)
        {
            let path = path.display();
            return Self::Data(format!("cannot {what} {path}: {link}. Fix the link, or give another path."));
        }
        let remedy = match error.kind() {
            NotFound => "Check the spelling of the path and that the file exists.",
            PermissionDenied | ReadOnlyFilesystem => {
                "Change the permissions, or choose a writable store with --store."
            }
            StorageFull | QuotaExceeded => "Free some space, or choose a store on another disk with --store.",
            FileTooLarge => {
                "The file would exceed a size limit: raise it (ulimit -f unlimited), or choose a store on another disk with \
                 --store."
            }
            InvalidInput | IsADirectory => "Give the path of a file, or put the file in its place.",
            _ => "Check the path and the disk, then run the same command again.",
        };
        Self::Data(format!("cannot {what} {}: {error}. {remedy}", path.display()))
    }

    /// What the exit code means.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::Internal(_) => "internal error",
            Self::Usage(_) => "usage or configuration",
            Self::Data(_) => "data or model file, or the store",
            Self::Stopped(_) => "stopped by a signal; the same command resumes",
            Self::SomeFailed(_) => "some runs of a sweep failed, the others are done",
            Self::Warned(_) => "a warning, which --deny-warnings makes an error",
        }
    }

    /// The documented exit code of the process.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Internal(_) => 1,
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Stopped(_) => 4,
            Self::SomeFailed(_) => 5,
            Self::Warned(_) => 6,
        }
    }
}

/// `X is a link to Y, which does not exist`, if that is why this path is not found.
pub fn dangling(path: &Path) -> Option<String> {
    path.ancestors().find_map(|link| {
        let target = fs::read_link(link).ok()?;
        (!link.exists())
            .then(|| format!("{} is a link to {}, which does not exist", link.display(), target.display()))
    })
}

/// A usage error: `expected file or line; did you mean line?`
pub fn none_of(word: &str, names: &[&str]) -> Error {
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    let all = if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) };
    let hint = nearest(word, names.iter().copied()).map(|name| format!("; did you mean {name}?"));
    Error::usage(format!("expected {all}{}", hint.unwrap_or_default()))
}

/// The candidate most similar to `word`, if one is similar enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is that long, and comparing long texts takes time.
    let candidates = candidates.into_iter().filter(|_| word.len() <= 200);
    candidates
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_an_error_it_is_short_and_changes_nothing_on_a_terminal() {
        let long = format!("a.tsv: \x1b]0;title\x07{}. Mend it.", "x".repeat(4 << 20));
        for error in
            [Error::usage(long.as_str()), Error::data(long.as_str()), Error::SomeFailed(long.clone())]
        {
            let shown = error.to_string();
            assert!(shown.chars().count() <= 2000 && !shown.contains(char::is_control), "{shown:?}");
            assert!(
                shown.starts_with(r"a.tsv: \u{1b}]0;title\u{7}xx") && shown.ends_with("x. Mend it."),
                "{shown}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_why_a_file_below_it_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("gone/away", &link).unwrap();
        for path in [link.clone(), link.join("RTE/train.tsv")] {
            let error = Error::io(&path, "read", &fs::read(&path).unwrap_err()).to_string();
            assert!(
                error.contains(&format!("{} is a link to gone/away, which does not exist", link.display()))
            );
        }
        assert_eq!(dangling(&folder.path().join("nothing")), None);
        assert_eq!(dangling(Path::new("relative")), None);
    }
}
