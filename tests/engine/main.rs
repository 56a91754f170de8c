//! The training engine against independent references: candle's autograd on a BERT composed of primitive operations,
//! finite differences, and numbers dumped by PyTorch.

mod attention_golden;
mod bf16;
mod criteria;
mod encoders_golden;
mod extremes;
mod folders;
mod forward;
mod forward_golden;
mod gates;
mod gradients;
mod gradual;
mod held;
mod imp_golden;
mod masked;
mod masked_lm_golden;
mod optimizer_golden;
mod packing;
mod plain_bert;
mod probe;
mod real_model;
mod several;
mod shrinking;
mod spans_golden;
mod support;
mod threads;

use support as packed;
