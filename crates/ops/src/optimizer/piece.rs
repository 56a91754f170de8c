//! Some neighbouring weights with all that belongs to them, and their division among threads.

use crate::weight_mask::{Bits, WeightMask};
use std::ops::Range;

/// The most slots that an optimizer has.
pub const SLOTS: usize = 2;

/// Weights that one parallel task updates.
const CHUNK: usize = 1 << 16;

/// Neighbouring weights, with the gradient and the slots of each; a slot that the optimizer has not is empty.
pub(super) struct Piece<'a> {
    /// How many weights there are before these.
    start: usize,
    pub weights: &'a mut [f32],
    pub gradient: &'a mut [f32],
    pub slots: [&'a mut [f32]; SLOTS],
    /// Whether weight decay applies to these.
    pub decays: bool,
    /// Which of these are kept, where others are held at zero.
    pub kept: Option<Bits<'a>>,
}

impl<'a> Piece<'a> {
    /// The weights of this range.
    pub fn new(
        range: Range<usize>,
        weights: &'a mut [f32],
        gradient: &'a mut [f32],
        slots: [&'a mut [f32]; SLOTS],
        mask: Option<&'a WeightMask>,
    ) -> Self {
        let slots = slots.map(|slot| if slot.is_empty() { slot } else { &mut slot[range.clone()] });
        Self {
            start: range.start,
            kept: mask.map(|mask| mask.bits_from(range.start)),
            weights: &mut weights[range.clone()],
            gradient: &mut gradient[range],
            slots,
            decays: false,
        }
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let (weights, other_weights) = self.weights.split_at_mut(at);
        let (gradient, other_gradient) = self.gradient.split_at_mut(at);
        let mut other_slots: [&mut [f32]; SLOTS] = Default::default();
        let mut others = other_slots.iter_mut();
        let slots = self.slots.map(|slot| {
            let (slot, other) = slot.split_at_mut(at.min(slot.len()));
            if let Some(place) = others.next() {
                *place = other;
            }
            slot
        });
        let other = Self {
            start: self.start + at,
            weights: other_weights,
            gradient: other_gradient,
            slots: other_slots,
            kept: self.kept.map(|kept| kept.skip(at)),
            ..self
        };
        (Self { weights, gradient, slots, ..self }, other)
    }

    /// Gives `update` every weight once, in pieces of which all or none decay, on several threads. `decayed` lists, in
    /// ascending order, the ranges that decay.
    pub fn update(self, decayed: &[Range<usize>], update: &(dyn Fn(Piece) + Sync)) {
        let len = self.weights.len();
        if len > CHUNK {
            let (left, right) = self.split_at((len / 2).next_multiple_of(CHUNK));
            rayon::join(|| left.update(decayed, update), || right.update(decayed, update));
            return;
        }
        let mut rest = self;
        while !rest.weights.is_empty() {
            let (start, len) = (rest.start, rest.weights.len());
            let range = decayed.get(decayed.partition_point(|range| range.end <= start));
            let (decays, end) = match range {
                Some(range) if range.start <= start => (true, range.end),
                Some(range) => (false, range.start),
                None => (false, start + len),
            };
            let (piece, others) = rest.split_at(len.min(end - start));
            update(Piece { decays, ..piece });
            rest = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn pieces(len: usize, decayed: &[Range<usize>]) -> Vec<(Range<usize>, bool)> {
        let mut weights: Vec<f32> = (0..len).map(|i| i as f32).collect();
        let (mut gradient, mut slot) = (weights.clone(), weights.clone());
        let seen = Mutex::new(Vec::new());
        let slots: [&mut [f32]; SLOTS] = [&mut slot, &mut []];
        Piece::new(0..len, &mut weights, &mut gradient, slots, None).update(decayed, &|piece| {
            assert!(*piece.weights == *piece.gradient && *piece.weights == *piece.slots[0]);
            assert!(piece.slots[1].is_empty() && piece.weights[0] == piece.start as f32);
            let range = piece.start..piece.start + piece.weights.len();
            seen.lock().unwrap().push((range, piece.decays));
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_by_key(|(range, _)| range.start);
        seen
    }

    #[test]
    fn pieces_have_every_weight_once_and_end_where_decay_does() {
        let found = pieces(20, &[2..5, 5..7, 9..9, 10..30]);
        let decays =
            [(0..2, false), (2..5, true), (5..7, true), (7..9, false), (9..10, false), (10..20, true)];
        assert_eq!(found, decays);
        assert_eq!(pieces(0, &[0..2, 3..4]), []);
        assert_eq!(pieces(3, &[]), [(0..3, false)]);
        let len = 2 * CHUNK + 5;
        let decayed = [CHUNK - 1..CHUNK + 1, 2 * CHUNK..len];
        let expected = [
            (0..CHUNK - 1, false),
            (CHUNK - 1..CHUNK, true),
            (CHUNK..CHUNK + 1, true),
            (CHUNK + 1..2 * CHUNK, false),
            (2 * CHUNK..len, true),
        ];
        assert_eq!(pieces(len, &decayed), expected);
    }
}
