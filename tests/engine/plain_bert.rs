//! A BERT composed of candle's primitive differentiable operations, one sequence at a time, without padding.
//!
//! candle's fused LayerNorm and softmax have no backward pass, so none of them is used here.

use crate::support::Packed;
use candle_core::{DType, Device, Result, Tensor, Var, backprop::GradStore};
use lottery::{
    model::{Bert, BertConfig, Head, LayerShape},
    ops::{
        dropout::{Dropout, DropoutPlan},
        rng::Purpose,
    },
};
use std::{cell::RefCell, collections::HashMap};

/// A layer and one of its heads, or its FFN.
pub type Unit = (usize, Option<usize>);

pub struct PlainBert {
    pub vars: HashMap<String, Var>,
    /// (layers · heads) and (layers), multipliers on the units.
    pub head_gates: Var,
    pub ffn_gates: Var,
    /// The L2 norms of what units gave, before gates, in all passes so far.
    pub norms: RefCell<HashMap<Unit, Vec<f64>>>,
    dropout: Option<DropoutPlan>,
    config: BertConfig,
    shape: Vec<LayerShape>,
    head: Head,
    dtype: DType,
}

/// x Wᵀ + b: (n, i), (o, i), (o) → (n, o)
fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}

fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
    let sigma = (centred.sqr()?.mean_keepdim(1)? + epsilon)?.sqrt()?;
    centred.broadcast_div(&sigma)?.broadcast_mul(gamma)?.broadcast_add(beta)
}

fn softmax_rows(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(1)?.detach())?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(1)?)
}

fn gelu(x: &Tensor) -> Result<Tensor> {
    ((x / std::f64::consts::SQRT_2)?.erf()? + 1.0)?.mul(x)? * 0.5
}

impl PlainBert {
    pub fn new(bert: &Bert, dtype: DType, dropout: Option<DropoutPlan>) -> Self {
        let vars = bert.params.layout.entries.iter().map(|entry| {
            let values = &bert.params.data[entry.range.clone()];
            let tensor = Tensor::from_slice(values, entry.shape.clone(), &Device::Cpu).unwrap();
            (entry.name.clone(), Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap())
        });
        let config = bert.config.clone();
        let ones = |n: usize| Var::ones(n, dtype, &Device::Cpu).unwrap();
        let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
        Self {
            vars: vars.collect(),
            norms: RefCell::default(),
            head_gates: ones(layers * heads),
            ffn_gates: ones(layers),
            dropout,
            config,
            shape: bert.shape.clone(),
            head: bert.head,
            dtype,
        }
    }

    /// Notes the L2 norm of each row of what a head, or a layer's FFN, gives.
    fn note_norms(&self, unit: (usize, Option<usize>), given: &Tensor) -> Result<()> {
        let squares: Vec<f64> = given.sqr()?.sum(1)?.to_dtype(DType::F64)?.to_vec1()?;
        self.norms.borrow_mut().entry(unit).or_default().extend(squares.iter().map(|square| square.sqrt()));
        Ok(())
    }

    fn var(&self, name: &str) -> &Tensor {
        self.vars[name].as_tensor()
    }

    fn linear(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        linear(x, self.var(&format!("{name}.weight")), self.var(&format!("{name}.bias")))
    }

    fn layer_norm(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        let (gamma, beta) = (self.var(&format!("{name}.weight")), self.var(&format!("{name}.bias")));
        layer_norm(x, gamma, beta, self.config.layer_norm_eps)
    }

    /// x ⊙ the mask's elements from `first` on.
    fn dropped(&self, x: &Tensor, mask: Option<Dropout>, first: usize) -> Result<Tensor> {
        let Some(mask) = mask else { return Ok(x.clone()) };
        let mut multipliers = vec![0.0; x.elem_count()];
        mask.multipliers(first, &mut multipliers);
        x * Tensor::from_vec(multipliers, x.dims(), &Device::Cpu)?.to_dtype(self.dtype)?
    }

    /// Dropout on hidden states; the first row is `row` of the packed batch.
    fn dropped_hidden(&self, x: &Tensor, purpose: Purpose, layer: usize, row: usize) -> Result<Tensor> {
        let mask = self.dropout.and_then(|plan| plan.hidden(purpose, layer));
        self.dropped(x, mask, row * self.config.hidden_size)
    }

    /// Σ over heads of gate · dropout(softmax(q kᵀ / √d)) v W_oᵀ, plus the output's bias, q being of the rows that
    /// ask: (n, H), (rows, H) → (rows, H)
    fn attention(&self, x: &Tensor, asking: &Tensor, layer: usize, sequence: usize) -> Result<Tensor> {
        let prefix = format!("bert.encoder.layer.{layer}.attention");
        let bias = self.var(&format!("{prefix}.output.dense.bias"));
        let mut sum = asking.zeros_like()?.broadcast_add(bias)?;
        let d = self.config.head_size();
        for (place, head) in self.shape[layer].heads.iter().enumerate() {
            let project = |x: &Tensor, kind: &str| -> Result<Tensor> {
                let weight = self.var(&format!("{prefix}.self.{kind}.weight")).narrow(0, place * d, d)?;
                linear(x, &weight, &self.var(&format!("{prefix}.self.{kind}.bias")).narrow(0, place * d, d)?)
            };
            let (q, k, v) = (project(asking, "query")?, project(x, "key")?, project(x, "value")?);
            let probabilities = softmax_rows(&(q.matmul(&k.t()?)? / (d as f64).sqrt())?)?;
            let mask = self.dropout.and_then(|plan| plan.attention(layer, *head, sequence));
            let gate = self.head_gates.narrow(0, layer * self.config.num_attention_heads + head, 1)?;
            let context = self.dropped(&probabilities, mask, 0)?.matmul(&v)?;
            self.note_norms((layer, Some(*head)), &context)?;
            let context = context.broadcast_mul(&gate)?;
            let weight = self.var(&format!("{prefix}.output.dense.weight")).narrow(1, place * d, d)?;
            sum = (sum + context.matmul(&weight.t()?)?)?;
        }
        Ok(sum)
    }

    /// The encoder's output at the rows that the head reads of one sequence of the batch, (rows, H), and the number of
    /// the first of them among all that it reads.
    fn encoded(&self, packed: &Packed, s: usize) -> Result<(Tensor, usize)> {
        let at = packed.offsets[s];
        let n = packed.offsets[s + 1] - at;
        let rows = |table: &str, ids: &[u32]| -> Result<Tensor> {
            let ids = Tensor::from_slice(&ids[at..at + n], n, &Device::Cpu)?;
            self.var(&format!("bert.embeddings.{table}_embeddings.weight")).index_select(&ids, 0)
        };
        let x = (rows("word", &packed.ids)? + rows("position", &packed.positions)?)?;
        let x = (x + rows("token_type", &packed.segments)?)?;
        let x = self.layer_norm(&x, "bert.embeddings.LayerNorm")?;
        let mut x = self.dropped_hidden(&x, Purpose::EmbeddingDropout, 0, at)?;
        // From the last attention on only these rows are computed; their masks are those of their own numbers.
        let (read, first): (Vec<u32>, usize) = match self.head {
            Head::Classifier { .. } => (vec![0], s),
            Head::Spans => ((0..n as u32).collect(), at),
            Head::MaskedLm => {
                let inside = packed.masked.iter().filter(|row| (at..at + n).contains(*row));
                (
                    inside.map(|row| (row - at) as u32).collect(),
                    packed.masked.partition_point(|row| *row < at),
                )
            }
        };
        for (l, shape) in self.shape.iter().enumerate() {
            let prefix = format!("bert.encoder.layer.{l}");
            let (whole, mut row) = (x.clone(), at);
            if l + 1 == self.shape.len() {
                x = x.index_select(&Tensor::new(&read[..], &Device::Cpu)?, 0)?;
                row = first;
            }
            let attended = self.attention(&whole, &x, l, s)?;
            let attended = self.dropped_hidden(&attended, Purpose::AttentionOutputDropout, l, row)?;
            x = self.layer_norm(&(x + attended)?, &format!("{prefix}.attention.output.LayerNorm"))?;
            let mut sum = x.clone();
            if shape.ffn.is_present() {
                let inner = gelu(&self.linear(&x, &format!("{prefix}.intermediate.dense"))?)?;
                let out = self.linear(&inner, &format!("{prefix}.output.dense"))?;
                let out = self.dropped_hidden(&out, Purpose::FfnOutputDropout, l, row)?;
                self.note_norms((l, None), &out)?;
                sum = (sum + out.broadcast_mul(&self.ffn_gates.narrow(0, l, 1)?)?)?;
            }
            x = self.layer_norm(&sum, &format!("{prefix}.output.LayerNorm"))?;
        }
        Ok((x, first))
    }

    /// The logits of one sequence of the batch: (1, labels), (masked tokens, words), or (tokens, 2).
    fn sequence_logits(&self, packed: &Packed, s: usize) -> Result<Tensor> {
        let (x, _) = self.encoded(packed, s)?;
        if self.head == Head::MaskedLm {
            let x = gelu(&self.linear(&x, "cls.predictions.transform.dense")?)?;
            let x = self.layer_norm(&x, "cls.predictions.transform.LayerNorm")?;
            return linear(
                &x,
                self.var("bert.embeddings.word_embeddings.weight"),
                self.var("cls.predictions.bias"),
            );
        }
        if self.head == Head::Spans {
            let x = match self.config.family.drops_span_input {
                true => self.dropped_hidden(&x, Purpose::ClassifierDropout, 0, packed.offsets[s])?,
                false => x,
            };
            return self.linear(&x, "qa_outputs");
        }
        let pooled = self.linear(&x, "bert.pooler.dense")?.tanh()?;
        let pooled = self.dropped_hidden(&pooled, Purpose::ClassifierDropout, 0, s)?;
        self.linear(&pooled, "classifier")
    }

    /// (B, labels), (masked tokens, words), or (T, 2)
    pub fn logits(&self, packed: &Packed) -> Tensor {
        let rows: Result<Vec<_>> = (0..packed.sequences()).map(|s| self.sequence_logits(packed, s)).collect();
        Tensor::cat(&rows.unwrap(), 0).unwrap()
    }

    /// The mean over the batch of the cross-entropy, of the two of a span, or of the squared error when there is one label.
    pub fn loss(&self, packed: &Packed) -> Tensor {
        let logits = self.logits(packed);
        let of = || -> Result<Tensor> {
            if self.head == Head::MaskedLm {
                let words = Tensor::from_slice(&packed.words, (packed.words.len(), 1), &Device::Cpu)?;
                let total = logits.exp()?.sum_keepdim(1)?.log()?;
                return (total - logits.gather(&words, 1)?)?.mean_all();
            }
            let n = packed.sequences();
            if self.head == Head::Spans {
                let mut total = Tensor::zeros((), self.dtype, &Device::Cpu)?;
                for (s, at) in packed.offsets.windows(2).enumerate() {
                    let own = logits.narrow(0, at[0], at[1] - at[0])?;
                    for (column, target) in [packed.starts[s], packed.ends[s]].into_iter().enumerate() {
                        let x = own.narrow(1, column, 1)?.squeeze(1)?;
                        let at_target = x.narrow(0, target as usize, 1)?.squeeze(0)?;
                        total = (total + (x.exp()?.sum_all()?.log()? - at_target)?)?;
                    }
                }
                return total / (2 * n) as f64;
            }
            if self.head == (Head::Classifier { labels: 1 }) {
                let scores = Tensor::from_slice(&packed.scores, (n, 1), &Device::Cpu)?;
                return (logits - scores.to_dtype(self.dtype)?)?.sqr()?.mean_all();
            }
            let classes = Tensor::from_slice(&packed.classes, (n, 1), &Device::Cpu)?;
            let total = logits.exp()?.sum_keepdim(1)?.log()?;
            (total - logits.gather(&classes, 1)?)?.mean_all()
        };
        of().unwrap()
    }

    pub fn gradients(&self, packed: &Packed) -> (f64, GradStore) {
        let loss = self.loss(packed);
        (scalar(&loss), loss.backward().unwrap())
    }
}

pub fn scalar(x: &Tensor) -> f64 {
    x.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

pub fn values(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}
