//! Symbolic links in a store.
//!
//! The store's own path may contain links, and its `stages` may be one, since weights are large and may be kept on
//! another disk. Other links are followed for reading only. Nothing is written or removed through them: the link itself
//! is removed, or reported.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The one folder in a store that may be a link.
pub(super) const STAGES: &str = "stages";

/// Whether this path itself is a symbolic link, whatever it points to.
pub fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// # Errors
/// Data: the folder is a symbolic link.
pub fn refuse_link(dir: &Path) -> Result<()> {
    if !is_link(dir) {
        return Ok(());
    }
    Err(Error::data(format!(
        "{} is a symbolic link, and nothing is written or removed through links inside a store. Replace the link by the \
         folder itself, or remove it; then run the same command again.",
        dir.display()
    )))
}

/// The first link among the folders from `root` down to `path`; `path` itself may be a link, and so may the folder
/// `may_be` in `root`. A path outside the root counts as a link.
pub(super) fn link_on_the_way(root: &Path, path: &Path, may_be: &str) -> Option<PathBuf> {
    let Ok(below) = path.strip_prefix(root) else { return Some(path.to_owned()) };
    let mut folder = root.to_owned();
    for component in below.parent()?.components() {
        folder.push(component);
        if is_link(&folder) && folder != root.join(may_be) {
            return Some(folder);
        }
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_found_wherever_they_are_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("store"), folder.path().join("outside"));
        for dir in [root.join("results/rte"), root.join("real/deep"), outside.join("deep")] {
            fs::create_dir_all(dir).unwrap();
        }
        for link in ["stages", "cache", "results/link"] {
            symlink(&outside, root.join(link)).unwrap();
        }
        symlink(folder.path().join("none"), root.join("dangling")).unwrap();
        let way = |path: &str| link_on_the_way(&root, &root.join(path), STAGES);
        for free in ["real/deep/x", "stages/deep/x", "results/rte/x", "results/link", "dangling", "new/y"] {
            assert_eq!(way(free), None, "{free}");
        }
        assert_eq!(way("cache/x"), Some(root.join("cache")));
        assert_eq!(way("results/link/deep/x"), Some(root.join("results/link")));
        assert_eq!(way("dangling/x"), Some(root.join("dangling")));
        assert!(link_on_the_way(&root, &outside.join("x"), STAGES).is_some());
        // The store itself may be one.
        symlink(&root, folder.path().join("runs")).unwrap();
        let runs = folder.path().join("runs");
        assert_eq!(link_on_the_way(&runs, &runs.join("real/x"), STAGES), None);
        assert!(refuse_link(&root.join("cache")).unwrap_err().exit_code() == 3);
        refuse_link(&root.join("real")).unwrap();
    }
}
