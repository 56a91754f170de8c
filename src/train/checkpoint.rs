//! Checkpoints: the state of a training run between two steps, from which a stopped or killed run resumes.
//!
//! A file consists of a magic number, the length of a JSON header (u64), the header, the weights, the optimizer's slots and,
//! where they are wanted, the weights of the best epoch (f32 each), all little endian, and the BLAKE3 hash of everything
//! before it. It is written beside its predecessor and
//! read back, and only then is the predecessor removed.

use super::progress::Progress;
use crate::{
    error::{Error, Result},
    file,
    ops::optimizer::{AdamW, State},
    store::{atomic_write_with, is_link},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read, Seek, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

const MAGIC: &[u8; 8] = b"LTRAIN02";
const DIGEST: u64 = blake3::OUT_LEN as u64;
const PREFIX: &str = "step-";
/// Prefix of files that a killed process was writing.
const TEMPORARY: &str = ".tmp-";

/// Far more than any header takes.
const LARGEST_HEADER: u64 = 64 << 20;

/// Writing takes at most one part in this many of the time, however slow the disk is.
const SHARE: u32 = 50;

/// A masked-LM score on held-out text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub step: u64,
    /// Masked tokens that were to be predicted.
    pub predictions: u64,
    /// Mean cross-entropy over them, in nats.
    pub loss: f64,
    /// exp(loss), at most the largest finite number.
    pub perplexity: f64,
    /// Fraction of them for which no token was likelier than the right one.
    pub accuracy: f64,
}

impl Evaluation {
    /// The perplexity with a readable number of digits.
    pub fn perplexity_text(&self) -> String {
        let Self { perplexity, .. } = *self;
        if perplexity < 1e6 { format!("{perplexity:.2}") } else { format!("{perplexity:.2e}") }
    }
}

/// The progress of a run: its state except for the weights and the optimizer's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps taken.
    pub step: u64,
    pub tokens: u64,
    /// Spent on these steps, by all processes together.
    pub seconds: f64,
    /// Mean training loss of every finished epoch.
    pub epoch_losses: Vec<f64>,
    /// The scores after them, where the weights of the best one are kept; else none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub epoch_scores: Vec<f64>,
    /// Sum of the losses of the predictions in the current epoch, and their number.
    pub epoch_loss: f64,
    pub epoch_predictions: u64,
    /// Scores on held-out data so far.
    pub evaluations: Vec<Evaluation>,
    /// The smoothed loss, for display.
    pub recent: Option<f64>,
    /// Versions and kernels of the processes that took the steps. With more than one, the result need not match, bit for bit,
    /// that of either.
    pub computed_by: Vec<String>,
}

impl Position {
    /// Whether this can be a position in a run of `total` steps and `epochs` epochs.
    pub fn is_of(&self, total: u64, epochs: usize, steps_per_epoch: u64) -> bool {
        let finished = self.epoch_losses.len();
        let before = (finished as u64).checked_mul(steps_per_epoch);
        let within = before.and_then(|before| self.step.checked_sub(before));
        finished <= epochs && self.step <= total && within.is_some_and(|steps| steps <= steps_per_epoch)
    }

    /// Whether every finished epoch has a score, or, with `wanted` false, none.
    pub fn has_scores(&self, wanted: bool) -> bool {
        self.epoch_scores.len() == if wanted { self.epoch_losses.len() } else { 0 }
    }

    /// Whether the numbers are plausible for any run.
    fn is_possible(&self) -> bool {
        let most = 1 << 60;
        self.tokens <= most && self.epoch_predictions <= most && (0.0..=1e12).contains(&self.seconds)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    position: Position,
    /// Steps that the optimizer has taken.
    moment_steps: u32,
    /// The names of its slots. Older files lack them: their state is AdamW's.
    #[serde(default = "of_adamw")]
    slots: Vec<String>,
}

fn of_adamw() -> Vec<String> {
    AdamW::SLOTS.map(String::from).into()
}

fn names(state: &State) -> impl Iterator<Item = &str> {
    state.slots().iter().map(|slot| slot.name)
}

/// The checkpoints of one training run, in a folder of their own.
pub struct Checkpoints {
    dir: PathBuf,
    every: Duration,
    last: Instant,
    cost: Duration,
    /// The weights of the best of the epochs that have scores.
    pub best: Vec<f32>,
}

impl Checkpoints {
    /// `every`: the time between checkpoints, extended where writing is slow; zero writes one after every step.
    pub fn new(dir: PathBuf, every: Duration) -> Self {
        Self { dir, every, last: Instant::now(), cost: Duration::ZERO, best: Vec::new() }
    }

    /// Whether the next checkpoint is due.
    pub fn due(&self) -> bool {
        let pause = if self.every.is_zero() { Duration::ZERO } else { self.every.max(self.cost * SHARE) };
        self.last.elapsed() >= pause
    }

    /// Restarts the interval.
    pub fn postpone(&mut self) {
        self.last = Instant::now();
    }

    /// Writes a checkpoint, reads it back, and removes all others.
    pub fn save(&mut self, position: &Position, weights: &[f32], state: &State) -> Result<()> {
        let started = Instant::now();
        let slots = names(state).map(String::from).collect();
        let header = Header { position: position.clone(), moment_steps: state.steps, slots };
        let header = serde_json::to_vec(&header).map_err(|e| Error::internal(e.to_string()))?;
        let path = self.dir.join(format!("{PREFIX}{:010}", position.step));
        atomic_write_with(&path, |out| {
            let mut out = Hashed { out, hasher: blake3::Hasher::new() };
            out.put(MAGIC)?;
            out.put(&(header.len() as u64).to_le_bytes())?;
            out.put(&header)?;
            let slots = state.slots().iter().map(|slot| &slot.values[..]);
            let best = (!position.epoch_scores.is_empty()).then_some(&self.best[..]);
            for values in [weights].into_iter().chain(slots).chain(best) {
                for values in values.chunks(1 << 16) {
                    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                    out.put(&bytes)?;
                }
            }
            let digest = out.hasher.finalize();
            out.out.write_all(digest.as_bytes())
        })?;
        let whole = file::open(&path).and_then(|mut file| is_whole(&mut file));
        if !whole.map_err(|e| Error::io(&path, "read", &e))? {
            let _ = fs::remove_file(&path);
            return Err(Error::data(format!(
                "{} does not read back as it was written. Check the disk, or choose a store on another disk with --store.",
                path.display()
            )));
        }
        // Older checkpoints and damaged ones. A failure to remove one costs only disk space.
        for other in self.files()?.into_iter().filter(|other| *other != path) {
            let _ = fs::remove_file(&other);
        }
        (self.last, self.cost) = (Instant::now(), started.elapsed());
        Ok(())
    }

    /// Fills weights and the optimizer's state from the newest intact checkpoint whose position `fits` the run, and warns
    /// about the others. `None` if there is no such checkpoint.
    pub fn restore(
        &mut self,
        weights: &mut [f32],
        state: &mut State,
        fits: &dyn Fn(&Position) -> bool,
        progress: &mut dyn Progress,
    ) -> Result<Option<Position>> {
        // A link leads out of the stage, where nothing belongs to this run.
        if is_link(&self.dir) {
            fs::remove_file(&self.dir).map_err(|e| Error::io(&self.dir, "remove", &e))?;
        }
        let (checkpoints, rest): (Vec<_>, Vec<_>) = self.files()?.into_iter().partition(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
        });
        // Left by a killed process.
        for path in rest {
            let _ = fs::remove_file(path);
        }
        for path in checkpoints.iter().rev() {
            match file::open(path).and_then(|mut file| read(&mut file, weights, state, &mut self.best, fits))
            {
                Ok(position) => return Ok(Some(position)),
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
                    ) =>
                {
                    progress.warn(&format!("{} is damaged and is ignored", path.display()));
                }
                Err(e) => return Err(Error::io(path, "read", &e)),
            }
        }
        Ok(None)
    }

    /// Checkpoints, older ones first, and temporary files. Other files in the folder are none of ours.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let failed = |e: io::Error| Error::io(&self.dir, "list", &e);
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if [PREFIX, TEMPORARY].iter().any(|start| name.to_string_lossy().starts_with(start)) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

/// A writer that hashes what passes through it.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl Hashed<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Whether the file ends with the hash of what comes before.
fn is_whole(file: &mut File) -> io::Result<bool> {
    let Some(body) = file.metadata()?.len().checked_sub(DIGEST) else { return Ok(false) };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(Read::by_ref(file).take(body))?;
    let mut digest = [0; blake3::OUT_LEN];
    file.read_exact(&mut digest)?;
    Ok(hasher.finalize() == digest)
}

/// Fills weights and moments. Nothing is changed unless the whole file is intact and fits.
fn read(
    file: &mut File,
    weights: &mut [f32],
    state: &mut State,
    best: &mut Vec<f32>,
    fits: &dyn Fn(&Position) -> bool,
) -> io::Result<Position> {
    let damaged = || io::Error::from(ErrorKind::InvalidData);
    let own = 4 * weights.len() as u64;
    let values = own * (1 + state.slots().len()) as u64;
    let size = file.metadata()?.len();
    if size > 16 + LARGEST_HEADER + values + own + DIGEST || !is_whole(file)? {
        return Err(damaged());
    }
    file.rewind()?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut word = [0; 8];
    file.read_exact(&mut word)?;
    if word != *MAGIC {
        return Err(damaged());
    }
    file.read_exact(&mut word)?;
    let mut header = Vec::new();
    file.by_ref().take(u64::from_le_bytes(word).min(LARGEST_HEADER)).read_to_end(&mut header)?;
    let length = header.len() as u64;
    let header: Header = serde_json::from_slice(&header)?;
    let of_best = if header.position.epoch_scores.is_empty() { 0 } else { own };
    if size != 16 + length + values + of_best + DIGEST {
        return Err(damaged());
    }
    if !header.position.is_possible() || !fits(&header.position) || !names(state).eq(&header.slots) {
        return Err(damaged());
    }
    let slots = state.slots_mut().iter_mut().map(|slot| &mut slot.values[..]);
    best.resize((of_best / 4) as usize, 0.0);
    for values in [weights].into_iter().chain(slots).chain([&mut best[..]]) {
        let mut bytes = vec![0; 4 << 16];
        for values in values.chunks_mut(1 << 16) {
            let bytes = &mut bytes[..4 * values.len()];
            file.read_exact(bytes)?;
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
    }
    state.steps = header.moment_steps;
    Ok(header.position)
}

#[cfg(test)]
mod tests;
