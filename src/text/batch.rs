//! Packed batches: sequences one behind another, no padding.

use super::Encoded;

/// B sequences with T tokens in all. Sequence b owns the tokens `offsets[b]..offsets[b + 1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, (T).
    pub ids: Vec<u32>,
    /// Segment of each token, 0 or 1, (T).
    pub segments: Vec<u32>,
    /// Place of each token in its own sequence, from 0, (T).
    pub positions: Vec<u32>,
    /// Where each sequence begins, and T at the end, (B + 1).
    pub offsets: Vec<usize>,
    /// Which examples these are, (B).
    pub indices: Vec<usize>,
}

impl Batch {
    /// The sequences `encoded[i]` for i in `indices`, in that order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn pack(encoded: &[Encoded], indices: &[usize]) -> Self {
        let tokens = indices.iter().map(|&index| encoded[index].ids.len()).sum();
        let mut batch = Self {
            ids: Vec::with_capacity(tokens),
            segments: Vec::with_capacity(tokens),
            positions: Vec::with_capacity(tokens),
            offsets: Vec::with_capacity(indices.len() + 1),
            indices: indices.to_vec(),
        };
        batch.offsets.push(0);
        for &index in indices {
            let sequence = &encoded[index];
            batch.ids.extend_from_slice(&sequence.ids);
            batch.segments.extend(sequence.segments.iter().map(|s| u32::from(*s)));
            batch.positions.extend((0..).take(sequence.ids.len()));
            batch.offsets.push(batch.ids.len());
        }
        batch
    }

    /// The number of sequences, B.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The number of tokens, T.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_lie_one_behind_another_in_the_order_asked_for() {
        let encoded = [
            Encoded { ids: vec![101, 7, 102], segments: vec![0, 0, 0] },
            Encoded { ids: vec![101, 8, 102, 9, 102], segments: vec![0, 0, 0, 1, 1] },
            Encoded { ids: vec![101, 102], segments: vec![0, 0] },
        ];
        let batch = Batch::pack(&encoded, &[1, 0]);
        assert_eq!(batch.ids, [101, 8, 102, 9, 102, 101, 7, 102]);
        assert_eq!(batch.segments, [0, 0, 0, 1, 1, 0, 0, 0]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 4, 0, 1, 2]);
        assert_eq!(batch.offsets, [0, 5, 8]);
        assert_eq!(batch.indices, [1, 0]);
        assert_eq!((batch.len(), batch.tokens(), batch.is_empty()), (2, 8, false));
    }

    #[test]
    fn a_batch_of_nothing_is_empty() {
        let batch = Batch::pack(&[], &[]);
        assert_eq!((batch.len(), batch.tokens(), batch.is_empty()), (0, 0, true));
        assert_eq!(batch.offsets, [0]);
    }
}
