//! From raw words to samples: order of words, type, scale; scans one by one, notifications with their life signs.

use super::{DataType, Place, RegisterMap, TagEntry, WordOrder};
use crate::sample::{Quality, Sample, StatusCode, Value};
use crate::time::{MINUTE, Timestamp};
use crate::unit::Rational;
use crate::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup};

/// One sample before decoding, for drill-down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSample {
    /// The instant it speaks for, as in [`Sample`].
    pub at: Timestamp,
    /// What the device said; `None` where it said nothing.
    pub raw: Option<Raw>,
    /// Status as recorded.
    pub status: StatusCode,
    /// Time the device gave.
    pub source_time: Option<Timestamp>,
    /// Time the server gave.
    pub server_time: Option<Timestamp>,
    /// Time the agent saw it; the life sign for a value sampled again.
    pub observed_time: Timestamp,
    /// Time the request was sent.
    pub request_time: Option<Timestamp>,
    /// Whether this is a value sampled again by a life sign.
    pub life_sign: bool,
}

/// The value that `raw` means for `tag`, exactly. Errors: the status code that a sample carries instead of a value
/// (a float that is NaN or infinite, a number outside its type: `BAD_OUT_OF_RANGE`; another kind: `BAD_TYPE_MISMATCH`).
pub fn decode(tag: &TagEntry, raw: &Raw) -> Result<Value, StatusCode> {
    let bits = match (tag.data_type, raw) {
        (DataType::Text, Raw::Text(text)) => return Ok(Value::Text(text.clone())),
        (DataType::Text, Raw::Bits(_)) | (_, Raw::Text(_)) => return Err(StatusCode::BAD_TYPE_MISMATCH),
        (_, Raw::Bits(bits)) => *bits,
    };
    let out_of_range = StatusCode::BAD_OUT_OF_RANGE;
    // Modbus words are put in order and then have the width of their type; OPC UA integers fill 64 bits.
    let (bits, widened) = match &tag.place {
        Place::Modbus { words, .. } => (in_order(bits, *words, tag.word_order).ok_or(out_of_range)?, false),
        Place::OpcUa { .. } => (bits, true),
    };
    let signed = |width: u32| {
        let shift = 64 - width;
        let value = if widened { bits.cast_signed() } else { (bits << shift).cast_signed() >> shift };
        (value << shift >> shift == value).then_some(i128::from(value)).ok_or(out_of_range)
    };
    let unsigned = |width: u32| (bits >> (width - 1) >> 1 == 0).then_some(i128::from(bits)).ok_or(out_of_range);
    let integer = match tag.data_type {
        DataType::Bool => return boolean(tag, bits),
        DataType::F32 => {
            let bits = u32::try_from(bits).map_err(|_| out_of_range)?;
            return float(tag, f64::from(f32::from_bits(bits)));
        }
        DataType::F64 => return float(tag, f64::from_bits(bits)),
        DataType::U8 => unsigned(8),
        DataType::U16 => unsigned(16),
        DataType::U32 => unsigned(32),
        DataType::U64 => unsigned(64),
        DataType::I8 => signed(8),
        DataType::I16 => signed(16),
        DataType::I32 => signed(32),
        DataType::I64 => signed(64),
        DataType::Text => return Err(StatusCode::BAD_TYPE_MISMATCH),
    }?;
    let scaled = Rational::integer(integer).checked_mul(tag.scale);
    scaled.and_then(|scaled| scaled.checked_add(tag.offset)).map(Value::Exact).ok_or(out_of_range)
}

/// The words as read, put most significant byte first. `None` if there are more bits than words.
fn in_order(bits: u64, words: u16, order: Option<WordOrder>) -> Option<u64> {
    let words = usize::from(words);
    if words == 0 || words > 4 || (words < 4 && bits >> (16 * words) != 0) {
        return None;
    }
    let mut bytes = bits.to_be_bytes();
    let used = &mut bytes[8 - 2 * words..];
    match order.unwrap_or(WordOrder::Abcd) {
        WordOrder::Abcd => {}
        WordOrder::Cdab => {
            used.reverse();
            used.chunks_exact_mut(2).for_each(<[u8]>::reverse);
        }
        WordOrder::Badc => used.chunks_exact_mut(2).for_each(<[u8]>::reverse),
        WordOrder::Dcba => used.reverse(),
    }
    Some(u64::from_be_bytes(bytes))
}

fn boolean(tag: &TagEntry, bits: u64) -> Result<Value, StatusCode> {
    match (&tag.place, bits) {
        (Place::Modbus { bit: Some(bit), .. }, _) => Ok(Value::Bool(bits >> bit & 1 == 1)),
        (_, 0) => Ok(Value::Bool(false)),
        (_, 1) => Ok(Value::Bool(true)),
        _ => Err(StatusCode::BAD_OUT_OF_RANGE),
    }
}

#[allow(clippy::cast_precision_loss)] // the device's value is a float already
fn float(tag: &TagEntry, value: f64) -> Result<Value, StatusCode> {
    let plain = tag.scale == Rational::ONE && tag.offset == Rational::ZERO;
    let scaled = value * tag.scale.num() as f64 / tag.scale.den() as f64 + tag.offset.to_f64();
    let value = if plain { value } else { scaled };
    if value.is_finite() { Ok(Value::Float(value)) } else { Err(StatusCode::BAD_OUT_OF_RANGE) }
}

/// One block's samples of a tag, ordered by the instant they speak for: scans one per row; notifications as
/// received, and again at each later life sign while the status is not Bad.
pub fn samples(map: &RegisterMap, groups: &[Group], tag: u16) -> Vec<Sample> {
    let Some(entry) = map.tags.get(usize::from(tag)) else { return Vec::new() };
    let stale_after = map.groups.get(usize::from(entry.group)).map_or(0, |group| group.stale_after);
    raw_samples(map, groups, tag).iter().map(|raw| sample(entry, stale_after, raw)).collect()
}

fn sample(tag: &TagEntry, stale_after: i64, raw: &RawSample) -> Sample {
    let decoded = match (&raw.raw, raw.status.quality()) {
        (_, Quality::Bad) => Err(raw.status),
        (None, _) => Err(StatusCode::BAD_NO_DATA),
        (Some(bits), _) => decode(tag, bits),
    };
    let (value, status) = match decoded {
        Ok(value) => (Some(value), raw.status),
        Err(status) => (None, status),
    };
    let &RawSample { at, source_time, observed_time, request_time, .. } = raw;
    Sample { at, value, status, source_time, observed_time, request_time, stale_after }
}

/// The same as [`samples`], undecoded.
pub fn raw_samples(map: &RegisterMap, groups: &[Group], tag: u16) -> Vec<RawSample> {
    let Some(entry) = map.tags.get(usize::from(tag)) else { return Vec::new() };
    let mut samples = Vec::new();
    for group in groups.iter().filter(|group| group.group() == entry.group) {
        match group {
            Group::Scan(scan) => {
                let columns = scan.columns.iter().filter(|column| column.tag == tag);
                columns.for_each(|column| scan_samples(scan, column, &mut samples));
            }
            Group::Event(event) => {
                let columns = event.columns.iter().filter(|column| column.tag == tag);
                columns.for_each(|column| event_samples(event, column, &mut samples));
            }
        }
    }
    samples.sort_by_key(|sample| sample.at);
    samples
}

fn scan_samples(scan: &ScanGroup, column: &ScanColumn, samples: &mut Vec<RawSample>) {
    let mut exceptions = column.exceptions.iter().peekable();
    samples.reserve(column.values.len());
    for (row, (value, (request, response))) in
        column.values.iter().zip(scan.request.iter().zip(&scan.response)).enumerate()
    {
        let status = exceptions
            .next_if(|(exception, _)| *exception as usize == row)
            .map_or(StatusCode::GOOD, |(_, status)| *status);
        let response = Timestamp::from_nanos(*response);
        samples.push(RawSample {
            at: response,
            raw: (status.quality() != Quality::Bad).then(|| value.clone()),
            status,
            source_time: None,
            server_time: None,
            observed_time: response,
            request_time: Some(Timestamp::from_nanos(*request)),
            life_sign: false,
        });
    }
}

fn event_samples(event: &EventGroup, column: &EventColumn, samples: &mut Vec<RawSample>) {
    let rows: Vec<RawSample> = column.rows.iter().map(event_sample).collect();
    let mut received = 0;
    for life in event.life.iter().map(|life| Timestamp::from_nanos(*life)) {
        while rows.get(received).is_some_and(|row| row.observed_time <= life) {
            received += 1;
        }
        let Some(row) = received.checked_sub(1).and_then(|row| rows.get(row)) else { continue };
        if row.status.quality() != Quality::Bad && life > row.at {
            samples.push(RawSample { at: life, observed_time: life, life_sign: true, ..row.clone() });
        }
    }
    samples.extend(rows);
}

/// How far a device's clock may lead the agent's before its time is not used: the server's, then the agent's is.
pub const SOURCE_AHEAD_MAX: i64 = MINUTE;

fn event_sample(row: &EventRow) -> RawSample {
    let usable = |time: &i64| *time > 0 && *time <= row.observed_time.saturating_add(SOURCE_AHEAD_MAX);
    let at = row.source_time.filter(usable).or(row.server_time.filter(usable)).unwrap_or(row.observed_time);
    RawSample {
        at: Timestamp::from_nanos(at),
        raw: row.value.clone(),
        status: row.status,
        source_time: row.source_time.map(Timestamp::from_nanos),
        server_time: row.server_time.map(Timestamp::from_nanos),
        observed_time: Timestamp::from_nanos(row.observed_time),
        request_time: None,
        life_sign: false,
    }
}

/// The 16-bit words of a raw value in the order read; empty for OPC UA and for text.
pub fn words(tag: &TagEntry, raw: &Raw) -> Vec<u16> {
    let (Place::Modbus { words, .. }, Raw::Bits(bits)) = (&tag.place, raw) else { return Vec::new() };
    let word = |place: u16| u16::try_from(bits >> (16 * place) & 0xffff).unwrap_or(0);
    (0..(*words).min(4)).rev().map(word).collect()
}
