//! One month of the log: one SQLite file, `log-YYYY-MM.db`, named for the month of receipt (UTC).
//!
//! Blocks, documents, leaves and nodes of the tree change in one transaction with `synchronous = FULL`. Readers have
//! connections of their own and never hold up the writer (WAL).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use shopfloor::hash::Hash;
use shopfloor::time::{Interval, Timestamp};

use super::{DocumentKind, LogError, NewBlock, StoredBlock, StoredDocument};

/// The version of the tables; a file of another version is refused by name.
const VERSION: i64 = 1;
/// Reading connections that are kept open per month; more are opened when needed and closed after use.
const READERS_MAX: usize = 4;
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE block(
        log_index INTEGER PRIMARY KEY, hash BLOB NOT NULL, site TEXT NOT NULL, agent TEXT NOT NULL,
        epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, received_ns INTEGER NOT NULL,
        first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE INDEX block_by_hash ON block(hash);
    CREATE INDEX block_by_sequence ON block(site, agent, epoch, sequence);
    CREATE INDEX block_by_time ON block(site, agent, last_ns, first_ns);
    CREATE TABLE document(
        log_index INTEGER PRIMARY KEY, hash BLOB NOT NULL, kind TEXT NOT NULL, received_ns INTEGER NOT NULL,
        bytes BLOB NOT NULL) STRICT;
    CREATE INDEX document_by_hash ON document(hash);
    CREATE TABLE leaf(log_index INTEGER PRIMARY KEY, leaf BLOB NOT NULL) STRICT;
    CREATE TABLE session(
        site TEXT NOT NULL, agent TEXT NOT NULL, epoch INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY(site, agent, epoch)) STRICT, WITHOUT ROWID;
    CREATE TABLE node(
        level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY(level, place)) STRICT, WITHOUT ROWID;
    CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, written_ns INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
";

/// One file of the log.
pub(super) struct Month {
    /// `YYYY-MM`.
    pub(super) name: String,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
}

impl Month {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("log-{name}.db"));
        Self { name: name.to_owned(), path, readers: Mutex::new(Vec::new()) }
    }

    /// The name of the month in which `at` lies.
    pub(super) fn name_of(at: Timestamp) -> String {
        at.to_string().chars().take(7).collect()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The connection that writes; makes the file if it is missing.
    pub(super) fn writer(&self) -> Result<Connection, LogError> {
        let failed = |source| self.failed("open for writing", source);
        let connection = Connection::open(&self.path).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        match version {
            0 => connection
                .execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))
                .map_err(failed)?,
            VERSION => {}
            found => return Err(LogError::Version { path: self.path.clone(), found, known: VERSION }),
        }
        Ok(connection)
    }

    /// Reads with a connection of its own.
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, LogError> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.reader().map_err(|source| self.failed("open for reading", source))?,
        };
        let answer = query(&connection).map_err(|source| self.failed(what, source))?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(connection);
        }
        Ok(answer)
    }

    fn reader(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }

    pub(super) fn failed(&self, what: &'static str, source: rusqlite::Error) -> LogError {
        LogError::Sqlite { what, path: self.path.clone(), source }
    }

    /// Leaves in the log at the end of this month; `None` if none was added in it.
    pub(super) fn size(&self) -> Result<Option<u64>, LogError> {
        self.read("count the leaves", |connection| {
            let last: Option<i64> = connection.query_row("SELECT max(log_index) FROM leaf", [], |row| row.get(0))?;
            Ok(last.map(|last| last.cast_unsigned() + 1))
        })
    }

    /// The newest checkpoint: tree size, when it was written, the note.
    pub(super) fn checkpoint(&self) -> Result<Option<(u64, Timestamp, String)>, LogError> {
        self.read("read the checkpoint", |connection| {
            connection
                .query_row("SELECT size, written_ns, note FROM checkpoint ORDER BY size DESC LIMIT 1", [], |row| {
                    Ok((unsigned(row, 0)?, Timestamp::from_nanos(row.get(1)?), row.get(2)?))
                })
                .optional()
        })
    }

    /// Blocks that a condition on the table selects.
    pub(super) fn blocks(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<StoredBlock>, LogError> {
        let sql = format!(
            "SELECT log_index, hash, site, agent, epoch, sequence, received_ns, first_ns, last_ns, bytes \
             FROM block {condition}"
        );
        self.read("read blocks", |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(parameters, stored_block)?.collect()
        })
    }

    /// Documents that a condition on the table selects.
    pub(super) fn documents(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<StoredDocument>, LogError> {
        let sql = format!("SELECT log_index, hash, kind, received_ns, bytes FROM document {condition}");
        self.read("read documents", |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(parameters, stored_document)?.collect()
        })
    }

    /// The leaf at an index.
    pub(super) fn leaf(&self, log_index: u64) -> Result<Option<Vec<u8>>, LogError> {
        self.read("read a leaf", |connection| {
            connection
                .query_row("SELECT leaf FROM leaf WHERE log_index = ?1", [signed(log_index)], |row| row.get(0))
                .optional()
        })
    }
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Keeps the WAL from growing without end while a reader holds an old snapshot: it is cut at each checkpoint.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    Ok(())
}

/// Adds a block within the writer's transaction.
pub(super) fn insert_block(
    connection: &Connection,
    log_index: u64,
    received: Timestamp,
    block: &NewBlock,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO block(log_index, hash, site, agent, epoch, sequence, received_ns, first_ns, last_ns, bytes) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let header = &block.header;
    statement.execute(params![
        signed(log_index),
        block.hash.0.as_slice(),
        header.site.as_str(),
        header.agent.as_str(),
        signed(header.epoch),
        signed(header.sequence),
        received.as_nanos(),
        header.window.start.as_nanos(),
        header.window.end.as_nanos(),
        block.bytes,
    ])?;
    Ok(())
}

/// SQLite's integers are signed; numbers that the wire format bounds to 63 bits are stored as they are, and one
/// beyond that as its two's complement, which reads back the same.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn hash(row: &Row<'_>, column: usize) -> Result<Hash, rusqlite::Error> {
    row.get(column).map(Hash)
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> Result<T, rusqlite::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

fn instant(row: &Row<'_>, column: usize) -> Result<Timestamp, rusqlite::Error> {
    row.get(column).map(Timestamp::from_nanos)
}

fn stored_block(row: &Row<'_>) -> Result<StoredBlock, rusqlite::Error> {
    Ok(StoredBlock {
        log_index: unsigned(row, 0)?,
        hash: hash(row, 1)?,
        site: parsed(row, 2)?,
        agent: parsed(row, 3)?,
        epoch: unsigned(row, 4)?,
        sequence: unsigned(row, 5)?,
        received: instant(row, 6)?,
        window: Interval { start: instant(row, 7)?, end: instant(row, 8)? },
        bytes: row.get(9)?,
    })
}

fn stored_document(row: &Row<'_>) -> Result<StoredDocument, rusqlite::Error> {
    Ok(StoredDocument {
        log_index: unsigned(row, 0)?,
        hash: hash(row, 1)?,
        kind: parsed::<DocumentKind>(row, 2)?,
        received: instant(row, 3)?,
        bytes: row.get(4)?,
    })
}
