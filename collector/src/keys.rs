//! The collector's two keys: one signs acknowledgements and requests, the other signs the log's checkpoints.
//!
//! They are made at the first run and lie in the state directory as hexadecimal seeds, readable by the owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shopfloor::hash::{hex, unhex};
use shopfloor::wire::sign::SecretKey;

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read, made or synced.
    #[error("{what} key file {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner can read the file.
    #[error("key file {} has mode {mode:04o}: others can read it; run chmod 600 on it and consider the key leaked", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a seed.
    #[error("key file {} does not hold 64 hexadecimal digits; restore it from a backup, agents have pinned this key", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("draw random bytes for a new key: {0}")]
    Random(getrandom::Error),
}

/// The two keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs acknowledgements and requests; agents pin its public half.
    pub ack: SecretKey,
    /// Signs checkpoints of the log.
    pub checkpoint: SecretKey,
}

impl Keys {
    /// Reads the keys of a state directory and makes those that are missing.
    pub fn open(state_dir: &Path) -> Result<Self, KeyError> {
        Ok(Self { ack: open(&state_dir.join("ack.key"))?, checkpoint: open(&state_dir.join("checkpoint.key"))? })
    }
}

fn open(path: &Path) -> Result<SecretKey, KeyError> {
    match File::open(path) {
        Ok(file) => read(path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(source) => Err(KeyError::Io { what: "open", path: path.to_owned(), source }),
    }
}

fn read(path: &Path, file: File) -> Result<SecretKey, KeyError> {
    let failed = |source| KeyError::Io { what: "read", path: path.to_owned(), source };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Readable { path: path.to_owned(), mode });
    }
    let text = io::read_to_string(file).map_err(failed)?;
    let seed = unhex(text.trim_end()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    seed.map(SecretKey::from_seed).ok_or_else(|| KeyError::Content { path: path.to_owned() })
}

fn make(path: &Path) -> Result<SecretKey, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeyError::Random)?;
    let failed = |source| KeyError::Io { what: "make", path: path.to_owned(), source };
    // Written beside and renamed, so that a crash never leaves half a key in its place.
    let beside = path.with_extension("key.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
    writeln!(file, "{}", hex(&seed)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(SecretKey::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_are_two() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keys::open(folder.path()).unwrap();
        let second = Keys::open(folder.path()).unwrap();
        assert_eq!(first.ack.public(), second.ack.public());
        assert_eq!(first.checkpoint.public(), second.checkpoint.public());
        assert_ne!(first.ack.public(), first.checkpoint.public());
        let mode = std::fs::metadata(folder.path().join("ack.key")).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn a_readable_or_broken_key_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join("ack.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::open(folder.path()), Err(KeyError::Readable { mode: 0o644, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "half a key").unwrap();
        assert!(matches!(Keys::open(folder.path()), Err(KeyError::Content { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "half a key");
    }
}
