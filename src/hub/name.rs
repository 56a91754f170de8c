//! Names of repositories, revisions, commits and files. Whatever becomes part of a path is checked here.

/// A kind of repository, by its place on the hub and in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RepoKind {
    /// Before `owner/name` in the hub's URLs.
    pub(super) url_prefix: Option<&'static str>,
    /// Before `--owner--name` in the cache.
    pub(super) folder_prefix: &'static str,
    /// For messages: what it is, the flag that takes a folder of it, and what `hf download` needs for it.
    pub(super) noun: &'static str,
    pub(super) flag: &'static str,
    pub(super) hf_option: &'static str,
}

pub(super) const MODEL: RepoKind =
    RepoKind { url_prefix: None, folder_prefix: "models", noun: "model", flag: "--model", hf_option: "" };

pub(super) const DATASET: RepoKind = RepoKind {
    url_prefix: Some("datasets"),
    folder_prefix: "datasets",
    noun: "data set",
    flag: "--data",
    hf_option: " --repo-type dataset",
};

/// A repository at a revision: a branch, a tag or a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repo<'a> {
    pub(super) kind: RepoKind,
    /// `owner/name`
    pub(super) id: &'a str,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) revision: &'a str,
}

const MAX_PART: usize = 96;

impl<'a> Repo<'a> {
    /// Parses `owner/name` or `owner/name@revision`. `None` for names that the hub's rules exclude, including `..`, `.` and
    /// absolute paths, so that no name leads out of the cache.
    pub(super) fn parse(kind: RepoKind, text: &'a str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = id.split_once('/')?;
        let plain = |part: &str| {
            is_component(part)
                && part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
                && !part.contains("..")
                && !part.contains("--")
        };
        let short = |part: &str| part.len() <= MAX_PART && !part.ends_with('-') && !part.ends_with(".git");
        let valid = [owner, name].into_iter().all(|part| plain(part) && short(part))
            && revision.split('/').all(plain);
        valid.then_some(Self { kind, id, owner, name, revision })
    }
}

/// A commit's full hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit(String);

impl Commit {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digit = |letter: u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 40 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a file's content: its hash on the hub, any name on other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Etag(String);

/// Suffixes of other files beside the blobs.
const RESERVED: [&str; 4] = [".incomplete", ".part", ".lock", ".tmp"];

impl Etag {
    /// Parses a header: `"name"` or `W/"name"`. `None` for anything that is not safe as a file name.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let name = header.trim();
        let name = name.strip_prefix("W/").unwrap_or(name).trim_matches('"');
        let valid = is_component(name)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
            && !RESERVED.iter().any(|suffix| name.to_ascii_lowercase().ends_with(suffix));
        valid.then(|| Self(name.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path components of a file in a repository; `None` if one of them is not a plain name.
pub(super) fn file_parts(file: &str) -> Option<Vec<&str>> {
    let parts: Vec<_> = file.split('/').collect();
    parts.iter().all(|part| is_component(part)).then_some(parts)
}

/// Leaves room for a suffix within the 255 bytes of most file systems.
const MAX_COMPONENT: usize = 200;

/// Whether this is a plain name of a file or folder on every system: no separator, drive or stream, no `.` or `..`, and
/// no trailing characters that Windows strips.
pub(super) fn is_component(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_COMPONENT
        && !name.ends_with(['.', ' '])
        && !name.chars().any(|letter| letter.is_control() || "/\\:*?\"<>|".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn one_path_component_has_no_separator_no_drive_and_no_dots_alone() {
        for good in ["config.json", ".gitattributes", "a b", "ü", "a..b"] {
            assert!(is_component(good), "{good}");
        }
        let long = "x".repeat(201);
        for bad in ["", ".", "..", "/", "a/b", "..\\x", "C:", "x:y", "a\0", "a\n", "a.", "a ", "*", &long] {
            assert!(!is_component(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_file_name_leads_to_no_other_place() {
        assert_eq!(file_parts("data/rte/train.parquet").unwrap(), ["data", "rte", "train.parquet"]);
        for bad in ["", "/etc/passwd", "../x", "a/../x", "a//b", "a/", "a\\b", "C:/x", "a/./b"] {
            assert!(file_parts(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn an_etag_is_a_name_beside_no_other() {
        let sha = "a".repeat(64);
        for good in [format!("\"{sha}\""), format!("W/\"{sha}\""), sha.clone()] {
            assert_eq!(Etag::parse(&good).unwrap().as_str(), sha);
        }
        let long = "a".repeat(300);
        for bad in
            ["", "\"\"", "../x", "\"../../x\"", "/etc/x", "a/b", "..", ".x", "a\\b", "a b", "x.lock", &long]
        {
            assert!(Etag::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Etag::parse(&format!("{sha}.incomplete")).is_none());
    }

    #[test]
    fn a_commit_is_forty_hexadecimal_digits() {
        assert_eq!(Commit::parse(COMMIT).unwrap().as_str(), COMMIT);
        for bad in ["", "/tmp/x", "../../x", &COMMIT[1..], &COMMIT.to_uppercase(), &format!("{COMMIT}0")] {
            assert!(Commit::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_repository_has_an_owner_a_name_and_a_revision() {
        let repo = Repo::parse(MODEL, "google-bert/bert-base-uncased").unwrap();
        assert_eq!((repo.owner, repo.name, repo.revision), ("google-bert", "bert-base-uncased", "main"));
        assert_eq!(Repo::parse(MODEL, "a/b@refs/pr/1").unwrap().revision, "refs/pr/1");
        let long = format!("a/{}", "b".repeat(97));
        for bad in
            ["a", "a/b/c", "a/b-", "a/b.git", "a/b.", "-a/b", "a/b@x/../y", "a/b@/x", "a/b@x\\y", &long]
        {
            assert!(Repo::parse(MODEL, bad).is_none(), "{bad:?}");
        }
    }
}
