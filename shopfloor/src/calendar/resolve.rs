//! Rules of a calendar resolved to instants: shift instances and gap-free planned spans.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Calendar, Days, LocalSpan, PlannedKind, PlannedSpan, ShiftInstance, instant, local};
use crate::time::{Interval, Timestamp};

impl LocalSpan {
    /// Whether it ends on the day after it starts.
    pub fn crosses_midnight(self) -> bool {
        self.end <= self.start
    }

    /// The span that starts on `date`, as instants; empty if a DST gap swallows it whole.
    pub fn on(self, zone: &TimeZone, date: Date) -> Interval {
        let last = if self.crosses_midnight() { date.tomorrow().unwrap_or(date) } else { date };
        let start = instant(zone, date.to_datetime(self.start));
        Interval { start, end: instant(zone, last.to_datetime(self.end)).max(start) }
    }

    /// The span as part of a shift that starts on `date`: a break at 02:00 of a night shift from 20:00 lies on
    /// the next day.
    fn within_shift(self, shift: Self, zone: &TimeZone, date: Date) -> Interval {
        let next_day = shift.crosses_midnight() && self.start < shift.start;
        self.on(zone, if next_day { date.tomorrow().unwrap_or(date) } else { date })
    }
}

/// The dates on which something that touches `interval` may start.
fn dates(zone: &TimeZone, interval: Interval) -> impl Iterator<Item = Date> {
    let first = local(zone, interval.start).date();
    let first = first.yesterday().unwrap_or(first);
    let last = local(zone, interval.end).date();
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| *date <= last)
}

impl Calendar {
    /// The shifts that share time with `interval`, whole, in order of time.
    pub fn shift_instances(&self, zone: &TimeZone, interval: Interval) -> Vec<ShiftInstance> {
        let mut found = Vec::new();
        for date in dates(zone, interval) {
            for shift in self.shifts.iter().filter(|shift| self.starts_on(&shift.days, date)) {
                let when = shift.span.on(zone, date);
                if when.intersect(interval).is_some() {
                    found.push(ShiftInstance {
                        id: shift.id.clone(),
                        name: shift.name.clone(),
                        business_date: date,
                        interval: when,
                    });
                }
            }
        }
        found.sort_by_key(|instance| instance.interval);
        found
    }

    /// What was planned in `interval`: spans in order that leave nothing out and overlap nowhere.
    ///
    /// Planned maintenance wins over a break, both win over busy time; outside shifts everything is Off.
    pub fn planned(&self, zone: &TimeZone, interval: Interval) -> Vec<PlannedSpan> {
        let shifts = self.shift_instances(zone, interval);
        let breaks = self.breaks(zone, interval);
        let maintenance = self.maintenance_windows(zone, interval);
        let mut edges: Vec<Timestamp> = vec![interval.start, interval.end];
        let all = shifts.iter().map(|shift| shift.interval).chain(breaks.iter().copied());
        for span in all.chain(maintenance.iter().copied()) {
            edges.extend([span.start, span.end].into_iter().filter(|at| interval.contains(*at)));
        }
        edges.sort_unstable();
        edges.dedup();
        let mut spans: Vec<PlannedSpan> = Vec::new();
        for pair in edges.windows(2) {
            let part = Interval { start: pair[0], end: pair[1] };
            let inside = |spans: &[Interval]| spans.iter().any(|span| span.contains(part.start));
            let shift = shifts.iter().find(|shift| shift.interval.contains(part.start));
            let kind = match shift {
                None => PlannedKind::Off,
                Some(_) if inside(&maintenance) => PlannedKind::Maintenance,
                Some(_) if inside(&breaks) => PlannedKind::Break,
                Some(_) => PlannedKind::Busy,
            };
            let business_date = shift.map_or_else(|| local(zone, part.start).date(), |shift| shift.business_date);
            let shift = shift.map(|shift| shift.id.clone());
            match spans.last_mut() {
                Some(last)
                    if last.kind == kind
                        && last.shift == shift
                        && (kind == PlannedKind::Off || last.business_date == business_date) =>
                {
                    last.interval.end = part.end;
                }
                _ => spans.push(PlannedSpan { interval: part, kind, shift, business_date }),
            }
        }
        spans
    }

    fn starts_on(&self, days: &Days, date: Date) -> bool {
        self.works_as(date).is_some_and(|weekday| days.include(date, weekday))
    }

    fn breaks(&self, zone: &TimeZone, interval: Interval) -> Vec<Interval> {
        let mut found = Vec::new();
        for date in dates(zone, interval) {
            for shift in self.shifts.iter().filter(|shift| self.starts_on(&shift.days, date)) {
                found.extend(shift.breaks.iter().map(|pause| pause.within_shift(shift.span, zone, date)));
            }
        }
        found
    }

    fn maintenance_windows(&self, zone: &TimeZone, interval: Interval) -> Vec<Interval> {
        let mut found = Vec::new();
        for date in dates(zone, interval) {
            let due = self.maintenance.iter().filter(|window| window.days.include(date, date.weekday()));
            found.extend(due.map(|window| window.span.on(zone, date)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};

    use super::super::{Holiday, Maintenance, MakeUp, Shift, day};
    use super::*;
    use crate::time::{HOUR, MINUTE};

    const WEEK: [jiff::civil::Weekday; 7] = [
        jiff::civil::Weekday::Monday,
        jiff::civil::Weekday::Tuesday,
        jiff::civil::Weekday::Wednesday,
        jiff::civil::Weekday::Thursday,
        jiff::civil::Weekday::Friday,
        jiff::civil::Weekday::Saturday,
        jiff::civil::Weekday::Sunday,
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn span(start: (i8, i8), end: (i8, i8)) -> LocalSpan {
        LocalSpan { start: time(start.0, start.1, 0, 0), end: time(end.0, end.1, 0, 0) }
    }

    fn days() -> Days {
        Days { weekdays: WEEK.to_vec(), from: None, until: None }
    }

    fn night() -> Calendar {
        Calendar {
            id: "night".into(),
            name: "夜班".into(),
            shifts: vec![Shift {
                id: "night".parse().unwrap(),
                name: "夜班".into(),
                name_en: None,
                span: span((20, 0), (8, 0)),
                days: days(),
                breaks: vec![span((2, 0), (2, 30))],
            }],
            maintenance: Vec::new(),
            holidays: Vec::new(),
            make_ups: Vec::new(),
        }
    }

    fn total(spans: &[PlannedSpan], kind: PlannedKind) -> i64 {
        spans.iter().filter(|span| span.kind == kind).map(|span| span.interval.nanos()).sum()
    }

    #[test]
    fn bad_input_90_a_shift_over_midnight_belongs_to_the_day_it_starts_on() {
        let zone = zone("Asia/Shanghai");
        let spans = night().planned(&zone, day(&zone, date(2026, 11, 25)));
        let first = &spans[0];
        assert_eq!((first.kind, first.business_date), (PlannedKind::Busy, date(2026, 11, 24)));
        assert_eq!(total(&spans, PlannedKind::Busy), 11 * HOUR + 30 * MINUTE);
        assert_eq!(total(&spans, PlannedKind::Break), 30 * MINUTE);
        assert_eq!(total(&spans, PlannedKind::Off), 12 * HOUR);
        assert_eq!(spans.last().unwrap().business_date, date(2026, 11, 25));
    }

    #[test]
    fn bad_input_90_an_empty_calendar_plans_nothing() {
        let zone = zone("Asia/Shanghai");
        let calendar = Calendar { shifts: Vec::new(), ..night() };
        let window = day(&zone, date(2026, 11, 25));
        let spans = calendar.planned(&zone, window);
        assert_eq!(spans.len(), 1);
        assert_eq!((spans[0].interval, spans[0].kind), (window, PlannedKind::Off));
    }

    #[test]
    fn bad_input_90_a_holiday_starts_no_shift_and_a_make_up_day_works_as_another() {
        let zone = zone("Asia/Shanghai");
        let calendar = Calendar {
            holidays: vec![Holiday { date: date(2026, 10, 1), name: "国庆节".into() }],
            make_ups: vec![MakeUp { date: date(2026, 10, 10), works_as: jiff::civil::Weekday::Friday }],
            shifts: vec![Shift {
                span: span((8, 0), (16, 0)),
                days: Days { weekdays: vec![jiff::civil::Weekday::Thursday, jiff::civil::Weekday::Friday], ..days() },
                breaks: Vec::new(),
                ..night().shifts[0].clone()
            }],
            ..night()
        };
        let busy = |d| total(&calendar.planned(&zone, day(&zone, d)), PlannedKind::Busy);
        assert_eq!(busy(date(2026, 10, 1)), 0); // a Thursday, but a holiday
        assert_eq!(busy(date(2026, 10, 8)), 8 * HOUR); // the next Thursday
        assert_eq!(busy(date(2026, 10, 10)), 8 * HOUR); // a Saturday, worked as a Friday
    }

    #[test]
    fn days_of_a_clock_change_have_23_and_25_hours_and_the_night_shift_its_elapsed_time() {
        let zone = zone("Europe/Berlin");
        let (spring, autumn) = (date(2026, 3, 29), date(2026, 10, 25));
        assert_eq!(day(&zone, spring).nanos(), 23 * HOUR);
        assert_eq!(day(&zone, autumn).nanos(), 25 * HOUR);
        let shift = night().shifts[0].span;
        assert_eq!(shift.on(&zone, date(2026, 3, 28)).nanos(), 11 * HOUR);
        assert_eq!(shift.on(&zone, date(2026, 10, 24)).nanos(), 13 * HOUR);
        for date in [spring, autumn] {
            let window = day(&zone, date);
            let spans = night().planned(&zone, window);
            assert_eq!(spans.iter().map(|span| span.interval.nanos()).sum::<i64>(), window.nanos());
        }
    }

    #[test]
    fn a_skipped_local_time_is_the_first_instant_after_the_gap_and_a_double_one_the_earlier() {
        let zone = zone("Europe/Berlin");
        let skipped = instant(&zone, date(2026, 3, 29).at(2, 30, 0, 0));
        assert_eq!(skipped.to_string(), "2026-03-29T01:00:00Z");
        let double = instant(&zone, date(2026, 10, 25).at(2, 30, 0, 0));
        assert_eq!(double.to_string(), "2026-10-25T00:30:00Z");
    }

    #[test]
    fn a_maintenance_window_counts_only_inside_a_shift() {
        let zone = zone("Asia/Shanghai");
        let calendar = Calendar {
            maintenance: vec![Maintenance { name: "润滑".into(), span: span((7, 0), (9, 0)), days: days() }],
            ..night()
        };
        let spans = calendar.planned(&zone, day(&zone, date(2026, 11, 25)));
        assert_eq!(total(&spans, PlannedKind::Maintenance), HOUR);
    }
}
