//! What a work unit came to over a window of a project: worked out once, remembered while its blocks stay the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use shopfloor::evaluate::{sample_range, span};
use shopfloor::hash::Hash;
use shopfloor::id::{SiteId, TagName, WorkUnitId};
use shopfloor::plant::{Role, WorkUnit};
use shopfloor::remark::Remark;
use shopfloor::sample::Quality;
use shopfloor::time::{Interval, Timestamp};

use crate::evaluate::EvaluateError;
use crate::evaluate::pipeline::{Evaluated, Pipeline};
use crate::ledger::PlantVersion;
use crate::series::read::Read;

/// Results that are remembered; at the bound those used longest ago go.
const HELD_MAX: usize = 1024;

type Key = (SiteId, WorkUnitId, Interval);

/// A stretch of a work unit, as worked out at an instant.
#[derive(Debug)]
pub struct UnitSpan {
    /// The result with what it rests on; its timeline is not kept.
    pub evaluated: Evaluated,
    /// Whether any of the data is simulated or signed with a demo key.
    pub demo: bool,
    /// First and last sample inside that is not bad.
    pub good: Option<(Timestamp, Timestamp)>,
    /// Whether every counter was read shortly before and shortly after, so that blocks far away change nothing.
    pub enclosed: bool,
    /// Blocks whose register map had not arrived.
    pub unmapped: u64,
}

/// The answer about a stretch: a result, or why the calculation refused.
pub type Answer = Result<Arc<UnitSpan>, Remark>;

/// The results that are remembered.
#[derive(Debug, Default)]
pub struct Spans(Mutex<BTreeMap<Key, Held>>);

#[derive(Debug)]
struct Held {
    fingerprint: (u64, u64),
    plant: Hash,
    known_until: Timestamp,
    used: u64,
    answer: Answer,
}

impl Spans {
    /// What a work unit came to over `interval` as known at `now`. `untouched` says that no block came since it was
    /// worked out last that could matter, so that a window which is over need not be looked at again.
    pub fn get(
        &self,
        pipeline: &Pipeline,
        version: &PlantVersion,
        unit: &WorkUnit,
        interval: Interval,
        now: Timestamp,
        untouched: bool,
    ) -> Result<Answer, EvaluateError> {
        let key = (version.plant.site.id.clone(), unit.id.clone(), interval);
        if untouched && let Some(found) = self.remembered(&key, None, version.hash, now) {
            return Ok(found);
        }
        let fingerprint = pipeline.stretch_fingerprint(version, unit, interval, now)?;
        if let Some(found) = self.remembered(&key, Some(fingerprint), version.hash, now) {
            return Ok(found);
        }
        let answer = work(pipeline, version, unit, interval, now)?;
        self.remember(key, fingerprint, version.hash, now, &answer);
        Ok(answer)
    }

    fn remembered(&self, key: &Key, fingerprint: Option<(u64, u64)>, plant: Hash, now: Timestamp) -> Option<Answer> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = held.values().map(|held| held.used).max().unwrap_or(0) + 1;
        let found = held.get_mut(key)?;
        // A window that was not over when it was worked out has gone on. One that was is the same while its blocks
        // are, unless blocks far from it, or a register map, may have changed it.
        let same = fingerprint.is_none_or(|fingerprint| found.fingerprint == fingerprint) && found.plant == plant;
        let over = found.known_until >= key.2.end;
        let closed = found.answer.as_ref().is_ok_and(|span| span.enclosed && span.unmapped == 0);
        if !(same && (found.known_until == now || over && (closed || fingerprint.is_none()))) {
            return None;
        }
        found.used = next;
        Some(found.answer.clone())
    }

    fn remember(&self, key: Key, fingerprint: (u64, u64), plant: Hash, now: Timestamp, answer: &Answer) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = held.values().map(|held| held.used).max().unwrap_or(0) + 1;
        if held.len() >= HELD_MAX
            && let Some(oldest) = held.iter().min_by_key(|(_, held)| held.used).map(|(key, _)| key.clone())
        {
            held.remove(&oldest);
        }
        held.insert(key, Held { fingerprint, plant, known_until: now, used, answer: answer.clone() });
    }
}

/// Works a stretch out. What the calculation refuses is an answer about this unit, not a failure of the project.
fn work(
    pipeline: &Pipeline,
    version: &PlantVersion,
    unit: &WorkUnit,
    interval: Interval,
    now: Timestamp,
) -> Result<Answer, EvaluateError> {
    let window = span(&version.plant, interval);
    match pipeline.stretch(version, unit, &window, now) {
        Ok((mut evaluated, read)) => {
            // Weeks of segments are of no use here, and large.
            evaluated.result.segments = Vec::new();
            evaluated.result.planned = Vec::new();
            let good = good(&read, evaluated.result.evaluated);
            let enclosed = is_enclosed(&read, unit, interval);
            Ok(Ok(Arc::new(UnitSpan { evaluated, demo: read.demo, good, enclosed, unmapped: read.unmapped })))
        }
        Err(EvaluateError::Refused(refused)) => Ok(Err(Remark::new(
            "cannot-evaluate",
            format!("设备 {} 无法计算: {refused}", unit.id),
            format!("work unit {} cannot be evaluated: {refused}", unit.id),
        ))),
        Err(other) => Err(other),
    }
}

fn good(read: &Read, inside: Interval) -> Option<(Timestamp, Timestamp)> {
    let samples = read.samples.values().flatten();
    let times = samples.filter(|sample| sample.quality() != Quality::Bad && inside.contains(sample.at)).map(|s| s.at);
    times.fold(None, |ends, at| match ends {
        None => Some((at, at)),
        Some((first, last)) => Some((first.min(at), last.max(at))),
    })
}

fn is_enclosed(read: &Read, unit: &WorkUnit, window: Interval) -> bool {
    let around = sample_range(unit, window);
    let counters = [Role::Produced, Role::Scrap, Role::Energy].into_iter().filter_map(|role| unit.role(role));
    let has = |tag: &TagName, side: &dyn Fn(Timestamp) -> bool| {
        let samples = read.samples.get(tag);
        samples.is_some_and(|run| run.iter().any(|sample| sample.quality() != Quality::Bad && side(sample.at)))
    };
    counters.into_iter().all(|tag| {
        has(tag, &|at| at < window.start && at >= around.start) && has(tag, &|at| at >= window.end && at <= around.end)
    })
}
