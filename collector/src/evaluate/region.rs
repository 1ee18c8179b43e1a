//! The region: every site with what may be said of it by name, and production figures only as sums over many sites.
//!
//! Worked out at most every few seconds and held; the production figures are those of one day that has settled. What
//! may be published is decided by [`shopfloor::cluster`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::Date;
use shopfloor::calendar;
use shopfloor::cluster::{Answer, Contribution, publish};
use shopfloor::id::{ClusterId, SiteId, WorkUnitId};
use shopfloor::indicator::{self, Indicator};
use shopfloor::networked::{self, Counts, Register};
use shopfloor::oee::Ratio;
use shopfloor::plant::ClusterMembership;
use shopfloor::time::{HOUR, Interval, MINUTE, SECOND, Timestamp};
use shopfloor::unit::Rational;

use super::EvaluateError;
use super::days::{Day, Days};
use super::pipeline::Pipeline;
use crate::ledger::PlantVersion;

/// How long an answer is held, unless a document comes.
const HELD: i64 = 10 * SECOND;
/// How far back a settled day is looked for.
const LOOK: i64 = 8 * 24 * HOUR;
/// A site whose newest block is older is silent: an empty block is due every minute and is sent again after 15 s.
const SILENT: i64 = 5 * MINUTE;

/// Whether a site's data arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Online {
    /// They do.
    Online,
    /// They did.
    Silent,
    /// They never have.
    Never,
}

/// A site as the region sees it.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    /// Its plant.
    pub version: Arc<PlantVersion>,
    /// The clusters that it belongs to today.
    pub clusters: Vec<ClusterMembership>,
    /// Whether its data arrive.
    pub online: Online,
    /// End of its newest block.
    pub newest: Option<Timestamp>,
    /// Its register, counted.
    pub register: Register,
    /// Its newest day that settled and had planned time.
    pub day: Option<Date>,
    /// Share of the planned time of that day that is known.
    pub coverage: Option<Ratio>,
    /// Whether its data are simulated.
    pub demo: bool,
    figures: BTreeMap<Date, SiteDay>,
}

#[derive(Debug, Clone, Copy)]
struct SiteDay {
    interval: Interval,
    availability: Option<Contribution>,
    oee: Option<Contribution>,
    planned: i128,
    known: i128,
}

/// A cluster with its members.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// What its first member says of it.
    pub cluster: ClusterMembership,
    /// Its members today, by id.
    pub sites: Vec<SiteId>,
    /// Their registers together.
    pub networked: Counts,
    /// What is published of them.
    pub figures: Vec<Published>,
}

/// An answer for one indicator.
#[derive(Debug, Clone)]
pub struct Published {
    /// The indicator.
    pub indicator: Indicator,
    /// The figure, or why there is none.
    pub answer: Answer,
}

/// The region.
#[derive(Debug, Clone)]
pub struct Region {
    /// When it was worked out.
    pub as_of: Timestamp,
    /// All sites, by id.
    pub sites: Vec<SiteFacts>,
    /// All clusters, by id.
    pub clusters: Vec<ClusterFacts>,
    /// What is published of all sites together.
    pub all: Vec<Published>,
    /// The day that the production figures are of; `None` while no day has settled.
    pub day: Option<(Date, Interval)>,
}

/// Works the region out and holds the answer.
#[derive(Debug, Default)]
pub struct Regions {
    days: Days,
    held: Mutex<Option<(u64, Arc<Region>)>>,
}

impl Regions {
    /// The settled days that were read.
    pub const fn days(&self) -> &Days {
        &self.days
    }

    /// The region at `now`, or as it was a few seconds before. Those who ask at once wait for one answer.
    pub fn region(&self, pipeline: &Pipeline, now: Timestamp) -> Result<Arc<Region>, EvaluateError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = pipeline.store.ledger.revision();
        if let Some((of, region)) = held.as_ref()
            && *of == revision
            && (0..HELD).contains(&now.since(region.as_of))
        {
            return Ok(Arc::clone(region));
        }
        let region = Arc::new(self.work_out(pipeline, now)?);
        *held = Some((revision, Arc::clone(&region)));
        Ok(region)
    }

    fn work_out(&self, pipeline: &Pipeline, now: Timestamp) -> Result<Region, EvaluateError> {
        let plants = pipeline.store.ledger.plants();
        let versions = plants.iter().filter_map(|plant| pipeline.store.ledger.plant(&plant.site.id));
        let sites = versions.map(|version| self.site(pipeline, version, now)).collect::<Result<Vec<_>, _>>()?;
        let day = common_day(&sites);
        let members = members(&sites);
        let cells: Vec<BTreeSet<SiteId>> = members
            .values()
            .map(|(_, sites)| sites.iter().cloned().collect())
            .chain([sites.iter().map(|site| site.version.plant.site.id.clone()).collect()])
            .collect();
        let mut figures: Vec<Vec<Published>> = vec![Vec::new(); cells.len()];
        for (name, part) in PUBLISHED {
            let Some(indicator) = indicator::catalog(name, 1) else { continue };
            let parts = day.map(|(date, _)| contributions(&sites, date, part)).unwrap_or_default();
            for (cell, answer) in figures.iter_mut().zip(publish(&cells, &parts)) {
                cell.push(Published { indicator: indicator.clone(), answer });
            }
        }
        let all = figures.pop().unwrap_or_default();
        let clusters = members.into_values().zip(figures).map(|((cluster, members), figures)| {
            let own = sites.iter().filter(|site| members.contains(&site.version.plant.site.id));
            let networked = own.fold(Counts::default(), |sum, site| sum.plus(site.register.counts));
            ClusterFacts { cluster, sites: members, networked, figures }
        });
        Ok(Region { as_of: now, clusters: clusters.collect(), all, day, sites })
    }

    fn site(
        &self,
        pipeline: &Pipeline,
        version: Arc<PlantVersion>,
        now: Timestamp,
    ) -> Result<SiteFacts, EvaluateError> {
        let plant = Arc::clone(&version.plant);
        let site = &plant.site;
        let agents = pipeline.store.agents.agents();
        let own: Vec<_> = agents.iter().filter(|view| view.site == site.id).collect();
        let newest = own.iter().filter_map(|view| view.newest_block_time).max();
        let online = match newest {
            None => Online::Never,
            Some(at) if now.since(at) <= SILENT => Online::Online,
            Some(_) => Online::Silent,
        };
        let today = calendar::local(&site.time_zone, now).date();
        let sending = self.days.sending(pipeline, &version, now)?;
        let figures = self.site_days(pipeline, &version, &sending, Interval { start: now.plus(-LOOK), end: now })?;
        let last = figures.iter().next_back();
        let coverage =
            last.and_then(|(_, day)| Ratio::new(Rational::integer(day.known), Rational::integer(day.planned)));
        Ok(SiteFacts {
            clusters: site.clusters.iter().filter(|cluster| cluster.holds_on(today)).cloned().collect(),
            online,
            newest,
            register: networked::count(&plant, &sending),
            day: last.map(|(date, _)| *date),
            coverage,
            demo: own.iter().any(|view| view.marks.demo_key || view.marks.simulated),
            figures,
            version,
        })
    }

    /// The days on which every work unit that ever sent has settled, with the sums over those.
    fn site_days(
        &self,
        pipeline: &Pipeline,
        version: &PlantVersion,
        sending: &BTreeSet<WorkUnitId>,
        range: Interval,
    ) -> Result<BTreeMap<Date, SiteDay>, EvaluateError> {
        let units: Vec<_> = version.plant.work_units.iter().filter(|unit| sending.contains(&unit.id)).collect();
        let mut by_date: BTreeMap<Date, Vec<Day>> = BTreeMap::new();
        for unit in &units {
            for day in self.days.of(pipeline, version, unit, range)? {
                by_date.entry(day.date).or_default().push(day);
            }
        }
        let whole = by_date.into_iter().filter(|(_, days)| days.len() == units.len());
        Ok(whole.filter_map(|(date, days)| Some((date, together(&days)?))).collect())
    }
}

/// What a site's day adds to an indicator.
type PartOf = fn(&SiteDay) -> Option<Contribution>;

/// The indicators that a region publishes; both stand over the planned busy time.
const PUBLISHED: [(&str, PartOf); 2] = [("availability", |day| day.availability), ("oee", |day| day.oee)];

/// The sums over the work units of a site; `None` if nothing was planned. Work units that lack the counters of an
/// indicator are not in its sums.
fn together(days: &[Day]) -> Option<SiteDay> {
    let sum = |of: fn(&Day) -> Option<Contribution>| {
        days.iter().filter_map(of).map(Some).reduce(|a, b| a?.plus(b?)).flatten()
    };
    let planned = days.iter().map(|day| i128::from(day.planned)).sum();
    let first = days.first()?;
    (planned > 0).then(|| SiteDay {
        interval: first.interval,
        availability: sum(|day| day.availability),
        oee: sum(|day| day.oee),
        planned,
        known: days.iter().map(|day| i128::from(day.known)).sum(),
    })
}

/// The newest of the days on which most sites have settled and know at least half of their planned time: the day on
/// which data began, or broke off, speaks for no region.
fn common_day(sites: &[SiteFacts]) -> Option<(Date, Interval)> {
    let mut found: BTreeMap<Date, (usize, Interval)> = BTreeMap::new();
    let known = |(_, day): &(&Date, &SiteDay)| day.known * 2 >= day.planned;
    for (date, day) in sites.iter().flat_map(|site| &site.figures).filter(known) {
        found.entry(*date).or_insert((0, day.interval)).0 += 1;
    }
    found.into_iter().max_by_key(|(date, (sites, _))| (*sites, *date)).map(|(date, (_, interval))| (date, interval))
}

fn contributions(sites: &[SiteFacts], date: Date, part: PartOf) -> BTreeMap<SiteId, Contribution> {
    let of = |site: &SiteFacts| Some((site.version.plant.site.id.clone(), part(site.figures.get(&date)?)?));
    sites.iter().filter_map(of).collect()
}

/// The clusters with their members of today; the first member by id that gives a name names it.
fn members(sites: &[SiteFacts]) -> BTreeMap<ClusterId, (ClusterMembership, Vec<SiteId>)> {
    let mut found: BTreeMap<ClusterId, (ClusterMembership, Vec<SiteId>)> = BTreeMap::new();
    for site in sites {
        for cluster in &site.clusters {
            let (first, members) = found.entry(cluster.id.clone()).or_insert_with(|| (cluster.clone(), Vec::new()));
            if first.name.is_none() && cluster.name.is_some() {
                *first = cluster.clone();
            }
            members.push(site.version.plant.site.id.clone());
        }
    }
    found
}
