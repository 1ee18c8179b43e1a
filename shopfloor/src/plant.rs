//! The checked plant model of one site: hierarchy, roles of tags, ideal cycles, calendars, equipment register.
//!
//! Made by [`crate::file::plant::parse`]; whatever is here has been checked. The file's own text is what is
//! stored and hashed. Where tags lie in a device is the agents' business, not the plant's.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar::Calendar;
use crate::id::{AgentId, AreaId, ClusterId, ProductId, SiteId, TagName, WorkCenterId, WorkUnitId};
use crate::remark::Remark;
use crate::state::StateRule;
use crate::time::{Interval, Timestamp};
use crate::unit::Rational;

mod register;

pub use register::{Equipment, Networked};

/// The newest schema of plant.toml that this program reads.
pub const SCHEMA: i64 = 1;

/// A site as its plant.toml describes it.
#[derive(Debug, Clone)]
pub struct Plant {
    /// Schema version of the file.
    pub schema: i64,
    /// Who and where.
    pub site: Site,
    /// Areas (车间).
    pub areas: Vec<Area>,
    /// Work centers (产线).
    pub work_centers: Vec<WorkCenter>,
    /// Work units (设备), in the order of the file.
    pub work_units: Vec<WorkUnit>,
    /// Products that orders and product tags name.
    pub products: Vec<Product>,
    /// Calendars by id.
    pub calendars: Vec<Calendar>,
    /// State rules written in the file itself.
    pub state_rules: Vec<StateRule>,
    /// The equipment register (设备台账): all equipment, connected or not.
    pub equipment: Vec<Equipment>,
    /// What was noticed while reading, and did not stop it.
    pub remarks: Vec<Remark>,
}

/// The factory.
#[derive(Debug, Clone)]
pub struct Site {
    /// Id, as topics and the API use it.
    pub id: SiteId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// 统一社会信用代码, 18 characters, checked.
    pub uscc: Option<String>,
    /// Industry code or name.
    pub industry: Option<String>,
    /// County (县市区), code or name.
    pub county: Option<String>,
    /// Name of the county, where `county` is a code.
    pub county_name: Option<String>,
    /// Dated membership of industrial clusters.
    pub clusters: Vec<ClusterMembership>,
    /// Whom to call about this site's data.
    pub contact: Option<Contact>,
    /// IANA name of the time zone; there is no default.
    pub time_zone_name: String,
    /// The zone itself.
    pub time_zone: TimeZone,
}

/// Whom to call (联系人).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Telephone number, as it is dialled.
    pub phone: Option<String>,
}

/// What a cluster is; any of them may cross counties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ClusterKind {
    /// 产业集群: firms of one trade.
    #[default]
    Cluster,
    /// 经开区: an economic development zone.
    Zone,
    /// 园区: an industrial park.
    Park,
}

impl ClusterKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Zone, Self::Park];

    /// The word in plant.toml and in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Zone => "zone",
            Self::Park => "park",
        }
    }

    /// In Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Cluster => "产业集群",
            Self::Zone => "经开区",
            Self::Park => "园区",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Cluster => "industrial cluster",
            Self::Zone => "development zone",
            Self::Park => "industrial park",
        }
    }
}

/// Membership of a cluster from one date until another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMembership {
    /// Which cluster.
    pub id: ClusterId,
    /// Its Chinese name; every member may give it, the region shows the first.
    pub name: Option<String>,
    /// Its English name.
    pub name_en: Option<String>,
    /// What it is.
    pub kind: ClusterKind,
    /// First day, if limited.
    pub from: Option<Date>,
    /// First day after, if limited.
    pub until: Option<Date>,
}

impl ClusterMembership {
    /// Whether the site belongs to the cluster on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day < until)
    }
}

/// An area (车间).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Id.
    pub id: AreaId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
}

/// A work center (产线).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkCenter {
    /// Id.
    pub id: WorkCenterId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// The area it stands in.
    pub area: Option<AreaId>,
}

/// A product (产品).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Id; a product tag of text type gives it.
    pub id: ProductId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// The integer by which machines name it.
    pub code: Option<i128>,
}

/// What a tag is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// State code.
    State,
    /// Mode code that goes with the state (PackML unit mode, MTConnect controller or functional mode).
    Mode,
    /// Run contact.
    Running,
    /// Fault contact.
    Fault,
    /// Setup contact.
    Setup,
    /// Counter of produced pieces.
    Produced,
    /// Counter of scrapped pieces.
    Scrap,
    /// Energy meter reading.
    Energy,
    /// Active power.
    Power,
    /// Product code or name.
    Product,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 10] = [
        Self::State,
        Self::Mode,
        Self::Running,
        Self::Fault,
        Self::Setup,
        Self::Produced,
        Self::Scrap,
        Self::Energy,
        Self::Power,
        Self::Product,
    ];

    /// The word in plant.toml and in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Mode => "mode",
            Self::Running => "running",
            Self::Fault => "fault",
            Self::Setup => "setup",
            Self::Produced => "produced",
            Self::Scrap => "scrap",
            Self::Energy => "energy",
            Self::Power => "power",
            Self::Product => "product",
        }
    }

    /// The role of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A machine whose time is measured.
#[derive(Debug, Clone)]
pub struct WorkUnit {
    /// Id.
    pub id: WorkUnitId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// The work center it belongs to.
    pub work_center: Option<WorkCenterId>,
    /// Calendar that plans its time.
    pub calendar: String,
    /// OEE profile, `iso22400` unless stated.
    pub profile: String,
    /// State rule, resolved.
    pub state_rule: StateRule,
    /// Which tag plays which role.
    pub roles: BTreeMap<Role, TagName>,
    /// Which agent its tags are read from, and when.
    pub bindings: Vec<Binding>,
    /// Stops shorter than this many nanoseconds are minor stops; zero means there are none.
    pub micro_stop: i64,
    /// Nanoseconds after which a sample is too old, instead of what the register map says.
    pub stale_after: Option<i64>,
    /// How each counter counts, by role: produced, scrap, energy.
    pub counters: BTreeMap<Role, CounterPolicy>,
    /// Planned run times per item, effective-dated.
    pub ideal_cycles: Vec<IdealCycle>,
}

impl WorkUnit {
    /// The tag that plays a role.
    pub fn role(&self, role: Role) -> Option<&TagName> {
        self.roles.get(&role)
    }

    /// How the counter of a role counts; the plain policy where the file says nothing.
    pub fn counter(&self, role: Role) -> CounterPolicy {
        self.counters.get(&role).cloned().unwrap_or_default()
    }

    /// Whether any role has a tag, that is: whether anything can be measured.
    pub fn is_connected(&self) -> bool {
        !self.roles.is_empty()
    }
}

/// From when until when a work unit's tags are read from one agent's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The agent.
    pub agent: AgentId,
    /// First instant, if limited.
    pub from: Option<Timestamp>,
    /// First instant after, if limited.
    pub until: Option<Timestamp>,
}

impl Binding {
    /// The part of `interval` in which this binding holds.
    pub fn within(&self, interval: Interval) -> Option<Interval> {
        let bound = Interval {
            start: self.from.unwrap_or(Timestamp::from_nanos(i64::MIN)),
            end: self.until.unwrap_or(Timestamp::from_nanos(i64::MAX)),
        };
        bound.intersect(interval)
    }
}

/// When a counter goes back to zero on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetPolicy {
    /// It does not.
    #[default]
    Never,
    /// At shift change.
    Shift,
    /// At an order change.
    Order,
    /// When the operator presses a key.
    Operator,
}

/// How a counter counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterPolicy {
    /// The value at which it starts again from zero, in the tag's own value.
    pub modulus: Option<Rational>,
    /// Pieces (or kWh) for one step of the tag's value: cavities of a mould, or the meter's unit.
    pub per_increment: Rational,
    /// Pieces (or kWh) of the smallest step that the counter can show: what may be due at any instant.
    pub resolution: Rational,
    /// Most pieces (or kWh) per nanosecond that are plausible.
    pub maximum_rate: Option<Rational>,
    /// When it is set to zero on purpose.
    pub reset: ResetPolicy,
}

impl Default for CounterPolicy {
    fn default() -> Self {
        let one = Rational::ONE;
        Self { modulus: None, per_increment: one, resolution: one, maximum_rate: None, reset: ResetPolicy::Never }
    }
}

/// Planned run time per item (PRI, 单件计划时间) of a product from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdealCycle {
    /// The product; `None` stands for every product without a line of its own (`*` in the file).
    pub product: Option<ProductId>,
    /// First instant; `None` for always.
    pub from: Option<Timestamp>,
    /// Nanoseconds per item, exact; zero or negative values are kept and refuse the indicator.
    pub per_item: Rational,
}

/// One tag of a work unit, and the time in which a given agent delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundTag {
    /// The tag.
    pub tag: TagName,
    /// What it is for.
    pub role: Role,
    /// The agent.
    pub agent: AgentId,
    /// The time.
    pub interval: Interval,
}

impl Plant {
    /// The work unit of an id.
    pub fn work_unit(&self, id: &WorkUnitId) -> Option<&WorkUnit> {
        self.work_units.iter().find(|unit| unit.id == *id)
    }

    /// The work center of an id.
    pub fn work_center(&self, id: &WorkCenterId) -> Option<&WorkCenter> {
        self.work_centers.iter().find(|center| center.id == *id)
    }

    /// The calendar that plans a work unit's time.
    pub fn calendar_of(&self, unit: &WorkUnit) -> Option<&Calendar> {
        self.calendars.iter().find(|calendar| calendar.id == unit.calendar)
    }

    /// The product that a product tag's text or code names.
    pub fn product(&self, id: &ProductId) -> Option<&Product> {
        self.products.iter().find(|product| product.id == *id)
    }

    /// Which agents deliver a work unit's tags within `interval`, each with its part, in order of time.
    pub fn bindings(&self, unit: &WorkUnitId, interval: Interval) -> Vec<(AgentId, Interval)> {
        let bound = self.work_unit(unit).map(|unit| unit.bindings.as_slice()).unwrap_or_default();
        let mut found: Vec<_> =
            bound.iter().filter_map(|b| b.within(interval).map(|part| (b.agent.clone(), part))).collect();
        found.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        found
    }

    /// Every role's tag of a work unit with each agent that delivers it within `interval`.
    /// `agent` limits the answer to one agent.
    pub fn tags_of(&self, unit: &WorkUnitId, agent: Option<&AgentId>, interval: Interval) -> Vec<BoundTag> {
        let Some(found) = self.work_unit(unit) else { return Vec::new() };
        let parts = self.bindings(unit, interval);
        let wanted = parts.iter().filter(|(bound, _)| agent.is_none_or(|agent| agent == bound));
        wanted
            .flat_map(|(agent, part)| {
                found.roles.iter().map(|(role, tag)| BoundTag {
                    tag: tag.clone(),
                    role: *role,
                    agent: agent.clone(),
                    interval: *part,
                })
            })
            .collect()
    }

    /// The register lines of a work unit.
    pub fn register_of(&self, unit: &WorkUnitId) -> Vec<&Equipment> {
        self.equipment.iter().filter(|line| line.work_unit.as_ref() == Some(unit)).collect()
    }

    /// The agents that any work unit names.
    pub fn agents(&self) -> std::collections::BTreeSet<AgentId> {
        self.work_units.iter().flat_map(|unit| unit.bindings.iter().map(|b| b.agent.clone())).collect()
    }
}
