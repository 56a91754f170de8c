//! Measured time of a forward pass, before and after.

use crate::{
    engine::{Engine, Machine},
    error::{Error, Result},
    model::{Bert, Head, Input},
    ops::rng::{Purpose, Stream},
    train::Progress,
};
use serde::Serialize;
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// Batch sizes × sequence lengths, written `1,32x128`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub batches: Vec<usize>,
    pub lengths: Vec<usize>,
}

impl Default for Grid {
    fn default() -> Self {
        Self { batches: vec![1, 32], lengths: vec![128] }
    }
}

impl FromStr for Grid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let list = |part: &str| -> Option<Vec<usize>> {
            part.split(',').map(|n| n.trim().parse().ok().filter(|n| (1..=65_536).contains(n))).collect()
        };
        let grid = text
            .split_once(['x', '×'])
            .and_then(|(batches, lengths)| Some(Self { batches: list(batches)?, lengths: list(lengths)? }));
        grid.ok_or_else(|| Error::usage("expected batch sizes x lengths, such as 1,32x128, or off"))
    }
}

/// Medians of one batch size and length, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub batch: usize,
    pub length: usize,
    pub full_ms: f64,
    pub export_ms: f64,
    /// The export's time as a part of the full model's.
    pub ratio: f64,
    /// Of each model.
    pub repetitions: usize,
}

/// Repetitions and time of one batch size and length.
const FEWEST: usize = 7;
const MOST: usize = 200;
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// Times both models in turn, so that what else the machine does meets both.
pub fn measure(
    machine: &Machine,
    full: &Bert,
    export: &Bert,
    grid: &Grid,
    progress: &mut dyn Progress,
) -> Result<Vec<Latency>> {
    let longest = full.config.longest_sequence();
    if let Some(length) = grid.lengths.iter().find(|length| **length > longest) {
        return Err(Error::usage(format!(
            "--latency: a length of {length}, and the model has {longest} positions. Give shorter ones, such as 1,32x{longest}."
        )));
    }
    let mut engines = [machine.reader(full)?, machine.reader(export)?];
    let mut measured = Vec::new();
    progress.begin("latency", 0);
    for &length in &grid.lengths {
        for &batch in &grid.batches {
            if progress.stop_wanted() {
                return Err(Error::stopped("while it measured the latency"));
            }
            progress.step(measured.len() as u64, &format!("batch {batch}, length {length}"));
            measured.push(cell(&mut engines, (full.config.vocab_size, full.head), batch, length)?);
        }
    }
    progress.end("latency measured");
    Ok(measured)
}

fn cell(
    engines: &mut [Box<dyn Engine + '_>; 2],
    (words, head): (usize, Head),
    batch: usize,
    length: usize,
) -> Result<Latency> {
    let mut draw = Stream::new(0, Purpose::Split, 2);
    let ids: Vec<u32> = (0..batch * length).map(|_| draw.below(words as u32)).collect();
    let positions: Vec<u32> = (0..batch).flat_map(|_| 0..length as u32).collect();
    let segments = vec![0; ids.len()];
    let offsets: Vec<usize> = (0..=batch).map(|sequence| sequence * length).collect();
    let input = Input { ids: &ids, positions: &positions, segments: &segments, offsets: &offsets };
    let time = |engine: &mut Box<dyn Engine + '_>| -> Result<f64> {
        let began = Instant::now();
        match head {
            Head::MaskedLm => {
                drop(engine.predictions(&input, &input.offsets[..batch], &ids[..batch])?.wait()?)
            }
            _ => drop(engine.logits(&input, None)?.wait()?),
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    // Buffers and caches.
    for engine in engines.iter_mut() {
        time(engine)?;
    }
    let (mut times, began) = ([Vec::new(), Vec::new()], Instant::now());
    while times[0].len() < FEWEST || began.elapsed() < LONG_ENOUGH && times[0].len() < MOST {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            times.push(time(engine)?);
        }
    }
    let repetitions = times[0].len();
    let [full_ms, export_ms] = times.map(median);
    Ok(Latency { batch, length, full_ms, export_ms, ratio: export_ms / full_ms, repetitions })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_read_as_it_is_described() {
        assert_eq!("1,32x128".parse::<Grid>().unwrap(), Grid::default());
        let grid = Grid { batches: vec![8], lengths: vec![16, 64] };
        assert_eq!("8 x 16, 64".parse::<Grid>().unwrap(), grid);
        for wrong in ["", "1", "x", "1x", "0x8", "1x-8", "1;2x8", "1x8x9", "99999999x8"] {
            let error = wrong.parse::<Grid>().unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("1,32x128"), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_the_two() {
        assert_eq!((median(vec![9.0, 1.0, 2.0]), median(vec![4.0, 1.0, 9.0, 2.0])), (2.0, 3.0));
    }
}
