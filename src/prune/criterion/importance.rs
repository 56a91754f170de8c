//! The scores that units are ranked by.

use crate::{
    error::{Error, Result},
    prune::{Kind, Mask, Site},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One score for each unit of a mask's sites; NaN for units that have none.
///
/// Written as `{"heads": [[…one row per layer]], "ffns": […]}` with `null` for NaN. Scores of smaller units are not written:
/// they take as much room as the model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Rows", into = "Rows")]
pub struct Importance {
    parts: BTreeMap<Site, Vec<f32>>,
}

impl Importance {
    /// Heads row by row, and FFNs, of the layers of this mask.
    pub fn of_units(mask: &Mask, heads: &[f32], ffns: &[f32]) -> Self {
        let mut importance = Self::default();
        for (kind, mut values) in [(Kind::Heads, heads), (Kind::Ffns, ffns)] {
            for (site, bits) in mask.sites(kind) {
                let (own, rest) = values.split_at(bits.len().min(values.len()));
                importance.insert(site.clone(), own.to_vec());
                values = rest;
            }
        }
        importance
    }

    pub fn insert(&mut self, site: Site, scores: Vec<f32>) {
        self.parts.insert(site, scores);
    }

    pub fn get(&self, site: &Site) -> Option<&[f32]> {
        self.parts.get(site).map(Vec::as_slice)
    }

    /// The other way round: what was least important is most.
    pub fn negated(&self) -> Self {
        let negated = |scores: &Vec<f32>| scores.iter().map(|score| -score).collect();
        Self { parts: self.parts.iter().map(|(site, scores)| (site.clone(), negated(scores))).collect() }
    }

    /// The scores of all sites of a kind, one behind the other.
    pub fn values(&self, kind: Kind) -> Vec<f32> {
        self.rows(kind).into_iter().flatten().copied().collect()
    }

    fn rows(&self, kind: Kind) -> Vec<&Vec<f32>> {
        self.parts.iter().filter(|(site, _)| site.kind() == kind).map(|(_, scores)| scores).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Rows {
    heads: Vec<Vec<Option<f32>>>,
    ffns: Vec<Option<f32>>,
}

impl From<Importance> for Rows {
    fn from(importance: Importance) -> Self {
        let optional = |score: &f32| (!score.is_nan()).then_some(*score);
        let row = |scores: &Vec<f32>| scores.iter().map(optional).collect();
        Self {
            heads: importance.rows(Kind::Heads).into_iter().map(row).collect(),
            ffns: importance.values(Kind::Ffns).iter().map(optional).collect(),
        }
    }
}

impl TryFrom<Rows> for Importance {
    type Error = Error;

    fn try_from(rows: Rows) -> Result<Self> {
        let width = rows.heads.first().map_or(0, Vec::len);
        if rows.heads.len() != rows.ffns.len() || rows.heads.iter().any(|row| row.len() != width) {
            return Err(Error::data(
                "the importances have uneven rows. \"heads\" needs one equally long row per layer and \"ffns\" \
                 one number per layer.",
            ));
        }
        let mut importance = Self::default();
        let number = |score: Option<f32>| score.unwrap_or(f32::NAN);
        for (layer, (heads, ffn)) in rows.heads.into_iter().zip(rows.ffns).enumerate() {
            importance.insert(Site::Heads(layer), heads.into_iter().map(number).collect());
            importance.insert(Site::Ffn(layer), vec![number(ffn)]);
        }
        Ok(importance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_without_a_score_are_written_as_null_and_read_back() {
        let whole = Mask::full(2, 2);
        let mut scores = Importance::of_units(&whole, &[0.1, f32::NAN, 1.0, 0.25], &[f32::NAN, 0.5]);
        scores.insert(Site::Weights("classifier.weight".into()), vec![1.0]);
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(json, r#"{"heads":[[0.1,null],[1.0,0.25]],"ffns":[null,0.5]}"#);
        let back: Importance = serde_json::from_str(&json).unwrap();
        let (heads, ffns) = (back.values(Kind::Heads), back.values(Kind::Ffns));
        assert_eq!((heads[0], heads[2], heads[3], ffns[1]), (0.1, 1.0, 0.25, 0.5));
        assert!(heads[1].is_nan() && ffns[0].is_nan());
        assert!(
            serde_json::from_str::<Importance>(r#"{"heads":[[1.0],[1.0,2.0]],"ffns":[1.0,2.0]}"#).is_err()
        );
    }
}
