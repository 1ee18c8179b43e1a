//! The queue on disk: blocks, chain and receipts of one agent in an SQLite database, the journal in a file beside it.
//!
//! WAL with synchronous=FULL: what was committed survives a pulled plug. A block, the number of the newest journal row
//! that it holds, the new end of the chain and the gap records that it carries are one transaction, so no sequence is
//! ever used twice, and a reading is in the journal or in a block, never in both and never in neither. Bounded by bytes and age: `retention` evicts whole blocks, oldest first. After any
//! write error the connection is given up and the database opened afresh before the next attempt, because SQLite
//! may or may not have kept the last commit. A database that is corrupt is set aside, not repaired and not fatal.

pub mod blocks;
mod database;
pub mod journal;
mod retention;
mod segment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};
use shopfloor::hash::Hash;
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::header::{GapKind, GapRecord};

use crate::config::QueueLimits;

use self::database::{SCHEMA, connect, is_corrupt, load, old_journal};
use self::segment::{Lap, Segment};

/// Why the queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// SQLite said no.
    #[error("{what} in {path}")]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system is nearer to full than the reserve allows and nothing can be evicted.
    #[error("only {free} bytes are free on the file system of {path}, {reserve} are reserved; free some space")]
    DiskReserve {
        /// The database.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
    },
    /// The database was written by a newer program.
    #[error(
        "{path} has schema {found}, this program knows {SCHEMA}; install a newer plumbline-agent, the file was left as it is"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The journal was written by another program.
    #[error(
        "{path} is of version {found}, this program knows {}; install the plumbline-agent that wrote it, the file was left as it is",
        segment::VERSION
    )]
    OtherJournal {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u8,
    },
    /// A file beside the database could not be read or written.
    #[error("{what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A block could not be built.
    #[error("building a block")]
    Block(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The end of the chain and what is known of the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Epoch of the chain.
    pub epoch: u64,
    /// Sequence of the next block.
    pub next_sequence: u64,
    /// Hash of the newest block.
    pub prev_hash: Hash,
    /// Number of the next sample.
    pub next_sample: u64,
    /// Everything up to this sequence was acknowledged.
    pub acknowledged: u64,
    /// Log index and origin of the newest acknowledgement: the receipt.
    pub receipt: Option<(u64, String)>,
    /// Samples dropped in this epoch, by cause.
    pub drops: BTreeMap<String, u64>,
    /// The last instant at which something was recorded.
    pub last_instant: Option<Timestamp>,
    /// The end of the newest block's window.
    pub sealed_until: Option<Timestamp>,
    /// Hash of block `acknowledged`, if it was in the queue when it was acknowledged.
    pub acknowledged_hash: Option<Hash>,
    /// When the first block was sealed that was evicted beyond the acknowledged end.
    pub evicted_since: Option<Timestamp>,
    /// Journal rows up to this number are in blocks.
    pub journaled_through: i64,
}

/// A register map that readings in the queue were read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// Hash of the read plan.
    pub plan_hash: Option<Hash>,
}

/// The queue of one agent.
#[derive(Debug)]
pub struct Queue {
    directory: PathBuf,
    limits: QueueLimits,
    db: Option<Connection>,
    state: State,
    blocks: u64,
    bytes: u64,
    /// A batch whose sealing failed, and the sequence it would have had: it may be on disk all the same.
    doubtful: Option<(u64, u64)>,
    journal: Segment,
}

/// What was found when the queue was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// A corrupt database was moved here.
    pub set_aside: Option<PathBuf>,
}

/// Readings that were journaled but not sealed when the agent stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Hash of the register map in force.
    pub config_hash: Hash,
    /// Newest journal row among them.
    pub through: i64,
    /// Readings in the journal's form; rows whose checksum did not hold are missing.
    pub bytes: Vec<Vec<u8>>,
    /// Rows whose checksum did not hold.
    pub corrupt_rows: u64,
}

impl Queue {
    /// Opens or makes the queue in `directory`, which the caller has locked.
    /// Errors: a database of a newer schema, a directory that cannot be written.
    pub fn open(directory: &Path, limits: QueueLimits, now: Timestamp) -> Result<(Self, Found), QueueError> {
        let path = directory.join("queue.db");
        let mut found = Found::default();
        let (db, state) = match connect(&path).and_then(|db| load(&db, &path, 1).map(|state| (db, state))) {
            Ok(opened) => opened,
            Err(error) if is_corrupt(&error) => {
                let aside = set_aside(&path, now)?;
                tracing::error!(aside = %aside.display(), %error, "the queue is corrupt; set aside, a new epoch begins");
                found.set_aside = Some(aside);
                let epoch = read_epoch(directory).unwrap_or(1) + 1;
                let db = connect(&path)?;
                let state = load(&db, &path, epoch)?;
                (db, state)
            }
            Err(error) => return Err(error),
        };
        write_epoch(directory, state.epoch)?;
        let (journal, _) = Segment::open(directory, state.journaled_through)?;
        let (directory, db, doubtful) = (directory.to_owned(), Some(db), None);
        let mut queue = Self { directory, limits, db, state, blocks: 0, bytes: 0, doubtful, journal };
        queue.move_old_journal(now)?;
        queue.count()?;
        queue.know_last_instant();
        if let Some(aside) = &found.set_aside {
            let detail = format!("queue of the epoch before was corrupt; kept as {}", file_name(aside));
            queue.add_gap(&gap(GapKind::Corrupted, None, Interval::new(now, now), detail))?;
        }
        Ok((queue, found))
    }

    /// Moves the journal of a database before schema 3 into the file; a move that was cut short is gone on with.
    fn move_old_journal(&mut self, now: Timestamp) -> Result<(), QueueError> {
        let Some(rows) = self.read("reading the old journal", old_journal)? else { return Ok(()) };
        let mut damaged = 0_u64;
        for (number, at, config_hash, bytes) in rows {
            damaged += u64::from(bytes.is_none());
            if number > self.journal.last() {
                self.journal.skip_to(number);
                self.journal.append(at, config_hash, &bytes.unwrap_or_default())?;
            }
        }
        self.write("dropping the old journal", |db| {
            let transaction = db.transaction()?;
            if damaged > 0 {
                let detail = format!("{damaged} journal rows");
                insert_gap(&transaction, &gap(GapKind::Corrupted, None, Interval::new(now, now), detail))?;
            }
            transaction.execute("DROP TABLE journal", [])?;
            transaction.commit()
        })
    }

    /// What stands in the journal was recorded after the newest block.
    fn know_last_instant(&mut self) {
        self.state.last_instant = self.state.last_instant.max(self.journal.last_at());
    }

    /// The end of the chain.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Blocks in the queue and their bytes.
    pub fn size(&self) -> (u64, u64) {
        (self.blocks, self.bytes)
    }

    /// Remembers a register map, so that its blocks can be explained to the collector later.
    pub fn remember_map(&mut self, hash: Hash, plan_hash: Hash, bytes: &[u8]) -> Result<(), QueueError> {
        let used: Vec<Hash> = self.journal.maps().copied().chain([hash]).collect();
        self.write("remembering the register map", |db| {
            db.execute(
                "INSERT OR REPLACE INTO register_map (hash, plan_hash, bytes) VALUES (?1, ?2, ?3)",
                params![hash.0, plan_hash.0, bytes],
            )?;
            let mut statement =
                db.prepare("SELECT hash FROM register_map WHERE hash NOT IN (SELECT config_hash FROM block)")?;
            let unused: Vec<Vec<u8>> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for old in unused.iter().filter(|old| !used.iter().any(|hash| hash.0 == old.as_slice())) {
                db.execute("DELETE FROM register_map WHERE hash = ?1", params![old])?;
            }
            Ok(())
        })
    }

    /// A remembered register map: its bytes and the hash of its read plan.
    pub fn register_map(&mut self, hash: Hash) -> Result<Option<Remembered>, QueueError> {
        self.read("reading a register map", |db| {
            let row = |row: &rusqlite::Row<'_>| {
                let plan: Option<Vec<u8>> = row.get(1)?;
                Ok(Remembered { bytes: row.get(0)?, plan_hash: plan.and_then(|p| Hash::from_slice(&p)) })
            };
            db.query_row("SELECT bytes, plan_hash FROM register_map WHERE hash = ?1", params![hash.0], row).optional()
        })
    }

    /// Register maps that blocks in the queue were read by, other than `current`.
    pub fn older_maps(&mut self, current: Hash) -> Result<Vec<Vec<u8>>, QueueError> {
        self.read("reading register maps", |db| {
            let mut statement = db.prepare(
                "SELECT bytes FROM register_map WHERE hash <> ?1 AND hash IN (SELECT config_hash FROM block)",
            )?;
            statement.query_map(params![current.0], |row| row.get(0))?.collect()
        })
    }

    /// Puts readings into the journal; they survive from the moment this returns. The row's number.
    pub fn commit(&mut self, config_hash: Hash, bytes: &[u8], now: Timestamp) -> Result<i64, QueueError> {
        let number = self.journal.append(now, config_hash, bytes)?;
        self.state.last_instant = Some(now);
        Ok(number)
    }

    /// What the last run left in the journal, one part for each register map in a row.
    pub fn leftovers(&mut self) -> Result<Vec<Leftover>, QueueError> {
        let Lap { records, mut damaged, .. } = self.journal.read(self.state.journaled_through)?;
        let mut parts: Vec<Leftover> = Vec::new();
        for record in records {
            let (config_hash, through) = (record.config_hash, record.number);
            if parts.last().is_none_or(|part| part.config_hash != config_hash) {
                let corrupt_rows = std::mem::take(&mut damaged);
                parts.push(Leftover { config_hash, through, bytes: Vec::new(), corrupt_rows });
            }
            let part = parts.last_mut().expect("a part was pushed just now");
            part.through = through;
            part.bytes.push(record.bytes);
        }
        if damaged > 0 {
            let through = self.journal.last();
            parts.push(Leftover { config_hash: Hash::ZERO, through, bytes: Vec::new(), corrupt_rows: damaged });
        }
        Ok(parts)
    }

    /// Drops journal rows that cannot be sealed; the caller has recorded the gap.
    pub fn forget_journal(&mut self, through: i64) -> Result<(), QueueError> {
        self.write("clearing the journal", |db| {
            db.execute("UPDATE state SET journaled_through = max(journaled_through, ?1)", params![through])
        })?;
        self.sealed_through(through);
        Ok(())
    }

    /// Rows up to this number are in blocks, and the database knows it: if they are all, the journal begins anew.
    fn sealed_through(&mut self, through: i64) {
        self.state.journaled_through = self.state.journaled_through.max(through);
        if self.state.journaled_through >= self.journal.last() {
            self.journal.restart();
        }
    }

    /// A gap record for the next block.
    pub fn add_gap(&mut self, record: &GapRecord) -> Result<(), QueueError> {
        self.write("recording a gap", |db| insert_gap(db, record))?;
        Ok(())
    }

    fn count(&mut self) -> Result<(), QueueError> {
        let (blocks, bytes) = self.read("counting the queue", |db| {
            let both = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            db.query_row("SELECT count(*), coalesce(sum(size), 0) FROM block", [], both)
        })?;
        (self.blocks, self.bytes) = (blocks.cast_unsigned(), bytes.cast_unsigned());
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join("queue.db")
    }

    fn connection(&mut self) -> Result<&mut Connection, QueueError> {
        if self.db.is_none() {
            let path = self.path();
            let db = connect(&path)?;
            self.state = load(&db, &path, self.state.epoch)?;
            self.know_last_instant();
            self.db = Some(db);
            self.count()?;
        }
        Ok(self.db.as_mut().expect("the connection was opened just now"))
    }

    fn read<T>(
        &mut self,
        what: &'static str,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        let path = self.path();
        run(self.connection()?).map_err(|source| QueueError::Sqlite { what, path, source })
    }

    /// Runs a write; a failed one gives the connection up.
    fn write<T>(
        &mut self,
        what: &'static str,
        run: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueueError> {
        let path = self.path();
        let result = run(self.connection()?);
        result.map_err(|source| {
            self.db = None;
            QueueError::Sqlite { what, path, source }
        })
    }
}

/// A gap record of the whole agent.
pub fn gap(
    kind: GapKind,
    sequences: Option<(u64, u64)>,
    interval: Option<Interval>,
    detail: impl Into<String>,
) -> GapRecord {
    GapRecord { kind, sequences, interval, last_block_hash: None, detail: detail.into() }
}

fn insert_gap(db: &Connection, record: &GapRecord) -> rusqlite::Result<usize> {
    db.execute(
        "INSERT INTO gap (kind, first, last, start, end, block_hash, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            record.kind.as_str(),
            record.sequences.map(|s| s.0.cast_signed()),
            record.sequences.map(|s| s.1.cast_signed()),
            record.interval.map(|i| i.start.as_nanos()),
            record.interval.map(|i| i.end.as_nanos()),
            record.last_block_hash.map(|h| h.0),
            record.detail,
        ],
    )
}

/// Moves the database and what belongs to it out of the way, under a name with the instant.
fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, QueueError> {
    let stamp = now.as_nanos() / 1_000_000_000;
    let aside = path.with_file_name(format!("queue-corrupt-{stamp}.db"));
    // The journal goes first: without its database nobody knows what of it is in blocks.
    let journal = (path.with_file_name(segment::FILE), aside.with_extension("journal"));
    let database = ["", "-wal", "-shm"].map(|suffix| {
        let named = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        (named(path), named(&aside))
    });
    for (from, to) in [journal].into_iter().chain(database) {
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(QueueError::File { what: "setting aside", path: from, source }),
        }
    }
    Ok(aside)
}

/// The epoch stands in a file of its own, so that it is known when the database is lost.
fn read_epoch(directory: &Path) -> Option<u64> {
    std::fs::read_to_string(directory.join("epoch")).ok()?.trim().parse().ok()
}

fn write_epoch(directory: &Path, epoch: u64) -> Result<(), QueueError> {
    if read_epoch(directory) == Some(epoch) {
        return Ok(());
    }
    let path = directory.join("epoch");
    let new = directory.join("epoch.new");
    let write = || -> std::io::Result<()> {
        std::fs::write(&new, format!("{epoch}\n"))?;
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(directory)?.sync_all()
    };
    write().map_err(|source| QueueError::File { what: "writing", path: path.clone(), source })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
