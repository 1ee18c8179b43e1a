//! The bounds of the queue: what is evicted, when, and how it is recorded.
//!
//! Whole blocks go, oldest first: too old, too many bytes, or too little free disk. One gap record names the last
//! evicted sequence and its hash, so that the chain stays checkable, and begins right after the acknowledged end: so
//! the record of an earlier eviction, whose block is evicted now, is restated. A parked block goes in its turn like
//! any other; its gap was recorded when it was parked.

use rusqlite::params;
use shopfloor::hash::Hash;
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::header::{GapKind, GapRecord};

use super::{Queue, QueueError, gap};

/// What has to go before the next block is stored.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) records: Vec<GapRecord>,
    /// Every block up to this sequence goes.
    pub(super) through: Option<u64>,
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    /// When the first block was sealed that is missing beyond the acknowledged end because of evictions.
    pub(super) since: Option<Timestamp>,
}

struct Old {
    sequence: u64,
    size: u64,
    sealed_at: Timestamp,
    hash: Hash,
    parked: bool,
}

impl Queue {
    /// Decides what is evicted for a block of `bytes_hint`; nothing is deleted yet.
    /// Errors: the disk has less free than its reserve and nothing can be evicted.
    pub(super) fn make_room(&mut self, bytes_hint: u64, now: Timestamp) -> Result<Room, QueueError> {
        let oldest_allowed = now.plus(-self.limits.age);
        let over = (self.bytes + bytes_hint).saturating_sub(self.limits.bytes);
        let starved = self.starved_bytes(bytes_hint)?;
        let want = over.max(starved);
        let mut room = Room::default();
        let mut last: Option<Old> = None;
        let mut since = self.state.evicted_since;
        for old in self.oldest(want)? {
            if old.sealed_at >= oldest_allowed && room.bytes >= want {
                break;
            }
            room.blocks += 1;
            room.bytes += old.size;
            room.through = Some(old.sequence);
            if !old.parked {
                since = since.or(Some(old.sealed_at));
                last = Some(old);
            }
        }
        if starved > 0 && room.bytes == 0 {
            let free = self.free_bytes().unwrap_or(0);
            return Err(QueueError::DiskReserve { path: self.path(), free, reserve: self.limits.disk_reserve });
        }
        if let (Some(since), Some(last)) = (since, last) {
            let first = self.state.acknowledged + 1;
            let cause = if starved > over {
                "disk reserve"
            } else if over > 0 {
                "queue bytes"
            } else {
                "queue age"
            };
            let detail = format!("{cause}: {} blocks, {} bytes", room.blocks, room.bytes);
            let interval = Interval::new(since, last.sealed_at);
            let mut record = gap(GapKind::Evicted, Some((first, last.sequence)), interval, detail);
            record.last_block_hash = Some(last.hash);
            tracing::error!(first, last = last.sequence, cause, "blocks were evicted unsent");
            room.records.push(record);
            room.since = Some(since);
        }
        Ok(room)
    }

    /// Enough of the oldest blocks to free `want` bytes, and every block that may be too old.
    fn oldest(&mut self, want: u64) -> Result<Vec<Old>, QueueError> {
        self.read("looking for the oldest blocks", |db| {
            let mut statement = db.prepare_cached(
                "SELECT sequence, size, sealed_at, hash, parked IS NOT NULL FROM block ORDER BY sequence",
            )?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let hash: Vec<u8> = row.get(3)?;
                let old = Old {
                    sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                    size: row.get::<_, i64>(1)?.cast_unsigned(),
                    sealed_at: Timestamp::from_nanos(row.get(2)?),
                    hash: Hash::from_slice(&hash).unwrap_or(Hash::ZERO),
                    parked: row.get(4)?,
                };
                bytes += old.size;
                let enough = bytes >= want && found.len() >= AGE_STEP;
                found.push(old);
                if enough {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// Bytes that must become free inside the database because the file system must not give any more.
    fn starved_bytes(&mut self, bytes_hint: u64) -> Result<u64, QueueError> {
        let free = self.free_bytes().unwrap_or(u64::MAX);
        if free >= self.limits.disk_reserve {
            return Ok(0);
        }
        let inside = self.read("asking for free pages", |db| {
            let pages: i64 = db.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            let size: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            Ok(pages.saturating_mul(size).cast_unsigned())
        })?;
        Ok((bytes_hint + MARGIN).saturating_sub(inside))
    }

    fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.directory).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Gives pages that were freed long ago back to the file system, a few at a time.
    pub fn shrink(&mut self) -> Result<(), QueueError> {
        self.write("shrinking the queue", |db| {
            let free: i64 = db.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
            if free > KEEP_PAGES {
                let step = (free - KEEP_PAGES).min(1024);
                db.prepare(&format!("PRAGMA incremental_vacuum({step})"))?.query([])?.next()?;
            }
            Ok(())
        })
    }

    /// Sequences first to last that are in the queue, parked or not.
    pub fn span(&mut self) -> Result<Option<(u64, u64)>, QueueError> {
        self.read("reading the span of the queue", |db| {
            db.query_row("SELECT min(sequence), max(sequence) FROM block", params![], |row| {
                let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
                Ok(first.zip(last).map(|(a, b)| (a.cast_unsigned(), b.cast_unsigned())))
            })
        })
    }
}

/// Blocks looked at for their age at each sealing.
const AGE_STEP: usize = 4;
/// Free pages that are kept for the next blocks.
const KEEP_PAGES: i64 = 4096;
/// Bytes beside a block that its transaction may touch.
const MARGIN: u64 = 256 << 10;
