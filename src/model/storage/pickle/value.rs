//! What a pickle of tensors is made of.

use crate::error::excerpt;
use safetensors::Dtype;

pub type Id = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little endian
    Long(Vec<u8>),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(StorageRef),
    Tensor(TensorRef),
}

/// What a pickle may call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
}

/// Elements in a file of their own, or a part of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageRef {
    pub key: String,
    pub dtype: Dtype,
    /// Elements
    pub len: usize,
}

/// A tensor over a storage; offset and strides count elements.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorRef {
    pub storage: StorageRef,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl Value {
    /// Little endian, signed.
    pub fn integer(bytes: Vec<u8>) -> Self {
        if bytes.len() > 8 {
            return Self::Long(bytes);
        }
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        whole[..bytes.len()].copy_from_slice(&bytes);
        Self::Int(i64::from_le_bytes(whole))
    }
}

impl Callable {
    /// # Errors
    /// It may not be called, for a message.
    pub fn named(module: &str, name: &str) -> Result<Self, String> {
        let kind = name.strip_suffix("Storage").filter(|_| module == "torch");
        let dtype = match kind {
            Some("Double") => Some(Dtype::F64),
            Some("Float") => Some(Dtype::F32),
            Some("Half") => Some(Dtype::F16),
            Some("BFloat16") => Some(Dtype::BF16),
            Some("Long") => Some(Dtype::I64),
            Some("Int") => Some(Dtype::I32),
            Some("Short") => Some(Dtype::I16),
            Some("Char") => Some(Dtype::I8),
            Some("Byte") => Some(Dtype::U8),
            Some("Bool") => Some(Dtype::BOOL),
            _ => None,
        };
        match (module, name, dtype) {
            (_, _, Some(dtype)) => Ok(Self::Storage(dtype)),
            ("collections", "OrderedDict", _) => Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2", _) => Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter", _) => Ok(Self::RebuildParameter),
            _ => Err(format!(
                "it asks to call {}, and lottery reads tensors only and runs no code of a file",
                excerpt(&format!("{module}.{name}"))
            )),
        }
    }
}
