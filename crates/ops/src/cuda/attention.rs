//! Scaled dot-product attention of packed sequences; see [`crate::attention`]. Probabilities are not stored: the
//! forward pass leaves the logarithm of each query's sum of exponentials, from which the backward pass has them again.

use super::{Argument, Format, Gpu, Grid, dropout::arguments, gpu::named};
use crate::{dropout::DropoutPlan, error::Result};

/// Which rows attend to which. Addresses are of u32 arrays in device memory.
#[derive(Clone, Copy)]
pub struct Shape {
    pub sequences: usize,
    pub heads: usize,
    /// Width of one head.
    pub head_size: usize,
    /// Row offsets of each sequence's queries (sequences + 1).
    pub queries: u64,
    /// Row offsets of each sequence's keys and values (sequences + 1); every sequence has at least one.
    pub keys: u64,
    /// The numbers that the heads had before any was removed (heads): they fix the heads' dropout masks.
    pub numbers: u64,
    pub longest_query: usize,
    pub longest_key: usize,
    /// Rows of queries in all.
    pub rows: usize,
}

/// Rows of queries, keys, values or the context, or of their gradients, inside a wider matrix: row `r` begins `r ·
/// stride` elements after the address, and head `h` has its columns from `h · head_size` on.
#[derive(Clone, Copy)]
pub struct Rows {
    pub address: u64,
    /// In elements.
    pub stride: usize,
}

impl Rows {
    fn arguments(self) -> [Argument; 2] {
        [Argument::Address(self.address), Argument::U32(self.stride as u32)]
    }
}

/// What the backward pass reads.
#[derive(Clone, Copy)]
pub struct Saved {
    pub q: Rows,
    pub k: Rows,
    pub v: Rows,
    pub context: Rows,
    /// (rows, heads) of f32
    pub log_sums: u64,
}

/// Dropout's mask on the probabilities of a layer.
#[derive(Clone, Copy)]
pub struct Mask<'a> {
    pub plan: &'a DropoutPlan,
    pub layer: usize,
    /// Where the forward pass leaves which probabilities are kept and the backward pass reads it: as many u32 as
    /// [`words_of_bits`] says. The first pass draws the mask, with ten rounds of Philox for eight probabilities; a bit for
    /// each is cheaper than to draw them twice more.
    pub bits: u64,
}

/// Words that a mask's bits need: for each head and query one for 32 keys, of the longest sequence. None where no
/// kernel keeps them, as all but those with tensor cores draw the mask again.
pub fn words_of_bits(format: Format, shape: &Shape) -> usize {
    match Way::of_heads(format, shape.head_size) {
        Way::Mma(_) => shape.heads * bits_words(shape) * shape.rows,
        Way::Plain => 0,
    }
}

fn bits_words(shape: &Shape) -> usize {
    shape.longest_key.div_ceil(32)
}

/// Rows of queries or keys that a block is responsible for, and its threads.
const OWN: usize = 64;
const THREADS: usize = 128;

/// Columns that a block without tensor cores computes.
const COLUMNS: usize = 64;

/// Which kernels do it.
#[derive(Clone, Copy)]
enum Way {
    /// With tensor cores, compiled for this head size; narrower heads are padded in shared memory.
    Mma(usize),
    Plain,
}

impl Way {
    /// Tensor cores take bf16, and load 16 bytes at a time. Where the backward pass has them the forward pass had them too,
    /// and left the mask's bits: all its rows are among the other's.
    fn new(format: Format, shape: &Shape, all: &[Rows]) -> Self {
        let aligned = |rows: &Rows| rows.address.is_multiple_of(16) && rows.stride.is_multiple_of(8);
        if all.iter().all(aligned) { Self::of_heads(format, shape.head_size) } else { Self::Plain }
    }

    /// For rows that are aligned.
    fn of_heads(format: Format, head_size: usize) -> Self {
        let fits = format == Format::Bf16 && head_size.is_multiple_of(8);
        match head_size {
            0..=32 if fits => Self::Mma(32),
            33..=64 if fits => Self::Mma(64),
            65..=128 if fits => Self::Mma(128),
            _ => Self::Plain,
        }
    }

    /// Arguments about the mask that only kernels with tensor cores take.
    fn bits(self, shape: &Shape, mask: Option<Mask>) -> Vec<Argument> {
        match self {
            Self::Mma(_) => vec![
                Argument::Address(mask.map_or(0, |mask| mask.bits)),
                Argument::U32(bits_words(shape) as u32),
                Argument::U32(shape.rows as u32),
            ],
            Self::Plain => Vec::new(),
        }
    }

    fn kernel(self, name: &str, format: Format) -> String {
        match self {
            Self::Mma(width) => named(&format!("{name}_mma{width}"), format),
            Self::Plain => named(name, format),
        }
    }

    /// Blocks for the longest sequence, every head and every sequence; those beyond a shorter sequence return at once.
    fn grid(self, longest: usize, shape: &Shape, shared: usize) -> Grid {
        let parts = match self {
            Self::Mma(_) => 1,
            Self::Plain => shape.head_size.div_ceil(COLUMNS),
        };
        let blocks = [longest.div_ceil(OWN) * parts, shape.heads, shape.sequences].map(|n| n as u32);
        Grid { blocks, threads: THREADS as u32, shared: shared as u32 }
    }

    /// Bytes of dynamic shared memory. With the arrays of fixed size, 4.1 KiB at most, it may come to more than the 48 KiB
    /// that a kernel has without asking: then CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES has to be this.
    fn shared_forward(self) -> usize {
        match self {
            // Queries, and two times keys and values: 25,600, 46,080, 52,224.
            Self::Mma(width) => (OWN + 4 * if width > 64 { 32 } else { 64 }) * (width + 8) * 2,
            // A tile of each side, and weights: 35,328.
            Self::Plain => ((OWN + 32) * (COLUMNS + 4) + OWN * (32 + 4)) * 4,
        }
    }

    /// The same of both kernels of the backward pass.
    fn shared_backward(self) -> usize {
        match self {
            // Two tiles of the block's own rows, and two times two tiles of 32 rows: 20,480, 36,864, 69,632.
            Self::Mma(width) => (2 * OWN + 4 * 32) * (width + 8) * 2,
            // Two tiles of each side, and weights: 61,440.
            Self::Plain => (2 * (OWN + 32) * (COLUMNS + 4) + OWN * (32 + 4)) * 4,
        }
    }
}

/// The arguments of all kernels after their operands. The kernels add head and sequence to the mask themselves.
fn common(shape: &Shape, mask: Option<Mask>) -> Vec<Argument> {
    let mask = mask.and_then(|mask| mask.plan.attention(mask.layer, 0, 0));
    let factor = 1.0 / (shape.head_size as f32).sqrt();
    let mut all = vec![
        Argument::Address(shape.queries),
        Argument::Address(shape.keys),
        Argument::Address(shape.numbers),
        Argument::U32(shape.head_size as u32),
        Argument::F32(factor),
    ];
    all.extend(arguments(mask.as_ref()));
    all
}

fn concat(parts: &[&[Argument]]) -> Vec<Argument> {
    parts.concat()
}

/// Writes context (rows, A) = dropout(softmax(q kᵀ / √d)) v, and log Σ exp of each query's scores to `log_sums`
/// (rows, heads) of f32.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    gpu: &dyn Gpu,
    format: Format,
    q: Rows,
    k: Rows,
    v: Rows,
    shape: &Shape,
    mask: Option<Mask>,
    log_sums: u64,
    context: Rows,
) -> Result<()> {
    let way = Way::new(format, shape, &[q, k, v, context]);
    gpu.launch(
        &way.kernel("attention_forward", format),
        way.grid(shape.longest_query, shape, way.shared_forward()),
        &concat(&[
            &q.arguments(),
            &k.arguments(),
            &v.arguments(),
            &common(shape, mask),
            &[Argument::Address(log_sums)],
            &way.bits(shape, mask),
            &context.arguments(),
        ]),
    )
}

/// The gradients of queries, keys and values from that of the context. `scratch` has room for (rows, heads) of f32.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    gpu: &dyn Gpu,
    format: Format,
    d_context: Rows,
    saved: &Saved,
    shape: &Shape,
    mask: Option<Mask>,
    scratch: u64,
    dq: Rows,
    dk: Rows,
    dv: Rows,
) -> Result<()> {
    let Saved { q, k, v, context, log_sums } = *saved;
    let way = Way::new(format, shape, &[d_context, q, k, v, context, dq, dk, dv]);
    let (shared, common, bits) = (way.shared_backward(), common(shape, mask), way.bits(shape, mask));
    let inputs = concat(&[&d_context.arguments(), &q.arguments(), &k.arguments(), &v.arguments()]);
    // This one leaves ⟨context, d_context⟩ of every query and head in `scratch` for the next.
    gpu.launch(
        &way.kernel("attention_backward_queries", format),
        way.grid(shape.longest_query, shape, shared),
        &concat(&[
            &inputs,
            &context.arguments(),
            &[Argument::Address(log_sums)],
            &common,
            &bits,
            &[Argument::Address(scratch)],
            &dq.arguments(),
        ]),
    )?;
    gpu.launch(
        &way.kernel("attention_backward_keys", format),
        way.grid(shape.longest_key, shape, shared),
        &concat(&[
            &inputs,
            &[Argument::Address(log_sums), Argument::Address(scratch)],
            &common,
            &bits,
            &dk.arguments(),
            &dv.arguments(),
        ]),
    )
}
