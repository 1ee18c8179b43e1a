//! Readings as bytes: the form in which the journal keeps them until they are sealed into a block.
//!
//! Numbers are variable-length, signed ones zigzag. The form never leaves the agent's disk, so it may change with
//! the schema of the database; a row that cannot be read is reported, never guessed.

use shopfloor::sample::{Quality, StatusCode};
use shopfloor::wire::section::{EventRow, Raw};

use crate::source::Reading;

const SCAN: u8 = 1;
const EVENTS: u8 = 2;
const LIFE: u8 = 3;

const HAS_SOURCE: u8 = 1;
const HAS_SERVER: u8 = 2;
const HAS_BITS: u8 = 4;
const HAS_TEXT: u8 = 8;

/// Appends a reading.
pub fn encode(reading: &Reading, out: &mut Vec<u8>) {
    match reading {
        Reading::Scan { group, request, response, status, words } => {
            out.push(SCAN);
            unsigned(u64::from(*group), out);
            signed(*request, out);
            signed(response.wrapping_sub(*request), out);
            unsigned(u64::from(status.0), out);
            if status.quality() != Quality::Bad {
                unsigned(words.len() as u64, out);
                for word in words {
                    unsigned(*word, out);
                }
            }
        }
        Reading::Events { group, rows } => {
            out.push(EVENTS);
            unsigned(u64::from(*group), out);
            unsigned(rows.len() as u64, out);
            for (column, row) in rows {
                unsigned(u64::from(*column), out);
                encode_row(row, out);
            }
        }
        Reading::Life { group, at } => {
            out.push(LIFE);
            unsigned(u64::from(*group), out);
            signed(*at, out);
        }
    }
}

fn encode_row(row: &EventRow, out: &mut Vec<u8>) {
    let flags = (u8::from(row.source_time.is_some()) * HAS_SOURCE)
        | (u8::from(row.server_time.is_some()) * HAS_SERVER)
        | match &row.value {
            None => 0,
            Some(Raw::Bits(_)) => HAS_BITS,
            Some(Raw::Text(_)) => HAS_TEXT,
        };
    out.push(flags);
    signed(row.observed_time, out);
    unsigned(u64::from(row.status.0), out);
    for time in [row.source_time, row.server_time].into_iter().flatten() {
        signed(time, out);
    }
    match &row.value {
        Some(Raw::Bits(bits)) => unsigned(*bits, out),
        Some(Raw::Text(text)) => {
            unsigned(text.len() as u64, out);
            out.extend(text.as_bytes());
        }
        None => {}
    }
}

/// The readings in `bytes`; `None` if they are not exactly what `encode` wrote.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Reading>> {
    let mut readings = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let group = u16::try_from(take_unsigned(&mut bytes)?).ok()?;
        readings.push(match *kind {
            SCAN => decode_scan(group, &mut bytes)?,
            EVENTS => {
                let count = take_unsigned(&mut bytes)?;
                let mut rows = Vec::new();
                for _ in 0..count {
                    let column = u16::try_from(take_unsigned(&mut bytes)?).ok()?;
                    rows.push((column, decode_row(&mut bytes)?));
                }
                Reading::Events { group, rows }
            }
            LIFE => Reading::Life { group, at: take_signed(&mut bytes)? },
            _ => return None,
        });
    }
    Some(readings)
}

fn decode_scan(group: u16, bytes: &mut &[u8]) -> Option<Reading> {
    let request = take_signed(bytes)?;
    let response = request.wrapping_add(take_signed(bytes)?);
    let status = StatusCode(u32::try_from(take_unsigned(bytes)?).ok()?);
    let mut words = Vec::new();
    if status.quality() != Quality::Bad {
        for _ in 0..take_unsigned(bytes)? {
            words.push(take_unsigned(bytes)?);
        }
    }
    Some(Reading::Scan { group, request, response, status, words })
}

fn decode_row(bytes: &mut &[u8]) -> Option<EventRow> {
    let (flags, rest) = bytes.split_first()?;
    *bytes = rest;
    let observed_time = take_signed(bytes)?;
    let status = StatusCode(u32::try_from(take_unsigned(bytes)?).ok()?);
    let source_time = if flags & HAS_SOURCE == 0 { None } else { Some(take_signed(bytes)?) };
    let server_time = if flags & HAS_SERVER == 0 { None } else { Some(take_signed(bytes)?) };
    let value = if flags & HAS_BITS != 0 {
        Some(Raw::Bits(take_unsigned(bytes)?))
    } else if flags & HAS_TEXT != 0 {
        let length = usize::try_from(take_unsigned(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(Raw::Text(std::str::from_utf8(text).ok()?.to_owned()))
    } else {
        None
    };
    Some(EventRow { source_time, server_time, observed_time, status, value })
}

fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(low(value) | 0x80);
        value >>= 7;
    }
    out.push(low(value));
}

/// The lowest seven bits.
fn low(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7F
}

fn signed(value: i64, out: &mut Vec<u8>) {
    unsigned((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned(), out);
}

fn take_unsigned(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7F);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let value = take_unsigned(bytes)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> impl Strategy<Value = EventRow> {
        let value = prop_oneof![
            Just(None),
            any::<u64>().prop_map(|b| Some(Raw::Bits(b))),
            ".{0,12}".prop_map(|t| Some(Raw::Text(t)))
        ];
        (any::<Option<i64>>(), any::<Option<i64>>(), any::<i64>(), any::<u32>(), value).prop_map(
            |(source_time, server_time, observed_time, status, value)| EventRow {
                source_time,
                server_time,
                observed_time,
                status: StatusCode(status),
                value,
            },
        )
    }

    fn reading() -> impl Strategy<Value = Reading> {
        let words = prop::collection::vec(any::<u64>(), 0..8);
        prop_oneof![
            (any::<u16>(), any::<i64>(), any::<i64>(), any::<u32>(), words).prop_map(
                |(group, request, response, status, words)| {
                    let status = StatusCode(status);
                    let words = if status.quality() == Quality::Bad { Vec::new() } else { words };
                    Reading::Scan { group, request, response, status, words }
                }
            ),
            (any::<u16>(), prop::collection::vec((any::<u16>(), row()), 0..4))
                .prop_map(|(group, rows)| Reading::Events { group, rows }),
            (any::<u16>(), any::<i64>()).prop_map(|(group, at)| Reading::Life { group, at }),
        ]
    }

    proptest! {
        #[test]
        fn readings_come_back_as_they_went_in(readings in prop::collection::vec(reading(), 0..6)) {
            let mut bytes = Vec::new();
            for reading in &readings {
                encode(reading, &mut bytes);
            }
            prop_assert_eq!(decode(&bytes), Some(readings));
        }

        #[test]
        fn any_bytes_are_readings_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            drop(decode(&bytes));
        }
    }
}
