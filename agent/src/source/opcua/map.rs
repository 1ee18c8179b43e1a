//! From what an OPC UA server sent to what a block keeps: raw value, times and the full status code.

use opcua::types::{DataValue, DateTime, Variant};
use shopfloor::register_map::DataType;
use shopfloor::sample::{Quality, StatusCode};
use shopfloor::wire::section::{EventRow, Raw};

/// Hundreds of nanoseconds between 1601, where OPC UA counts from, and 1970.
const TICKS_TO_1970: i64 = 116_444_736_000_000_000;

/// The row of one notification, observed at `observed`, of a tag that is meant to be `expected`.
///
/// Status and times stay as sent. Good without a value becomes BadNoData; a value of another type than the
/// register map says, or an array, becomes BadTypeMismatch, because no later reader could decode it.
pub fn row(value: &DataValue, expected: DataType, observed: i64) -> EventRow {
    let sent = StatusCode(value.status.map_or(0, |status| status.bits()));
    let raw = value.value.as_ref().map_or(Ok(None), |variant| raw(variant, expected));
    let (status, value_kept) = match (raw, sent.quality()) {
        (Ok(kept), Quality::Bad) => (sent, kept),
        (Ok(None), _) => (StatusCode::BAD_NO_DATA, None),
        (Ok(kept), _) => (sent, kept),
        (Err(()), Quality::Bad) => (sent, None),
        (Err(()), _) => (StatusCode::BAD_TYPE_MISMATCH, None),
    };
    EventRow {
        source_time: value.source_timestamp.and_then(|t| nanos(t, value.source_picoseconds)),
        server_time: value.server_timestamp.and_then(|t| nanos(t, value.server_picoseconds)),
        observed_time: observed,
        status,
        value: value_kept,
    }
}

/// The raw value; `None` for an empty one. Errors: another type than expected.
fn raw(variant: &Variant, expected: DataType) -> Result<Option<Raw>, ()> {
    let signed = |v: i64| Raw::Bits(v.cast_unsigned());
    let kept = match (variant, expected) {
        (Variant::Empty, _) => return Ok(None),
        (Variant::Boolean(v), DataType::Bool) => Raw::Bits(u64::from(*v)),
        (Variant::SByte(v), DataType::I8) => signed(i64::from(*v)),
        (Variant::Byte(v), DataType::U8) => Raw::Bits(u64::from(*v)),
        (Variant::Int16(v), DataType::I16) => signed(i64::from(*v)),
        (Variant::UInt16(v), DataType::U16) => Raw::Bits(u64::from(*v)),
        (Variant::Int32(v), DataType::I32) => signed(i64::from(*v)),
        (Variant::UInt32(v), DataType::U32) => Raw::Bits(u64::from(*v)),
        (Variant::Int64(v), DataType::I64) => signed(*v),
        (Variant::UInt64(v), DataType::U64) => Raw::Bits(*v),
        (Variant::Float(v), DataType::F32) => Raw::Bits(u64::from(v.to_bits())),
        (Variant::Double(v), DataType::F64) => Raw::Bits(v.to_bits()),
        (Variant::String(v), DataType::Text) if v.is_null() => return Ok(None),
        (Variant::String(v), DataType::Text) => Raw::Text(v.as_ref().to_owned()),
        _ => return Err(()),
    };
    Ok(Some(kept))
}

/// Nanoseconds UTC; `None` for the null time and for times outside the range of ours (years 1677 to 2262).
fn nanos(time: DateTime, picoseconds: Option<u16>) -> Option<i64> {
    if time.is_null() {
        return None;
    }
    let nanos = time.ticks().checked_sub(TICKS_TO_1970)?.checked_mul(100)?;
    nanos.checked_add(i64::from(picoseconds.unwrap_or(0)) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, StatusCode as Sent, UAString, VariantScalarTypeId};

    fn sent(value: Option<Variant>, status: u32) -> DataValue {
        DataValue { value, status: Some(Sent::from(status)), ..DataValue::default() }
    }

    #[test]
    fn integers_floats_and_texts_keep_their_bits() {
        let raw = |value, expected| row(&sent(Some(value), 0), expected, 7).value;
        assert_eq!(raw(Variant::Int16(-2), DataType::I16), Some(Raw::Bits(u64::MAX - 1)));
        assert_eq!(raw(Variant::Float(1.5), DataType::F32), Some(Raw::Bits(0x3FC0_0000)));
        assert_eq!(raw(Variant::Double(f64::NAN), DataType::F64), Some(Raw::Bits(f64::NAN.to_bits())));
        assert_eq!(raw(Variant::String(UAString::from("运行")), DataType::Text), Some(Raw::Text("运行".to_owned())));
    }

    #[test]
    fn the_full_status_code_is_kept_with_its_overflow_bit() {
        let overflow = 0x0000_0480; // Good, data value info, overflow
        let kept = row(&sent(Some(Variant::Boolean(true)), overflow), DataType::Bool, 7);
        assert_eq!((kept.status, kept.value), (StatusCode(overflow), Some(Raw::Bits(1))));
        let bad = row(&sent(None, 0x8031_0000), DataType::Bool, 7);
        assert_eq!((bad.status, bad.value), (StatusCode::BAD_NO_COMMUNICATION, None));
    }

    #[test]
    fn bad_input_28_good_without_a_value_is_bad() {
        assert_eq!(row(&sent(None, 0), DataType::Bool, 7).status, StatusCode::BAD_NO_DATA);
        assert_eq!(row(&sent(Some(Variant::Empty), 0), DataType::Bool, 7).status, StatusCode::BAD_NO_DATA);
    }

    #[test]
    fn bad_inputs_29_and_37_another_type_or_an_array_is_bad() {
        let text = sent(Some(Variant::String(UAString::from("7"))), 0);
        assert_eq!(row(&text, DataType::I32, 7).status, StatusCode::BAD_TYPE_MISMATCH);
        let array = Array::new(VariantScalarTypeId::Int32, vec![Variant::Int32(1)]).unwrap();
        let array = sent(Some(Variant::Array(Box::new(array))), 0);
        assert_eq!(row(&array, DataType::I32, 7).status, StatusCode::BAD_TYPE_MISMATCH);
    }

    #[test]
    fn times_are_kept_to_the_tick_and_the_null_time_is_none() {
        let time = DateTime::ymd_hms_nano(2026, 11, 25, 8, 0, 0, 123_456_700);
        let value = DataValue { source_timestamp: Some(time), ..sent(Some(Variant::Boolean(true)), 0) };
        let kept = row(&value, DataType::Bool, 7);
        assert_eq!(kept.source_time, Some(1_795_593_600_123_456_700));
        let null = DataValue { source_timestamp: Some(DateTime::null()), ..sent(Some(Variant::Boolean(true)), 0) };
        assert_eq!(row(&null, DataType::Bool, 7).source_time, None);
    }
}
