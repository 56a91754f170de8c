//! Masks as safetensors files, eight flags a byte: `mask.safetensors` with the sites beside heads and FFNs, and ticket
//! files with all of them.

use super::{Bits, Kind, Mask, Site};
use crate::error::{Error, Result, excerpt};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// The name of the file beside a ticket.
pub const PACKED: &str = "mask.safetensors";

/// The one key of the file's metadata: a JSON object from each tensor's name to its number of flags. Several keys would
/// be written in an order that changes from run to run.
const FLAGS: &str = "lottery_mask_flags";

/// The one key of a ticket file's metadata: a JSON object, with the numbers of flags under `flags`.
const TICKET: &str = "lottery_ticket";

impl Mask {
    /// The file `mask.safetensors`, one tensor of bytes for each site, when there is any beside heads and FFNs.
    pub fn to_packed(&self) -> Result<Option<Vec<u8>>> {
        if self.packed_parts().next().is_none() {
            return Ok(None);
        }
        let counts = json!(counts(self.packed_parts()));
        serialize(PACKED, self.packed_parts(), FLAGS, &counts).map(Some)
    }

    /// A ticket file: one tensor of bytes for each site, and this object in the metadata.
    pub fn to_ticket_file(&self, about: &Map<String, Value>) -> Result<Vec<u8>> {
        let mut about = about.clone();
        about.insert("flags".to_owned(), json!(counts(self.parts())));
        serialize("the ticket", self.parts(), TICKET, &Value::Object(about))
    }

    /// What [`to_ticket_file`](Self::to_ticket_file) wrote.
    ///
    /// # Errors
    /// `Data`, naming the file, when it is none.
    pub fn of_ticket_file(path: &Path, bytes: &[u8]) -> Result<(Self, Map<String, Value>)> {
        const REMEDY: &str = "Give a file that `lottery export --ticket` wrote, or export it again";
        let wrong = |why: &str| refused(path, why, REMEDY);
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|e| wrong(&format!("is no ticket: {e}")))?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(TICKET));
        let text = text.ok_or_else(|| wrong(&format!("is no ticket: it has no {TICKET} in its metadata")))?;
        let mut about: Map<String, Value> = serde_json::from_str(text)
            .map_err(|e| wrong(&format!("is damaged: {TICKET} in its metadata: {e}")))?;
        let counts = about.shift_remove("flags").and_then(|flags| serde_json::from_value(flags).ok());
        let counts = counts.ok_or_else(|| wrong("is damaged: its metadata does not count the flags"))?;
        let parts = sites(path, bytes, &counts, |_| true, REMEDY)?;
        let mask = Self { parts: parts.into_iter().collect() };
        match mask.flaw() {
            Some(flaw) => Err(wrong(&format!("is damaged: {flaw}"))),
            None => Ok((mask, about)),
        }
    }

    /// What the strings of a ticket do not say.
    pub(super) fn packed_parts(&self) -> impl Iterator<Item = (&Site, &Bits)> {
        self.parts().filter(|(site, _)| is_packed(site))
    }

    /// Why these sites are not a mask: every layer has flags for as many heads, and one for its FFN.
    fn flaw(&self) -> Option<String> {
        let (layers, heads) = (self.layers(), self.heads_per_layer());
        if heads == 0 || self.sites(Kind::Heads).count() != layers {
            return Some("its layers do not all have flags for heads and FFN".to_owned());
        }
        self.parts().find_map(|(site, bits)| {
            let (layer, len) = match site {
                Site::Heads(layer) => (*layer, heads),
                Site::Ffn(layer) => (*layer, 1),
                Site::Neurons(layer) => (*layer, bits.len()),
                Site::Blocks { .. } | Site::Weights(_) => return None,
            };
            (layer >= layers || bits.len() != len).then(|| {
                format!("{} has {} flags in {layers} layers of {heads} heads", site.key(), bits.len())
            })
        })
    }
}

fn is_packed(site: &Site) -> bool {
    !matches!(site.kind(), Kind::Heads | Kind::Ffns)
}

fn counts<'a>(parts: impl Iterator<Item = (&'a Site, &'a Bits)>) -> BTreeMap<String, usize> {
    parts.map(|(site, bits)| (site.key(), bits.len())).collect()
}

fn serialize<'a>(
    file: &str,
    parts: impl Iterator<Item = (&'a Site, &'a Bits)>,
    key: &str,
    about: &Value,
) -> Result<Vec<u8>> {
    let failed = |why: &dyn std::fmt::Display| Error::internal(format!("{file} cannot be written: {why}"));
    let sites: Vec<(String, Vec<u8>)> = parts.map(|(site, bits)| (site.key(), bits.to_bytes())).collect();
    let views = sites.iter().map(|(key, bytes)| {
        TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map(|view| (key.as_str(), view))
    });
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let metadata = HashMap::from([(key.to_owned(), about.to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| failed(&e))
}

/// The sites of a `mask.safetensors`.
///
/// # Errors
/// `Data`, naming the file, when it is not what [`Mask::to_packed`] writes.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<(Site, Bits)>> {
    let wrong = |why: String| damaged(path, &why);
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| wrong(format!("is damaged: {e}")))?;
    let counts = metadata.metadata().as_ref().and_then(|metadata| metadata.get(FLAGS));
    let counts = counts.and_then(|text| serde_json::from_str::<BTreeMap<String, usize>>(text).ok());
    let counts =
        counts.ok_or_else(|| wrong(format!("has no {FLAGS} in its metadata, or none that can be read")))?;
    sites(path, bytes, &counts, is_packed, RECOMPUTE)
}

/// The tensors of a file as flags, of which `counts` says how many they are.
fn sites(
    path: &Path,
    bytes: &[u8],
    counts: &BTreeMap<String, usize>,
    wanted: impl Fn(&Site) -> bool,
    remedy: &str,
) -> Result<Vec<(Site, Bits)>> {
    let wrong = |why: String| refused(path, &why, remedy);
    let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(format!("is damaged: {e}")))?;
    if file.len() != counts.len() {
        return Err(wrong(format!("has {} tensors and names {}", file.len(), counts.len())));
    }
    let site = |(key, len): (&String, &usize)| {
        let name = excerpt(key);
        let site = Site::of_key(key)
            .filter(|site| wanted(site))
            .ok_or_else(|| wrong(format!("names no site with {name}")))?;
        let tensor = file.tensor(key).map_err(|_| wrong(format!("lacks {name}")))?;
        if tensor.dtype() != Dtype::U8 || tensor.shape().len() != 1 {
            return Err(wrong(format!("has {name} in another format than bytes in a row")));
        }
        let bits = Bits::from_bytes(*len, tensor.data())
            .map_err(|why| wrong(format!("is damaged: {name} {why}")))?;
        Ok((site, bits))
    };
    counts.iter().map(site).collect()
}

const RECOMPUTE: &str = "Delete its folder, so that the stage is computed anew";

pub(super) fn damaged(path: &Path, why: &str) -> Error {
    refused(path, why, RECOMPUTE)
}

fn refused(path: &Path, why: &str, remedy: &str) -> Error {
    Error::data(format!("{} {why}. {remedy}.", path.display()))
}
