//! Copies the result to a folder of the user's choice.

use crate::{
    error::{Error, Result},
    file,
    model::{
        Head,
        tensors::TensorFile,
        weights::{Pretrained, Stored},
    },
    store::{Done, StageId, WEIGHTS, atomic_write},
};
use safetensors::Dtype;
use serde_json::Value;
use std::{fs, path::Path};

/// Copied first: it identifies the pre-training that the other files belong to.
const RECORD: &str = "pretrain.json";

/// Larger than any memory.
const MAX_BYTES: u64 = 1 << 40;

/// Refuses a folder with other contents, before anything is computed. A copy of this pre-training, complete or not, is
/// completed; its weights keep their format.
pub fn check_out(out: &Path, id: &StageId, half: bool) -> Result<()> {
    fs::create_dir_all(out).map_err(|e| Error::io(out, "create", &e))?;
    let own = file::read(&out.join(RECORD), file::LARGEST_JSON)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .is_some_and(|record| record["stage"] == id.as_str());
    let entries = fs::read_dir(out).map_err(|e| Error::io(out, "list", &e))?;
    // A process that was killed while writing leaves a temporary file.
    let mut others = entries.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with(".tmp-"));
    match others.next() {
        Some(_) if !own => Err(Error::usage(format!(
            "--out {}: the folder is not empty, and files in it are not overwritten. Name a new folder.",
            out.display()
        ))),
        Some(_) if stored(&out.join(WEIGHTS)).is_some_and(|stored| stored != weights(half)) => {
            Err(Error::usage(format!(
                "--out {}: the folder has these weights in another format ({}), and files in it are not overwritten. \
                 Name a new folder.",
                out.display(),
                if half { "32 bits" } else { "--half" }
            )))
        }
        _ => Ok(()),
    }
}

fn weights(half: bool) -> Dtype {
    if half { Dtype::F16 } else { Dtype::F32 }
}

/// The format of the weights in this file, if there are any.
fn stored(path: &Path) -> Option<Dtype> {
    TensorFile::open(path).ok()?.first_dtype()
}

/// Copies the stage's files; `half` stores the weights as 16-bit floats.
pub fn copy_out(done: &Done, out: &Path, half: bool) -> Result<()> {
    let files = done.info()["files"].as_object();
    let mut names: Vec<&String> = files.into_iter().flat_map(|files| files.keys()).collect();
    names.sort_by_key(|name| *name != RECORD);
    for name in names {
        let path = done.verified_path(name)?;
        let bytes = if half && name == WEIGHTS {
            Pretrained::load(done.dir())?.build(Head::MaskedLm, 0, false)?.to_safetensors_as(Stored::F16)?
        } else {
            file::read(&path, MAX_BYTES).map_err(|e| Error::io(&path, "read", &e))?
        };
        atomic_write(&out.join(name), &bytes)?;
    }
    Ok(())
}
