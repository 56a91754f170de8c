//! A CUDA device on the host: the kernels compiled by the C++ compiler against `tests/emulation`, the matrix products by
//! the CPU's own. `LOTTERY_SANITIZE=address`, say, compiles them with that sanitizer (scripts/sanitize-kernels.sh).

use std::{
    ffi::{CString, c_char, c_int, c_uint, c_void},
    sync::OnceLock,
};

use half::bf16;
use libloading::{Library, Symbol};
use lottery::{
    error::{Error, Result},
    ops::{
        cuda::{Argument, Format, Gpu, Grid, Matrix, Product},
        pending::Pending,
        product::{View, Write, matmul},
    },
};

use crate::{compiled::compiled, support::rounded};

pub struct Emulated {
    library: &'static Library,
}

type Launch =
    unsafe extern "C" fn(*const c_char, *const c_uint, c_uint, c_uint, *mut *mut c_void, c_uint) -> c_int;

type Loaded = std::result::Result<Library, String>;

fn load(module: &str) -> Loaded {
    let path = compiled(module)?;
    // SAFETY: it was compiled from this repository's sources; its initialisers only list the kernels.
    let library = unsafe { Library::new(&path) };
    Ok(library.unwrap_or_else(|e| panic!("{}: {e:?}; preload the sanitizer's library", path.display())))
}

impl Emulated {
    /// Without a C++ compiler there is none.
    pub fn new() -> std::result::Result<Self, String> {
        static LIBRARY: OnceLock<Loaded> = OnceLock::new();
        Self::of(LIBRARY.get_or_init(|| load("module.cpp")))
    }

    /// A device that knows only the kernels of `tests/emulation/bugs.cu`.
    pub fn with_bugs() -> std::result::Result<Self, String> {
        static LIBRARY: OnceLock<Loaded> = OnceLock::new();
        Self::of(LIBRARY.get_or_init(|| load("bugs.cpp")))
    }

    fn of(loaded: &'static Loaded) -> std::result::Result<Self, String> {
        loaded.as_ref().map(|library| Self { library }).map_err(Clone::clone)
    }

    fn symbol<F>(&self, name: &str) -> Symbol<'_, F> {
        // SAFETY: the callers name the types that device.cpp gives these functions.
        unsafe { self.library.get(name.as_bytes()) }.unwrap()
    }

    /// The address of one of its functions.
    #[cfg(feature = "cuda")]
    pub fn function(&self, name: &str) -> *const c_void {
        *self.symbol::<*const c_void>(name)
    }

    fn copy_bytes(&self, from: u64, to: u64, bytes: usize) {
        let copy: Symbol<unsafe extern "C" fn(*mut c_void, *const c_void, usize)> =
            self.symbol("emulation_copy");
        // SAFETY: both are memory of at least that size, or the address sanitizer says so.
        unsafe { copy(to as *mut c_void, from as *const c_void, bytes) };
    }

    /// The matrix as f32, contiguous in its own order (not transposed).
    fn read(&self, m: &Matrix, (rows, columns): (usize, usize), format: Format) -> Vec<f32> {
        let mut out = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let at = m.address + (row * m.stride * format.bytes()) as u64;
            let mut bytes = vec![0u8; columns * format.bytes()];
            self.copy_bytes(at, bytes.as_mut_ptr() as u64, bytes.len());
            match format {
                Format::F32 | Format::Tf32 => {
                    out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())))
                }
                Format::Bf16 => out.extend(
                    bytes.chunks_exact(2).map(|b| bf16::from_le_bytes(b.try_into().unwrap()).to_f32()),
                ),
            }
        }
        out
    }
}

impl Gpu for Emulated {
    fn allocate(&self, bytes: usize) -> Result<u64> {
        let allocate: Symbol<unsafe extern "C" fn(usize) -> *mut c_void> = self.symbol("emulation_allocate");
        // SAFETY: any size may be asked for.
        let address = unsafe { allocate(bytes) } as u64;
        if address == 0 { Err(Error::internal(format!("no {bytes} bytes"))) } else { Ok(address) }
    }

    fn free(&self, address: u64) {
        let free: Symbol<unsafe extern "C" fn(*mut c_void)> = self.symbol("emulation_free");
        // SAFETY: `allocate` gave it.
        unsafe { free(address as *mut c_void) };
    }

    fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        self.copy_bytes(from.as_ptr() as u64, to, from.len());
        Ok(())
    }

    fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.copy_bytes(from, to.as_mut_ptr() as u64, to.len());
        Ok(())
    }

    fn fetch(&self, from: u64, bytes: usize) -> Result<Pending<Vec<u8>>> {
        let mut to = vec![0; bytes];
        self.download(from, &mut to)?;
        // Known to nobody before somebody waits for it.
        Ok(Pending::InFlight(Box::new(move || Ok(to))))
    }

    fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        self.copy_bytes(from, to, bytes);
        Ok(())
    }

    fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        let clear: Symbol<unsafe extern "C" fn(*mut c_void, usize)> = self.symbol("emulation_clear");
        // SAFETY: as in `copy_bytes`.
        unsafe { clear(at as *mut c_void, bytes) };
        Ok(())
    }

    fn launch(&self, kernel: &str, grid: Grid, arguments: &[Argument]) -> Result<()> {
        let mut values: Vec<u64> = arguments.iter().map(|argument| argument.bits()).collect();
        let mut pointers: Vec<*mut c_void> =
            values.iter_mut().map(|v| std::ptr::from_mut(v).cast()).collect();
        let name = CString::new(kernel).unwrap();
        let launch: Symbol<Launch> = self.symbol("emulation_launch");
        // SAFETY: little-endian values stand where the kernel's parameters are read, as many as it has.
        let code = unsafe {
            launch(
                name.as_ptr(),
                grid.blocks.as_ptr(),
                grid.threads,
                grid.shared,
                pointers.as_mut_ptr(),
                arguments.len() as c_uint,
            )
        };
        assert_eq!(code, 0, "{kernel} with {} arguments", arguments.len());
        Ok(())
    }

    fn product(&self, p: &Product) -> Result<()> {
        let (m, n, k) = p.shape;
        let stored = |matrix: &Matrix, (rows, columns): (usize, usize)| {
            if matrix.transposed { (columns, rows) } else { (rows, columns) }
        };
        let (a_shape, b_shape) = (stored(&p.a, (m, k)), stored(&p.b, (k, n)));
        let operand = |matrix: &Matrix, shape| {
            let mut values = self.read(matrix, shape, p.format);
            values.iter_mut().for_each(|v| *v = rounded(*v, p.format));
            values
        };
        let (a, b) = (operand(&p.a, a_shape), operand(&p.b, b_shape));
        let view = |matrix: &Matrix, data, columns| {
            let view = View::rows(data, columns);
            if matrix.transposed { view.t() } else { view }
        };
        assert!(!p.c.transposed);
        let mut c = if p.accumulate { self.read(&p.c, (m, n), p.c_format) } else { vec![0.0; m * n] };
        matmul(
            Format::F32,
            (m, n, k),
            view(&p.a, &a, a_shape.1),
            view(&p.b, &b, b_shape.1),
            &mut c,
            n,
            Write::Add,
        );
        if let Some(bias) = p.bias {
            let bias = self.read(&Matrix { address: bias, stride: n, transposed: false }, (1, n), p.c_format);
            c.chunks_mut(n.max(1)).for_each(|row| row.iter_mut().zip(&bias).for_each(|(v, b)| *v += b));
        }
        for (row, values) in c.chunks(n.max(1)).enumerate() {
            let bytes: Vec<u8> = match p.c_format {
                Format::F32 | Format::Tf32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                Format::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
            };
            self.upload(&bytes, p.c.address + (row * p.c.stride * p.c_format.bytes()) as u64)?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }

    fn description(&self) -> String {
        "an emulation on the host".into()
    }
}
