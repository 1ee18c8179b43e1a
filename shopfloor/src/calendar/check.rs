//! Shifts of one calendar that share an instant, found before anything is measured with them.

use jiff::civil::{Time, Weekday};

use super::{Calendar, Days, LocalSpan, Shift};
use crate::id::ShiftId;

/// Two shifts that both claim the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The shift that stands first in the file.
    pub first: ShiftId,
    /// The other one.
    pub second: ShiftId,
    /// Weekday of the first shared instant.
    pub weekday: Weekday,
    /// Local time of the first shared instant.
    pub at: Time,
}

const DAY_SECONDS: i64 = 24 * 3600;
const WEEK_SECONDS: i64 = 7 * DAY_SECONDS;

/// Every pair of shifts that share local time in some week in which both are in force.
pub fn overlaps(calendar: &Calendar) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (position, first) in calendar.shifts.iter().enumerate() {
        for second in &calendar.shifts[position + 1..] {
            if let Some(overlap) = overlap(first, second) {
                found.push(overlap);
            }
        }
    }
    found
}

fn overlap(first: &Shift, second: &Shift) -> Option<Overlap> {
    if !dates_meet(&first.days, &second.days) {
        return None;
    }
    for a in week_spans(first) {
        for b in week_spans(second) {
            // The second is also tried a week earlier and later: a Sunday night reaches into Monday.
            for shift in [-WEEK_SECONDS, 0, WEEK_SECONDS] {
                let start = a.0.max(b.0 + shift);
                if start < a.1.min(b.1 + shift) {
                    return Some(describe(first, second, start.rem_euclid(WEEK_SECONDS)));
                }
            }
        }
    }
    None
}

fn describe(first: &Shift, second: &Shift, second_of_week: i64) -> Overlap {
    let days = i8::try_from(second_of_week / DAY_SECONDS).expect("a week has seven days");
    let time = jiff::SignedDuration::from_secs(second_of_week % DAY_SECONDS);
    Overlap {
        first: first.id.clone(),
        second: second.id.clone(),
        weekday: Weekday::Monday.wrapping_add(days),
        at: Time::midnight().wrapping_add(time),
    }
}

fn dates_meet(a: &Days, b: &Days) -> bool {
    // A night shift of the old rules may still reach into the first morning of the new: that morning is its own.
    let before = |until: Option<jiff::civil::Date>, from: Option<jiff::civil::Date>| match (until, from) {
        (Some(until), Some(from)) => until <= from,
        _ => false,
    };
    !before(a.until, b.from) && !before(b.until, a.from)
}

fn week_spans(shift: &Shift) -> impl Iterator<Item = (i64, i64)> + '_ {
    shift.days.weekdays.iter().map(|weekday| {
        let start = i64::from(weekday.to_monday_zero_offset()) * DAY_SECONDS + second_of_day(shift.span.start);
        (start, start + length(shift.span))
    })
}

fn length(span: LocalSpan) -> i64 {
    let wall = second_of_day(span.end) - second_of_day(span.start);
    if wall <= 0 { wall + DAY_SECONDS } else { wall }
}

fn second_of_day(time: Time) -> i64 {
    i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    fn shift(id: &str, start: i8, end: i8, weekdays: &[Weekday]) -> Shift {
        Shift {
            id: id.parse().unwrap(),
            name: id.into(),
            name_en: None,
            span: LocalSpan { start: time(start, 0, 0, 0), end: time(end, 0, 0, 0) },
            days: Days { weekdays: weekdays.to_vec(), from: None, until: None },
            breaks: Vec::new(),
        }
    }

    fn calendar(shifts: Vec<Shift>) -> Calendar {
        Calendar {
            id: "c".into(),
            name: "c".into(),
            shifts,
            maintenance: Vec::new(),
            holidays: Vec::new(),
            make_ups: Vec::new(),
        }
    }

    #[test]
    fn shifts_that_only_touch_do_not_overlap() {
        let week = [Weekday::Monday, Weekday::Tuesday];
        assert_eq!(overlaps(&calendar(vec![shift("a", 8, 16, &week), shift("b", 16, 8, &week)])), []);
    }

    #[test]
    fn a_night_shift_that_reaches_into_the_morning_shift_is_found_also_over_the_week_end() {
        let night = shift("night", 20, 9, &[Weekday::Sunday]);
        let early = shift("early", 8, 16, &[Weekday::Monday]);
        let found = overlaps(&calendar(vec![night, early]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].first.as_str(), found[0].second.as_str()), ("night", "early"));
        assert_eq!((found[0].weekday, found[0].at), (Weekday::Monday, time(8, 0, 0, 0)));
    }

    #[test]
    fn shifts_of_different_years_may_share_hours() {
        let week = [Weekday::Monday];
        let mut old = shift("old", 8, 16, &week);
        old.days.until = Some(jiff::civil::date(2026, 1, 1));
        let mut new = shift("new", 9, 17, &week);
        new.days.from = Some(jiff::civil::date(2026, 1, 1));
        assert_eq!(overlaps(&calendar(vec![old, new])), []);
    }
}
