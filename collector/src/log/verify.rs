//! Reads the whole log again and checks it: hashes, signatures, leaves, tree, checkpoints.

use std::fmt;
use std::sync::PoisonError;

use rusqlite::params;
use shopfloor::evidence::checkpoint::Checkpoint;
use shopfloor::evidence::leaf::{Leaf, LeafSubject};
use shopfloor::evidence::merkle::{self, Frontier};
use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::sign::PublicKey;

use super::month::{Month, signed, unsigned};
use super::{Log, LogError, StoredBlock, StoredDocument};

/// Leaves that are read at once.
const STEP: u64 = 256;
/// Faults that are described; beyond them they are counted only.
const FAULTS_MAX: usize = 100;

/// Something in the log that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Place in the log, where it has one.
    pub log_index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log_index {
            Some(index) => write!(f, "leaf {index}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a reading of the whole log found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Leaves read.
    pub size: u64,
    /// Blocks among them.
    pub blocks: u64,
    /// Documents among them.
    pub documents: u64,
    /// Checkpoints checked.
    pub checkpoints: u64,
    /// Blocks of agents that are not enrolled any more: their signatures could not be checked.
    pub unchecked_signatures: u64,
    /// The first faults.
    pub faults: Vec<Fault>,
    /// All faults.
    pub fault_count: u64,
}

impl LogReport {
    fn fault(&mut self, log_index: Option<u64>, what: impl Into<String>) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { log_index, what: what.into() });
        }
    }
}

impl Log {
    /// Reads everything and checks it. `key` gives the enrolled key of an agent. Slow: seconds per gigabyte.
    pub fn verify(
        &self,
        key: impl Fn(&SiteId, &AgentId) -> Option<PublicKey>,
        checkpoint_key: &PublicKey,
    ) -> Result<LogReport, LogError> {
        let mut report = LogReport::default();
        let mut frontier = Frontier::new();
        // The log as it was when this began: it may be growing.
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner).clone();
        let newest = head.checkpoint.as_ref().map_or(0, |(size, ..)| *size);
        let mut checkpoints = self.checkpoints(&mut report, checkpoint_key)?;
        checkpoints.retain(|checkpoint| checkpoint.size <= newest);
        checkpoints.sort_by_key(|checkpoint| checkpoint.size);
        let mut checkpoints = checkpoints.into_iter().peekable();
        for month in self.months() {
            let (mut from, last) = leaf_range(&month)?;
            let last = last.min(head.size);
            while from < last {
                let to = last.min(from + STEP);
                let leaves = leaves(&month, from, to)?;
                let blocks = month.blocks(
                    "WHERE log_index >= ?1 AND log_index < ?2 ORDER BY log_index",
                    params![signed(from), signed(to)],
                )?;
                let documents = month.documents(
                    "WHERE log_index >= ?1 AND log_index < ?2 ORDER BY log_index",
                    params![signed(from), signed(to)],
                )?;
                let (mut blocks, mut documents) = (blocks.into_iter().peekable(), documents.into_iter().peekable());
                for (index, bytes) in leaves {
                    if index != frontier.size() {
                        report.fault(Some(index), format!("expected leaf {}", frontier.size()));
                    }
                    let block = blocks.next_if(|block| block.log_index == index);
                    let document = documents.next_if(|document| document.log_index == index);
                    check_leaf(&mut report, index, &bytes, block, document, &key);
                    frontier.push(merkle::leaf_hash(&bytes));
                    while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.size == frontier.size()) {
                        report.checkpoints += 1;
                        if checkpoint.root != frontier.root() {
                            report.fault(Some(index), "the checkpoint of this size has another root");
                        }
                    }
                }
                from = to;
            }
        }
        report.size = frontier.size();
        if checkpoints.next().is_some() {
            report.fault(None, format!("a checkpoint names more than the {} leaves that are there", frontier.size()));
        }
        if (head.size, head.root) != (frontier.size(), frontier.root()) {
            report.fault(None, "the stored nodes of the tree do not follow from the leaves");
        }
        Ok(report)
    }

    fn checkpoints(&self, report: &mut LogReport, key: &PublicKey) -> Result<Vec<Checkpoint>, LogError> {
        let mut checkpoints = Vec::new();
        for month in self.months() {
            let notes: Vec<String> = month.read("read the checkpoints", |connection| {
                let mut statement = connection.prepare_cached("SELECT note FROM checkpoint ORDER BY size")?;
                statement.query_map([], |row| row.get(0))?.collect()
            })?;
            for note in notes {
                match Checkpoint::verify(&note, self.origin(), key) {
                    Ok(checkpoint) => checkpoints.push(checkpoint),
                    Err(error) => report.fault(None, error.to_string()),
                }
            }
        }
        Ok(checkpoints)
    }
}

fn leaf_range(month: &Month) -> Result<(u64, u64), LogError> {
    month.read("count leaves", |connection| {
        connection.query_row(
            "SELECT coalesce(min(log_index), 0), coalesce(max(log_index) + 1, 0) FROM leaf",
            [],
            |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)),
        )
    })
}

fn leaves(month: &Month, from: u64, to: u64) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
    month.read("read leaves", |connection| {
        let sql = "SELECT log_index, leaf FROM leaf WHERE log_index >= ?1 AND log_index < ?2 ORDER BY log_index";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map(params![signed(from), signed(to)], |row| Ok((unsigned(row, 0)?, row.get(1)?)))?.collect()
    })
}

fn check_leaf(
    report: &mut LogReport,
    index: u64,
    bytes: &[u8],
    block: Option<StoredBlock>,
    document: Option<StoredDocument>,
    key: &impl Fn(&SiteId, &AgentId) -> Option<PublicKey>,
) {
    match (Leaf::decode(bytes), block, document) {
        (Err(error), ..) => report.fault(Some(index), format!("unreadable: {error}")),
        (Ok(leaf @ Leaf { subject: LeafSubject::Block { .. }, .. }), Some(block), None) => {
            report.blocks += 1;
            check_block(report, &leaf, &block, key);
        }
        (Ok(Leaf { subject: LeafSubject::Document, hash, received_time }), None, Some(document)) => {
            report.documents += 1;
            let same = (hash, received_time) == (document.hash, document.received);
            if !same || Hash::of(&document.bytes) != hash {
                report.fault(Some(index), "the document is not the one that the leaf names");
            }
        }
        (Ok(_), ..) => report.fault(Some(index), "what the leaf names is not there"),
    }
}

fn check_block(
    report: &mut LogReport,
    leaf: &Leaf,
    stored: &StoredBlock,
    key: &impl Fn(&SiteId, &AgentId) -> Option<PublicKey>,
) {
    let index = Some(stored.log_index);
    let opened = match block::open(&stored.bytes, &Limits::default()) {
        Ok(opened) => opened,
        Err(error) => return report.fault(index, error.to_string()),
    };
    let header = &opened.header;
    let subject = LeafSubject::Block {
        site: header.site.clone(),
        agent: header.agent.clone(),
        epoch: header.epoch,
        sequence: header.sequence,
    };
    let of_bytes = Leaf { subject, hash: opened.hash, received_time: stored.received };
    let columns_fit = stored.hash == opened.hash
        && stored.window == header.window
        && (&stored.site, &stored.agent, stored.epoch, stored.sequence)
            == (&header.site, &header.agent, header.epoch, header.sequence);
    if of_bytes != *leaf || !columns_fit {
        report.fault(index, "the block is not the one that the leaf and the index name");
    }
    match key(&header.site, &header.agent) {
        None => report.unchecked_signatures += 1,
        Some(key) => {
            if let Err(error) = opened.verify(&key) {
                report.fault(index, error.to_string());
            }
        }
    }
}
