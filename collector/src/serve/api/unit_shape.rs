//! Shapes of a site, its work units as they stand now, and its equipment register.

use serde::Serialize;
use utoipa::ToSchema;

use crate::evaluate::number::{BoundedRatio, Count, Energy, Number, Ratio};
use crate::evaluate::result::Versioned;
use crate::evaluate::words::{Reason, Words};

/// What the collector holds, and why it is empty if it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Overview {
    /// The server's clock.
    pub now: String,
    /// Program and version.
    pub software: String,
    /// Whether any site shows simulated data.
    pub demo: bool,
    /// Number of sites.
    pub sites: u64,
    /// Number of work units.
    pub work_units: u64,
    /// Number of agents that have ever been heard.
    pub agents: u64,
    /// Entries of the log.
    pub log_size: String,
    /// Why there is nothing to show.
    pub empty: Option<Empty>,
}

/// Why a page is empty and the one action that changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Empty {
    /// `no-plant`, `no-agent` or `no-data`.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// The next step.
    pub what_next: Words,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SiteShape {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// IANA time zone.
    #[schema(example = "Asia/Shanghai")]
    pub time_zone: String,
    /// County, district or city at county level.
    pub county: Option<String>,
    /// 统一社会信用代码, if given.
    pub uscc: Option<String>,
    /// Industry, if given.
    pub industry: Option<String>,
    /// Number of work units.
    pub work_units: u64,
    /// Whether its data are simulated.
    pub demo: bool,
    /// The server's clock.
    pub now: String,
    /// The site's date now.
    pub business_date: String,
    /// Version of the time-zone data.
    pub tz_version: String,
}

/// An id with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Named {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// What a work unit does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StateShape {
    /// Leaf of the ledger.
    #[schema(example = "RUN")]
    pub leaf: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Since when, as far as the shown window reaches back.
    pub since: String,
    /// The same as an age.
    pub since_ms: i64,
    /// Why, where the data say so.
    pub cause: Option<Reason>,
}

/// The newest sample of a work unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewestSample {
    /// The instant it speaks for.
    pub time: String,
    /// Its age by the server's clock.
    pub age_ms: i64,
    /// When its block was received.
    pub received_time: String,
    /// From the sample to its receipt.
    pub lag_ms: i64,
}

/// Ends of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ends {
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
}

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShiftShape {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// The site's date that it belongs to.
    pub business_date: String,
    /// Its ends.
    pub window: Ends,
}

/// The window that figures cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Covered {
    /// `shift`, or `day` when no shift is planned now.
    pub kind: String,
    /// First instant.
    pub start: String,
    /// Now, or the end of the window.
    pub end: String,
}

/// A work unit as it stands now, with the current shift so far.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UnitShape {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Work center.
    pub work_center: Option<Named>,
    /// Area.
    pub area: Option<Named>,
    /// `modbus-tcp` or `opc-ua`; null until an agent has declared its tags.
    pub protocol: Option<String>,
    /// State now.
    pub state: StateShape,
    /// Newest sample.
    pub newest_sample: Option<NewestSample>,
    /// Shift now; null outside all shifts.
    pub shift: Option<ShiftShape>,
    /// What the figures cover.
    pub window: Covered,
    /// OEE so far.
    pub oee: BoundedRatio,
    /// Availability so far.
    pub availability: BoundedRatio,
    /// Effectiveness so far.
    pub effectiveness: BoundedRatio,
    /// Quality ratio so far.
    pub quality_ratio: BoundedRatio,
    /// Share of the planned time that is known.
    pub coverage: Option<Ratio>,
    /// Produced so far.
    pub produced: Count,
    /// Good so far.
    pub good: Count,
    /// Scrap so far.
    pub scrap: Count,
    /// Energy so far.
    pub energy_kwh: Energy,
    /// State of the window.
    pub window_state: String,
    /// Whether the data are simulated.
    pub demo: bool,
    /// What was noticed.
    pub remarks: Vec<Reason>,
}

/// What a tag is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RoleShape {
    /// `state`, `running`, `fault`, `setup`, `produced`, `scrap`, `energy`, `power` or `product`.
    pub role: String,
    /// Tag.
    pub tag: String,
    /// Unit of its values; null until a register map is known.
    pub unit: Option<String>,
    /// Section of the block that holds it.
    pub section: Option<String>,
    /// Where its bits lie.
    pub place: Option<String>,
    /// Type on the device.
    pub data_type: Option<String>,
    /// `device` or `simulated`.
    pub origin: Option<String>,
}

/// An ideal cycle of a product.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IdealCycle {
    /// Product, or `*` for all.
    pub product: String,
    /// From when it holds.
    pub from: Option<String>,
    /// Planned run time per item.
    pub seconds_per_item: Number,
}

/// From which agent the tags are read, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BindingShape {
    /// Agent.
    pub agent: String,
    /// From.
    pub from: Option<String>,
    /// Until.
    pub until: Option<String>,
}

/// A work unit with the rules its figures rest on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct UnitDetail {
    /// As it stands.
    #[serde(flatten)]
    pub unit: UnitShape,
    /// Roles of its tags.
    pub roles: Vec<RoleShape>,
    /// State rule.
    pub state_rule: Versioned,
    /// Ideal cycles.
    pub ideal_cycles: Vec<IdealCycle>,
    /// Bindings.
    pub bindings: Vec<BindingShape>,
    /// A stop shorter than this is a minor stop.
    pub micro_stop_ms: i64,
    /// The same, exactly.
    pub micro_stop_ns: String,
    /// Profile of the OEE.
    pub profile: Versioned,
}

/// A line of the equipment register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EquipmentShape {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Whether it belongs to a key process.
    pub key_process: bool,
    /// Line of the contract.
    pub contract_line: Option<String>,
    /// `verified`, `declared` or `none`, by the register and by what arrives here.
    pub networked: String,
    /// The same in Chinese.
    pub zh: String,
    /// The same in English.
    pub en: String,
    /// What the register says.
    pub registered: String,
    /// The other system that it is networked with.
    pub system: Option<String>,
    /// Why the two differ.
    pub remark: Option<Reason>,
    /// Who attested it.
    pub attested_by: Option<String>,
    /// When.
    pub attested_at: Option<String>,
    /// Work unit that measures it.
    pub work_unit: Option<String>,
    /// First data.
    pub first_data: Option<String>,
    /// Newest data.
    pub last_data: Option<String>,
}
