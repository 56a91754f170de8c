//! A model's weights in whichever files its folder has: safetensors or those of `torch.save`, one or several with an index.

mod pickle;
mod torch;
mod zip;

use super::{
    folder::{self, Weights},
    tensors::{Take, Tensor, TensorFile},
};
use crate::{
    error::{Error, Result},
    shards::Index,
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};
use torch::TorchFile;

#[derive(Debug)]
enum File {
    Safetensors(TensorFile),
    Torch(TorchFile),
}

/// Files whose headers were read and fit their lengths.
#[derive(Debug)]
pub struct Storage {
    files: Vec<(PathBuf, File)>,
    /// The file or the index, for messages.
    pub name: String,
}

impl File {
    fn open(path: &Path) -> Result<Self> {
        match path.extension().is_some_and(|ending| ending == "bin") {
            true => TorchFile::open(path).map(Self::Torch),
            false => TensorFile::open(path).map(Self::Safetensors),
        }
    }

    /// Every tensor by its name.
    fn tensors(&self) -> Vec<(&str, Tensor)> {
        match self {
            Self::Safetensors(file) => {
                file.infos().map(|(name, dtype, shape)| (name, Tensor::new(dtype, shape))).collect()
            }
            Self::Torch(file) => {
                file.infos().map(|(name, dtype, shape)| (name, Tensor::new(dtype, shape))).collect()
            }
        }
    }
}

impl Storage {
    /// Reads the headers of the folder's files.
    ///
    /// # Errors
    /// `Error::Data`: a file is missing, is no whole file of weights, or is of a form that is not read.
    pub fn open(dir: &Path) -> Result<Self> {
        let (name, index, paths) = match folder::weights(dir)? {
            Weights::File(path) => (path.clone(), None, vec![path]),
            Weights::Index(path) => {
                let index = Index::read(&path)?;
                let paths = index.files().iter().map(|file| dir.join(file)).collect();
                (path, Some(index), paths)
            }
        };
        let name = name.display().to_string();
        let mut files = Vec::new();
        for path in paths {
            if index.is_some() && !path.exists() {
                return Err(Error::data(format!(
                    "{name}: the file {} that it lists is not in the folder. Fetch it from the model's repository.",
                    path.file_name().unwrap_or_default().display()
                )));
            }
            let file = File::open(&path)?;
            files.push((path, file));
        }
        let storage = Self { files, name };
        index.map_or(Ok(()), |index| storage.check(&index))?;
        Ok(storage)
    }

    /// Every tensor of the index is in the file that it says.
    fn check(&self, index: &Index) -> Result<()> {
        for (path, file) in &self.files {
            let there: std::collections::HashSet<&str> =
                file.tensors().into_iter().map(|(name, _)| name).collect();
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some(name) = index.tensors_of(&file_name).find(|name| !there.contains(name)) {
                return Err(Error::data(format!(
                    "{}: tensor {name} is not in {file_name}, where it should be. The files are not of one model; fetch \
                     all of them again.",
                    self.name
                )));
            }
        }
        Ok(())
    }

    /// The names of all tensors, as they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().flat_map(|(_, file)| file.tensors().into_iter().map(|(name, _)| name))
    }

    /// Every tensor by this form of its name.
    ///
    /// # Errors
    /// `Error::Data`: two names have the same form.
    pub fn by_name(&self, form: impl Fn(&str) -> String) -> Result<HashMap<String, Tensor>> {
        let mut all = HashMap::new();
        for (path, file) in &self.files {
            for (name, tensor) in file.tensors() {
                let plain = form(name);
                if all.insert(plain.clone(), tensor).is_some() {
                    return Err(Error::data(format!(
                        "{}: holds tensor {plain} twice, under its own name and another spelling of it (such as \
                         bert.{plain}), or in another file. Which of the two is the model's cannot be told; save it again \
                         with one of them.",
                        path.display()
                    )));
                }
            }
        }
        Ok(all)
    }

    /// Hands on the data of the tensors of these names, one at a time. The SHA-256 of the file; of several, that of their
    /// SHA-256 in the order of the files' names.
    pub fn read(&self, wanted: &dyn Fn(&str) -> bool, take: &mut Take) -> Result<String> {
        let mut hashes = Vec::new();
        for (_, file) in &self.files {
            hashes.push(match file {
                File::Safetensors(file) => file.read(wanted, take)?,
                File::Torch(file) => file.read(wanted, take)?,
            });
        }
        Ok(joined(&hashes))
    }
}

/// The files of a folder's weights in the order of their names, which need not be there.
///
/// # Errors
/// `Error::Data`: the weights are of a form that is not read, or the index is damaged.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    match folder::weights(dir)? {
        Weights::File(path) => Ok(vec![path]),
        Weights::Index(path) => {
            Ok(Index::read(&path)?.files().into_iter().map(|file| dir.join(file)).collect())
        }
    }
}

/// The SHA-256 of weights from those of their [`files`].
pub fn joined(hashes: &[String]) -> String {
    match hashes {
        [one] => one.clone(),
        several => format!("{:x}", Sha256::digest(several.join("\n"))),
    }
}

#[cfg(test)]
mod tests;
