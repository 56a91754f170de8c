//! Files of `torch.save`, such as `pytorch_model.bin`: a pickle that names tensors, and their elements. Both forms are
//! read, the zip archive of today and the older one of pickles one behind another.

use super::{
    pickle::{Id, Pickle, StorageRef, TensorRef, Value},
    zip::Zip,
};
use crate::{
    content::what_is,
    error::{Error, Result, excerpt},
    file,
    model::tensors::Take,
};
use safetensors::Dtype;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// `torch.serialization.MAGIC_NUMBER`, little endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Of all pickles of a file together.
const LARGEST_PICKLE: u64 = 64 << 20;

/// A file whose pickle was read and fits its length.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    file: Mutex<File>,
    tensors: Vec<(String, TensorRef)>,
    /// Where each storage begins.
    storages: HashMap<String, u64>,
}

impl TorchFile {
    /// Reads what stands before the elements.
    ///
    /// # Errors
    /// `Error::Data`: no whole file of `torch.save`, or one that asks for more than tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io(path, "read", &error);
        let file = file::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        (&file).take(512).read_to_end(&mut start).map_err(failed)?;
        let read = match &start[..] {
            [b'P', b'K', 3, 4, ..] => of_zip(&file, length),
            [0x80, ..] => of_pickles(&file, length),
            [] => Err("it is empty".to_owned()),
            _ => match what_is(&start) {
                Some(other) => return Err(other.found_in(path)),
                None => Err("it begins as no file of torch.save".to_owned()),
            },
        };
        let (tensors, storages) = read.map_err(|why| {
            Error::data(format!(
                "{}: no file of weights that can be read ({why}). Fetch it again, or save the model as safetensors \
                 (save_pretrained of transformers).",
                path.display()
            ))
        })?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), tensors, storages })
    }

    /// Name, type and shape of every tensor.
    pub fn infos(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.storage.dtype, &tensor.shape[..]))
    }

    /// Hands on the data of the tensors of these names, one at a time; the SHA-256 of the whole file.
    pub fn read(&self, wanted: &dyn Fn(&str) -> bool, take: &mut Take) -> Result<String> {
        let failed = |error: io::Error| Error::io(&self.path, "read", &error);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hasher = Sha256::new();
        let hashed = file.seek(SeekFrom::Start(0)).and_then(|_| io::copy(&mut *file, &mut hasher));
        hashed.map_err(failed)?;
        for (name, tensor) in self.tensors.iter().filter(|(name, _)| wanted(name)) {
            let start = self.storages[&tensor.storage.key];
            take(name, &read_tensor(&file, start, tensor).map_err(failed)?)?;
        }
        Ok(format!("{:x}", hasher.finalize()))
    }
}

/// A tensor's elements in the order of its rows.
fn read_tensor(mut file: &File, storage: u64, tensor: &TensorRef) -> io::Result<Vec<u8>> {
    let width = width(tensor.storage.dtype);
    let span = span(tensor).unwrap_or(0) * width;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(span).map_err(io::Error::other)?;
    file.seek(SeekFrom::Start(storage + (tensor.offset * width) as u64))?;
    file.take(span as u64).read_to_end(&mut bytes)?;
    if bytes.len() != span {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let TensorRef { shape, strides, .. } = tensor;
    let whole: usize = shape.iter().product();
    let mut below = 1;
    let is_plain = shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == below;
        below *= size;
        fits
    });
    if is_plain {
        return Ok(bytes);
    }
    // A transposed matrix, say.
    let mut out = Vec::new();
    out.try_reserve_exact(whole * width).map_err(io::Error::other)?;
    let mut place = vec![0; shape.len()];
    for _ in 0..whole {
        let at: usize = place.iter().zip(strides).map(|(place, stride)| place * stride).sum();
        out.extend_from_slice(&bytes[at * width..(at + 1) * width]);
        for (place, size) in place.iter_mut().zip(shape).rev() {
            *place += 1;
            if *place < *size {
                break;
            }
            *place = 0;
        }
    }
    Ok(out)
}

/// Bytes of an element.
fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// Elements from a tensor's first to its last; `None` if they leave the storage, or one is used twice.
fn span(tensor: &TensorRef) -> Option<usize> {
    let TensorRef { storage, offset, shape, strides } = tensor;
    let elements = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    if elements == 0 {
        return Some(0);
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(0_usize, |sum, (size, stride)| sum.checked_add((size - 1).checked_mul(*stride)?))?;
    let span = last.checked_add(1)?;
    (elements <= span && offset.checked_add(span)? <= storage.len).then_some(span)
}

/// What is wrong, for a message.
type Reason<T> = std::result::Result<T, String>;

type Found = (Vec<(String, TensorRef)>, HashMap<String, u64>);

fn of_zip(file: &File, length: u64) -> Reason<Found> {
    let zip = Zip::open(file, length)?;
    let mut pickles = zip.names().filter(|name| name.ends_with("data.pkl"));
    let (Some(name), None) = (pickles.next(), pickles.next()) else {
        return Err("it has no data.pkl, or several".to_owned());
    };
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let bytes_of = |name: &str, most: u64| {
        let (start, size) = zip.find(name)?;
        if size > most {
            return Err(format!("{name} is {size} bytes"));
        }
        let mut file = file;
        file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
        Ok(BufReader::new(file.take(size)))
    };
    let order = format!("{folder}byteorder");
    if zip.names().any(|name| name == order) {
        let mut text = String::new();
        bytes_of(&order, 16)?.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text != "little" {
            return Err(format!("its byte order is {:?}", excerpt(&text)));
        }
    }
    let tensors = tensors(&Pickle::read(&mut bytes_of(name, LARGEST_PICKLE)?)?)?;
    let mut found: HashMap<&str, (u64, u64)> = HashMap::new();
    for (_, TensorRef { storage, .. }) in &tensors {
        let place = match found.get(storage.key.as_str()) {
            Some(place) => *place,
            None => zip.find(&format!("{folder}data/{}", storage.key))?,
        };
        check_size(storage, place.1)?;
        found.insert(&storage.key, place);
    }
    let storages = found.into_iter().map(|(key, (start, _))| (key.to_owned(), start)).collect();
    check_tensors(&tensors)?;
    Ok((tensors, storages))
}

fn of_pickles(mut file: &File, length: u64) -> Reason<Found> {
    file.seek(SeekFrom::Start(0)).map_err(|error| error.to_string())?;
    let mut bytes = Counted { from: BufReader::new(file).take(LARGEST_PICKLE), count: 0 };
    let mut next = || Pickle::read(&mut bytes);
    let magic = next()?;
    if *magic.get(magic.root) != Value::Long(MAGIC.to_vec()) {
        return Err("it is a pickle of something else than torch.save's".to_owned());
    }
    let version = next()?;
    if *version.get(version.root) != Value::Int(1001) {
        return Err("it is of another version of torch.save".to_owned());
    }
    let system = next()?;
    let little = |(key, value): &(Id, Id)| {
        *system.get(*key) == Value::Text("little_endian".to_owned())
            && *system.get(*value) == Value::Bool(true)
    };
    if !matches!(system.get(system.root), Value::Dict(items) if items.iter().any(little)) {
        return Err("its byte order is not little endian".to_owned());
    }
    let tensors = tensors(&next()?)?;
    let order = next()?;
    let Value::List(keys) = order.get(order.root) else {
        return Err("the order of its storages is missing".to_owned());
    };
    let by_key: HashMap<&str, &StorageRef> =
        tensors.iter().map(|(_, tensor)| (tensor.storage.key.as_str(), &tensor.storage)).collect();
    if let Some((name, _)) =
        tensors.iter().find(|(_, tensor)| by_key[tensor.storage.key.as_str()] != &tensor.storage)
    {
        return Err(format!("the storage of tensor {} is described in two ways", excerpt(name)));
    }
    let (mut storages, mut at) = (HashMap::new(), bytes.count);
    for key in keys {
        let Value::Text(key) = order.get(*key) else {
            return Err("the order of its storages is damaged".to_owned());
        };
        let Some(storage) = by_key.get(key.as_str()) else {
            return Err(format!("storage {:?} belongs to no tensor", excerpt(key)));
        };
        // The number of elements stands before them.
        let mut count = [0; 8];
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut count));
        read.map_err(|_| "it ends before its last storage".to_owned())?;
        let size = (storage.len as u64).checked_mul(width(storage.dtype) as u64);
        let end = size.and_then(|size| (at + 8).checked_add(size)).filter(|end| *end <= length);
        match end {
            Some(end) if u64::from_le_bytes(count) == storage.len as u64 => {
                storages.insert(key.clone(), at + 8);
                at = end;
            }
            _ => return Err(format!("storage {:?} would be longer than the file", excerpt(key))),
        }
    }
    match by_key.keys().find(|key| !storages.contains_key(**key)) {
        Some(key) => Err(format!("storage {:?} is missing", excerpt(key))),
        None => check_tensors(&tensors).map(|()| (tensors, storages)),
    }
}

/// How many bytes were read.
struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// The tensors of a dictionary by name; other items of it are none of a model's weights.
fn tensors(pickle: &Pickle) -> Reason<Vec<(String, TensorRef)>> {
    let Value::Dict(items) = pickle.get(pickle.root) else {
        return Err("it is no dictionary of tensors".to_owned());
    };
    let found: Vec<_> = items
        .iter()
        .filter_map(|(key, value)| match (pickle.get(*key), pickle.get(*value)) {
            (Value::Text(name), Value::Tensor(tensor)) => Some((name.clone(), tensor.clone())),
            _ => None,
        })
        .collect();
    match items.first() {
        Some((key, _)) if found.is_empty() => Err(match pickle.get(*key) {
            Value::Text(name) => format!(
                "it holds no tensors by name, but {:?} and {} more: save the model's state_dict alone",
                excerpt(name),
                items.len() - 1
            ),
            _ => "it holds no tensors by name".to_owned(),
        }),
        _ => Ok(found),
    }
}

fn check_size(storage: &StorageRef, size: u64) -> Reason<()> {
    match (storage.len as u64).checked_mul(width(storage.dtype) as u64) == Some(size) {
        true => Ok(()),
        false => Err(format!(
            "storage {:?} is {size} bytes, and {} elements are asked for",
            excerpt(&storage.key),
            storage.len
        )),
    }
}

fn check_tensors(tensors: &[(String, TensorRef)]) -> Reason<()> {
    match tensors.iter().find(|(_, tensor)| span(tensor).is_none()) {
        Some((name, tensor)) => Err(format!(
            "tensor {} of shape {:?} leaves its storage",
            excerpt(name),
            &tensor.shape[..tensor.shape.len().min(8)]
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
