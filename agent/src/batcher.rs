//! Readings and `now` in; journal rows and batches for blocks out. Pure.
//!
//! Readings gather in the open batch, in memory as columns and beside it as bytes for the journal. A batch closes
//! at a multiple of the block interval or before it outgrows its bound, and waits in a bounded row until it was
//! sealed; at the bound the oldest batch is dropped and counted. Event columns begin with the last known row, with
//! its original times, so that each block stands alone.

use std::collections::{BTreeMap, VecDeque};

use shopfloor::register_map::{GroupKind, RegisterMap};
use shopfloor::sample::{Quality, StatusCode};
use shopfloor::time::{SECOND, Timestamp};
use shopfloor::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup, SectionName};

use crate::config::Recording;
use crate::queue::journal;
use crate::source::Reading;

/// Bytes of batches that wait in memory while the disk takes nothing; beyond it the oldest batch is dropped.
pub const RING_BYTES: usize = 16 << 20;
/// Life signs of a subscription are kept at least this far apart, in nanoseconds.
const LIFE_SPACING: i64 = SECOND;

/// Cause under which samples are counted that memory could not hold while the disk took nothing.
pub const DROPPED_RING: &str = "ring_full";

/// The groups of a register map and their tags.
#[derive(Debug, Clone)]
pub struct Layout {
    groups: Vec<(bool, Vec<u16>)>,
    sections: Vec<SectionName>,
}

impl Layout {
    /// The layout that a register map prescribes.
    pub fn of(map: &RegisterMap) -> Self {
        let kind = |g: &shopfloor::register_map::GroupEntry| (matches!(g.kind, GroupKind::Event { .. }), Vec::new());
        let mut groups: Vec<(bool, Vec<u16>)> = map.groups.iter().map(kind).collect();
        for (index, tag) in map.tags.iter().enumerate() {
            if let (Some(group), Ok(index)) = (groups.get_mut(usize::from(tag.group)), u16::try_from(index)) {
                group.1.push(index);
            }
        }
        Self { groups, sections: map.tags.iter().map(|t| t.section.clone()).collect() }
    }

    /// Tags of a group, ascending: its columns.
    pub fn tags(&self, group: u16) -> &[u16] {
        self.groups.get(usize::from(group)).map_or(&[], |(_, tags)| tags)
    }
}

#[derive(Debug, Clone)]
enum Columns {
    Scan { request: Vec<i64>, response: Vec<i64>, values: Vec<Vec<Raw>>, exceptions: Vec<(u32, StatusCode)> },
    Event { life: Vec<i64>, rows: Vec<Vec<EventRow>>, before: Vec<Option<EventRow>> },
}

/// What becomes one block.
#[derive(Debug, Clone)]
pub struct Batch {
    columns: Vec<Columns>,
    /// First and last observed time, ns UTC; `None` if nothing was observed.
    pub observed: Option<(i64, i64)>,
    /// Samples inside.
    pub samples: u64,
    /// Bytes of its readings in the journal's form.
    pub bytes: usize,
    /// Newest journal row that holds readings of this batch.
    pub journaled: Option<i64>,
    pending: Vec<u8>,
    id: u64,
}

impl Batch {
    fn new(layout: &Layout, last: &[Option<EventRow>], id: u64) -> Self {
        let columns = layout.groups.iter().map(|(event, tags)| {
            if *event {
                let before = tags.iter().map(|t| last.get(usize::from(*t)).cloned().flatten()).collect();
                Columns::Event { life: Vec::new(), rows: vec![Vec::new(); tags.len()], before }
            } else {
                let values = vec![Vec::new(); tags.len()];
                Columns::Scan { request: Vec::new(), response: Vec::new(), values, exceptions: Vec::new() }
            }
        });
        let columns = columns.collect();
        Self { columns, observed: None, samples: 0, bytes: 0, journaled: None, pending: Vec::new(), id }
    }

    fn apply(&mut self, reading: Reading, layout: &Layout) {
        self.samples += match &reading {
            Reading::Scan { group, .. } | Reading::Events { group, .. } | Reading::Life { group, .. } => {
                reading.samples(layout.tags(*group).len()) as u64
            }
        };
        match reading {
            Reading::Scan { group, request: sent, response: came, status, words } => {
                self.observe(came);
                let Some(Columns::Scan { request, response, values, exceptions }) =
                    self.columns.get_mut(usize::from(group))
                else {
                    return;
                };
                let row = u32::try_from(request.len()).unwrap_or(u32::MAX);
                request.push(sent);
                response.push(came);
                let bad = status.quality() == Quality::Bad;
                for (index, column) in values.iter_mut().enumerate() {
                    let bits = if bad { 0 } else { words.get(index).copied().unwrap_or(0) };
                    column.push(Raw::Bits(bits));
                }
                if status != StatusCode::GOOD {
                    exceptions.push((row, status));
                }
            }
            Reading::Events { group, rows: new } => {
                for (_, row) in &new {
                    self.observe(row.observed_time);
                }
                if let Some(Columns::Event { rows, .. }) = self.columns.get_mut(usize::from(group)) {
                    for (column, row) in new {
                        if let Some(column) = rows.get_mut(usize::from(column)) {
                            column.push(row);
                        }
                    }
                }
            }
            Reading::Life { group, at } => {
                self.observe(at);
                if let Some(Columns::Event { life, .. }) = self.columns.get_mut(usize::from(group))
                    && life.last().is_none_or(|last| *last < at)
                {
                    life.push(at);
                }
            }
        }
    }

    fn observe(&mut self, at: i64) {
        let (first, last) = self.observed.unwrap_or((at, at));
        self.observed = Some((first.min(at), last.max(at)));
    }

    /// Whether nothing was observed.
    pub fn is_empty(&self) -> bool {
        self.observed.is_none()
    }

    /// The sections of the block: kpi first, groups and tags ascending.
    pub fn sections(self, layout: &Layout) -> Vec<(SectionName, Vec<Group>)> {
        let mut sections: BTreeMap<SectionName, Vec<Group>> = BTreeMap::new();
        for (index, (columns, (_, tags))) in self.columns.into_iter().zip(&layout.groups).enumerate() {
            let group = u16::try_from(index).expect("a register map has fewer than 65536 groups");
            match columns {
                Columns::Scan { request, response, values, exceptions } if !request.is_empty() => {
                    let mut split: BTreeMap<&SectionName, Vec<ScanColumn>> = BTreeMap::new();
                    for (tag, values) in tags.iter().zip(values) {
                        let column = ScanColumn { tag: *tag, values, exceptions: exceptions.clone() };
                        split.entry(&layout.sections[usize::from(*tag)]).or_default().push(column);
                    }
                    for (name, columns) in split {
                        let (request, response) = (request.clone(), response.clone());
                        let scan = Group::Scan(ScanGroup { group, request, response, columns });
                        sections.entry(name.clone()).or_default().push(scan);
                    }
                }
                Columns::Event { life, rows, before } if !life.is_empty() || rows.iter().any(|r| !r.is_empty()) => {
                    let mut split: BTreeMap<&SectionName, Vec<EventColumn>> = BTreeMap::new();
                    for ((tag, rows), before) in tags.iter().zip(rows).zip(before) {
                        let rows: Vec<EventRow> = before.into_iter().chain(rows).collect();
                        if !rows.is_empty() {
                            let column = EventColumn { tag: *tag, rows };
                            split.entry(&layout.sections[usize::from(*tag)]).or_default().push(column);
                        }
                    }
                    for (name, columns) in split {
                        let event = Group::Event(EventGroup { group, life: life.clone(), columns });
                        sections.entry(name.clone()).or_default().push(event);
                    }
                }
                _ => {}
            }
        }
        sections.into_iter().collect()
    }
}

/// Gathers readings.
#[derive(Debug)]
pub struct Batcher {
    layout: Layout,
    recording: Recording,
    open: Batch,
    ready: VecDeque<Batch>,
    ready_bytes: usize,
    last: Vec<Option<EventRow>>,
    lives: Vec<Life>,
    drops: BTreeMap<&'static str, u64>,
    closes_at: Timestamp,
    empty_at: Timestamp,
    next_id: u64,
}

/// The newest life sign of a group: the one that was kept, and the one after it that was too near.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    kept: Option<i64>,
    skipped: Option<i64>,
}

/// Bytes for the journal, and the batch they belong to.
#[derive(Debug)]
pub struct Pending {
    batch: u64,
    /// Readings in the journal's form.
    pub bytes: Vec<u8>,
}

impl Batcher {
    /// An empty batcher at `now`.
    pub fn new(layout: Layout, recording: Recording, now: Timestamp) -> Self {
        let last = vec![None; layout.sections.len()];
        let lives = vec![Life::default(); layout.groups.len()];
        let open = Batch::new(&layout, &last, 0);
        let closes_at = next_multiple(now, recording.block_interval);
        let empty_at = now.plus(recording.empty_block);
        let (ready, drops) = (VecDeque::new(), BTreeMap::new());
        Self { layout, recording, open, ready, ready_bytes: 0, last, lives, drops, closes_at, empty_at, next_id: 1 }
    }

    /// The layout of groups and tags.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes a reading in.
    pub fn push(&mut self, reading: Reading) {
        match reading {
            Reading::Life { group, at } => {
                if let Some(life) = self.lives.get_mut(usize::from(group)) {
                    if life.kept.is_some_and(|kept| (kept..kept.saturating_add(LIFE_SPACING)).contains(&at)) {
                        life.skipped = Some(at);
                        return;
                    }
                    *life = Life { kept: Some(at), skipped: None };
                }
                self.take(Reading::Life { group, at });
            }
            reading => self.take(reading),
        }
    }

    /// The newest life sign of the group, kept or not.
    pub fn newest_life(&self, group: u16) -> Option<i64> {
        self.lives.get(usize::from(group)).and_then(|life| life.skipped.or(life.kept))
    }

    fn take(&mut self, reading: Reading) {
        if self.open.bytes >= self.recording.block_bytes {
            self.close();
        }
        let before = self.open.pending.len();
        journal::encode(&reading, &mut self.open.pending);
        self.open.bytes += self.open.pending.len() - before;
        if let Reading::Events { group, rows } = &reading {
            for (column, row) in rows {
                let tag = self.layout.tags(*group).get(usize::from(*column)).copied();
                if let Some(slot) = tag.and_then(|t| self.last.get_mut(usize::from(t))) {
                    *slot = Some(row.clone());
                }
            }
        }
        self.open.apply(reading, &self.layout);
    }

    /// Closes the open batch if its time has come: at a multiple of the block interval when something is inside,
    /// after the longest silence otherwise. `force` closes whatever is inside.
    pub fn close_due(&mut self, now: Timestamp, force: bool) {
        if now.plus(2 * self.recording.block_interval) < self.closes_at {
            self.closes_at = next_multiple(now, self.recording.block_interval); // the clock was set back
            self.empty_at = now.plus(self.recording.empty_block);
        }
        let due = now >= self.closes_at && (!self.open.is_empty() || self.has_skipped_life());
        if due || now >= self.empty_at || force && !self.open.is_empty() {
            self.flush_life();
            self.close();
            self.empty_at = now.plus(self.recording.empty_block);
        }
        if now >= self.closes_at {
            self.closes_at = next_multiple(now, self.recording.block_interval);
        }
    }

    fn has_skipped_life(&self) -> bool {
        self.lives.iter().any(|life| life.skipped.is_some())
    }

    /// Puts the newest life sign of each group in, so that a block knows how far its groups were alive.
    fn flush_life(&mut self) {
        for group in 0..self.lives.len() {
            if let Some(at) = self.lives[group].skipped.take() {
                self.lives[group].kept = Some(at);
                self.take(Reading::Life { group: u16::try_from(group).unwrap_or(u16::MAX), at });
            }
        }
    }

    fn close(&mut self) {
        let fresh = Batch::new(&self.layout, &self.last, self.next_id);
        self.next_id += 1;
        let closed = std::mem::replace(&mut self.open, fresh);
        self.ready_bytes += closed.bytes;
        self.ready.push_back(closed);
        while self.ready_bytes > RING_BYTES && self.ready.len() > 1 {
            if let Some(dropped) = self.ready.pop_front() {
                self.ready_bytes -= dropped.bytes;
                *self.drops.entry(DROPPED_RING).or_default() += dropped.samples;
            }
        }
    }

    /// The instant of the next thing to do: a batch to close or readings to commit.
    pub fn next_due(&self, now: Timestamp) -> Timestamp {
        let commit = next_multiple(now, self.recording.journal_commit);
        commit.min(self.closes_at.max(now)).min(self.empty_at.max(now))
    }

    /// Whether there is nothing to close, to seal or to commit at `now`.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.ready.is_empty() && self.open.pending.is_empty() && now < self.closes_at && now < self.empty_at
    }

    /// The oldest batch that waits for sealing.
    pub fn take_ready(&mut self) -> Option<Batch> {
        let batch = self.ready.pop_front()?;
        self.ready_bytes -= batch.bytes;
        Some(batch)
    }

    /// Bytes that are not in the journal yet, of the oldest batch that has any.
    pub fn take_pending(&mut self) -> Option<Pending> {
        let batch = self.ready.iter_mut().chain([&mut self.open]).find(|b| !b.pending.is_empty())?;
        Some(Pending { batch: batch.id, bytes: std::mem::take(&mut batch.pending) })
    }

    /// The bytes are in the journal, in row `id`.
    pub fn journaled(&mut self, pending: &Pending, id: i64) {
        if let Some(batch) = self.batch_mut(pending.batch) {
            batch.journaled = Some(id);
        }
    }

    /// The bytes could not be written; they wait for the next time.
    pub fn put_back_pending(&mut self, mut pending: Pending) {
        if let Some(batch) = self.batch_mut(pending.batch) {
            pending.bytes.append(&mut batch.pending);
            batch.pending = pending.bytes;
        }
    }

    fn batch_mut(&mut self, id: u64) -> Option<&mut Batch> {
        self.ready.iter_mut().chain([&mut self.open]).find(|b| b.id == id)
    }

    /// Samples dropped since the start, by cause.
    pub fn drops(&self) -> &BTreeMap<&'static str, u64> {
        &self.drops
    }

    /// Bytes of readings in memory.
    pub fn bytes(&self) -> usize {
        self.ready_bytes + self.open.bytes
    }
}

/// A batch of readings that were left in the journal.
pub fn replay(layout: &Layout, readings: impl IntoIterator<Item = Reading>) -> Batch {
    let mut batch = Batch::new(layout, &[], 0);
    for reading in readings {
        batch.apply(reading, layout);
    }
    batch
}

/// The first multiple of `interval` after `now`.
fn next_multiple(now: Timestamp, interval: i64) -> Timestamp {
    Timestamp::from_nanos((now.as_nanos().div_euclid(interval) + 1).saturating_mul(interval))
}
