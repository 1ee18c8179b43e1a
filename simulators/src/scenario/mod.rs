//! What a scenario file says: a site, its shifts, its machines and how they behave. Text in, checked values out.
//!
//! A scenario is a world, never a plant: it knows causes and probabilities that no plant model may know. The plant
//! and agent files of the same site are written from it by [`crate::site_files`].

use std::collections::BTreeSet;

use serde::Deserialize;
use shopfloor::id::{AreaId, ClusterId, EquipmentId, ProductId, ShiftId, SiteId, WorkCenterId, WorkUnitId};
use shopfloor::time::{HOUR, MINUTE, SECOND};

mod builtin;
mod check;

pub use builtin::{BUILTIN, FACTORIES};

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The text is not TOML or not of this form.
    #[error("read scenario: {0}")]
    Form(#[from] Box<toml::de::Error>),
    /// The text is well formed and means something impossible.
    #[error("read scenario {scenario:?}: {problem}")]
    Meaning {
        /// Id of the scenario.
        scenario: String,
        /// What is wrong, on which thing, and what is allowed.
        problem: String,
    },
    /// No scenario of that name is built in.
    #[error("no scenario {0:?} is built in; there are {list}", list = builtin::names())]
    Unknown(String),
}

/// A checked scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of this form; 1.
    pub schema: u32,
    /// Name of the scenario.
    pub id: String,
    /// One line about it.
    pub title: String,
    /// Seed used when none is given.
    pub seed: u64,
    /// Everything happens at multiples of this many seconds since the epoch.
    pub quantum_seconds: i64,
    /// The factory.
    pub site: Site,
    /// Shifts of a working day.
    #[serde(rename = "shift")]
    pub shifts: Vec<Shift>,
    /// Planned maintenance of all machines.
    #[serde(rename = "maintenance", default)]
    pub maintenance: Vec<Maintenance>,
    /// What happens to machines that say nothing of their own.
    pub behaviour: Behaviour,
    /// What happens to them instead once the factory has improved; see [`crate::machine::World::improving`].
    pub improved: Option<Behaviour>,
    /// The machines.
    #[serde(rename = "machine")]
    pub machines: Vec<MachineSpec>,
    /// Lines of the equipment register that nothing connects to.
    #[serde(rename = "unconnected", default)]
    pub unconnected: Vec<Unconnected>,
    /// Lines that fail now and then once the factory's project has gone live.
    #[serde(rename = "line_fault", default)]
    pub line_faults: Vec<LineFault>,
    /// The factory's transformation project, if it has one: what its project.toml says but for dates and windows,
    /// which depend on when the scenario is played; see [`crate::site_files::project`].
    pub project: Option<toml::Table>,
}

/// The factory as its business licence and the region know it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Site id.
    pub id: SiteId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// 统一社会信用代码.
    pub uscc: String,
    /// Industry code of GB/T 4754.
    pub industry: String,
    /// County code of GB/T 2260.
    pub county: String,
    /// Name of the county.
    pub county_name: Option<String>,
    /// Industrial cluster that it belongs to.
    pub cluster: ClusterId,
    /// Name of the cluster.
    pub cluster_name: Option<String>,
    /// English name of the cluster.
    pub cluster_name_en: Option<String>,
    /// Whom to call.
    pub contact: Option<Contact>,
    /// Area that holds all its work centers.
    pub area: AreaId,
    /// Chinese name of the area.
    pub area_name: String,
    /// IANA zone; must be Asia/Shanghai, whose offset is fixed, so that the truth needs no zone data.
    pub time_zone: String,
}

/// Whom to call about a factory's data.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Telephone number.
    pub phone: String,
}

/// A shift in local time. An end that is not after the start is on the next day.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// Shift id.
    pub id: ShiftId,
    /// Chinese name.
    pub name: String,
    /// Local time of its start, `HH:MM`.
    pub start: LocalTime,
    /// Local time of its end, `HH:MM`.
    pub end: LocalTime,
    /// Breaks within it, `HH:MM-HH:MM`.
    #[serde(default)]
    pub breaks: Vec<LocalSpan>,
    /// Weekdays on which it begins, Monday = 1 to Sunday = 7.
    #[serde(default = "every_day")]
    pub weekdays: Vec<u8>,
}

/// Planned maintenance in local time, once a week, within a shift.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Monday = 1 to Sunday = 7.
    pub weekday: u8,
    /// Start and end, `HH:MM-HH:MM`.
    pub span: LocalSpan,
}

/// Minutes since local midnight, 0 to 1439.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct LocalTime(pub u16);

impl LocalTime {
    /// Nanoseconds since local midnight.
    pub fn nanos(self) -> i64 {
        i64::from(self.0) * MINUTE
    }
}

impl std::fmt::Display for LocalTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for LocalTime {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2);
        let numbers = parts.and_then(|(hours, minutes)| Some((hours.parse().ok()?, minutes.parse().ok()?)));
        match numbers {
            Some((hours @ 0..=23, minutes @ 0..=59)) => Ok(Self(hours * 60 + minutes)),
            _ => Err(format!("local time {text:?} is not HH:MM between 00:00 and 23:59")),
        }
    }
}

/// A stretch of local time; an end that is not after the start is on the next day.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct LocalSpan {
    /// First minute inside.
    pub start: LocalTime,
    /// First minute after.
    pub end: LocalTime,
}

impl TryFrom<String> for LocalSpan {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (start, end) = text.split_once('-').ok_or_else(|| format!("{text:?} is not of the form HH:MM-HH:MM"))?;
        Ok(Self { start: start.to_owned().try_into()?, end: end.to_owned().try_into()? })
    }
}

/// What sort of machine; it decides which registers or nodes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 轴承磨床: Modbus TCP, numbers of two words low word first.
    BearingGrinder,
    /// 注塑机: OPC UA, integer state, cycle counter with cavities.
    InjectionMoulding,
    /// 织机: Modbus TCP, input registers, high word first.
    Loom,
    /// 数控车床: OPC UA, state as execution text.
    CncLathe,
    /// 哑设备: a digital-input module with run contact and piece pulse, and a power meter on another unit id.
    Dumb,
    /// 通用单元 (清洗机, 热处理炉): Modbus TCP, any number of analog signals.
    Cell,
}

impl Kind {
    /// Whether it speaks OPC UA; the others speak Modbus TCP.
    pub const fn is_opcua(self) -> bool {
        matches!(self, Self::InjectionMoulding | Self::CncLathe)
    }
}

/// One machine of the scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// Work unit id.
    pub id: WorkUnitId,
    /// Its line in the equipment register.
    pub equipment: EquipmentId,
    /// What sort of machine.
    pub kind: Kind,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Work center.
    pub work_center: WorkCenterId,
    /// Chinese name of the work center.
    pub work_center_name: String,
    /// Model as on its plate.
    pub model: String,
    /// Whether the contract counts it as key process equipment.
    #[serde(default)]
    pub key_process: bool,
    /// Line of the transformation contract that brought it.
    pub contract_line: Option<String>,
    /// Which simulated server it is behind; machines of one protocol may share one.
    pub server: String,
    /// Modbus unit id; a dumb machine's power meter answers under the next one. Zero for OPC UA.
    #[serde(default)]
    pub unit: u8,
    /// A stop shorter than this is a minor stop.
    #[serde(default = "five_minutes")]
    pub micro_stop_seconds: i64,
    /// Pieces made in one cycle (cavities of a mould).
    #[serde(default = "one")]
    pub pieces_per_cycle: u32,
    /// Counter reading at the start of the world.
    #[serde(default)]
    pub counter_start: u64,
    /// Energy meter reading at the start of the world, in 0.01 kWh.
    #[serde(default)]
    pub energy_start: u64,
    /// Power while running, while stopped and while off, in watts.
    pub power: Power,
    /// Analog signals of a [`Kind::Cell`].
    #[serde(default)]
    pub signals: u16,
    /// Products made in turn.
    #[serde(rename = "product")]
    pub products: Vec<Product>,
    /// Its own behaviour, if it has one.
    pub behaviour: Option<Behaviour>,
}

/// Power in watts by activity.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// While it produces.
    pub run: i64,
    /// While it is on and stands.
    pub idle: i64,
    /// While it is off.
    pub off: i64,
}

/// A product as a machine makes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Product id; all digits where the machine shows it as a number in a register.
    pub id: ProductId,
    /// Planned run time: this many seconds …
    pub ideal_seconds: u32,
    /// … for this many pieces.
    #[serde(default = "one")]
    pub ideal_items: u32,
    /// Time that one cycle really takes, in milliseconds.
    pub cycle_ms: u32,
    /// Pieces of a thousand that are scrap.
    pub scrap_per_mille: u32,
}

/// How often what happens, and for how long.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Runs between two interruptions, in seconds.
    pub run: Span,
    /// Short stops.
    pub micro_stop: Interruption,
    /// Technical failures.
    pub breakdown: Interruption,
    /// No material, no operator, blocked.
    pub waiting: Interruption,
    /// Product changes.
    pub setup: Interruption,
    /// Nothing ordered.
    #[serde(default)]
    pub no_order: Interruption,
}

/// Shortest and longest duration in seconds, both included.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Shortest.
    pub min: i64,
    /// Longest.
    pub max: i64,
}

/// One kind of interruption.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interruption {
    /// How often relative to the other kinds; zero never.
    pub weight: u32,
    /// Shortest, in seconds.
    pub min: i64,
    /// Longest, in seconds.
    pub max: i64,
}

/// A machine that nothing connects to: it stands in the equipment register only.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unconnected {
    /// Its line in the equipment register.
    pub equipment: EquipmentId,
    /// Chinese name.
    pub name: String,
    /// Model as on its plate.
    pub model: String,
    /// The other system that has networked it, as the factory declares; without one it is not networked.
    pub system: Option<String>,
    /// How many such machines there are; the further ones have the numbers that follow the first one's id.
    #[serde(default = "one")]
    pub count: u32,
    /// Whether the contract counts it as key process equipment.
    #[serde(default)]
    pub key_process: bool,
    /// Line of the transformation contract that was to bring it.
    pub contract_line: Option<String>,
}

/// A line between a server and the agent that is cut again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineFault {
    /// The server.
    pub server: String,
    /// Time from one cut to the next, in seconds.
    pub every: i64,
    /// How long each cut lasts, in seconds.
    pub lasts: i64,
}

impl LineFault {
    /// Whether the line is cut so long after the project's go-live, in nanoseconds; never before it. A cut lies in
    /// the middle of its turn, so that no window of whole turns begins or ends in one.
    pub fn is_cut(&self, since_go_live: i64) -> bool {
        let whole = self.every.saturating_sub(self.lasts) / 2;
        let turn = since_go_live.div_euclid(SECOND) % self.every.max(1);
        since_go_live >= 0 && (whole..whole.saturating_add(self.lasts)).contains(&turn)
    }
}

impl Unconnected {
    /// The register line of one of these machines, counted from zero: `eq-101`, `eq-102` and so on.
    pub fn id(&self, number: u32) -> String {
        let first = self.equipment.as_str();
        let stem = first.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let (digits, width) = (&first[stem.len()..], first.len() - stem.len());
        match digits.parse::<u32>() {
            Ok(begin) => format!("{stem}{:0width$}", begin.saturating_add(number)),
            Err(_) => format!("{first}-{number}"),
        }
    }
}

fn every_day() -> Vec<u8> {
    (1..=7).collect()
}

const fn five_minutes() -> i64 {
    300
}

const fn one() -> u32 {
    1
}

impl Scenario {
    /// Reads and checks a scenario file.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(Box::new)?;
        scenario.check().map_err(|problem| ScenarioError::Meaning { scenario: scenario.id.clone(), problem })?;
        Ok(scenario)
    }

    /// A scenario that comes with the program, such as `demo`; see [`BUILTIN`].
    pub fn builtin(name: &str) -> Result<Self, ScenarioError> {
        let found = BUILTIN.iter().find(|(builtin, _)| *builtin == name);
        let (_, text) = found.ok_or_else(|| ScenarioError::Unknown(name.to_owned()))?;
        Self::parse(text)
    }

    /// The step of time in nanoseconds.
    pub fn quantum(&self) -> i64 {
        self.quantum_seconds * SECOND
    }

    /// The servers and whether they speak OPC UA, in order of name.
    pub fn servers(&self) -> Vec<(String, bool)> {
        let servers: BTreeSet<_> = self.machines.iter().map(|m| (m.server.clone(), m.kind.is_opcua())).collect();
        servers.into_iter().collect()
    }
}

/// Start and end of a span in nanoseconds since the midnight that its start belongs to.
pub(crate) fn shift_span(start: LocalTime, end: LocalTime) -> (i64, i64) {
    let (start, end) = (start.nanos(), end.nanos());
    if end > start { (start, end) } else { (start, end + 24 * HOUR) }
}

/// A span inside a shift that began at `shift_start`, in nanoseconds since the same midnight.
pub(crate) fn within(shift_start: i64, span: LocalSpan) -> (i64, i64) {
    let (start, end) = shift_span(span.start, span.end);
    if start < shift_start { (start + 24 * HOUR, end + 24 * HOUR) } else { (start, end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenarios_are_sound() {
        for (name, _) in BUILTIN {
            let scenario = Scenario::builtin(name).unwrap();
            assert_eq!(scenario.id, name);
        }
        assert!(Scenario::builtin("nowhere").unwrap_err().to_string().contains("there are demo, rings"));
        let kinds: BTreeSet<Kind> = Scenario::builtin("demo").unwrap().machines.iter().map(|m| m.kind).collect();
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn a_scenario_that_would_blur_the_truth_is_refused() {
        let (_, small) = BUILTIN.iter().find(|(name, _)| *name == "small").unwrap();
        let refuse = |from: &str, to: &str, why: &str| {
            assert!(small.contains(from), "{from:?} is not in the scenario");
            let error = Scenario::parse(&small.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(why), "{error:?} does not say {why:?}");
        };
        refuse("Asia/Shanghai", "Europe/Berlin", "not Asia/Shanghai");
        refuse("quantum_seconds = 10", "quantum_seconds = 7", "does not divide a minute");
        refuse("micro_stop_seconds = 300", "micro_stop_seconds = 60", "must be shorter than 60 s");
        refuse("seed =", "sede =", "unknown field");
    }

    #[test]
    fn local_spans_may_cross_midnight() {
        let span = LocalSpan::try_from("23:30-00:15".to_owned()).unwrap();
        assert_eq!(within(20 * HOUR, span), (23 * HOUR + 30 * MINUTE, 24 * HOUR + 15 * MINUTE));
        let span = LocalSpan::try_from("02:00-02:30".to_owned()).unwrap();
        assert_eq!(within(20 * HOUR, span), (26 * HOUR, 26 * HOUR + 30 * MINUTE));
        assert!(LocalTime::try_from("24:00".to_owned()).is_err());
    }
}
