//! Which files of a repository are a model's weights: one or several of safetensors, else of `torch.save`.

use std::path::Path;

use super::{failure::Failure, fetch::Fetch};
use crate::{
    error::{Error, Result},
    shards::Index,
};

/// The file that says in which files the weights are, where a single one is not there.
const FORMS: [(&str, &str); 2] = [
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
];

const MAX_INDEX: u64 = 64 << 20;
/// A limit for weights, the hub's own for a single file.
const MAX_WEIGHTS: u64 = 50_000_000_000;

/// Whether a folder has all files of one form.
pub(super) fn are_complete(dir: &Path) -> bool {
    let has = |file: &str| dir.join(file).is_file();
    let has_shards = |index: &str| {
        has(index) && Index::read(&dir.join(index)).is_ok_and(|index| index.files().into_iter().all(has))
    };
    FORMS.into_iter().any(|(single, index)| has(single) || has_shards(index))
}

/// Downloads the files of the first form that the hub has; `false` if it has none. `failed` makes the error about a file.
pub(super) fn download(fetch: &mut Fetch, failed: impl Fn(&str, &Failure) -> Error) -> Result<bool> {
    let get = |fetch: &mut Fetch, file: &str, limit| {
        fetch.get(file, limit).map_err(|failure| failed(file, &failure))
    };
    for (single, index) in FORMS {
        if get(fetch, single, MAX_WEIGHTS)? {
            return Ok(true);
        }
        if !get(fetch, index, MAX_INDEX)? {
            continue;
        }
        let Some(path) = fetch.blob(index) else { continue };
        for file in Index::read(&path)?.files() {
            if !get(fetch, file, MAX_WEIGHTS)? {
                return Err(failed(
                    file,
                    &Failure::permanent(format!("{index} lists it, and the hub does not have it")),
                ));
            }
        }
        return Ok(true);
    }
    Ok(false)
}
