//! The timeline of a work unit: ordered, gap-free segments; what is not known is Unknown.
//!
//! **Convention.** A state holds from its sample to the next sample of that tag, and for at most `stale_after`;
//! a Bad sample makes the state Unknown from that instant. What lies between two samples that differ could be
//! either, so every edge widens the bounds by the gap before it; two samples that agree are taken to agree in
//! between. [`hold`] turns samples into what the equipment says, [`stops`] measures whole stops, and here both
//! meet the calendar.

use std::collections::BTreeMap;

use crate::calendar::{PlannedKind, PlannedSpan};
use crate::id::ShiftId;
use crate::state::{Activity, ActivitySet, Leaf, LeafSet};
use crate::time::{Interval, Timestamp};
use crate::unit::Bounds;

pub mod hold;
pub mod samples;
pub mod stops;

pub use hold::{Equipment, Held, Mark};
use stops::Stop;

/// A stretch of time in one leaf with one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// When.
    pub interval: Interval,
    /// In which leaf of the ledger.
    pub leaf: Leaf,
    /// What the equipment said.
    pub activity: Activity,
    /// What the calendar said.
    pub planned: PlannedKind,
    /// The shift, inside one.
    pub shift: Option<ShiftId>,
    /// Code of the cause, from the state rule.
    pub cause: String,
    /// Whether the class may still change: a short stop that has not ended, or whose end nobody saw.
    pub provisional: bool,
}

/// The account of an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Segments that cover the interval and overlap nowhere.
    pub segments: Vec<Segment>,
    /// Least and most nanoseconds of each leaf that the samples allow; all eleven leaves.
    pub bounds: BTreeMap<Leaf, Bounds<i64>>,
    /// Stops shorter than the threshold that end inside the interval (or have not ended).
    pub micro_stops: u64,
}

/// Lays what the equipment said over what was planned; `planned` covers exactly the interval to account for.
pub fn build(equipment: &Equipment, planned: &[PlannedSpan], micro_stop: i64) -> Timeline {
    let whole = Interval {
        start: planned.first().map_or(Timestamp::default(), |span| span.interval.start),
        end: planned.last().map_or(Timestamp::default(), |span| span.interval.end),
    };
    let stops = stops::find(equipment, micro_stop);
    let mut segments = Vec::new();
    let mut bounds: BTreeMap<Leaf, Bounds<i64>> = Leaf::ALL.map(|leaf| (leaf, Bounds::exact(0))).into();
    let mut marks = Marks::new(&equipment.marks);
    let mut span = planned.iter().peekable();
    let mut stop = stops.iter().peekable();
    for (position, held) in equipment.held.iter().enumerate() {
        let Some(inside) = held.interval.intersect(whole) else { continue };
        while stop.peek().is_some_and(|stop| stop.interval.end <= held.interval.start) {
            stop.next();
        }
        let stop = stop.peek().filter(|stop| held.reading.activity.is_stop() && stop.interval.contains(inside.start));
        let borders_on_run = held.reading.activity == Activity::Unknown && borders_on_run(&equipment.held, position);
        while let Some(plan) = span.peek() {
            let Some(part) = plan.interval.intersect(inside) else {
                if plan.interval.end <= inside.start {
                    span.next();
                    continue;
                }
                break;
            };
            push(&mut segments, segment(part, plan, held, stop.copied()));
            marks.each(part, |piece, open| {
                let set = possible(plan.kind, held.reading.activity, stop.copied(), open, borders_on_run);
                tally(&mut bounds, piece.nanos(), set);
            });
            if plan.interval.end > inside.end {
                break;
            }
            span.next();
        }
    }
    let minor = |stop: &&Stop| stop.minor && whole.contains(stop.interval.end.plus(-1));
    Timeline { segments, bounds, micro_stops: stops.iter().filter(minor).count() as u64 }
}

fn segment(part: Interval, plan: &PlannedSpan, held: &Held, stop: Option<&Stop>) -> Segment {
    let leaf = Leaf::of(plan.kind, held.reading.activity, stop.is_some_and(|stop| stop.minor));
    Segment {
        interval: part,
        leaf,
        activity: held.reading.activity,
        planned: plan.kind,
        shift: plan.shift.clone(),
        cause: held.reading.cause.clone(),
        provisional: leaf == Leaf::Micro && stop.is_some_and(|stop| !stop.closed),
    }
}

fn push(segments: &mut Vec<Segment>, next: Segment) {
    match segments.last_mut() {
        Some(last)
            if last.interval.end == next.interval.start
                && (last.leaf, last.activity, last.planned, &last.shift, &last.cause, last.provisional)
                    == (next.leaf, next.activity, next.planned, &next.shift, &next.cause, next.provisional) =>
        {
            last.interval.end = next.interval.end;
        }
        _ => segments.push(next),
    }
}

/// Whether the unknown time around a held reading begins or ends with production.
fn borders_on_run(held: &[Held], position: usize) -> bool {
    let running = |held: &Held| held.reading.activity == Activity::Run;
    let known = |held: &&Held| held.reading.activity != Activity::Unknown;
    held[..position].iter().rev().find(known).is_some_and(running)
        || held[position + 1..].iter().find(known).is_some_and(running)
}

/// The leaves that an instant may belong to. Outside planned time, unknown time may be production only where it
/// borders on production: nobody takes a dark night shift that was never planned for a running machine.
fn possible(
    planned: PlannedKind,
    activity: Activity,
    stop: Option<&Stop>,
    open: ActivitySet,
    borders_on_run: bool,
) -> LeafSet {
    let mut set = LeafSet::default();
    let mut include = |activity: Activity, stop: Option<&Stop>| {
        let (may_be_short, may_be_long) = stop.map_or((true, true), |stop| (stop.may_be_short, stop.may_be_long));
        if may_be_long || !activity.is_stop() {
            set = set.with(LeafSet::of(Leaf::of(planned, activity, false)));
        }
        if may_be_short && activity.is_stop() {
            set = set.with(LeafSet::of(Leaf::of(planned, activity, true)));
        }
    };
    include(activity, stop);
    let open = if activity == Activity::Unknown { ActivitySet::ANY } else { open };
    for other in Activity::ALL.into_iter().filter(|other| open.has(*other) && *other != activity) {
        let planned_here = planned == PlannedKind::Busy;
        if other == Activity::Run && activity == Activity::Unknown && !planned_here && !borders_on_run {
            continue;
        }
        include(other, None);
    }
    set
}

fn tally(bounds: &mut BTreeMap<Leaf, Bounds<i64>>, nanos: i64, set: LeafSet) {
    for leaf in Leaf::ALL {
        let bound = bounds.get_mut(&leaf).expect("every leaf has its bounds");
        if set.has(leaf) {
            bound.high += nanos;
        }
        if set.is_only(leaf) {
            bound.low += nanos;
        }
    }
}

/// Walks the marks in order of time beside the segments.
struct Marks {
    sorted: Vec<Mark>,
    next: usize,
    active: Vec<Mark>,
}

impl Marks {
    fn new(marks: &[Mark]) -> Self {
        let mut sorted = marks.to_vec();
        sorted.sort_by_key(|mark| mark.interval);
        Self { sorted, next: 0, active: Vec::new() }
    }

    /// Cuts `part` where marks begin or end, and says for each piece what the marks leave open there.
    fn each(&mut self, part: Interval, mut visit: impl FnMut(Interval, ActivitySet)) {
        let mut start = part.start;
        while start < part.end {
            while let Some(mark) = self.sorted.get(self.next).filter(|mark| mark.interval.start <= start) {
                self.active.push(*mark);
                self.next += 1;
            }
            self.active.retain(|mark| mark.interval.end > start);
            let mut end = part.end;
            if let Some(mark) = self.sorted.get(self.next) {
                end = end.min(mark.interval.start);
            }
            end = self.active.iter().fold(end, |end, mark| end.min(mark.interval.end));
            let open = self.active.iter().fold(ActivitySet::default(), |set, mark| set.with(mark.open));
            visit(Interval { start, end }, open);
            start = end;
        }
    }
}

#[cfg(test)]
mod tests;
