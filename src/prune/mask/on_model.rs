//! A mask on a model: what is physically removed, what is held at zero, and what is left.

use super::{Kind, Mask, Site};
use crate::{
    error::{Error, Result},
    model::{
        Bert, BertConfig, Ffn, Gates, Head, LayerShape,
        params::{Entry, Layout, Params},
    },
    ops::WeightMask,
};
use std::ops::Range;

/// The parts of a model's weights that a mask leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Of the weights of the encoder's layers, LayerNorms and biases included.
    pub encoder: f64,
    /// Of all weights, with the embeddings and what stands on the encoder.
    pub all: f64,
}

impl Mask {
    /// The units that a physically shrunk model has: heads, FFNs and their neurons are removed, blocks and single weights
    /// are not.
    pub fn layer_shapes(&self) -> Vec<LayerShape> {
        let shape = |layer| {
            let ffn = match self.get(&Site::Neurons(layer)) {
                _ if !self.keeps_ffn(layer) => Ffn::Absent,
                Some(bits) => {
                    Ffn::of_neurons(self.kept(&Site::Neurons(layer)).unwrap_or_default(), bits.len())
                }
                None => Ffn::Whole,
            };
            LayerShape { heads: self.kept_heads(layer), ffn }
        };
        (0..self.layers()).map(shape).collect()
    }

    /// The same with all heads and FFNs.
    pub fn with_all_units(&self) -> Self {
        [Kind::Heads, Kind::Ffns].into_iter().fold(self.clone(), |mask, kind| {
            let all = vec![true; mask.count(kind).total];
            mask.with_flags(kind, &all)
        })
    }

    /// 1 for kept heads and FFNs, 0 for pruned ones.
    pub fn gates(&self) -> Gates {
        let gates = |kind| self.flags(kind).into_iter().map(|kept| f32::from(u8::from(kept))).collect();
        Gates { heads: gates(Kind::Heads), ffns: gates(Kind::Ffns) }
    }

    /// A copy of the unpruned model that computes what the mask leaves: without the removed units, and with zeros where
    /// blocks or single weights are pruned.
    ///
    /// # Errors
    /// `Data` when the mask has a site that the model has not.
    pub fn apply(&self, bert: &Bert) -> Result<Bert> {
        if !self.holds() {
            return Ok(bert.shrunk(&self.layer_shapes()));
        }
        let mut masked = bert.clone();
        self.zero(&mut masked)?;
        Ok(masked.shrunk(&self.layer_shapes()))
    }

    /// Whether blocks or single weights are pruned, which stay in the model as zeros.
    pub fn holds(&self) -> bool {
        self.parts().any(|(site, bits)| is_held(site) && bits.count_ones() < bits.len())
    }

    /// What training has to hold at zero in the [applied](Self::apply) model: the pruned blocks and weights. None where
    /// nothing is to be held.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn held(&self, config: &BertConfig, head: Head) -> Result<Option<WeightMask>> {
        if !self.holds() {
            return Ok(None);
        }
        // Removal moves weights; ones and zeros that go the same way tell where the held ones end up.
        let mut ones = Bert::zeros(config.clone(), config.full_shape(), head);
        for entry in &ones.params.layout.entries {
            ones.params.data[entry.range.clone()].fill(1.0);
        }
        let Params { layout, data } = self.apply(&ones)?.params;
        let mut mask = WeightMask::all_kept(layout.len);
        for Entry { range, .. } in layout.entries {
            mask.set(range.clone(), data[range].iter().map(|weight| *weight != 0.0));
        }
        Ok(Some(mask))
    }

    /// What is left of a model's weights.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn shares(&self, config: &BertConfig, head: Head) -> Result<Shares> {
        let full = Layout::new(config, &config.full_shape(), head);
        let left = Layout::new(config, &self.layer_shapes(), head);
        let held = self.held(config, head)?;
        let zeros = |of: &dyn Fn(&Entry) -> bool| {
            let Some(held) = &held else { return 0 };
            let places = left.entries.iter().filter(|entry| of(entry)).flat_map(|entry| entry.range.clone());
            places.filter(|at| !held.keeps(*at)).count()
        };
        let share = |left: usize, full: usize| left as f64 / full as f64;
        Ok(Shares {
            encoder: share(left.encoder_parameters() - zeros(&Entry::is_encoder), full.encoder_parameters()),
            all: share(left.parameters() - zeros(&|_| true), full.parameters()),
        })
    }

    /// Zeros in the place of pruned blocks and weights. What a ticket of a classifier prunes of the pooler is nothing to
    /// another head, which does not stand on it.
    fn zero(&self, Bert { config, params, .. }: &mut Bert) -> Result<()> {
        let poolers = config.family.pooler_names();
        for (site, bits) in self.parts() {
            let (tensor, size) = match site {
                Site::Weights(tensor) => (tensor, [1, 1]),
                Site::Blocks { tensor, size } => (tensor, *size),
                Site::Heads(_) | Site::Ffn(_) | Site::Neurons(_) => continue,
            };
            let entry = params.layout.entries.iter().find(|entry| entry.name == *tensor);
            let Some(Entry { shape, range, .. }) = entry.cloned() else {
                if poolers.as_ref().is_some_and(|names| names.contains(tensor)) {
                    continue;
                }
                return Err(Error::data(format!(
                    "the mask prunes {tensor}, which the model has not. {REMEDY}"
                )));
            };
            let grid = Grid::new(&shape, size);
            if bits.len() != grid.len() {
                let (has, kind) = (bits.len(), site.kind());
                return Err(Error::data(format!(
                    "the mask has {has} {kind} of {tensor}, and the model's has {}. {REMEDY}",
                    grid.len()
                )));
            }
            let weights = &mut params.data[range];
            bits.zeros().for_each(|index| grid.rows_of(index).for_each(|row| weights[row].fill(0.0)));
        }
        Ok(())
    }
}

const REMEDY: &str = "Take a ticket of this model.";

fn is_held(site: &Site) -> bool {
    matches!(site.kind(), Kind::Blocks | Kind::Weights)
}

/// A tensor cut into blocks of so many rows and columns; a vector is one row.
struct Grid {
    rows: usize,
    columns: usize,
    size: [usize; 2],
}

impl Grid {
    fn new(shape: &[usize], size: [usize; 2]) -> Self {
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.split_last().map_or(1, |(_, before)| before.iter().product());
        Self { rows, columns, size }
    }

    fn len(&self) -> usize {
        self.rows.div_ceil(self.size[0]) * self.columns.div_ceil(self.size[1])
    }

    /// Where the rows of a block lie in the tensor.
    fn rows_of(&self, index: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let across = self.columns.div_ceil(self.size[1]);
        let [top, left] = [index / across * self.size[0], index % across * self.size[1]];
        let right = (left + self.size[1]).min(self.columns);
        (top..(top + self.size[0]).min(self.rows))
            .map(move |row| row * self.columns + left..row * self.columns + right)
    }
}

impl Bert {
    /// Heads that the model has.
    pub fn heads(&self) -> usize {
        self.shape.iter().map(|l| l.heads.len()).sum()
    }

    /// FFNs that the model has.
    pub fn ffns(&self) -> usize {
        self.shape.iter().filter(|l| l.ffn.is_present()).count()
    }
}
