//! The days of a work unit that have settled, as they were kept: what regions and maturity are made of.
//!
//! Nothing is evaluated here. A day that has not settled is not there, and whoever asks says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;
use shopfloor::cluster::Contribution;
use shopfloor::evaluate::{self, WindowKind};
use shopfloor::hash::Hash;
use shopfloor::id::{SiteId, WorkUnitId};
use shopfloor::plant::WorkUnit;
use shopfloor::sample::Quality;
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use shopfloor::unit::Rational;

use super::EvaluateError;
use super::number::{BoundedRatio, Count, Energy, Ratio};
use super::pipeline::{Pipeline, UNHURRIED};
use super::result::WindowResult;
use crate::ledger::PlantVersion;
use crate::series::derived::Key;

/// How long it is taken for granted that a work unit which never sent still has not.
const ASK_AGAIN: i64 = MINUTE;
/// How far back settled days are looked through for any known time.
const SETTLED: i64 = 40 * 24 * HOUR;
/// Days that are held as they were read; at the bound all are forgotten and read again.
const HELD_MAX: usize = 20_000;

/// One settled day of one work unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The site's date.
    pub date: Date,
    /// The day.
    pub interval: Interval,
    /// Planned busy time, nanoseconds.
    pub planned: i64,
    /// The part of it whose state is known, nanoseconds.
    pub known: i64,
    /// Availability over the planned time, as parts; `None` where nothing was planned or it is refused.
    pub availability: Option<Contribution>,
    /// OEE over the planned time, as parts; `None` where nothing was planned or it is refused.
    pub oee: Option<Contribution>,
    /// Pieces produced: the least, the most, under the convention; `None` where they are not counted.
    pub produced: Option<Bounded>,
    /// Pieces of good quality.
    pub good: Option<Bounded>,
    /// Energy in kWh.
    pub energy: Option<Bounded>,
    /// Whether any of it is simulated.
    pub demo: bool,
}

/// An amount with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded {
    /// The least.
    pub low: Rational,
    /// The most; `None` if no bound is known.
    pub high: Option<Rational>,
    /// Under the convention.
    pub point: Option<Rational>,
}

/// What was read of settled days, and which work units ever sent.
#[derive(Debug, Default)]
pub struct Days {
    held: Mutex<BTreeMap<(Key, u32), Day>>,
    sent: Mutex<BTreeMap<(SiteId, WorkUnitId), Sent>>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    plant: Hash,
    ever: bool,
    at: Timestamp,
}

impl Days {
    /// The settled days of a work unit that lie within `range`, in order.
    pub fn of(
        &self,
        pipeline: &Pipeline,
        version: &PlantVersion,
        unit: &WorkUnit,
        range: Interval,
    ) -> Result<Vec<Day>, EvaluateError> {
        let windows = evaluate::windows(&version.plant, &unit.id, WindowKind::Day, range);
        let inside =
            windows.iter().filter(|window| window.interval.start >= range.start && window.interval.end <= range.end);
        let mut days = Vec::new();
        for window in inside {
            let key = Key {
                site: version.plant.site.id.clone(),
                unit: unit.id.clone(),
                kind: WindowKind::Day,
                window: window.interval,
            };
            let Some(kept) = pipeline.derived.newest(&key)? else { continue };
            let held =
                self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&(key.clone(), kept.version)).cloned();
            if let Some(day) = held {
                days.push(day);
                continue;
            }
            let shape: WindowResult = serde_json::from_str(&kept.body)?;
            let day = day(window.business_date, window.interval, &shape);
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.len() >= HELD_MAX {
                held.clear();
            }
            held.insert((key, kept.version), day.clone());
            days.push(day);
        }
        Ok(days)
    }

    /// The work units of a site of which at least one good sample ever arrived.
    pub fn sending(
        &self,
        pipeline: &Pipeline,
        version: &PlantVersion,
        now: Timestamp,
    ) -> Result<BTreeSet<WorkUnitId>, EvaluateError> {
        let mut sending = BTreeSet::new();
        for unit in version.plant.work_units.iter().filter(|unit| unit.is_connected()) {
            let key = (version.plant.site.id.clone(), unit.id.clone());
            let held = self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
            let held = held.filter(|sent| sent.plant == version.hash && (sent.ever || now.since(sent.at) < ASK_AGAIN));
            let ever = match held {
                Some(sent) => sent.ever,
                None => self.ever_sent(pipeline, version, unit, now)?,
            };
            if held.is_none() {
                let sent = Sent { plant: version.hash, ever, at: now };
                self.sent.lock().unwrap_or_else(PoisonError::into_inner).insert(key, sent);
            }
            if ever {
                sending.insert(unit.id.clone());
            }
        }
        Ok(sending)
    }

    /// Looked for in the newest hour of its agents, in the first one, and in the days that settled.
    fn ever_sent(
        &self,
        pipeline: &Pipeline,
        version: &PlantVersion,
        unit: &WorkUnit,
        now: Timestamp,
    ) -> Result<bool, EvaluateError> {
        let site = &version.plant.site.id;
        let mut hours = Vec::new();
        for binding in &unit.bindings {
            let view = pipeline.store.agents.agent(site, &binding.agent);
            let newest = view.and_then(|view| view.newest_block_time);
            let newest = newest.map(|at| at.min(binding.until.unwrap_or(at)));
            hours.extend(newest.map(|end| Interval { start: end.plus(-HOUR), end: end.plus(1) }));
            let began = pipeline.series.first_of(site, &binding.agent)?;
            let began = began.map(|at| at.max(binding.from.unwrap_or(at)));
            hours.extend(began.map(|start| Interval { start, end: start.plus(HOUR) }));
        }
        for hour in hours {
            if is_good(&pipeline.read(version, unit, hour, UNHURRIED, now)?, hour) {
                return Ok(true);
            }
        }
        let days = self.of(pipeline, version, unit, Interval { start: now.plus(-SETTLED), end: now })?;
        Ok(days.iter().any(|day| day.known > 0))
    }
}

fn is_good(read: &crate::series::read::Read, interval: Interval) -> bool {
    let inside = |at: Timestamp| interval.start <= at && at < interval.end;
    let mut samples = read.samples.values().flatten();
    samples.any(|sample| inside(sample.at) && sample.quality() != Quality::Bad)
}

fn day(date: Date, interval: Interval, shape: &WindowResult) -> Day {
    let planned = shape.elements.iter().find(|element| element.code == "PBT");
    let planned = planned.and_then(|element| element.ns.point.parse().ok()).unwrap_or(0);
    let known = shape.coverage.as_ref().filter(|_| planned > 0).and_then(exact);
    let known = known.and_then(|share| share.checked_mul(Rational::integer(planned.into())));
    Day {
        date,
        interval,
        planned,
        known: known.and_then(Rational::to_integer).and_then(|known| i64::try_from(known).ok()).unwrap_or(0),
        availability: contribution(&shape.availability, planned),
        oee: contribution(&shape.oee, planned),
        produced: pieces(&shape.counts.produced),
        good: pieces(&shape.counts.good),
        energy: energy(&shape.energy),
        demo: shape.demo,
    }
}

/// A kept share, exactly as its parts say.
fn exact(ratio: &Ratio) -> Option<Rational> {
    Rational::new(ratio.num.parse().ok()?, ratio.den.parse().ok()?)
}

/// Availability and OEE both stand over the planned busy time, so their numerators are shares of it.
fn contribution(ratio: &BoundedRatio, planned: i64) -> Option<Contribution> {
    let low = ratio.low.as_ref().and_then(exact)?;
    let (high, point) = (ratio.high.as_ref().and_then(exact), ratio.point.as_ref().and_then(exact));
    Contribution::of_share(low, high, point, planned)
}

fn pieces(count: &Count) -> Option<Bounded> {
    let whole = |number: i64| Rational::integer(number.into());
    Some(Bounded { low: count.low.map(whole)?, high: count.high.map(whole), point: count.point.map(whole) })
}

fn energy(energy: &Energy) -> Option<Bounded> {
    let number = |number: &super::number::Number| Rational::new(number.num.parse().ok()?, number.den.parse().ok()?);
    Some(Bounded {
        low: energy.low.as_ref().and_then(number)?,
        high: energy.high.as_ref().and_then(number),
        point: energy.point.as_ref().and_then(number),
    })
}
