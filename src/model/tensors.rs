//! The tensors of a safetensors file: the header first, so that it can be checked, then the data that is wanted, one tensor at
//! a time.

use crate::{
    content::what_is,
    error::{Error, Result},
    file,
};
use half::{bf16, f16};
use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// As the safetensors library has it.
const LARGEST_HEADER: u64 = 100_000_000;

/// What a file says of a tensor.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

/// What is done with the data of a tensor.
pub type Take<'a> = dyn FnMut(&str, &[u8]) -> Result<()> + 'a;

/// A file whose header was read and fits its length.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// Read from its start each time.
    file: Mutex<File>,
    /// Bytes before the data.
    header: usize,
    /// By offset, without a gap.
    tensors: Vec<(String, TensorInfo)>,
}

impl Tensor {
    pub(super) fn new(dtype: Dtype, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec() }
    }

    /// Whether weights can be of this type.
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// Rounds the values of its data to f32. False where there are not as many as in `out`, or where the type is none that
    /// weights have ([`Self::is_float`]).
    pub fn copy_to(&self, data: &[u8], out: &mut [f32]) -> bool {
        fn each<const N: usize>(data: &[u8], out: &mut [f32], of: impl Fn([u8; N]) -> f32) -> bool {
            let (values, rest) = data.as_chunks();
            out.iter_mut().zip(values).for_each(|(out, value)| *out = of(*value));
            rest.is_empty() && values.len() == out.len()
        }
        match self.dtype {
            Dtype::F64 => each(data, out, |value| f64::from_le_bytes(value) as f32),
            Dtype::F32 => each(data, out, f32::from_le_bytes),
            Dtype::F16 => each(data, out, |value| f16::from_le_bytes(value).to_f32()),
            Dtype::BF16 => each(data, out, |value| bf16::from_le_bytes(value).to_f32()),
            _ => false,
        }
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
        let tensors = tensors.collect();
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), header: start.len(), tensors })
    }

    /// Name, type and shape of every tensor.
    pub fn infos(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info.dtype, &info.shape[..]))
    }

    /// The type of the first tensor.
    pub fn first_dtype(&self) -> Option<Dtype> {
        self.tensors.first().map(|(_, info)| info.dtype)
    }

    /// Hands on the data of the tensors of these names, one at a time; the SHA-256 of the whole file.
    pub fn read(&self, wanted: &dyn Fn(&str) -> bool, take: &mut Take) -> Result<String> {
        let failed = |error: io::Error| Error::io(&self.path, "read", &error);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let (mut hasher, mut data) = (Sha256::new(), Vec::new());
        let tensors = self.tensors.iter().map(|(name, info)| {
            (Some(name).filter(|name| wanted(name)), info.data_offsets.1 - info.data_offsets.0)
        });
        for (name, length) in [(None, self.header)].into_iter().chain(tensors) {
            let mut piece = (&mut *file).take(length as u64);
            let read = match name {
                Some(_) => {
                    data.clear();
                    data.try_reserve_exact(length).map_err(|error| failed(io::Error::other(error)))?;
                    piece.read_to_end(&mut data).map_err(failed)?;
                    hasher.update(&data);
                    data.len() as u64
                }
                None => io::copy(&mut piece, &mut hasher).map_err(failed)?,
            };
            if read != length as u64 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            name.map_or(Ok(()), |name| take(name, &data))?;
        }
        Ok(format!("{:x}", hasher.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

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
        let tensors: HashMap<&str, Tensor> =
            file.infos().map(|(name, dtype, shape)| (name, Tensor::new(dtype, shape))).collect();
        let hash = format!("{:x}", Sha256::digest(std::fs::read(&path).unwrap()));
        // As often as one likes.
        assert_eq!(file.read(&|_| false, &mut |name, _| panic!("{name}")).unwrap(), hash);
        let mut read = HashMap::new();
        let mut take = |name: &str, data: &[u8]| {
            let mut out = [0.0; 3];
            assert!(tensors[name].copy_to(data, &mut out) && !tensors[name].copy_to(data, &mut out[..2]));
            read.insert(name.to_owned(), out);
            Ok(())
        };
        assert_eq!(file.read(&|name| name != "F16", &mut take).unwrap(), hash);
        assert_eq!(read["F64"], values.map(|v| v as f32));
        assert_eq!(read["F32"], read["F64"]);
        assert_eq!(read["BF16"], values.map(|v| bf16::from_f64(v).to_f32()));
        assert_eq!(read.len(), 3);
    }
}
