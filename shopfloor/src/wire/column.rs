//! Columns of integers as bytes: the one coding of times and of values inside a section.
//!
//! Settled by measurement (`cargo run --release -p shopfloor --example layout`): differences to the row before, zigzag
//! varints, constant columns without rows, first values apart from differences. `docs/wire-format.md` has the bytes.

/// Why bytes are not a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// The bytes end inside a column.
    #[error("column ends early at byte {0}")]
    Short(usize),
    /// Bytes follow the last column.
    #[error("bytes follow the last group from byte {0} on")]
    Trailing(usize),
    /// A varint that does not fit 64 bits or is longer than it need be.
    #[error("varint at byte {0} is not the shortest spelling of a 64-bit number")]
    Varint(usize),
    /// A code that the format does not know.
    #[error("unknown {what} code {code} at byte {at}")]
    Code {
        /// Where.
        at: usize,
        /// Of what.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// A number outside what its place allows.
    #[error("{what} at byte {at} is out of range")]
    Range {
        /// Where.
        at: usize,
        /// What.
        what: &'static str,
    },
    /// More values than the reader allows.
    #[error("more than the {0} values allowed in a block")]
    TooMany(u32),
    /// A text that is not UTF-8.
    #[error("text at byte {0} is not UTF-8")]
    Utf8(usize),
}

/// Small signed numbers as small unsigned ones: 0, -1, 1, -2, … becomes 0, 1, 2, 3, …
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Appends `value` as a varint: 7 bits a byte, least significant first, high bit on all but the last.
pub fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads columns from the bytes of a section, keeping count of how many values they may still become.
#[derive(Debug)]
pub struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
    max: u32,
}

impl<'a> Source<'a> {
    /// A source at the start of `bytes` that gives at most `values_max` values.
    pub const fn new(bytes: &'a [u8], values_max: u32) -> Self {
        Self { bytes, at: 0, left: values_max, max: values_max }
    }

    /// Where the next byte is read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Counts `count` values against the bound, before they are allocated.
    pub fn spend(&mut self, count: usize) -> Result<(), ColumnError> {
        let left = u32::try_from(count).ok().and_then(|count| self.left.checked_sub(count));
        self.left = left.ok_or(ColumnError::TooMany(self.max))?;
        Ok(())
    }

    /// Checks that nothing follows.
    pub fn end(&self) -> Result<(), ColumnError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(ColumnError::Trailing(self.at)) }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, ColumnError> {
        let byte = *self.bytes.get(self.at).ok_or(ColumnError::Short(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], ColumnError> {
        let end = self.at.checked_add(length).ok_or(ColumnError::Short(self.at))?;
        let part = self.bytes.get(self.at..end).ok_or(ColumnError::Short(self.at))?;
        self.at = end;
        Ok(part)
    }

    /// One varint, in its shortest spelling.
    pub fn varint(&mut self) -> Result<u64, ColumnError> {
        let start = self.at;
        let mut value = 0_u64;
        for place in 0..10 {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if place == 9 && part > 1 {
                break;
            }
            value |= part << (7 * place);
            if byte & 0x80 == 0 {
                let longer_than_need_be = byte == 0 && place > 0;
                return if longer_than_need_be { Err(ColumnError::Varint(start)) } else { Ok(value) };
            }
        }
        Err(ColumnError::Varint(start))
    }

    /// A varint that counts things of which each takes at least one byte of what follows.
    pub fn count(&mut self, what: &'static str) -> Result<usize, ColumnError> {
        let at = self.at;
        let count = self.varint()?;
        let left = self.bytes.len() - self.at;
        usize::try_from(count).ok().filter(|count| *count <= left).ok_or(ColumnError::Range { at, what })
    }

    /// A varint of a narrower type.
    pub fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, ColumnError> {
        let at = self.at;
        T::try_from(self.varint()?).map_err(|_| ColumnError::Range { at, what })
    }
}

/// Nanoseconds of the units in which a time column may count.
const UNITS: [i64; 5] = [1, 100, 1_000, 1_000_000, 1_000_000_000];
const DELTA: u8 = 0;
const GRID: u8 = 1;
const FLOOR: u8 = 2;

/// Appends a column of times or of differences of times. An empty column takes no byte.
pub fn put_times(bytes: &mut Vec<u8>, times: impl Iterator<Item = i64> + Clone) {
    let Some(first) = times.clone().next() else { return };
    let unit = (0..UNITS.len()).rev().find(|unit| times.clone().all(|time| time % UNITS[*unit] == 0)).unwrap_or(0);
    let scaled = times.map(|time| time / UNITS[unit]);
    let first = first / UNITS[unit];
    let (count, last) = scaled.clone().fold((0_i64, first), |(count, _), time| (count + 1, time));
    let floor = scaled.clone().min().unwrap_or(first);
    let step = if count > 1 { last.wrapping_sub(first) / (count - 1) } else { 0 };

    let deltas = pairs(scaled.clone()).map(|(before, time)| zigzag(time.wrapping_sub(before)));
    let grid =
        (1..).zip(scaled.clone().skip(1)).map(|(row, time)| zigzag(time.wrapping_sub(on_grid(first, step, row))));
    let above = scaled.map(|time| time.wrapping_sub(floor).cast_unsigned());
    let size = |numbers: &mut dyn Iterator<Item = u64>| numbers.map(varint_len).sum::<usize>();
    let sizes = [
        (size(&mut deltas.clone()) + varint_len(zigzag(first)), DELTA),
        (size(&mut grid.clone()) + varint_len(zigzag(first)) + varint_len(zigzag(step)), GRID),
        (size(&mut above.clone()) + varint_len(zigzag(floor)), FLOOR),
    ];
    let mode = sizes.iter().min().map_or(DELTA, |(_, mode)| *mode);
    bytes.push(u8::try_from(unit).unwrap_or(0) | mode << 4);
    put_varint(bytes, zigzag(if mode == FLOOR { floor } else { first }));
    match mode {
        GRID => {
            put_varint(bytes, zigzag(step));
            grid.for_each(|number| put_varint(bytes, number));
        }
        FLOOR => above.for_each(|number| put_varint(bytes, number)),
        _ => deltas.for_each(|number| put_varint(bytes, number)),
    }
}

const fn on_grid(first: i64, step: i64, row: i64) -> i64 {
    first.wrapping_add(step.wrapping_mul(row))
}

fn pairs(numbers: impl Iterator<Item = i64> + Clone) -> impl Iterator<Item = (i64, i64)> + Clone {
    numbers.clone().zip(numbers.skip(1))
}

/// Reads a column of `count` times.
pub fn times(source: &mut Source<'_>, count: usize) -> Result<Vec<i64>, ColumnError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    source.spend(count)?;
    let at = source.position();
    let code = source.byte()?;
    let unknown = ColumnError::Code { at, what: "time column", code: u64::from(code) };
    let unit = *UNITS.get(usize::from(code & 15)).ok_or_else(|| unknown.clone())?;
    let scale = |time: i64| time.checked_mul(unit).ok_or(ColumnError::Range { at, what: "time" });
    let first = unzigzag(source.varint()?);
    let mut times = Vec::with_capacity(count);
    match code >> 4 {
        DELTA => {
            let mut time = first;
            times.push(scale(time)?);
            for _ in 1..count {
                time = time.wrapping_add(unzigzag(source.varint()?));
                times.push(scale(time)?);
            }
        }
        GRID => {
            let step = unzigzag(source.varint()?);
            times.push(scale(first)?);
            for row in 1..count {
                let row = i64::try_from(row).map_err(|_| ColumnError::Range { at, what: "row" })?;
                times.push(scale(on_grid(first, step, row).wrapping_add(unzigzag(source.varint()?)))?);
            }
        }
        FLOOR => {
            for _ in 0..count {
                times.push(scale(first.wrapping_add(source.varint()?.cast_signed()))?);
            }
        }
        _ => return Err(unknown),
    }
    Ok(times)
}

/// The code of a column of equal values, written once.
pub const CONSTANT: u8 = 0;
/// The code of a column of texts.
pub const TEXT: u8 = 15;

/// The code of a column of bits: [`CONSTANT`], or the width in bytes (1, 2, 4, 8) of its largest value.
pub fn bits_code(values: impl Iterator<Item = u64> + Clone) -> u8 {
    let Some(first) = values.clone().next() else { return CONSTANT };
    let (mut all, mut varies) = (first, false);
    for value in values {
        all |= value;
        varies |= value != first;
    }
    match all {
        _ if !varies => CONSTANT,
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// The difference of two values of `width` bytes as the signed number of least size, modulo 2^(8·width).
const fn difference(before: u64, value: u64, width: u8) -> i64 {
    let shift = 64 - 8 * width as u32;
    (value.wrapping_sub(before) << shift).cast_signed() >> shift
}

/// Appends the differences of a column of bits; the first value is written elsewhere. A [`CONSTANT`] column has none.
pub fn put_differences(bytes: &mut Vec<u8>, values: impl Iterator<Item = u64> + Clone, code: u8) {
    if code == CONSTANT {
        return;
    }
    let mut values = values;
    let Some(mut before) = values.next() else { return };
    for value in values {
        put_varint(bytes, zigzag(difference(before, value, code)));
        before = value;
    }
}

/// Hands the `count` values of a column of bits to `give`, from its first value on.
pub fn bits(
    source: &mut Source<'_>,
    code: u8,
    first: u64,
    count: usize,
    mut give: impl FnMut(u64),
) -> Result<(), ColumnError> {
    if code == CONSTANT {
        (0..count).for_each(|_| give(first));
        return Ok(());
    }
    let mask = u64::MAX >> (64 - 8 * u32::from(code));
    let mut value = first;
    if count > 0 {
        give(value);
    }
    for _ in 1..count {
        value = value.wrapping_add(unzigzag(source.varint()?).cast_unsigned()) & mask;
        give(value);
    }
    Ok(())
}

/// Reads the code of a column of values.
pub fn value_code(source: &mut Source<'_>) -> Result<u8, ColumnError> {
    let at = source.position();
    match source.byte()? {
        code @ (CONSTANT | 1 | 2 | 4 | 8 | TEXT) => Ok(code),
        code => Err(ColumnError::Code { at, what: "value column", code: u64::from(code) }),
    }
}

/// Appends which of the rows are present: 0 none, 1 all, 2 and a bitmap (first row in the least significant bit).
pub fn put_presence(bytes: &mut Vec<u8>, rows: impl Iterator<Item = bool> + Clone) {
    let all = rows.clone().all(|present| present);
    let none = !rows.clone().any(|present| present);
    match (none, all) {
        (true, _) => bytes.push(0),
        (false, true) => bytes.push(1),
        (false, false) => {
            bytes.push(2);
            let mut map = Vec::new();
            for (row, present) in rows.enumerate() {
                if row.is_multiple_of(8) {
                    map.push(0);
                }
                map[row / 8] |= u8::from(present) << (row % 8);
            }
            bytes.extend_from_slice(&map);
        }
    }
}

/// Reads which of `count` rows are present.
pub fn presence(source: &mut Source<'_>, count: usize) -> Result<Vec<bool>, ColumnError> {
    let at = source.position();
    match source.byte()? {
        0 => Ok(vec![false; count]),
        1 => Ok(vec![true; count]),
        2 => {
            let map = source.take(count.div_ceil(8))?;
            Ok((0..count).map(|row| map[row / 8] >> (row % 8) & 1 == 1).collect())
        }
        code => Err(ColumnError::Code { at, what: "presence", code: u64::from(code) }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn times_of(times: &[i64]) -> (Vec<u8>, Result<Vec<i64>, ColumnError>) {
        let mut bytes = Vec::new();
        put_times(&mut bytes, times.iter().copied());
        let read = super::times(&mut Source::new(&bytes, 1000), times.len());
        (bytes, read)
    }

    #[test]
    fn regular_times_cost_one_byte_each() {
        let regular: Vec<i64> = (0..10).map(|row| 1_795_564_800_000_000_000 + row * 1_000_000_000).collect();
        let (bytes, read) = times_of(&regular);
        assert_eq!(read, Ok(regular));
        assert!(bytes.len() <= 16, "{} bytes", bytes.len());
    }

    #[test]
    fn a_signed_word_around_zero_takes_small_differences() {
        let values = [0xffff_u64, 0x0001, 0xfffe];
        let code = bits_code(values.into_iter());
        let mut bytes = Vec::new();
        put_differences(&mut bytes, values.into_iter(), code);
        assert_eq!((code, bytes), (2, vec![4, 5]));
    }

    #[test]
    fn a_varint_has_one_spelling() {
        for bytes in [&[0x80, 0x00][..], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
            assert_eq!(Source::new(bytes, 0).varint(), Err(ColumnError::Varint(0)), "{bytes:x?}");
        }
        assert_eq!(Source::new(&[0x80], 0).varint(), Err(ColumnError::Short(1)));
    }

    proptest! {
        #[test]
        fn times_read_back(times in prop::collection::vec(any::<i64>(), 0..40), unit in 0..UNITS.len()) {
            let whole: Vec<i64> = times.iter().map(|time| time / UNITS[unit] * UNITS[unit]).collect();
            prop_assert_eq!(times_of(&whole).1, Ok(whole));
        }

        #[test]
        fn bits_read_back(values in prop::collection::vec(any::<u64>(), 1..40), shift in 0..64_u32) {
            let values: Vec<u64> = values.iter().map(|value| value >> shift).collect();
            let code = bits_code(values.iter().copied());
            let mut bytes = Vec::new();
            put_differences(&mut bytes, values.iter().copied(), code);
            let mut read = Vec::new();
            bits(&mut Source::new(&bytes, 0), code, values[0], values.len(), |value| read.push(value)).unwrap();
            prop_assert_eq!(read, values);
        }
    }
}
