//! derived.db: results of windows that were settled. It may be deleted at any time; everything in it is worked out
//! again from the log. What it alone remembers is the numbering of versions: after a deletion a restated window is
//! settled afresh as version 1. (A result that a signed document cites stays retrievable through that document.)

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use shopfloor::evaluate::WindowKind;
use shopfloor::id::{SiteId, WorkUnitId};
use shopfloor::time::{Interval, Timestamp};

/// Raised when the tables or the kept shape change: an older file is emptied.
const LAYOUT: i64 = 1;

/// The parameters that name a window.
macro_rules! key_params {
    ($key:expr) => {
        params![
            $key.site.as_str(),
            $key.unit.as_str(),
            $key.kind.code(),
            $key.window.start.as_nanos(),
            $key.window.end.as_nanos()
        ]
    };
}

/// Why derived.db could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// SQLite refused.
    #[error("{doing} in {path}: {source}; derived.db may be deleted, it is built again from the log")]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// Which window of which work unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Site.
    pub site: SiteId,
    /// Work unit.
    pub unit: WorkUnitId,
    /// Hour, shift or day.
    pub kind: WindowKind,
    /// Its ends.
    pub window: Interval,
}

/// One kept version of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// From 1.
    pub version: u32,
    /// `settled` or `restated`.
    pub state: String,
    /// Hash over all inputs.
    pub data_version: String,
    /// Hash of the plant document.
    pub plant: String,
    /// Definition, profile, state rule, time-zone data.
    pub definitions: String,
    /// Size of the log when it was made: a block with this index or above came later.
    pub log_size: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Why it replaced the version before, as JSON.
    pub cause: Option<String>,
    /// The result, as JSON.
    pub body: String,
}

/// The file.
#[derive(Debug)]
pub struct Derived {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Derived {
    /// Opens the file at `path`, or makes it; `None` keeps everything in memory.
    pub fn open(path: Option<&Path>) -> Result<Self, DerivedError> {
        let shown = path.map_or_else(|| PathBuf::from("(memory)"), Path::to_path_buf);
        let failed = |doing, source| DerivedError::Sqlite { doing, path: shown.clone(), source };
        let connection = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let connection = connection.map_err(|source| failed("open the file", source))?;
        prepare(&connection).map_err(|source| failed("prepare the tables", source))?;
        Ok(Self { path: shown, connection: Mutex::new(connection) })
    }

    /// The newest kept version, if there is one.
    pub fn newest(&self, key: &Key) -> Result<Option<Kept>, DerivedError> {
        let connection = self.lock();
        let read = || {
            let mut statement = connection.prepare_cached(
                "SELECT version, state, data_version, plant, definitions, log_size, made_at, cause, body FROM result
                 WHERE site = ?1 AND unit = ?2 AND kind = ?3 AND starts = ?4 AND ends = ?5
                 ORDER BY version DESC LIMIT 1",
            )?;
            statement.query_row(key_params!(key), kept).optional()
        };
        read().map_err(|source| self.failed("read a result", source))
    }

    /// All kept versions, oldest first.
    pub fn versions(&self, key: &Key) -> Result<Vec<Kept>, DerivedError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<Kept>> {
            let mut statement = connection.prepare_cached(
                "SELECT version, state, data_version, plant, definitions, log_size, made_at, cause, body FROM result
                 WHERE site = ?1 AND unit = ?2 AND kind = ?3 AND starts = ?4 AND ends = ?5 ORDER BY version",
            )?;
            statement.query_map(key_params!(key), kept)?.collect()
        };
        read().map_err(|source| self.failed("read the versions of a result", source))
    }

    /// Keeps a version. One that is there already is left as it is: results are never edited.
    /// Answers whether it was new.
    pub fn keep(&self, key: &Key, kept: &Kept) -> Result<bool, DerivedError> {
        let connection = self.lock();
        let write = || {
            let mut statement = connection.prepare_cached(
                "INSERT OR IGNORE INTO result (site, unit, kind, starts, ends, version, state, data_version, plant,
                 definitions, log_size, made_at, cause, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?;
            statement.execute(params![
                key.site.as_str(),
                key.unit.as_str(),
                key.kind.code(),
                key.window.start.as_nanos(),
                key.window.end.as_nanos(),
                kept.version,
                kept.state,
                kept.data_version,
                kept.plant,
                kept.definitions,
                i64::try_from(kept.log_size).unwrap_or(i64::MAX),
                kept.made_at.as_nanos(),
                kept.cause,
                kept.body,
            ])
        };
        write().map(|rows| rows == 1).map_err(|source| self.failed("keep a result", source))
    }

    /// Size of the log up to which blocks were examined for results that they make stale.
    pub fn examined(&self) -> Result<u64, DerivedError> {
        let size = self.lock().query_row("SELECT log_size FROM examined", [], |row| row.get::<_, i64>(0)).optional();
        let size = size.map_err(|source| self.failed("read how far the log was examined", source))?;
        Ok(size.unwrap_or(0).cast_unsigned())
    }

    /// Marks every result as stale that another version of this program made.
    pub fn made_by(&self, software: &str) -> Result<(), DerivedError> {
        let connection = self.lock();
        let write = || -> rusqlite::Result<()> {
            let before = connection.query_row("SELECT software FROM examined", [], |row| row.get::<_, String>(0));
            if before.optional()?.is_some_and(|before| before != software) {
                connection.execute(
                    "INSERT OR IGNORE INTO stale SELECT DISTINCT site, unit, kind, starts, ends FROM result",
                    [],
                )?;
            }
            connection.execute(
                "INSERT INTO examined (id, log_size, software) VALUES (1, 0, ?1)
                 ON CONFLICT (id) DO UPDATE SET software = ?1",
                [software],
            )?;
            Ok(())
        };
        write().map_err(|source| self.failed("note the program's version", source))
    }

    /// Marks every result of a site as stale that was made with another plant document.
    pub fn planned_by(&self, site: &SiteId, plant: &str) -> Result<(), DerivedError> {
        let connection = self.lock();
        let write = || {
            connection.execute(
                "INSERT OR IGNORE INTO stale SELECT site, unit, kind, starts, ends FROM result
                 WHERE site = ?1 GROUP BY unit, kind, starts, ends HAVING max(version) AND plant <> ?2",
                params![site.as_str(), plant],
            )
        };
        write().map(drop).map_err(|source| self.failed("mark results of another plant as stale", source))
    }

    /// Marks as stale what blocks touch that were not there when it was made: `touched` are a site's blocks with the
    /// stretch of time that they may change, by kind of window. Remembers that the log was examined up to `log_size`.
    pub fn examine(&self, touched: &[(SiteId, WindowKind, Interval)], log_size: u64) -> Result<(), DerivedError> {
        let mut connection = self.lock();
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for (site, kind, interval) in touched {
                transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO stale SELECT DISTINCT site, unit, kind, starts, ends FROM result
                         WHERE site = ?1 AND kind = ?2 AND starts < ?3 AND ends > ?4",
                    )?
                    .execute(params![site.as_str(), kind.code(), interval.end.as_nanos(), interval.start.as_nanos()])?;
            }
            transaction.execute("UPDATE examined SET log_size = ?1", [log_size.cast_signed()])?;
            transaction.commit()
        };
        write().map_err(|source| self.failed("mark stale results", source))
    }

    /// The latest end of any kept window of a kind and site; `None` if there is none.
    pub fn latest(&self, site: &SiteId, kind: WindowKind) -> Result<Option<Timestamp>, DerivedError> {
        let found = self.lock().query_row(
            "SELECT max(ends) FROM result WHERE site = ?1 AND kind = ?2",
            params![site.as_str(), kind.code()],
            |row| row.get::<_, Option<i64>>(0),
        );
        found.map(|end| end.map(Timestamp::from_nanos)).map_err(|source| self.failed("read the latest result", source))
    }

    /// Which versions were made at `from` or later, in the order in which they were made.
    pub fn made_since(&self, from: Timestamp) -> Result<Vec<(Key, u32, Timestamp)>, DerivedError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<Option<(Key, u32, Timestamp)>>> {
            let mut statement = connection.prepare_cached(
                "SELECT site, unit, kind, starts, ends, version, made_at FROM result WHERE made_at >= ?1
                 ORDER BY made_at, site, unit, kind, starts, version",
            )?;
            let made = |row: &rusqlite::Row<'_>| {
                let (version, at) = (row.get(5)?, Timestamp::from_nanos(row.get(6)?));
                Ok(from_row(row)?.map(|key| (key, version, at)))
            };
            statement.query_map([from.as_nanos()], made)?.collect()
        };
        let found = read().map_err(|source| self.failed("read which results were made", source))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// A number that changes when anybody else has written to the file.
    pub fn revision(&self) -> Result<u64, DerivedError> {
        let read = self.lock().pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
        read.map(i64::cast_unsigned).map_err(|source| self.failed("read whether anything was written", source))
    }

    /// At most `limit` windows whose results are stale.
    pub fn stale(&self, limit: usize) -> Result<Vec<Key>, DerivedError> {
        let connection = self.lock();
        let read = || -> rusqlite::Result<Vec<Option<Key>>> {
            let mut statement =
                connection.prepare_cached("SELECT site, unit, kind, starts, ends FROM stale LIMIT ?1")?;
            statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], from_row)?.collect()
        };
        let found = read().map_err(|source| self.failed("read stale results", source))?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether the newest version of a window's result is stale.
    pub fn is_stale(&self, key: &Key) -> Result<bool, DerivedError> {
        let connection = self.lock();
        let read = || {
            let mut statement = connection.prepare_cached(
                "SELECT 1 FROM stale WHERE site = ?1 AND unit = ?2 AND kind = ?3 AND starts = ?4 AND ends = ?5",
            )?;
            statement.exists(key_params!(key))
        };
        read().map_err(|source| self.failed("read whether a result is stale", source))
    }

    /// Says that a window was worked out again.
    pub fn freshen(&self, key: &Key) -> Result<(), DerivedError> {
        let connection = self.lock();
        let write = || {
            let mut statement = connection.prepare_cached(
                "DELETE FROM stale WHERE site = ?1 AND unit = ?2 AND kind = ?3 AND starts = ?4 AND ends = ?5",
            )?;
            statement.execute(key_params!(key))
        };
        write().map(drop).map_err(|source| self.failed("note that a result is fresh", source))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: rusqlite::Error) -> DerivedError {
        DerivedError::Sqlite { doing, path: self.path.clone(), source }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Everything here can be built again, so speed is worth more than the last transaction.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout != LAYOUT {
        connection
            .execute_batch("DROP TABLE IF EXISTS result; DROP TABLE IF EXISTS stale; DROP TABLE IF EXISTS examined;")?;
        connection.pragma_update(None, "user_version", LAYOUT)?;
    }
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS result (
            site TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
            version INTEGER NOT NULL, state TEXT NOT NULL, data_version TEXT NOT NULL, plant TEXT NOT NULL,
            definitions TEXT NOT NULL, log_size INTEGER NOT NULL, made_at INTEGER NOT NULL, cause TEXT, body TEXT NOT NULL,
            PRIMARY KEY (site, unit, kind, starts, ends, version)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS result_by_time ON result(made_at);
        CREATE TABLE IF NOT EXISTS stale (
            site TEXT NOT NULL, unit TEXT NOT NULL, kind TEXT NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
            PRIMARY KEY (site, unit, kind, starts, ends)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS examined (
            id INTEGER PRIMARY KEY CHECK(id = 1), log_size INTEGER NOT NULL, software TEXT NOT NULL
        ) STRICT;",
    )
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Key>> {
    let parsed = |column: usize| row.get::<_, String>(column);
    let (site, unit, kind) = (parsed(0)?.parse(), parsed(1)?.parse(), WindowKind::from_code(&parsed(2)?));
    let window = Interval { start: Timestamp::from_nanos(row.get(3)?), end: Timestamp::from_nanos(row.get(4)?) };
    Ok(site.ok().zip(unit.ok()).zip(kind).map(|((site, unit), kind)| Key { site, unit, kind, window }))
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        version: row.get(0)?,
        state: row.get(1)?,
        data_version: row.get(2)?,
        plant: row.get(3)?,
        definitions: row.get(4)?,
        log_size: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        made_at: Timestamp::from_nanos(row.get(6)?),
        cause: row.get(7)?,
        body: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(start: i64) -> Key {
        let window = Interval { start: Timestamp::from_secs(start), end: Timestamp::from_secs(start + 3600) };
        Key { site: "s".parse().unwrap(), unit: "u".parse().unwrap(), kind: WindowKind::Hour, window }
    }

    fn version(number: u32, body: &str) -> Kept {
        Kept {
            version: number,
            state: "settled".into(),
            data_version: format!("d{number}"),
            plant: "p".into(),
            definitions: "f".into(),
            log_size: 7,
            made_at: Timestamp::from_secs(9),
            cause: None,
            body: body.into(),
        }
    }

    #[test]
    fn a_kept_version_is_never_edited() {
        let derived = Derived::open(None).unwrap();
        assert_eq!(derived.newest(&key(0)).unwrap(), None);
        assert!(derived.keep(&key(0), &version(1, "a")).unwrap());
        assert!(!derived.keep(&key(0), &version(1, "b")).unwrap());
        assert!(derived.keep(&key(0), &version(2, "c")).unwrap());
        assert_eq!(derived.newest(&key(0)).unwrap(), Some(version(2, "c")));
        assert_eq!(derived.versions(&key(0)).unwrap(), vec![version(1, "a"), version(2, "c")]);
        assert_eq!(derived.newest(&key(3600)).unwrap(), None);
    }

    #[test]
    fn only_what_a_block_touches_becomes_stale() {
        let derived = Derived::open(None).unwrap();
        derived.made_by("a 1").unwrap();
        for start in [0, 3600, 7200] {
            derived.keep(&key(start), &version(1, "a")).unwrap();
        }
        let at = Timestamp::from_secs;
        let touched = [(key(0).site, WindowKind::Hour, Interval { start: at(3600), end: at(3601) })];
        derived.examine(&touched, 5).unwrap();
        assert_eq!(derived.stale(10).unwrap(), vec![key(3600)]);
        assert!(derived.is_stale(&key(3600)).unwrap() && !derived.is_stale(&key(0)).unwrap());
        assert_eq!(derived.examined().unwrap(), 5);
        derived.freshen(&key(3600)).unwrap();
        assert_eq!(derived.stale(10).unwrap(), vec![]);
        assert_eq!(derived.latest(&key(0).site, WindowKind::Hour).unwrap(), Some(at(10800)));
        derived.made_by("a 2").unwrap();
        assert_eq!(derived.stale(10).unwrap().len(), 3);
        assert_eq!(derived.examined().unwrap(), 5);
    }

    #[test]
    fn another_plant_makes_only_results_stale_whose_newest_version_it_did_not_make() {
        let derived = Derived::open(None).unwrap();
        derived.keep(&key(0), &version(1, "a")).unwrap();
        derived.keep(&key(3600), &version(1, "a")).unwrap();
        derived.keep(&key(3600), &Kept { plant: "q".into(), ..version(2, "b") }).unwrap();
        derived.planned_by(&key(0).site, "q").unwrap();
        assert_eq!(derived.stale(10).unwrap(), vec![key(0)]);
    }

    #[test]
    fn a_file_of_another_layout_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("derived.db");
        let derived = Derived::open(Some(&path)).unwrap();
        derived.keep(&key(0), &version(1, "a")).unwrap();
        derived.lock().pragma_update(None, "user_version", LAYOUT + 1).unwrap();
        drop(derived);
        assert_eq!(Derived::open(Some(&path)).unwrap().newest(&key(0)).unwrap(), None);
    }
}
