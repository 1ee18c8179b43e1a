//! Which windows a stretch of time falls into: hours, shifts and days of the site.

use super::result::{Window, WindowKind};
use crate::calendar::{self, ShiftInstance};
use crate::id::WorkUnitId;
use crate::plant::Plant;
use crate::time::{HOUR, Interval, MINUTE};

/// The windows of a kind that share time with `range`, whole, in order. None for an unknown work unit.
/// A `Span` is `range` itself.
pub fn windows(plant: &Plant, unit: &WorkUnitId, kind: WindowKind, range: Interval) -> Vec<Window> {
    let Some(unit) = plant.work_unit(unit) else { return Vec::new() };
    if range.is_empty() {
        return Vec::new();
    }
    match kind {
        WindowKind::Hour => hours(plant, range),
        WindowKind::Day => days(plant, range),
        WindowKind::Span => vec![span(plant, range)],
        WindowKind::Shift => {
            let shifts = plant.calendar_of(unit).map(|calendar| calendar.shift_instances(&plant.site.time_zone, range));
            shifts.unwrap_or_default().into_iter().map(shift).collect()
        }
    }
}

/// Any stretch of time as a window.
pub fn span(plant: &Plant, interval: Interval) -> Window {
    let zone = &plant.site.time_zone;
    let (start, end) = (calendar::local(zone, interval.start), calendar::local(zone, interval.end));
    Window {
        interval,
        kind: WindowKind::Span,
        label: format!("{} – {}", start.strftime("%Y-%m-%d %H:%M:%S"), end.strftime("%Y-%m-%d %H:%M:%S")),
        business_date: start.date(),
        shift: None,
    }
}

fn shift(instance: ShiftInstance) -> Window {
    Window {
        interval: instance.interval,
        kind: WindowKind::Shift,
        label: format!("{} {}", instance.business_date, instance.name),
        business_date: instance.business_date,
        shift: Some(instance.id),
    }
}

fn days(plant: &Plant, range: Interval) -> Vec<Window> {
    let zone = &plant.site.time_zone;
    let first = calendar::local(zone, range.start).date();
    let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
    let all = dates.map(|date| Window {
        interval: calendar::day(zone, date),
        kind: WindowKind::Day,
        label: date.to_string(),
        business_date: date,
        shift: None,
    });
    all.take_while(|window| window.interval.start < range.end && !window.interval.is_empty()).collect()
}

/// Hours of elapsed time that begin on the full local hour.
fn hours(plant: &Plant, range: Interval) -> Vec<Window> {
    let zone = &plant.site.time_zone;
    let local = calendar::local(zone, range.start);
    let past_hour = i64::from(local.minute()) * MINUTE + i64::from(local.second()) * 1_000_000_000;
    let mut start = range.start.plus(-past_hour - i64::from(local.subsec_nanosecond()));
    let mut found = Vec::new();
    while start < range.end {
        let local = calendar::local(zone, start);
        found.push(Window {
            interval: Interval { start, end: start.plus(HOUR) },
            kind: WindowKind::Hour,
            label: local.strftime("%Y-%m-%d %H:%M").to_string(),
            business_date: local.date(),
            shift: None,
        });
        start = start.plus(HOUR);
    }
    found
}
