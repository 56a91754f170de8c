//! The batch script: a worker, and what Slurm wants to know about it.

use super::Options;
use crate::error::{Error, Result};
use std::path::Path;

/// What the script is about.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    pub sweep: &'a str,
    /// Where set-up lines begin.
    pub directory: &'a Path,
    pub store: &'a Path,
    pub program: &'a Path,
    /// Of the submission.
    pub folder: &'a Path,
    /// Processes of each worker; without a number one, or one for each of its GPUs.
    pub jobs: Option<usize>,
    /// Further arguments of each worker.
    pub more: &'a [String],
    pub options: &'a Options,
}

/// The script's second half; what it names in its first lines is said in [`Script::text`].
const BODY: &str = include_str!("body.sh");
/// The place of the set-up lines in it.
const SETUP: &str = "# SETUP\n";

impl Script<'_> {
    /// The whole script of an array of so many elements, of which `throttle` may run at a time.
    pub fn text(&self, elements: usize, throttle: Option<usize>) -> Result<String> {
        let Self { options, folder, .. } = self;
        let limit =
            throttle.filter(|most| *most < elements).map(|most| format!("%{most}")).unwrap_or_default();
        // Slurm fills in %A, the array's id, and %a, the element's number; %% is a plain one.
        let logs = path(&folder.join("logs"))?.replace('%', "%%");
        let mut directives = vec![
            ("job-name", self.sweep.to_owned()),
            ("array", format!("0-{}{limit}", elements - 1)),
            ("output", format!("{logs}/%A_%a.log")),
            // An element that goes on writes to the same log.
            ("open-mode", "append".to_owned()),
            ("chdir", path(self.directory)?.to_owned()),
            ("nodes", "1".to_owned()),
            ("ntasks", "1".to_owned()),
            ("signal", format!("B:USR1@{}", options.stop_before())),
        ];
        directives.extend(options.directives());
        let mut text = "#!/bin/bash\n".to_owned();
        for (name, value) in directives {
            text += &format!("#SBATCH --{name}={}\n", quoted(&value));
        }
        text += "#SBATCH --requeue\n";
        for argument in &options.sbatch_args {
            text += &format!("#SBATCH {}\n", quoted(argument));
        }

        let version = env!("CARGO_PKG_VERSION");
        text += &format!("# A worker of the sweep in each element; written by lottery {version}.\n");
        let limit = options.seconds()?.map(|limit| limit.to_string()).unwrap_or_default();
        for (name, value) in [
            ("program", path(self.program)?),
            ("sweep", self.sweep),
            ("store", path(self.store)?),
            ("cancelled", path(&folder.join(super::submission::CANCELLED))?),
            ("jobs", &self.jobs.map(|jobs| jobs.to_string()).unwrap_or_default()),
            ("time_limit", &limit),
            ("stop_before", &options.stop_before().to_string()),
            ("gpus", &options.gpu_request().unwrap_or_default()),
        ] {
            let word = shlex::try_quote(value).map_err(|e| Error::usage(format!("{value:?}: {e}.")))?;
            text += &format!("{name}={word}\n");
        }
        let more = shlex::try_join(self.more.iter().map(String::as_str));
        text += &format!("more=({})\n", more.map_err(|e| Error::usage(format!("{:?}: {e}.", self.more)))?);
        let setup: String = options.setup.iter().map(|line| format!("{line}\n")).collect();
        Ok(text + &BODY.replacen(SETUP, &setup, 1))
    }
}

/// As sbatch reads it: within double quotes all but backslashes and quotes stand for themselves.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:;/@%+=^~*()[]&|<>!?".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(|| {
        Error::usage(format!(
            "{} cannot be written into a batch script. Choose a path of printable letters.",
            path.display()
        ))
    })
}
