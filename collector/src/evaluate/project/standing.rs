//! Which projects are worked out, and whether that still holds.
//!
//! An answer holds for one version of the project, one version of the plant and the blocks that were there. Another
//! version voids it; a block that may matter makes it an answer of the past, which is said, until it is worked out
//! again in the background. Nothing is worked out while a request waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, ProjectId, SiteId};
use shopfloor::plant::WorkUnit;
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use tokio::sync::Notify;

use super::spans::Spans;
use super::work::{Judged, Work};
use crate::evaluate::EvaluateError;
use crate::evaluate::pipeline::Pipeline;
use crate::ledger::PlantVersion;
use crate::ledger::project::{ProjectHistory, ProjectVersion};
use crate::log::{LogError, StoredBlock};
use crate::series::read::{BACK_MAX, MARGIN};
use crate::store::Store;

/// Blocks that are looked at together.
const BATCH: usize = 512;
/// New blocks beyond this are not looked at one by one: every answer is worked out again.
const FOLLOW_MAX: u64 = 20_000;
/// How far from a window a block may still give a counter its reading before or after it.
const ACROSS: i64 = 7 * 24 * HOUR;
/// An answer about a window that is not over is renewed after this long at the earliest, when somebody asks.
const AGE_OPEN: i64 = MINUTE;
/// An answer about windows that are over: only what is known of the contract's equipment is renewed.
const AGE_OVER: i64 = 10 * MINUTE;
/// Renewing may take this part of the time at most: one in twenty.
const REST: i64 = 20;
/// After an answer was worked out again, the work rests for this many times what it took, so that blocks which keep
/// voiding answers, as a history that fills in does, leave three quarters of a core to those who bring them.
const PAUSE: i64 = 3;
/// The longest such rest.
const PAUSE_MAX: i64 = MINUTE / 2;
/// How long a failure is left alone.
const AFTER_FAILURE: i64 = MINUTE / 2;

/// What can be said about a project now.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Its site has no plant, so its windows are not even instants.
    NoPlant,
    /// Nothing is worked out yet for these versions of project and plant.
    Computing {
        /// How far it is, 0 to 100.
        percent: u8,
    },
    /// Blocks came since, or the time of a window was over.
    Recomputing {
        /// How far it is, 0 to 100.
        percent: u8,
        /// What was true as of its instant.
        judged: Arc<Judged>,
    },
    /// This is the answer.
    Current(Arc<Judged>),
}

impl Standing {
    /// The answer, present or past.
    pub const fn judged(&self) -> Option<&Arc<Judged>> {
        match self {
            Self::NoPlant | Self::Computing { .. } => None,
            Self::Recomputing { judged, .. } | Self::Current(judged) => Some(judged),
        }
    }
}

/// The projects of a collector and their answers.
pub struct Projects {
    store: Store,
    pipeline: Arc<Pipeline>,
    spans: Spans,
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    /// Blocks below this place of the log have been looked at.
    seen: u64,
    slots: BTreeMap<ProjectId, Slot>,
    /// The project that was worked out last; the others come first.
    last: Option<ProjectId>,
}

#[derive(Default)]
struct Slot {
    basis: Option<Basis>,
    judged: Option<Arc<Judged>>,
    reach: Option<Reach>,
    touched: bool,
    /// Blocks that matter came, and the work that looks at them is not finished.
    behind: bool,
    percent: u8,
    asked: bool,
    cost: i64,
    failed: Option<Timestamp>,
    maps: u64,
}

/// The versions that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Basis {
    project: Hash,
    plant: Hash,
}

/// Which blocks may matter.
struct Reach {
    site: SiteId,
    agents: BTreeSet<AgentId>,
    intervals: Vec<Interval>,
}

/// What is to be worked out.
struct Due {
    id: ProjectId,
    version: Arc<ProjectVersion>,
    plant: Arc<PlantVersion>,
    basis: Basis,
    /// Whether there is an answer of before.
    again: bool,
    untouched: bool,
}

impl Projects {
    /// No answers yet.
    pub fn new(store: Store, pipeline: Arc<Pipeline>) -> Self {
        let seen = store.log.size();
        let inner = Mutex::new(Inner { seen, ..Inner::default() });
        Self { store, pipeline, spans: Spans::default(), inner, wake: Notify::new() }
    }

    /// What was computed of work units over the windows of projects.
    pub const fn spans(&self) -> &Spans {
        &self.spans
    }

    /// What can be said about a project at `now`. Asks for the work if there is any to do.
    pub fn standing(&self, history: &ProjectHistory, now: Timestamp) -> Result<Standing, LogError> {
        let version = history.current();
        let Some(plant) = self.store.ledger.plant(&version.project.site) else { return Ok(Standing::NoPlant) };
        let mut inner = self.examined()?;
        let slot = inner.slots.entry(version.project.id.clone()).or_default();
        slot.asked = true;
        let basis = Basis { project: version.hash, plant: plant.hash };
        let percent = slot.percent;
        let held = slot.judged.clone().filter(|_| slot.basis == Some(basis));
        let Some(judged) = held else {
            self.wake.notify_one();
            return Ok(Standing::Computing { percent });
        };
        if self.is_stale(slot, &judged, now) {
            self.wake.notify_one();
            return Ok(Standing::Recomputing { percent, judged });
        }
        if is_aged(slot, &judged, now) {
            self.wake.notify_one();
        }
        Ok(Standing::Current(judged))
    }

    /// Waits until somebody asks for something that is not worked out.
    pub async fn asked(&self) {
        self.wake.notified().await;
    }

    /// Works out the next project that needs it. `go_on` is asked between the steps. Gives for how many nanoseconds to
    /// rest before the next; `None` if there was nothing to do.
    pub fn turn(
        &self,
        now: Timestamp,
        clock: &dyn Fn() -> Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<i64>, EvaluateError> {
        let Some(due) = self.due(now)? else { return Ok(None) };
        let progress = |percent: u8| {
            if let Some(slot) = self.lock().slots.get_mut(&due.id) {
                slot.percent = percent;
            }
            go_on()
        };
        let work = Work {
            pipeline: &self.pipeline,
            spans: &self.spans,
            version: &due.version,
            plant: &due.plant,
            now,
            untouched: due.untouched,
            progress: &progress,
        };
        let maps = self.store.ledger.revision();
        let found = work.judge();
        let cost = clock().since(now).max(0);
        let mut inner = self.lock();
        let slot = inner.slots.entry(due.id.clone()).or_default();
        match found {
            Ok(Some(judged)) => {
                slot.reach = Some(reach(&judged));
                slot.judged = Some(Arc::new(judged));
                slot.basis = Some(due.basis);
                (slot.percent, slot.cost, slot.failed, slot.maps) = (0, cost, None, maps);
                (slot.asked, slot.behind) = (false, false);
                Ok(Some(if due.again { cost.saturating_mul(PAUSE).min(PAUSE_MAX) } else { 0 }))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                slot.failed = Some(now);
                Err(error)
            }
        }
    }

    fn due(&self, now: Timestamp) -> Result<Option<Due>, LogError> {
        let mut inner = self.examined()?;
        let mut histories = self.store.ledger.projects();
        let done = inner.last.clone();
        let behind = histories.iter().position(|history| Some(&history.current().project.id) > done.as_ref());
        histories.rotate_left(behind.unwrap_or(0));
        for history in histories {
            let version = history.current();
            let Some(plant) = self.store.ledger.plant(&version.project.site) else { continue };
            let basis = Basis { project: version.hash, plant: plant.hash };
            let id = version.project.id.clone();
            let slot = inner.slots.entry(id.clone()).or_default();
            if slot.failed.is_some_and(|at| now.since(at) < AFTER_FAILURE) {
                continue;
            }
            let held = slot.judged.clone().filter(|_| slot.basis == Some(basis));
            let needed = match &held {
                None => true,
                Some(judged) => self.is_stale(slot, judged, now) || slot.asked && is_aged(slot, judged, now),
            };
            if needed {
                slot.behind |= slot.touched || held.as_ref().is_some_and(|judged| self.is_mapped(slot, judged));
                let untouched = held.is_some() && !slot.behind;
                // What comes from now on may be missed by the work, and is looked at again.
                slot.touched = false;
                slot.percent = 0;
                inner.last = Some(id.clone());
                return Ok(Some(Due {
                    id,
                    version: Arc::clone(version),
                    plant,
                    basis,
                    again: held.is_some(),
                    untouched,
                }));
            }
        }
        Ok(None)
    }

    /// Whether an answer is one of the past. While a window is open, blocks come all the time and nothing is judged:
    /// its figures are renewed by their age.
    fn is_stale(&self, slot: &Slot, judged: &Judged, now: Timestamp) -> bool {
        let over = |at: Timestamp| at >= judged.windows.after.end;
        let ended = over(now) && !over(judged.as_of);
        ended || over(now) && (slot.touched || slot.behind || self.is_mapped(slot, judged))
    }

    /// Whether a register map may have come that blocks were waiting for.
    fn is_mapped(&self, slot: &Slot, judged: &Judged) -> bool {
        judged.unmapped > 0 && self.store.ledger.revision() != slot.maps
    }

    /// The answers, after every block that came since the last time was looked at.
    fn examined(&self) -> Result<MutexGuard<'_, Inner>, LogError> {
        let mut inner = self.lock();
        let size = self.store.log.size();
        if size.saturating_sub(inner.seen) > FOLLOW_MAX {
            inner.slots.values_mut().for_each(|slot| slot.touched = true);
            inner.seen = size;
        }
        while inner.seen < size {
            let blocks = self.store.log.blocks_since(inner.seen, BATCH)?;
            inner.seen = if blocks.len() < BATCH { size } else { blocks.last().map_or(size, |b| b.log_index + 1) };
            for slot in inner.slots.values_mut().filter(|slot| !slot.touched) {
                // What is being worked out for the first time has no reach yet: any block may matter.
                slot.touched = slot.reach.as_ref().is_none_or(|reach| blocks.iter().any(|block| reach.touches(block)));
            }
        }
        Ok(inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_aged(slot: &Slot, judged: &Judged, now: Timestamp) -> bool {
    let open = now < judged.windows.after.end;
    let least = if open { AGE_OPEN } else { AGE_OVER };
    now.since(judged.as_of) >= least.max(slot.cost.saturating_mul(REST))
}

impl Reach {
    fn touches(&self, block: &StoredBlock) -> bool {
        let meets = |interval: &Interval| block.window.end >= interval.start && block.window.start <= interval.end;
        block.site == self.site && self.agents.contains(&block.agent) && self.intervals.iter().any(meets)
    }
}

fn reach(judged: &Judged) -> Reach {
    let plant = &judged.plant.plant;
    let contract = judged.equipment.iter().filter_map(|fact| fact.work_unit.as_ref());
    let covered = judged.criteria.iter().flat_map(|judgement| &judgement.units);
    let units: Vec<&WorkUnit> = covered.chain(contract).filter_map(|id| plant.work_unit(id)).collect();
    let around = |window: Interval| {
        let near = units.iter().map(|unit| shopfloor::evaluate::sample_range(unit, window));
        let near =
            near.fold(window, |all, one| Interval { start: all.start.min(one.start), end: all.end.max(one.end) });
        let far = if judged.enclosed { MARGIN } else { ACROSS.max(BACK_MAX) };
        Interval { start: near.start.plus(-far), end: near.end.plus(far) }
    };
    Reach {
        site: plant.site.id.clone(),
        agents: units.iter().flat_map(|unit| unit.bindings.iter().map(|binding| binding.agent.clone())).collect(),
        intervals: vec![around(judged.windows.baseline), around(judged.windows.after)],
    }
}
