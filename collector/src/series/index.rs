//! Which blocks touch which hour of which agent: names only, in memory, loaded when asked for and kept up with the log.
//!
//! It reads the log's own index once for each hour and then only what is new, so that a live window does not list a
//! whole shift again for every request. Bounded by the number of names; at the bound the hours unused for longest go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{HOUR, Interval, Timestamp};

use crate::log::{Log, LogError, StoredBlock};

/// Most names held: about 60 MB, two months of one agent's blocks of 10 s.
const NAMES_MAX: usize = 500_000;
/// Blocks read at once while catching up.
const BATCH: usize = 512;
/// New blocks beyond this are not followed one by one: the hours are loaded again when asked for.
const FOLLOW_MAX: u64 = 20_000;

/// A block by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    /// Place in the log.
    pub log_index: u64,
    /// Hash.
    pub hash: Hash,
    /// The agent that signed it.
    pub agent: AgentId,
    /// Epoch of its chain.
    pub epoch: u64,
    /// Place in the chain.
    pub sequence: u64,
    /// What it answers for.
    pub window: Interval,
    /// When it was received.
    pub received: Timestamp,
}

impl From<&StoredBlock> for BlockRef {
    fn from(block: &StoredBlock) -> Self {
        Self {
            log_index: block.log_index,
            hash: block.hash,
            agent: block.agent.clone(),
            epoch: block.epoch,
            sequence: block.sequence,
            window: block.window,
            received: block.received,
        }
    }
}

type Hour = (SiteId, AgentId, i64);

#[derive(Debug, Default)]
struct Held {
    /// Everything below this place of the log is in the hours that are held.
    seen: u64,
    hours: BTreeMap<Hour, Bucket>,
    names: usize,
    uses: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    blocks: BTreeMap<u64, BlockRef>,
    used: u64,
}

/// The index.
pub struct Index {
    log: Arc<Log>,
    held: Mutex<Held>,
}

impl Index {
    /// An index that holds nothing yet.
    pub fn new(log: Arc<Log>) -> Self {
        let seen = log.size();
        Self { log, held: Mutex::new(Held { seen, ..Held::default() }) }
    }

    /// Blocks of an agent whose windows touch `interval`, ends included, by the start of their windows.
    pub fn blocks(&self, site: &SiteId, agent: &AgentId, interval: Interval) -> Result<Vec<BlockRef>, LogError> {
        let mut held = self.caught_up()?;
        let mut found: BTreeMap<(Timestamp, u64, u64), BlockRef> = BTreeMap::new();
        for hour in hours(interval) {
            let key = (site.clone(), agent.clone(), hour);
            self.load(&mut held, &key)?;
            let touches = |block: &&BlockRef| block.window.end >= interval.start && block.window.start <= interval.end;
            if let Some(bucket) = held.hours.get(&key) {
                for block in bucket.blocks.values().filter(touches) {
                    found.insert((block.window.start, block.sequence, block.log_index), block.clone());
                }
            }
        }
        shrink(&mut held);
        Ok(found.into_values().collect())
    }

    /// Reads what was appended since the last time into the hours that are held.
    fn caught_up(&self) -> Result<MutexGuard<'_, Held>, LogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.log.size();
        if size.saturating_sub(held.seen) > FOLLOW_MAX {
            *held = Held { seen: size, ..Held::default() };
        }
        while held.seen < size {
            let blocks = self.log.blocks_since(held.seen, BATCH)?;
            held.seen = if blocks.len() < BATCH { size } else { blocks.last().map_or(size, |b| b.log_index + 1) };
            for block in &blocks {
                add(&mut held, block);
            }
        }
        Ok(held)
    }

    fn load(&self, held: &mut Held, key: &Hour) -> Result<(), LogError> {
        held.uses += 1;
        let used = held.uses;
        if let Some(bucket) = held.hours.get_mut(key) {
            bucket.used = used;
            return Ok(());
        }
        let start = Timestamp::from_nanos(key.2.saturating_mul(HOUR));
        let interval = Interval { start, end: start.plus(HOUR) };
        let stored = self.log.blocks_overlapping(&key.0, &key.1, interval)?;
        let blocks: BTreeMap<u64, BlockRef> =
            stored.iter().map(|block| (block.log_index, BlockRef::from(block))).collect();
        held.names += blocks.len() + 1;
        held.hours.insert(key.clone(), Bucket { blocks, used });
        Ok(())
    }
}

fn add(held: &mut Held, block: &StoredBlock) {
    for hour in hours(block.window) {
        let key = (block.site.clone(), block.agent.clone(), hour);
        let Some(bucket) = held.hours.get_mut(&key) else { continue };
        if bucket.blocks.insert(block.log_index, BlockRef::from(block)).is_none() {
            held.names += 1;
        }
    }
}

/// Lets go of a quarter of the hours, those unused for longest, when there are too many names.
fn shrink(held: &mut Held) {
    if held.names <= NAMES_MAX {
        return;
    }
    let mut by_use: Vec<(u64, Hour)> = held.hours.iter().map(|(key, bucket)| (bucket.used, key.clone())).collect();
    by_use.sort();
    for (_, key) in by_use.into_iter().take(held.hours.len().div_ceil(4)) {
        if let Some(bucket) = held.hours.remove(&key) {
            held.names -= bucket.blocks.len() + 1;
        }
    }
}

/// The clock hours (UTC) that an interval touches, its end included.
fn hours(interval: Interval) -> std::ops::RangeInclusive<i64> {
    interval.start.as_nanos().div_euclid(HOUR)..=interval.end.as_nanos().div_euclid(HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_touches_the_hours_of_both_its_ends() {
        let at = Timestamp::from_nanos;
        let over_midnight = Interval { start: at(-1), end: at(HOUR) };
        assert_eq!(hours(over_midnight), -1..=1);
    }
}
