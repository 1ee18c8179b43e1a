//! Sealing into the queue, and letting go of what the collector has.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use shopfloor::hash::Hash;
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::block::{self, Limits, Sealed};
use shopfloor::wire::header::{GAPS_MAX, GapKind, GapRecord};

use super::retention::Room;
use super::{Queue, QueueError, gap, insert_gap};

/// What the chain prescribes for the next block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Epoch of the chain.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
    /// Hash of the block before.
    pub prev_hash: Hash,
    /// Number of its first sample.
    pub first_sample: u64,
    /// Gap records that it carries.
    pub gaps: Vec<GapRecord>,
}

/// What is to be sealed, as far as the queue must know.
#[derive(Debug, Clone)]
pub struct Sealing {
    /// Which batch this is: the same number when it is tried again.
    pub batch: u64,
    /// Register map of the readings.
    pub config_hash: Hash,
    /// Newest journal row that the block holds; with the block it and older rows count as sealed.
    pub journaled: Option<i64>,
    /// Samples dropped in this epoch, by cause.
    pub drops: BTreeMap<String, u64>,
    /// Size that the block may have, for making room.
    pub bytes_hint: u64,
    /// Now.
    pub now: Timestamp,
}

/// What was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence.
    pub sequence: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Blocks that were evicted to make room.
    pub evicted: u64,
}

/// What became of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// The block is kept and not sent any more.
    Parked,
    /// The refusal speaks of other bytes than those of our block, or does not say of which: it is sent on.
    NotOurs,
    /// There is no such block, or it was parked before.
    Absent,
}

/// One line of the queue, for people.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Line {
    /// Sequence.
    pub sequence: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Why the collector refused it for good, if it did.
    pub parked: Option<String>,
}

impl Queue {
    /// Seals a block: makes room, lets `build` make and sign it, stores it and moves the chain on, all or nothing.
    /// Errors: the disk took it not; then the sequence is unused, or the block is stored and the next call sees it.
    pub fn seal<E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        sealing: &Sealing,
        build: impl FnOnce(Link) -> Result<Sealed, E>,
    ) -> Result<Stored, QueueError> {
        let path = self.path();
        self.connection()?;
        if let Some((batch, sequence)) = self.doubtful.take()
            && batch == sealing.batch
            && self.state.next_sequence > sequence
        {
            tracing::warn!(sequence, "a commit that had failed turned out to be on disk");
            self.sealed_through(self.state.journaled_through);
            return Ok(Stored { sequence, bytes: 0, evicted: 0 });
        }
        let room = self.make_room(sealing.bytes_hint, sealing.now)?;
        let result = self.seal_in(sealing, &room, build);
        match result {
            Ok((sealed, sequence)) => {
                let bytes = sealed.bytes.len() as u64;
                self.blocks = self.blocks + 1 - room.blocks;
                self.bytes = self.bytes + bytes - room.bytes;
                self.state.next_sequence = sequence + 1;
                self.state.prev_hash = sealed.hash;
                self.state.next_sample = sealed.header.first_sample + sealed.header.sample_count;
                self.state.drops.clone_from(&sealing.drops);
                self.state.last_instant = Some(sealing.now);
                self.state.sealed_until = Some(sealed.header.window.end);
                self.state.evicted_since = room.since.or(self.state.evicted_since);
                self.sealed_through(sealing.journaled.unwrap_or(0));
                Ok(Stored { sequence, bytes, evicted: room.blocks })
            }
            Err(Failed::Sqlite(source)) => {
                self.doubtful = Some((sealing.batch, self.state.next_sequence));
                self.db = None;
                Err(QueueError::Sqlite { what: "sealing a block", path, source })
            }
            Err(Failed::Build(error)) => Err(QueueError::Block(Box::new(error))),
        }
    }

    fn seal_in<E>(
        &mut self,
        sealing: &Sealing,
        room: &Room,
        build: impl FnOnce(Link) -> Result<Sealed, E>,
    ) -> Result<(Sealed, u64), Failed<E>> {
        let state = self.state.clone();
        let db = self.db.as_mut().expect("seal has opened the connection");
        let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for record in &room.records {
            insert_gap(&transaction, record)?;
        }
        if let Some(through) = room.through {
            transaction.execute("DELETE FROM block WHERE sequence <= ?1", params![through.cast_signed()])?;
        }
        let gaps = take_gaps(&transaction)?;
        let sequence = state.next_sequence;
        let link =
            Link { epoch: state.epoch, sequence, prev_hash: state.prev_hash, first_sample: state.next_sample, gaps };
        let sealed = build(link).map_err(Failed::Build)?;
        transaction
            .prepare_cached(
                "INSERT INTO block (sequence, hash, config_hash, sealed_at, size, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                sequence.cast_signed(),
                sealed.hash.0,
                sealing.config_hash.0,
                sealing.now.as_nanos(),
                sealed.bytes.len().cast_signed() as i64,
                sealed.bytes,
            ])?;
        let drops = serde_json::to_string(&sealing.drops).unwrap_or_else(|_| "{}".to_owned());
        let next_sample = sealed.header.first_sample + sealed.header.sample_count;
        transaction
            .prepare_cached(
                "UPDATE state SET next_sequence = ?1, prev_hash = ?2, next_sample = ?3, drops = ?4, last_instant = ?5,
                 sealed_until = ?6, evicted_since = coalesce(?7, evicted_since),
                 journaled_through = max(journaled_through, ?8)",
            )?
            .execute(params![
                (sequence + 1).cast_signed(),
                sealed.hash.0,
                next_sample.cast_signed(),
                drops,
                sealing.now.as_nanos(),
                sealed.header.window.end.as_nanos(),
                room.since.map(Timestamp::as_nanos),
                sealing.journaled.unwrap_or(0),
            ])?;
        transaction.commit()?;
        Ok((sealed, sequence))
    }

    /// Deletes every block up to `contiguous`, which the collector has on its disk and in its log, and keeps the
    /// receipt. Never moves backward. It does not wait for the disk: a power cut may bring the blocks back until the
    /// next block or gap record is stored, and then they are sent and acknowledged once more.
    pub fn acknowledge(&mut self, contiguous: u64, log_index: u64, log_origin: &str) -> Result<(), QueueError> {
        if contiguous < self.state.acknowledged {
            return Ok(());
        }
        let known_hash = self.state.acknowledged_hash.filter(|_| contiguous == self.state.acknowledged);
        let evicted_since = self.state.evicted_since;
        let released = self.write("releasing acknowledged blocks", |db| {
            // Whatever fails in between gives the connection up, and the next one begins with FULL.
            db.pragma_update(None, "synchronous", "NORMAL")?;
            let released = release(db, contiguous, (log_index, log_origin), known_hash, evicted_since)?;
            db.pragma_update(None, "synchronous", "FULL")?;
            Ok(released)
        })?;
        let Released { blocks, bytes, hash, evicted_since } = released;
        self.blocks = self.blocks.saturating_sub(blocks);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.state.acknowledged = contiguous;
        self.state.acknowledged_hash = hash;
        self.state.evicted_since = evicted_since;
        self.state.receipt = Some((log_index, log_origin.to_owned()));
        Ok(())
    }

    /// Keeps a block that the collector refused for good, not to be sent again. The next block carries its gap, and
    /// the gap records that it carried itself. Only a reason that names the hash of our own bytes parks: a broker may
    /// have shown the collector somebody else's.
    pub fn park(&mut self, sequence: u64, reason: &str) -> Result<Parking, QueueError> {
        let named = refused_bytes(reason);
        self.write("parking a refused block", |db| {
            let transaction = db.transaction()?;
            let select = "SELECT hash, bytes FROM block WHERE sequence = ?1 AND parked IS NULL";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found = transaction.query_row(select, params![sequence.cast_signed()], row).optional()?;
            let Some((hash, bytes)): Option<(Vec<u8>, Vec<u8>)> = found else { return Ok(Parking::Absent) };
            if named != Some(Hash::of(&bytes)) {
                return Ok(Parking::NotOurs);
            }
            let update = "UPDATE block SET parked = ?2 WHERE sequence = ?1";
            transaction.execute(update, params![sequence.cast_signed(), reason])?;
            match block::open(&bytes, &Limits::default()) {
                Ok(opened) => {
                    for carried in &opened.header.gaps {
                        insert_gap(&transaction, carried)?;
                    }
                }
                Err(error) => tracing::error!(sequence, %error, "the gap records of a refused block cannot be read"),
            }
            let mut record = gap(GapKind::Refused, Some((sequence, sequence)), None, detail(reason));
            record.last_block_hash = Hash::from_slice(&hash);
            insert_gap(&transaction, &record)?;
            transaction.commit()?;
            Ok(Parking::Parked)
        })
    }

    /// The first block from `sequence` on that is to be sent: its sequence and size.
    pub fn next_from(&mut self, sequence: u64) -> Result<Option<(u64, u64)>, QueueError> {
        self.read("looking for the next block", |db| {
            db.prepare_cached(
                "SELECT sequence, size FROM block WHERE sequence >= ?1 AND parked IS NULL ORDER BY sequence LIMIT 1",
            )?
            .query_row(params![sequence.cast_signed()], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
            })
            .optional()
        })
    }

    /// The bytes of a block; `None` if it is not there or parked.
    pub fn block(&mut self, sequence: u64) -> Result<Option<Vec<u8>>, QueueError> {
        self.read("reading a block", |db| {
            db.prepare_cached("SELECT bytes FROM block WHERE sequence = ?1 AND parked IS NULL")?
                .query_row(params![sequence.cast_signed()], |row| row.get(0))
                .optional()
        })
    }

    /// Answers a collector that asks again for blocks which it had acknowledged and which are deleted: the next
    /// block says so and cites the receipt.
    pub fn restored(&mut self, first: u64, last: u64) -> Result<(), QueueError> {
        let receipt = match &self.state.receipt {
            Some((index, origin)) => {
                format!("acknowledged up to {} by {origin} at log index {index}", self.state.acknowledged)
            }
            None => "no receipt".to_owned(),
        };
        let mut record = gap(GapKind::Restored, Some((first, last)), None, detail(&receipt));
        record.last_block_hash = self.state.acknowledged_hash.filter(|_| last == self.state.acknowledged);
        self.write("recording a gap", |db| {
            let known: bool = db.query_row(
                "SELECT EXISTS (SELECT 1 FROM gap WHERE kind = 'restored' AND first = ?1 AND last = ?2)",
                params![first.cast_signed(), last.cast_signed()],
                |row| row.get(0),
            )?;
            if known { Ok(0) } else { insert_gap(db, &record) }
        })?;
        Ok(())
    }

    /// What is in the queue, oldest first, at most `limit` lines.
    pub fn lines(&mut self, limit: u32) -> Result<Vec<Line>, QueueError> {
        self.read("listing the queue", |db| {
            let mut statement =
                db.prepare("SELECT sequence, size, sealed_at, parked FROM block ORDER BY sequence LIMIT ?1")?;
            let line = |row: &rusqlite::Row<'_>| {
                Ok(Line {
                    sequence: row.get::<_, i64>(0)?.cast_unsigned(),
                    bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                    sealed_at: Timestamp::from_nanos(row.get(2)?),
                    parked: row.get(3)?,
                })
            };
            statement.query_map(params![limit], line)?.collect()
        })
    }
}

/// What an acknowledgement released.
struct Released {
    blocks: u64,
    bytes: u64,
    hash: Option<Hash>,
    evicted_since: Option<Timestamp>,
}

/// Deletes the blocks up to `contiguous` but for the parked ones, and keeps the receipt.
fn release(
    db: &mut Connection,
    contiguous: u64,
    (log_index, log_origin): (u64, &str),
    known_hash: Option<Hash>,
    evicted_since: Option<Timestamp>,
) -> rusqlite::Result<Released> {
    let end = contiguous.cast_signed();
    let transaction = db.transaction()?;
    let (blocks, bytes) = transaction
        .prepare_cached("SELECT count(*), coalesce(sum(size), 0) FROM block WHERE sequence <= ?1 AND parked IS NULL")?
        .query_row(params![end], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })?;
    let hash: Option<Vec<u8>> = transaction
        .prepare_cached("SELECT hash FROM block WHERE sequence = ?1")?
        .query_row(params![end], |row| row.get(0))
        .optional()?;
    let hash = hash.and_then(|h| Hash::from_slice(&h)).or(known_hash);
    // Evictions take the oldest blocks, so an end that releases a block lies beyond every eviction.
    let evicted_since = evicted_since.filter(|_| blocks == 0);
    transaction.prepare_cached("DELETE FROM block WHERE sequence <= ?1 AND parked IS NULL")?.execute(params![end])?;
    transaction
        .prepare_cached(
            "UPDATE state SET acknowledged = ?1, log_index = ?2, log_origin = ?3, acknowledged_hash = ?4,
             evicted_since = ?5",
        )?
        .execute(params![
            end,
            log_index.cast_signed(),
            log_origin,
            hash.map(|h| h.0),
            evicted_since.map(Timestamp::as_nanos),
        ])?;
    transaction.commit()?;
    Ok(Released { blocks, bytes, hash, evicted_since })
}

/// The hash of the refused bytes, which a reason ends in.
fn refused_bytes(reason: &str) -> Option<Hash> {
    reason.rsplit_once("bytes sha256:")?.1.parse().ok()
}

enum Failed<E> {
    Sqlite(rusqlite::Error),
    Build(E),
}

impl<E> From<rusqlite::Error> for Failed<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Takes the oldest gap records out, as many as a block carries.
fn take_gaps(transaction: &rusqlite::Transaction<'_>) -> rusqlite::Result<Vec<GapRecord>> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM gap WHERE id IN (SELECT id FROM gap ORDER BY id LIMIT ?1)
         RETURNING id, kind, first, last, start, end, block_hash, detail",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        let pair = |a: Option<i64>, b: Option<i64>| a.zip(b);
        let kind: String = row.get(1)?;
        let hash: Option<Vec<u8>> = row.get(6)?;
        let record = GapRecord {
            kind: kind_named(&kind),
            sequences: pair(row.get(2)?, row.get(3)?).map(|(a, b)| (a.cast_unsigned(), b.cast_unsigned())),
            interval: pair(row.get(4)?, row.get(5)?)
                .and_then(|(a, b)| Interval::new(Timestamp::from_nanos(a), Timestamp::from_nanos(b))),
            last_block_hash: hash.and_then(|h| Hash::from_slice(&h)),
            detail: row.get(7)?,
        };
        Ok((row.get::<_, i64>(0)?, record))
    };
    let mut records: Vec<(i64, GapRecord)> =
        statement.query_map(params![GAPS_MAX.cast_signed() as i64], row)?.collect::<rusqlite::Result<_>>()?;
    records.sort_by_key(|(id, _)| *id);
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

fn kind_named(name: &str) -> GapKind {
    let kinds = [
        GapKind::Evicted,
        GapKind::Refused,
        GapKind::AgentDown,
        GapKind::Restored,
        GapKind::CommunicationLost,
        GapKind::Overflow,
        GapKind::ClockUnusable,
        GapKind::DiskRefused,
    ];
    kinds.into_iter().find(|kind| kind.as_str() == name).unwrap_or(GapKind::Corrupted)
}

/// Text that fits a header field.
fn detail(text: &str) -> String {
    let mut end = text.len().min(shopfloor::wire::header::TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
