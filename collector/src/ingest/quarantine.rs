//! Where messages go that were not taken: a small database beside the log, for people. Bounded; losing it loses no
//! evidence, so an error here is logged and nothing else.

use std::path::Path;

use rusqlite::{Connection, params};
use shopfloor::time::Timestamp;

/// Messages that are kept; the oldest go first.
const KEPT_MAX: i64 = 1000;
/// Bytes of one message that are kept.
const BYTES_MAX: usize = 64 << 10;

/// The quarantine of one collector.
pub(crate) struct Quarantine {
    connection: Option<Connection>,
}

impl Quarantine {
    /// Opens or makes `quarantine.db`.
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("quarantine.db");
        let open = || -> Result<Connection, rusqlite::Error> {
            let connection = Connection::open(&path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS message(
                    id INTEGER PRIMARY KEY AUTOINCREMENT, received_ns INTEGER NOT NULL, topic TEXT NOT NULL,
                    code TEXT NOT NULL, reason TEXT NOT NULL, length INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;",
            )?;
            Ok(connection)
        };
        let connection = open().map_err(|error| tracing::warn!(path = %path.display(), %error, "no quarantine")).ok();
        Self { connection }
    }

    /// Keeps a message with the reason why it was not taken.
    pub(crate) fn keep(&self, received: Timestamp, topic: &str, code: &str, reason: &str, bytes: &[u8]) {
        let Some(connection) = &self.connection else { return };
        let keep = || -> Result<(), rusqlite::Error> {
            connection
                .prepare_cached(
                    "INSERT INTO message(received_ns, topic, code, reason, length, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    received.as_nanos(),
                    topic,
                    code,
                    reason,
                    i64::try_from(bytes.len()).unwrap_or(i64::MAX),
                    &bytes[..bytes.len().min(BYTES_MAX)]
                ])?;
            let oldest = connection.last_insert_rowid() - KEPT_MAX;
            connection.prepare_cached("DELETE FROM message WHERE id <= ?1")?.execute([oldest])?;
            Ok(())
        };
        if let Err(error) = keep() {
            tracing::warn!(topic, code, %error, "message not kept in quarantine");
        }
    }
}
