//! What is measured: layers of published sizes on a batch of equally long sequences.

use std::fmt;

pub const BATCH: usize = 32;
pub const LENGTH: usize = 128;
/// Rows of a packed batch.
pub const TOKENS: usize = BATCH * LENGTH;

/// A BERT's sizes.
#[derive(Clone, Copy)]
pub struct Shape {
    name: &'static str,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub inner: usize,
}

const fn shape(name: &'static str, layers: usize, hidden: usize, heads: usize) -> Shape {
    Shape { name, layers, hidden, heads, inner: 4 * hidden }
}

const ALL: [Shape; 4] = [
    shape("tiny", 2, 128, 2),
    shape("minilm6", 6, 384, 12),
    shape("mini", 12, 384, 12),
    shape("base", 12, 768, 12),
];

impl Shape {
    pub fn head_size(&self) -> usize {
        self.hidden / self.heads
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name)
    }
}

/// All of them, where the number of layers matters.
pub fn models() -> [Shape; 4] {
    ALL
}

/// Those that differ in a layer: mini's are minilm6's.
pub fn layers() -> [Shape; 3] {
    let [tiny, minilm6, _, base] = ALL;
    [tiny, minilm6, base]
}

/// Numbers in (-1, 1).
pub fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}
