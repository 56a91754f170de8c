//! Which units a layer has: what pruning left of it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The units that a layer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerShape {
    /// Numbers, in the unpruned layer, of the heads that remain; ascending.
    pub heads: Vec<usize>,
    pub ffn: Ffn,
}

/// What a layer has of its FFN. In files `false`, `true`, or the list of the neurons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ffn {
    Absent,
    Whole,
    /// Numbers, in the unpruned layer, of the inner neurons that remain; ascending. Without any, the down-projection's
    /// bias is left, as the output's bias is of an attention without heads.
    Neurons(Vec<usize>),
}

impl Ffn {
    /// These neurons of `all`; [`Ffn::Whole`] when they are all of them.
    pub fn of_neurons(kept: Vec<usize>, all: usize) -> Self {
        if kept.len() == all { Self::Whole } else { Self::Neurons(kept) }
    }

    pub fn is_present(&self) -> bool {
        *self != Self::Absent
    }

    /// Inner neurons that it has, of `all` in the unpruned layer.
    pub fn width(&self, all: usize) -> usize {
        match self {
            Self::Absent => 0,
            Self::Whole => all,
            Self::Neurons(kept) => kept.len(),
        }
    }

    /// Their numbers in the unpruned layer.
    pub fn neurons(&self, all: usize) -> Vec<usize> {
        match self {
            Self::Absent => Vec::new(),
            Self::Whole => (0..all).collect(),
            Self::Neurons(kept) => kept.clone(),
        }
    }
}

impl From<bool> for Ffn {
    fn from(present: bool) -> Self {
        if present { Self::Whole } else { Self::Absent }
    }
}

impl Serialize for Ffn {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Neurons(kept) => kept.serialize(to),
            whole_or_absent => whole_or_absent.is_present().serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Ffn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Present(bool),
            Neurons(Vec<usize>),
        }
        let of_other_type = |_| D::Error::custom("ffn: true, false or a list of neurons is needed");
        Ok(match Written::deserialize(from).map_err(of_other_type)? {
            Written::Present(present) => present.into(),
            Written::Neurons(kept) => Self::Neurons(kept),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_say_of_an_ffn_whether_it_is_there_or_which_neurons_are() {
        for (ffn, text) in [
            (Ffn::Absent, json!(false)),
            (Ffn::Whole, json!(true)),
            (Ffn::Neurons(vec![]), json!([])),
            (Ffn::of_neurons(vec![0, 7], 8), json!([0, 7])),
        ] {
            let shape = LayerShape { heads: vec![1], ffn };
            let written = json!({ "heads": [1], "ffn": text });
            assert_eq!(serde_json::to_value(&shape).unwrap(), written);
            assert_eq!(serde_json::from_value::<LayerShape>(written).unwrap(), shape);
        }
        let other = serde_json::from_value::<LayerShape>(json!({ "heads": [1], "ffn": "no" })).unwrap_err();
        assert_eq!(other.to_string(), "ffn: true, false or a list of neurons is needed");
        assert_eq!(Ffn::of_neurons(vec![0, 1], 2), Ffn::Whole);
    }
}
