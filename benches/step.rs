//! Training step, inference and importance pass on random tokens, beside PyTorch's in one sitting.
//!
//!     cargo bench --bench step -- [tiny|minilm6|mini|base]... [--steps 10] [--batch 32] [--length 128] [--threads N]
//!
//! One line for each shape: median milliseconds, and the rate against the machine's GEMM ceiling measured in the same
//! process. A benchmark prints; it never passes or fails.

use lottery::{
    model::{Bert, BertConfig, GateGradients, Head, Input, Pass, Wanted, Workspace},
    ops::{
        adamw::{self, AdamW, Moments},
        dropout::DropoutPlan,
        linear,
        loss::{self, Targets},
        rng::{Purpose, Stream},
        simd,
    },
};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHAPES: [(&str, usize, usize, usize, usize); 4] = [
    ("tiny", 2, 128, 2, 512),
    ("minilm6", 6, 384, 12, 1536),
    ("mini", 12, 384, 12, 1536),
    ("base", 12, 768, 12, 3072),
];

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// GFLOP/s of a large square product.
fn gemm_ceiling() -> f64 {
    let n = 2048;
    let (a, b, mut c) = (vec![0.5f32; n * n], vec![0.25f32; n * n], vec![0f32; n * n]);
    let times = (0..7)
        .map(|_| {
            let start = Instant::now();
            linear::forward(&a, &b, n, n, n, &mut c);
            milliseconds(start)
        })
        .collect();
    2.0 * (n as f64).powi(3) / median(times) / 1e6
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|i| arguments.get(i + 1)).map_or(default, |v| v.parse().expect("a number"))
    };
    let (steps, batch, length) = (number("--steps", 10), number("--batch", 32), number("--length", 128));
    let threads = number("--threads", std::thread::available_parallelism().map_or(1, usize::from));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first pool");
    let chosen = |name: &str| {
        let named = SHAPES.iter().any(|s| arguments.iter().any(|a| a == s.0));
        if named { arguments.iter().any(|a| a == name) } else { true }
    };
    let ceiling = gemm_ceiling();
    println!("kernels {:?}, {threads} threads, GEMM ceiling {ceiling:.0} GFLOP/s", simd::level());
    for (name, layers, hidden, heads, ffn) in SHAPES.into_iter().filter(|s| chosen(s.0)) {
        bench(name, BertConfig::of_shape(layers, hidden, heads, ffn), steps, batch, length, ceiling);
    }
}

fn bench(name: &str, config: BertConfig, steps: usize, batch: usize, length: usize, ceiling: f64) {
    let tokens = batch * length;
    let (h, f, l) =
        (config.hidden_size as f64, config.intermediate_size as f64, config.num_hidden_layers as f64);
    // Products of a forward pass over all rows of all layers, the convention of the peer's benchmark.
    let flop = 2.0 * tokens as f64 * l * (4.0 * h * h + 2.0 * h * f) + 4.0 * (tokens * length) as f64 * h * l;
    let mut bert = Bert::random(config, Head::Classifier { labels: 2 }, 0);
    let mut stream = Stream::new(1, Purpose::Split, 0);
    let ids: Vec<u32> = (0..tokens).map(|_| stream.below(30522)).collect();
    let positions: Vec<u32> = (0..tokens).map(|t| (t % length) as u32).collect();
    let classes: Vec<u32> = (0..batch).map(|_| stream.below(2)).collect();
    let (segments, offsets) = (vec![0u32; tokens], (0..=batch).map(|b| b * length).collect::<Vec<_>>());
    let input = Input { ids: &ids, positions: &positions, segments: &segments, offsets: &offsets };
    let optimizer = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };
    let decayed = bert.params.layout.decayed();
    let mut gradient = vec![0f32; bert.params.data.len()];
    let mut moments = Moments::zeros(gradient.len());
    let mut workspace = Workspace::default();
    let mut d_logits = vec![0f32; batch * 2];
    let mut times: [Vec<f64>; 6] = Default::default();
    for step in 0..steps + 3 {
        let plan = DropoutPlan { seed: 1, step: step as u32, hidden: 0.1, attention: 0.1 };
        let pass = Pass { dropout: Some(&plan), keep: true, ..Pass::default() };
        let start = Instant::now();
        bert.forward(&input, &pass, &mut workspace);
        loss::mean(workspace.logits(), Targets::Classes(&classes), &mut d_logits);
        let forward = milliseconds(start);
        bert.backward(&input, &pass, &mut workspace, &d_logits, Wanted::Weights(&mut gradient));
        let backward = milliseconds(start) - forward;
        let scale = adamw::clip_scale(adamw::norm(&gradient), 1.0);
        optimizer.step(&mut bert.params.data, &mut gradient, &mut moments, &decayed, 2e-5, scale);
        let all = milliseconds(start);
        if step >= 3 {
            for (list, value) in times.iter_mut().zip([forward, backward, all - forward - backward, all]) {
                list.push(value);
            }
        }
    }
    let mut gates = GateGradients::default();
    for step in 0..steps + 2 {
        let start = Instant::now();
        bert.forward(&input, &Pass::default(), &mut workspace);
        let inference = milliseconds(start);
        let start = Instant::now();
        let pass = Pass { keep: true, gate_gradients: true, ..Pass::default() };
        bert.forward(&input, &pass, &mut workspace);
        bert.backward(&input, &pass, &mut workspace, &d_logits, Wanted::Gates(&mut gates));
        if step >= 2 {
            times[4].push(inference);
            times[5].push(milliseconds(start));
        }
    }
    let [forward, backward, update, step, inference, importance] = times.map(median);
    println!(
        "lottery {name} cpu fp32 {batch}x{length}: step {step:.2} ms (forward {forward:.2} backward {backward:.2} optimizer {update:.2}) \
         {:.2} TFLOP/s = {:.2} of the ceiling, {:.1} sequences/s | inference {inference:.2} ms | importance pass {importance:.2} ms = {:.2} of forward + backward",
        3.0 * flop / step / 1e9,
        3.0 * flop / step / 1e6 / ceiling,
        batch as f64 / step * 1e3,
        importance / (forward + backward),
    );
}
