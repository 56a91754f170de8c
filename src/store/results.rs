//! Records: the latest of each task × method × mode × seed at a fixed path, those of other settings beside it.

use super::{
    Lock, POLL_INTERVAL, Store, atomic_write,
    canonical::canonical,
    links::{link_on_the_way, refuse_link},
};
use crate::{
    error::{Error, Result},
    file,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

impl Store {
    /// The path of a run's events.
    pub fn events_path(&self, run: &str) -> PathBuf {
        self.dir.join("events").join(format!("{run}.jsonl"))
    }

    /// The path of a run's record.
    pub fn results_path(&self, task: &str, method: &str, mode: &str, seed: u64) -> PathBuf {
        self.dir.join("results").join(task).join(method).join(mode).join(format!("seed-{seed}.json"))
    }

    /// The lock that is held while a record is written.
    pub(super) fn records_lock(&self) -> PathBuf {
        self.dir.join("locks").join("records")
    }

    /// Writes a run's record, a JSON object with `stages` and `config`. An existing record of other settings, another model or
    /// other data is moved to `seed-<n>.<hash of these>.json`, which is returned.
    pub fn write_record(&self, path: &Path, record: &str) -> Result<Option<PathBuf>> {
        if let Some(link) = link_on_the_way(&self.dir, path, "") {
            refuse_link(&link)?;
        }
        // Two runs with different settings may end at the same moment.
        let mut lock = Lock::at(&self.records_lock())?;
        let _held = loop {
            match lock.take()? {
                Some(lease) => break lease,
                None => std::thread::sleep(POLL_INTERVAL),
            }
        };
        let own = beside(path, record.as_bytes());
        let moved = match file::read_if_there(path)? {
            Some(earlier) => {
                let to = beside(path, &earlier);
                let other = to != own;
                if other {
                    atomic_write(&to, &earlier)?;
                }
                other.then_some(to)
            }
            None => None,
        };
        atomic_write(path, record.as_bytes())?;
        // A record of these settings may have been moved aside before.
        if self.is_moved_aside(path, &own) {
            match fs::remove_file(&own) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&own, "remove", &e)),
                _ => {}
            }
        }
        Ok(moved)
    }

    /// Whether the file is a record that was moved aside, as its name says, in this store.
    fn is_moved_aside(&self, path: &Path, own: &Path) -> bool {
        let here = link_on_the_way(&self.dir, own, "results").is_none();
        let bytes = file::read_if_there(own).ok().flatten();
        here && bytes.is_some_and(|bytes| beside(path, &bytes) == own)
    }
}

/// The path to which a record is moved.
fn beside(path: &Path, record: &[u8]) -> PathBuf {
    let hash = match serde_json::from_slice::<Value>(record) {
        Ok(mut record) if record["stages"].is_object() => {
            let (stages, mut config) = (record["stages"].take(), record["config"].take());
            // These say how and from where, not what: the ids of the stages contain the hashes of the files.
            for (section, key) in [("", "run"), ("", "model"), ("", "ticket"), ("/data", "dir")] {
                if let Some(Value::Object(section)) = config.pointer_mut(section) {
                    section.remove(key);
                }
            }
            blake3::hash(canonical(&json!([stages, config])).as_bytes())
        }
        // Not one of our records: moved under the hash of its bytes.
        _ => blake3::hash(record),
    };
    path.with_extension(format!("{}.json", &hash.to_hex().as_str()[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_lie_by_task_method_mode_and_seed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = store.results_path("rte", "heads+ffns", "good", 1337);
        assert_eq!(
            path.strip_prefix(store.dir()).unwrap(),
            Path::new("results/rte/heads+ffns/good/seed-1337.json")
        );
    }

    #[cfg(unix)]
    #[test]
    fn no_record_is_written_through_a_link_below_the_results() {
        let folder = tempfile::tempdir().unwrap();
        let (store, outside) =
            (Store::open(&folder.path().join("runs")).unwrap(), folder.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, store.dir().join("results/rte")).unwrap();
        let path = store.results_path("rte", "heads+ffns", "good", 1337);
        let error = store.write_record(&path, "{}").unwrap_err();
        assert!(
            error.exit_code() == 3 && error.to_string().contains("results/rte is a symbolic link"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_record_replaces_its_own_kind_and_moves_another_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = store.results_path("rte", "heads+ffns", "good", 1337);
        let files = || {
            let mut names: Vec<_> = fs::read_dir(path.parent().unwrap())
                .unwrap()
                .map(|e| fs::read_to_string(e.unwrap().path()).unwrap())
                .collect();
            names.sort();
            names
        };
        let slow = r#"{"stages":{"finetune":"a"},"config":{"run":{"threads":1}}}"#;
        let slow_again = r#"{"stages":{"finetune":"a"},"config":{"run":{"threads":2}}}"#;
        let fast = r#"{"stages":{"finetune":"a"},"config":{"threshold":0.8}}"#;
        assert_eq!(store.write_record(&path, slow).unwrap(), None);
        assert_eq!(store.write_record(&path, slow_again).unwrap(), None);
        assert_eq!(files(), [slow_again]);
        let moved = store.write_record(&path, fast).unwrap().unwrap();
        assert_eq!(fs::read_to_string(moved).unwrap(), slow_again);
        assert_eq!(fs::read_to_string(&path).unwrap(), fast);
        // Back to the first settings: each kind is there once.
        assert!(store.write_record(&path, slow).unwrap().is_some());
        assert_eq!(files(), [slow, fast]);
        // What is no record is not destroyed either.
        fs::write(&path, "notes").unwrap();
        store.write_record(&path, slow).unwrap();
        assert_eq!(files(), ["notes", slow, fast]);
    }
}
