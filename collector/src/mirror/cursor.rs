//! mirror.db: how far the log has been written to the server, what was parked and why. One transaction after each
//! stretch of lines that the server took, so that a crash sends that stretch again and loses nothing.
//!
//! The file may be deleted: then everything is written anew.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use shopfloor::hash::Hash;
use shopfloor::time::Timestamp;

use super::MirrorError;
use super::deliver::Parked;

/// Parked lines that are kept word for word; further ones are counted by reason, and the log still has their values.
pub const KEPT_MAX: u64 = 100_000;
/// Raised when the tables change: an older file is emptied, and the mirror is written anew.
const LAYOUT: i64 = 2;
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE place(
        id INTEGER PRIMARY KEY CHECK(id = 1), origin TEXT NOT NULL, target TEXT NOT NULL, generation INTEGER NOT NULL,
        next INTEGER NOT NULL, written INTEGER NOT NULL, results_from INTEGER NOT NULL,
        taken_ns INTEGER, trouble TEXT, trouble_ns INTEGER,
        whole INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE parked(
        id INTEGER PRIMARY KEY, log_index INTEGER NOT NULL, at_ns INTEGER NOT NULL, reason TEXT NOT NULL,
        detail TEXT NOT NULL, line TEXT NOT NULL) STRICT;
    CREATE TABLE parked_count(
        reason TEXT PRIMARY KEY, count INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
        detail TEXT NOT NULL) STRICT;
    CREATE TABLE waiting(log_index INTEGER PRIMARY KEY, map BLOB NOT NULL) STRICT;
    CREATE TABLE result(name TEXT PRIMARY KEY, made_ns INTEGER NOT NULL) STRICT;
    CREATE TABLE series(name TEXT PRIMARY KEY) STRICT;
";
const DROP: &str = "
    DROP TABLE IF EXISTS place; DROP TABLE IF EXISTS parked; DROP TABLE IF EXISTS parked_count;
    DROP TABLE IF EXISTS waiting; DROP TABLE IF EXISTS result; DROP TABLE IF EXISTS series;
";

/// Where the mirror stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Rises each time everything is written anew.
    pub generation: u64,
    /// Everything below this place of the log is on the server or parked.
    pub next: u64,
    /// Lines that the server took since it was written anew.
    pub written: u64,
    /// Results made before this instant are on the server or parked.
    pub results_from: Timestamp,
    /// Whether log and results were all on the server, or parked, at some moment since it was written anew.
    pub whole: bool,
    /// When the server last took something.
    pub taken: Option<Timestamp>,
    /// What is in the way, and since when; `None`: nothing.
    pub trouble: Option<(String, Timestamp)>,
}

/// What was parked for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedCount {
    /// Stable code.
    pub reason: String,
    /// Lines.
    pub count: u64,
    /// Earliest instant that one of them speaks for.
    pub first: Timestamp,
    /// Latest.
    pub last: Timestamp,
    /// The last one's reason in words.
    pub detail: String,
}

/// A stretch that was delivered.
#[derive(Debug, Default, Clone)]
pub struct Step {
    /// The generation in which it was read.
    pub generation: u64,
    /// Everything below is done.
    pub next: u64,
    /// Lines taken.
    pub written: u64,
    /// Lines parked.
    pub parked: Vec<Parked>,
    /// Blocks whose register map is not here yet.
    pub waits: Vec<(u64, Hash)>,
    /// Blocks that do not wait any more.
    pub waited: Vec<u64>,
    /// Results, by name, and when they were made.
    pub results: Vec<(String, Timestamp)>,
    /// New series.
    pub series: Vec<String>,
    /// Results made before this need not be looked at again.
    pub results_from: Timestamp,
}

/// The file.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Cursor {
    /// Opens the file in a state directory, or makes it. Where log or target are others than before, everything
    /// begins anew.
    pub fn open(state_dir: &Path, origin: &str, target: &str) -> Result<Self, MirrorError> {
        let path = state_dir.join("mirror.db");
        let failed = |doing| {
            let path = path.clone();
            move |source| MirrorError::Cursor { doing, path, source }
        };
        let connection = Connection::open(&path).map_err(failed("open"))?;
        prepare(&connection).map_err(failed("prepare the tables in"))?;
        let cursor = Self { path: path.clone(), connection: Mutex::new(connection) };
        let before: Option<(String, String)> = cursor
            .lock()
            .query_row("SELECT origin, target FROM place", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failed("read"))?;
        if before.as_ref().is_none_or(|(was, to)| (was.as_str(), to.as_str()) != (origin, target)) {
            if before.is_some() {
                tracing::warn!(origin, target, "log or target of the mirror are others than before: written anew");
            }
            cursor.begin(origin, target)?;
        }
        Ok(cursor)
    }

    /// Opens the file as it was left; `None` if there is none.
    pub fn existing(state_dir: &Path) -> Result<Option<Self>, MirrorError> {
        let path = state_dir.join("mirror.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if !path.exists() {
            return Ok(None);
        }
        let open = || -> rusqlite::Result<Option<Connection>> {
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY)?;
            let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let begun = layout == LAYOUT && connection.prepare("SELECT 1 FROM place")?.exists([])?;
            Ok(begun.then_some(connection))
        };
        let connection = open().map_err(|source| MirrorError::Cursor { doing: "open", path: path.clone(), source })?;
        Ok(connection.map(|connection| Self { path, connection: Mutex::new(connection) }))
    }

    fn begin(&self, origin: &str, target: &str) -> Result<(), MirrorError> {
        let mut connection = self.lock();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT INTO place(id, origin, target, generation, next, written, results_from) VALUES (1, ?1, ?2, 1, 0, 0, ?3)
                 ON CONFLICT(id) DO UPDATE SET origin = ?1, target = ?2",
                params![origin, target, i64::MIN],
            )?;
            forget(&transaction)?;
            transaction.commit()
        };
        write().map_err(|source| self.failed("begin", source))
    }

    /// Forgets what was written, so that all of it is written anew. A running collector takes notice.
    pub fn rebuild(&self) -> Result<(), MirrorError> {
        let mut connection = self.lock();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            forget(&transaction)?;
            transaction.commit()
        };
        write().map_err(|source| self.failed("begin anew in", source))
    }

    /// Where the mirror stands.
    pub fn place(&self) -> Result<Place, MirrorError> {
        let read = self.lock().query_row(
            "SELECT generation, next, written, results_from, taken_ns, trouble, trouble_ns, whole FROM place",
            [],
            |row| {
                let trouble: Option<String> = row.get(5)?;
                let since: Option<i64> = row.get(6)?;
                Ok(Place {
                    generation: row.get::<_, i64>(0)?.cast_unsigned(),
                    next: row.get::<_, i64>(1)?.cast_unsigned(),
                    written: row.get::<_, i64>(2)?.cast_unsigned(),
                    results_from: Timestamp::from_nanos(row.get(3)?),
                    whole: row.get(7)?,
                    taken: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
                    trouble: trouble.zip(since.map(Timestamp::from_nanos)),
                })
            },
        );
        read.map_err(|source| self.failed("read the place in", source))
    }

    /// Keeps a delivered stretch. Answers whether it counts: not if everything began anew in the meantime.
    pub fn step(&self, step: &Step, now: Timestamp) -> Result<bool, MirrorError> {
        let mut connection = self.lock();
        let mut write = || -> rusqlite::Result<bool> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let taken = (step.written > 0).then_some(now.as_nanos());
            let moved = transaction.execute(
                "UPDATE place SET next = max(next, ?1), written = written + ?2, results_from = max(results_from, ?3),
                 taken_ns = coalesce(?4, taken_ns), trouble = NULL, trouble_ns = NULL WHERE generation = ?5",
                params![
                    step.next.cast_signed(),
                    step.written.cast_signed(),
                    step.results_from.as_nanos(),
                    taken,
                    step.generation.cast_signed()
                ],
            )?;
            if moved == 0 {
                return Ok(false);
            }
            for parked in &step.parked {
                park(&transaction, parked)?;
            }
            for (log_index, map) in &step.waits {
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO waiting(log_index, map) VALUES (?1, ?2)")?
                    .execute(params![log_index.cast_signed(), map.0.as_slice()])?;
            }
            for log_index in &step.waited {
                transaction.execute("DELETE FROM waiting WHERE log_index = ?1", [log_index.cast_signed()])?;
            }
            for (name, made) in &step.results {
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO result(name, made_ns) VALUES (?1, ?2)")?
                    .execute(params![name, made.as_nanos()])?;
            }
            for name in &step.series {
                transaction.prepare_cached("INSERT OR IGNORE INTO series(name) VALUES (?1)")?.execute([name])?;
            }
            transaction.execute("DELETE FROM result WHERE made_ns < ?1", [step.results_from.as_nanos()])?;
            transaction.commit()?;
            Ok(true)
        };
        write().map_err(|source| self.failed("keep a step in", source))
    }

    /// Notes that log and results were all on the server, or parked, in this generation.
    pub fn whole(&self, generation: u64) -> Result<(), MirrorError> {
        let noted = self.lock().execute("UPDATE place SET whole = 1 WHERE generation = ?1", [generation.cast_signed()]);
        noted.map(drop).map_err(|source| self.failed("note that all is written in", source))
    }

    /// Notes what is in the way; the first of a row of troubles keeps its time.
    pub fn trouble(&self, what: &str, now: Timestamp) -> Result<(), MirrorError> {
        let noted = self.lock().execute(
            "UPDATE place SET trouble = ?1, trouble_ns = coalesce(trouble_ns, ?2)",
            params![what, now.as_nanos()],
        );
        noted.map(drop).map_err(|source| self.failed("note a trouble in", source))
    }

    /// What was parked, by reason.
    pub fn parked(&self) -> Result<Vec<ParkedCount>, MirrorError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<ParkedCount>> {
            let mut statement = connection
                .prepare("SELECT reason, count, first_ns, last_ns, detail FROM parked_count ORDER BY reason")?;
            let count = |row: &rusqlite::Row<'_>| {
                Ok(ParkedCount {
                    reason: row.get(0)?,
                    count: row.get::<_, i64>(1)?.cast_unsigned(),
                    first: Timestamp::from_nanos(row.get(2)?),
                    last: Timestamp::from_nanos(row.get(3)?),
                    detail: row.get(4)?,
                })
            };
            statement.query_map([], count)?.collect()
        };
        read().map_err(|source| self.failed("read what was parked in", source))
    }

    /// At most `limit` parked lines, the newest first: reason, detail, line.
    pub fn parked_lines(&self, limit: usize) -> Result<Vec<(String, String, String)>, MirrorError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<(String, String, String)>> {
            let mut statement =
                connection.prepare("SELECT reason, detail, line FROM parked ORDER BY id DESC LIMIT ?1")?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        read().map_err(|source| self.failed("read parked lines in", source))
    }

    /// Blocks that wait for their register map.
    pub fn waiting(&self) -> Result<Vec<(u64, Hash)>, MirrorError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<(u64, Hash)>> {
            let mut statement = connection.prepare("SELECT log_index, map FROM waiting ORDER BY log_index")?;
            statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), Hash(row.get(1)?))))?.collect()
        };
        read().map_err(|source| self.failed("read waiting blocks in", source))
    }

    /// Whether a result is on the server or parked.
    pub fn has_result(&self, name: &str) -> Result<bool, MirrorError> {
        let found =
            self.lock().prepare_cached("SELECT 1 FROM result WHERE name = ?1").and_then(|mut s| s.exists([name]));
        found.map_err(|source| self.failed("look for a result in", source))
    }

    /// The series that were ever written.
    pub fn series(&self) -> Result<Vec<String>, MirrorError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare("SELECT name FROM series")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|source| self.failed("read the series in", source))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> MirrorError {
        MirrorError::Cursor { doing, path: self.path.clone(), source }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout != LAYOUT {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {DROP} {TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;"))?;
    }
    Ok(())
}

fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE place SET generation = generation + 1, next = 0, written = 0, results_from = ?1, trouble = NULL,
         trouble_ns = NULL, whole = 0",
        [i64::MIN],
    )?;
    connection.execute_batch(
        "DELETE FROM parked; DELETE FROM parked_count; DELETE FROM waiting; DELETE FROM result; DELETE FROM series;",
    )
}

fn park(connection: &Connection, parked: &Parked) -> rusqlite::Result<()> {
    let at = parked.line.at.as_nanos();
    connection
        .prepare_cached(
            "INSERT INTO parked_count(reason, count, first_ns, last_ns, detail) VALUES (?1, 1, ?2, ?2, ?3)
             ON CONFLICT(reason) DO UPDATE SET count = count + 1, first_ns = min(first_ns, ?2),
             last_ns = max(last_ns, ?2), detail = ?3",
        )?
        .execute(params![parked.reason, at, parked.detail])?;
    let kept: i64 = connection.prepare_cached("SELECT count(*) FROM parked")?.query_row([], |row| row.get(0))?;
    if kept.cast_unsigned() < KEPT_MAX {
        connection
            .prepare_cached("INSERT INTO parked(log_index, at_ns, reason, detail, line) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                parked.line.log_index.cast_signed(),
                at,
                parked.reason,
                parked.detail,
                parked.line.text.trim_end()
            ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::deliver::Line;
    use super::*;

    fn parked(at: i64, reason: &'static str) -> Parked {
        let line = Line { text: format!("m v={at}\n"), log_index: 3, at: Timestamp::from_secs(at) };
        Parked { line, reason, detail: format!("why {at}") }
    }

    #[test]
    fn a_step_is_kept_over_a_restart_and_counts_what_was_parked() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(9);
        let step = Step {
            generation: 2,
            next: 7,
            written: 5,
            parked: vec![parked(4, "refused"), parked(1, "refused"), parked(2, "retention")],
            waits: vec![(5, Hash([1; 32]))],
            ..Step::default()
        };
        {
            let cursor = Cursor::open(folder.path(), "log/1", "a").unwrap();
            assert_eq!(cursor.place().unwrap().generation, 2);
            cursor.trouble("down", now).unwrap();
            assert_eq!(cursor.place().unwrap().trouble, Some(("down".to_owned(), now)));
            assert!(cursor.step(&step, now).unwrap());
        }
        let cursor = Cursor::open(folder.path(), "log/1", "a").unwrap();
        let place = cursor.place().unwrap();
        assert_eq!((place.next, place.written, place.taken, place.trouble), (7, 5, Some(now), None));
        let counts = cursor.parked().unwrap();
        assert_eq!(
            counts.iter().map(|c| (c.reason.as_str(), c.count)).collect::<Vec<_>>(),
            [("refused", 2), ("retention", 1)]
        );
        assert_eq!((counts[0].first, counts[0].last), (Timestamp::from_secs(1), Timestamp::from_secs(4)));
        assert_eq!(cursor.parked_lines(1).unwrap()[0].2, "m v=2");
        assert_eq!(cursor.waiting().unwrap(), [(5, Hash([1; 32]))]);
    }

    #[test]
    fn a_rebuild_makes_steps_that_are_under_way_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = Cursor::open(folder.path(), "log/1", "a").unwrap();
        let generation = cursor.place().unwrap().generation;
        let step = Step { generation, next: 7, written: 1, series: vec!["s".to_owned()], ..Step::default() };
        assert!(cursor.step(&step, Timestamp::from_secs(1)).unwrap());
        cursor.rebuild().unwrap();
        assert!(!cursor.step(&step, Timestamp::from_secs(2)).unwrap());
        let place = cursor.place().unwrap();
        assert_eq!((place.next, place.written, place.whole), (0, 0, false));
        cursor.whole(generation).unwrap();
        assert!(!cursor.place().unwrap().whole, "that was before");
        cursor.whole(place.generation).unwrap();
        assert!(cursor.place().unwrap().whole);
        assert_eq!(cursor.series().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn another_log_or_another_target_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = |origin, target| Cursor::open(folder.path(), origin, target).unwrap();
        let generation = open("log/1", "a").place().unwrap().generation;
        let step = Step { generation, next: 7, ..Step::default() };
        assert!(open("log/1", "a").step(&step, Timestamp::from_secs(1)).unwrap());
        assert_eq!(open("log/1", "a").place().unwrap().next, 7);
        assert_eq!(Cursor::existing(folder.path()).unwrap().unwrap().place().unwrap().next, 7);
        assert!(Cursor::existing(tempfile::tempdir().unwrap().path()).unwrap().is_none());
        assert_eq!(open("log/1", "b").place().unwrap().next, 0);
        assert_eq!(open("log/2", "b").place().unwrap().generation, generation + 2);
    }
}
