//! What searches and criteria may measure on a fine-tuned model.

use super::Mask;
use crate::{
    error::{Error, Result},
    model::{Bert, params::Layout},
};

/// A fine-tuned model with the data that scores it, and the deciding metric.
pub trait Probe {
    /// The mask that keeps everything.
    fn whole(&self) -> Mask;

    /// The deciding metric of the network under this mask. Costs nothing for the mask of the last pass over the data.
    fn metric(&mut self, mask: &Mask) -> Result<f64>;

    /// One pass over the data, example by example in order: the gradients of each example's own loss by the gates of heads
    /// and FFNs. With `every_unit` those of pruned units too, whose gates are 0 (then they have to be computed); without,
    /// a pruned unit's are NaN.
    fn gate_gradients(
        &mut self,
        mask: &Mask,
        every_unit: bool,
        example: &mut dyn FnMut(&GateSums),
    ) -> Result<()>;

    /// One pass over the data, example by example in order: the L2 norms, at each token that a layer computes, of what
    /// heads give to the attention's output matrix and FFNs to their residual, and for each layer the number of those
    /// tokens. The last layer of a classifier computes one of each sequence. Pruned units are as for gate gradients.
    fn output_norms(
        &mut self,
        mask: &Mask,
        every_unit: bool,
        example: &mut dyn FnMut(&GateSums, &[usize]),
    ) -> Result<()>;

    /// One pass over the data, so many examples at a time in order: the gradient of their mean loss by every weight of the
    /// network under the mask, pruned weights included, laid out as its parameters. No weight changes.
    fn weight_gradients(
        &mut self,
        mask: &Mask,
        examples: usize,
        batch: &mut dyn FnMut(&Layout, &[f32]),
    ) -> Result<()>;

    /// The fine-tuned model, with all units: for those that look at weights alone.
    fn model(&self) -> &Bert;
}

/// The score of a pass, unless it is no number.
pub(super) fn finite(score: f64, number: usize, mask: &Mask) -> Result<f64> {
    if score.is_finite() {
        return Ok(score);
    }
    Err(Error::internal(format!(
        "the score of pass {number} of the search ({mask} kept) is {score}. The model's outputs are not finite: fine-tune \
         again with a lower learning rate."
    )))
}

/// One example's gate gradients, or norms, summed over its tokens, with and without their signs; NaN for units that are
/// gone.
#[derive(Debug, Clone)]
pub struct GateSums {
    /// `layers · heads` values, row-major.
    pub heads: Vec<f64>,
    pub heads_abs: Vec<f64>,
    /// `layers` values.
    pub ffns: Vec<f64>,
    pub ffns_abs: Vec<f64>,
}

impl GateSums {
    pub fn new(layers: usize, heads_per_layer: usize) -> Self {
        let (heads, ffns) = (vec![f64::NAN; layers * heads_per_layer], vec![f64::NAN; layers]);
        Self { heads_abs: heads.clone(), heads, ffns_abs: ffns.clone(), ffns }
    }
}
