//! Properties of the fused kernels over odd shapes: what they give is what f64 gives, whatever the number of threads.
//!
//! Each file has an operation's reference in plain f64, shapes that are always tried, and shapes drawn at random: the
//! same ones every time, unless `PROPTEST_RNG_SEED` is set; `PROPTEST_CASES` asks for more of them.

mod activation;
mod attention;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod loss;
mod optimizer;
mod support;
