//! Training step, inference, importance pass, a half ticket's step and one with 70 % of the weights held at zero, on random
//! tokens, beside PyTorch's in one sitting.
//!
//!     cargo bench --bench step -- [tiny|minilm6|mini|base]... [--steps 10] [--batch 32] [--length 128] [--threads N]
//!                                 [--device cpu|cuda:N] [--dtype f32|tf32|bf16] [--brief]
//!                                 [--task NAME --data DIR --tokenizer DIR]
//!
//! --brief leaves out all but step and inference (on the CPU). With --task the batch is one of the task's training
//! examples, of their own lengths, instead of equally long ones.
//! One line for each shape: median milliseconds, and the rate against the ceiling of matrix products measured in the same
//! process. A benchmark prints; it never passes or fails.

mod counting;
mod cpu;
mod cuda;
#[path = "../../tests/cuda/counting.rs"]
mod gpu_calls;
mod work;

use lottery::{
    engine::{Device, Machine},
    ops::Format,
};
use std::path::PathBuf;
use work::{SHAPES, Work, examples};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let word = |name: &str| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).map(String::as_str)
    };
    let number = |name: &str, default: usize| word(name).map_or(default, |v| v.parse().expect("a number"));
    let (steps, batch, length) = (number("--steps", 10), number("--batch", 32), number("--length", 128));
    let threads = number("--threads", std::thread::available_parallelism().map_or(1, usize::from));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
    let device: Device = word("--device").unwrap_or("cpu").parse().expect("a device");
    let dtype: Format = word("--dtype").unwrap_or("f32").parse().expect("f32, tf32 or bf16");
    let machine =
        Machine::open(device, dtype, &mut |why| println!("{why}")).unwrap_or_else(|e| panic!("{e}"));
    let folder = |name: &str| PathBuf::from(word(name).unwrap_or_else(|| panic!("--task wants {name}")));
    let encoded =
        word("--task").map(|task| examples(task, &folder("--data"), &folder("--tokenizer"), batch, length));
    let work = |shape| match &encoded {
        Some(encoded) => Work::of_examples(shape, encoded),
        None => Work::random(shape, batch, length),
    };
    let brief = arguments.iter().any(|a| a == "--brief");
    let named = SHAPES.iter().any(|s| arguments.iter().any(|a| a == s.0));
    let chosen = SHAPES.iter().filter(|s| !named || arguments.iter().any(|a| a == s.0));
    match &machine {
        Machine::Cpu { format } => {
            let ceiling = cpu::ceiling(*format);
            println!("kernels {}, {threads} threads, GEMM ceiling {ceiling:.0} GFLOP/s", machine.kernels());
            chosen.for_each(|shape| cpu::bench(*format, &work(shape), steps, ceiling, brief));
        }
        Machine::Cuda { gpu, format } => {
            let ceiling = cuda::ceiling(gpu, *format).unwrap_or_else(|e| panic!("{e}"));
            println!("{}, {dtype}, matrix ceiling {ceiling:.0} TFLOP/s", gpu.description());
            for shape in chosen {
                cuda::bench(gpu, *format, &work(shape), steps, ceiling).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
}
