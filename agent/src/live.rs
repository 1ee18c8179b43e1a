//! The newest reading of every tag, for health pages and for the driver of a lock-step clock.
//!
//! One lock, no map: readings are kept by index of the register map, a scan as the words it came with, and decoded
//! only when asked for.

use std::sync::{Arc, Mutex, PoisonError};

use shopfloor::id::TagName;
use shopfloor::register_map::{self, RegisterMap, TagEntry};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::Timestamp;
use shopfloor::wire::section::{EventRow, Raw};
use tokio::sync::watch;

/// The newest reading of one tag.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveValue {
    /// The decoded value; `None` while the status is Bad.
    pub value: Option<Value>,
    /// Full status code.
    pub status: StatusCode,
    /// Time the device gave, if it gives one.
    pub source_time: Option<Timestamp>,
    /// When the agent saw it.
    pub observed_time: Timestamp,
    /// When the request was sent, for polled tags.
    pub request_time: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Newest {
    raw: Option<Raw>,
    status: StatusCode,
    source_time: Option<i64>,
    observed_time: i64,
    request_time: Option<i64>,
}

/// The newest scan of one group: a value for each of its tags, or none if it is Bad.
#[derive(Debug, Clone)]
struct NewestScan {
    request: i64,
    response: i64,
    status: StatusCode,
    words: Vec<u64>,
}

#[derive(Debug)]
struct Table {
    /// By group.
    scans: Vec<Option<NewestScan>>,
    /// By tag, of notifications.
    events: Vec<Option<Newest>>,
}

/// A view that can be cloned and kept.
#[derive(Debug, Clone)]
pub struct Live {
    map: Arc<RegisterMap>,
    /// Column of each tag within its group.
    columns: Arc<Vec<usize>>,
    newest: Arc<Mutex<Table>>,
    readings: Arc<watch::Sender<u64>>,
}

impl Live {
    pub(crate) fn new(map: Arc<RegisterMap>) -> Self {
        let mut wide = vec![0; map.groups.len()];
        let column = |tag: &TagEntry| {
            let column = wide[usize::from(tag.group)];
            wide[usize::from(tag.group)] += 1;
            column
        };
        let columns = Arc::new(map.tags.iter().map(column).collect());
        let table = Table { scans: vec![None; map.groups.len()], events: vec![None; map.tags.len()] };
        Self { map, columns, newest: Arc::new(Mutex::new(table)), readings: Arc::new(watch::Sender::new(0)) }
    }

    /// The register map.
    pub(crate) fn map(&self) -> &Arc<RegisterMap> {
        &self.map
    }

    /// The newest reading of the tag; `None` if there was none yet or the tag is unknown.
    pub fn get(&self, name: &TagName) -> Option<LiveValue> {
        self.at(self.map.tag_index(name)?)
    }

    /// The newest reading of the tag with this index in the register map.
    pub fn at(&self, tag: u16) -> Option<LiveValue> {
        let entry = self.map.tags.get(usize::from(tag))?;
        let newest = self.newest(usize::from(tag), usize::from(entry.group))?;
        let decoded = match newest.raw {
            Some(raw) => register_map::decode(entry, &raw),
            None => Err(StatusCode::BAD_NO_DATA),
        };
        let (value, status) = match (decoded, newest.status.quality()) {
            (_, shopfloor::sample::Quality::Bad) => (None, newest.status),
            (Ok(value), _) => (Some(value), newest.status),
            (Err(status), _) => (None, status),
        };
        Some(LiveValue {
            value,
            status,
            source_time: newest.source_time.map(Timestamp::from_nanos),
            observed_time: Timestamp::from_nanos(newest.observed_time),
            request_time: newest.request_time.map(Timestamp::from_nanos),
        })
    }

    fn newest(&self, tag: usize, group: usize) -> Option<Newest> {
        let table = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match table.scans.get(group)? {
            Some(scan) => Some(Newest {
                raw: scan.words.get(*self.columns.get(tag)?).map(|bits| Raw::Bits(*bits)),
                status: scan.status,
                source_time: None,
                observed_time: scan.response,
                request_time: Some(scan.request),
            }),
            None => table.events.get(tag)?.clone(),
        }
    }

    /// A receiver that changes with every reading; the number counts readings.
    pub fn readings(&self) -> watch::Receiver<u64> {
        self.readings.subscribe()
    }

    /// One scan of a group: `words` in the order of its tags, empty if the scan is Bad.
    pub(crate) fn scan(&self, group: u16, request: i64, response: i64, status: StatusCode, words: &[u64]) {
        let mut table = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = table.scans.get_mut(usize::from(group)) {
            let mut kept = slot.take().map(|scan| scan.words).unwrap_or_default();
            kept.clear();
            kept.extend(words);
            *slot = Some(NewestScan { request, response, status, words: kept });
        }
        drop(table);
        self.readings.send_modify(|count| *count += 1);
    }

    /// Notifications.
    pub(crate) fn events<'a>(&self, rows: impl IntoIterator<Item = (u16, &'a EventRow)>) {
        let mut table = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        for (tag, row) in rows {
            if let Some(slot) = table.events.get_mut(usize::from(tag)) {
                *slot = Some(Newest {
                    raw: row.value.clone(),
                    status: row.status,
                    source_time: row.source_time,
                    observed_time: row.observed_time,
                    request_time: None,
                });
            }
        }
        drop(table);
        self.readings.send_modify(|count| *count += 1);
    }
}
