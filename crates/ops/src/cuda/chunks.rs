//! Rows as the warps of chunks.cuh work on them.

use super::Argument;

/// Columns that a warp has at once.
pub(super) const CHUNK: usize = 128;

/// Threads of a block whose warps have a row each.
pub(super) const THREADS: usize = 128;

/// Whether rows of this width at these addresses (0 is none) consist of whole vectors of four elements, as a kernel's
/// parameter.
pub(super) fn vectors(width: usize, addresses: &[u64]) -> Argument {
    Argument::U32(u32::from(
        width.is_multiple_of(4) && addresses.iter().all(|address| address.is_multiple_of(16)),
    ))
}

/// The number of blocks for this many warps.
pub(super) fn blocks(warps: usize) -> usize {
    warps.div_ceil(THREADS / 32)
}
