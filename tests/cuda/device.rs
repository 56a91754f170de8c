//! What every device does beside running kernels: memory and matrix products.

use std::rc::Rc;

use lottery::{
    error::Result,
    ops::{
        activation::Activation,
        cuda::{Argument, Buffer, Format, Gpu, Grid, Matrix, Product, activation},
    },
};

use crate::support::{assert_within, devices, empty, in_formats, numbers, on_device, on_devices, values};

fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..251u8).map(|i| i.wrapping_mul(31).wrapping_add(seed as u8)).cycle().take(len).collect()
}

fn downloaded(gpu: &Rc<dyn Gpu>, from: u64, len: usize) -> Vec<u8> {
    let mut to = vec![0xAA; len];
    gpu.download(from, &mut to).unwrap();
    to
}

/// Memory that is given back with it.
struct Block(Rc<dyn Gpu>, u64);

impl Block {
    fn new(gpu: &Rc<dyn Gpu>, len: usize) -> Result<Self> {
        Ok(Self(gpu.clone(), gpu.allocate(len)?))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.0.free(self.1);
    }
}

#[test]
fn memory_holds_what_it_was_given_in_the_order_of_the_calls() {
    for gpu in devices("memory") {
        // Longer than what a driver sends at once, too, and more than it can have under way.
        for len in [0, 1, 255, (256 << 10) - 1, (256 << 10) + 1, 10 << 20] {
            let block = Block::new(&gpu, len).unwrap();
            assert_eq!(block.1 % 256, 0);
            let mut source = bytes(len, 1);
            gpu.upload(&source, block.1).unwrap();
            source.fill(0);
            assert!(downloaded(&gpu, block.1, len) == bytes(len, 1), "{len}");
        }
        let block = Block::new(&gpu, 64 * 100).unwrap();
        let mut source = vec![0; 64];
        for i in 0..100 {
            source.copy_from_slice(&bytes(64, i));
            gpu.upload(&source, block.1 + 64 * i as u64).unwrap();
        }
        gpu.clear(block.1 + 60, 8).unwrap();
        gpu.clear(block.1, 0).unwrap();
        gpu.copy(block.1 + 64 * 5, block.1 + 64 * 7, 64).unwrap();
        gpu.copy(block.1, block.1 + 64, 0).unwrap();
        gpu.upload(&source, block.1 + 64 * 5).unwrap();
        let mut expected: Vec<u8> = (0..100).flat_map(|i| bytes(64, i)).collect();
        expected[60..68].fill(0);
        expected.copy_within(64 * 5..64 * 6, 64 * 7);
        expected[64 * 5..64 * 6].copy_from_slice(&source);
        assert!(downloaded(&gpu, block.1, 6400) == expected);
        gpu.wait().unwrap();
        assert!(!gpu.description().is_empty());
    }
}

#[test]
fn a_device_whose_memory_is_not_enough_says_so_and_goes_on() {
    // The host's own limit is not the kernels' business, and sanitizers end a program that asks for so much.
    for gpu in devices("out of memory").iter().filter(|gpu| gpu.description() != "an emulation on the host") {
        let bytes = 1 << 50;
        let error = gpu.allocate(bytes).unwrap_err().to_string();
        for part in [
            " is out of memory: 1125899906842624 bytes (1048576.00 GiB) are needed, ",
            " are free. Lower train.batch_size, choose --dtype bf16, ",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let block = Block::new(gpu, 1 << 20).unwrap();
        gpu.clear(block.1, 1 << 20).unwrap();
        gpu.wait().unwrap();
    }
}

#[test]
fn a_kernel_may_have_much_shared_memory_and_none_runs_without_blocks() {
    on_devices("launches", |gpu, format| {
        activation::forward(&**gpu, format, Activation::Gelu, 0, 0, 0, 0, 7)?;
        let (part, sum) = (on_device(gpu, &[1.0, 2.0], Format::F32)?, empty(gpu, 2, Format::F32)?);
        // With the kernel's own 2 KiB: just over the 48 KiB that it has without asking, and less than any device's most.
        for shared in [47 << 10, 90 << 10, 60 << 10, 96 << 10] {
            // One job of one part and two columns: see crates/ops/src/cuda/sums.cu.
            let words = |buffer: &Buffer| [buffer.address() as u32, (buffer.address() >> 32) as u32];
            let table = Buffer::new(gpu);
            table.upload(&[&words(&part)[..], &words(&sum), &[1, 2, 0, 0]].concat())?;
            let arguments = [Argument::Address(table.address()), Argument::U32(1)];
            gpu.launch("add_parts", Grid { shared, ..Grid::new(1, 512) }, &arguments)?;
            assert_eq!(values(gpu, &sum, 2, Format::F32)?, [1.0, 2.0]);
        }
        Ok(())
    });
}

/// A matrix whose rows lie apart, that begins `offset` elements into its buffer; with numbers to find untouched between.
struct Placed {
    buffer: Buffer,
    matrix: Matrix,
    values: Vec<f32>,
}

impl Placed {
    fn new(
        gpu: &Rc<dyn Gpu>,
        (rows, columns): (usize, usize),
        (offset, apart): (usize, usize),
        (seed, format): (usize, Format),
        transposed: bool,
    ) -> Result<Self> {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        let stride = columns + apart;
        let values = numbers(offset + rows * stride, seed, format);
        let buffer = on_device(gpu, &values, format)?;
        let address = buffer.address() + (offset * format.bytes()) as u64;
        let matrix = Matrix { address, stride, transposed };
        Ok(Self { buffer, matrix, values: values[offset..].to_vec() })
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        let (row, column) = if self.matrix.transposed { (column, row) } else { (row, column) };
        f64::from(self.values[row * self.matrix.stride + column])
    }
}

/// What the product ought to be, and c's buffer with everything around it.
fn check(
    gpu: &Rc<dyn Gpu>,
    (format, c_format): (Format, Format),
    (m, n, k): (usize, usize, usize),
    layout: (usize, usize),
    flags: usize,
) -> Result<()> {
    let flag = |bit: usize| flags >> bit & 1 == 1;
    let what = format!("{format:?} to {c_format:?} {m} x {n} x {k}, {layout:?}, flags {flags:04b}");
    let a = Placed::new(gpu, (m, k), layout, (1, format), flag(0))?;
    let b = Placed::new(gpu, (k, n), layout, (2, format), flag(1))?;
    let c = Placed::new(gpu, (m, n), layout, (3, c_format), false)?;
    let bias = Placed::new(gpu, (1, n), (layout.0, 0), (4, c_format), false)?;
    gpu.product(&Product {
        shape: (m, n, k),
        format,
        a: a.matrix,
        b: b.matrix,
        c: c.matrix,
        c_format,
        accumulate: flag(2),
        bias: flag(3).then_some(bias.matrix.address),
    })?;
    let mut expected = c.values.clone();
    for i in 0..m {
        for j in 0..n {
            let mut sum: f64 = (0..k).map(|l| a.at(i, l) * b.at(l, j)).sum();
            sum += if flag(2) { c.at(i, j) } else { 0.0 };
            sum += if flag(3) { bias.at(0, j) } else { 0.0 };
            expected[i * c.matrix.stride + j] = sum as f32;
        }
    }
    let found = values(gpu, &c.buffer, layout.0 + expected.len(), c_format)?.split_off(layout.0);
    // Products of f32 are exact to its own precision: TensorFloat-32 would be off by 1e-3. Its own numbers are not.
    let limit = if c_format == Format::Bf16 { 1e-2 } else { 1e-5 };
    assert_within(&found, &expected, limit, &what);
    for (i, (found, before)) in found.iter().zip(&c.values).enumerate() {
        let within = i % c.matrix.stride < n && i / c.matrix.stride < m;
        assert!(within || found == before, "{what}: element {i} beside the matrix is {found}, not {before}");
    }
    Ok(())
}

#[test]
fn products_agree_with_their_definition_however_the_matrices_lie() {
    in_formats(&[Format::F32, Format::Tf32, Format::Bf16], "products", |gpu, format| {
        let c_formats = if format == Format::F32 { &[Format::F32][..] } else { &[format, Format::F32] };
        for &c_format in c_formats {
            for flags in 0..16 {
                let formats = (format, c_format);
                for layout in [(0, 0), (0, 3), (1, 0), (8, 8)] {
                    check(gpu, formats, (3, 2, 5), layout, flags)?;
                }
                check(gpu, formats, (17, 24, 130), (0, 8), flags)?;
                for shape in [(1, 1, 1), (1, 17, 8), (33, 1, 64), (5, 7, 0), (0, 3, 2), (3, 0, 2)] {
                    check(gpu, formats, shape, (0, 1), flags)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn products_in_tensorfloat_read_fewer_bits_than_in_f32() {
    in_formats(&[Format::Tf32], "products in TensorFloat-32", |gpu, tf32| {
        let n = 256;
        let all = [1, 2].map(|seed| numbers(n * n, seed, Format::F32));
        let [a, b] = all.each_ref().map(|values| on_device(gpu, values, tf32).unwrap());
        let c = empty(gpu, n * n, tf32)?;
        let matrix = |buffer: &Buffer| Matrix { address: buffer.address(), stride: n, transposed: false };
        let product = |format| -> Result<Vec<f32>> {
            let (a, b, c_matrix, c_format) = (matrix(&a), matrix(&b), matrix(&c), format);
            let shape = (n, n, n);
            gpu.product(&Product {
                shape,
                format,
                a,
                b,
                c: c_matrix,
                c_format,
                accumulate: false,
                bias: None,
            })?;
            values(gpu, &c, n * n, format)
        };
        let (exact, found) = (product(Format::F32)?, product(tf32)?);
        assert_within(&found, &exact, 2e-3, "TensorFloat-32");
        let apart =
            found.iter().zip(&exact).filter(|(a, b)| (*a - *b).abs() > 1e-5 * b.abs().max(1.0)).count();
        assert!(apart > n * n / 2, "{apart} of {} differ", n * n);
        Ok(())
    });
}

#[test]
fn the_same_product_has_the_same_bits() {
    on_devices("products again", |gpu, format| {
        let (m, n, k) = (64, 48, 2048);
        let (a, b) = (numbers(m * k, 1, format), numbers(k * n, 2, format));
        let (a, b) = (on_device(gpu, &a, format)?, on_device(gpu, &b, format)?);
        let c = empty(gpu, m * n, format)?;
        let matrix =
            |buffer: &Buffer, stride| Matrix { address: buffer.address(), stride, transposed: false };
        let once = || -> Result<Vec<f32>> {
            let (a, b, c_matrix) = (matrix(&a, k), matrix(&b, n), matrix(&c, n));
            let (shape, c_format) = ((m, n, k), format);
            let product =
                Product { shape, format, a, b, c: c_matrix, c_format, accumulate: false, bias: None };
            gpu.product(&product)?;
            values(gpu, &c, m * n, format)
        };
        let first = once()?;
        for _ in 0..3 {
            assert!(once()? == first);
        }
        Ok(())
    });
}
