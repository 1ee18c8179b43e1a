//! Time elements of ISO 22400: a timeline added up, in nanoseconds, to the last one.

use std::collections::BTreeMap;

use crate::calendar::PlannedKind;
use crate::state::{Activity, Leaf};
use crate::timeline::Timeline;
use crate::unit::Bounds;

/// Where the time of an interval went. All in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Times {
    /// Length of the interval; the sum of the leaves.
    pub total: i64,
    /// Time in each leaf under the convention; all eleven leaves.
    pub leaves: BTreeMap<Leaf, i64>,
    /// Least and most time in each leaf that the samples allow; all eleven leaves.
    pub bounds: BTreeMap<Leaf, Bounds<i64>>,
    /// Both axes of the ledger: what was planned by what the equipment said. Its sum is `total` too.
    pub axes: BTreeMap<(PlannedKind, Activity), i64>,
    /// Planned operation time (POT): shifts less breaks.
    pub planned_operation: i64,
    /// Planned downtime (PDOT): planned maintenance inside shifts.
    pub planned_down: i64,
    /// Planned busy time: PBT = POT - PDOT. ISO 22400-2, planned busy time.
    pub planned_busy: i64,
    /// Actual production time: APT, wherever it happened. ISO 22400-2, actual production time.
    pub production: i64,
    /// The part of APT outside planned busy time.
    pub production_outside_plan: i64,
    /// Actual unit setup time: AUST. ISO 22400-2, actual unit setup time.
    pub setup: i64,
    /// Actual unit delay time: ADET = minor stops + down + waiting. ISO 22400-2, actual unit delay time.
    pub delay: i64,
    /// Actual unit down time: ADOT, available without an order. ISO 22400-2, actual unit down time.
    pub no_order: i64,
    /// Unknown inside planned busy time.
    pub unknown: i64,
}

impl Times {
    /// Time in one leaf.
    pub fn leaf(&self, leaf: Leaf) -> i64 {
        self.leaves.get(&leaf).copied().unwrap_or(0)
    }

    /// Least and most time in one leaf.
    pub fn leaf_bounds(&self, leaf: Leaf) -> Bounds<i64> {
        self.bounds.get(&leaf).copied().unwrap_or(Bounds::exact(0))
    }
}

/// Adds a timeline up; `production` names the leaves that are actual production time.
pub fn measure(timeline: &Timeline, production: &[Leaf]) -> Times {
    let mut times =
        Times { leaves: Leaf::ALL.map(|leaf| (leaf, 0)).into(), bounds: timeline.bounds.clone(), ..Times::default() };
    for segment in &timeline.segments {
        let nanos = segment.interval.nanos();
        times.total += nanos;
        *times.leaves.entry(segment.leaf).or_default() += nanos;
        *times.axes.entry((segment.planned, segment.activity)).or_default() += nanos;
        match segment.planned {
            PlannedKind::Busy => times.planned_busy += nanos,
            PlannedKind::Maintenance => times.planned_down += nanos,
            PlannedKind::Break | PlannedKind::Off => {}
        }
        if production.contains(&segment.leaf) {
            times.production += nanos;
            if segment.planned != PlannedKind::Busy {
                times.production_outside_plan += nanos;
            }
        }
    }
    times.planned_operation = times.planned_busy + times.planned_down;
    times.setup = times.leaf(Leaf::Setup);
    times.delay = times.leaf(Leaf::Micro) + times.leaf(Leaf::Down) + times.leaf(Leaf::External);
    times.no_order = times.leaf(Leaf::Idle);
    times.unknown = times.leaf(Leaf::Unknown);
    times
}

/// Least and most production time over several leaves.
pub fn production_bounds(times: &Times, production: &[Leaf]) -> Bounds<i64> {
    production.iter().fold(Bounds::exact(0), |sum, leaf| {
        let leaf = times.leaf_bounds(*leaf);
        Bounds { low: sum.low + leaf.low, high: sum.high + leaf.high }
    })
}
