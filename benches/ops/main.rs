//! The kernels of a training step one by one: FLOP/s of products, bytes/s of what the memory limits, and both ceilings.
//!
//!     cargo bench --bench ops -- [FILTER]... [--sample-count 20]
//!
//! What any of the filters finds in its name (`products`, `minilm6`, `'gelu.*base'`) is run. An item of `item/s` is a
//! floating-point operation. `RAYON_NUM_THREADS` sets the number of threads, `LOTTERY_KERNELS` the instruction set;
//! Divan's own `--threads` would run a benchmark several times at once.

mod kernels;
mod products;
mod shape;

use divan::{
    Bencher, Divan,
    counter::{BytesCount, IntoCounter, ItemsCount},
};
use lottery::ops::{Format, linear, simd};
use rayon::prelude::*;
use shape::numbers;

fn main() {
    println!(
        "kernels {:?}, {} threads, batch {} × {}",
        simd::level(),
        rayon::current_num_threads(),
        shape::BATCH,
        shape::LENGTH
    );
    // What the arguments say goes over this.
    Divan::default().sample_count(5).config_with_args().main();
}

/// Runs the operation once to warm it up, then as often as asked for.
fn measure(bencher: Bencher, counter: impl IntoCounter, mut operation: impl FnMut()) {
    operation();
    bencher.counter(counter).bench_local(operation);
}

/// A counter of floating-point operations.
fn flop(n: usize) -> ItemsCount {
    ItemsCount::new(n)
}

/// A counter of f32s that are read or written.
fn floats(n: usize) -> BytesCount {
    BytesCount::new(n * size_of::<f32>())
}

/// What no product can be faster than.
#[divan::bench(name = "ceiling_product_2048")]
fn ceiling_of_products(bencher: Bencher) {
    let n = 2048;
    let (a, b, mut c) = (numbers(n * n), numbers(n * n), vec![0.0; n * n]);
    measure(bencher, flop(2 * n * n * n), || linear::forward(Format::F32, &a, &b, (n, n, n), None, &mut c));
}

/// What no pass over memory can be faster than; larger than the caches.
#[divan::bench(name = "ceiling_copy")]
fn ceiling_of_memory(bencher: Bencher) {
    const PART: usize = 1 << 16;
    let n = 1 << 26;
    let (from, mut to) = (numbers(n), vec![0.0; n]);
    measure(bencher, floats(2 * n), || {
        to.par_chunks_mut(PART).zip(from.par_chunks(PART)).for_each(|(to, from)| to.copy_from_slice(from));
    });
}
