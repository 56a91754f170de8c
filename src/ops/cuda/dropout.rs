//! Dropout's masks as kernels take them; see [`crate::ops::dropout`].

use super::Argument;
use crate::ops::dropout::Dropout;

/// A site's mask as a kernel's parameters `seed, sequence, site, step, threshold, scale`; without one nothing is dropped.
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
