//! Samples as they were read, with the words, the place and the block of each: the bottom of every drill-down.

use std::collections::BTreeMap;
use std::sync::Arc;

use shopfloor::id::{SiteId, TagName};
use shopfloor::register_map::{self, RawSample, RegisterMap};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::section::Raw;

use super::index::BlockRef;
use super::merge::Told;
use super::read::Bound;
use super::{Series, SeriesError};

/// What a device stamped may be observed a little later.
const MARGIN: i64 = 2 * MINUTE;

/// Where a page begins: after the row with this instant, block and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The instant the row speaks for.
    pub at: Timestamp,
    /// Place of its block in the log.
    pub log_index: u64,
    /// Its number among the block's rows of the tag.
    pub row: u32,
}

impl Cursor {
    /// As text for a client to hand back.
    pub fn text(self) -> String {
        format!("{}.{}.{}", self.at.as_nanos(), self.log_index, self.row)
    }

    /// The cursor of that text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let at = Timestamp::from_nanos(parts.next()?.parse().ok()?);
        let cursor = Self { at, log_index: parts.next()?.parse().ok()?, row: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(cursor)
    }
}

/// A sample as it was read.
#[derive(Debug, Clone)]
pub struct RawRow {
    /// Its place in the order of rows.
    pub cursor: Cursor,
    /// Times, status, raw value.
    pub sample: RawSample,
    /// What it means; the status says why there is no value.
    pub value: Result<Value, StatusCode>,
    /// The words in the order read; empty for OPC UA.
    pub words: Vec<u16>,
    /// The register map it was read with.
    pub map: Arc<RegisterMap>,
    /// Index of the tag in it.
    pub tag: u16,
    /// The block that holds it.
    pub block: BlockRef,
}

impl Series {
    /// At most `limit` rows of a tag inside `interval`, in order, after `after`.
    pub fn raw(
        &self,
        site: &SiteId,
        bounds: &[Bound],
        tag: &TagName,
        interval: Interval,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<RawRow>, SeriesError> {
        let mut rows = Vec::new();
        let mut start = after.map_or(interval.start, |cursor| cursor.at.max(interval.start));
        while start < interval.end && rows.len() < limit {
            let hour = Interval { start, end: start.plus(HOUR).min(interval.end) };
            let mut found = self.raw_hour(site, bounds, tag, hour)?;
            found.retain(|row| after.is_none_or(|cursor| row.cursor > cursor));
            rows.append(&mut found);
            start = hour.end;
        }
        rows.truncate(limit);
        Ok(rows)
    }

    fn raw_hour(
        &self,
        site: &SiteId,
        bounds: &[Bound],
        tag: &TagName,
        hour: Interval,
    ) -> Result<Vec<RawRow>, SeriesError> {
        // One fact is one row, that of the first block that told it: later blocks restate the last known value.
        let mut rows: BTreeMap<Fact, RawRow> = BTreeMap::new();
        for bound in bounds {
            let Some(part) = bound.interval.intersect(hour) else { continue };
            let near = Interval { start: part.start.plus(-MARGIN), end: part.end.plus(MARGIN) };
            for block in self.index.blocks(site, &bound.agent, near)? {
                for row in self.raw_block(&block, tag)? {
                    if part.contains(row.sample.at) {
                        let fact = Fact::of(&row);
                        let first = rows.entry(fact).or_insert_with(|| row.clone());
                        if row.block.sequence < first.block.sequence {
                            *first = row;
                        }
                    }
                }
            }
        }
        // In order of time, without what a life sign repeats although the device had replaced it by then.
        let mut rows: Vec<RawRow> = rows.into_values().collect();
        let mut told = Told::default();
        rows.retain(|row| !told.overtakes(row.sample.at, row.sample.observed_time, row.sample.source_time));
        rows.sort_by_key(|row| row.cursor);
        Ok(rows)
    }

    fn raw_block(&self, reference: &BlockRef, tag: &TagName) -> Result<Vec<RawRow>, SeriesError> {
        let hash = reference.hash;
        let broken = |source| SeriesError::Block { hash, source };
        let stored = self.log.block_by_index(reference.log_index)?.ok_or(SeriesError::Gone { hash })?;
        let opened = block::open(&stored.bytes, &Limits::default()).map_err(broken)?;
        let Some(map) = self.register_map(&opened.header.config_hash) else { return Ok(Vec::new()) };
        let Some(index) = map.tag_index(tag) else { return Ok(Vec::new()) };
        let entry = &map.tags[usize::from(index)];
        if !opened.header.sections.iter().any(|section| section.name == entry.section) {
            return Ok(Vec::new());
        }
        let groups = opened.section(&entry.section).map_err(broken)?;
        let samples = register_map::raw_samples(&map, &groups, index);
        let rows = samples.into_iter().zip(0_u32..).map(|(sample, row)| RawRow {
            cursor: Cursor { at: sample.at, log_index: reference.log_index, row },
            value: match &sample.raw {
                Some(raw) if sample.status.quality() != shopfloor::sample::Quality::Bad => {
                    register_map::decode(entry, raw)
                }
                _ => Err(sample.status),
            },
            words: sample.raw.as_ref().map(|raw| register_map::words(entry, raw)).unwrap_or_default(),
            map: Arc::clone(&map),
            tag: index,
            block: reference.clone(),
            sample,
        });
        Ok(rows.collect())
    }
}

/// What makes two rows the same fact.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    at: Timestamp,
    observed: Timestamp,
    source: Option<Timestamp>,
    request: Option<Timestamp>,
    status: StatusCode,
    bits: Option<u64>,
    text: Option<String>,
    life_sign: bool,
}

impl Fact {
    fn of(row: &RawRow) -> Self {
        let sample = &row.sample;
        let (bits, text) = match &sample.raw {
            Some(Raw::Bits(bits)) => (Some(*bits), None),
            Some(Raw::Text(text)) => (None, Some(text.clone())),
            None => (None, None),
        };
        Self {
            at: sample.at,
            observed: sample.observed_time,
            source: sample.source_time,
            request: sample.request_time,
            status: sample.status,
            bits,
            text,
            life_sign: sample.life_sign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_written_and_nothing_else_does() {
        let cursor = Cursor { at: Timestamp::from_nanos(-5), log_index: u64::MAX, row: 3 };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        for text in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.-3"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
