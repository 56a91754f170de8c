//! The batch script: Slurm's directives, and a worker.

use super::Options;
use crate::error::{Error, Result};
use std::path::Path;

/// The contents of a script.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    pub sweep: &'a str,
    /// The working directory of the set-up lines.
    pub directory: &'a Path,
    pub store: &'a Path,
    pub program: &'a Path,
    /// The submission's folder.
    pub folder: &'a Path,
    /// Processes of each worker; by default one, or one for each of its GPUs.
    pub jobs: Option<usize>,
    /// Additional arguments for each worker.
    pub worker_args: &'a [String],
    pub options: &'a Options,
}

/// The second half of the script. Its variables are set by [`Script::text`].
const BODY: &str = include_str!("body.sh");
/// The line in it that is replaced by the set-up lines.
const SETUP: &str = "# SETUP\n";

impl Script<'_> {
    /// The script of an array of this many elements, of which `throttle` may run at the same time.
    pub fn text(&self, elements: usize, throttle: Option<usize>) -> Result<String> {
        let Self { options, folder, .. } = self;
        let limit =
            throttle.filter(|most| *most < elements).map(|most| format!("%{most}")).unwrap_or_default();
        // Slurm replaces %A by the array's id, %a by the element's number and %% by a single %.
        let logs = path(&folder.join("logs"))?.replace('%', "%%");
        let mut directives = vec![
            ("job-name", self.sweep.to_owned()),
            ("array", format!("0-{}{limit}", elements - 1)),
            ("output", format!("{logs}/%A_%a.log")),
            // A requeued element writes to the same log.
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
        text += &format!("# Each element is a worker of the sweep. Written by lottery {version}.\n");
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
        let worker_args = shlex::try_join(self.worker_args.iter().map(String::as_str));
        text += &format!(
            "worker_args=({})\n",
            worker_args.map_err(|e| Error::usage(format!("{:?}: {e}.", self.worker_args)))?
        );
        let setup: String = options.setup.iter().map(|line| format!("{line}\n")).collect();
        Ok(text + &BODY.replacen(SETUP, &setup, 1))
    }
}

/// Quotes a word as sbatch reads it: within double quotes, only backslashes and quotes are special.
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
            "{} cannot be written into a batch script. Choose a path without control characters.",
            path.display()
        ))
    })
}
