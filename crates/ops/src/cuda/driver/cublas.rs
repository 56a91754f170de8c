//! cuBLASLt's objects.

use std::{mem::size_of, ptr::null_mut};

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t as Compute, cublasLtMatmulDescAttributes_t as Described,
    cublasLtMatmulPreferenceAttributes_t as Preferred, cublasStatus_t as Status, cudaDataType_t as Type,
};

use super::lt;

pub type CublasResult<T> = std::result::Result<T, Status>;

pub fn check(status: Status) -> CublasResult<()> {
    if status == Status::CUBLAS_STATUS_SUCCESS { Ok(()) } else { Err(status) }
}

/// Defines a type that owns a handle of cuBLASLt and destroys it when dropped.
macro_rules! owned_handle {
    ($name:ident, $handle:ty, $destroy:path) => {
        pub struct $name(pub $handle);
        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: the handle was created by cuBLASLt, is owned by this value alone and is not used after it.
                let _ = unsafe { $destroy(self.0) };
            }
        }
    };
}
owned_handle!(Description, sys::cublasLtMatmulDesc_t, lt::cublasLtMatmulDescDestroy);
owned_handle!(Layout, sys::cublasLtMatrixLayout_t, lt::cublasLtMatrixLayoutDestroy);
owned_handle!(Preference, sys::cublasLtMatmulPreference_t, lt::cublasLtMatmulPreferenceDestroy);

impl Description {
    /// Describes a product whose scaling factors are f32.
    pub fn new(compute: Compute) -> CublasResult<Self> {
        let mut handle = null_mut();
        // SAFETY: the call writes one handle, into a variable of that type.
        check(unsafe { lt::cublasLtMatmulDescCreate(&raw mut handle, compute, Type::CUDA_R_32F) })?;
        Ok(Self(handle))
    }

    pub fn set<T>(&self, attribute: Described, value: &T) -> CublasResult<()> {
        let value: *const T = value;
        // SAFETY: the handle is alive, and the call reads as many bytes as the value has.
        check(unsafe { lt::cublasLtMatmulDescSetAttribute(self.0, attribute, value.cast(), size_of::<T>()) })
    }
}

impl Layout {
    /// The layout of a row-major matrix in memory.
    pub fn new(format: Type, (rows, columns): (usize, usize), stride: usize) -> CublasResult<Self> {
        let mut handle = null_mut();
        let (rows, columns, stride) = (rows as u64, columns as u64, stride as i64);
        // SAFETY: the call writes one handle, into a variable of that type.
        check(unsafe { lt::cublasLtMatrixLayoutCreate(&raw mut handle, format, columns, rows, stride) })?;
        Ok(Self(handle))
    }
}

impl Preference {
    pub fn new() -> CublasResult<Self> {
        let mut handle = null_mut();
        // SAFETY: the call writes one handle, into a variable of that type.
        check(unsafe { lt::cublasLtMatmulPreferenceCreate(&raw mut handle) })?;
        Ok(Self(handle))
    }

    pub fn set<T>(&self, attribute: Preferred, value: &T) -> CublasResult<()> {
        let value: *const T = value;
        // SAFETY: the handle is alive, and the call reads as many bytes as the value has.
        check(unsafe {
            lt::cublasLtMatmulPreferenceSetAttribute(self.0, attribute, value.cast(), size_of::<T>())
        })
    }
}
