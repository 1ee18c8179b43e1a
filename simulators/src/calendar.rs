//! What a scenario planned for each instant: work, break, maintenance or nothing.
//!
//! Simple on purpose and of its own: the zone is Asia/Shanghai, which has been eight hours ahead of UTC without a
//! change since 1991, so local days are arithmetic. shopfloor's calendar is what this is an oracle for.

use shopfloor::id::ShiftId;
use shopfloor::time::{HOUR, Interval, Timestamp};

use crate::scenario::{Scenario, shift_span, within};

/// Asia/Shanghai ahead of UTC, in nanoseconds.
const OFFSET: i64 = 8 * HOUR;
const DAY: i64 = 24 * HOUR;

/// What was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planned {
    /// No shift.
    Off,
    /// A break of a shift.
    Break,
    /// Planned maintenance within a shift.
    Maintenance,
    /// Work.
    Work,
}

/// One shift of one business day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftWindow {
    /// Which shift.
    pub shift: ShiftId,
    /// Local date on which it began, `YYYY-MM-DD`.
    pub business_date: String,
    /// From its start to its end, breaks included.
    pub window: Interval,
}

/// Stretches of one plan each, in order and without a gap from the first midnight to the last one.
#[derive(Debug, Clone)]
pub struct Calendar {
    spans: Vec<(Interval, Planned)>,
    shifts: Vec<ShiftWindow>,
}

impl Calendar {
    /// The calendar of a scenario, from a day before `range` to a day after it.
    pub fn of(scenario: &Scenario, range: Interval) -> Self {
        let (first, last) = (local_day(range.start) - 2, local_day(range.end) + 2);
        let mut spans = Vec::new();
        let mut shifts = Vec::new();
        let mut cursor = midnight(first);
        let mut worked: Vec<(i64, i64, &ShiftId, i64)> = Vec::new();
        for day in first..last {
            for shift in scenario.shifts.iter().filter(|shift| shift.weekdays.contains(&weekday(day))) {
                let (start, end) = shift_span(shift.start, shift.end);
                worked.push((midnight(day) + start, midnight(day) + end, &shift.id, day));
            }
        }
        worked.sort_unstable();
        for (start, end, id, day) in worked {
            let start = start.max(cursor);
            push(&mut spans, cursor, start, Planned::Off);
            cursor = start;
            for (from, until, planned) in exceptions(scenario, id, day, start, end) {
                push(&mut spans, cursor, from, Planned::Work);
                push(&mut spans, from.max(cursor), until, planned);
                cursor = cursor.max(until);
            }
            push(&mut spans, cursor, end, Planned::Work);
            shifts.push(ShiftWindow { shift: id.clone(), business_date: date(day), window: interval(start, end) });
            cursor = end;
        }
        push(&mut spans, cursor, midnight(last), Planned::Off);
        Self { spans, shifts }
    }

    /// What was planned inside `window`, piece by piece, in order.
    pub fn within(&self, window: Interval) -> impl Iterator<Item = (Interval, Planned)> + '_ {
        let first = self.spans.partition_point(|(span, _)| span.end <= window.start);
        self.spans[first..]
            .iter()
            .take_while(move |(span, _)| span.start < window.end)
            .filter_map(move |(span, planned)| Some((span.intersect(window)?, *planned)))
    }

    /// The shifts that lie wholly inside `window`, in order.
    pub fn shifts(&self, window: Interval) -> impl Iterator<Item = &ShiftWindow> {
        self.shifts.iter().filter(move |shift| window.start <= shift.window.start && shift.window.end <= window.end)
    }

    /// The local days that lie wholly inside `window`, with their dates.
    pub fn days(window: Interval) -> Vec<(String, Interval)> {
        (local_day(window.start)..=local_day(window.end))
            .map(|day| (date(day), interval(midnight(day), midnight(day + 1))))
            .filter(|(_, day)| window.start <= day.start && day.end <= window.end)
            .collect()
    }
}

/// Breaks and maintenance of one shift, in order, as instants.
fn exceptions(scenario: &Scenario, id: &ShiftId, day: i64, start: i64, end: i64) -> Vec<(i64, i64, Planned)> {
    let shift = scenario.shifts.iter().find(|shift| &shift.id == id).expect("the id comes from this scenario");
    let begin = shift_span(shift.start, shift.end).0;
    let mut found: Vec<(i64, i64, Planned)> = shift
        .breaks
        .iter()
        .map(|pause| within(begin, *pause))
        .map(|(from, until)| (midnight(day) + from, midnight(day) + until, Planned::Break))
        .collect();
    for maintenance in &scenario.maintenance {
        for of_day in [day, day + 1].into_iter().filter(|day| weekday(*day) == maintenance.weekday) {
            let from = midnight(of_day) + maintenance.span.start.nanos();
            let until = midnight(of_day) + maintenance.span.end.nanos();
            if start <= from && until <= end {
                found.push((from, until, Planned::Maintenance));
            }
        }
    }
    found.sort_unstable();
    found
}

fn push(spans: &mut Vec<(Interval, Planned)>, start: i64, end: i64, planned: Planned) {
    if start < end {
        spans.push((interval(start, end), planned));
    }
}

fn interval(start: i64, end: i64) -> Interval {
    Interval { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(end) }
}

/// Days since 1970-01-01 in local time.
fn local_day(at: Timestamp) -> i64 {
    (at.as_nanos() + OFFSET).div_euclid(DAY)
}

/// The instant at which a local day begins.
fn midnight(day: i64) -> i64 {
    day * DAY - OFFSET
}

/// Monday = 1 to Sunday = 7; 1970-01-01 was a Thursday.
fn weekday(day: i64) -> u8 {
    u8::try_from((day + 3).rem_euclid(7) + 1).expect("a remainder of seven fits")
}

/// `YYYY-MM-DD` of a local day.
fn date(day: i64) -> String {
    let noon = Timestamp::from_nanos(day * DAY + DAY / 2).to_string();
    noon.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn window(start: &str, end: &str) -> Interval {
        Interval::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn a_day_of_the_demo_has_its_shifts_and_breaks() {
        let scenario = Scenario::builtin("demo").unwrap();
        let day = window("2026-11-24T00:00:00+08:00", "2026-11-25T00:00:00+08:00"); // a Tuesday
        let calendar = Calendar::of(&scenario, day);
        let sum = |wanted| calendar.within(day).filter(|(_, p)| *p == wanted).map(|(s, _)| s.nanos()).sum::<i64>();
        assert_eq!(calendar.within(day).map(|(span, _)| span.nanos()).sum::<i64>(), DAY);
        assert_eq!(sum(Planned::Maintenance), 0);
        assert!(sum(Planned::Break) > 0 && sum(Planned::Work) > 12 * HOUR);
        let shift = calendar.shifts(window("2026-11-23T12:00:00Z", "2026-11-25T00:00:00Z")).next().unwrap();
        assert_eq!((shift.shift.as_str(), shift.business_date.as_str()), ("night", "2026-11-23"));
    }

    #[test]
    fn spans_follow_each_other_without_a_gap() {
        let scenario = Scenario::builtin("demo").unwrap();
        let weeks = window("2026-11-01T00:00:00Z", "2026-11-29T07:00:00Z");
        let calendar = Calendar::of(&scenario, weeks);
        for pair in calendar.spans.windows(2) {
            assert_eq!(pair[0].0.end, pair[1].0.start);
        }
        let maintained = calendar.within(weeks).filter(|(_, planned)| *planned == Planned::Maintenance).count();
        assert_eq!(maintained, 4); // once a week
    }

    #[test]
    fn dates_and_weekdays() {
        assert_eq!(date(local_day(at("2026-11-25T00:30:00+08:00"))), "2026-11-25");
        assert_eq!(weekday(local_day(at("2026-11-25T00:30:00+08:00"))), 3);
        assert_eq!(Calendar::days(window("2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z")).len(), 1);
    }
}
