//! Headers, keys and random groups for the tests of the wire format.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shopfloor::hash::Hash;
use shopfloor::sample::StatusCode;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::header::{ClockState, FORMAT, Header, Marks};
use shopfloor::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup};
use shopfloor::wire::sign::SecretKey;

/// 2026-11-25T00:00:00Z.
pub const START: i64 = 1_795_564_800 * SECOND;

pub fn key() -> SecretKey {
    SecretKey::from_seed([42; 32])
}

/// The draft of block `sequence` of a chain, 10 s long; sections and counts are for `seal` to fill.
pub fn header(sequence: u64, prev_block_hash: Hash) -> Header {
    let start = START + i64::try_from(sequence - 1).expect("a test's sequence is small") * 10 * SECOND;
    Header {
        format: FORMAT,
        site: "ningbo-bearing".parse().expect("an id"),
        agent: "line-1".parse().expect("an id"),
        epoch: 1,
        sequence,
        prev_block_hash,
        config_hash: Hash::of(b"register map"),
        plan_hash: None,
        software: "plumbline-agent 0.0.0".to_owned(),
        boot_id: [7; 16],
        window: Interval { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(start + 10 * SECOND) },
        monotonic: (sequence * 10_000_000_000, sequence * 10_000_000_000 + 10_000_000_000),
        clock: ClockState { synced: Some(true), offset: Some(-1_200_000), uncertainty: Some(5_000_000), stepped: 0 },
        first_sample: (sequence - 1) * 100 + 1,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: BTreeMap::new(),
        gaps: Vec::new(),
        marks: Marks { demo_key: true, simulated: true, ..Marks::default() },
        sections: Vec::new(),
    }
}

fn statuses() -> impl Strategy<Value = StatusCode> {
    prop_oneof![
        Just(StatusCode::GOOD),
        Just(StatusCode::UNCERTAIN),
        Just(StatusCode::BAD_TIMEOUT),
        any::<u32>().prop_map(StatusCode)
    ]
}

fn times(count: usize) -> impl Strategy<Value = Vec<i64>> {
    let unit = prop_oneof![Just(1_i64), Just(100), Just(1000), Just(SECOND)];
    (unit, prop::collection::vec(any::<i32>(), count))
        .prop_map(|(unit, offsets)| offsets.into_iter().map(|offset| START + i64::from(offset) * unit).collect())
}

fn values(count: usize) -> impl Strategy<Value = Vec<Raw>> {
    let bits =
        (any::<u64>(), 0..64_u32, prop::collection::vec(any::<u64>(), count)).prop_map(|(same, shift, mut bits)| {
            if shift == 0 {
                bits.fill(same);
            }
            bits.into_iter().map(|value| Raw::Bits(value >> shift)).collect()
        });
    let texts =
        prop::collection::vec("[a-c准]{0,3}", count).prop_map(|texts| texts.into_iter().map(Raw::Text).collect());
    prop_oneof![4 => bits, 1 => texts]
}

fn scan_column(tag: u16, rows: usize) -> impl Strategy<Value = ScanColumn> {
    let exceptions = prop::collection::btree_map(0..u32::try_from(rows.max(1)).expect("few rows"), statuses(), 0..4);
    (values(rows), exceptions).prop_map(move |(mut values, exceptions)| {
        let exceptions: Vec<_> = exceptions.into_iter().filter(|(row, _)| (*row as usize) < rows).collect();
        for (row, status) in &exceptions {
            if status.0 >> 31 == 1 {
                let value = &mut values[*row as usize];
                *value = if matches!(value, Raw::Bits(_)) { Raw::Bits(0) } else { Raw::Text(String::new()) };
            }
        }
        ScanColumn { tag, values, exceptions }
    })
}

fn scan_group() -> impl Strategy<Value = Group> {
    (any::<u16>(), 0..12_usize, prop::collection::btree_set(any::<u16>(), 0..5)).prop_flat_map(|(group, rows, tags)| {
        let columns: Vec<_> = tags.into_iter().map(|tag| scan_column(tag, rows)).collect();
        (times(rows), times(rows), columns)
            .prop_map(move |(request, response, columns)| Group::Scan(ScanGroup { group, request, response, columns }))
    })
}

fn event_column(tag: u16, rows: usize, life: Vec<i64>) -> impl Strategy<Value = EventColumn> {
    let stamps = prop::collection::vec((any::<Option<i64>>(), any::<Option<i64>>()), rows);
    let observed = prop::collection::vec(prop_oneof![prop::sample::select(life), any::<i64>()], rows);
    let statuses = prop::collection::vec(statuses(), rows);
    let there = prop::collection::vec(any::<bool>(), rows);
    (stamps, observed, statuses, there, values(rows)).prop_map(move |(stamps, observed, statuses, there, values)| {
        let rows = stamps.into_iter().zip(observed).zip(statuses).zip(there).zip(values);
        let row = |((((stamps, observed_time), status), there), value): ((((_, _), _), bool), Raw)| {
            let (source_time, server_time): (Option<i64>, Option<i64>) = stamps;
            EventRow { source_time, server_time, observed_time, status, value: there.then_some(value) }
        };
        EventColumn { tag, rows: rows.map(row).collect() }
    })
}

fn event_group() -> impl Strategy<Value = Group> {
    let shape = (any::<u16>(), 1..6_usize, prop::collection::btree_map(any::<u16>(), 0..6_usize, 0..5));
    shape.prop_flat_map(|(group, signs, tags)| {
        times(signs).prop_flat_map(move |mut life| {
            life.sort_unstable();
            let columns: Vec<_> = tags.iter().map(|(tag, rows)| event_column(*tag, *rows, life.clone())).collect();
            columns.prop_map(move |columns| Group::Event(EventGroup { group, life: life.clone(), columns }))
        })
    })
}

/// Any groups that can be written.
pub fn groups() -> impl Strategy<Value = Vec<Group>> {
    prop::collection::vec(prop_oneof![scan_group(), event_group()], 0..5)
}

/// One scan group of one tag with these values, one a second from `start`.
pub fn counter(start: i64, values: &[u64]) -> Group {
    let request: Vec<i64> = (0..).take(values.len()).map(|row: i64| start + row * SECOND).collect();
    let response = request.iter().map(|time| time + 2_500_000).collect();
    let values = values.iter().copied().map(Raw::Bits).collect();
    Group::Scan(ScanGroup {
        group: 0,
        request,
        response,
        columns: vec![ScanColumn { tag: 0, values, exceptions: vec![] }],
    })
}
