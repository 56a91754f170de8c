//! `mask.safetensors`: the sites of a mask beside heads and FFNs, eight flags a byte.

use super::{Bits, Kind, Mask, Site};
use crate::error::{Error, Result, excerpt};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// The file's name.
pub const PACKED: &str = "mask.safetensors";

/// The one key of the file's metadata: a JSON object from each tensor's name to its number of flags. Several keys would
/// be written in an order that changes from run to run.
const FLAGS: &str = "lottery_mask_flags";

impl Mask {
    /// The file, one tensor of bytes for each site, when there is any beside heads and FFNs.
    pub fn to_packed(&self) -> Result<Option<Vec<u8>>> {
        let sites: Vec<(String, usize, Vec<u8>)> =
            self.packed_parts().map(|(site, bits)| (site.key(), bits.len(), bits.to_bytes())).collect();
        if sites.is_empty() {
            return Ok(None);
        }
        let failed =
            |why: &dyn std::fmt::Display| Error::internal(format!("{PACKED} cannot be written: {why}"));
        let counts: BTreeMap<&str, usize> = sites.iter().map(|(key, len, _)| (&**key, *len)).collect();
        let counts = serde_json::to_string(&counts).map_err(|e| failed(&e))?;
        let views = sites.iter().map(|(key, _, bytes)| {
            TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map(|view| (key.as_str(), view))
        });
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
        let metadata = HashMap::from([(FLAGS.to_owned(), counts)]);
        safetensors::serialize(views, Some(metadata)).map(Some).map_err(|e| failed(&e))
    }

    /// What the strings of a ticket do not say.
    pub(super) fn packed_parts(&self) -> impl Iterator<Item = (&Site, &Bits)> {
        self.parts().filter(|(site, _)| is_packed(site))
    }
}

fn is_packed(site: &Site) -> bool {
    !matches!(site.kind(), Kind::Heads | Kind::Ffns)
}

/// The sites of a file.
///
/// # Errors
/// `Data`, naming the file, when it is not what [`Mask::to_packed`] writes.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<(Site, Bits)>> {
    let wrong = |why: String| damaged(path, &why);
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| wrong(format!("is damaged: {e}")))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(format!("is damaged: {e}")))?;
    let counts = metadata.metadata().as_ref().and_then(|metadata| metadata.get(FLAGS));
    let counts = counts.and_then(|text| serde_json::from_str::<BTreeMap<String, usize>>(text).ok());
    let counts =
        counts.ok_or_else(|| wrong(format!("has no {FLAGS} in its metadata, or none that can be read")))?;
    if file.len() != counts.len() {
        return Err(wrong(format!("has {} tensors and names {}", file.len(), counts.len())));
    }
    let site = |(key, len): (&String, &usize)| {
        let name = excerpt(key);
        let site =
            Site::of_key(key).filter(is_packed).ok_or_else(|| wrong(format!("names no site with {name}")))?;
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

pub(super) fn damaged(path: &Path, why: &str) -> Error {
    Error::data(format!("{} {why}. Delete its folder, so that the stage is computed anew.", path.display()))
}
