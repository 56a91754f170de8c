//! Calls Slurm's commands.

use std::{
    env,
    fs::File,
    io::{self, ErrorKind, Read, Seek},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Prefixes of variables that Slurm's commands read as options, or set in a job. A submission from within a job would
/// inherit its CPUs, memory and end time, and squeue would use another format or show other jobs.
const OPTIONS: &[&str] = &[
    "SBATCH_",
    "SLURM_",
    "SLURMD_",
    "SRUN_",
    "SALLOC_",
    "SQUEUE_",
    "SCANCEL_",
    "SCONTROL_",
    "SACCT_",
    "SINFO_",
];
/// Exceptions: where the controller is, and authentication.
const KEPT: &[&str] = &["SLURM_CONF", "SLURM_JWT"];

/// Whether this variable is hidden from Slurm's commands and from the jobs that they submit.
fn is_option(name: &str) -> bool {
    OPTIONS.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.contains(&name)
}

/// The variables in the environment that would give sbatch options but are ignored.
pub fn unused_options() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_given = |name: &String| name.starts_with("SBATCH_") || name == "SLURM_CLUSTERS";
    let mut names: Vec<String> = names.filter(is_given).collect();
    names.sort();
    names
}

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// It is not on `PATH`.
    NotFound,
    /// Its error message.
    Message(String),
    TimedOut(Duration),
}

/// Runs the command and returns its stdout; kills it after `timeout`.
pub fn call(program: &str, arguments: &[&str], timeout: Duration) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::Message(format!("cannot start {program}: {error}"));
    // Files rather than pipes: nothing has to read a long output while the command runs.
    let (mut out, mut err) = (tempfile::tempfile().map_err(failed)?, tempfile::tempfile().map_err(failed)?);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_option) {
            command.env_remove(name);
        }
    }
    command.stdout(out.try_clone().map_err(failed)?).stderr(err.try_clone().map_err(failed)?);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::NotFound,
        _ => failed(error),
    })?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if started.elapsed() > timeout => {
                // An error means that it has just ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::TimedOut(timeout));
            }
            None => thread::sleep(POLL_INTERVAL),
        }
    };
    let out = text(&mut out).map_err(failed)?;
    if status.success() {
        return Ok(out);
    }
    let stderr = text(&mut err).map_err(failed)?;
    let prefix = format!("{program}: ");
    let lines: Vec<&str> = stderr
        .lines()
        .map(|line| line.trim_start_matches(&prefix).trim_start_matches("error: ").trim())
        .filter(|line| !line.is_empty())
        .collect();
    Err(Failure::Message(if lines.is_empty() { format!("it ended with {status}") } else { lines.join("; ") }))
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_the_environment_are_hidden_and_the_way_to_the_controller_is_not() {
        for name in
            ["SBATCH_PARTITION", "SLURM_JOB_END_TIME", "SLURM_CPUS_PER_TASK", "SQUEUE_STATES", "SRUN_DEBUG"]
        {
            assert!(is_option(name), "{name}");
        }
        for name in ["SLURM_CONF", "SLURM_JWT", "SLURM", "PATH", "MY_SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"] {
            assert!(!is_option(name), "{name}");
        }
    }
}
