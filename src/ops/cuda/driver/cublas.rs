//! cuBLASLt's objects.

use std::{mem::size_of, ptr::null_mut};

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t as Compute, cublasLtMatmulDescAttributes_t as Described,
    cublasLtMatmulPreferenceAttributes_t as Preferred, cublasStatus_t as Status, cudaDataType_t as Type,
};

use super::lt;

pub type Made<T> = std::result::Result<T, Status>;

pub fn made(status: Status) -> Made<()> {
    if status == Status::CUBLAS_STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

/// What cuBLASLt makes, and destroys when it is dropped.
macro_rules! made_by_cublas {
    ($name:ident, $handle:ty, $destroy:path) => {
        pub struct $name(pub $handle);
        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: nobody else has it.
                let _ = unsafe { $destroy(self.0) };
            }
        }
    };
}
made_by_cublas!(Description, sys::cublasLtMatmulDesc_t, lt::cublasLtMatmulDescDestroy);
made_by_cublas!(Layout, sys::cublasLtMatrixLayout_t, lt::cublasLtMatrixLayoutDestroy);
made_by_cublas!(Preference, sys::cublasLtMatmulPreference_t, lt::cublasLtMatmulPreferenceDestroy);

impl Description {
    /// Both factors of the product are f32.
    pub fn new(compute: Compute) -> Made<Self> {
        let mut handle = null_mut();
        // SAFETY: it writes one handle.
        made(unsafe { lt::cublasLtMatmulDescCreate(&raw mut handle, compute, Type::CUDA_R_32F) })?;
        Ok(Self(handle))
    }

    pub fn set<T>(&self, attribute: Described, value: &T) -> Made<()> {
        let value: *const T = value;
        // SAFETY: it reads a value of this size.
        made(unsafe { lt::cublasLtMatmulDescSetAttribute(self.0, attribute, value.cast(), size_of::<T>()) })
    }
}

impl Layout {
    /// Of a row-major matrix as it lies in memory.
    pub fn new(format: Type, (rows, columns): (usize, usize), stride: usize) -> Made<Self> {
        let mut handle = null_mut();
        let (rows, columns, stride) = (rows as u64, columns as u64, stride as i64);
        // SAFETY: it writes one handle.
        made(unsafe { lt::cublasLtMatrixLayoutCreate(&raw mut handle, format, columns, rows, stride) })?;
        Ok(Self(handle))
    }
}

impl Preference {
    pub fn new() -> Made<Self> {
        let mut handle = null_mut();
        // SAFETY: it writes one handle.
        made(unsafe { lt::cublasLtMatmulPreferenceCreate(&raw mut handle) })?;
        Ok(Self(handle))
    }

    pub fn set<T>(&self, attribute: Preferred, value: &T) -> Made<()> {
        let value: *const T = value;
        // SAFETY: it reads a value of this size.
        made(unsafe {
            lt::cublasLtMatmulPreferenceSetAttribute(self.0, attribute, value.cast(), size_of::<T>())
        })
    }
}
