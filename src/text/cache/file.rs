//! A file of the cache: its name, and its bytes under a hash.

use std::path::Path;

use crate::error::Result;
use crate::file;
use crate::store::atomic_write;
use crate::text::{Encoded, Tokenizer};

/// More than any memory.
const LARGEST: u64 = 1 << 40;

/// The hash of what a file is made from.
pub struct Key(blake3::Hasher);

impl Key {
    pub fn new(magic: &[u8; 8], tokenizer: &Tokenizer) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(magic).update(tokenizer.hash().as_bytes());
        Self(hasher)
    }

    pub fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    /// With its length before it, so that no two lists of texts run into the same bytes.
    pub fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    pub fn name(&self) -> String {
        self.0.finalize().to_hex()[..32].to_owned()
    }
}

/// What `parse` makes of an undamaged file, all of which it takes; `None` for any other.
pub fn read<T>(path: &Path, magic: &[u8; 8], parse: impl FnOnce(&mut Rest) -> Option<T>) -> Option<T> {
    let bytes = file::read(path, LARGEST).ok()?;
    let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(blake3::OUT_LEN)?)?;
    if blake3::hash(body).as_bytes() != digest {
        return None;
    }
    let mut rest = Rest(body.strip_prefix(magic)?);
    parse(&mut rest).filter(|_| rest.0.is_empty())
}

/// Writes the bytes, which begin with a magic, and their hash.
///
/// # Errors
/// `Error::Data` if it cannot be written.
pub fn write(path: &Path, mut bytes: Vec<u8>) -> Result<()> {
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    atomic_write(path, &bytes)
}

/// What is left to be parsed.
pub struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, after) = self.0.split_at_checked(n)?;
        self.0 = after;
        Some(taken)
    }

    pub fn count(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub fn word(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// So many arrays of N words.
    pub fn words<const N: usize>(&mut self, count: u64) -> Option<Vec<[u32; N]>> {
        let bytes = self.take(usize::try_from(count).ok()?.checked_mul(4 * N)?)?;
        let of = |bytes: &[u8]| std::array::from_fn(|n| u32::from_le_bytes(bytes.as_chunks().0[n]));
        Some(bytes.chunks_exact(4 * N).map(of).collect())
    }

    /// What [`append_sequences`] wrote.
    pub fn sequences(&mut self) -> Option<Vec<Encoded>> {
        let count = self.count()?;
        let sequence = |_| {
            let length = self.word()?;
            let ids = self.words(length.into())?.into_iter().map(|[id]| id).collect();
            Some(Encoded { ids, segments: self.take(length as usize)?.to_vec() })
        };
        // As long as there are bytes, whatever the count says.
        (0..count).map(sequence).collect()
    }
}

pub fn append_sequences(bytes: &mut Vec<u8>, encoded: &[Encoded]) {
    let tokens: usize = encoded.iter().map(|sequence| sequence.ids.len()).sum();
    bytes.reserve(8 + 4 * encoded.len() + 5 * tokens + blake3::OUT_LEN);
    bytes.extend((encoded.len() as u64).to_le_bytes());
    for sequence in encoded {
        bytes.extend((sequence.ids.len() as u32).to_le_bytes());
        bytes.extend(sequence.ids.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend_from_slice(&sequence.segments);
    }
}
