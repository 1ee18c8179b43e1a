//! Whole stops: how long they were, and whether they were minor.
//!
//! A stop is an unbroken stretch of Down and Waiting, measured whole also over shift boundaries and breaks.
//! It is minor if it is *shorter than* the threshold; one that lasts exactly as long is not. While it has not
//! ended, or its end was not seen, its class is provisional.

use super::hold::Equipment;
use crate::state::Activity;
use crate::time::Interval;

/// A stop.
#[allow(clippy::struct_excessive_bools)] // four independent answers about one stop
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// From its first sample to the first sample of something else.
    pub interval: Interval,
    /// Whether its known length is below the threshold.
    pub minor: bool,
    /// Whether it may have been shorter than the threshold.
    pub may_be_short: bool,
    /// Whether it may have lasted the threshold or longer.
    pub may_be_long: bool,
    /// Whether both its ends were seen; of an open one the class is provisional.
    pub closed: bool,
}

/// The stops of what the equipment says, in order.
pub fn find(equipment: &Equipment, threshold: i64) -> Vec<Stop> {
    let held = &equipment.held;
    let mut stops = Vec::new();
    let mut position = 0;
    while position < held.len() {
        if !held[position].reading.activity.is_stop() {
            position += 1;
            continue;
        }
        let first = position;
        while position < held.len() && held[position].reading.activity.is_stop() {
            position += 1;
        }
        let interval = Interval { start: held[first].interval.start, end: held[position - 1].interval.end };
        let known = |neighbour: Option<&super::Held>| {
            neighbour.is_some_and(|neighbour| neighbour.reading.activity != Activity::Unknown)
        };
        let closed = known(first.checked_sub(1).map(|before| &held[before])) && known(held.get(position));
        let longest = interval.nanos() + slack(equipment, interval.start);
        let shortest = interval.nanos() - slack(equipment, interval.end);
        stops.push(Stop {
            interval,
            minor: interval.nanos() < threshold,
            may_be_short: shortest < threshold,
            may_be_long: !closed || longest >= threshold,
            closed,
        });
    }
    stops
}

/// How long before an edge the other side of it was possible.
fn slack(equipment: &Equipment, edge: crate::time::Timestamp) -> i64 {
    let first = equipment.marks.partition_point(|mark| mark.interval.end < edge);
    let ending = equipment.marks[first..].iter().take_while(|mark| mark.interval.end == edge);
    ending.map(|mark| mark.interval.nanos()).max().unwrap_or(0)
}
