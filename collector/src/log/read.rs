//! What can be asked of the log. Every month is asked; there are few.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusqlite::{OptionalExtension, params};
use shopfloor::evidence::leaf::Leaf;
use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::Interval;

use super::month::{self, signed};
use super::{DocumentKind, Log, LogError, StoredBlock, StoredDocument, newest};

/// What the log holds of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentSummary {
    /// Blocks stored.
    pub blocks: u64,
    /// Place of the newest leaf.
    pub newest_index: Option<u64>,
    /// The block with the latest end of window.
    pub newest: Option<StoredBlock>,
}

impl Log {
    /// The block with this hash.
    pub fn block_by_hash(&self, hash: &Hash) -> Result<Option<StoredBlock>, LogError> {
        self.first_block("WHERE hash = ?1 LIMIT 1", params![hash.0.as_slice()])
    }

    /// The block at this place of the log; `None` if it is beyond the end or a document.
    pub fn block_by_index(&self, log_index: u64) -> Result<Option<StoredBlock>, LogError> {
        self.first_block("WHERE log_index = ?1", params![signed(log_index)])
    }

    /// The first stored block of a sequence; after an equivocation there are more, see [`Self::blocks`].
    pub fn block_by_sequence(
        &self,
        site: &SiteId,
        agent: &AgentId,
        epoch: u64,
        sequence: u64,
    ) -> Result<Option<StoredBlock>, LogError> {
        Ok(self.blocks(site, agent, epoch, sequence..=sequence)?.into_iter().next())
    }

    /// The blocks of a range of sequences, by sequence and then by place in the log.
    pub fn blocks(
        &self,
        site: &SiteId,
        agent: &AgentId,
        epoch: u64,
        sequences: RangeInclusive<u64>,
    ) -> Result<Vec<StoredBlock>, LogError> {
        let parameters = params![
            site.as_str(),
            agent.as_str(),
            signed(epoch),
            signed(*sequences.start()),
            signed((*sequences.end()).min(i64::MAX.cast_unsigned()))
        ];
        let condition = "WHERE site = ?1 AND agent = ?2 AND epoch = ?3 AND sequence BETWEEN ?4 AND ?5";
        let mut blocks = self.all_blocks(condition, parameters)?;
        blocks.sort_by_key(|block| (block.sequence, block.log_index));
        Ok(blocks)
    }

    /// The blocks of an agent, of any epoch, whose window touches `interval`, by the start of their windows.
    pub fn blocks_overlapping(
        &self,
        site: &SiteId,
        agent: &AgentId,
        interval: Interval,
    ) -> Result<Vec<StoredBlock>, LogError> {
        let (start, end) = (interval.start.as_nanos(), interval.end.as_nanos());
        let condition = "WHERE site = ?1 AND agent = ?2 AND last_ns >= ?3 AND first_ns <= ?4";
        let mut blocks = self.all_blocks(condition, params![site.as_str(), agent.as_str(), start, end])?;
        blocks.sort_by_key(|block| (block.window.start, block.sequence, block.log_index));
        Ok(blocks)
    }

    /// At most `limit` blocks from place `log_index` on, in the order of the log.
    pub fn blocks_since(&self, log_index: u64, limit: usize) -> Result<Vec<StoredBlock>, LogError> {
        let mut blocks = Vec::new();
        for month in self.months() {
            let room = i64::try_from(limit - blocks.len()).unwrap_or(i64::MAX);
            blocks.extend(
                month.blocks("WHERE log_index >= ?1 ORDER BY log_index LIMIT ?2", params![signed(log_index), room])?,
            );
            if blocks.len() >= limit {
                break;
            }
        }
        Ok(blocks)
    }

    /// All documents of a kind, in the order of the log.
    pub fn documents(&self, kind: DocumentKind) -> Result<Vec<StoredDocument>, LogError> {
        let mut documents = Vec::new();
        for month in self.months() {
            documents.extend(month.documents("WHERE kind = ?1 ORDER BY log_index", params![kind.as_str()])?);
        }
        Ok(documents)
    }

    /// The first document with this hash.
    pub fn document_by_hash(&self, hash: &Hash) -> Result<Option<StoredDocument>, LogError> {
        for month in self.months() {
            let found = month.documents("WHERE hash = ?1 ORDER BY log_index LIMIT 1", params![hash.0.as_slice()])?;
            if let Some(document) = found.into_iter().next() {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }

    /// The leaf at this place of the log; `None` beyond its end.
    pub fn leaf(&self, log_index: u64) -> Result<Option<Leaf>, LogError> {
        for month in self.months() {
            if let Some(bytes) = month.leaf(log_index)? {
                let leaf = Leaf::decode(&bytes).map_err(|error| LogError::Damaged {
                    path: month.path().to_owned(),
                    what: format!("leaf {log_index} is unreadable: {error}"),
                })?;
                return Ok(Some(leaf));
            }
        }
        Ok(None)
    }

    /// The newest stored session of an agent and epoch.
    pub fn session(&self, site: &SiteId, agent: &AgentId, epoch: u64) -> Result<Option<Vec<u8>>, LogError> {
        newest(&self.months(), |month| {
            month.read("read a session", |connection| {
                connection
                    .query_row(
                        "SELECT bytes FROM session WHERE site = ?1 AND agent = ?2 AND epoch = ?3",
                        params![site.as_str(), agent.as_str(), signed(epoch)],
                        |row| row.get(0),
                    )
                    .optional()
            })
        })
    }

    /// Blocks stored of an agent, and the place, window and time of receipt of the newest by window.
    pub fn summary(&self, site: &SiteId, agent: &AgentId) -> Result<AgentSummary, LogError> {
        let mut summary = AgentSummary::default();
        for month in self.months() {
            let (count, newest_index): (u64, Option<i64>) = month.read("count blocks", |connection| {
                connection.query_row(
                    "SELECT count(*), max(log_index) FROM block WHERE site = ?1 AND agent = ?2",
                    params![site.as_str(), agent.as_str()],
                    |row| Ok((month::unsigned(row, 0)?, row.get(1)?)),
                )
            })?;
            let newest = month.blocks(
                "WHERE site = ?1 AND agent = ?2 ORDER BY last_ns DESC LIMIT 1",
                params![site.as_str(), agent.as_str()],
            )?;
            summary.blocks += count;
            summary.newest_index = newest_index.map(i64::cast_unsigned).max(summary.newest_index);
            summary.newest = newest.into_iter().chain(summary.newest.take()).max_by_key(|block| block.window.end);
        }
        Ok(summary)
    }

    /// The highest stored sequence of an agent's epoch; 0 if there is none.
    pub fn last_sequence(&self, site: &SiteId, agent: &AgentId, epoch: u64) -> Result<u64, LogError> {
        let mut last = 0;
        for month in self.months() {
            let highest = month.read("find the last sequence", |connection| {
                connection.query_row(
                    "SELECT coalesce(max(sequence), 0) FROM block WHERE site = ?1 AND agent = ?2 AND epoch = ?3",
                    params![site.as_str(), agent.as_str(), signed(epoch)],
                    |row| month::unsigned(row, 0),
                )
            })?;
            last = last.max(highest);
        }
        Ok(last)
    }

    /// The windows of an agent's blocks whose sequence is stored more than once.
    pub fn equivocations(&self, site: &SiteId, agent: &AgentId) -> Result<Vec<Interval>, LogError> {
        let mut windows: BTreeMap<(u64, u64), Vec<Interval>> = BTreeMap::new();
        for month in self.months() {
            // Within a month the index tells; across months only sequences near the turn can be double.
            let blocks = month.blocks(
                "WHERE site = ?1 AND agent = ?2 AND (epoch, sequence) IN (SELECT epoch, sequence FROM block                  WHERE site = ?1 AND agent = ?2 GROUP BY epoch, sequence HAVING count(*) > 1)",
                params![site.as_str(), agent.as_str()],
            )?;
            for block in blocks {
                windows.entry((block.epoch, block.sequence)).or_default().push(block.window);
            }
        }
        Ok(windows.into_values().flatten().collect())
    }

    fn first_block(
        &self,
        condition: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Option<StoredBlock>, LogError> {
        for month in self.months() {
            if let Some(block) = month.blocks(condition, parameters)?.into_iter().next() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    fn all_blocks(&self, condition: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<StoredBlock>, LogError> {
        let mut blocks = Vec::new();
        for month in self.months() {
            blocks.extend(month.blocks(condition, parameters)?);
        }
        Ok(blocks)
    }
}
