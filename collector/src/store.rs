//! The shared handle to what the collector knows: the log, its documents, its agents.

use std::sync::Arc;

use crate::ingest::registry::Registry;
use crate::ledger::Ledger;
use crate::log::Log;

/// Log, ledger and agents of one collector; cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The record.
    pub log: Arc<Log>,
    /// The current view of the documents in it.
    pub ledger: Arc<Ledger>,
    /// The enrolled agents.
    pub agents: Arc<Registry>,
}
