//! Slurm's commands, called.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Seek},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(5);

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
