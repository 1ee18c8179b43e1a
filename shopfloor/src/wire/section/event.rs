//! Event groups: life signs of a subscription, and the rows of all its tags pooled into shared columns.

use super::values::{self, Values};
use super::{EVENT, EventColumn, EventGroup, EventRow, Raw, SectionError, ordered, put_tags, status, tags};
use crate::sample::StatusCode;
use crate::wire::column::{self, ColumnError, Source, put_varint};

pub(super) fn put(bytes: &mut Vec<u8>, event: &EventGroup) -> Result<(), SectionError> {
    let shape = |why| SectionError::Shape { group: event.group, why };
    if event.life.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(shape("life signs do not fall"));
    }
    let columns = ordered(event.group, &event.columns, |column| column.tag)?;
    let rows = columns.iter().flat_map(|column| &column.rows);
    bytes.push(EVENT);
    put_varint(bytes, u64::from(event.group));
    put_varint(bytes, event.life.len() as u64);
    column::put_times(bytes, event.life.iter().copied());
    put_varint(bytes, columns.len() as u64);
    put_tags(bytes, columns.iter().map(|column| column.tag));
    for column in &columns {
        put_varint(bytes, column.rows.len() as u64);
    }
    put_observed(bytes, &event.life, rows.clone());
    column::put_presence(bytes, rows.clone().map(|row| row.server_time.is_some()));
    let server = rows.clone().filter_map(|row| Some(row.observed_time.wrapping_sub(row.server_time?)));
    column::put_times(bytes, server);
    column::put_presence(bytes, rows.clone().map(|row| row.source_time.is_some()));
    let source = rows
        .clone()
        .filter_map(|row| Some(reference(row.server_time, row.observed_time).wrapping_sub(row.source_time?)));
    column::put_times(bytes, source);
    put_statuses(bytes, rows.clone());
    column::put_presence(bytes, rows.map(|row| row.value.is_some()));
    let values: Vec<Values<'_>> =
        columns.iter().map(|column| event_values(column)).collect::<Result<_, _>>().map_err(shape)?;
    values::put(bytes, &values);
    Ok(())
}

/// What a source time is written against: the server time where there is one.
fn reference(server_time: Option<i64>, observed_time: i64) -> i64 {
    server_time.unwrap_or(observed_time)
}

/// A row that came with a life sign names it (place plus one); the others are 0 and their times follow.
fn put_observed<'a>(bytes: &mut Vec<u8>, life: &[i64], rows: impl Iterator<Item = &'a EventRow> + Clone) {
    for row in rows.clone() {
        put_varint(bytes, life.binary_search(&row.observed_time).map_or(0, |place| place as u64 + 1));
    }
    let apart = rows.filter(|row| life.binary_search(&row.observed_time).is_err());
    column::put_times(bytes, apart.map(|row| row.observed_time));
}

fn observed(source: &mut Source<'_>, life: &[i64], count: usize) -> Result<Vec<i64>, ColumnError> {
    let mut places = Vec::with_capacity(count);
    for _ in 0..count {
        let at = source.position();
        let place: usize = source.small("life sign")?;
        if place > life.len() {
            return Err(ColumnError::Range { at, what: "life sign" });
        }
        places.push(place);
    }
    let mut apart = column::times(source, places.iter().filter(|place| **place == 0).count())?.into_iter();
    Ok(places.into_iter().map(|place| if place == 0 { apart.next().unwrap_or(0) } else { life[place - 1] }).collect())
}

/// Runs of rows with the same status: length less one, status.
fn put_statuses<'a>(bytes: &mut Vec<u8>, rows: impl Iterator<Item = &'a EventRow>) {
    let mut run: Option<(StatusCode, u64)> = None;
    let mut put = |run: Option<(StatusCode, u64)>| {
        if let Some((status, length)) = run {
            put_varint(bytes, length - 1);
            bytes.extend_from_slice(&status.0.to_be_bytes());
        }
    };
    for row in rows {
        match &mut run {
            Some((status, length)) if *status == row.status => *length += 1,
            _ => put(run.replace((row.status, 1))),
        }
    }
    put(run);
}

fn statuses(source: &mut Source<'_>, count: usize) -> Result<Vec<StatusCode>, ColumnError> {
    let mut statuses = Vec::with_capacity(count);
    while statuses.len() < count {
        let at = source.position();
        let length: usize = source.small("run of statuses")?;
        if length >= count - statuses.len() {
            return Err(ColumnError::Range { at, what: "run of statuses" });
        }
        let status = status(source)?;
        statuses.resize(statuses.len() + length + 1, status);
    }
    Ok(statuses)
}

fn event_values(column: &EventColumn) -> Result<Values<'_>, &'static str> {
    let mut present = column.rows.iter().filter_map(|row| row.value.as_ref()).peekable();
    if let Some(Raw::Text(_)) = present.peek() {
        let text = |value: &'_ Raw| matches!(value, Raw::Text(_));
        if !present.clone().all(text) {
            return Err("one column holds either bits or texts");
        }
        let texts = present.filter_map(|value| if let Raw::Text(text) = value { Some(text.as_str()) } else { None });
        return Ok(Values::Text(texts.collect()));
    }
    let bits =
        present.map(
            |value| if let Raw::Bits(bits) = value { Ok(*bits) } else { Err("one column holds either bits or texts") },
        );
    Ok(Values::Bits(bits.collect::<Result<_, _>>()?))
}

pub(super) fn read(source: &mut Source<'_>) -> Result<EventGroup, SectionError> {
    let group = source.small("group")?;
    let signs = source.count("number of life signs")?;
    let life = column::times(source, signs)?;
    if life.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(SectionError::Shape { group, why: "life signs do not fall" });
    }
    let count = source.count("number of columns")?;
    let tags = tags(source, count)?;
    let counts = (0..count).map(|_| source.count("number of rows")).collect::<Result<Vec<_>, _>>()?;
    let total = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count)).unwrap_or(usize::MAX);
    source.spend(total)?;
    let observed = observed(source, &life, total)?;
    let server = optional_times(source, total, |row| observed[row])?;
    let source_times = optional_times(source, total, |row| reference(server[row], observed[row]))?;
    let statuses = statuses(source, total)?;
    let present = column::presence(source, total)?;
    let mut columns = Vec::with_capacity(count);
    let mut start = 0;
    let ends = counts.iter().scan(0, |end, count| {
        *end += count;
        Some(*end)
    });
    let ranges: Vec<_> = ends.map(|end| std::mem::replace(&mut start, end)..end).collect();
    let value_counts: Vec<_> =
        ranges.iter().map(|range| present[range.clone()].iter().filter(|is| **is).count()).collect();
    for ((tag, range), values) in tags.into_iter().zip(ranges).zip(values::read(source, &value_counts)?) {
        let mut values = values.into_iter();
        let rows = range.map(|row| EventRow {
            source_time: source_times[row],
            server_time: server[row],
            observed_time: observed[row],
            status: statuses[row],
            value: if present[row] { values.next() } else { None },
        });
        columns.push(EventColumn { tag, rows: rows.collect() });
    }
    Ok(EventGroup { group, life, columns })
}

/// Times that some rows lack, each written as what it lies before `reference`.
fn optional_times(
    source: &mut Source<'_>,
    count: usize,
    reference: impl Fn(usize) -> i64,
) -> Result<Vec<Option<i64>>, ColumnError> {
    let present = column::presence(source, count)?;
    let mut before = column::times(source, present.iter().filter(|is| **is).count())?.into_iter();
    let time = |(row, is): (usize, bool)| {
        if is { before.next().map(|before| reference(row).wrapping_sub(before)) } else { None }
    };
    Ok(present.into_iter().enumerate().map(time).collect())
}
