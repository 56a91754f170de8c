//! What the pages of a Parquet file claim to hold, checked before memory is reserved for it.
//!
//! A page begins with a header in Thrift's compact protocol (apache/parquet-format, `PageHeader`); the `parquet` crate
//! reserves what it claims, up to 2 GiB for a page and 2³¹ values for a dictionary.

use bytes::Bytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// Checks the pages of the chosen columns.
///
/// # Errors
/// What is wrong: a column or a page beyond the end of the file, pages that claim more than `most` bytes together, a
/// dictionary of more values than its bytes can be.
pub fn check(
    metadata: &ParquetMetaData,
    bytes: &Bytes,
    chosen: impl Fn(&str) -> bool,
    most: usize,
) -> Result<(), String> {
    let mut left = most;
    for group in metadata.row_groups() {
        for column in group.columns() {
            if column.column_path().parts().first().is_some_and(|name| chosen(name)) {
                left = column_pages(column, bytes, left)?;
            }
        }
    }
    Ok(())
}

/// `left` without what the pages of this column claim.
fn column_pages(column: &ColumnChunkMetaData, bytes: &Bytes, mut left: usize) -> Result<usize, String> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let place = usize::try_from(start).ok().zip(usize::try_from(column.compressed_size()).ok());
    let chunk = place.and_then(|(start, length)| bytes.get(start..start.checked_add(length)?));
    let mut rest = chunk.ok_or("a column lies beyond its end")?;
    while !rest.is_empty() {
        let mut header = Thrift { rest };
        let page = header.page().ok_or("the header of a page is damaged")?;
        rest = header.rest.get(page.compressed..).ok_or("a page lies beyond its end")?;
        let claims = left.checked_sub(page.uncompressed);
        left = claims.ok_or("its pages claim to hold many times its size when they are decompressed")?;
        // A text has a length of 4 bytes, a number at least 4.
        if page.dictionary_values > page.uncompressed / 4 {
            return Err("a dictionary claims more values than it has".to_owned());
        }
    }
    Ok(left)
}

#[derive(Debug, Default, PartialEq)]
struct Page {
    uncompressed: usize,
    compressed: usize,
    dictionary_values: usize,
}

/// A reader of the compact protocol.
struct Thrift<'a> {
    rest: &'a [u8],
}

const I32: u8 = 5;
const STRUCT: u8 = 12;
const DEEPEST: usize = 16;

impl Thrift<'_> {
    fn page(&mut self) -> Option<Page> {
        let mut page = Page::default();
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (2, I32) => page.uncompressed = self.size()?,
                (3, I32) => page.compressed = self.size()?,
                (7, STRUCT) => {
                    let mut inner = 0;
                    while let Some(kind) = self.field(&mut inner)? {
                        match (inner, kind) {
                            (1, I32) => page.dictionary_values = self.size()?,
                            _ => self.skip(kind, 1)?,
                        }
                    }
                }
                _ => self.skip(kind, 0)?,
            }
        }
        Some(page)
    }

    /// The type of the next field, whose number `last` becomes; `Some(None)` at the end of the struct.
    fn field(&mut self, last: &mut i64) -> Option<Option<u8>> {
        let head = self.byte()?;
        if head == 0 {
            return Some(None);
        }
        *last = match head >> 4 {
            0 => self.signed()?,
            step => last.checked_add(step.into())?,
        };
        Some(Some(head & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.bytes(8),
            8 => {
                let length = self.varint()?;
                self.bytes(usize::try_from(length).ok()?)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { (head >> 4).into() };
                (0..count).try_for_each(|_| self.element(head & 15, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.element(kinds >> 4, depth + 1)?;
                    self.element(kinds & 15, depth + 1)
                })
            }
            STRUCT => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            13 => self.bytes(16),
            _ => None,
        }
    }

    /// Of a list, where a truth value takes a byte.
    fn element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, 1 | 2) { self.bytes(1) } else { self.skip(kind, depth) }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.signed()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_page_is_read_over_whatever_else_it_has() {
        // type = 2, uncompressed = 300, compressed = 7, crc, dictionary {values = 5, encoding = 0, sorted}, then a list.
        let header = [
            0x15, 0x04, 0x15, 0xd8, 0x04, 0x15, 0x0e, 0x15, 0x01, 0x3c, 0x15, 0x0a, 0x15, 0x00, 0x11, 0x00,
            0x29, 0x28, 0x01, 0x78, 0x00, 0x00, 0x99,
        ];
        let mut thrift = Thrift { rest: &header };
        let expected = Page { uncompressed: 300, compressed: 7, dictionary_values: 5 };
        assert_eq!(thrift.page(), Some(expected));
        assert_eq!(thrift.rest, [0x99]);
        for end in 0..header.len() - 1 {
            assert_eq!(Thrift { rest: &header[..end] }.page(), None, "{end}");
        }
        assert_eq!(Thrift { rest: &[0x1c; 99] }.page(), None);
    }
}
