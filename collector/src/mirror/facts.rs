//! Which samples of a block are news: a block stands alone, so it restates what earlier ones told, and the same tag
//! may carry different values for the same instant. The answer depends on the log alone, so a rebuild gives the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId, TagName};
use shopfloor::register_map;
use shopfloor::sample::{Sample, StatusCode, Value};
use shopfloor::time::{Interval, MINUTE, Timestamp};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::section::Group;

use super::MirrorError;
use crate::log::StoredBlock;
use crate::series::SeriesError;
use crate::series::index::Index;
use crate::store::Store;

/// What a device stamped may be observed, and then lie in a block, this much later or earlier.
const MARGIN: i64 = 2 * MINUTE;
/// Opened blocks that are held to look facts up in.
const HELD_MAX: usize = 96;

/// A block with its samples decoded.
#[derive(Debug)]
pub struct Opened {
    /// Its place in the log.
    pub log_index: u64,
    /// The samples of each tag by instant, with the unit of the tag.
    pub tags: BTreeMap<TagName, (String, Vec<Sample>)>,
    /// Whether it is simulated or signed with a demo key.
    pub demo: bool,
}

/// What a block became.
pub enum Look {
    /// Its samples.
    Opened(Arc<Opened>),
    /// Its register map is not here yet.
    Unmapped(Hash),
}

/// What a sample says, apart from when it was heard of.
type Fact = (StatusCode, Option<Value>);

/// An instant of a tag and what was said of it, in order.
struct Instant {
    at: Timestamp,
    said: Vec<Fact>,
}

/// What is remembered of a tag.
struct Known {
    newest: Instant,
    /// The older one that was asked about last: every block restates the same one until the value changes.
    older: Option<Instant>,
}

impl Known {
    fn instant(&mut self, at: Timestamp) -> Option<&mut Instant> {
        let older = self.older.as_mut().filter(|older| older.at == at);
        if self.newest.at == at { Some(&mut self.newest) } else { older }
    }
}

/// Tells news from restatements.
pub struct Facts {
    store: Store,
    index: Index,
    known: BTreeMap<(SiteId, AgentId, TagName), Known>,
    held: BTreeMap<u64, Arc<Opened>>,
    order: VecDeque<u64>,
}

impl Facts {
    /// Nothing is known yet; what is not remembered is looked up in the log.
    pub fn new(store: Store) -> Self {
        let index = Index::new(Arc::clone(&store.log));
        Self { store, index, known: BTreeMap::new(), held: BTreeMap::new(), order: VecDeque::new() }
    }

    /// Forgets everything; for when the log is read from its beginning again.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Decodes a block.
    pub fn open(&mut self, stored: &StoredBlock) -> Result<Look, MirrorError> {
        if let Some(opened) = self.held.get(&stored.log_index) {
            return Ok(Look::Opened(Arc::clone(opened)));
        }
        let look = decode(&self.store, stored)?;
        if let Look::Opened(opened) = &look {
            self.hold(Arc::clone(opened));
        }
        Ok(look)
    }

    fn hold(&mut self, opened: Arc<Opened>) {
        self.order.push_back(opened.log_index);
        self.held.insert(opened.log_index, opened);
        while self.order.len() > HELD_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
            }
        }
    }

    /// How many different samples of this tag and instant the log told before this one; `None`: it told this one.
    pub fn occurrence(
        &mut self,
        block: &StoredBlock,
        tag: &TagName,
        sample: &Sample,
    ) -> Result<Option<usize>, MirrorError> {
        let fact = (sample.status, sample.value.clone());
        let key = (block.site.clone(), block.agent.clone(), tag.clone());
        if let Some(known) = self.known.get_mut(&key) {
            if sample.at > known.newest.at {
                known.newest = Instant { at: sample.at, said: vec![fact] };
                return Ok(Some(0));
            }
            if let Some(instant) = known.instant(sample.at) {
                return Ok(said_now(&mut instant.said, fact));
            }
        }
        // Told after something newer, or the first that is seen since the start: the log knows.
        let mut said = self.said_before(block, tag, sample)?;
        let occurrence = said_now(&mut said, fact);
        let instant = Instant { at: sample.at, said };
        match self.known.get_mut(&key) {
            Some(known) => known.older = Some(instant),
            None => drop(self.known.insert(key, Known { newest: instant, older: None })),
        }
        Ok(occurrence)
    }

    /// What earlier blocks of the log, and earlier rows of this one, said of a tag's instant.
    fn said_before(&mut self, block: &StoredBlock, tag: &TagName, sample: &Sample) -> Result<Vec<Fact>, MirrorError> {
        let near = Interval { start: sample.at.plus(-MARGIN), end: sample.at.plus(MARGIN) };
        let mut earlier: Vec<u64> = self
            .index
            .blocks(&block.site, &block.agent, near)?
            .into_iter()
            .map(|found| found.log_index)
            .filter(|log_index| *log_index < block.log_index)
            .collect();
        earlier.sort_unstable();
        let mut said = Vec::new();
        for log_index in earlier {
            let Some(opened) = self.looked_up(log_index)? else { continue };
            let Some((_, samples)) = opened.tags.get(tag) else { continue };
            for other in at_instant(samples, sample.at) {
                said_now(&mut said, (other.status, other.value.clone()));
            }
        }
        if let Some(opened) = self.held.get(&block.log_index)
            && let Some((_, samples)) = opened.tags.get(tag)
        {
            // Rows of one instant are in order; those before this one were asked about before it.
            for other in at_instant(samples, sample.at).iter().take_while(|other| **other != *sample) {
                said_now(&mut said, (other.status, other.value.clone()));
            }
        }
        Ok(said)
    }

    fn looked_up(&mut self, log_index: u64) -> Result<Option<Arc<Opened>>, MirrorError> {
        if let Some(opened) = self.held.get(&log_index) {
            return Ok(Some(Arc::clone(opened)));
        }
        let Some(stored) = self.store.log.block_by_index(log_index)? else { return Ok(None) };
        match self.open(&stored)? {
            Look::Opened(opened) => Ok(Some(opened)),
            Look::Unmapped(_) => Ok(None),
        }
    }
}

/// Adds a fact; answers its number, or `None` if it was said.
fn said_now(said: &mut Vec<Fact>, fact: Fact) -> Option<usize> {
    if said.contains(&fact) {
        return None;
    }
    said.push(fact);
    Some(said.len() - 1)
}

/// The samples of one instant among samples in order of time.
fn at_instant(samples: &[Sample], at: Timestamp) -> &[Sample] {
    let first = samples.partition_point(|sample| sample.at < at);
    let last = samples.partition_point(|sample| sample.at <= at);
    &samples[first..last]
}

/// Decodes every tag of a block.
pub fn decode(store: &Store, stored: &StoredBlock) -> Result<Look, MirrorError> {
    let broken = |source| MirrorError::Series(SeriesError::Block { hash: stored.hash, source });
    let opened = block::open(&stored.bytes, &Limits::default()).map_err(broken)?;
    let header = &opened.header;
    let Some(map) = store.ledger.register_map(&header.config_hash) else {
        return Ok(Look::Unmapped(header.config_hash));
    };
    let mut tags = BTreeMap::new();
    for section in &header.sections {
        let groups: Vec<Group> = opened.section(&section.name).map_err(broken)?;
        for (entry, index) in map.tags.iter().zip(0_u16..) {
            if entry.section == section.name {
                let samples = register_map::samples(&map, &groups, index);
                if !samples.is_empty() {
                    tags.insert(entry.name.clone(), (entry.unit.clone(), samples));
                }
            }
        }
    }
    let demo = header.marks.demo_key || header.marks.simulated;
    Ok(Look::Opened(Arc::new(Opened { log_index: stored.log_index, tags, demo })))
}
