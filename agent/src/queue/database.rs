//! The database file: its tables, how an older one is brought up to date, and what is read when it is opened.

use std::path::Path;

use rusqlite::{Connection, params};
use shopfloor::hash::Hash;
use shopfloor::time::Timestamp;

use super::{QueueError, State};

/// The form of the database that this program reads and writes.
pub(super) const SCHEMA: i64 = 3;

const TABLES: &str = "
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, next_sequence INTEGER NOT NULL,
    prev_hash BLOB NOT NULL, next_sample INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
    log_index INTEGER, log_origin TEXT, drops TEXT NOT NULL, last_instant INTEGER,
    sealed_until INTEGER, acknowledged_hash BLOB, evicted_since INTEGER, journaled_through INTEGER NOT NULL DEFAULT 0);
CREATE TABLE register_map (hash BLOB PRIMARY KEY, plan_hash BLOB, bytes BLOB NOT NULL);
CREATE TABLE block (
    sequence INTEGER PRIMARY KEY, hash BLOB NOT NULL, config_hash BLOB NOT NULL, sealed_at INTEGER NOT NULL,
    parked TEXT, size INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE gap (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, first INTEGER, last INTEGER, start INTEGER, end INTEGER,
    block_hash BLOB, detail TEXT NOT NULL);
";

/// What makes a database of schema 1 one of schema 2.
const FROM_1: &str = "
ALTER TABLE state ADD COLUMN acknowledged_hash BLOB;
ALTER TABLE state ADD COLUMN evicted_since INTEGER;
";

/// What makes a database of schema 2 one of schema 3, but for the journal, which [`super::Queue::open`] moves.
const FROM_2: &str = "
ALTER TABLE state ADD COLUMN journaled_through INTEGER NOT NULL DEFAULT 0;
";

/// Opens the database, made or brought up to date if need be.
pub(super) fn connect(path: &Path) -> Result<Connection, QueueError> {
    let at = |what, source| QueueError::Sqlite { what, path: path.to_owned(), source };
    let db = Connection::open(path).map_err(|e| at("opening the queue", e))?;
    let set = || -> rusqlite::Result<i64> {
        db.busy_timeout(std::time::Duration::from_secs(2))?;
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "journal_size_limit", 16 << 20)?;
        db.set_prepared_statement_cache_capacity(32);
        db.query_row("PRAGMA user_version", [], |row| row.get(0))
    };
    let version = set().map_err(|e| at("opening the queue", e))?;
    match version {
        SCHEMA => Ok(db),
        0 => {
            let make = || -> rusqlite::Result<()> {
                db.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))
            };
            make().map_err(|e| at("making the queue", e))?;
            Ok(db)
        }
        1 | 2 => {
            let first = if version == 1 { FROM_1 } else { "" };
            let bring = || -> rusqlite::Result<()> {
                db.execute_batch(&format!("BEGIN; {first} {FROM_2} PRAGMA user_version = {SCHEMA}; COMMIT;"))
            };
            bring().map_err(|e| at("bringing the queue up to date", e))?;
            Ok(db)
        }
        found => Err(QueueError::NewerSchema { path: path.to_owned(), found }),
    }
}

/// The end of the chain; a new database begins with `epoch`.
pub(super) fn load(db: &Connection, path: &Path, epoch: u64) -> Result<State, QueueError> {
    let run = || -> rusqlite::Result<State> {
        // A torn page among the tables shows here; blocks and journal rows have checksums of their own.
        let check: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(code, Some(check)));
        }
        db.execute(
            "INSERT OR IGNORE INTO state (id, epoch, next_sequence, prev_hash, next_sample, acknowledged, drops)
             VALUES (1, ?1, 1, ?2, 1, 0, '{}')",
            params![epoch.cast_signed(), Hash::ZERO.0],
        )?;
        db.query_row(
            "SELECT epoch, next_sequence, prev_hash, next_sample, acknowledged, log_index, log_origin, drops,
             last_instant, sealed_until, acknowledged_hash, evicted_since, journaled_through FROM state",
            [],
            |row| {
                let whole = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                let prev: Vec<u8> = row.get(2)?;
                let (index, origin): (Option<i64>, Option<String>) = (row.get(5)?, row.get(6)?);
                let drops: String = row.get(7)?;
                let acknowledged: Option<Vec<u8>> = row.get(10)?;
                Ok(State {
                    epoch: whole(0)?,
                    next_sequence: whole(1)?,
                    prev_hash: Hash::from_slice(&prev).unwrap_or(Hash::ZERO),
                    next_sample: whole(3)?,
                    acknowledged: whole(4)?,
                    receipt: index.map(i64::cast_unsigned).zip(origin),
                    drops: serde_json::from_str(&drops).unwrap_or_default(),
                    last_instant: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_nanos),
                    sealed_until: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_nanos),
                    acknowledged_hash: acknowledged.and_then(|h| Hash::from_slice(&h)),
                    evicted_since: row.get::<_, Option<i64>>(11)?.map(Timestamp::from_nanos),
                    journaled_through: row.get(12)?,
                })
            },
        )
    };
    run().map_err(|source| QueueError::Sqlite { what: "reading the queue", path: path.to_owned(), source })
}

/// Whether the file itself is at fault.
pub(super) fn is_corrupt(error: &QueueError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        QueueError::Sqlite { source, .. } => {
            matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        }
        _ => false,
    }
}

/// A row of the journal that databases before schema 3 held: number, instant, register map, readings; the readings are
/// `None` if their checksum did not hold.
pub(super) type OldRow = (i64, Timestamp, Hash, Option<Vec<u8>>);

/// The journal that databases before schema 3 held; `None` if there is none.
pub(super) fn old_journal(db: &Connection) -> rusqlite::Result<Option<Vec<OldRow>>> {
    let known = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'journal')";
    if !db.query_row(known, [], |row| row.get(0))? {
        return Ok(None);
    }
    let mut statement = db.prepare("SELECT id, at, config_hash, checksum, bytes FROM journal ORDER BY id")?;
    let row = |row: &rusqlite::Row<'_>| {
        let (map, checksum, bytes): (Vec<u8>, Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let whole = checksum == Hash::of(&bytes).0[..8];
        let map = Hash::from_slice(&map).unwrap_or(Hash::ZERO);
        Ok((row.get(0)?, Timestamp::from_nanos(row.get(1)?), map, whole.then_some(bytes)))
    };
    statement.query_map([], row)?.collect::<rusqlite::Result<_>>().map(Some)
}
