//! Samples out of blocks, for any window: which blocks, which rows, in which order.
//!
//! `index.rs` names the blocks, `read.rs` opens and decodes them, `merge.rs` makes one run of many, `cache.rs` keeps
//! what was decoded lately, `derived.rs` keeps results. All of it can be thrown away and built again from the log.

pub mod cache;
pub mod derived;
pub mod index;
pub mod merge;
pub mod raw;
pub mod read;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::register_map::RegisterMap;
use shopfloor::time::Timestamp;
use shopfloor::wire::block::BlockError;

use crate::ledger::Ledger;
use crate::log::{Log, LogError};
use cache::Cache;
use index::Index;

/// Bytes of decoded blocks that are held unless stated otherwise: about two days of eight work units
/// that are scanned every 10 s.
pub const CACHE_BYTES: usize = 128 << 20;

/// Among these epochs and first sequences the first block of an agent is looked for; one that begins later, because
/// all of them were evicted, has no first instant here.
const EPOCHS_SEARCHED: u64 = 4;
/// See [`EPOCHS_SEARCHED`].
const SEQUENCES_SEARCHED: u64 = 32;

/// Why samples could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A block that was accepted cannot be opened.
    #[error("block {hash} of the log cannot be opened: {source}; run plumbline-collector doctor")]
    Block {
        /// Which.
        hash: Hash,
        /// Why.
        source: BlockError,
    },
    /// The index names a block that the log does not hold.
    #[error("block {hash} is named by the index and is not in the log; was a month removed while it was read?")]
    Gone {
        /// Which.
        hash: Hash,
    },
}

/// Reads samples; shared by evaluation and the interface.
pub struct Series {
    log: Arc<Log>,
    ledger: Arc<Ledger>,
    index: Index,
    cache: Cache,
    firsts: Mutex<BTreeMap<(SiteId, AgentId), Timestamp>>,
}

impl Series {
    /// A reader that holds at most about `cache_bytes` of decoded blocks.
    pub fn new(log: Arc<Log>, ledger: Arc<Ledger>, cache_bytes: usize) -> Self {
        let index = Index::new(Arc::clone(&log));
        Self { log, ledger, index, cache: Cache::new(cache_bytes), firsts: Mutex::default() }
    }

    /// The blocks by name.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The register map that blocks cite; `None` until its agent's birth has arrived.
    pub fn register_map(&self, hash: &Hash) -> Option<Arc<RegisterMap>> {
        self.ledger.register_map(hash)
    }

    /// The instant from which an agent's first block answers; `None` while there is none.
    pub fn first_of(&self, site: &SiteId, agent: &AgentId) -> Result<Option<Timestamp>, SeriesError> {
        let key = (site.clone(), agent.clone());
        let known = self.firsts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if known.is_some() {
            return Ok(known);
        }
        let mut first = None;
        for epoch in 1..=EPOCHS_SEARCHED {
            let early = self.log.blocks(site, agent, epoch, 1..=SEQUENCES_SEARCHED)?;
            first = first.or(early.first().map(|block| block.window.start));
        }
        if let Some(first) = first {
            self.firsts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, first);
        }
        Ok(first)
    }

    /// Bytes of decoded blocks held now.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }
}
