//! The number format of the matrix products' operands.

use crate::choice::choices;

choices! {
    /// Products read their operands in this format and sum in f32; on CUDA activations are kept in it too. Parameters,
    /// their gradients and statistics are f32 beside any.
    pub enum Format ("format", default F32) {
        /// single precision
        F32 = "f32",
        /// TensorFloat-32, on CUDA: kept in f32, multiplied with 10 of its 23 bits behind the point
        Tf32 = "tf32",
        /// bfloat16, with weights and sums in f32
        Bf16 = "bf16",
    }
}

impl Format {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// The end of the names of the CUDA kernels that are compiled for this format.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::F32 | Self::Tf32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
