//! The register map: canonical bytes, and raw words to samples.

use proptest::prelude::*;
use shopfloor::register_map::{
    Area, DataType, GroupEntry, GroupKind, Origin, Place, Protocol, RegisterMap, SourceAuth, SourceEntry, TagEntry,
    WordOrder, decode, raw_samples, samples, words,
};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::{SECOND, Timestamp};
use shopfloor::unit::Rational;
use shopfloor::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup, SectionName};

use super::support::START;

fn modbus(data_type: DataType, words: u16, word_order: Option<WordOrder>) -> TagEntry {
    TagEntry {
        name: "grinder-01/energy".parse().expect("a tag name"),
        group: 0,
        section: SectionName::kpi(),
        place: Place::Modbus { unit: 1, area: Area::Holding, address: 100, words, bit: None },
        data_type,
        word_order,
        scale: Rational::ONE,
        offset: Rational::ZERO,
        unit: "kWh".to_owned(),
        origin: Origin::Simulated,
    }
}

fn opcua(data_type: DataType) -> TagEntry {
    let place = Place::OpcUa { namespace: "urn:mould".to_owned(), identifier: "s=Machine.State".to_owned() };
    let name = "mould-01/state".parse().expect("a tag name");
    TagEntry { name, group: 1, place, unit: String::new(), origin: Origin::Device, ..modbus(data_type, 0, None) }
}

fn map() -> RegisterMap {
    let source = |id: &str, protocol, endpoint: &str| SourceEntry {
        id: id.parse().expect("an id"),
        protocol,
        endpoint: endpoint.to_owned(),
        auth: SourceAuth::Unauthenticated,
    };
    RegisterMap {
        site: "ningbo-bearing".parse().expect("an id"),
        agent: "line-1".parse().expect("an id"),
        sources: vec![
            source("plc", Protocol::ModbusTcp, "10.0.0.7:502"),
            source("mould", Protocol::OpcUa, "opc.tcp://10.0.0.8:4840"),
        ],
        groups: vec![
            GroupEntry { source: 0, kind: GroupKind::Scan { interval: SECOND }, stale_after: 3 * SECOND },
            GroupEntry {
                source: 1,
                kind: GroupKind::Event { publishing: SECOND, sampling: SECOND / 4 },
                stale_after: 30 * SECOND,
            },
        ],
        tags: vec![
            TagEntry {
                scale: Rational::new(1, 100).expect("a fraction"),
                ..modbus(DataType::U32, 2, Some(WordOrder::Cdab))
            },
            opcua(DataType::I32),
        ],
    }
}

#[test]
fn a_register_map_reads_back_and_has_one_spelling() {
    let bytes = map().encode();
    assert_eq!(RegisterMap::decode(&bytes), Ok(map()));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        if let Ok(other) = RegisterMap::decode(&changed) {
            assert_eq!(other.encode(), changed, "byte {place}");
        }
        assert!(RegisterMap::decode(&bytes[..place]).is_err());
    }
}

#[test]
fn a_map_that_contradicts_itself_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut RegisterMap), why: &str| {
        let mut map = map();
        change(&mut map);
        let error = RegisterMap::decode(&map.encode()).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&|map| map.tags[1].name = map.tags[0].name.clone(), "twice");
    refused(&|map| map.tags[0].group = 9, "group that is not there");
    refused(&|map| map.tags[0].group = 1, "another protocol");
    refused(&|map| map.tags[0].scale = Rational::ZERO, "scale is zero");
    refused(&|map| map.tags[0].data_type = DataType::U64, "number of words");
    refused(&|map| map.tags[1].word_order = Some(WordOrder::Abcd), "no word order");
    refused(&|map| map.groups[0].source = 2, "source that is not there");
    refused(&|map| map.groups[1].source = 0, "no subscriptions");
    let beyond = Place::Modbus { unit: 1, area: Area::Holding, address: 65_535, words: 2, bit: None };
    refused(&|map| map.tags[0].place = beyond.clone(), "beyond address 65535");
}

/// The four word orders on one value, 0x0A0B0C0D, as each kind of device would put it into two registers.
#[test]
fn every_word_order_gives_the_same_value() {
    let orders = [
        (None, 0x0a0b_0c0d),
        (Some(WordOrder::Abcd), 0x0a0b_0c0d),
        (Some(WordOrder::Cdab), 0x0c0d_0a0b),
        (Some(WordOrder::Badc), 0x0b0a_0d0c),
        (Some(WordOrder::Dcba), 0x0d0c_0b0a),
    ];
    for (order, as_read) in orders {
        let value = decode(&modbus(DataType::U32, 2, order), &Raw::Bits(as_read));
        assert_eq!(value, Ok(Value::Exact(Rational::integer(0x0a0b_0c0d))), "{order:?}");
    }
    let eight = decode(&modbus(DataType::U64, 4, Some(WordOrder::Cdab)), &Raw::Bits(0x0708_0506_0304_0102));
    assert_eq!(eight, Ok(Value::Exact(Rational::integer(0x0102_0304_0506_0708))));
}

#[test]
fn types_decode_exactly_or_say_why_not() {
    let exact = |value: i128| Ok(Value::Exact(Rational::integer(value)));
    let out_of_range = Err(StatusCode::BAD_OUT_OF_RANGE);
    let word = |data_type, bits| decode(&modbus(data_type, 1, None), &Raw::Bits(bits));
    assert_eq!(word(DataType::U16, 0xffff), exact(65_535));
    assert_eq!(word(DataType::I16, 0xffff), exact(-1));
    assert_eq!(word(DataType::I16, 0x1_0000), out_of_range);
    assert_eq!(word(DataType::Bool, 1), Ok(Value::Bool(true)));
    assert_eq!(word(DataType::Bool, 2), out_of_range);
    assert_eq!(word(DataType::Text, 2), Err(StatusCode::BAD_TYPE_MISMATCH));
    let mut bit = modbus(DataType::Bool, 1, None);
    bit.place = Place::Modbus { unit: 1, area: Area::Holding, address: 0, words: 1, bit: Some(3) };
    assert_eq!(decode(&bit, &Raw::Bits(0b1000)), Ok(Value::Bool(true)));
    assert_eq!(decode(&bit, &Raw::Bits(0b0111)), Ok(Value::Bool(false)));
    let node = |data_type, bits| decode(&opcua(data_type), &Raw::Bits(bits));
    assert_eq!(node(DataType::I16, (-5_i64).cast_unsigned()), exact(-5));
    assert_eq!(node(DataType::I16, 40_000), out_of_range);
    assert_eq!(node(DataType::I64, u64::MAX), exact(-1));
    assert_eq!(node(DataType::U64, u64::MAX), exact(i128::from(u64::MAX)));
    assert_eq!(node(DataType::U8, 256), out_of_range);
    assert_eq!(node(DataType::F64, 1.5_f64.to_bits()), Ok(Value::Float(1.5)));
    assert_eq!(node(DataType::F32, f32::NAN.to_bits().into()), out_of_range);
    assert_eq!(node(DataType::F64, f64::INFINITY.to_bits()), out_of_range);
    assert_eq!(decode(&opcua(DataType::Text), &Raw::Text("AUTO".to_owned())), Ok(Value::Text("AUTO".to_owned())));
    let energy = &map().tags[0];
    assert_eq!(decode(energy, &Raw::Bits(0x0001_0000)), Ok(Value::Exact(Rational::new(1, 100).unwrap())));
    assert_eq!(words(energy, &Raw::Bits(0x0001_0000)), [1, 0]);
}

#[test]
fn a_scan_gives_one_sample_a_row_at_its_response() {
    let group = Group::Scan(ScanGroup {
        group: 0,
        request: vec![START, START + SECOND],
        response: vec![START + 5, START + SECOND + 5],
        columns: vec![ScanColumn {
            tag: 0,
            values: vec![Raw::Bits(0x0001_0000), Raw::Bits(0)],
            exceptions: vec![(1, StatusCode::BAD_TIMEOUT)],
        }],
    });
    let samples = samples(&map(), &[group], 0);
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].value, Some(Value::Exact(Rational::new(1, 100).unwrap())));
    assert_eq!(samples[0].at, Timestamp::from_nanos(START + 5));
    assert_eq!(samples[0].request_time, Some(Timestamp::from_nanos(START)));
    assert_eq!((&samples[1].value, samples[1].status), (&None, StatusCode::BAD_TIMEOUT));
    assert_eq!(samples[0].stale_after, 3 * SECOND);
}

fn row(source: i64, observed: i64, status: StatusCode, bits: u64) -> EventRow {
    EventRow {
        source_time: Some(START + source),
        server_time: Some(START + source),
        observed_time: START + observed,
        status,
        value: Some(Raw::Bits(bits)),
    }
}

#[test]
fn a_notified_value_is_sampled_again_at_each_life_sign_until_it_is_bad() {
    let rows = vec![
        row(-500, -490, StatusCode::GOOD, 3),
        row(15, 20, StatusCode::GOOD, 4),
        row(35, 40, StatusCode::BAD_SUBSCRIPTION_LOST, 0),
    ];
    let life = [10, 20, 30, 40, 50].map(|time| START + time).to_vec();
    let group = Group::Event(EventGroup { group: 1, life, columns: vec![EventColumn { tag: 1, rows }] });
    let found = raw_samples(&map(), std::slice::from_ref(&group), 1);
    let short: Vec<_> = found.iter().map(|s| (s.at.as_nanos() - START, s.raw.clone(), s.life_sign)).collect();
    let bits = |value| Some(Raw::Bits(value));
    let expected = [
        (-500, bits(3), false),
        (10, bits(3), true),
        (15, bits(4), false),
        (20, bits(4), true),
        (30, bits(4), true),
        (35, bits(0), false),
    ];
    assert_eq!(short, expected);
    let last = samples(&map(), &[group], 1).pop().unwrap();
    assert_eq!((last.value, last.status), (None, StatusCode::BAD_SUBSCRIPTION_LOST));
}

/// Bad input 33, as far as decoding goes: a source time that is missing, of 1601 or far ahead is not used.
#[test]
fn bad_input_33_an_unusable_source_time_gives_way_to_server_and_agent_time() {
    let at = |source_time, server_time| {
        let row = EventRow { source_time, server_time, ..row(0, 100, StatusCode::GOOD, 1) };
        let group = EventGroup { group: 1, life: vec![], columns: vec![EventColumn { tag: 1, rows: vec![row] }] };
        raw_samples(&map(), &[Group::Event(group)], 1)[0].at.as_nanos() - START
    };
    assert_eq!(at(Some(START + 7), Some(START + 8)), 7);
    assert_eq!(at(None, Some(START + 8)), 8);
    assert_eq!(at(Some(-11_644_473_600 / 2 * SECOND), Some(START + 8)), 8);
    assert_eq!(at(Some(START + 3600 * SECOND), None), 100);
}

proptest! {
    #[test]
    fn any_bits_decode_or_are_refused(bits in any::<u64>(), words in 0..6_u16, order in 0..4_usize) {
        let order = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba][order];
        for data_type in [DataType::Bool, DataType::I16, DataType::U32, DataType::F32, DataType::F64, DataType::U64] {
            for tag in [modbus(data_type, words, Some(order)), opcua(data_type)] {
                if let Ok(Value::Float(value)) = decode(&tag, &Raw::Bits(bits)) {
                    prop_assert!(value.is_finite());
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_no_register_map(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(RegisterMap::decode(&bytes).is_err());
    }
}
