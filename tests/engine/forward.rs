//! Logits against candle-transformers' BERT.

use crate::support::{Packed, assert_close, config, logits, random_bert};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use lottery::model::{Bert, Pass};
use std::collections::HashMap;

/// Logits by candle-transformers' encoder, one padded batch with its attention mask, pooler and classifier by hand.
pub fn candle_logits(bert: &Bert, packed: &Packed) -> Vec<f32> {
    let device = &Device::Cpu;
    let tensors: HashMap<String, Tensor> = bert
        .params
        .layout
        .entries
        .iter()
        .map(|e| {
            let name = e.name.strip_prefix("bert.").unwrap_or(&e.name).to_owned();
            let values = &bert.params.data[e.range.clone()];
            (name, Tensor::from_slice(values, e.shape.clone(), device).unwrap())
        })
        .collect();
    let source = &bert.config;
    let config = Config {
        vocab_size: source.vocab_size,
        hidden_size: source.hidden_size,
        num_hidden_layers: source.num_hidden_layers,
        num_attention_heads: source.num_attention_heads,
        intermediate_size: source.intermediate_size,
        max_position_embeddings: source.max_position_embeddings,
        type_vocab_size: source.type_vocab_size,
        layer_norm_eps: source.layer_norm_eps,
        ..Config::default()
    };
    let oracle =
        BertModel::load(VarBuilder::from_tensors(tensors.clone(), DType::F32, device), &config).unwrap();
    let b = packed.sequences();
    let width = packed.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap();
    let padded = |values: &[u32]| {
        let rows = packed.offsets.windows(2).flat_map(|w| {
            let row = values[w[0]..w[1]].iter().copied();
            row.chain(std::iter::repeat(0)).take(width).collect::<Vec<_>>()
        });
        Tensor::from_vec(rows.collect::<Vec<_>>(), (b, width), device).unwrap()
    };
    let real = padded(&vec![1; packed.ids.len()]);
    let states = oracle.forward(&padded(&packed.ids), &padded(&packed.segments), Some(&real)).unwrap();
    let first = states.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    let linear = |x: &Tensor, name: &str| {
        let weight = tensors[&format!("{name}.weight")].t().unwrap();
        x.matmul(&weight).unwrap().broadcast_add(&tensors[&format!("{name}.bias")]).unwrap()
    };
    let pooled = linear(&first.contiguous().unwrap(), "pooler.dense").tanh().unwrap();
    linear(&pooled, "classifier").flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn logits_equal_those_of_candle_transformers() {
    for (layers, hidden, heads, inner) in [(1, 16, 2, 20), (3, 36, 3, 50), (2, 128, 2, 256)] {
        let config = config(layers, hidden, heads, inner);
        let bert = random_bert(config.clone(), config.full_shape(), 3, hidden as u64);
        let packed = Packed::random(&config, &[9, 1, 100, 31, 160], 3, 1);
        let (ours, theirs) = (logits(&bert, &packed, &Pass::default()), candle_logits(&bert, &packed));
        assert_close(&ours, &theirs, 1e-5, "logits");
    }
}
