//! Operands in bf16: f32 rounded to the nearest, ties to even.

use super::kernel::{Kernel, Lines, Tile, transpose_four_steps};
use crate::dispatch;
use std::marker::PhantomData;

/// Steps that are converted at a time, before they are packed.
const STRETCH: usize = 64;

/// The bits of the nearest bf16; a NaN stays one.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { bits >> 16 | 0x40 } else { rounded }
}

/// Two steps in one element, the earlier one in the lower half.
#[inline(always)]
fn pair(early: f32, late: f32) -> f32 {
    f32::from_bits(round(early) | round(late) << 16)
}

/// Packs `W` lines as pairs of steps; a last odd step is paired with zeros.
///
/// # Safety
/// As for [`super::kernel::Kernel::pack_rows`] with `W` lines and two steps in an element. AVX is required.
#[inline(always)]
pub(super) unsafe fn pack_pairs<const W: usize>(lines: Lines, len: usize, out: *mut f32) {
    let Lines { from, line, step, count } = lines;
    // SAFETY: the caller keeps every element below inside the matrix and inside `out`.
    unsafe {
        let mut p = 0;
        if count == W && line == 1 {
            while p + 2 <= len {
                let (early, late) = (&*from.add(p * step).cast(), &*from.add((p + 1) * step).cast());
                let (early, late): (&[f32; W], &[f32; W]) = (early, late);
                let to: &mut [f32; W] = &mut *out.add(p / 2 * W).cast();
                for l in 0..W {
                    to[l] = pair(early[l], late[l]);
                }
                p += 2;
            }
        } else if count == W && step == 1 {
            let mut pairs = [[0f32; STRETCH / 2]; W];
            while p + 8 <= len {
                let stretch = STRETCH.min((len - p) / 8 * 8);
                for (l, pairs) in pairs.iter_mut().enumerate() {
                    let source = std::slice::from_raw_parts(from.add(l * line + p), stretch);
                    for (to, from) in pairs.iter_mut().zip(source.chunks_exact(2)) {
                        *to = pair(from[0], from[1]);
                    }
                }
                for s in (0..stretch / 2).step_by(4) {
                    let to = out.add((p / 2 + s) * W);
                    transpose_four_steps::<W>(pairs.as_ptr().cast::<f32>().add(s), STRETCH / 2, to);
                }
                p += stretch;
            }
        }
        while p < len {
            for l in 0..W {
                let at = |p: usize| {
                    if l < count && p < len { *from.add(l * line + p * step) } else { 0.0 }
                };
                *out.add(p / 2 * W + l) = pair(at(p), at(p + 1));
            }
            p += 2;
        }
    }
}

dispatch! {
    /// Each becomes the nearest value of bf16.
    fn round_all(values: &mut [f32]) {
        for v in values { *v = f32::from_bits(round(*v) << 16); }
    }
}

/// What bf16 operands give, on a processor that has no instruction for them: those of an f32 kernel, rounded when they
/// are packed.
pub(super) struct Rounded<K>(PhantomData<K>);

impl<K: Kernel> Kernel for Rounded<K> {
    const ROWS: usize = K::ROWS;
    const COLUMNS: usize = K::COLUMNS;
    const BLOCK: usize = K::BLOCK;
    const STEPS: usize = K::STEPS;

    unsafe fn pack_rows(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises what `K` needs; it has then written ROWS · len f32 there.
        unsafe {
            K::pack_rows(lines, len, out);
            round_all(std::slice::from_raw_parts_mut(out, K::ROWS * len));
        }
    }

    unsafe fn pack_columns(lines: Lines, len: usize, out: *mut f32) {
        // SAFETY: the caller promises what `K` needs; it has then written COLUMNS · len f32 there.
        unsafe {
            K::pack_columns(lines, len, out);
            round_all(std::slice::from_raw_parts_mut(out, K::COLUMNS * len));
        }
    }

    unsafe fn tile(len: usize, a: *const f32, b: *const f32, tile: Tile, add: bool) {
        // SAFETY: the caller promises the same.
        unsafe { K::tile(len, a, b, tile, add) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_half_crate_for_every_pattern_of_the_upper_bits() {
        for high in 0..=u16::MAX {
            for low in [0u32, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                let expected = half::bf16::from_f32(x);
                let found = half::bf16::from_bits(round(x) as u16);
                assert!(
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                    "{x:e}: {found} and {expected}"
                );
            }
        }
    }
}
