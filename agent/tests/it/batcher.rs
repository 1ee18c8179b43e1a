//! The batcher: what goes in comes out once, in order, in bounded batches that stand alone.

use agent::batcher::{Batcher, Layout, RING_BYTES, replay};
use agent::config::Recording;
use agent::queue::journal;
use agent::source::Reading;
use proptest::prelude::*;
use shopfloor::register_map::RegisterMap;
use shopfloor::sample::StatusCode;
use shopfloor::time::{SECOND, Timestamp};
use shopfloor::wire::section::{EventRow, Group, Raw};

use super::support::{head, parse};

const RECORDING: Recording =
    Recording { block_interval: 10 * SECOND, journal_commit: SECOND, empty_block: 60 * SECOND, block_bytes: 4096 };

/// Group 0: two Modbus tags in two sections. Group 1: two OPC UA tags.
fn map() -> RegisterMap {
    let text = head(std::path::Path::new("/unused"))
        + r#"
[[source]]
id = "modbus"
protocol = "modbus-tcp"
host = "127.0.0.1"
unit = 1
address_base = 0
[[source.tag]]
name = "m/state"
area = "holding"
address = 0
type = "u16"
interval = "1s"
section = "kpi"
[[source.tag]]
name = "m/heat"
area = "holding"
address = 1
type = "u16"
interval = "1s"
section = "process"
[[source]]
id = "opcua"
protocol = "opc-ua"
endpoint = "opc.tcp://127.0.0.1:4840/"
insecure = true
[[source.tag]]
name = "o/state"
node = "nsu=urn:x;s=a"
type = "i32"
section = "kpi"
[[source.tag]]
name = "o/heat"
node = "nsu=urn:x;s=b"
type = "f64"
section = "kpi"
"#;
    (*agent::source::assemble(&parse(&text)).map).clone()
}

fn scan(seconds: i64, words: [u64; 2]) -> Reading {
    let at = seconds * SECOND;
    Reading::Scan { group: 0, request: at, response: at + 5, status: StatusCode::GOOD, words: words.to_vec() }
}

fn event(column: u16, seconds: i64, bits: u64) -> Reading {
    let at = seconds * SECOND;
    let row = EventRow {
        source_time: Some(at - 7),
        server_time: None,
        observed_time: at,
        status: StatusCode::GOOD,
        value: Some(Raw::Bits(bits)),
    };
    Reading::Events { group: 1, rows: vec![(column, row)] }
}

fn life(seconds: i64) -> Reading {
    Reading::Life { group: 1, at: seconds * SECOND }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// The groups of the next closed batch.
fn next(batcher: &mut Batcher) -> Option<Vec<Group>> {
    let batch = batcher.take_ready()?;
    Some(batch.sections(&Layout::of(&map())).into_iter().flat_map(|(_, groups)| groups).collect())
}

fn event_rows(groups: &[Group], tag: u16) -> Vec<EventRow> {
    let columns = groups.iter().filter_map(|g| if let Group::Event(e) = g { Some(&e.columns) } else { None });
    columns.flatten().filter(|c| c.tag == tag).flat_map(|c| c.rows.clone()).collect()
}

#[test]
fn a_batch_closes_at_multiples_of_the_interval_and_when_it_was_empty_for_long() {
    let mut batcher = Batcher::new(Layout::of(&map()), RECORDING, at(1003));
    batcher.push(scan(1004, [1, 2]));
    batcher.close_due(at(1009), false);
    assert!(batcher.take_ready().is_none());
    batcher.close_due(at(1010), false);
    assert_eq!(batcher.take_ready().unwrap().samples, 2);
    batcher.close_due(at(1069), false);
    assert!(batcher.take_ready().is_none());
    batcher.close_due(at(1070), false);
    assert!(batcher.take_ready().unwrap().is_empty(), "silence is visible after 60 s");
}

#[test]
fn a_group_with_tags_in_two_sections_shows_its_times_in_both() {
    let mut batcher = Batcher::new(Layout::of(&map()), RECORDING, at(0));
    batcher.push(scan(1, [1, 2]));
    batcher.close_due(at(1), true);
    let sections = batcher.take_ready().unwrap().sections(&Layout::of(&map()));
    let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["kpi", "process"]);
    for ((_, groups), value) in sections.iter().zip([1, 2]) {
        let Group::Scan(scan) = &groups[0] else { panic!("a scan group") };
        assert_eq!((scan.request.as_slice(), scan.response.as_slice()), (&[SECOND][..], &[SECOND + 5][..]));
        assert_eq!(scan.columns[0].values, [Raw::Bits(value)]);
    }
}

#[test]
fn an_event_column_begins_with_the_last_known_row_and_its_original_times() {
    let mut batcher = Batcher::new(Layout::of(&map()), RECORDING, at(0));
    batcher.push(event(0, 1, 7));
    batcher.push(life(1));
    batcher.close_due(at(10), false);
    let first = next(&mut batcher).unwrap();
    assert_eq!(event_rows(&first, 2).len(), 1);
    batcher.push(event(1, 12, 8));
    batcher.push(life(12));
    batcher.close_due(at(20), false);
    let second = next(&mut batcher).unwrap();
    assert_eq!(event_rows(&second, 2), event_rows(&first, 2), "restated as it was");
    assert_eq!(event_rows(&second, 3).len(), 1);
    batcher.push(scan(21, [1, 2]));
    batcher.close_due(at(30), false);
    let third = next(&mut batcher).unwrap();
    assert!(third.iter().all(|g| g.group() == 0), "without life nothing is restated: {third:?}");
}

#[test]
fn life_signs_are_a_second_apart_and_the_newest_is_never_lost() {
    let mut batcher = Batcher::new(Layout::of(&map()), RECORDING, at(0));
    batcher.push(event(0, 1, 7));
    for tenth in 10..=34 {
        batcher.push(Reading::Life { group: 1, at: tenth * SECOND / 10 });
    }
    assert_eq!(batcher.newest_life(1), Some(34 * SECOND / 10));
    batcher.close_due(at(10), false);
    let groups = next(&mut batcher).unwrap();
    let Some(Group::Event(event)) = groups.first() else { panic!("an event group") };
    assert_eq!(event.life, [SECOND, 2 * SECOND, 3 * SECOND, 34 * SECOND / 10]);
}

#[test]
fn while_the_disk_takes_nothing_memory_is_bounded_and_the_oldest_goes_and_is_counted() {
    let recording = Recording { block_bytes: 256 << 10, ..RECORDING };
    let mut batcher = Batcher::new(Layout::of(&map()), recording, at(0));
    let mut pushed = 0;
    while batcher.drops().is_empty() {
        batcher.push(scan(pushed, [u64::MAX, u64::MAX]));
        pushed += 1;
        assert!(batcher.bytes() <= RING_BYTES + (512 << 10), "bounded");
    }
    let dropped: u64 = batcher.drops().values().sum();
    batcher.close_due(at(pushed), true);
    let mut kept = 0;
    let mut first = None;
    while let Some(batch) = batcher.take_ready() {
        kept += batch.samples;
        first = first.or(batch.observed);
    }
    assert_eq!(dropped + kept, 2 * pushed.cast_unsigned(), "every sample is kept or counted");
    assert!(first.unwrap().0 > 5, "the oldest went");
}

proptest! {
    /// However batches are closed, each reading is in exactly one of them, in order, and what the journal would give
    /// back after a kill is the same.
    #[test]
    fn what_goes_in_comes_out_once_and_in_order(
        readings in prop::collection::vec((0_u64..1000, 0_u8..3, any::<bool>()), 1..120),
        block_bytes in 40_usize..400,
    ) {
        let recording = Recording { block_bytes, ..RECORDING };
        let layout = Layout::of(&map());
        let mut batcher = Batcher::new(layout.clone(), recording, at(0));
        let (mut scans, mut events, mut journal) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups: Vec<Vec<Group>> = Vec::new();
        let mut replayed: Vec<Group> = Vec::new();
        for (second, (value, kind, close)) in (1..).zip(&readings) {
            match kind {
                0 => {
                    batcher.push(scan(second, [*value, value + 1]));
                    scans.push(Raw::Bits(*value));
                }
                1 => {
                    batcher.push(event(0, second, *value));
                    batcher.push(life(second));
                    events.push(Raw::Bits(*value));
                }
                _ => batcher.push(life(second)),
            }
            if *close {
                batcher.close_due(at(second), true);
            }
            while let Some(pending) = batcher.take_pending() {
                journal.extend(journal::decode(&pending.bytes).unwrap());
            }
        }
        batcher.close_due(at(1000), true);
        while let Some(batch) = next(&mut batcher) {
            groups.push(batch);
        }
        replayed.extend(replay(&layout, journal).sections(&layout).into_iter().flat_map(|(_, groups)| groups));
        let column = |groups: &[Group]| -> Vec<Raw> {
            let scan = |g: &Group| match g {
                Group::Scan(s) => s.columns.iter().filter(|c| c.tag == 0).flat_map(|c| c.values.clone()).collect(),
                Group::Event(_) => Vec::new(),
            };
            groups.iter().flat_map(scan).collect()
        };
        prop_assert_eq!(groups.iter().flat_map(|g| column(g)).collect::<Vec<_>>(), scans.clone());
        prop_assert_eq!(column(&replayed), scans);
        let mut seen: Vec<EventRow> = Vec::new();
        for batch in &groups {
            for row in event_rows(batch, 2) {
                if !seen.contains(&row) {
                    seen.push(row);
                }
            }
        }
        prop_assert_eq!(seen.iter().map(|r| r.value.clone().unwrap()).collect::<Vec<_>>(), events.clone());
        prop_assert_eq!(event_rows(&replayed, 2).len(), events.len());
    }
}
