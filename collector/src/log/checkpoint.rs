//! Checkpoints of the log: signed, stored beside the leaves, and written to the file `checkpoint` for everyone.

use std::path::Path;
use std::sync::PoisonError;

use rusqlite::params;
use shopfloor::evidence::checkpoint::Checkpoint;
use shopfloor::time::Timestamp;
use shopfloor::wire::sign::SecretKey;

use super::month::signed;
use super::{Log, LogError};

impl Log {
    /// Signs and stores a checkpoint if the log grew since the last one and that one is `interval` old, ns.
    /// Gives the note if there is a new one.
    pub fn checkpoint_if_due(
        &self,
        now: Timestamp,
        interval: i64,
        key: &SecretKey,
    ) -> Result<Option<String>, LogError> {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner).clone();
        let due = match &head.checkpoint {
            Some((size, written, _)) => head.size > *size && now.since(*written) >= interval,
            None => head.size > 0,
        };
        if !due {
            return Ok(None);
        }
        let note = Checkpoint { origin: self.origin.clone(), size: head.size, root: head.root }.sign(key);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer
            .connection
            .execute(
                "INSERT OR REPLACE INTO checkpoint(size, written_ns, note) VALUES (?1, ?2, ?3)",
                params![signed(head.size), now.as_nanos(), note],
            )
            .map_err(|source| writer.month.failed("store a checkpoint", source))?;
        drop(writer);
        self.head.write().unwrap_or_else(PoisonError::into_inner).checkpoint = Some((head.size, now, note.clone()));
        let path = self.folder.join("checkpoint");
        replace_file(&path, note.as_bytes()).map_err(|source| LogError::Io { what: "write", path, source })?;
        Ok(Some(note))
    }

    /// The newest checkpoint as a signed note.
    pub fn checkpoint(&self) -> Option<String> {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        head.checkpoint.as_ref().map(|(_, _, note)| note.clone())
    }
}

/// Replaces a file as a whole: written beside, synced, renamed, the folder synced.
pub(super) fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
