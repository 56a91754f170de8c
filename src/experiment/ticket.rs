//! `ticket.json`: the mask that a search found, and its steps. Field names are fixed: other programs read them.

use crate::{
    config::Split,
    error::{Error, Result},
    model::BertConfig,
    prune::{Estimator, Kind, Mask, MaskText, Method, PACKED, Step},
    store::{Done, StageWriter},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Its file in the stage that searches.
pub const TICKET: &str = "ticket.json";

/// The packed flags of [`Ticket::opposite`], beside it.
const OPPOSITE: &str = "opposite.safetensors";

/// The keys of its masks.
pub(super) const MASK_KEYS: [&str; 4] = ["heads", "ffns", "packed", "opposite"];

/// A mask and how it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub format_version: u32,
    pub task: String,
    pub method: Method,
    pub seed: u64,
    pub layers: usize,
    pub heads_per_layer: usize,
    /// What units were scored by; none where single weights were pruned by their magnitude.
    pub estimator: Option<Estimator>,
    pub norm: Option<String>,
    /// The examples of the search; none where nothing was scored.
    pub split: Option<Split>,
    pub metric: String,
    /// The full model's score on `split`.
    pub full_score: Option<f64>,
    /// The score of the mask on `split`.
    pub score: Option<f64>,
    /// None where a sparsity was given.
    pub threshold: Option<f64>,
    /// Nothing was left to prune before the score fell below the threshold.
    pub exhausted: bool,
    pub note: Option<String>,
    #[serde(flatten)]
    pub mask: Mask,
    /// As large a mask, of what the same rule prunes last, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opposite: Option<Mask>,
    /// Every step, accepted or not, with the importances that chose its units.
    pub steps: Vec<Step>,
}

impl Ticket {
    /// Writes the ticket and the packed flags of its masks.
    pub fn write(&self, out: &StageWriter) -> Result<()> {
        for (mask, file) in [(Some(&self.mask), PACKED), (self.opposite.as_ref(), OPPOSITE)] {
            if let Some(packed) = mask.map(Mask::to_packed).transpose()?.flatten() {
                out.write(file, &packed)?;
            }
        }
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal(e.to_string()))?;
        out.write(TICKET, format!("{text}\n").as_bytes())
    }

    /// Reads the ticket of a search in a model of this shape.
    ///
    /// # Errors
    /// Data: the file is damaged or belongs to a model of another shape.
    pub fn read(search: &Done, model: &BertConfig) -> Result<Self> {
        let mut text: Value = search.read_json(TICKET)?;
        let unexpected =
            |e: serde_json::Error| search.damaged(TICKET, &format!("has unexpected content ({e})"));
        let mut take = |key| text.as_object_mut().and_then(|text| text.shift_remove(key));
        let (packed, opposite) = (take("packed"), take("opposite"));
        let mut ticket: Self = serde_json::from_value(text).map_err(unexpected)?;
        let mask = |text: MaskText, file: &str| {
            let bytes = text.packed.is_some().then(|| Ok((search.path(file)?, search.read(file)?)));
            let bytes = bytes.transpose()?;
            Mask::read(&text, bytes.as_ref().map(|(path, bytes)| (path.as_path(), bytes.as_slice())))
        };
        if let Some(packed) = packed {
            let packed = serde_json::from_value(packed).map_err(unexpected)?;
            ticket.mask = mask(MaskText { packed, ..(&ticket.mask).into() }, PACKED)?;
        }
        if let Some(opposite) = opposite {
            ticket.opposite = Some(mask(serde_json::from_value(opposite).map_err(unexpected)?, OPPOSITE)?);
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
