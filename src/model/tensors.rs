//! The tensors of a safetensors file: the header first, so that it can be checked, then the data that is wanted, once.

use crate::{
    content::what_is,
    error::{Error, Result},
    file,
};
use candle_core::{DType, Device};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// As the safetensors library has it.
const LARGEST_HEADER: u64 = 100_000_000;

/// A tensor of a file. Without data where that was not wanted.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

/// A file whose header was read and fits its length.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    read: Sha256,
    /// By offset, without a gap.
    tensors: Vec<(String, TensorInfo)>,
}

impl Tensor {
    pub(super) fn without_data(dtype: Dtype, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec(), bytes: Vec::new() }
    }

    /// Whether weights can be of this type.
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// Rounds the values to f32; `out` has as many.
    ///
    /// # Errors
    /// candle's, for a type that weights do not have ([`Self::is_float`]) and for data of another length.
    pub fn copy_to(&self, out: &mut [f32]) -> candle_core::Result<()> {
        let dtype = match self.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            _ => DType::F32,
        };
        let tensor = candle_core::Tensor::from_raw_buffer(&self.bytes, dtype, &self.shape, &Device::Cpu)?;
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if values.len() != out.len() {
            candle_core::bail!("{} values, where {} are needed", values.len(), out.len());
        }
        out.copy_from_slice(&values);
        Ok(())
    }
}

impl TensorFile {
    /// Reads the header.
    ///
    /// # Errors
    /// `Error::Data`: no whole safetensors file, and what it is instead where that is plain.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io(path, "read", &error);
        let file = file::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        (&file).take(8).read_to_end(&mut start).map_err(failed)?;
        let length = <[u8; 8]>::try_from(&*start).ok().map(u64::from_le_bytes);
        let length = length.filter(|length| *length <= LARGEST_HEADER.min(size.saturating_sub(8)));
        // Of what is no safetensors file, enough to see what it is.
        (&file).take(length.unwrap_or(512)).read_to_end(&mut start).map_err(failed)?;
        let damaged = |why: &str| match what_is(&start) {
            Some(other) => other.found_in(path),
            None => Error::data(format!(
                "{}: not a whole safetensors file ({why}). Fetch it again.",
                path.display()
            )),
        };
        if length.is_none() {
            let why = if size == 0 { "it is empty" } else { "its header would be longer than the file" };
            return Err(damaged(why));
        }
        let metadata: Metadata =
            serde_json::from_slice(&start[8..]).map_err(|error| damaged(&error.to_string()))?;
        let (data, there) = (metadata.data_len() as u64, size - start.len() as u64);
        if data != there {
            return Err(damaged(&format!("it has {there} bytes of data where its header says {data}")));
        }
        let tensors = metadata.offset_keys().into_iter();
        let tensors = tensors.filter_map(|name| metadata.info(&name).cloned().map(|info| (name, info)));
        let (tensors, read) = (tensors.collect(), Sha256::new_with_prefix(&start));
        Ok(Self { path: path.to_owned(), file, read, tensors })
    }

    /// Name, type and shape of every tensor.
    pub fn infos(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info.dtype, &info.shape[..]))
    }

    /// The type of the first tensor.
    pub fn first_dtype(&self) -> Option<Dtype> {
        self.tensors.first().map(|(_, info)| info.dtype)
    }

    /// Reads the data of those floating-point tensors whose name has a key in `into`; the SHA-256 of the whole file.
    pub fn read(
        mut self,
        into: &mut HashMap<String, Tensor>,
        key: impl Fn(&str) -> Option<String>,
    ) -> Result<String> {
        let failed = |error: io::Error| Error::io(&self.path, "read", &error);
        for (name, info) in &self.tensors {
            let length = info.data_offsets.1 - info.data_offsets.0;
            let mut data = (&self.file).take(length as u64);
            let tensor = key(name).and_then(|key| into.get_mut(&key)).filter(|tensor| tensor.is_float());
            let got = match tensor {
                Some(tensor) => {
                    let bytes = &mut tensor.bytes;
                    bytes.try_reserve_exact(length).map_err(|error| failed(io::Error::other(error)))?;
                    data.read_to_end(bytes).map_err(failed)?;
                    self.read.update(&*bytes);
                    bytes.len() as u64
                }
                None => io::copy(&mut data, &mut self.read).map_err(failed)?,
            };
            if got != length as u64 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(format!("{:x}", self.read.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    /// A file of this header over so many bytes of data.
    fn open(header: &str, data: usize) -> Result<TensorFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(&path, [&length[..], header.as_bytes(), &vec![0; data]].concat()).unwrap();
        TensorFile::open(&path)
    }

    fn tensor(name: &str, dtype: &str, shape: &str, from: usize, to: usize) -> String {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    }

    #[test]
    fn headers_that_do_not_describe_the_data_are_refused() {
        let a = tensor("a", "F32", "[2]", 0, 8);
        assert!(open(&format!("{{{a}}}"), 8).is_ok());
        assert!(open("{}", 0).is_ok());
        let none = tensor("none", "F32", "[3,0]", 8, 8);
        assert!(open(&format!("{{{a},{none}}}"), 8).is_ok(), "a tensor of no elements");
        for (header, data, why) in [
            (format!("{{{a}}}"), 7, "7 bytes of data where its header says 8"),
            (format!("{{{a}}}"), 9, "9 bytes of data where its header says 8"),
            (format!("{{{a},{}}}", tensor("b", "F32", "[1]", 4, 8)), 8, "overlap"),
            (format!("{{{a},{}}}", tensor("b", "F32", "[1]", 12, 16)), 16, "gap"),
            (format!("{{{a},{}}}", tensor("a", "F32", "[1]", 8, 12)), 12, "a name twice"),
            (tensor("a", "F32", "[2]", 0, 8), 8, "no object"),
            (format!("{{{}}}", tensor("a", "F32", "[3]", 0, 8)), 8, "more elements than bytes"),
            (format!("{{{}}}", tensor("a", "F32", "[4294967296,4294967296]", 0, 8)), 8, "overflow"),
            (format!("{{{}}}", tensor("a", "F32", "[2]", 8, 0)), 8, "end before start"),
            (format!("{{{}}}", tensor("a", "X9", "[2]", 0, 8)), 8, "unknown type"),
        ] {
            let error = open(&header, data).expect_err(why);
            assert!(error.exit_code() == 3 && error.to_string().contains("Fetch it again"), "{why}: {error}");
        }
    }

    #[test]
    fn the_header_is_never_longer_than_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        for length in [3, 100, LARGEST_HEADER + 1, u64::MAX / 2, u64::MAX] {
            std::fs::write(&path, [&length.to_le_bytes()[..], b"{}"].concat()).unwrap();
            let error = TensorFile::open(&path).unwrap_err().to_string();
            assert!(error.contains("header would be longer than the file"), "{error}");
        }
    }

    #[test]
    fn wanted_tensors_are_rounded_to_f32_and_the_hash_is_the_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let values = [1.0 / 3.0, -2.5, 1e-40];
        let bytes = |dtype| -> Vec<u8> {
            let of = |v: &f64| match dtype {
                Dtype::F64 => v.to_le_bytes().to_vec(),
                Dtype::F32 => (*v as f32).to_le_bytes().to_vec(),
                Dtype::F16 => f16::from_f64(*v).to_le_bytes().to_vec(),
                _ => bf16::from_f64(*v).to_le_bytes().to_vec(),
            };
            values.iter().flat_map(of).collect()
        };
        let all = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16].map(|dtype| (dtype, bytes(dtype)));
        let view =
            |(dtype, bytes)| safetensors::tensor::TensorView::new(dtype, vec![values.len()], bytes).unwrap();
        let views = all.iter().map(|(dtype, bytes)| (dtype.to_string(), view((*dtype, bytes))));
        std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();

        let file = TensorFile::open(&path).unwrap();
        let infos = file.infos();
        let mut tensors: HashMap<String, Tensor> =
            infos.map(|(name, dtype, shape)| (name.to_owned(), Tensor::without_data(dtype, shape))).collect();
        let sha256 = file.read(&mut tensors, |name| (name != "F16").then(|| name.to_owned())).unwrap();
        assert_eq!(sha256, format!("{:x}", Sha256::digest(std::fs::read(&path).unwrap())));
        let read = |name: &str| {
            let mut out = [0.0; 3];
            tensors[name].copy_to(&mut out).unwrap();
            out
        };
        assert_eq!(read("F64"), values.map(|v| v as f32));
        assert_eq!(read("F32"), read("F64"));
        assert_eq!(read("BF16"), values.map(|v| bf16::from_f64(v).to_f32()));
        assert!(tensors["F16"].bytes.is_empty());
    }
}
