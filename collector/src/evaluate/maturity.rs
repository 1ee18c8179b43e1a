//! The facts of a site over the last thirty days, for the items of maturity models. What they say about an item is
//! decided by [`shopfloor::maturity`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use shopfloor::calendar;
use shopfloor::evaluate::{self, WindowKind};
use shopfloor::hash::Hash;
use shopfloor::id::{SiteId, WorkUnitId};
use shopfloor::maturity::{Amounts, BlockFacts, Facts, SourceFact, UnitFacts, WINDOW_DAYS};
use shopfloor::networked;
use shopfloor::plant::WorkUnit;
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use shopfloor::unit::Rational;

use super::EvaluateError;
use super::days::{Bounded, Day};
use super::pipeline::Pipeline;
use super::region::Regions;
use crate::ledger::PlantVersion;

/// How long an answer is held.
const HELD: i64 = MINUTE;
/// A window ends with the last settled day if that is no further back; else with yesterday, and what is missing is
/// unknown.
const LATE_DAYS: i64 = 3;

/// What is known of a site, and over which days.
#[derive(Debug)]
pub struct SiteFacts {
    /// The window: whole days of the site.
    pub window: Interval,
    /// Its first day and its last.
    pub days: (Date, Date),
    /// The facts.
    pub facts: Facts,
    at: Timestamp,
    plant: Hash,
}

/// Gathers the facts and holds them for a moment.
#[derive(Debug, Default)]
pub struct Maturity {
    held: Mutex<BTreeMap<SiteId, Arc<SiteFacts>>>,
}

impl Maturity {
    /// The facts of a site at `now`, or as they were a minute before. `sources` are those that its agents declare.
    pub fn facts(
        &self,
        pipeline: &Pipeline,
        regions: &Regions,
        version: &PlantVersion,
        sources: Vec<SourceFact>,
        now: Timestamp,
    ) -> Result<Arc<SiteFacts>, EvaluateError> {
        let site = &version.plant.site.id;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = held.get(site)
            && found.plant == version.hash
            && (0..HELD).contains(&now.since(found.at))
        {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(gather(pipeline, regions, version, sources, now)?);
        held.insert(site.clone(), Arc::clone(&found));
        Ok(found)
    }
}

fn gather(
    pipeline: &Pipeline,
    regions: &Regions,
    version: &PlantVersion,
    sources: Vec<SourceFact>,
    now: Timestamp,
) -> Result<SiteFacts, EvaluateError> {
    let plant = &version.plant;
    let sending = regions.days().sending(pipeline, version, now)?;
    let register = networked::count(plant, &sending);
    let key: BTreeSet<&WorkUnitId> =
        plant.equipment.iter().filter(|line| line.key_process).filter_map(|line| line.work_unit.as_ref()).collect();
    let units: Vec<&WorkUnit> = plant.work_units.iter().filter(|unit| sending.contains(&unit.id)).collect();
    let reach = Interval { start: now.plus(-(WINDOW_DAYS + LATE_DAYS + 2) * 24 * HOUR), end: now };
    let mut settled = BTreeMap::new();
    for unit in &units {
        settled.insert(&unit.id, regions.days().of(pipeline, version, unit, reach)?);
    }
    let newest = settled.values().flatten().map(|day| day.date).max();
    let (window, days) = window(version, first_whole_day(pipeline, version)?, newest, now);
    let mut facts = Vec::new();
    for unit in units {
        let own = settled.get(&unit.id).map(Vec::as_slice).unwrap_or_default();
        facts.push(unit_facts(version, unit, own, window, key.contains(&unit.id))?);
    }
    let length = i64::from(days.0.until(days.1).map_or(0, |span| span.get_days())) + 1;
    let facts = Facts { days: length, units: facts, register, sources, blocks: blocks(pipeline, version) };
    Ok(SiteFacts { window, days, facts, at: now, plant: version.hash })
}

/// The first day of the site that lies wholly after its first block; `None` while there is none.
fn first_whole_day(pipeline: &Pipeline, version: &PlantVersion) -> Result<Option<Date>, EvaluateError> {
    let (site, zone) = (&version.plant.site.id, &version.plant.site.time_zone);
    let mut first: Option<Timestamp> = None;
    for agent in version.plant.agents() {
        let began = pipeline.series.first_of(site, &agent)?;
        first = [first, began].into_iter().flatten().min();
    }
    let Some(first) = first else { return Ok(None) };
    let date = calendar::local(zone, first).date();
    let whole = calendar::day(zone, date).start >= first;
    Ok(if whole { Some(date) } else { date.tomorrow().ok() })
}

/// Thirty whole days of the site, or those since data began.
fn window(
    version: &PlantVersion,
    began: Option<Date>,
    newest: Option<Date>,
    now: Timestamp,
) -> (Interval, (Date, Date)) {
    let zone = &version.plant.site.time_zone;
    let today = calendar::local(zone, now).date();
    let back = |date: Date, days: i64| date.checked_sub(jiff::Span::new().days(days)).unwrap_or(date);
    let last = newest.filter(|date| *date >= back(today, LATE_DAYS)).unwrap_or_else(|| back(today, 1));
    let first = back(last, WINDOW_DAYS - 1).max(began.unwrap_or(last)).min(last);
    let (start, end) = (calendar::day(zone, first).start, calendar::day(zone, last).end);
    (Interval { start, end }, (first, last))
}

fn unit_facts(
    version: &PlantVersion,
    unit: &WorkUnit,
    settled: &[Day],
    window: Interval,
    key_process: bool,
) -> Result<UnitFacts, EvaluateError> {
    let mut facts = UnitFacts {
        id: unit.id.clone(),
        key_process,
        roles: unit.roles.keys().copied().collect(),
        planned: 0,
        known: 0,
        days: 0,
        oee_days: 0,
        amounts: Amounts::default(),
    };
    for day in evaluate::windows(&version.plant, &unit.id, WindowKind::Day, window) {
        if let Some(settled) = settled.iter().find(|settled| settled.interval == day.interval) {
            add(&mut facts, settled);
        } else {
            // A day without a result is planned time of which nothing is known.
            let nothing = BTreeMap::new();
            let result = evaluate::work_unit(&version.plant, &unit.id, &nothing, &day, day.interval.end)?;
            facts.planned += i128::from(result.times.planned_busy);
        }
    }
    Ok(facts)
}

fn add(facts: &mut UnitFacts, day: &Day) {
    facts.planned += i128::from(day.planned);
    facts.known += i128::from(day.known);
    facts.days += 1;
    facts.oee_days += u32::from(day.oee.is_some());
    let produced = day.produced.and_then(|amount| amount.point);
    let pair = |of: Option<Bounded>| of.and_then(|amount| amount.point).zip(produced);
    let plus = |sum: Option<(Rational, Rational)>, more: Option<(Rational, Rational)>| match (sum, more) {
        (Some((a, b)), Some((c, d))) => a.checked_add(c).zip(b.checked_add(d)),
        (sum, more) => sum.or(more),
    };
    facts.amounts.quality = plus(facts.amounts.quality, pair(day.good));
    facts.amounts.energy = plus(facts.amounts.energy, pair(day.energy));
}

fn blocks(pipeline: &Pipeline, version: &PlantVersion) -> BlockFacts {
    let views = pipeline.store.agents.agents();
    views.iter().filter(|view| view.site == version.plant.site.id).fold(BlockFacts::default(), |sum, view| BlockFacts {
        stored: sum.stored + view.blocks,
        missing: sum.missing + view.missing.iter().map(|(first, last)| last - first + 1).sum::<u64>(),
        disputed: sum.disputed + view.disputed.len() as u64,
    })
}
