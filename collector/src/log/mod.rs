//! The record: blocks, documents and Merkle leaves in one SQLite file for each month of receipt, append only.
//!
//! One batch is one transaction that is on disk when `append` returns; what is acknowledged is in here and in the
//! tree. Everything that the rest of the collector knows can be rebuilt from here.

mod checkpoint;
mod documents;
mod merkle;
mod month;
mod read;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{Connection, TransactionBehavior, params};
use shopfloor::evidence::leaf::{Leaf, LeafSubject};
use shopfloor::evidence::merkle::Frontier;
use shopfloor::hash::{Hash, hex};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Interval, Timestamp};
use shopfloor::wire::header::Header;
use tokio::sync::broadcast;

use checkpoint::replace_file;
use merkle::append_leaf;
use month::{Month, insert_block, signed};

pub use documents::{DocumentKind, NewDocument, StoredDocument};
pub use read::AgentSummary;
pub use verify::{Fault, LogReport};

/// Accepted blocks that a slow subscriber may be behind; beyond it the subscriber is told that it missed some and
/// reads the log instead.
const BROADCAST_MAX: usize = 4096;

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// SQLite refused.
    #[error("{what} in {}: {source}", path.display())]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The folder could not be listed, or the origin could not be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of another version of the tables.
    #[error("{} has version {found}, this program knows {known}; the file is kept, use the program that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that is known.
        known: i64,
    },
    /// The files do not fit together.
    #[error("log in {}: {what}; restore the folder from a backup as a whole", path.display())]
    Damaged {
        /// The folder or file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

/// A block as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its place in the log.
    pub log_index: u64,
    /// Its hash.
    pub hash: Hash,
    /// The site.
    pub site: SiteId,
    /// The agent that signed it.
    pub agent: AgentId,
    /// Epoch of its chain.
    pub epoch: u64,
    /// Place in the chain.
    pub sequence: u64,
    /// When the collector received it.
    pub received: Timestamp,
    /// From the first instant it answers for to the instant it was sealed.
    pub window: Interval,
    /// The bytes as they arrived.
    pub bytes: Vec<u8>,
}

/// A verified block to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// The bytes as they arrived.
    pub bytes: Vec<u8>,
}

/// The collector's memory of one chain, stored with the blocks that changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The epoch.
    pub epoch: u64,
    /// What `Session::encode` gave.
    pub bytes: Vec<u8>,
}

/// What goes into the log in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Documents; they come first.
    pub documents: Vec<NewDocument>,
    /// Blocks.
    pub blocks: Vec<NewBlock>,
    /// Sessions as they are after these blocks.
    pub sessions: Vec<SessionRecord>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.blocks.is_empty() && self.sessions.is_empty()
    }
}

/// A block that is on disk now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// Its place in the log.
    pub log_index: u64,
    /// Its hash.
    pub hash: Hash,
    /// From the first instant it answers for to the instant it was sealed.
    pub window: Interval,
    /// When the collector received it.
    pub received: Timestamp,
}

/// The log of one collector.
pub struct Log {
    folder: PathBuf,
    origin: String,
    writer: Mutex<Writer>,
    months: RwLock<Vec<Arc<Month>>>,
    head: RwLock<Head>,
    accepted: broadcast::Sender<Accepted>,
}

struct Writer {
    month: Arc<Month>,
    connection: Connection,
    frontier: Frontier,
}

#[derive(Clone)]
struct Head {
    size: u64,
    root: Hash,
    checkpoint: Option<(u64, Timestamp, String)>,
}

impl Log {
    /// Opens the log of a state directory, or begins one. `now` names the month of a new file; `name` and a random
    /// suffix become the origin of a new log.
    pub fn open(folder: &Path, name: &str, now: Timestamp) -> Result<Self, LogError> {
        let mut months = find_months(folder)?;
        let origin = origin(folder, name, !months.is_empty())?;
        if months.is_empty() {
            months.push(Arc::new(Month::new(folder, &Month::name_of(now))));
        }
        let month = months.last().expect("there is at least one month").clone();
        let connection = month.writer()?;
        // In this order: another process may be appending, and no checkpoint may be newer than the size.
        let checkpoint = newest(&months, Month::checkpoint)?;
        let size = newest(&months, Month::size)?.unwrap_or(0);
        let (accepted, _) = broadcast::channel(BROADCAST_MAX);
        let log = Self {
            folder: folder.to_owned(),
            origin,
            writer: Mutex::new(Writer { month, connection, frontier: Frontier::new() }),
            months: RwLock::new(months),
            head: RwLock::new(Head { size, root: Hash::ZERO, checkpoint }),
            accepted,
        };
        let frontier = log.restore_frontier(size)?;
        log.head.write().unwrap_or_else(PoisonError::into_inner).root = frontier.root();
        log.writer.lock().unwrap_or_else(PoisonError::into_inner).frontier = frontier;
        Ok(log)
    }

    /// Appends a batch: on disk when this returns, or not there at all. Gives the log index of the first entry.
    pub fn append(&self, received: Timestamp, batch: &Batch) -> Result<u64, LogError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_month(&mut writer, received)?;
        let first = writer.frontier.size();
        let frontier = write(&mut writer, received, batch)?;
        writer.frontier = frontier;
        {
            let mut head = self.head.write().unwrap_or_else(PoisonError::into_inner);
            head.size = writer.frontier.size();
            head.root = writer.frontier.root();
        }
        drop(writer);
        self.announce(first, received, batch);
        Ok(first)
    }

    /// A new month gets a new file. A clock that goes back does not: the newest month goes on.
    fn turn_month(&self, writer: &mut Writer, received: Timestamp) -> Result<(), LogError> {
        let name = Month::name_of(received);
        if name <= writer.month.name {
            return Ok(());
        }
        let month = Arc::new(Month::new(&self.folder, &name));
        writer.connection = month.writer()?;
        writer.month = month.clone();
        self.months.write().unwrap_or_else(PoisonError::into_inner).push(month);
        Ok(())
    }

    fn announce(&self, first: u64, received: Timestamp, batch: &Batch) {
        let first = first + batch.documents.len() as u64;
        for (log_index, block) in (first..).zip(&batch.blocks) {
            let accepted = Accepted {
                site: block.header.site.clone(),
                agent: block.header.agent.clone(),
                log_index,
                hash: block.hash,
                window: block.header.window,
                received,
            };
            // An error says that nobody listens, which is fine.
            drop(self.accepted.send(accepted));
        }
    }

    /// Name of this log: the collector's name and a suffix drawn when the log began.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the log.
    pub fn size(&self) -> u64 {
        self.head.read().unwrap_or_else(PoisonError::into_inner).size
    }

    /// Root of the Merkle tree over all leaves.
    pub fn root(&self) -> Hash {
        self.head.read().unwrap_or_else(PoisonError::into_inner).root
    }

    /// Blocks that are appended from now on, after they are on disk.
    pub fn subscribe(&self) -> broadcast::Receiver<Accepted> {
        self.accepted.subscribe()
    }

    fn months(&self) -> Vec<Arc<Month>> {
        self.months.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn write(writer: &mut Writer, received: Timestamp, batch: &Batch) -> Result<Frontier, LogError> {
    let Writer { month, connection, frontier } = writer;
    let mut frontier = frontier.clone();
    let mut attempt = || -> Result<(), rusqlite::Error> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for document in &batch.documents {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO document(log_index, hash, kind, received_ns, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            statement.execute(params![
                signed(frontier.size()),
                document.hash.0.as_slice(),
                document.kind.as_str(),
                received.as_nanos(),
                document.bytes
            ])?;
            let leaf = Leaf { subject: LeafSubject::Document, hash: document.hash, received_time: received };
            append_leaf(&transaction, &mut frontier, &leaf)?;
        }
        for block in &batch.blocks {
            insert_block(&transaction, frontier.size(), received, block)?;
            let subject = LeafSubject::Block {
                site: block.header.site.clone(),
                agent: block.header.agent.clone(),
                epoch: block.header.epoch,
                sequence: block.header.sequence,
            };
            let leaf = Leaf { subject, hash: block.hash, received_time: received };
            append_leaf(&transaction, &mut frontier, &leaf)?;
        }
        for session in &batch.sessions {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO session(site, agent, epoch, bytes) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    session.site.as_str(),
                    session.agent.as_str(),
                    signed(session.epoch),
                    session.bytes
                ])?;
        }
        transaction.commit()
    };
    let result = attempt();
    result.map_err(|source| month.failed("append a batch", source))?;
    Ok(frontier)
}

fn find_months(folder: &Path) -> Result<Vec<Arc<Month>>, LogError> {
    let failed = |source| LogError::Io { what: "list", path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let month = name.to_str().and_then(|name| name.strip_prefix("log-")).and_then(|name| name.strip_suffix(".db"));
        if let Some(month) = month {
            names.push(month.to_owned());
        }
    }
    names.sort();
    Ok(names.iter().map(|name| Arc::new(Month::new(folder, name))).collect())
}

/// The answer of the newest month that has one.
fn newest<T>(
    months: &[Arc<Month>],
    question: impl Fn(&Month) -> Result<Option<T>, LogError>,
) -> Result<Option<T>, LogError> {
    for month in months.iter().rev() {
        if let Some(answer) = question(month)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// The origin of the log: read, or drawn for a log that begins.
fn origin(folder: &Path, name: &str, log_exists: bool) -> Result<String, LogError> {
    let path = folder.join("origin");
    match std::fs::read_to_string(&path) {
        Ok(text) => return Ok(text.trim_end().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !log_exists => {}
        Err(source) => return Err(LogError::Io { what: "read the log's origin in", path, source }),
    }
    let failed = |source| LogError::Io { what: "write the log's origin to", path: path.clone(), source };
    let mut suffix = [0; 4];
    getrandom::fill(&mut suffix).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let origin = format!("{name}/{}", hex(&suffix));
    replace_file(&path, format!("{origin}\n").as_bytes()).map_err(failed)?;
    Ok(origin)
}
