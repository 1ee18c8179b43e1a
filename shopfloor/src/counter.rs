//! Counters: from readings of a totalizer to what was counted in a stretch of time, as an interval.
//!
//! Each step between consecutive good readings is classified and is worth an interval, never a guess. Exact to
//! the end: nothing passes through a float. A reading at `t` includes what happened up to and at `t`, so a
//! window `[s, e)` counts the reading at `e` less the reading at `s`; a step that straddles an edge belongs to
//! the window in which it was read, and the bounds say how far that may be wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plant::{CounterPolicy, ResetPolicy};
use crate::time::{Interval, Timestamp};
use crate::unit::Rational;

/// A good reading of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When it was read.
    pub at: Timestamp,
    /// What it showed, in the tag's own value.
    pub value: Rational,
    /// Until when the counter is known to have been watched: the next sample of any quality, or staleness.
    pub watched_until: Timestamp,
}

/// How a step between two readings was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepClass {
    /// Forward, and not faster than is plausible.
    Normal,
    /// Past the modulus.
    Rollover,
    /// Set to zero; the parts after it are kept.
    Reset,
    /// Faster than is plausible: preset, replaced device or wrong decoding.
    Jump,
    /// A little backward: corrected by hand, or read torn.
    Decrease,
    /// Rollover and reset both fit.
    Ambiguous,
    /// Forward over unwatched time: the total is exact, the timing is not.
    Gap,
    /// Time before the first reading or after the last.
    Unread,
}

impl StepClass {
    /// The word in the API and in remarks.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Rollover => "rollover",
            Self::Reset => "reset",
            Self::Jump => "jump",
            Self::Decrease => "decrease",
            Self::Ambiguous => "ambiguous",
            Self::Gap => "gap",
            Self::Unread => "unread",
        }
    }
}

/// What was counted between two instants, in pieces (or kWh).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// From the earlier reading (or edge) to the later.
    pub interval: Interval,
    /// The least.
    pub low: Rational,
    /// The most; `None` if no bound is known.
    pub high: Option<Rational>,
    /// The value under the convention, where it is defined.
    pub point: Option<Rational>,
    /// How it was understood.
    pub class: StepClass,
    /// Whether part of it was unwatched.
    pub gap: bool,
}

/// What was counted, as far as the readings determine it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The least that the readings allow.
    pub low: Rational,
    /// The most; `None` if no upper bound is known.
    pub high: Option<Rational>,
    /// The value under the convention; `None` where it is not defined.
    pub point: Option<Rational>,
    /// How many steps of each class it is made of; steps of nothing are not counted.
    pub steps: BTreeMap<StepClass, u64>,
}

impl Count {
    /// Nothing.
    pub const ZERO: Self =
        Self { low: Rational::ZERO, high: Some(Rational::ZERO), point: Some(Rational::ZERO), steps: BTreeMap::new() };

    /// The sum of steps; `None` where a sum does not fit the exact numbers.
    pub fn sum(parts: &[Step]) -> Option<Self> {
        let mut count = Self::ZERO;
        for part in parts {
            count.low = count.low.checked_add(part.low)?;
            count.high = add(count.high, part.high)?;
            count.point = add(count.point, part.point)?;
            *count.steps.entry(part.class).or_default() += 1;
        }
        Some(count)
    }

    /// Whether low, point and high are one.
    pub fn is_exact(&self) -> bool {
        self.high == Some(self.low) && self.point == Some(self.low)
    }
}

/// `Some(None)` if either is unbounded, `None` on overflow.
#[allow(clippy::option_option)] // an unknown bound and an overflow are two things
fn add(a: Option<Rational>, b: Option<Rational>) -> Option<Option<Rational>> {
    match (a, b) {
        (Some(a), Some(b)) => a.checked_add(b).map(Some),
        _ => Some(None),
    }
}

/// What was counted in `interval`: the steps that touch it, each with its share, and the unread ends.
///
/// `readings` are in order of time and include, for an exact answer, one at or before the start and one at or
/// after the end. Steps of nothing are left out.
pub fn within(readings: &[Reading], policy: &CounterPolicy, interval: Interval) -> Vec<Step> {
    if interval.is_empty() {
        return Vec::new();
    }
    let rule = Rule { policy };
    let mut found = Vec::new();
    match readings.first() {
        None => found.push(rule.unread(interval, None)),
        Some(first) if first.at > interval.start => {
            let end = first.at.min(interval.end);
            found.push(rule.unread(Interval { start: interval.start, end }, None));
        }
        Some(_) => {}
    }
    let first = readings.partition_point(|reading| reading.at <= interval.start).saturating_sub(1);
    for pair in readings[first.min(readings.len())..].windows(2) {
        if pair[0].at >= interval.end {
            break;
        }
        if pair[0].value != pair[1].value {
            found.extend(rule.share(rule.step(&pair[0], &pair[1]), interval));
        }
    }
    if let Some(last) = readings.last().filter(|last| last.at < interval.end) {
        let start = last.at.max(interval.start);
        found.push(rule.unread(Interval { start, end: interval.end }, Some(last.watched_until)));
    }
    found
}

struct Rule<'a> {
    policy: &'a CounterPolicy,
}

impl Rule<'_> {
    fn step(&self, from: &Reading, to: &Reading) -> Step {
        let interval = Interval { start: from.at, end: to.at };
        let gap = from.watched_until < to.at;
        let most = self.most(interval.nanos());
        let plain = |low, high, point, class| Step { interval, low, high, point, class, gap };
        let exact = |value, class| plain(value, Some(value), Some(value), class);
        if to.value > from.value {
            let forward = self.counted(from.value, to.value);
            return if most.is_none_or(|most| forward <= most) {
                exact(forward, if gap { StepClass::Gap } else { StepClass::Normal })
            } else {
                // The device was preset or replaced, or the words were read wrongly: anything up to what the
                // machine could make in the time.
                plain(Rational::ZERO, most, None, StepClass::Jump)
            };
        }
        let rollover = self.rollover(from.value, to.value).filter(|count| most.is_none_or(|most| *count <= most));
        let after_reset = self.counted(Rational::ZERO, to.value);
        let reset = Step {
            class: StepClass::Reset,
            ..plain(after_reset, self.high(after_reset, most), None, StepClass::Reset)
        };
        // The convention for a reset: the parts after it, which the counter shows.
        let reset = Step { point: Some(after_reset), ..reset };
        match (rollover, self.policy.reset) {
            (Some(count), ResetPolicy::Never) => exact(count, StepClass::Rollover),
            (Some(count), _) => {
                let high = reset.high.map(|high| high.max(count));
                plain(count.min(after_reset), high, None, StepClass::Ambiguous)
            }
            (None, ResetPolicy::Never) if twice(to.value).is_some_and(|twice| twice > from.value) => {
                plain(Rational::ZERO, most, None, StepClass::Decrease)
            }
            (None, _) => reset,
        }
    }

    /// The part of a step that belongs to `interval`; nothing if they only touch.
    fn share(&self, step: Step, interval: Interval) -> Option<Step> {
        let common = step.interval.intersect(interval)?;
        if common == step.interval {
            return Some(step);
        }
        let outside = self.most(step.interval.nanos() - common.nanos());
        let low = outside.and_then(|most| step.low.checked_sub(most)).unwrap_or(Rational::ZERO).max(Rational::ZERO);
        let high = match (step.high, self.most(common.nanos())) {
            (Some(high), Some(most)) => Some(high.min(most)),
            (high, most) => high.or(most),
        };
        let read_inside = step.interval.end <= interval.end;
        let point = if step.gap {
            None
        } else if read_inside {
            step.point
        } else {
            step.point.map(|_| Rational::ZERO)
        };
        // The convention may book a whole step where the rate would allow only part of it.
        let low = point.map_or(low, |point| low.min(point));
        let high = high.map(|high| point.map_or(high, |point| high.max(point)));
        Some(Step { interval: common, low, high, point, ..step })
    }

    /// Time without a reading on one side; as long as the last reading holds, nothing new is taken to be there.
    fn unread(&self, interval: Interval, watched_until: Option<Timestamp>) -> Step {
        let holds = watched_until.is_some_and(|until| interval.end <= until);
        Step {
            interval,
            low: Rational::ZERO,
            high: self.most(interval.nanos()),
            point: holds.then_some(Rational::ZERO),
            class: StepClass::Unread,
            gap: !holds,
        }
    }

    /// Most that can be counted in `nanos`: the maximum rate, and one smallest step that may just have been due.
    fn most(&self, nanos: i64) -> Option<Rational> {
        let rate = self.policy.maximum_rate?;
        rate.checked_mul(Rational::integer(i128::from(nanos)))?.checked_add(self.policy.resolution)
    }

    fn high(&self, low: Rational, most: Option<Rational>) -> Option<Rational> {
        let _ = self;
        most.map(|most| most.max(low))
    }

    fn counted(&self, from: Rational, to: Rational) -> Rational {
        to.checked_sub(from).and_then(|step| step.checked_mul(self.policy.per_increment)).unwrap_or(Rational::ZERO)
    }

    /// What a rollover would have counted. Without a maximum rate only a wrap by less than half is believed.
    fn rollover(&self, from: Rational, to: Rational) -> Option<Rational> {
        let modulus = self.policy.modulus.filter(|modulus| from < *modulus)?;
        let rest = modulus.checked_sub(from)?;
        let wrapped = rest.checked_add(to)?;
        let believed = self.policy.maximum_rate.is_some() || twice(wrapped)? < modulus;
        believed.then(|| wrapped.checked_mul(self.policy.per_increment))?
    }
}

fn twice(value: Rational) -> Option<Rational> {
    value.checked_add(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    fn readings(values: &[(i64, i128)]) -> Vec<Reading> {
        let at = |second| Timestamp::from_secs(second);
        let one = |(second, value): &(i64, i128)| Reading {
            at: at(*second),
            value: Rational::integer(*value),
            watched_until: at(second + 30),
        };
        values.iter().map(one).collect()
    }

    fn window(start: i64, end: i64) -> Interval {
        Interval { start: Timestamp::from_secs(start), end: Timestamp::from_secs(end) }
    }

    /// One piece a second at most.
    fn policy() -> CounterPolicy {
        CounterPolicy {
            modulus: Some(Rational::integer(65_536)),
            maximum_rate: Rational::new(1, i128::from(SECOND)),
            ..CounterPolicy::default()
        }
    }

    fn count(values: &[(i64, i128)], policy: &CounterPolicy, start: i64, end: i64) -> Count {
        Count::sum(&within(&readings(values), policy, window(start, end))).unwrap()
    }

    fn bounds(count: &Count) -> (i128, Option<i128>, Option<i128>) {
        let integer = |value: Rational| value.to_integer().unwrap();
        (integer(count.low), count.high.map(integer), count.point.map(integer))
    }

    #[test]
    fn a_window_with_readings_on_both_edges_is_exact_and_adjoining_windows_add_up() {
        let values = [(0, 5), (10, 7), (20, 9), (30, 12)];
        let (left, right) = (count(&values, &policy(), 0, 20), count(&values, &policy(), 20, 30));
        assert_eq!(bounds(&left), (4, Some(4), Some(4)));
        assert_eq!(bounds(&right), (3, Some(3), Some(3)));
        assert_eq!(bounds(&count(&values, &policy(), 0, 30)), (7, Some(7), Some(7)));
    }

    #[test]
    fn a_step_over_the_edge_is_booked_where_it_was_read_with_bounds() {
        let values = [(0, 0), (10, 4)];
        let plain = CounterPolicy::default();
        assert_eq!(bounds(&count(&values, &plain, 0, 5)), (0, Some(4), Some(0)));
        assert_eq!(bounds(&count(&values, &plain, 5, 10)), (0, Some(4), Some(4)));
    }

    #[test]
    fn a_rollover_is_exact_and_a_reset_keeps_the_parts_after_it() {
        let rolled = count(&[(0, 65_530), (10, 4)], &policy(), 0, 10);
        assert_eq!(bounds(&rolled), (10, Some(10), Some(10)));
        assert_eq!(rolled.steps, BTreeMap::from([(StepClass::Rollover, 1)]));
        // 500 -> 3: a rollover would be 65,039 pieces in 10 s, so it is a reset: 3 after it, at most 11 in all.
        let reset = count(&[(0, 500), (10, 3)], &policy(), 0, 10);
        assert_eq!(bounds(&reset), (3, Some(11), Some(3)));
        assert_eq!(reset.steps, BTreeMap::from([(StepClass::Reset, 1)]));
    }

    #[test]
    fn a_jump_is_at_most_what_the_machine_can_make() {
        let jump = count(&[(0, 0), (10, 4000)], &policy(), 0, 10);
        assert_eq!(bounds(&jump), (0, Some(11), None));
        assert_eq!(jump.steps, BTreeMap::from([(StepClass::Jump, 1)]));
    }

    #[test]
    fn a_small_decrease_counts_nothing_for_sure() {
        let decrease = count(&[(0, 500), (10, 498)], &policy(), 0, 10);
        assert_eq!(bounds(&decrease), (0, Some(11), None));
        assert_eq!(decrease.steps, BTreeMap::from([(StepClass::Decrease, 1)]));
    }

    #[test]
    fn where_rollover_and_reset_both_fit_the_interval_spans_both() {
        let policy = CounterPolicy { reset: ResetPolicy::Operator, ..policy() };
        let ambiguous = count(&[(0, 65_530), (10, 4)], &policy, 0, 10);
        assert_eq!(bounds(&ambiguous), (4, Some(11), None));
        assert_eq!(ambiguous.steps, BTreeMap::from([(StepClass::Ambiguous, 1)]));
    }

    #[test]
    fn over_a_gap_the_total_is_exact_and_its_split_is_not() {
        let values = [(0, 0), (100, 40)];
        assert_eq!(bounds(&count(&values, &CounterPolicy::default(), 0, 100)), (40, Some(40), Some(40)));
        assert_eq!(bounds(&count(&values, &CounterPolicy::default(), 0, 50)), (0, Some(40), None));
        // With one piece a second at most, 40 in 100 s: the other half held 51 at most, so the low bound is 0.
        assert_eq!(bounds(&count(&values, &policy(), 0, 10)), (0, Some(11), None));
    }

    #[test]
    fn unread_ends_leave_the_upper_bound_open_unless_a_rate_is_declared() {
        let values = [(10, 0), (20, 5)];
        assert_eq!(bounds(&count(&values, &CounterPolicy::default(), 0, 40)), (5, None, None));
        assert_eq!(bounds(&count(&values, &policy(), 0, 40)), (5, Some(5 + 11 + 21), None));
        // The last reading holds for 30 s: up to then nothing new is taken to be there.
        assert_eq!(bounds(&count(&values, &policy(), 10, 40)), (5, Some(26), Some(5)));
        assert_eq!(bounds(&count(&[], &CounterPolicy::default(), 0, 40)), (0, None, None));
    }
}
