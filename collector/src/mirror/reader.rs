//! Reads the verified log in its order, and the kept results, and makes lines of them: the mirror's own reader, with
//! its own connections, so that nobody waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use shopfloor::hash::Hash;
use shopfloor::time::{HOUR, Timestamp};

use super::cursor::{Cursor, Step};
use super::deliver::{Line, Parked};
use super::facts::{Facts, Look, Opened};
use super::line::{self, Origin, Point, Unfit};
use super::{MirrorError, influx};
use crate::config::MirrorConfig;
use crate::log::StoredBlock;
use crate::series::derived::{Derived, Key};
use crate::store::Store;

/// Blocks read at once.
const BLOCKS: usize = 32;
/// Results read at once.
const RESULTS: usize = 256;
/// How far back results are looked for that were made while the clock of this host stood earlier.
const RESULTS_BACK: i64 = 48 * HOUR;

/// Lines to be delivered, and what is kept when they are.
#[derive(Debug, Default)]
pub struct Stretch {
    /// To be sent.
    pub lines: Vec<Line>,
    /// Kept after that; what the server refuses is added to its parked lines.
    pub step: Step,
}

/// The reader.
pub struct Reader {
    config: MirrorConfig,
    store: Store,
    cursor: Arc<Cursor>,
    derived: Derived,
    facts: Facts,
    series: BTreeSet<String>,
    generation: u64,
    looked: Option<(u64, i64)>,
}

impl Reader {
    /// A reader that goes on where the cursor stands.
    pub fn new(config: MirrorConfig, store: Store, cursor: Arc<Cursor>, derived: Derived) -> Result<Self, MirrorError> {
        let facts = Facts::new(store.clone());
        let mut reader =
            Self { config, store, cursor, derived, facts, series: BTreeSet::new(), generation: 0, looked: None };
        reader.begin(reader.cursor.place()?.generation)?;
        Ok(reader)
    }

    /// Begins at the cursor: after the start, after a rebuild, and where a stretch did not count.
    fn begin(&mut self, generation: u64) -> Result<(), MirrorError> {
        self.facts.forget();
        self.series = self.cursor.series()?.into_iter().collect();
        self.generation = generation;
        self.looked = None;
        Ok(())
    }

    /// Series that are on the server.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// The next lines; `None` when everything is on the server. `now` tells what is older than the server keeps.
    pub fn next(&mut self, now: Timestamp) -> Result<Option<Stretch>, MirrorError> {
        let place = self.cursor.place()?;
        if place.generation != self.generation {
            self.begin(place.generation)?;
        }
        let fresh = || Stretch {
            step: Step {
                generation: place.generation,
                next: place.next,
                results_from: place.results_from,
                ..Step::default()
            },
            ..Stretch::default()
        };
        let size = self.store.log.size();
        if place.next < size {
            return self.blocks(fresh(), size, now).map(Some);
        }
        let mut stretch = fresh();
        if self.waited(&mut stretch, now)? || self.results(&mut stretch, size, now)? {
            return Ok(Some(stretch));
        }
        if !place.whole {
            self.cursor.whole(place.generation)?;
        }
        Ok(None)
    }

    /// A stretch that was read and did not become a step: what it taught is forgotten.
    pub fn abandon(&mut self) -> Result<(), MirrorError> {
        self.begin(self.generation)
    }

    fn blocks(&mut self, mut stretch: Stretch, size: u64, now: Timestamp) -> Result<Stretch, MirrorError> {
        let blocks = self.store.log.blocks_since(stretch.step.next, BLOCKS)?;
        let whole = blocks.len() < BLOCKS;
        let mut next = if whole { size } else { stretch.step.next };
        for block in &blocks {
            self.block(block, &mut stretch, now)?;
            if stretch.lines.len() >= self.config.batch_lines {
                next = block.log_index + 1;
                break;
            }
            next = next.max(block.log_index + 1);
        }
        stretch.step.next = next;
        Ok(stretch)
    }

    fn block(&mut self, block: &StoredBlock, stretch: &mut Stretch, now: Timestamp) -> Result<(), MirrorError> {
        match self.facts.open(block)? {
            Look::Opened(opened) => self.samples(block, &opened, stretch, now),
            Look::Unmapped(map) => {
                stretch.step.waits.push((block.log_index, map));
                Ok(())
            }
        }
    }

    fn samples(
        &mut self,
        block: &StoredBlock,
        opened: &Opened,
        stretch: &mut Stretch,
        now: Timestamp,
    ) -> Result<(), MirrorError> {
        for (tag, (unit, samples)) in &opened.tags {
            let origin = Origin { site: &block.site, agent: &block.agent, tag, unit, demo: opened.demo };
            for sample in samples {
                let Some(occurrence) = self.facts.occurrence(block, tag, sample)? else { continue };
                let point = line::sample(&self.config.measurement, origin, sample, occurrence, self.config.texts);
                self.point(&point, block.log_index, stretch, now)?;
            }
        }
        Ok(())
    }

    /// Makes a line of a point, or parks it with the reason.
    fn point(
        &mut self,
        point: &Point,
        log_index: u64,
        stretch: &mut Stretch,
        now: Timestamp,
    ) -> Result<(), MirrorError> {
        let line = Line { text: influx::line(point)?, log_index, at: point.at };
        match self.unfit(point, stretch, now) {
            None => stretch.lines.push(line),
            Some((reason, detail)) => stretch.step.parked.push(Parked { line, reason, detail }),
        }
        Ok(())
    }

    /// Why a point is not sent, as stable code and words.
    fn unfit(&mut self, point: &Point, stretch: &mut Stretch, now: Timestamp) -> Option<(&'static str, String)> {
        if let Err(unfit) = point.check() {
            let detail = match unfit {
                Unfit::Label => "a tag's value is too long or has a backslash or a control character",
                Unfit::Text => "a text is too long or has a control character",
            };
            return Some((unfit.code(), detail.to_owned()));
        }
        if let Some(kept) = self.config.retention
            && now.since(point.at) > kept
        {
            return Some(("retention", "older than mirror.retention: the server would not keep it".to_owned()));
        }
        let series = point.series();
        if !self.series.contains(&series) {
            if self.series.len() >= self.config.series_max {
                return Some(("series", format!("mirror.series_max = {} series are written", self.config.series_max)));
            }
            self.series.insert(series.clone());
            stretch.step.series.push(series);
        }
        None
    }

    /// Blocks whose register map has arrived since.
    fn waited(&mut self, stretch: &mut Stretch, now: Timestamp) -> Result<bool, MirrorError> {
        let here = |map: &Hash| self.store.ledger.register_map(map).is_some();
        let ready: Vec<u64> =
            self.cursor.waiting()?.iter().filter(|(_, map)| here(map)).map(|(index, _)| *index).take(BLOCKS).collect();
        for log_index in &ready {
            if let Some(block) = self.store.log.block_by_index(*log_index)? {
                self.block(&block, stretch, now)?;
            }
        }
        stretch.step.waited = ready;
        Ok(!stretch.step.waited.is_empty())
    }

    /// Kept results that are not on the server.
    fn results(&mut self, stretch: &mut Stretch, size: u64, now: Timestamp) -> Result<bool, MirrorError> {
        let state = (self.derived.revision()?, now.as_nanos().div_euclid(HOUR));
        if self.looked == Some(state) {
            return Ok(false);
        }
        let from = stretch.step.results_from;
        let mut newest = from;
        for (key, version, made) in self.derived.made_since(from)? {
            newest = newest.max(made);
            let name = result_name(&key, version, made);
            if self.cursor.has_result(&name)? {
                continue;
            }
            if stretch.step.results.len() >= RESULTS {
                // The rest in the next stretch.
                stretch.step.results_from = from.max(made.plus(-RESULTS_BACK));
                return Ok(true);
            }
            self.result(&key, version, size, stretch, now)?;
            stretch.step.results.push((name, made));
        }
        self.looked = Some(state);
        stretch.step.results_from = from.max(newest.plus(-RESULTS_BACK));
        Ok(!stretch.step.results.is_empty())
    }

    fn result(
        &mut self,
        key: &Key,
        version: u32,
        size: u64,
        stretch: &mut Stretch,
        now: Timestamp,
    ) -> Result<(), MirrorError> {
        let kept = self.derived.versions(key)?.into_iter().find(|kept| kept.version == version);
        // A result in the shape of another version of this program is made again, and comes then.
        let shape = kept.and_then(|kept| serde_json::from_str(&kept.body).ok());
        let Some(shape) = shape else { return Ok(()) };
        for point in line::result(&self.config.measurement, key, version, &shape) {
            self.point(&point, size, stretch, now)?;
        }
        Ok(())
    }
}

fn result_name(key: &Key, version: u32, made: Timestamp) -> String {
    let (start, end) = (key.window.start.as_nanos(), key.window.end.as_nanos());
    format!("{}/{}/{}/{start}/{end}/{version}/{}", key.site, key.unit, key.kind.code(), made.as_nanos())
}
