//! `ticket.json`: the mask that a search found, and its steps. Field names are fixed: other programs read them.

use crate::{
    config::Split,
    error::Result,
    model::BertConfig,
    prune::{Estimator, Kind, Mask, MaskText, Method, PACKED, Step},
    store::Done,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Its file in the stage that searches.
pub const TICKET: &str = "ticket.json";

/// The keys of its mask.
pub(super) const MASK_KEYS: [&str; 3] = ["heads", "ffns", "packed"];

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
        let mut text: Value = search.read_json(TICKET)?;
        let packed = text.as_object_mut().and_then(|text| text.shift_remove("packed"));
        let unexpected =
            |e: serde_json::Error| search.damaged(TICKET, &format!("has unexpected content ({e})"));
        let mut ticket: Self = serde_json::from_value(text).map_err(unexpected)?;
        if let Some(packed) = packed {
            let packed = serde_json::from_value(packed).map_err(unexpected)?;
            let text = MaskText { packed, ..(&ticket.mask).into() };
            ticket.mask = Mask::read(&text, Some((&search.path(PACKED)?, &search.read(PACKED)?)))?;
        }
        let mask = &ticket.mask;
        let shapes = [mask.layers(), mask.heads_per_layer(), ticket.layers, ticket.heads_per_layer];
        if shapes != [model.num_hidden_layers, model.num_attention_heads].repeat(2)[..] {
            return Err(search.damaged(TICKET, "belongs to a model of another shape"));
        }
        if mask.sites(Kind::Neurons).any(|(_, bits)| bits.len() != model.intermediate_size) {
            return Err(search.damaged(PACKED, "belongs to a model of another shape"));
        }
        Ok(ticket)
    }
}
