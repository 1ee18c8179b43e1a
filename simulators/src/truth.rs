//! What is true of a machine in a window: time in each state, counts, energy, and the parts of OEE.
//!
//! Computed from the scenario's list of what happened and from the scenario's own calendar. It uses shopfloor's words
//! (instants, exact numbers) and none of its formulas: it is what they are tested against.

use std::collections::BTreeMap;

use serde::Serialize;
use shopfloor::id::WorkUnitId;
use shopfloor::time::{Interval, SECOND};
use shopfloor::unit::Rational;

use crate::calendar::Planned;
use crate::machine::{Activity, Machine, Segment, World};
use crate::points::Signal;
use crate::scenario::{Kind, Product};

/// A category of time. Every instant is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaf {
    /// Value-adding.
    Producing,
    /// A stop shorter than the machine's threshold.
    MinorStop,
    /// Unplanned and technical.
    Down,
    /// Blocked, starved, no material, no operator.
    Waiting,
    /// Product change.
    Setup,
    /// Maintenance that was planned.
    PlannedMaintenance,
    /// Available, nothing ordered.
    NoOrder,
    /// A break of the calendar.
    Break,
    /// No shift.
    OffShift,
}

impl Leaf {
    /// The name, as in `minor_stop`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Producing => "producing",
            Self::MinorStop => "minor_stop",
            Self::Down => "down",
            Self::Waiting => "waiting",
            Self::Setup => "setup",
            Self::PlannedMaintenance => "planned_maintenance",
            Self::NoOrder => "no_order",
            Self::Break => "break",
            Self::OffShift => "off_shift",
        }
    }

    /// The short code, as in `MICRO`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Producing => "RUN",
            Self::MinorStop => "MICRO",
            Self::Down => "DOWN",
            Self::Waiting => "EXT",
            Self::Setup => "SETUP",
            Self::PlannedMaintenance => "PM",
            Self::NoOrder => "IDLE",
            Self::Break => "BREAK",
            Self::OffShift => "OFF",
        }
    }
}

/// The truth about one machine in one window. Durations in nanoseconds, counts in pieces, energy in 0.01 kWh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// Which machine.
    pub work_unit: WorkUnitId,
    /// Which window. Counts and energy are those after its start, up to and including its end.
    pub window: Interval,
    /// Time in each category; categories without time are left out. They add up to the window.
    pub leaves: BTreeMap<Leaf, i64>,
    /// Planned busy time: the window without off time, breaks and planned maintenance. ISO 22400-2.
    pub planned_busy: i64,
    /// Actual production time.
    pub production: i64,
    /// Actual unit setup time.
    pub setup: i64,
    /// Actual unit delay time: minor stops, down, waiting.
    pub delay: i64,
    /// Actual unit down time: no order.
    pub idle: i64,
    /// Pieces made.
    pub produced: u64,
    /// Pieces made that are good.
    pub good: u64,
    /// Pieces made that are scrap.
    pub scrap: u64,
    /// Whether the machine shows its scrap; without that quality cannot be known from its data.
    pub scrap_is_shown: bool,
    /// Steps of the energy meter.
    pub energy: u64,
    /// Planned run time of all pieces made, as an exact number of nanoseconds (`num/den`).
    #[serde(serialize_with = "as_text")]
    pub ideal_of_produced: Rational,
    /// Planned run time of the good pieces, likewise.
    #[serde(serialize_with = "as_text")]
    pub ideal_of_good: Rational,
    /// Production time by planned busy time.
    #[serde(serialize_with = "as_optional_text")]
    pub availability: Option<Rational>,
    /// Planned run time of all pieces by production time.
    #[serde(serialize_with = "as_optional_text")]
    pub effectiveness: Option<Rational>,
    /// Planned run time of the good pieces by that of all pieces; for one product, good pieces by pieces.
    #[serde(serialize_with = "as_optional_text")]
    pub quality_ratio: Option<Rational>,
    /// Planned run time of the good pieces by planned busy time.
    #[serde(serialize_with = "as_optional_text")]
    pub oee: Option<Rational>,
}

/// The truth about `machine` in `window`, which must lie inside the world and begin and end on its quantum for the
/// counts to be those that a scan sees.
pub fn truth(world: &World, machine: &Machine, window: Interval) -> Truth {
    let mut leaves: BTreeMap<Leaf, i64> = BTreeMap::new();
    for (span, planned) in world.calendar().within(window) {
        for (leaf, length) in split(machine, span, planned) {
            *leaves.entry(leaf).or_insert(0) += length;
        }
    }
    let time = |wanted: &[Leaf]| wanted.iter().filter_map(|leaf| leaves.get(leaf)).sum::<i64>();
    let planned_busy = window.nanos() - time(&[Leaf::OffShift, Leaf::Break, Leaf::PlannedMaintenance]);
    let production = time(&[Leaf::Producing]);
    let (before, after) = (machine.at(window.start), machine.at(window.end));
    let (produced, scrap) = (after.produced - before.produced, after.scrap - before.scrap);
    let (ideal_of_produced, ideal_of_good) = ideal_times(machine, window);
    let by = |part: Rational, whole: i64| part.checked_div(Rational::integer(i128::from(whole)));
    Truth {
        work_unit: machine.spec().id.clone(),
        window,
        planned_busy,
        production,
        setup: time(&[Leaf::Setup]),
        delay: time(&[Leaf::MinorStop, Leaf::Down, Leaf::Waiting]),
        idle: time(&[Leaf::NoOrder]),
        leaves,
        produced,
        good: produced - scrap,
        scrap,
        scrap_is_shown: machine.points().iter().any(|point| point.signal == Signal::Scrap),
        energy: after.energy - before.energy,
        ideal_of_produced,
        ideal_of_good,
        availability: by(Rational::integer(i128::from(production)), planned_busy),
        effectiveness: by(ideal_of_produced, production),
        quality_ratio: ideal_of_good.checked_div(ideal_of_produced),
        oee: by(ideal_of_good, planned_busy),
    }
}

/// The categories of a stretch of one plan, piece by piece.
fn split(machine: &Machine, span: Interval, planned: Planned) -> Vec<(Leaf, i64)> {
    match planned {
        Planned::Off => return vec![(Leaf::OffShift, span.nanos())],
        Planned::Break => return vec![(Leaf::Break, span.nanos())],
        Planned::Maintenance | Planned::Work => {}
    }
    inside(machine, span).map(|(part, segment)| (leaf(machine, segment.activity), part.nanos())).collect()
}

/// What happened inside a window, piece by piece.
fn inside(machine: &Machine, window: Interval) -> impl Iterator<Item = (Interval, &Segment)> {
    let segments = machine.segments();
    let first = segments.partition_point(|segment| segment.start <= window.start).saturating_sub(1);
    let known = segments[first..].iter().take_while(move |segment| segment.start < window.end);
    known.zip(first + 1..).filter_map(move |(segment, next)| {
        let end = segments.get(next).map_or(window.end, |next| next.start);
        Some((Interval::new(segment.start, end)?.intersect(window)?, segment))
    })
}

/// The category of an activity. A machine that shows a run contact and nothing else cannot tell why it stands.
fn leaf(machine: &Machine, activity: Activity) -> Leaf {
    match activity {
        Activity::Run => Leaf::Producing,
        Activity::ShortFault | Activity::ShortWait => Leaf::MinorStop,
        Activity::Maintenance => Leaf::PlannedMaintenance,
        Activity::Off => Leaf::OffShift,
        _ if machine.spec().kind == Kind::Dumb => Leaf::Down,
        Activity::Breakdown => Leaf::Down,
        Activity::Waiting => Leaf::Waiting,
        Activity::Setup => Leaf::Setup,
        Activity::NoOrder => Leaf::NoOrder,
    }
}

/// Planned run time of all pieces and of the good ones in a window, product by product.
fn ideal_times(machine: &Machine, window: Interval) -> (Rational, Rational) {
    let mut pieces: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (part, segment) in inside(machine, window).filter(|(_, segment)| segment.activity == Activity::Run) {
        let (before, after) = (machine.at(part.start), machine.at(part.end));
        let entry = pieces.entry(segment.product).or_default();
        entry.0 += after.produced - before.produced;
        entry.1 += after.scrap - before.scrap;
    }
    let mut sums = (Rational::ZERO, Rational::ZERO);
    for (product, (produced, scrap)) in pieces {
        let product = &machine.spec().products[product];
        sums.0 = add(sums.0, ideal(product, produced));
        sums.1 = add(sums.1, ideal(product, produced - scrap));
    }
    sums
}

/// Planned run time of so many pieces, in nanoseconds.
fn ideal(product: &Product, pieces: u64) -> Rational {
    let nanos = i128::from(product.ideal_seconds) * i128::from(SECOND) * i128::from(pieces);
    Rational::new(nanos, i128::from(product.ideal_items)).expect("a scenario has no product of zero items")
}

fn add(a: Rational, b: Rational) -> Rational {
    a.checked_add(b).expect("the run time of any world fits in 128 bits")
}

fn as_text<S: serde::Serializer>(value: &Rational, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}/{}", value.num(), value.den()))
}

#[allow(clippy::ref_option)] // the signature that serde calls
fn as_optional_text<S: serde::Serializer>(value: &Option<Rational>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => as_text(value, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use shopfloor::time::{HOUR, MINUTE, Timestamp};

    use super::*;
    use crate::scenario::Scenario;

    fn demo() -> World {
        let start = Timestamp::parse("2026-11-22T16:00:00Z").unwrap(); // midnight before a Monday
        World::new(&Scenario::builtin("demo").unwrap(), 11, start, 3 * 24 * HOUR)
    }

    #[test]
    fn hours_add_up_to_days_and_days_to_the_window() {
        let world = demo();
        for machine in world.machines() {
            let day = |n: i64| {
                let start = world.range().start.plus(n * 24 * HOUR);
                truth(&world, machine, Interval::new(start, start.plus(24 * HOUR)).unwrap())
            };
            for n in 0..3 {
                let whole = day(n);
                assert_eq!(whole.leaves.values().sum::<i64>(), 24 * HOUR);
                let hours: Vec<Truth> = (0..24)
                    .map(|hour| whole.window.start.plus(hour * HOUR))
                    .map(|start| truth(&world, machine, Interval::new(start, start.plus(HOUR)).unwrap()))
                    .collect();
                assert_eq!(hours.iter().map(|hour| hour.produced).sum::<u64>(), whole.produced);
                assert_eq!(hours.iter().map(|hour| hour.scrap).sum::<u64>(), whole.scrap);
                assert_eq!(hours.iter().map(|hour| hour.energy).sum::<u64>(), whole.energy);
                let mut leaves = BTreeMap::new();
                for (leaf, length) in hours.iter().flat_map(|hour| &hour.leaves) {
                    *leaves.entry(*leaf).or_insert(0) += length;
                }
                assert_eq!(leaves, whole.leaves);
                let ideal = hours.iter().fold(Rational::ZERO, |sum, hour| add(sum, hour.ideal_of_good));
                assert_eq!(ideal, whole.ideal_of_good);
            }
        }
    }

    #[test]
    fn the_factors_multiply_to_the_oee() {
        let world = demo();
        for machine in world.machines() {
            let truth = truth(&world, machine, world.range());
            let product = truth.availability.unwrap().checked_mul(truth.effectiveness.unwrap()).unwrap();
            assert_eq!(product.checked_mul(truth.quality_ratio.unwrap()), truth.oee);
            let oee = truth.oee.unwrap();
            let percent = |n| Rational::new(n, 100).unwrap();
            assert!(percent(30) < oee && oee < percent(98), "{} has an OEE of {}", truth.work_unit, oee.to_f64());
            assert_eq!(truth.planned_busy, truth.production + truth.setup + truth.delay + truth.idle);
        }
    }

    /// A window small enough to count by hand: one run of a known cycle, cut in the middle.
    #[test]
    fn a_run_counted_by_hand() {
        let world = demo();
        let machine = &world.machines()[0];
        let run = machine.segments().iter().find(|s| s.activity == Activity::Run).unwrap();
        let window = Interval::new(run.start, run.start.plus(5 * MINUTE)).unwrap();
        let truth = truth(&world, machine, window);
        assert_eq!(truth.leaves, BTreeMap::from([(Leaf::Producing, 5 * MINUTE)]));
        // 300 s in cycles of 11.6 s: 25 whole ones, and the 26th is not finished.
        assert_eq!(truth.produced, 25);
        assert_eq!(truth.ideal_of_produced, Rational::integer(25 * 11 * i128::from(SECOND)));
        // 9,400 W for 300 s are 2.82 MJ, 78 steps of 36 kJ and a rest.
        assert!((78..=79).contains(&truth.energy));
        assert_eq!(truth.availability, Some(Rational::ONE));
    }

    #[test]
    fn a_window_without_planned_time_has_no_oee() {
        let world = demo();
        let start = Timestamp::parse("2026-11-24T11:30:00+08:00").unwrap();
        let pause = truth(&world, &world.machines()[1], Interval::new(start, start.plus(30 * MINUTE)).unwrap());
        assert_eq!(pause.leaves, BTreeMap::from([(Leaf::Break, 30 * MINUTE)]));
        assert_eq!((pause.oee, pause.availability, pause.produced), (None, None, 0));
    }

    #[test]
    fn planned_maintenance_is_no_loss() {
        let world = demo();
        let start = Timestamp::parse("2026-11-23T08:00:00+08:00").unwrap(); // Monday
        let hour = truth(&world, &world.machines()[0], Interval::new(start, start.plus(HOUR)).unwrap());
        assert_eq!(hour.leaves[&Leaf::PlannedMaintenance], 50 * MINUTE);
        assert_eq!(hour.planned_busy, 10 * MINUTE);
    }
}
