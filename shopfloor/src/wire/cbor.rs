//! Deterministic CBOR (RFC 8949, section 4.2): the writer can produce nothing else, the reader accepts nothing else.
//!
//! Supported are unsigned and negative integers that fit i64 or u64, byte and text strings, arrays, maps, false,
//! true and null. Refused are indefinite lengths, integers not in their shortest form, keys out of order or twice,
//! tags, floats, other simple values, bytes after the end, and anything beyond the bounds that the caller states.

mod writer;

use crate::hash::Hash;

pub use self::writer::{Fields, Writer};

/// Deepest nesting that is read.
pub const DEPTH_MAX: usize = 8;

/// Why bytes are not the deterministic CBOR that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The bytes end inside an item.
    #[error("CBOR ends inside an item at byte {0}")]
    Short(usize),
    /// Bytes follow the item.
    #[error("bytes follow the CBOR item from byte {0} on")]
    Trailing(usize),
    /// An item of indefinite length.
    #[error("CBOR item of indefinite length at byte {0}; only definite lengths are accepted")]
    Indefinite(usize),
    /// An integer or length that is not written in its shortest form.
    #[error("CBOR number at byte {0} is not in its shortest form")]
    NotShortest(usize),
    /// A tag, a float or a simple value other than false, true and null.
    #[error("CBOR item at byte {at} is a {what}, which is not accepted")]
    Unsupported {
        /// Where.
        at: usize,
        /// Tag, float or simple value.
        what: &'static str,
    },
    /// Another kind of item than expected.
    #[error("CBOR item at byte {at} is not {expected}")]
    Expected {
        /// Where.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A key that is not above the key before it.
    #[error("CBOR map key at byte {0} repeats or is out of order")]
    KeyOrder(usize),
    /// A key that this version must understand and does not.
    #[error("CBOR map key {key} at byte {at} is unknown to this version")]
    UnknownKey {
        /// Where.
        at: usize,
        /// The key.
        key: u64,
    },
    /// A key that must be there is not.
    #[error("CBOR map lacks key {0}")]
    MissingKey(u64),
    /// A length or a nesting beyond its bound.
    #[error("CBOR item at byte {at} has size {found}, more than the {max} allowed")]
    TooBig {
        /// Where.
        at: usize,
        /// The size as declared.
        found: u64,
        /// The bound.
        max: u64,
    },
    /// A text that is not UTF-8.
    #[error("CBOR text at byte {0} is not UTF-8")]
    Utf8(usize),
    /// A value outside what its field allows.
    #[error("{field}: {why}")]
    Value {
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl CborError {
    /// A value outside what `field` allows.
    pub fn value(field: &'static str, why: impl Into<String>) -> Self {
        Self::Value { field, why: why.into() }
    }
}

/// Reads deterministic CBOR from a slice; nothing is allocated before its size was checked.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Where the next item begins.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Checks that nothing follows.
    pub fn end(&self) -> Result<(), CborError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(CborError::Trailing(self.at)) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CborError> {
        let end = self.at.checked_add(length).ok_or(CborError::Short(self.at))?;
        let part = self.bytes.get(self.at..end).ok_or(CborError::Short(self.at))?;
        self.at = end;
        Ok(part)
    }

    fn head(&mut self) -> Result<(u8, u8, u64), CborError> {
        let at = self.at;
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        if major == 6 {
            return Err(CborError::Unsupported { at, what: "tag" });
        }
        if major == 7 {
            return match info {
                20..=22 => Ok((major, info, 0)),
                25..=27 => Err(CborError::Unsupported { at, what: "float" }),
                31 => Err(CborError::Indefinite(at)),
                _ => Err(CborError::Unsupported { at, what: "simple value" }),
            };
        }
        let (width, least) = match info {
            0..=23 => return Ok((major, info, u64::from(info))),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            31 => return Err(CborError::Indefinite(at)),
            _ => return Err(CborError::Unsupported { at, what: "reserved length" }),
        };
        let value = self.take(width)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        if value < least { Err(CborError::NotShortest(at)) } else { Ok((major, info, value)) }
    }

    fn expect(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let at = self.at;
        match self.head()? {
            (found, _, value) if found == major => Ok(value),
            _ => Err(CborError::Expected { at, expected }),
        }
    }

    fn bounded(&mut self, major: u8, expected: &'static str, max: usize) -> Result<usize, CborError> {
        let at = self.at;
        let found = self.expect(major, expected)?;
        if found > max as u64 {
            return Err(CborError::TooBig { at, found, max: max as u64 });
        }
        usize::try_from(found).map_err(|_| CborError::TooBig { at, found, max: max as u64 })
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.expect(0, "an unsigned integer")
    }

    /// An unsigned integer of at most `max`, as any narrower type.
    pub fn small<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, CborError> {
        let value = self.uint()?;
        T::try_from(value).map_err(|_| CborError::value(field, format!("{value} is too large")))
    }

    /// A signed integer that fits i64.
    pub fn int(&mut self) -> Result<i64, CborError> {
        let at = self.at;
        let too_big = |found| CborError::TooBig { at, found, max: i64::MAX.cast_unsigned() };
        match self.head()? {
            (0, _, value) => i64::try_from(value).map_err(|_| too_big(value)),
            (1, _, value) => i64::try_from(value).map(|value| !value).map_err(|_| too_big(value)),
            _ => Err(CborError::Expected { at, expected: "an integer" }),
        }
    }

    /// A byte string of at most `max` bytes.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], CborError> {
        let length = self.bounded(2, "a byte string", max)?;
        self.take(length)
    }

    /// A byte string of exactly `N` bytes.
    pub fn exact<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let at = self.at;
        self.bytes(N)?.try_into().map_err(|_| CborError::Expected { at, expected: "a byte string of its fixed length" })
    }

    /// A hash.
    pub fn hash(&mut self) -> Result<Hash, CborError> {
        self.exact().map(Hash)
    }

    /// A text of at most `max` bytes.
    pub fn text(&mut self, max: usize) -> Result<&'a str, CborError> {
        let at = self.at;
        let length = self.bounded(3, "a text", max)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::Utf8(at))
    }

    /// A text of at most `max` bytes, parsed.
    pub fn parse<T>(&mut self, field: &'static str, max: usize) -> Result<T, CborError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.text(max)?.parse().map_err(|error: T::Err| CborError::value(field, error.to_string()))
    }

    /// Number of items of an array, at most `max`; each item takes at least one byte, which is checked too.
    pub fn array(&mut self, max: usize) -> Result<usize, CborError> {
        let length = self.bounded(4, "an array", max)?;
        if length > self.bytes.len() - self.at { Err(CborError::Short(self.at)) } else { Ok(length) }
    }

    /// The head of an array of exactly `length` items.
    pub fn tuple(&mut self, length: usize) -> Result<(), CborError> {
        let at = self.at;
        if self.array(length)? == length {
            Ok(())
        } else {
            Err(CborError::Expected { at, expected: "an array of its fixed length" })
        }
    }

    /// Number of pairs of a map, at most `max`.
    pub fn map(&mut self, max: usize) -> Result<usize, CborError> {
        let length = self.bounded(5, "a map", max)?;
        if length > self.bytes.len() - self.at { Err(CborError::Short(self.at)) } else { Ok(length) }
    }

    /// Reads null if it is next.
    pub fn null(&mut self) -> bool {
        let is_null = self.bytes.get(self.at) == Some(&0xf6);
        self.at += usize::from(is_null);
        is_null
    }

    /// False or true.
    pub fn boolean(&mut self) -> Result<bool, CborError> {
        let at = self.at;
        match self.head()? {
            (7, 20, _) => Ok(false),
            (7, 21, _) => Ok(true),
            _ => Err(CborError::Expected { at, expected: "false or true" }),
        }
    }

    /// Reads a map with integer keys and hands each value to `field`, which says whether it knows the key.
    /// Unknown keys below 64 are refused, unknown keys from 64 on are checked and skipped.
    pub fn fields<E: From<CborError>>(
        &mut self,
        mut field: impl FnMut(u64, &mut Self) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut last = None;
        for _ in 0..self.map(1024)? {
            let at = self.at;
            let key = self.uint()?;
            if last.is_some_and(|last| key <= last) {
                return Err(CborError::KeyOrder(at).into());
            }
            last = Some(key);
            if !field(key, self)? {
                if key < 64 {
                    return Err(CborError::UnknownKey { at, key }.into());
                }
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Reads over one item of any accepted kind, checking that it is deterministic.
    pub fn skip(&mut self) -> Result<(), CborError> {
        let at = self.at;
        if self.depth == DEPTH_MAX {
            return Err(CborError::TooBig { at, found: self.depth as u64 + 1, max: DEPTH_MAX as u64 });
        }
        self.depth += 1;
        let result = self.skip_inside();
        self.depth -= 1;
        result
    }

    fn skip_inside(&mut self) -> Result<(), CborError> {
        let at = self.at;
        let (major, _, value) = self.head()?;
        let length = usize::try_from(value).map_err(|_| CborError::Short(at))?;
        match major {
            2 => self.take(length).map(|_| ()),
            3 => std::str::from_utf8(self.take(length)?).map(|_| ()).map_err(|_| CborError::Utf8(at)),
            4 => (0..length).try_for_each(|_| self.skip()),
            5 => {
                let mut last: Option<&[u8]> = None;
                for _ in 0..length {
                    let start = self.at;
                    self.skip()?;
                    let key = &self.bytes[start..self.at];
                    if last.is_some_and(|last| key <= last) {
                        return Err(CborError::KeyOrder(start));
                    }
                    last = Some(key);
                    self.skip()?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Takes a field that must have been there.
pub fn required<T>(value: Option<T>, key: u64) -> Result<T, CborError> {
    value.ok_or(CborError::MissingKey(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer) -> &mut Writer) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer);
        writer.into_bytes()
    }

    fn skip(bytes: &[u8]) -> Result<(), CborError> {
        let mut reader = Reader::new(bytes);
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        // Examples of RFC 8949, appendix A.
        let cases: [(i64, &[u8]); 8] = [
            (0, &[0x00]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (1000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (-1, &[0x20]),
            (-100, &[0x38, 0x63]),
            (-1000, &[0x39, 0x03, 0xe7]),
        ];
        for (value, bytes) in cases {
            assert_eq!(written(|writer| writer.int(value)), bytes);
            assert_eq!(Reader::new(bytes).int(), Ok(value));
        }
    }

    /// Bad input 59: CBOR of indefinite or huge length, with tags, floats or trailing bytes.
    #[test]
    fn bad_input_59_anything_but_deterministic_cbor_is_refused() {
        let cases: [(&[u8], CborError); 15] = [
            (&[0x9f, 0xff], CborError::Indefinite(0)),
            (&[0x5f, 0x41, 0, 0xff], CborError::Indefinite(0)),
            (&[0xbf, 0xff], CborError::Indefinite(0)),
            (&[0x18, 0x17], CborError::NotShortest(0)),
            (&[0x19, 0x00, 0xff], CborError::NotShortest(0)),
            (&[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], CborError::NotShortest(0)),
            (&[0xc0, 0x00], CborError::Unsupported { at: 0, what: "tag" }),
            (&[0xf9, 0, 0], CborError::Unsupported { at: 0, what: "float" }),
            (&[0xf7], CborError::Unsupported { at: 0, what: "simple value" }),
            (&[0x00, 0x00], CborError::Trailing(1)),
            (&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], CborError::Short(9)),
            (&[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], CborError::Short(9)),
            (&[0xa2, 0x02, 0x00, 0x01, 0x00], CborError::KeyOrder(3)),
            (&[0xa2, 0x01, 0x00, 0x01, 0x00], CborError::KeyOrder(3)),
            (&[0x62, 0xff, 0xff], CborError::Utf8(0)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(skip(bytes), Err(expected), "{bytes:02x?}");
        }
        assert!(matches!(skip(&[0x81; 100]), Err(CborError::TooBig { .. })));
        assert!(matches!(Reader::new(&[0x5a, 0xff, 0, 0, 0]).bytes(64), Err(CborError::TooBig { .. })));
    }

    #[test]
    fn keys_from_64_on_may_be_unknown_and_keys_below_may_not() {
        let read =
            |bytes: &[u8]| {
                Reader::new(bytes).fields(|key, reader| {
                    if key == 1 { reader.uint().map(|_| true) } else { Ok::<_, CborError>(false) }
                })
            };
        assert_eq!(read(&[0xa2, 0x01, 0x07, 0x18, 0x40, 0x80]), Ok(()));
        assert_eq!(read(&[0xa2, 0x01, 0x07, 0x02, 0x80]), Err(CborError::UnknownKey { at: 3, key: 2 }));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_never_read_two_ways(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if skip(&bytes).is_ok() {
                let mut longer = bytes.clone();
                longer.push(0);
                prop_assert_eq!(skip(&longer), Err(CborError::Trailing(bytes.len())));
            }
        }

        #[test]
        fn every_integer_reads_back(value in any::<i64>(), big in any::<u64>()) {
            prop_assert_eq!(Reader::new(&written(|writer| writer.int(value))).int(), Ok(value));
            prop_assert_eq!(Reader::new(&written(|writer| writer.uint(big))).uint(), Ok(big));
        }
    }
}
