//! Reading a stretch of samples: the blocks that touch it, decoded once, merged, cut at the bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId, TagName};
use shopfloor::register_map::{self, RegisterMap};
use shopfloor::sample::{Quality, Sample};
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::section::Group;

use super::cache::Decoded;
use super::index::BlockRef;
use super::merge::{cut, merge};
use super::{Series, SeriesError};

/// How far around a window blocks are read at the least: a block spans up to a minute, and what a device stamped
/// inside the window may have been observed a little after it.
pub const MARGIN: i64 = 2 * MINUTE;
/// How far before a window a late block may change it at the most that is followed up.
pub const BACK_MAX: i64 = 26 * HOUR;
/// How far a counter's last reading before a window, and its first after, are looked for across a gap.
const ACROSS_MAX: i64 = 7 * 24 * HOUR;
/// Most hours that hold blocks which are opened for that; hours without any cost nothing.
const OPENED_MAX: u32 = 24;

/// Every tag that a site's plant uses: a block is decoded once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    tags: BTreeSet<TagName>,
    id: Hash,
}

impl Wanted {
    /// The tags by name.
    pub fn new(tags: BTreeSet<TagName>) -> Self {
        let mut text = String::new();
        for tag in &tags {
            text.push_str(&tag.to_string());
            text.push('\n');
        }
        Self { tags, id: Hash::of(text.as_bytes()) }
    }

    /// The tags.
    pub fn tags(&self) -> &BTreeSet<TagName> {
        &self.tags
    }
}

/// An agent and the time for which its tags are the work unit's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The agent.
    pub agent: AgentId,
    /// The time of the binding; an open end is held at the end of all time.
    pub interval: Interval,
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Site.
    pub site: &'a SiteId,
    /// Where the tags come from, and when.
    pub bounds: &'a [Bound],
    /// The tags.
    pub tags: &'a BTreeSet<TagName>,
    /// Counters among them: their last reading before the window and their first after it are looked for across gaps.
    pub counters: &'a BTreeSet<TagName>,
    /// Every tag that the site's plant uses.
    pub wanted: &'a Wanted,
    /// The window.
    pub window: Interval,
    /// Nothing after this instant is known yet.
    pub now: Timestamp,
    /// The window with its surroundings, whose samples matter too: see `shopfloor::evaluate::sample_range`.
    pub around: Interval,
    /// Nanoseconds after the window within which a counter's first reading is looked for: the grace, so that what a
    /// settled result rests on cannot change by data that come in good time.
    pub ahead: i64,
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    /// Samples of each tag, ordered: inside the window, the last before it, the first after it.
    pub samples: BTreeMap<TagName, Vec<Sample>>,
    /// The blocks that were looked into, by log index.
    pub blocks: BTreeMap<u64, BlockRef>,
    /// Blocks whose register map is not here.
    pub unmapped: u64,
    /// Whether any block is marked as simulated or signed with a demo key.
    pub demo: bool,
}

impl Request<'_> {
    /// The first instant whose blocks are too late to matter for the window.
    fn late(&self) -> Timestamp {
        self.window.end.plus(self.ahead)
    }

    /// The stretch of time whose blocks are looked into in any case.
    fn near(&self) -> Interval {
        let end = self.window.end.min(self.now).max(self.window.start);
        let reach = self.around.end.plus(MARGIN).min(self.late()).min(self.now.plus(MARGIN));
        Interval { start: self.around.start.plus(-MARGIN), end: reach.max(end) }
    }

    /// Whether a block can matter. One that begins when the grace is over does not: a window may have settled
    /// without it.
    fn matters(&self, block: &BlockRef) -> bool {
        block.window.start < self.late()
    }
}

impl Series {
    /// How many blocks are near a window and which came last: while neither changes, its samples do not.
    pub fn fingerprint(&self, request: &Request<'_>) -> Result<(u64, u64), SeriesError> {
        let near = request.near();
        let (mut count, mut newest) = (0, 0);
        for bound in request.bounds {
            let Some(part) = bound.interval.intersect(near) else { continue };
            for block in self.index.blocks(request.site, &bound.agent, part)? {
                count += 1;
                newest = newest.max(block.log_index);
            }
        }
        Ok((count, newest))
    }

    /// The samples of a window. The last good sample before it and the first after it are looked for across gaps.
    pub fn read(&self, request: &Request<'_>) -> Result<Read, SeriesError> {
        let window = request.window;
        let end = window.end.min(request.now).max(window.start);
        let mut read = Read::default();
        let mut runs: BTreeMap<TagName, Vec<Sample>> = BTreeMap::new();
        let near = request.near();
        self.gather(request, near, &mut runs, &mut read)?;
        self.reach_stale(request, near.start, &mut runs, &mut read)?;
        self.look_back(request, near.start, &mut runs, &mut read)?;
        if end == window.end {
            self.look_ahead(request, near.end, &mut runs, &mut read)?;
        }
        for tag in request.tags {
            let run = merge(runs.remove(tag).unwrap_or_default());
            read.samples.insert(tag.clone(), cut(run, request.around));
        }
        Ok(read)
    }

    /// Adds the samples of all blocks that touch `interval`.
    fn gather(
        &self,
        request: &Request<'_>,
        interval: Interval,
        runs: &mut BTreeMap<TagName, Vec<Sample>>,
        read: &mut Read,
    ) -> Result<(), SeriesError> {
        for bound in request.bounds {
            let Some(part) = bound.interval.intersect(interval) else { continue };
            for reference in self.index.blocks(request.site, &bound.agent, part)? {
                if !request.matters(&reference) || read.blocks.contains_key(&reference.log_index) {
                    continue;
                }
                let opened = self.decoded(&reference, request.wanted)?;
                read.demo |= opened.demo;
                read.unmapped += u64::from(opened.unmapped);
                for tag in request.tags {
                    let Some(samples) = opened.tags.get(tag) else { continue };
                    let inside = samples.iter().filter(|sample| bound.interval.contains(sample.at)).cloned();
                    runs.entry(tag.clone()).or_default().extend(inside);
                }
                read.blocks.insert(reference.log_index, reference);
            }
        }
        Ok(())
    }

    /// Tags that are scanned seldom hold long: their last sample before the window may lie further back.
    fn reach_stale(
        &self,
        request: &Request<'_>,
        from: Timestamp,
        runs: &mut BTreeMap<TagName, Vec<Sample>>,
        read: &mut Read,
    ) -> Result<(), SeriesError> {
        let stale = runs.values().flatten().map(|sample| sample.stale_after).max().unwrap_or(0);
        let start = request.window.start.plus(-stale.min(ACROSS_MAX)).plus(-MARGIN);
        if start < from {
            self.gather(request, Interval { start, end: from }, runs, read)?;
        }
        Ok(())
    }

    /// Looks for a good reading of every counter before the window, an hour at a time.
    fn look_back(
        &self,
        request: &Request<'_>,
        from: Timestamp,
        runs: &mut BTreeMap<TagName, Vec<Sample>>,
        read: &mut Read,
    ) -> Result<(), SeriesError> {
        let start = request.window.start;
        let first = self.first_seen(request)?;
        let (mut end, mut opened) = (from, 0);
        while start.since(end) < ACROSS_MAX
            && opened < OPENED_MAX
            && first.is_some_and(|first| first < end)
            && !all_have(request, runs, |sample| sample.at < start)
        {
            let hour = Interval { start: end.plus(-HOUR), end };
            let before = read.blocks.len();
            self.gather(request, hour, runs, read)?;
            opened += u32::from(read.blocks.len() > before);
            end = hour.start;
        }
        Ok(())
    }

    /// Looks for a good reading of every counter after the window, an hour at a time, up to now.
    fn look_ahead(
        &self,
        request: &Request<'_>,
        from: Timestamp,
        runs: &mut BTreeMap<TagName, Vec<Sample>>,
        read: &mut Read,
    ) -> Result<(), SeriesError> {
        let end = request.window.end;
        let (mut start, mut opened) = (from, 0);
        let last = request.late().min(end.plus(ACROSS_MAX)).min(request.now);
        while start < last && opened < OPENED_MAX && !all_have(request, runs, |sample| sample.at >= end) {
            let hour = Interval { start, end: start.plus(HOUR).min(last) };
            let before = read.blocks.len();
            self.gather(request, hour, runs, read)?;
            opened += u32::from(read.blocks.len() > before);
            start = hour.end;
        }
        Ok(())
    }

    /// The earliest instant that any of the bound agents answers for.
    fn first_seen(&self, request: &Request<'_>) -> Result<Option<Timestamp>, SeriesError> {
        let mut first = None;
        for bound in request.bounds {
            let seen = self.first_of(request.site, &bound.agent)?;
            first = [first, seen].into_iter().flatten().min();
        }
        Ok(first)
    }

    /// A block's samples of all tags that the plant uses.
    fn decoded(&self, reference: &BlockRef, wanted: &Wanted) -> Result<Arc<Decoded>, SeriesError> {
        let key = Hash::of_parts(&[reference.hash.as_bytes(), wanted.id.as_bytes()]);
        if let Some(found) = self.cache.get(key) {
            return Ok(found);
        }
        let stored = self.log.block_by_index(reference.log_index)?.ok_or(SeriesError::Gone { hash: reference.hash })?;
        let decoded = Arc::new(self.decode(&stored.bytes, reference.hash, &wanted.tags)?);
        self.cache.put(key, Arc::clone(&decoded));
        Ok(decoded)
    }

    fn decode(&self, bytes: &[u8], hash: Hash, wanted: &BTreeSet<TagName>) -> Result<Decoded, SeriesError> {
        let broken = |source| SeriesError::Block { hash, source };
        let opened = block::open(bytes, &Limits::default()).map_err(broken)?;
        let marks = opened.header.marks;
        let mut decoded = Decoded { demo: marks.demo_key || marks.simulated, ..Decoded::default() };
        let Some(map) = self.register_map(&opened.header.config_hash) else {
            decoded.unmapped = true;
            return Ok(decoded);
        };
        let tags = used(&map, wanted);
        let sections: BTreeSet<_> =
            tags.iter().map(|(_, index)| map.tags[usize::from(*index)].section.clone()).collect();
        for section in sections {
            if !opened.header.sections.iter().any(|entry| entry.name == section) {
                continue;
            }
            let groups: Vec<Group> = opened.section(&section).map_err(broken)?;
            for (name, index) in &tags {
                if map.tags[usize::from(*index)].section == section {
                    let samples = register_map::samples(&map, &groups, *index);
                    if !samples.is_empty() {
                        decoded.tags.insert(name.clone(), samples);
                    }
                }
            }
        }
        Ok(decoded)
    }
}

/// The tags of a map that a plant uses, with their indexes.
fn used(map: &RegisterMap, wanted: &BTreeSet<TagName>) -> Vec<(TagName, u16)> {
    let indexed = map.tags.iter().zip(0_u16..);
    indexed.filter(|(tag, _)| wanted.contains(&tag.name)).map(|(tag, index)| (tag.name.clone(), index)).collect()
}

fn all_have(request: &Request<'_>, runs: &BTreeMap<TagName, Vec<Sample>>, holds: impl Fn(&Sample) -> bool) -> bool {
    let good = |sample: &Sample| sample.quality() != Quality::Bad && holds(sample);
    request.counters.iter().all(|tag| runs.get(tag).is_some_and(|run| run.iter().any(good)))
}
