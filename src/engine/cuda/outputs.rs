//! Where a backward pass leaves the gradients of gates.

use crate::{
    error::Result,
    model::{
        backend::Unit,
        gates::{GateGradients, LayerGateGradients},
        pass::{Layer, Run},
    },
    ops::{
        cuda::{Buffer, Gpu, fetch},
        pending::Pending,
    },
};

/// Where the gate gradients of all layers go, f32.
pub(super) struct GateOutputs {
    base: u64,
    /// First number of each layer: (rows, heads), then (rows) if it has an FFN.
    starts: Vec<usize>,
    len: usize,
}

impl GateOutputs {
    pub fn new(run: &Run, buffer: &Buffer) -> Result<Self> {
        let mut len = 0;
        let starts = (0..run.shape.len())
            .map(|l| {
                let (layer, start) = (run.layer(l), len);
                len += layer.rows * (layer.heads() + usize::from(layer.has_ffn()));
                start
            })
            .collect();
        Ok(Self { base: buffer.floats(len)?, starts, len })
    }

    /// All of them, for the host.
    pub fn fetch(&self, gpu: &dyn Gpu, run: &Run) -> Result<Pending<GateGradients>> {
        let lens = (0..self.starts.len()).map(|l| {
            let layer = run.layer(l);
            (layer.rows * layer.heads(), if layer.has_ffn() { layer.rows } else { 0 })
        });
        let lens: Vec<(usize, usize)> = lens.collect();
        let all = fetch::<f32>(gpu, self.base, self.len)?;
        Ok(all.map(move |all| {
            let mut rest = &all[..];
            let mut take = |len| {
                let (taken, others) = rest.split_at(len);
                rest = others;
                taken.to_vec()
            };
            let layers =
                lens.iter().map(|(heads, ffn)| LayerGateGradients { heads: take(*heads), ffn: take(*ffn) });
            GateGradients { layers: layers.collect() }
        }))
    }

    pub fn of(&self, layer: &Layer, unit: Unit) -> u64 {
        let behind = match unit {
            Unit::Heads => 0,
            Unit::Ffn => layer.rows * layer.heads(),
        };
        self.base + ((self.starts[layer.number] + behind) * 4) as u64
    }
}
