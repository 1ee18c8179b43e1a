//! The nodes of the log's Merkle tree, stored beside the leaves; proofs from them. The mathematics is
//! `shopfloor::evidence::merkle`. Tiles as static files for outside readers are not written yet.

use rusqlite::{Connection, OptionalExtension, params};
use shopfloor::evidence::leaf::Leaf;
use shopfloor::evidence::merkle::{Frontier, inclusion_proof};
use shopfloor::hash::Hash;

use super::month::signed;
use super::{Log, LogError};

/// Appends a leaf and the nodes that it completes, within the writer's transaction.
pub(super) fn append_leaf(
    connection: &Connection,
    frontier: &mut Frontier,
    leaf: &Leaf,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached("INSERT INTO leaf(log_index, leaf) VALUES (?1, ?2)")?
        .execute(params![signed(frontier.size()), leaf.encode()])?;
    let mut insert = connection.prepare_cached("INSERT INTO node(level, place, hash) VALUES (?1, ?2, ?3)")?;
    for node in frontier.push(leaf.tree_hash()) {
        insert.execute(params![node.level, signed(node.index), node.hash.0.as_slice()])?;
    }
    Ok(())
}

impl Log {
    /// The hashes that lead from the leaf at `log_index` to the root of the tree of the first `size` leaves
    /// (RFC 6962, section 2.1.1); `None` if that leaf is not in that tree.
    pub fn inclusion_proof(&self, log_index: u64, size: u64) -> Result<Option<Vec<Hash>>, LogError> {
        if size > self.size() {
            return Ok(None);
        }
        let failure = std::cell::RefCell::new(None);
        let proof = inclusion_proof(log_index, size, |level, index| {
            self.node(level, index).unwrap_or_else(|error| {
                failure.replace(Some(error));
                None
            })
        });
        match failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(proof),
        }
    }

    /// The tree as the stored nodes have it.
    pub(super) fn restore_frontier(&self, size: u64) -> Result<Frontier, LogError> {
        let restored = Frontier::restore(size, |level, index| self.node(level, index).ok().flatten());
        restored.ok_or_else(|| LogError::Damaged {
            path: self.folder.clone(),
            what: format!("nodes of the tree of {size} leaves are missing or unreadable"),
        })
    }

    fn node(&self, level: u8, index: u64) -> Result<Option<Hash>, LogError> {
        for month in self.months().iter().rev() {
            let hash = month.read("read a node of the tree", |connection| {
                connection
                    .prepare_cached("SELECT hash FROM node WHERE level = ?1 AND place = ?2")?
                    .query_row(params![level, signed(index)], |row| row.get(0).map(Hash))
                    .optional()
            })?;
            if hash.is_some() {
                return Ok(hash);
            }
        }
        Ok(None)
    }
}
