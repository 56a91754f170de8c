//! The number format of the matrix products' operands.

/// Products read their operands in this format and sum in f32; on CUDA activations are kept in it too. Parameters, their
/// gradients and statistics are f32 beside either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    F32,
    Bf16,
}

impl Format {
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// The end of the names of the CUDA kernels that are compiled for this format.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
