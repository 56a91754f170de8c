//! `<store>/events/<run>.jsonl`: a line for each event, from all processes that executed the run.

use super::{Recorder, host, is_kept, now};
use crate::{file, train::Event};
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Version of the format; the first line of every process has it.
pub const FORMAT_VERSION: u32 = 1;

/// The file of one run, open at its end.
pub struct Lines {
    path: PathBuf,
    file: File,
    host: String,
    /// The last line may lack its end.
    cut: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    host: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl Lines {
    /// Opens the file, creating it and its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = file::append(path)?;
        // A full disk or a crashed machine may have cut off the last line. It is not removed, since another process may be
        // writing at this moment.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { path: path.to_owned(), file, host: host(), cut: last != [b'\n'] })
    }
}

impl Recorder for Lines {
    fn record(&mut self, stage: Option<&str>, event: &Event) -> io::Result<()> {
        let kept = match event {
            Event::Step(step) => is_kept(step.step, step.total),
            Event::EpochEnds { epoch, epochs, .. } => is_kept(*epoch as u64, *epochs as u64),
            _ => true,
        };
        if !kept {
            return Ok(());
        }
        // Milliseconds are enough.
        let time = (now() * 1e3).round() / 1e3;
        let line = Line { time, host: &self.host, pid: std::process::id(), stage, event };
        let mut bytes = if self.cut { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
        // A single write in append mode: lines of several processes do not mix, and killing one cuts no line.
        self.cut = true;
        let written = self.file.write(&bytes)?;
        if written < bytes.len() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "only a part of a line was written"));
        }
        self.cut = false;
        Ok(())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_behind_a_cut_one_and_not_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events/run.jsonl");
        let warn = |text: &str| {
            let event = Event::Warning { text };
            Lines::open(&path).unwrap().record(Some("search-0"), &event).unwrap();
        };
        warn("one");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        warn("two");
        warn("three");
        let text = fs::read_to_string(&path).unwrap();
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
        let [None, Some(two), Some(three)] = &text.lines().map(read).collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        assert_eq!((two["text"].as_str(), three["text"].as_str()), (Some("two"), Some("three")));
        assert_eq!((&two["event"], &two["stage"]), (&"warning".into(), &"search-0".into()));
        assert_eq!(two["pid"], std::process::id());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_no_panic() {
        let file = File::options().append(true).open("/dev/full").unwrap();
        let mut lines = Lines { path: "/dev/full".into(), file, host: host(), cut: false };
        for _ in 0..2 {
            let error = lines.record(None, &Event::Warning { text: "x" }).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
