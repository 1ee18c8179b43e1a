//! Scan groups: shared times of request and response, one column of values per tag, quality as exceptions.

use super::values::{self, Values};
use super::{Raw, SCAN, ScanColumn, ScanGroup, SectionError, ordered, put_tags, status, tags};
use crate::sample::{Quality, StatusCode};
use crate::wire::column::{self, ColumnError, Source, put_varint};

pub(super) fn put(bytes: &mut Vec<u8>, scan: &ScanGroup) -> Result<(), SectionError> {
    let shape = |why| SectionError::Shape { group: scan.group, why };
    let rows = scan.request.len();
    if scan.response.len() != rows {
        return Err(shape("as many responses as requests"));
    }
    let columns = ordered(scan.group, &scan.columns, |column| column.tag)?;
    if columns.iter().any(|column| column.values.len() != rows) {
        return Err(shape("as many values as requests"));
    }
    bytes.push(SCAN);
    put_varint(bytes, u64::from(scan.group));
    put_varint(bytes, rows as u64);
    column::put_times(bytes, scan.request.iter().copied());
    let answers = scan.request.iter().zip(&scan.response);
    column::put_times(bytes, answers.map(|(request, response)| response.wrapping_sub(*request)));
    put_varint(bytes, columns.len() as u64);
    put_tags(bytes, columns.iter().map(|column| column.tag));
    for column in &columns {
        put_exceptions(bytes, column, rows).map_err(shape)?;
    }
    let values: Vec<Values<'_>> =
        columns.iter().map(|column| scan_values(column)).collect::<Result<_, _>>().map_err(shape)?;
    values::put(bytes, &values);
    Ok(())
}

/// Runs of rows with the same status: rows between, length less one, status.
fn put_exceptions(bytes: &mut Vec<u8>, column: &ScanColumn, rows: usize) -> Result<(), &'static str> {
    let mut runs: Vec<(u32, u32, StatusCode)> = Vec::new();
    let mut least = 0_u32;
    for (row, status) in &column.exceptions {
        if *row < least || *row as usize >= rows {
            return Err("exceptions lie within the rows and rise");
        }
        match runs.last_mut() {
            Some((start, length, last)) if *start + *length == *row && last == status => *length += 1,
            _ => runs.push((*row, 1, *status)),
        }
        least = row + 1;
    }
    put_varint(bytes, runs.len() as u64);
    let mut least = 0;
    for (start, length, status) in runs {
        put_varint(bytes, u64::from(start - least));
        put_varint(bytes, u64::from(length - 1));
        bytes.extend_from_slice(&status.0.to_be_bytes());
        least = start + length;
    }
    Ok(())
}

fn exceptions(source: &mut Source<'_>, rows: usize) -> Result<Vec<(u32, StatusCode)>, ColumnError> {
    let runs = source.count("number of exceptions")?;
    let mut exceptions = Vec::new();
    let mut least = 0_u64;
    for _ in 0..runs {
        let at = source.position();
        let range = ColumnError::Range { at, what: "exception" };
        let start = source.varint()?.checked_add(least).ok_or_else(|| range.clone())?;
        let end =
            source.varint()?.checked_add(start).and_then(|last| last.checked_add(1)).ok_or_else(|| range.clone())?;
        if end > rows as u64 {
            return Err(range);
        }
        let status = status(source)?;
        for row in start..end {
            exceptions.push((u32::try_from(row).map_err(|_| range.clone())?, status));
        }
        least = end;
    }
    Ok(exceptions)
}

/// The value of a Bad row is not written: the row before stands in for it, so that it costs nothing.
fn scan_values(column: &ScanColumn) -> Result<Values<'_>, &'static str> {
    let mut bad = column.exceptions.iter().filter(|(_, status)| status.quality() == Quality::Bad).peekable();
    let mut is_bad = |row: usize| bad.next_if(|(bad, _)| *bad as usize == row).is_some();
    if let Some(Raw::Text(_)) = column.values.first() {
        let mut texts = Vec::with_capacity(column.values.len());
        for (row, value) in column.values.iter().enumerate() {
            match value {
                _ if is_bad(row) => texts.push(texts.last().copied().unwrap_or("")),
                Raw::Text(text) => texts.push(text.as_str()),
                Raw::Bits(_) => return Err("one column holds either bits or texts"),
            }
        }
        return Ok(Values::Text(texts));
    }
    let mut bits = Vec::with_capacity(column.values.len());
    for (row, value) in column.values.iter().enumerate() {
        match value {
            _ if is_bad(row) => bits.push(bits.last().copied().unwrap_or(0)),
            Raw::Bits(value) => bits.push(*value),
            Raw::Text(_) => return Err("one column holds either bits or texts"),
        }
    }
    Ok(Values::Bits(bits))
}

pub(super) fn read(source: &mut Source<'_>) -> Result<ScanGroup, SectionError> {
    let group = source.small("group")?;
    let rows = source.count("number of rows")?;
    let request = column::times(source, rows)?;
    let mut response = column::times(source, rows)?;
    for (response, request) in response.iter_mut().zip(&request) {
        *response = response.wrapping_add(*request);
    }
    let count = source.count("number of columns")?;
    source.spend(rows.saturating_mul(count))?;
    let tags = tags(source, count)?;
    let mut columns = Vec::with_capacity(count);
    for tag in tags {
        columns.push(ScanColumn { tag, values: Vec::new(), exceptions: exceptions(source, rows)? });
    }
    for (column, values) in columns.iter_mut().zip(values::read(source, &vec![rows; count])?) {
        column.values = values;
        for (row, status) in &column.exceptions {
            if status.quality() == Quality::Bad {
                let value = &mut column.values[*row as usize];
                *value = if matches!(value, Raw::Bits(_)) { Raw::Bits(0) } else { Raw::Text(String::new()) };
            }
        }
    }
    Ok(ScanGroup { group, request, response, columns })
}
