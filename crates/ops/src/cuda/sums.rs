//! Sums over rows: each block of the kernels that have the rows adds up those of its part, and one launch at the end of
//! a step adds up the parts of all sums, for each sum runs of neighbours first, then those in their order. A launch for
//! each sum would take longer to begin than to add.

use super::{Argument, Buffer, Gpu, Grid};
use crate::error::Result;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// Rows of one part: few, so that some thousand rows are many more parts than a device has multiprocessors, and a few
/// more rows do not double the time.
pub const ROWS_PER_PART: usize = 16;

/// Threads of a block that adds up parts of 32 columns, in sixteen runs.
pub(super) const RUN_THREADS: u32 = 16 * 32;
const COLUMNS: usize = 32;

/// Words of one job in the table that the kernel reads.
const JOB: usize = 8;

/// Parts into which this many rows are divided.
pub fn parts(rows: usize) -> usize {
    rows.div_ceil(ROWS_PER_PART)
}

/// The memory of many sums' parts, which lasts from step to step.
pub struct Parts {
    gpu: Rc<dyn Gpu>,
    /// In the order in which a step asks for them; none moves while another grows.
    buffers: RefCell<Vec<Buffer>>,
    table: Buffer,
    /// What the table holds: steps alike need no new one.
    uploaded: RefCell<Vec<u32>>,
}

/// Sums whose parts are on their way. None of them is there before [`Self::finish`].
pub struct Sums<'a> {
    parts: &'a Parts,
    used: Cell<usize>,
    jobs: RefCell<Vec<u32>>,
    blocks: Cell<usize>,
}

impl Parts {
    pub fn new(gpu: &Rc<dyn Gpu>) -> Self {
        Self {
            gpu: gpu.clone(),
            buffers: RefCell::default(),
            table: Buffer::new(gpu),
            uploaded: RefCell::default(),
        }
    }

    /// The memory may be that of sums before which are finished.
    pub fn begin(&self) -> Sums<'_> {
        Sums { parts: self, used: Cell::new(0), jobs: RefCell::default(), blocks: Cell::new(0) }
    }
}

impl Sums<'_> {
    /// Room for parts (N, count, width) of f32, which somebody writes before the end. Then each sum (width) ← the sum of
    /// its parts (count, width), or += with `accumulate`; what is `None` is left out.
    pub fn add<const N: usize>(
        &self,
        count: usize,
        width: usize,
        sums: [Option<u64>; N],
        accumulate: bool,
    ) -> Result<u64> {
        let (place, mut buffers) = (self.used.get(), self.parts.buffers.borrow_mut());
        self.used.set(place + 1);
        if place == buffers.len() {
            buffers.push(Buffer::new(&self.parts.gpu));
        }
        let first = buffers[place].floats(N * count * width)?;
        for (i, sum) in (0u64..).zip(sums).filter_map(|(i, sum)| Some((i, sum?))) {
            let own = first + i * (count * width * 4) as u64;
            let words = |address: u64| [address as u32, (address >> 32) as u32];
            let numbers = [count, width, self.blocks.get()].map(|n| n as u32);
            let job = words(own).into_iter().chain(words(sum)).chain(numbers).chain([u32::from(accumulate)]);
            self.jobs.borrow_mut().extend(job);
            self.blocks.set(self.blocks.get() + width.div_ceil(COLUMNS));
        }
        Ok(first)
    }

    /// Adds up the parts of all sums.
    pub fn finish(self) -> Result<()> {
        let (Parts { gpu, table, uploaded, .. }, jobs) = (self.parts, self.jobs.into_inner());
        let (mut uploaded, count) = (uploaded.borrow_mut(), jobs.len() / JOB);
        if *uploaded != jobs {
            // Whatever becomes of the upload, the table is no longer what it was.
            uploaded.clear();
            table.upload(&jobs)?;
            *uploaded = jobs;
        }
        gpu.launch(
            "add_parts",
            Grid::new(self.blocks.get(), RUN_THREADS as usize),
            &[Argument::Address(table.address()), Argument::U32(count as u32)],
        )
    }
}
