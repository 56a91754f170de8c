//! The number format of the matrix products' operands.

use crate::error::{Error, none_of};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Products read their operands in this format and sum in f32; on CUDA activations are kept in it too. Parameters, their
/// gradients and statistics are f32 beside any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    F32,
    /// TensorFloat-32: kept as f32, of which products on CUDA read 10 of the 23 bits behind the point.
    Tf32,
    Bf16,
}

impl Format {
    pub const NAMES: &[&str] = &["f32", "tf32", "bf16"];

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

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_lowercase().as_str() {
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            word => Err(none_of(word, Self::NAMES)),
        }
    }
}
