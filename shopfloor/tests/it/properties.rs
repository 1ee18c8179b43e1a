//! Properties of the calculation: time conserved, windows add up, order and duplicates make no difference, and
//! whatever is hidden from it, the truth stays inside the bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shopfloor::evaluate::{self, WorkUnitResult};
use shopfloor::file::plant;
use shopfloor::id::{TagName, WorkUnitId};
use shopfloor::plant::Plant;
use shopfloor::sample::{Sample, StatusCode, Value};
use shopfloor::state::Leaf;
use shopfloor::time::{HOUR, Interval, MINUTE, SECOND, Timestamp};
use shopfloor::unit::Rational;

/// Saturday noon before the clocks go forward in Berlin.
const START: &str = "2026-03-28T11:00:00Z";
const SCAN: i64 = 10 * SECOND;

pub fn factory(zone: &str) -> Plant {
    let text = format!(
        r#"
        schema = 1
        site = {{ id = "s", name = "s", time_zone = "{zone}" }}
        [[state_rule]]
        id = "codes"
        version = 1
        kind = "enumeration"
        state = [
            {{ value = 0, leaf = "IDLE", cause = "idle" }},
            {{ value = 1, leaf = "RUN", cause = "run" }},
            {{ value = 2, leaf = "SETUP", cause = "setup" }},
            {{ value = 3, leaf = "DOWN", cause = "down" }},
            {{ value = 4, leaf = "EXT", cause = "wait" }},
        ]
        [[calendar]]
        id = "c"
        [[calendar.shift]]
        id = "night"
        name = "night"
        start = "20:00"
        end = "06:00"
        weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        break = [{{ start = "01:30", end = "02:30" }}]
        [[calendar.shift]]
        id = "day"
        name = "day"
        start = "07:00"
        end = "19:00"
        weekdays = ["mon", "tue", "wed", "thu", "fri", "sat"]
        [[work_unit]]
        id = "m"
        name = "m"
        calendar = "c"
        state_rule = "codes"
        micro_stop = "5min"
        role = {{ state = "m/state", produced = "m/produced", scrap = "m/scrap", energy = "m/energy" }}
        counter.produced = {{ maximum_rate = {{ amount = 1, per = "10s" }} }}
        counter.scrap = {{ maximum_rate = {{ amount = 1, per = "10s" }} }}
        counter.energy = {{ unit = "Wh", maximum_rate = {{ amount = "0.05", per = "10s" }} }}
        ideal_cycle = [{{ product = "*", time = "12s" }}]
        "#
    );
    plant::parse(&text, "properties").unwrap_or_else(|problems| panic!("{problems}"))
}

/// What a machine really did: each state for so many scans; while it runs, it makes a piece every other scan
/// and takes 50 Wh a scan, else 10.
#[derive(Debug, Clone)]
pub struct Story {
    states: Vec<(i64, i64)>,
}

pub fn story() -> impl Strategy<Value = Story> {
    prop::collection::vec((0..5_i64, 1..400_i64), 20..40).prop_map(|states| Story { states })
}

pub struct Told {
    pub samples: BTreeMap<TagName, Vec<Sample>>,
    pub end: Timestamp,
}

fn start() -> Timestamp {
    Timestamp::parse(START).unwrap()
}

fn sample(at: Timestamp, value: i128) -> Sample {
    Sample {
        at,
        value: Some(Value::Exact(Rational::integer(value))),
        status: StatusCode::GOOD,
        source_time: None,
        observed_time: at,
        request_time: None,
        stale_after: 3 * SCAN,
    }
}

impl Story {
    /// A story that is known beforehand.
    pub fn of(states: &[(i64, i64)]) -> Self {
        Self { states: states.to_vec() }
    }

    /// Scans of the whole story; everything changes on a scan.
    pub fn tell(&self) -> Told {
        let (mut at, mut produced, mut scrap, mut running, mut energy) = (start(), 0, 0, 0, 0);
        let mut samples: BTreeMap<TagName, Vec<Sample>> = BTreeMap::new();
        let mut push = |tag: &str, at, value| samples.entry(tag.parse().unwrap()).or_default().push(sample(at, value));
        for (state, scans) in &self.states {
            for _ in 0..*scans {
                push("m/state", at, i128::from(*state));
                push("m/produced", at, produced);
                push("m/scrap", at, scrap);
                push("m/energy", at, energy);
                energy += if *state == 1 { 50 } else { 10 };
                if *state == 1 {
                    running += 1;
                    produced += running % 2;
                    scrap += i128::from(running % 20 == 1);
                }
                at = at.plus(SCAN);
            }
        }
        Told { samples, end: at }
    }
}

pub fn answer(
    plant: &Plant,
    samples: &BTreeMap<TagName, Vec<Sample>>,
    window: Interval,
    now: Timestamp,
) -> WorkUnitResult {
    let unit: WorkUnitId = "m".parse().unwrap();
    evaluate::work_unit(plant, &unit, samples, &evaluate::span(plant, window), now).unwrap()
}

pub fn window(from: i64, length: i64) -> Interval {
    let start = start().plus(from * SCAN);
    Interval { start, end: start.plus(length * SCAN) }
}

/// Hides scans: from the first for so many, either read badly or not there at all.
pub fn spoiled(
    samples: &BTreeMap<TagName, Vec<Sample>>,
    holes: &[(usize, usize, bool)],
) -> BTreeMap<TagName, Vec<Sample>> {
    let mut spoiled = samples.clone();
    for (first, scans, bad) in holes {
        for samples in spoiled.values_mut() {
            let end = (first + scans).min(samples.len());
            for (position, sample) in samples.iter_mut().enumerate().take(end).skip(*first) {
                // The first sample stays as a Bad one, so that the tag is never without any.
                if *bad || position == 0 {
                    sample.status = StatusCode::BAD_TIMEOUT;
                    sample.value = None;
                } else {
                    sample.at = Timestamp::from_nanos(i64::MIN);
                }
            }
            samples.retain(|sample| sample.at.as_nanos() != i64::MIN);
        }
    }
    spoiled
}

fn leaves(result: &WorkUnitResult) -> Vec<i64> {
    Leaf::ALL.into_iter().map(|leaf| result.times.leaf(leaf)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn time_is_conserved_on_both_axes(
        story in story(), from in -500..3000_i64, length in 1..9000_i64, odd in 0..SCAN, live in 0..9000_i64,
        zone in prop::sample::select(vec!["Europe/Berlin", "Asia/Shanghai", "Asia/Kathmandu", "America/St_Johns"]),
    ) {
        let plant = factory(zone);
        let told = story.tell();
        let mut window = window(from, length);
        window.end = window.end.plus(odd);
        let result = answer(&plant, &told.samples, window, start().plus(live * SCAN));
        prop_assert_eq!(leaves(&result).iter().sum::<i64>(), result.evaluated.nanos());
        prop_assert_eq!(result.times.axes.values().sum::<i64>(), result.evaluated.nanos());
        let mut at = result.evaluated.start;
        for segment in &result.segments {
            prop_assert_eq!(segment.interval.start, at);
            prop_assert!(!segment.interval.is_empty());
            at = segment.interval.end;
        }
        prop_assert_eq!(at, result.evaluated.end);
        for leaf in Leaf::ALL {
            let bounds = result.times.leaf_bounds(leaf);
            prop_assert!(bounds.low <= result.times.leaf(leaf) && result.times.leaf(leaf) <= bounds.high);
        }
    }

    #[test]
    fn a_window_is_the_sum_of_its_parts(story in story(), from in 0..2000_i64, length in 2..4000_i64, share in 1..100_i64) {
        let plant = factory("Europe/Berlin");
        let told = story.tell();
        let whole = window(from, length);
        let middle = whole.start.plus((length * share / 100).clamp(1, length - 1) * SCAN);
        let late = told.end.plus(HOUR);
        let ask = |interval| answer(&plant, &told.samples, interval, late);
        let all = ask(whole);
        let (left, right) = (ask(Interval { end: middle, ..whole }), ask(Interval { start: middle, ..whole }));
        let sum: Vec<i64> = leaves(&left).iter().zip(leaves(&right)).map(|(a, b)| a + b).collect();
        prop_assert_eq!(leaves(&all), sum);
        prop_assert_eq!(all.times.planned_busy, left.times.planned_busy + right.times.planned_busy);
        let point = |result: &WorkUnitResult| result.produced.clone().and_then(|count| count.point);
        if let (Some(all), Some(left), Some(right)) = (point(&all), point(&left), point(&right)) {
            prop_assert_eq!(Some(all), left.checked_add(right));
        }
    }

    #[test]
    fn order_of_arrival_and_duplicates_make_no_difference(
        story in story(), from in 0..2000_i64, length in 1..4000_i64, turn in 0..1000_usize, doubled in 0..1000_usize,
    ) {
        let plant = factory("Europe/Berlin");
        let told = story.tell();
        let late = told.end.plus(HOUR);
        let plain = answer(&plant, &told.samples, window(from, length), late);
        let mut shuffled = told.samples.clone();
        for samples in shuffled.values_mut() {
            let first = turn % samples.len();
            samples.rotate_left(first);
            let again: Vec<_> = samples.iter().take(doubled).cloned().collect();
            samples.extend(again);
            samples.reverse();
        }
        prop_assert_eq!(plain, answer(&plant, &shuffled, window(from, length), late));
    }

    #[test]
    fn complete_scans_give_the_truth_and_hidden_ones_keep_it_inside_the_bounds(
        story in story(), from in 0..1500_i64, length in 1..3000_i64,
        holes in prop::collection::vec((0..6000_usize, 1..200_usize, any::<bool>()), 0..8),
    ) {
        let plant = factory("Asia/Shanghai");
        let told = story.tell();
        let late = told.end.plus(HOUR);
        let scans = i64::try_from(told.samples.values().next().unwrap().len()).unwrap();
        let from = from.min(scans - 2);
        let window = window(from, length.min(scans - 1 - from));
        let truth = answer(&plant, &told.samples, window, late);
        prop_assert_eq!(truth.times.leaf(Leaf::Unknown), 0);
        let seen = |count: &Option<shopfloor::counter::Count>| count.clone().unwrap();
        prop_assert!(seen(&truth.produced).is_exact());

        let spoiled = spoiled(&told.samples, &holes);
        let result = answer(&plant, &spoiled, window, late);
        for leaf in Leaf::ALL {
            // Unknown itself is no part of the truth; production outside the plan is bounded only beside production.
            let outside = matches!(leaf, Leaf::Break | Leaf::Off | Leaf::Maintenance) || truth.times.production_outside_plan > 0;
            if leaf == Leaf::Unknown || outside {
                continue;
            }
            let (bounds, true_time) = (result.times.leaf_bounds(leaf), truth.times.leaf(leaf));
            prop_assert!(bounds.low <= true_time && true_time <= bounds.high, "{leaf}: {true_time} outside {bounds:?}");
        }
        for (found, true_count) in [(&result.produced, &truth.produced), (&result.scrap, &truth.scrap), (&result.good, &truth.good)] {
            let (found, true_count) = (seen(found), seen(true_count).low);
            prop_assert!(found.low <= true_count && found.high.is_none_or(|high| true_count <= high), "{true_count} outside {found:?}");
        }
        if truth.times.production_outside_plan == 0 {
            for (found, true_figure) in [(&result.oee, &truth.oee), (&result.availability, &truth.availability), (&result.effectiveness, &truth.effectiveness)] {
                let (Some(value), Some(low)) = (true_figure.point, found.low) else { continue };
                prop_assert!(low.value() <= value.value());
                prop_assert!(found.high.is_none_or(|high| value.value() <= high.value()), "{value} above {found:?}");
            }
        }
    }
}

#[test]
fn windows_of_a_day_cover_it_without_overlap() {
    let plant = factory("Europe/Berlin");
    let unit: WorkUnitId = "m".parse().unwrap();
    for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-25", 24)] {
        let day = shopfloor::calendar::day(&plant.site.time_zone, date.parse().unwrap());
        assert_eq!(day.nanos(), hours * HOUR);
        let found = evaluate::windows(&plant, &unit, evaluate::WindowKind::Hour, day);
        assert_eq!(i64::try_from(found.len()).unwrap(), hours);
        assert_eq!((found[0].interval.start, found.last().unwrap().interval.end), (day.start, day.end));
        assert!(found.windows(2).all(|pair| pair[0].interval.end == pair[1].interval.start));
        let shifts = evaluate::windows(&plant, &unit, evaluate::WindowKind::Shift, day);
        assert!(shifts.iter().all(|shift| shift.shift.is_some() && shift.interval.nanos() > 8 * HOUR));
        assert!(shifts[0].business_date.to_string().as_str() < date);
        let days = evaluate::windows(&plant, &unit, evaluate::WindowKind::Day, day);
        assert_eq!((days.len(), days[0].interval, days[0].label.as_str()), (1, day, date));
    }
    let odd = Interval { start: start().plus(17 * MINUTE), end: start().plus(18 * MINUTE) };
    assert_eq!(evaluate::windows(&plant, &unit, evaluate::WindowKind::Hour, odd)[0].interval.start, start());
}
