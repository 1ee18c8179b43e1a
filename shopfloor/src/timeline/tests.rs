//! Tests of the timeline: what holds how long, what edges leave open, whole stops.

use std::collections::BTreeMap;

use super::*;
use crate::plant::Role;
use crate::sample::{Sample, StatusCode, Value};
use crate::state::catalog;
use crate::time::SECOND;

const SCAN: i64 = 10;

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn interval(start: i64, end: i64) -> Interval {
    Interval { start: at(start), end: at(end) }
}

/// A text sample that holds for 30 s; an empty text is a failed read.
fn sample(second: i64, text: &str) -> Sample {
    Sample {
        at: at(second),
        value: (!text.is_empty()).then(|| Value::Text(text.into())),
        status: if text.is_empty() { StatusCode::BAD_TIMEOUT } else { StatusCode::GOOD },
        source_time: None,
        observed_time: at(second),
        request_time: None,
        stale_after: 3 * SCAN * SECOND,
    }
}

fn account(samples: &[Sample], window: Interval, threshold: i64) -> Timeline {
    let rule = catalog::builtin("mtconnect").unwrap();
    let tags = BTreeMap::from([(Role::State, samples)]);
    let last = samples.iter().map(|sample| sample.at).max().unwrap_or(window.end).max(window.end);
    let domain = Interval { start: window.start.plus(-1000 * SECOND), end: last };
    let equipment = hold::equipment(&rule, &tags, domain, None, last);
    let planned = [PlannedSpan {
        interval: window,
        kind: PlannedKind::Busy,
        shift: None,
        business_date: jiff::civil::date(2026, 11, 25),
    }];
    build(&equipment, &planned, threshold * SECOND)
}

fn show(timeline: &Timeline) -> String {
    let one = |segment: &Segment| format!("{}{} ", segment.leaf, segment.interval.nanos() / SECOND);
    timeline.segments.iter().map(one).collect::<String>().trim_end().to_owned()
}

fn bounds(timeline: &Timeline, leaf: Leaf) -> (i64, i64) {
    let bounds = timeline.bounds[&leaf];
    (bounds.low / SECOND, bounds.high / SECOND)
}

#[test]
fn the_first_state_is_the_last_one_before_the_window() {
    let samples = [sample(-5, "ACTIVE"), sample(15, "ACTIVE"), sample(25, "STOPPED")];
    assert_eq!(show(&account(&samples, interval(0, 40), 0)), "RUN25 DOWN15");
    let old = [sample(-40, "ACTIVE"), sample(15, "ACTIVE"), sample(25, "STOPPED")];
    assert_eq!(show(&account(&old, interval(0, 40), 0)), "UNK15 RUN10 DOWN15");
}

#[test]
fn the_last_state_ends_with_coverage_and_not_with_the_window() {
    let samples = [sample(0, "ACTIVE"), sample(10, "ACTIVE")];
    let timeline = account(&samples, interval(0, 100), 0);
    assert_eq!(show(&timeline), "RUN40 UNK60");
    // From the last look on anything may have happened: 10 s for sure, the whole window at most.
    assert_eq!(bounds(&timeline, Leaf::Run), (10, 100));
}

#[test]
fn an_edge_lies_between_its_two_samples() {
    let samples =
        [sample(0, "ACTIVE"), sample(10, "READY"), sample(20, "READY"), sample(30, "ACTIVE"), sample(40, "ACTIVE")];
    let timeline = account(&samples, interval(0, 40), 0);
    assert_eq!(show(&timeline), "RUN10 IDLE20 RUN10");
    assert_eq!(bounds(&timeline, Leaf::Run), (10, 30));
    assert_eq!(bounds(&timeline, Leaf::Idle), (10, 30));
    assert_eq!(bounds(&timeline, Leaf::Down), (0, 0));
}

#[test]
fn a_failed_read_ends_what_was_known_at_once() {
    let samples = [sample(0, "ACTIVE"), sample(10, ""), sample(20, "ACTIVE"), sample(30, "ACTIVE")];
    assert_eq!(show(&account(&samples, interval(0, 30), 0)), "RUN10 UNK10 RUN10");
}

#[test]
fn a_stop_as_long_as_the_threshold_is_not_minor_and_its_edges_leave_that_open() {
    let samples: Vec<_> =
        (0..8).map(|scan| sample(scan * SCAN, if (2..5).contains(&scan) { "STOPPED" } else { "ACTIVE" })).collect();
    let exactly = account(&samples, interval(0, 70), 30);
    assert_eq!(show(&exactly), "RUN20 DOWN30 RUN20");
    // It may have begun up to 10 s earlier and ended up to 10 s earlier: 20 to 40 s.
    assert_eq!(bounds(&exactly, Leaf::Micro), (0, 40));
    assert_eq!(bounds(&exactly, Leaf::Down), (0, 40));
    let clear = account(&samples, interval(0, 70), 41);
    assert_eq!(show(&clear), "RUN20 MICRO30 RUN20");
    assert_eq!((clear.micro_stops, clear.segments[1].provisional), (1, false));
    assert_eq!(bounds(&clear, Leaf::Down).0, 0);
    assert_eq!(bounds(&clear, Leaf::Micro).0, 20);
}

#[test]
fn a_stop_that_nobody_saw_end_is_provisional() {
    let samples = [sample(0, "ACTIVE"), sample(10, "STOPPED"), sample(20, "STOPPED")];
    let timeline = account(&samples, interval(0, 25), 60);
    assert_eq!(show(&timeline), "RUN10 MICRO15");
    assert!(timeline.segments[1].provisional);
    let samples = [sample(0, "ACTIVE"), sample(10, "STOPPED"), sample(20, ""), sample(30, "ACTIVE")];
    let timeline = account(&samples, interval(0, 30), 60);
    assert_eq!(show(&timeline), "RUN10 MICRO10 UNK10");
    assert!(timeline.segments[1].provisional);
}

#[test]
fn of_rivals_for_one_instant_the_one_seen_last_counts() {
    let mut late = sample(10, "READY");
    late.observed_time = at(12);
    let samples = [late, sample(0, "ACTIVE"), sample(10, "STOPPED"), sample(20, "READY")];
    assert_eq!(show(&account(&samples, interval(0, 20), 0)), "RUN10 IDLE10");
}

#[test]
fn nothing_at_all_is_unknown() {
    assert_eq!(show(&account(&[], interval(0, 20), 60)), "UNK20");
}
