//! From the log to the result of a window: read, compute, judge its standing, keep what is settled.
//!
//! Results of windows that have not settled are worked out when they are asked for; settled ones are kept in
//! derived.db and worked out again only when a block, the plant or this program made them stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use shopfloor::evaluate::{self, Window, WindowKind, WorkUnitResult};
use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId, TagName};
use shopfloor::plant::{Plant, Role, WorkUnit};
use shopfloor::time::{Interval, SECOND, Timestamp};

use super::EvaluateError;
use super::convert::{self, Named};
use super::result::{Cause, Restated, WindowResult};
use super::window::{Basis, Delivered, Standing, State, Why, grace, standing};
use crate::config::Settle;
use crate::ledger::PlantVersion;
use crate::series::derived::{Derived, Kept, Key};
use crate::series::index::BlockRef;
use crate::series::read::{Bound, Read, Request, Wanted};
use crate::series::{Series, SeriesError};
use crate::store::Store;

/// Results that are remembered for a moment; at the bound all are forgotten.
const PASSING_MAX: usize = 256;
/// Nanoseconds for which a result may be shown again while no block came that concerns it.
const FRESH: i64 = 5 * SECOND;
/// Newest blocks that a result remembers by name.
const RECENT_MAX: usize = 32;
/// How long data may be on their way: an empty block comes at least every 60 s and is sent again after 15.
const ON_ITS_WAY: i64 = 90 * SECOND;
/// A stretch of time that is never settled waits for nothing, so nothing comes too late for it.
pub const UNHURRIED: i64 = i64::MAX / 4;
/// Late blocks that a cause names.
const NAMED_MAX: usize = 20;

/// Evaluates windows; shared by the interface and the background.
pub struct Pipeline {
    pub(super) store: Store,
    pub(super) series: Arc<Series>,
    pub(super) derived: Derived,
    pub(super) settle: Settle,
    pub(super) examined: Mutex<()>,
    passing: Mutex<BTreeMap<Key, Passing>>,
    wanted: Mutex<BTreeMap<Hash, Arc<Wanted>>>,
}

struct Passing {
    at: Timestamp,
    fingerprint: (u64, u64),
    plant: Hash,
    evaluated: Arc<Evaluated>,
}

/// A result with everything that it came from.
#[derive(Debug)]
pub struct Evaluated {
    /// In the shape that is kept and served.
    pub shape: WindowResult,
    /// As computed.
    pub result: WorkUnitResult,
    /// The blocks that were read for it.
    pub blocks: Rested,
}

/// The blocks that a result rests on, in short.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rested {
    /// How many were looked into.
    pub count: u64,
    /// How many of them touch the evaluated time.
    pub inside: u64,
    /// The first in time.
    pub first: Option<BlockRef>,
    /// The newest in time, oldest first.
    pub recent: Vec<BlockRef>,
}

impl Rested {
    fn of(read: &Read, evaluated: Interval) -> Self {
        let mut blocks: Vec<&BlockRef> = read.blocks.values().collect();
        blocks.sort_by_key(|block| (block.window.start, block.log_index));
        let touches = |block: &&&BlockRef| block.window.end >= evaluated.start && block.window.start < evaluated.end;
        Self {
            count: blocks.len() as u64,
            inside: blocks.iter().filter(touches).count() as u64,
            first: blocks.first().map(|block| (*block).clone()),
            recent: blocks[blocks.len().saturating_sub(RECENT_MAX)..].iter().map(|block| (*block).clone()).collect(),
        }
    }
}

impl Pipeline {
    /// A pipeline over a store that keeps results in `derived`.
    pub fn new(store: Store, series: Arc<Series>, derived: Derived, settle: Settle) -> Self {
        Self {
            store,
            series,
            derived,
            settle,
            examined: Mutex::default(),
            passing: Mutex::default(),
            wanted: Mutex::default(),
        }
    }

    /// The result of a window as it stands at `now`: the kept one while it holds, a new one otherwise.
    pub fn window(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: &Window,
        now: Timestamp,
    ) -> Result<WindowResult, EvaluateError> {
        self.examine()?;
        let key = key(version, unit, window);
        if let Some(kept) = self.derived.newest(&key)?
            && kept.plant == version.hash.to_string()
            && !self.derived.is_stale(&key)?
            && let Some(shape) = as_shape(&kept)
        {
            return Ok(shape);
        }
        Ok(self.evaluated(version, unit, window, now)?.shape.clone())
    }

    /// The same with everything that it came from; worked out again unless that was done a moment ago.
    pub fn evaluated(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: &Window,
        now: Timestamp,
    ) -> Result<Arc<Evaluated>, EvaluateError> {
        let key = key(version, unit, window);
        let late = grace(window.kind, &self.settle);
        let fingerprint = self.ask(version, unit, window.interval, late, now, Series::fingerprint)?;
        if let Some(found) = self.remembered(&key, fingerprint, version.hash, now) {
            return Ok(found);
        }
        let evaluated = Arc::new(self.evaluate(version, unit, window, &key, now)?);
        let passing = Passing { at: now, fingerprint, plant: version.hash, evaluated: Arc::clone(&evaluated) };
        let mut remembered = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= PASSING_MAX {
            remembered.clear();
        }
        remembered.insert(key, passing);
        Ok(evaluated)
    }

    /// The versions of a window's result that were kept, oldest first.
    pub fn versions(&self, key: &Key) -> Result<Vec<Kept>, EvaluateError> {
        Ok(self.derived.versions(key)?)
    }

    /// A stretch of time that is nobody's window: computed, never kept.
    pub fn span(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: &Window,
        now: Timestamp,
    ) -> Result<(WorkUnitResult, Read), EvaluateError> {
        let known = self.known(&version.plant, unit, window.interval, now);
        let read = self.read(version, unit, window.interval, UNHURRIED, known)?;
        let result = evaluate::work_unit(&version.plant, &unit.id, &read.samples, window, known)?;
        Ok((result, read))
    }

    /// Such a stretch in the shape that is served, and how far what it was read from may still change.
    pub(super) fn stretch(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: &Window,
        now: Timestamp,
    ) -> Result<(Evaluated, Read), EvaluateError> {
        let (result, read) = self.span(version, unit, window, now)?;
        let found = basis(version, &key(version, unit, window), &result, &read);
        let named = Named { version, unit: &unit.id, data_version: &found.data_version, demo: read.demo };
        let mut shape = convert::window(&result, &named);
        let state = if now < window.interval.end { State::Live } else { State::Provisional };
        state.name().clone_into(&mut shape.state);
        let blocks = Rested::of(&read, result.evaluated);
        Ok((Evaluated { shape, result, blocks }, read))
    }

    /// The instant from which the first block of any of a work unit's agents answers.
    pub(super) fn began(&self, version: &PlantVersion, unit: &WorkUnit) -> Result<Option<Timestamp>, EvaluateError> {
        let mut first = None;
        for binding in &unit.bindings {
            let seen = self.series.first_of(&version.plant.site.id, &binding.agent)?;
            first = [first, seen].into_iter().flatten().min();
        }
        Ok(first)
    }

    /// How many blocks are near such a stretch and which came last.
    pub(super) fn stretch_fingerprint(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: Interval,
        now: Timestamp,
    ) -> Result<(u64, u64), EvaluateError> {
        self.ask(version, unit, window, UNHURRIED, now, Series::fingerprint)
    }

    /// Up to where a window that has not ended can be accounted for. Data arrive in blocks, so the last seconds are
    /// on their way: they are left out, not called unknown. An agent that is silent for longer than a block may take
    /// is not on its way; then the account goes up to now and its silence is unknown time.
    fn known(&self, plant: &Plant, unit: &WorkUnit, window: Interval, now: Timestamp) -> Timestamp {
        if window.end <= now {
            return now;
        }
        let instant = Interval { start: now, end: now.plus(1) };
        let bound = unit.bindings.iter().filter(|binding| binding.within(instant).is_some());
        let newest = bound
            .filter_map(|binding| self.store.agents.agent(&plant.site.id, &binding.agent)?.newest_block_time)
            .min();
        newest.filter(|at| *at > window.start && (0..=ON_ITS_WAY).contains(&now.since(*at))).unwrap_or(now)
    }

    fn remembered(&self, key: &Key, fingerprint: (u64, u64), plant: Hash, now: Timestamp) -> Option<Arc<Evaluated>> {
        let remembered = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = remembered.get(key)?;
        let fresh =
            (0..FRESH).contains(&now.since(found.at)) && found.fingerprint == fingerprint && found.plant == plant;
        fresh.then(|| Arc::clone(&found.evaluated))
    }

    fn evaluate(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: &Window,
        key: &Key,
        now: Timestamp,
    ) -> Result<Evaluated, EvaluateError> {
        let log_size = self.store.log.size();
        let late = grace(window.kind, &self.settle);
        let known = self.known(&version.plant, unit, window.interval, now);
        let read = self.read(version, unit, window.interval, late, known)?;
        let result = evaluate::work_unit(&version.plant, &unit.id, &read.samples, window, known)?;
        let found = basis(version, key, &result, &read);
        let kept = self.derived.newest(key)?;
        let agents = self.delivered(&version.plant, unit, window.interval, now)?;
        let judged = standing(window.interval, late, now, &agents, kept.as_ref().map(as_basis).as_ref(), &found);
        let named = Named { version, unit: &unit.id, data_version: &found.data_version, demo: read.demo };
        let shape = convert::window(&result, &named);
        let shape = self.settle(key, shape, judged, kept.as_ref(), &found, &read, log_size, now)?;
        let blocks = Rested::of(&read, result.evaluated);
        Ok(Evaluated { shape, result, blocks })
    }

    /// Gives a result its standing, and keeps it where it is settled.
    #[allow(clippy::too_many_arguments)] // one step of `evaluate`, split for reading
    fn settle(
        &self,
        key: &Key,
        mut shape: WindowResult,
        judged: Standing,
        kept: Option<&Kept>,
        found: &Basis,
        read: &Read,
        log_size: u64,
        now: Timestamp,
    ) -> Result<WindowResult, EvaluateError> {
        match judged {
            Standing::Passing(state) => {
                state.name().clone_into(&mut shape.state);
                return Ok(shape);
            }
            Standing::Kept => {
                self.derived.freshen(key)?;
                return Ok(kept.map_or(shape.clone(), |kept| as_shape(kept).unwrap_or_else(|| named(shape, kept))));
            }
            Standing::Settle => State::Settled.name().clone_into(&mut shape.state),
            Standing::Restate(why) => {
                State::Restated.name().clone_into(&mut shape.state);
                shape.version = kept.map_or(1, |kept| kept.version + 1);
                shape.restates = kept.map(|kept| Restated {
                    version: kept.version,
                    data_version: kept.data_version.clone(),
                    cause: cause(why, kept, read),
                    at: now.to_string(),
                });
            }
        }
        let cause = shape.restates.as_ref().map(|restated| serde_json::to_string(&restated.cause)).transpose()?;
        let keep = Kept {
            version: shape.version,
            state: shape.state.clone(),
            data_version: found.data_version.clone(),
            plant: found.plant.clone(),
            definitions: found.definitions.clone(),
            log_size,
            made_at: now,
            cause,
            body: serde_json::to_string(&shape)?,
        };
        if self.derived.keep(key, &keep)? {
            tracing::info!(site = %key.site, unit = %key.unit, kind = key.kind.code(), start = %key.window.start,
                version = keep.version, state = keep.state, "a window's result is kept");
        }
        self.derived.freshen(key)?;
        // Another reader may have kept this version first; what is kept is what is answered.
        Ok(self.derived.newest(key)?.as_ref().and_then(as_shape).unwrap_or(shape))
    }

    /// The samples that a window of a work unit rests on.
    pub fn read(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: Interval,
        ahead: i64,
        now: Timestamp,
    ) -> Result<Read, EvaluateError> {
        self.ask(version, unit, window, ahead, now, Series::read)
    }

    /// Asks the series about a window of a work unit.
    fn ask<T>(
        &self,
        version: &PlantVersion,
        unit: &WorkUnit,
        window: Interval,
        ahead: i64,
        now: Timestamp,
        question: impl FnOnce(&Series, &Request<'_>) -> Result<T, SeriesError>,
    ) -> Result<T, EvaluateError> {
        let tags: BTreeSet<TagName> = unit.roles.values().cloned().collect();
        let counting = [Role::Produced, Role::Scrap, Role::Energy];
        let counters: BTreeSet<TagName> = counting.iter().filter_map(|role| unit.role(*role).cloned()).collect();
        let request = Request {
            site: &version.plant.site.id,
            bounds: &bounds(unit),
            tags: &tags,
            counters: &counters,
            wanted: &self.wanted(version),
            window,
            now,
            around: evaluate::sample_range(unit, window),
            ahead,
        };
        Ok(question(&self.series, &request)?)
    }

    fn wanted(&self, version: &PlantVersion) -> Arc<Wanted> {
        let mut held = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let units = version.plant.work_units.iter();
            Arc::new(Wanted::new(units.flat_map(|unit| unit.roles.values().cloned()).collect()))
        };
        Arc::clone(held.entry(version.hash).or_insert_with(make))
    }

    /// How far the agents that a window depends on have delivered.
    pub(super) fn delivered(
        &self,
        plant: &Plant,
        unit: &WorkUnit,
        window: Interval,
        now: Timestamp,
    ) -> Result<Vec<Delivered>, EvaluateError> {
        let parts = unit.bindings.iter().filter(|binding| binding.within(window).is_some());
        parts
            .map(|binding| {
                let view = self.store.agents.agent(&plant.site.id, &binding.agent);
                let gone = view.as_ref().is_some_and(|view| !view.online && view.status_time.is_some());
                let whole = view.as_ref().is_some_and(|view| view.missing.is_empty());
                Ok(Delivered {
                    retired: binding.until.filter(|until| *until <= now),
                    done: gone && whole,
                    watermark: self.watermark(&plant.site.id, &binding.agent)?,
                })
            })
            .collect()
    }

    /// The end of the newest block of an agent up to which nothing is missing.
    pub fn watermark(&self, site: &SiteId, agent: &AgentId) -> Result<Option<Timestamp>, EvaluateError> {
        let Some(view) = self.store.agents.agent(site, agent) else { return Ok(None) };
        if view.contiguous == 0 {
            return Ok(None);
        }
        if view.missing.is_empty() && view.beyond.is_empty() {
            return Ok(view.newest_block_time);
        }
        // The newest of the contiguous ones may be accounted for by a gap record; then one before it counts.
        for back in [0, 15, 255] {
            let first = view.contiguous.saturating_sub(back).max(1);
            let blocks = self.store.log.blocks(site, agent, view.epoch, first..=view.contiguous)?;
            if let Some(block) = blocks.last() {
                return Ok(Some(block.window.end));
            }
        }
        Ok(None)
    }
}

/// The times for which a work unit's tags come from which agent.
pub fn bounds(unit: &WorkUnit) -> Vec<Bound> {
    let ever = Interval { start: Timestamp::from_nanos(i64::MIN), end: Timestamp::from_nanos(i64::MAX) };
    let bound = |binding: &shopfloor::plant::Binding| {
        binding.within(ever).map(|interval| Bound { agent: binding.agent.clone(), interval })
    };
    unit.bindings.iter().filter_map(bound).collect()
}

fn key(version: &PlantVersion, unit: &WorkUnit, window: &Window) -> Key {
    let site = version.plant.site.id.clone();
    Key { site, unit: unit.id.clone(), kind: window.kind, window: window.interval }
}

/// What a result rests on, as hashes.
fn basis(version: &PlantVersion, key: &Key, result: &WorkUnitResult, read: &Read) -> Basis {
    let definitions = &result.definitions;
    let definitions = format!(
        "{}@{} {}@{} {}@{} tz@{}",
        definitions.definition_id,
        definitions.definition_version,
        definitions.profile_id,
        definitions.profile_version,
        definitions.state_rule_id,
        definitions.state_rule_version,
        definitions.tz_version
    );
    let plant = version.hash.to_string();
    // By hash, so that the order of arrival makes no difference.
    let hashes: BTreeSet<Hash> = read.blocks.values().map(|block| block.hash).collect();
    let mut text = format!(
        "plumbline result 1\n{}\n{}\n{}\n{}\n{}\n{plant}\n{definitions}\n",
        key.site,
        key.unit,
        key.kind.code(),
        key.window.start,
        key.window.end
    );
    for hash in hashes {
        text.push_str(&hash.to_string());
        text.push('\n');
    }
    Basis { data_version: Hash::of(text.as_bytes()).to_string(), plant, definitions }
}

/// A kept result as it was reported; `None` if another version of this program wrote it in another shape.
fn as_shape(kept: &Kept) -> Option<WindowResult> {
    serde_json::from_str(&kept.body).ok()
}

/// A result that was worked out again from the same inputs, with the name of the kept one.
fn named(mut shape: WindowResult, kept: &Kept) -> WindowResult {
    shape.version = kept.version;
    shape.state.clone_from(&kept.state);
    shape
}

fn as_basis(kept: &Kept) -> Basis {
    Basis { data_version: kept.data_version.clone(), plant: kept.plant.clone(), definitions: kept.definitions.clone() }
}

fn cause(why: Why, kept: &Kept, read: &Read) -> Cause {
    let late: Vec<String> = read.blocks.range(kept.log_size..).map(|(_, block)| block.hash.to_string()).collect();
    let (code, zh, en) = match why {
        Why::PlantChanged => {
            ("plant-changed", "工厂模型已更改".to_owned(), "the plant document was changed".to_owned())
        }
        Why::DefinitionChanged => (
            "definition-changed",
            "定义或程序版本已更改".to_owned(),
            "a definition or the program was changed".to_owned(),
        ),
        Why::LateBlocks => (
            "late-blocks",
            format!("结算后收到 {} 个迟到数据块", late.len()),
            format!("{} blocks arrived after it was settled", late.len()),
        ),
    };
    Cause { code: code.to_owned(), zh, en, blocks: late.into_iter().take(NAMED_MAX).collect() }
}

/// The kinds of windows that are kept.
pub const KEPT: [WindowKind; 3] = [WindowKind::Shift, WindowKind::Day, WindowKind::Hour];
