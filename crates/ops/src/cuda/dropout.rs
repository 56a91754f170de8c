//! Dropout's masks as kernels take them; see [`crate::dropout`].

use super::{
    Argument, Format, Gpu, Grid,
    chunks::{CHUNK, THREADS, blocks},
    gpu::named,
};
use crate::{dropout::Dropout, error::Result};

/// x ⊙ mask in place, element i of `len` being the mask's element i; x is aligned as what `allocate` gives.
pub fn apply(gpu: &dyn Gpu, format: Format, mask: &Dropout, x: u64, len: usize) -> Result<()> {
    let mut all = vec![Argument::Address(x), Argument::U64(len as u64)];
    all.extend(arguments(Some(mask)));
    let warps = len.div_ceil(2 * CHUNK);
    gpu.launch(&named("dropout_apply", format), Grid::new(blocks(warps), THREADS), &all)
}

/// A site's mask as a kernel's parameters `seed, sequence, site, step, threshold, scale`; without one nothing is
/// dropped.
pub(super) fn arguments(mask: Option<&Dropout>) -> [Argument; 6] {
    let (seed, [sequence, site, step], threshold, scale) =
        mask.map_or((0, [0; 3], 0, 1.0), |m| (m.seed, m.id, m.threshold, m.scale));
    [
        Argument::U64(seed),
        Argument::U32(sequence),
        Argument::U32(site),
        Argument::U32(step),
        Argument::U32(threshold),
        Argument::F32(scale),
    ]
}
