//! Verifying files against their names in the cache.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::name::Etag;

/// The hash by which the hub names a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Large files: 64 digits.
    Sha256,
    /// Files in git itself, 40 digits: the hash of `blob`, the length and the content.
    GitBlob,
}

impl Kind {
    /// `None` for names from other servers, which are not hashes.
    pub(super) fn of(etag: &Etag) -> Option<Self> {
        let name = etag.as_str();
        match name.len() {
            _ if !name.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
            64 => Some(Self::Sha256),
            40 => Some(Self::GitBlob),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::GitBlob => "git hash",
        }
    }
}

/// What is wrong with the file; `None` if its hash, and its length if known, are right.
pub(super) fn fault(path: &Path, etag: &Etag, size: Option<u64>) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if let Some(size) = size.filter(|size| *size != length) {
        return Ok(Some(format!("it has {length} bytes instead of {size}")));
    }
    let Some(kind) = Kind::of(etag) else { return Ok(None) };
    let found = match kind {
        Kind::Sha256 => digest(Sha256::new(), file)?,
        Kind::GitBlob => digest(Sha1::new_with_prefix(format!("blob {length}\0")), file)?,
    };
    let (wanted, kind) = (etag.as_str(), kind.name());
    Ok((!found.eq_ignore_ascii_case(wanted)).then(|| format!("its {kind} is {found} instead of {wanted}")))
}

fn digest<D: Digest>(mut digest: D, file: File) -> io::Result<String> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        digest.update(piece);
        let length = piece.len();
        reader.consume(length);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello\n' | git hash-object --stdin`, and `sha256sum`.
    const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    #[test]
    fn a_file_has_the_length_and_the_hash_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        let fault = |etag: &str, size| fault(&path, &Etag::parse(etag).unwrap(), size).unwrap();
        for right in [GIT, SHA256, &SHA256.to_uppercase(), "any-name"] {
            assert_eq!(fault(right, Some(6)), None);
            assert_eq!(fault(right, None), None);
        }
        assert!(fault(GIT, Some(7)).unwrap().contains("6 bytes instead of 7"));
        assert!(fault(&GIT.replace('c', "d"), Some(6)).unwrap().contains("git hash"));
        assert!(fault(&SHA256.replace('5', "6"), None).unwrap().contains("SHA-256"));
    }
}
