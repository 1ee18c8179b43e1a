//! `[[calendar]]`: shifts, breaks, maintenance, holidays and make-up days; overlapping shifts are refused.

use std::ops::Range;

use jiff::civil::{Time, Weekday};

use super::super::document::Table;
use super::check::Names;
use super::{date, need_label, optional};
use crate::calendar::{self, Calendar, Days, Holiday, LocalSpan, Maintenance, MakeUp, Shift};
use crate::id::ShiftId;

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Every calendar of the file.
pub fn calendars(root: &Table<'_, '_>, names: &mut Names<'_, '_>) -> Vec<Calendar> {
    root.tables("calendar").iter().filter_map(|table| one(table, names)).collect()
}

fn one(table: &Table<'_, '_>, names: &mut Names<'_, '_>) -> Option<Calendar> {
    let id = table.need_text("id");
    if let Some((id, span)) = &id {
        names.define_text("calendar", id, span.clone());
    }
    let name = optional(table, "name");
    let tables = table.tables("shift");
    let shifts: Vec<(Shift, Range<usize>)> =
        tables.iter().filter_map(|table| shift(table).map(|shift| (shift, table.span()))).collect();
    let maintenance = table.tables("maintenance").iter().filter_map(maintenance).collect();
    let holidays = table.tables("holiday").iter().filter_map(holiday).collect();
    let make_ups = table.tables("make_up").iter().filter_map(make_up).collect();
    table.refuse_others();
    let id = id?.0;
    let calendar = Calendar {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        shifts: shifts.into_iter().map(|(shift, _)| shift).collect(),
        maintenance,
        holidays,
        make_ups,
    };
    check_names(&calendar, &tables);
    check_overlaps(&calendar, table, &tables);
    Some(calendar)
}

fn shift(table: &Table<'_, '_>) -> Option<Shift> {
    let id: Option<ShiftId> = super::need_id(table, "id");
    let name = need_label(table, "name");
    let name_en = optional(table, "name_en");
    let (span, days) = (span(table), days(table));
    let breaks: Vec<(LocalSpan, Range<usize>)> = table
        .tables("break")
        .iter()
        .filter_map(|table| {
            let found = self::span(table);
            table.refuse_others();
            found.map(|found| (found, table.span()))
        })
        .collect();
    table.refuse_others();
    let span = span?;
    for (pause, place) in &breaks {
        if !inside(span, *pause) {
            table.report().add(place.clone(), format!("break {} lies outside its shift {}", show(*pause), show(span)));
        }
    }
    Some(Shift {
        id: id?,
        name: name?,
        name_en,
        span,
        days: days?,
        breaks: breaks.into_iter().map(|(b, _)| b).collect(),
    })
}

fn maintenance(table: &Table<'_, '_>) -> Option<Maintenance> {
    let name = need_label(table, "name");
    let (span, days) = (span(table), days(table));
    table.refuse_others();
    Some(Maintenance { name: name?, span: span?, days: days? })
}

fn holiday(table: &Table<'_, '_>) -> Option<Holiday> {
    let date = table.need("date", "a date").then(|| date(table, "date")).flatten();
    let name = need_label(table, "name");
    table.refuse_others();
    Some(Holiday { date: date?, name: name? })
}

fn make_up(table: &Table<'_, '_>) -> Option<MakeUp> {
    let date = table.need("date", "a date").then(|| date(table, "date")).flatten();
    let expected = "the weekday that is worked: mon tue wed thu fri sat sun";
    let works_as = table.need("works_as", expected).then(|| table.parsed("works_as", expected, weekday)).flatten();
    table.refuse_others();
    Some(MakeUp { date: date?, works_as: works_as?.0 })
}

fn span(table: &Table<'_, '_>) -> Option<LocalSpan> {
    let time = |key| {
        let expected = "a local time such as \"08:00\"";
        table.need(key, expected).then(|| table.parsed(key, expected, parse_time)).flatten()
    };
    let (start, end) = (time("start"), time("end"));
    Some(LocalSpan { start: start?.0, end: end?.0 })
}

fn days(table: &Table<'_, '_>) -> Option<Days> {
    let (from, until) = (date(table, "from"), date(table, "until"));
    if !table.need("weekdays", "days of the week such as [\"mon\", \"tue\"]") {
        return None;
    }
    let mut weekdays = Vec::new();
    for (word, place) in table.texts("weekdays")? {
        match weekday(&word) {
            Some(day) if !weekdays.contains(&day) => weekdays.push(day),
            Some(_) => table.report().add(place, format!("weekday {word:?} stands twice")),
            None => table.report().add(place, format!("{word:?} is no weekday; write mon tue wed thu fri sat sun")),
        }
    }
    if let (Some(from), Some(until)) = (from, until)
        && until <= from
    {
        table.problem("until", format!("until = {until} is not after from = {from}"));
    }
    Some(Days { weekdays, from, until })
}

fn weekday(word: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(known, _)| *known == word).map(|(_, day)| *day)
}

fn parse_time(text: &str) -> Option<Time> {
    Time::strptime("%H:%M", text).or_else(|_| Time::strptime("%H:%M:%S", text)).ok()
}

fn show(span: LocalSpan) -> String {
    format!("{}–{}", span.start.strftime("%H:%M"), span.end.strftime("%H:%M"))
}

/// Whether a break lies inside its shift; both may cross midnight.
fn inside(shift: LocalSpan, pause: LocalSpan) -> bool {
    let minute = |time: Time| i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    let day = 24 * 3600;
    let offset = |time: Time| (minute(time) - minute(shift.start)).rem_euclid(day);
    let length = match offset(shift.end) {
        0 => day,
        length => length,
    };
    let end = match offset(pause.end) {
        0 => day,
        end => end,
    };
    offset(pause.start) < end && end <= length
}

fn check_names(calendar: &Calendar, tables: &[Table<'_, '_>]) {
    for (position, shift) in calendar.shifts.iter().enumerate() {
        let earlier = calendar.shifts[..position].iter().find(|other| other.id == shift.id);
        // The same id may come back for other dates: that is how a shift changes its hours.
        if let (Some(_), None, None) = (earlier, shift.days.from, shift.days.until)
            && let Some(table) =
                tables.iter().filter(|t| t.text("id").is_some_and(|(id, _)| id == shift.id.as_str())).nth(1)
        {
            table.problem(
                "id",
                format!(
                    "shift `{}` stands twice in calendar `{}` without dates; bound one with from or until",
                    shift.id, calendar.id
                ),
            );
        }
    }
}

fn check_overlaps(calendar: &Calendar, table: &Table<'_, '_>, tables: &[Table<'_, '_>]) {
    let place = |id: &ShiftId| {
        let found = tables.iter().find(|t| t.text("id").is_some_and(|(text, _)| text == id.as_str()));
        found.map_or_else(|| table.span(), Table::span)
    };
    for overlap in calendar::overlaps(calendar) {
        let of = |id: &ShiftId| {
            let shift = calendar.shifts.iter().find(|shift| shift.id == *id);
            shift.map_or_else(String::new, |shift| format!("`{}` {}", shift.id, show(shift.span)))
        };
        let day = WEEKDAYS.iter().find(|(_, day)| *day == overlap.weekday).map_or("", |(word, _)| *word);
        table.report().add(
            place(&overlap.second),
            format!(
                "shift {} overlaps shift {} (at {}) in calendar `{}`, first on {day} at {}; an instant belongs to one shift",
                of(&overlap.second),
                of(&overlap.first),
                table.report().pointer(&place(&overlap.first)),
                calendar.id,
                overlap.at.strftime("%H:%M"),
            ),
        );
    }
}
