//! Matrix products by cuBLASLt, which knows matrices by columns: a row-major matrix is its transposed one there. So it
//! is asked for cᵀ (n, m) = bᵀ (n, k) · aᵀ (k, m): its first matrix is our b, its second one our a.

use std::{cell::RefCell, collections::HashMap, ffi::c_void, mem::MaybeUninit, ptr::null_mut, rc::Rc};

use cudarc::cublaslt::sys::{
    self, cublasComputeType_t as Compute, cublasLtEpilogue_t as Epilogue,
    cublasLtMatmulDescAttributes_t as Described, cublasLtMatmulPreferenceAttributes_t as Preferred,
    cublasLtReductionScheme_t as Reduction, cublasStatus_t as Status, cudaDataType_t as Type,
};

use super::{
    cublas::{CublasResult, Description, Layout, Preference, check},
    lt,
    memory::WORKSPACE,
    session::Session,
};
use crate::{
    cuda::{Format, Matrix, Product},
    error::{Error, Result},
};

/// The number of plans that are cached; batches of packed sequences have many lengths.
const PLANS: usize = 4096;

pub struct Products {
    session: Rc<Session>,
    handle: sys::cublasLtHandle_t,
    /// None where cuBLASLt has reported that it does not support the product; other failures may pass.
    plans: RefCell<HashMap<Key, Option<Rc<Plan>>>>,
}

/// All that the choice of an algorithm depends on, so that the same product is always computed in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    shape: (usize, usize, usize),
    /// Of a and b, and of c.
    formats: [Type; 2],
    /// How products are computed.
    compute: Compute,
    strides: [usize; 3],
    transposed: [bool; 2],
    /// Of the addresses of a, b and c; a bias counts as c.
    alignments: [u32; 3],
    bias: bool,
}

impl Key {
    fn of(p: &Product) -> Self {
        let (m, n, k) = p.shape;
        let of_format = |format| match format {
            Format::F32 | Format::Tf32 => Type::CUDA_R_32F,
            Format::Bf16 => Type::CUDA_R_16BF,
        };
        // The stride of a single row does not matter, but cuBLASLt insists on its length.
        let stride = |matrix: &Matrix, length, length_transposed| {
            matrix.stride.max(if matrix.transposed { length_transposed } else { length })
        };
        // The largest power of two that divides the address, up to what any algorithm asks for.
        let alignment = |address: u64| 1 << address.trailing_zeros().min(8);
        Self {
            shape: p.shape,
            formats: [of_format(p.format), of_format(p.c_format)],
            compute: match p.format {
                Format::Tf32 => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
                Format::F32 | Format::Bf16 => Compute::CUBLAS_COMPUTE_32F,
            },
            strides: [stride(&p.a, k, m), stride(&p.b, n, k), stride(&p.c, n, n)],
            transposed: [p.a.transposed, p.b.transposed],
            alignments: [p.a.address, p.b.address, p.c.address | p.bias.unwrap_or(0)].map(alignment),
            bias: p.bias.is_some(),
        }
    }
}

struct Plan {
    description: Description,
    a: Layout,
    b: Layout,
    c: Layout,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Products {
    pub fn new(session: &Rc<Session>) -> Result<Self> {
        let mut products = Self { session: session.clone(), handle: null_mut(), plans: RefCell::default() };
        // SAFETY: the call writes one handle, into a variable of that type.
        if let Err(status) = check(unsafe { lt::cublasLtCreate(&raw mut products.handle) }) {
            session.wait()?;
            let label = &session.label;
            let library = lt::cublas().unwrap_or_default();
            return Err(Error::usage(format!(
                "{label} cannot start cuBLAS {library}: {status:?}. libcublasLt must not be from a later CUDA than the \
                 driver's, nor older than the device; check with nvidia-smi whether the device has free memory."
            )));
        }
        Ok(products)
    }

    /// Whether cuBLASLt adds this product's bias: it does not for all shapes.
    pub fn add_bias(&self, p: &Product) -> Result<bool> {
        if p.bias.is_none() {
            return Ok(false);
        }
        let key = Key::of(p);
        match self.plan(&key, p.bias) {
            Ok(_) => Ok(true),
            Err(Status::CUBLAS_STATUS_NOT_SUPPORTED | Status::CUBLAS_STATUS_INVALID_VALUE) => Ok(false),
            Err(status) => self.failed(status, &key),
        }
    }

    /// No side of the product is 0, a bias is one for [`Self::add_bias`], c is not transposed; `workspace` is of
    /// [`WORKSPACE`] bytes.
    pub fn run(&self, p: &Product, workspace: u64) -> Result<()> {
        let key = Key::of(p);
        let plan = self.plan(&key, p.bias);
        plan.and_then(|plan| self.multiply(&plan, p, workspace)).or_else(|status| self.failed(status, &key))
    }

    fn multiply(&self, plan: &Plan, p: &Product, workspace: u64) -> CublasResult<()> {
        if let Some(bias) = p.bias {
            plan.description.set(Described::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }
        let (one, beta) = (1.0f32, if p.accumulate { 1.0f32 } else { 0.0 });
        let c = p.c.address as *mut c_void;
        // SAFETY: the plan's layouts and algorithm are those of these matrices, whose addresses the caller took from the
        // device's memory; the two factors are read before the call returns.
        check(unsafe {
            lt::cublasLtMatmul(
                self.handle,
                plan.description.0,
                (&raw const one).cast(),
                p.b.address as *const c_void,
                plan.b.0,
                p.a.address as *const c_void,
                plan.a.0,
                (&raw const beta).cast(),
                c,
                plan.c.0,
                c,
                plan.c.0,
                &raw const plan.algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                self.session.stream.cast(),
            )
        })
    }

    fn plan(&self, key: &Key, bias: Option<u64>) -> CublasResult<Rc<Plan>> {
        let not_supported = Status::CUBLAS_STATUS_NOT_SUPPORTED;
        if let Some(plan) = self.plans.borrow().get(key) {
            return plan.clone().ok_or(not_supported);
        }
        let plan = match self.make_plan(key, bias) {
            Ok(plan) => Some(Rc::new(plan)),
            Err(status) if status == not_supported => None,
            Err(status) => return Err(status),
        };
        let mut plans = self.plans.borrow_mut();
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.insert(*key, plan.clone());
        plan.ok_or(not_supported)
    }

    fn make_plan(&self, key: &Key, bias: Option<u64>) -> CublasResult<Plan> {
        let (m, n, k) = key.shape;
        let [of_operands, of_c] = key.formats;
        let swap = |transposed, (rows, columns)| if transposed { (columns, rows) } else { (rows, columns) };
        let a = Layout::new(of_operands, swap(key.transposed[0], (m, k)), key.strides[0])?;
        let b = Layout::new(of_operands, swap(key.transposed[1], (k, n)), key.strides[1])?;
        let c = Layout::new(of_c, (m, n), key.strides[2])?;

        let description = Description::new(key.compute)?;
        // CUBLAS_OP_N is 0, CUBLAS_OP_T is 1.
        description.set(Described::CUBLASLT_MATMUL_DESC_TRANSA, &i32::from(key.transposed[1]))?;
        description.set(Described::CUBLASLT_MATMUL_DESC_TRANSB, &i32::from(key.transposed[0]))?;
        if let Some(bias) = bias {
            description.set(Described::CUBLASLT_MATMUL_DESC_EPILOGUE, &Epilogue::CUBLASLT_EPILOGUE_BIAS)?;
            description.set(Described::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
        }

        let preference = Preference::new()?;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        // Where a sum is divided, its parts are added in f32, in a fixed order.
        let schemes = Reduction::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes)?;
        let [of_a, of_b, of_c] = key.alignments;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &of_b)?;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &of_a)?;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &of_c)?;
        preference.set(Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &of_c)?;

        let (mut found, mut count) = (MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed(), 0);
        // SAFETY: all handles are alive; the call writes at most the one result asked for, and all zeros are a valid result.
        let found = unsafe {
            check(lt::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                description.0,
                b.0,
                a.0,
                c.0,
                c.0,
                preference.0,
                1,
                found.as_mut_ptr(),
                &raw mut count,
            ))?;
            found.assume_init()
        };
        if count == 0 {
            return Err(Status::CUBLAS_STATUS_NOT_SUPPORTED);
        }
        check(found.state)?;
        Ok(Plan { description, a, b, c, algorithm: found.algo })
    }

    fn failed<T>(&self, status: Status, key: &Key) -> Result<T> {
        // Where the device has failed before, that is the cause.
        self.session.wait()?;
        Err(Error::internal(format!(
            "{} cannot multiply matrices: {key:?}: {status:?} of cuBLAS. Check with nvidia-smi whether the device has free \
             memory; libcublasLt should not be older than the device.",
            self.session.label
        )))
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            let _ = self.session.enter();
            // SAFETY: this value owns the handle, and its plans, which are dropped with it, are not used any more.
            let _ = unsafe { lt::cublasLtDestroy(self.handle) };
        }
    }
}
