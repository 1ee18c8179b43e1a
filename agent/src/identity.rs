//! Who this agent is on this machine: its directory, locked, and its signing key.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use shopfloor::hash::{Hash, hex, unhex};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::wire::sign::SecretKey;

use crate::config::{Config, KeyOrigin};

/// Why the agent cannot be who it is meant to be.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another agent uses the directory.
    #[error("state directory {0} is in use by another plumbline-agent; give each agent a directory of its own")]
    InUse(PathBuf),
    /// A file could not be made, read or locked.
    #[error("{what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The key file can be read by others.
    #[error(
        "key file {path} can be read by others (mode {mode:o}); run chmod 600 on it, and make a new key if anyone did"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is not a seed.
    #[error("key file {0} is not 64 hexadecimal digits; restore it, or remove it and enrol the new key")]
    NotASeed(PathBuf),
    /// There is no randomness to make a key of.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The state directory, held by this process alone until dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes the directory if need be and locks it. Errors: another process holds it.
    pub fn claim(path: &Path) -> Result<Self, IdentityError> {
        let file = |what, at: &Path, source| IdentityError::File { what, path: at.to_owned(), source };
        std::fs::create_dir_all(path).map_err(|e| file("making the state directory", path, e))?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|e| file("opening", &lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(IdentityError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(file("locking", &lock_path, error)),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The signing key that the configuration asks for; made at the first run where it is the agent's own.
    pub fn key(&self, config: &Config) -> Result<SecretKey, IdentityError> {
        match &config.key {
            KeyOrigin::Demo => Ok(demo_key(&config.site, &config.agent)),
            KeyOrigin::SeedFile { path, demo } => read_key(path, *demo),
            KeyOrigin::StateDir => {
                let path = self.path.join("agent.key");
                if path.exists() { read_key(&path, false) } else { make_key(&path) }
            }
        }
    }
}

/// Looks at the key file that the configuration names, without making anything. Errors: others can read it, or it is
/// no seed. A file that is not there yet is no error: `init` makes the agent's own, and `run` asks for any other.
pub fn inspect_key(config: &Config) -> Result<(), IdentityError> {
    let (path, demo) = match &config.key {
        KeyOrigin::Demo => return Ok(()),
        KeyOrigin::SeedFile { path, demo } => (path.clone(), *demo),
        KeyOrigin::StateDir => (config.state_dir.join("agent.key"), false),
    };
    if path.exists() { read_key(&path, demo).map(drop) } else { Ok(()) }
}

/// The key of a demonstration: anyone can derive it from the ids, and every block that it signs says so.
pub fn demo_key(site: &SiteId, agent: &AgentId) -> SecretKey {
    let text = format!("plumbline demo key\n{site}\n{agent}\n");
    SecretKey::from_seed(Hash::of(text.as_bytes()).0)
}

fn read_key(path: &Path, demo: bool) -> Result<SecretKey, IdentityError> {
    let file = |source| IdentityError::File { what: "reading the key file", path: path.to_owned(), source };
    let mut opened = File::open(path).map_err(file)?;
    let mode = opened.metadata().map_err(file)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !demo {
        return Err(IdentityError::Readable { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(file)?;
    let seed = unhex(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    seed.map(SecretKey::from_seed).ok_or_else(|| IdentityError::NotASeed(path.to_owned()))
}

fn make_key(path: &Path) -> Result<SecretKey, IdentityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        writeln!(file, "{}", hex(&seed))?;
        file.sync_all()
    };
    write().map_err(|source| IdentityError::File { what: "making the key file", path: path.to_owned(), source })?;
    Ok(SecretKey::from_seed(seed))
}

/// Sixteen random bytes that name this run.
pub fn boot_id() -> Result<[u8; 16], IdentityError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(IdentityError::Random)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        let made = make_key(&path).unwrap();
        assert_eq!(read_key(&path, false).unwrap().public(), made.public());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_key(&path, false), Err(IdentityError::Readable { mode: 0o644, .. })));
    }
}
