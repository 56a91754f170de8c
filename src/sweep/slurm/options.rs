//! The options of a submission: from flags, from `[slurm]` in a sweep's file, or from the previous submission.

use super::duration;
use crate::error::{Error, Result, excerpt, nearest};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The default number of seconds before the time limit at which a worker is told to stop.
const STOP_BEFORE: u64 = 120;

const KEYS: &[(&str, &str)] = &[
    ("workers", NUMBER),
    ("partition", TEXT),
    ("account", TEXT),
    ("qos", TEXT),
    ("time", "a string such as \"4:00:00\""),
    ("cpus", NUMBER),
    ("mem", "a string such as \"16G\""),
    ("gres", "a string such as \"gpu:a100:1\""),
    ("gpus_per_task", NUMBER),
    ("constraint", TEXT),
    ("throttle", NUMBER),
    ("stop_before", NUMBER),
    ("sbatch_args", TEXTS),
    ("setup", TEXTS),
];
const NUMBER: &str = "a whole number, at least 1";
const TEXT: &str = "a string in quotes";
const TEXTS: &str = "a list of strings, such as [\"…\", \"…\"]";

/// The options of sbatch that [`Options::sbatch_args`] may not contain, because the submission sets or relies on them.
const OWN: &[&str] = &["--array", "-a", "--parsable", "--wrap", "--signal", "--test-only", "--wait", "-W"];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Array elements, each a worker; at most one per pending run.
    pub workers: Option<usize>,
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    /// In sbatch's format.
    pub time: Option<String>,
    /// CPUs of an element.
    pub cpus: Option<usize>,
    pub mem: Option<String>,
    pub gres: Option<String>,
    /// GPUs of an element.
    pub gpus_per_task: Option<usize>,
    pub constraint: Option<String>,
    /// Elements that may run at the same time.
    pub throttle: Option<usize>,
    /// Seconds before the time limit at which a worker is told to stop.
    pub stop_before: Option<u64>,
    /// Additional arguments for sbatch.
    pub sbatch_args: Vec<String>,
    /// Lines of the script before the worker starts.
    pub setup: Vec<String>,
}

impl Options {
    /// Reads the table `[slurm]` of `origin`.
    pub fn of_table(table: &Table, origin: &str) -> Result<Self> {
        let names = || KEYS.iter().map(|(name, _)| *name);
        if let Some(key) = table.keys().find(|key| names().all(|name| name != key.as_str())) {
            let meant = nearest(key, names());
            let meant = meant.map_or_else(
                || format!(" Known keys: {}.", names().collect::<Vec<_>>().join(", ")),
                |meant| format!(" Did you mean slurm.{meant}?"),
            );
            let key = excerpt(key);
            return Err(Error::usage(format!("unknown key slurm.{key} ({origin}).{meant}")));
        }
        // One key at a time, so that the error can name it.
        for (name, expected) in KEYS {
            let Some(value) = table.get(*name) else { continue };
            let alone = Table::from_iter([((*name).to_owned(), value.clone())]);
            if alone.try_into::<Self>().is_err() {
                let value = value.to_string();
                let value = excerpt(&value);
                return Err(Error::usage(format!("slurm.{name} = {value} ({origin}): expected {expected}.")));
            }
        }
        let invalid =
            |error: toml::de::Error| Error::usage(format!("[slurm] ({origin}): {}.", error.message()));
        let options: Self = table.clone().try_into().map_err(invalid)?;
        options.check(&format!(" ([slurm] of {origin})"))?;
        Ok(options)
    }

    /// These options, completed by those of `below`.
    pub fn over(self, below: Self) -> Self {
        let list = |own: Vec<String>, other| if own.is_empty() { other } else { own };
        // A flag for GPUs replaces both ways of requesting them.
        let (gres, gpus_per_task) = match (&self.gres, self.gpus_per_task) {
            (Some(gres), None) if names_gpu(gres) => (self.gres, None),
            (None, Some(_)) => (below.gres.filter(|gres| !names_gpu(gres)), self.gpus_per_task),
            _ => (self.gres.or(below.gres), self.gpus_per_task.or(below.gpus_per_task)),
        };
        Self {
            workers: self.workers.or(below.workers),
            partition: self.partition.or(below.partition),
            account: self.account.or(below.account),
            qos: self.qos.or(below.qos),
            time: self.time.or(below.time),
            cpus: self.cpus.or(below.cpus),
            mem: self.mem.or(below.mem),
            gres,
            gpus_per_task,
            constraint: self.constraint.or(below.constraint),
            throttle: self.throttle.or(below.throttle),
            stop_before: self.stop_before.or(below.stop_before),
            sbatch_args: list(self.sbatch_args, below.sbatch_args),
            setup: list(self.setup, below.setup),
        }
    }

    /// Refuses invalid values.
    ///
    /// # Errors
    /// Usage: names the option, followed by `origin`.
    pub fn check(&self, origin: &str) -> Result<()> {
        let refused = |what: String| Err(Error::usage(what));
        for (name, number) in [
            ("workers", self.workers),
            ("cpus", self.cpus),
            ("gpus_per_task", self.gpus_per_task),
            ("throttle", self.throttle),
        ] {
            if number == Some(0) {
                return refused(format!("{name}{origin} is 0. Give at least 1, or drop it."));
            }
        }
        for (name, text) in self.texts() {
            if text.is_empty() || text.chars().any(char::is_control) {
                return refused(format!(
                    "{name} = {text:?}{origin} is not a value for sbatch. Write it on one line."
                ));
            }
        }
        for argument in &self.sbatch_args {
            let name = argument.split('=').next().unwrap_or_default();
            if !argument.starts_with('-') || argument.chars().any(char::is_control) {
                return refused(format!(
                    "{argument:?}{origin} is not an argument of sbatch. Write each as one word that starts with -, \
                     such as --mail-type=END."
                ));
            }
            if OWN.contains(&name) {
                return refused(format!(
                    "{argument}{origin} cannot be given to sbatch: lottery sets or relies on {name} itself. Remove it."
                ));
            }
        }
        if let (Some(gpus), Some(gres)) = (self.gpus_per_task, &self.gres)
            && names_gpu(gres)
        {
            return refused(format!(
                "gpus_per_task = {gpus} and gres = {gres:?}{origin} both request GPUs. Remove one."
            ));
        }
        if let Some(limit) = self.seconds()?
            && self.stop_before() >= limit
        {
            return refused(format!(
                "stop_before = {}{origin} leaves nothing of time = {}. Give a smaller value.",
                self.stop_before(),
                self.time.as_deref().unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// The time limit in seconds, if there is one.
    pub fn seconds(&self) -> Result<Option<u64>> {
        self.time.as_deref().map_or(Ok(None), duration::seconds)
    }

    /// Seconds before the time limit at which a worker is told to stop.
    pub fn stop_before(&self) -> u64 {
        let limit = self.seconds().ok().flatten();
        let usual = limit.map_or(STOP_BEFORE, |limit| STOP_BEFORE.min(limit / 4));
        self.stop_before.unwrap_or(usual)
    }

    /// The option that requests GPUs, if there is one.
    pub fn gpu_request(&self) -> Option<String> {
        let gres = || self.gres.as_ref().filter(|gres| names_gpu(gres)).map(|gres| format!("--gres={gres}"));
        self.gpus_per_task.map(|gpus| format!("--gpus-per-task={gpus}")).or_else(gres)
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("time", &self.time),
            ("mem", &self.mem),
            ("gres", &self.gres),
            ("constraint", &self.constraint),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_ref()?)))
    }

    /// The names and values of sbatch's own options.
    pub fn directives(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<usize>| number.map(|number| number.to_string());
        [
            ("partition", self.partition.clone()),
            ("account", self.account.clone()),
            ("qos", self.qos.clone()),
            ("time", self.time.clone()),
            ("cpus-per-task", number(self.cpus)),
            ("mem", self.mem.clone()),
            ("gres", self.gres.clone()),
            ("gpus-per-task", number(self.gpus_per_task)),
            ("constraint", self.constraint.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

fn names_gpu(gres: &str) -> bool {
    gres.split(',').any(|one| one.trim_start_matches("gres/").split([':', '=']).next() == Some("gpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Options> {
        Options::of_table(&text.parse().unwrap(), "file x.toml")
    }

    #[test]
    fn mistakes_in_the_table_are_reported_with_their_place_and_the_remedy() {
        for (text, wanted) in [
            ("partitoin = 'a'", "unknown key slurm.partitoin (file x.toml). Did you mean slurm.partition?"),
            ("xyz = 1", "Known keys: workers, partition,"),
            (
                "workers = 'many'",
                "slurm.workers = \"many\" (file x.toml): expected a whole number, at least 1",
            ),
            ("cpus = -1", "slurm.cpus = -1 (file x.toml): expected a whole number, at least 1"),
            ("time = 60", "slurm.time = 60 (file x.toml): expected a string such as \"4:00:00\""),
            ("qos = 'a'\nmem = 16", "slurm.mem = 16 (file x.toml): expected a string such as \"16G\""),
            (
                "setup = 'module load cuda'",
                "slurm.setup = \"module load cuda\" (file x.toml): expected a list",
            ),
            ("workers = 0", "workers ([slurm] of file x.toml) is 0"),
            ("time = 'soon'", "D-HH:MM:SS"),
            ("qos = \"a\\nb\"", "on one line"),
            ("sbatch_args = ['mail']", "starts with -"),
            ("sbatch_args = ['--array=1-3']", "relies on --array"),
            ("gpus_per_task = 1\ngres = 'shard:1,gpu:a100:1'", "both request GPUs"),
            ("time = '2'\nstop_before = 120", "leaves nothing of time = 2"),
        ] {
            let error = of(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }

    #[test]
    fn flags_override_the_file_and_replace_its_requests_for_gpus() {
        let below =
            of("partition = 'a'\nqos = 'b'\ngres = 'gpu:1'\nsetup = ['x']\nsbatch_args = ['-v']").unwrap();
        let flags = of("partition = 'c'\ngpus_per_task = 2\nsetup = ['y']").unwrap();
        let both = flags.over(below.clone());
        assert_eq!((both.partition.as_deref(), both.qos.as_deref()), (Some("c"), Some("b")));
        assert_eq!((both.gres.as_deref(), both.gpus_per_task), (None, Some(2)));
        assert_eq!((both.setup, both.sbatch_args), (vec!["y".to_owned()], vec!["-v".to_owned()]));
        assert_eq!(of("").unwrap().over(below.clone()), below);
    }

    #[test]
    fn a_worker_stops_two_minutes_before_the_limit_or_when_a_quarter_is_left() {
        for (text, seconds) in
            [("", 120), ("time = '1'", 15), ("time = '1:00:00'", 120), ("stop_before = 7", 7)]
        {
            assert_eq!(of(text).unwrap().stop_before(), seconds, "{text}");
        }
    }
}
