//! The zip archives that `torch.save` writes: no compression, so that a member is a part of the file.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// For the directory of 100,000 members with names of ordinary length.
const LARGEST_DIRECTORY: u64 = 16 << 20;

/// Where a member's local header begins, and its bytes.
struct Member {
    header: u64,
    size: u64,
}

/// An archive whose directory was read and fits the file.
pub struct Zip<'a> {
    file: &'a File,
    length: u64,
    members: HashMap<String, Member>,
}

impl<'a> Zip<'a> {
    /// # Errors
    /// What is wrong with the archive, for a message.
    pub fn open(file: &'a File, length: u64) -> Result<Self, String> {
        let (start, size) = directory(file, length)?;
        if size > LARGEST_DIRECTORY || start.checked_add(size).is_none_or(|end| end > length) {
            return Err(format!("its directory would be {size} bytes from byte {start} on"));
        }
        let bytes = read(file, start, size)?;
        let (mut rest, mut members) = (&bytes[..], HashMap::new());
        while !rest.is_empty() {
            let (name, member, length) = entry(rest).ok_or("its directory is damaged")?;
            if members.insert(name.clone(), member?).is_some() {
                return Err(format!("it has {:?} twice", crate::error::excerpt(&name)));
            }
            rest = &rest[length..];
        }
        Ok(Self { file, length, members })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Where a member's bytes begin, and how many there are.
    pub fn find(&self, name: &str) -> Result<(u64, u64), String> {
        let Member { header, size } = self.members.get(name).ok_or_else(|| format!("{name} is not in it"))?;
        if header.checked_add(30).is_none_or(|end| end > self.length) {
            return Err(format!("{name} would begin behind its end"));
        }
        let local = read(self.file, *header, 30)?;
        let field = |at: usize| u64::from(u16::from_le_bytes([local[at], local[at + 1]]));
        let start = header + 30 + field(26) + field(28);
        match local.starts_with(b"PK\x03\x04")
            && start.checked_add(*size).is_some_and(|end| end <= self.length)
        {
            true => Ok((start, *size)),
            false => Err(format!("{name} would be {size} bytes, more than are there")),
        }
    }
}

/// At most [`LARGEST_DIRECTORY`] bytes, all of which are there.
fn read(mut file: &File, start: u64, size: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let done = file.seek(SeekFrom::Start(start)).and_then(|_| file.take(size).read_to_end(&mut bytes));
    match done {
        Ok(read) if read as u64 == size => Ok(bytes),
        Ok(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn u64_at(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at + width)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Where the directory begins, and its size: the record at the file's end, or the one for large files that stands before it.
fn directory(file: &File, length: u64) -> Result<(u64, u64), String> {
    // A comment of at most 65535 bytes may follow the 22 of the record.
    let tail_length = length.min(22 + 65535);
    let tail = read(file, length - tail_length, tail_length)?;
    let at = (0..tail.len().saturating_sub(21))
        .rev()
        .find(|at| {
            tail[*at..].starts_with(b"PK\x05\x06")
                && u64_at(&tail, at + 20, 2) == Some((tail.len() - at - 22) as u64)
        })
        .ok_or("its end is missing")?;
    let both = |bytes: &[u8], size: usize, start: usize, width: usize| {
        Some((u64_at(bytes, start, width)?, u64_at(bytes, size, width)?))
    };
    let found = both(&tail, at + 12, at + 16, 4).ok_or("its end is damaged")?;
    let large = at.checked_sub(20).filter(|at| tail[*at..].starts_with(b"PK\x06\x07"));
    let Some(locator) = large else { return Ok(found) };
    let record =
        u64_at(&tail, locator + 8, 8).filter(|at| at.checked_add(56).is_some_and(|end| end <= length));
    let record = read(file, record.ok_or("its end is damaged")?, 56)?;
    both(&record, 40, 48, 8)
        .filter(|_| record.starts_with(b"PK\x06\x06"))
        .ok_or_else(|| "its end is damaged".to_owned())
}

/// The first entry of a directory: its name, where it is or why it is not read, and the entry's length.
fn entry(bytes: &[u8]) -> Option<(String, Result<Member, String>, usize)> {
    const NOT_HERE: u64 = u32::MAX as u64;
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let field = |at, width| u64_at(bytes, at, width);
    let [name, extra, comment] = [field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize];
    let name_of = std::str::from_utf8(bytes.get(46..46 + name)?).ok()?.to_owned();
    let mut more = bytes.get(46 + name..46 + name + extra)?;
    let length = 46 + name + extra + comment;
    bytes.get(..length)?;
    let (flags, method) = (field(8, 2)?, field(10, 2)?);
    let mut sizes = [field(24, 4)?, field(20, 4)?, field(42, 4)?];
    // Sizes that 32 bits do not hold stand in an extra field, in this order.
    while let (Some(id), Some(size)) = (u64_at(more, 0, 2), u64_at(more, 2, 2)) {
        let field = more.get(4..4 + size as usize)?;
        if id == 1 {
            let large = sizes.iter_mut().filter(|size| **size == NOT_HERE);
            for (nth, size) in large.enumerate() {
                *size = u64_at(field, 8 * nth, 8)?;
            }
        }
        more = &more[4 + size as usize..];
    }
    let [size, stored, header] = sizes;
    let member = match (method, flags & 1, size == stored) {
        (0, 0, true) => Ok(Member { header, size }),
        _ => Err(format!("{:?} in it is compressed or encrypted", crate::error::excerpt(&name_of))),
    };
    Some((name_of, member, length))
}
