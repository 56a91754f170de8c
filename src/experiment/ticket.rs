//! `ticket.json`: the mask that a search found, and its steps. Field names are fixed: other programs read them.

use crate::{
    config::Split,
    error::Result,
    model::BertConfig,
    prune::{Estimator, Mask, Method, Step},
    store::Done,
};
use serde::{Deserialize, Serialize};

/// Its file in the stage that searches.
pub const TICKET: &str = "ticket.json";

/// A mask and how it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub format_version: u32,
    pub task: String,
    pub method: Method,
    pub seed: u64,
    pub layers: usize,
    pub heads_per_layer: usize,
    pub estimator: Estimator,
    pub norm: String,
    pub split: Split,
    pub metric: String,
    /// The full model's score on `split`.
    pub full_score: f64,
    /// The score of the mask on `split`.
    pub score: f64,
    pub threshold: f64,
    /// Nothing was left to prune before the score fell below the threshold.
    pub exhausted: bool,
    pub note: Option<String>,
    #[serde(flatten)]
    pub mask: Mask,
    /// Every step, accepted or not, with the importances that chose its units.
    pub steps: Vec<Step>,
}

impl Ticket {
    /// Reads the ticket of a search in a model of this shape.
    ///
    /// # Errors
    /// Data: the file is damaged or belongs to a model of another shape.
    pub fn read(search: &Done, model: &BertConfig) -> Result<Self> {
        let ticket: Self = search.read_json(TICKET)?;
        let mask = &ticket.mask;
        let shapes = [mask.layers(), mask.heads_per_layer(), ticket.layers, ticket.heads_per_layer];
        if shapes != [model.num_hidden_layers, model.num_attention_heads].repeat(2)[..] {
            return Err(search.damaged(TICKET, "belongs to a model of another shape"));
        }
        Ok(ticket)
    }
}
