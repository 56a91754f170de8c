//! Recognising files that contain something else than they should.

use crate::error::Error;
use std::path::Path;

/// Another kind of file, described for an error: `{path} is {name}. {remedy}`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// With its article: `a zip archive`.
    pub name: &'static str,
    /// Whole sentences.
    pub remedy: &'static str,
}

impl Content {
    /// The error of a file that is this in the place of what it should be.
    pub fn found_in(&self, path: &Path) -> Error {
        Error::data(format!("{}: this is {}. {}", path.display(), self.name, self.remedy))
    }
}

const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/";

/// Beginnings of text files, after a byte-order mark and white space.
const TEXTS: &[(&str, Content)] =
    &[(LFS_POINTER, LFS), ("<!doctype html", HTML), ("<html", HTML), ("<head", HTML), ("<?xml", XML)];

/// Beginnings of binary files.
const BYTES: &[(&[u8], Content)] = &[
    (b"\x1f\x8b", GZIP),
    (b"PK\x03\x04", ZIP),
    (b"\x28\xb5\x2f\xfd", of("compressed with zstd", "Decompress it first, for example with unzstd.")),
    (b"\xfd7zXZ\0", of("compressed with xz", "Decompress it first, for example with unxz.")),
    (b"BZh", of("compressed with bzip2", "Decompress it first, for example with bunzip2.")),
    (b"PAR1", PARQUET),
    (b"ARROW1", of("an Arrow file", "Convert it first, for example with Python's pyarrow.")),
    (b"\x89HDF\r\n\x1a\n", of("an HDF5 file", "Keras and TensorFlow write these; convert it first.")),
    (b"%PDF-", of("a PDF document", "Download the actual file.")),
    // Protocols 2 to 5 of Python's pickle.
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"\xff\xfe", UTF16),
    (b"\xfe\xff", UTF16),
];

const LFS: Content = of(
    "a Git LFS pointer, a short text in place of the actual file",
    "Fetch the actual file with git lfs pull in its repository, or download it separately.",
);
const HTML: Content = of(
    "a web page (HTML), which servers send instead of a file that requires a login or does not exist",
    "Open it in a browser to see what it says, then download the file again.",
);
const XML: Content = of("an XML document, which some servers send as an error", "Download the file again.");
const GZIP: Content = of("compressed with gzip", "Decompress it first, for example with gunzip.");
const ZIP: Content = of(
    "a zip archive, which is also what torch.save writes",
    "Unpack it first; weights from PyTorch must be saved as safetensors.",
);
const PARQUET: Content = of(
    "a Parquet file, the format of data sets on the Hugging Face hub",
    "Data of a task may be in this format: its name has to end in .parquet.",
);
const PICKLE: Content = of(
    "a Python pickle, which older versions of torch.save write",
    "Save the weights as safetensors, for example with save_pretrained of transformers.",
);
const UTF16: Content =
    of("UTF-16 text", "Convert it to UTF-8 first, for example with iconv -f UTF-16 -t UTF-8.");
const TAR: Content = of("a tar archive", "Unpack it first.");

const fn of(name: &'static str, remedy: &'static str) -> Content {
    Content { name, remedy }
}

/// The kind of file that begins with these bytes, if it is recognised; only the first 512 bytes count.
///
/// For the error about a file that could not be read, not for deciding whether to read it: the length at the start of a
/// safetensors file may happen to look like the mark of another kind.
pub fn what_is(bytes: &[u8]) -> Option<Content> {
    let bytes = &bytes[..bytes.len().min(512)];
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |mark: &&(&str, Content)| {
        text.get(..mark.0.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark.0.as_bytes()))
    };
    let text = TEXTS.iter().find(begins).map(|mark| mark.1);
    let binary = || BYTES.iter().find(|mark| bytes.starts_with(mark.0)).map(|mark| mark.1);
    let tar = || (bytes.get(257..262) == Some(b"ustar")).then_some(TAR);
    text.or_else(binary).or_else(tar)
}

/// Whether this is a Git LFS pointer, which is text but never the text that was meant.
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(LFS_POINTER.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_place_of_a_file_is_known_by_its_first_bytes() {
        let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
        let cases: [(&[u8], &str); 13] = [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "Git LFS pointer"),
            (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "web page"),
            (b"<HTML lang=en>", "web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "XML"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04\x14", "zip archive"),
            (b"BZh91AY&SY", "bzip2"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"\x80\x02}q\0", "pickle"),
            (b"\xff\xfes\0e\0", "UTF-16"),
            (b"\xfe\xff\0s\0e", "UTF-16"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
            (&tar, "tar archive"),
        ];
        for (bytes, wanted) in cases {
            let found = what_is(bytes).unwrap_or_else(|| panic!("{wanted}"));
            assert!(found.name.contains(wanted), "{found:?}");
            assert!(found.remedy.ends_with('.'), "{found:?}");
        }
    }

    #[test]
    fn ordinary_files_and_beginnings_of_marks_are_nothing_else() {
        let cases: [&[u8]; 7] = [
            b"",
            b"P",
            b"sentence\tlabel\n",
            b"{\"a\": 1}",
            b"\x08\0\0\0\0\0\0\0{}      ",
            b"<",
            b"version 1",
        ];
        for bytes in cases {
            assert_eq!(what_is(bytes), None, "{bytes:?}");
        }
    }
}
