//! Slurm's commands, called.

use std::{
    env,
    fs::File,
    io::{self, ErrorKind, Read, Seek},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);

/// What Slurm's commands read as options that nobody typed, or what they set in a job: a submission from within one would
/// inherit its CPUs, memory and end, and squeue would answer in another format, or of other jobs.
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
/// Where the controller is, and who asks.
const KEPT: &[&str] = &["SLURM_CONF", "SLURM_JWT"];

/// Whether Slurm's commands, and the jobs that they submit, are not to see this variable of the caller.
fn is_option(name: &str) -> bool {
    OPTIONS.iter().any(|begins| name.starts_with(begins)) && !KEPT.contains(&name)
}

/// The variables of the caller by which sbatch would have been told options, for people who rely on them.
pub fn unused_options() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let told = |name: &String| name.starts_with("SBATCH_") || name == "SLURM_CLUSTERS";
    let mut names: Vec<String> = names.filter(told).collect();
    names.sort();
    names
}

/// Why a command gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// It is not on `PATH`.
    Missing,
    /// What it said on its way out.
    Said(String),
    Silent(Duration),
}

/// What it prints; asked for no longer than `patience`.
pub fn call(program: &str, arguments: &[&str], patience: Duration) -> Result<String, Failure> {
    let said = |error: io::Error| Failure::Said(format!("cannot start {program}: {error}"));
    // Files rather than pipes: a long answer needs nobody who reads it meanwhile.
    let (mut out, mut err) = (tempfile::tempfile().map_err(said)?, tempfile::tempfile().map_err(said)?);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_option) {
            command.env_remove(name);
        }
    }
    command.stdout(out.try_clone().map_err(said)?).stderr(err.try_clone().map_err(said)?);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Missing,
        _ => said(error),
    })?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(said)? {
            Some(status) => break status,
            None if began.elapsed() > patience => {
                // It may have ended by itself by now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::Silent(patience));
            }
            None => thread::sleep(PAUSE),
        }
    };
    let out = text(&mut out).map_err(said)?;
    if status.success() {
        return Ok(out);
    }
    let words = text(&mut err).map_err(said)?;
    let begins = format!("{program}: ");
    let lines: Vec<&str> = words
        .lines()
        .map(|line| line.trim_start_matches(&begins).trim_start_matches("error: ").trim())
        .filter(|line| !line.is_empty())
        .collect();
    Err(Failure::Said(if lines.is_empty() { format!("it ended with {status}") } else { lines.join("; ") }))
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
    fn options_of_the_caller_are_kept_from_slurm_and_the_way_to_its_controller_is_not() {
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
