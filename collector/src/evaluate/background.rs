//! The background of evaluation: settles windows when their time has come, works stale ones out again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shopfloor::evaluate::{self, WindowKind};
use shopfloor::hash::Hash;
use shopfloor::id::{SiteId, WorkUnitId};
use shopfloor::plant::WorkUnit;
use shopfloor::time::{HOUR, Interval, Timestamp};

use super::EvaluateError;
use super::pipeline::{KEPT, Pipeline};
use super::window::{grace, is_due};
use crate::ledger::PlantVersion;
use crate::series::read::{BACK_MAX, MARGIN};

/// Windows that one turn works out at most, so that a long history does not hold up what people ask for.
const TURN_MAX: usize = 48;
/// Blocks that are examined at once.
const BATCH: usize = 1024;
/// How far windows are listed ahead of the last one that was kept.
const LOOK: i64 = 8 * 24 * HOUR;

/// Up to where the windows of a kind were kept, and with which plant.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Reached>);

#[derive(Debug, Default)]
struct Reached {
    kept: BTreeMap<(SiteId, WorkUnitId, WindowKind), Stretch>,
    plants: BTreeMap<SiteId, Hash>,
}

/// From the first block that was known then, up to where windows were kept.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    began: Timestamp,
    until: Timestamp,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    /// One turn: marks what new blocks made stale, works some of it out again, settles what is due.
    /// Gives the number of windows worked out; as many as [`TURN_MAX`] means that more are waiting.
    pub fn turn(&self, progress: &Progress, now: Timestamp) -> Result<usize, EvaluateError> {
        self.examine()?;
        let plants = self.store.ledger.plants();
        let versions: Vec<_> = plants.iter().filter_map(|plant| self.store.ledger.plant(&plant.site.id)).collect();
        for version in &versions {
            self.take_plant(progress, version)?;
        }
        let mut worked = self.refresh(now)?;
        // Shifts and days of every site come before anybody's hours: the region waits for them.
        for kind in KEPT {
            for version in &versions {
                for unit in version.plant.work_units.iter().filter(|unit| unit.is_connected()) {
                    if worked < TURN_MAX {
                        worked += self.settle_due(progress, version, unit, kind, now, TURN_MAX - worked)?;
                    }
                }
            }
        }
        Ok(worked)
    }

    /// A plant that changed makes the site's results stale and may have other windows.
    fn take_plant(&self, progress: &Progress, version: &PlantVersion) -> Result<(), EvaluateError> {
        let site = &version.plant.site.id;
        if progress.lock().plants.get(site) == Some(&version.hash) {
            return Ok(());
        }
        self.derived.planned_by(site, &version.hash.to_string())?;
        let mut reached = progress.lock();
        reached.kept.retain(|(of, _, _), _| of != site);
        reached.plants.insert(site.clone(), version.hash);
        Ok(())
    }

    /// Looks at blocks that came since the last time: which kept windows do they touch?
    pub(super) fn examine(&self) -> Result<(), EvaluateError> {
        let _one_at_a_time = self.examined.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = self.derived.examined()?;
        let size = self.store.log.size();
        let mut latest: BTreeMap<(SiteId, WindowKind), Option<Timestamp>> = BTreeMap::new();
        while from < size {
            let blocks = self.store.log.blocks_since(from, BATCH)?;
            from = if blocks.len() < BATCH { size } else { blocks.last().map_or(size, |block| block.log_index + 1) };
            let mut touched = Vec::new();
            for block in &blocks {
                for kind in KEPT {
                    let key = (block.site.clone(), kind);
                    let end = match latest.get(&key) {
                        Some(end) => *end,
                        None => *latest.entry(key).or_insert(self.derived.latest(&block.site, kind)?),
                    };
                    let ahead = grace(kind, &self.settle);
                    let start = block.window.start.plus(-ahead);
                    if end.is_some_and(|end| end > start) {
                        let interval = Interval { start, end: block.window.end.plus(BACK_MAX + MARGIN) };
                        touched.push((block.site.clone(), kind, interval));
                    }
                }
            }
            self.derived.examine(&touched, from)?;
        }
        Ok(())
    }

    fn refresh(&self, now: Timestamp) -> Result<usize, EvaluateError> {
        let stale = self.derived.stale(TURN_MAX)?;
        let worked = stale.len();
        for key in stale {
            let version = self.store.ledger.plant(&key.site);
            let found = version.as_ref().and_then(|version| {
                let unit = version.plant.work_unit(&key.unit)?;
                let windows = evaluate::windows(&version.plant, &unit.id, key.kind, key.window);
                let window = windows.into_iter().find(|window| window.interval == key.window)?;
                Some((version, unit, window))
            });
            match found {
                Some((version, unit, window)) => {
                    if let Err(error) = self.evaluated(version, unit, &window, now) {
                        tracing::warn!(site = %key.site, unit = %key.unit, %error, "a stale result could not be worked out again");
                        self.derived.freshen(&key)?;
                    }
                }
                // The plant has no such window any more; its result stays as it was reported.
                None => self.derived.freshen(&key)?,
            }
        }
        Ok(worked)
    }

    fn settle_due(
        &self,
        progress: &Progress,
        version: &PlantVersion,
        unit: &WorkUnit,
        kind: WindowKind,
        now: Timestamp,
        most: usize,
    ) -> Result<usize, EvaluateError> {
        let key = (version.plant.site.id.clone(), unit.id.clone(), kind);
        let kept = progress.lock().kept.get(&key).copied();
        let Some(began) = self.began(version, unit)? else { return Ok(0) };
        // An agent whose history arrives behind the live one's first blocks takes the search back to its own first.
        let start = kept.filter(|kept| kept.began <= began).map_or(began, |kept| kept.until);
        let late = grace(kind, &self.settle);
        let range = Interval { start, end: start.plus(LOOK).min(now) };
        let mut worked = 0;
        let mut reached = start;
        let windows = evaluate::windows(&version.plant, &unit.id, kind, range);
        for window in &windows {
            let agents = self.delivered(&version.plant, unit, window.interval, now)?;
            if !is_due(window.interval, late, now, &agents) || worked >= most {
                break;
            }
            if let Err(error) = self.window(version, unit, window, now) {
                tracing::warn!(unit = %unit.id, start = %window.interval.start, %error, "a window could not be settled");
                break;
            }
            worked += 1;
            reached = window.interval.end;
        }
        // Where the calendar has no window for longer than is looked ahead, the search goes on behind it.
        if windows.is_empty() && range.end == start.plus(LOOK) {
            reached = range.end;
        }
        progress.lock().kept.insert(key, Stretch { began, until: reached });
        Ok(worked)
    }
}
