//! What an evaluation answers: one work unit, one window, everything that is needed to see how it came about.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::calendar::PlannedSpan;
use crate::counter::Count;
use crate::id::{ProductId, ShiftId, TagName, WorkUnitId};
use crate::oee::{self, Figure, Ratio};
use crate::plant::Role;
use crate::remark::Remark;
use crate::time::{Interval, Timestamp};
use crate::time_element::Times;
use crate::timeline::Segment;
use crate::unit::Rational;

/// Which kind of window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// An hour of UTC-aligned local time.
    Hour,
    /// A shift of the calendar, whole.
    Shift,
    /// A day of the site: 23, 24 or 25 hours.
    Day,
    /// Any other stretch, for example a project's.
    Span,
}

impl WindowKind {
    /// The word in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Shift => "shift",
            Self::Day => "day",
            Self::Span => "span",
        }
    }

    /// The kind of a word.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Hour, Self::Shift, Self::Day, Self::Span].into_iter().find(|kind| kind.code() == code)
    }
}

/// A window that a work unit is evaluated over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// From the first instant inside to the first after.
    pub interval: Interval,
    /// Which kind.
    pub kind: WindowKind,
    /// What people call it, in local time: `2026-11-25 08:00`, `2026-11-25 白班`, `2026-11-25`.
    pub label: String,
    /// The business date.
    pub business_date: Date,
    /// The shift, for windows of kind Shift.
    pub shift: Option<ShiftId>,
}

/// The state of the newest sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The last segment of the timeline: its leaf, its cause, since when.
    pub segment: Segment,
    /// Time of the newest sample of any role, if there is one.
    pub newest_sample: Option<Timestamp>,
}

/// What was read from one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The tag.
    pub tag: TagName,
    /// What it is for.
    pub role: Role,
    /// Distinct samples inside the window.
    pub samples: u64,
    /// Of these Good or Uncertain.
    pub good: u64,
    /// Of these Bad.
    pub bad: u64,
    /// Time of the first inside the window.
    pub first: Option<Timestamp>,
    /// Time of the last inside the window.
    pub last: Option<Timestamp>,
}

/// Pieces of one product, and the ideal cycle that was used for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductCount {
    /// The product; `None` where none was named or known.
    pub product: Option<ProductId>,
    /// Produced quantity (PQ).
    pub produced: Count,
    /// Scrap quantity (SQ); `None` if it is not measured.
    pub scrap: Option<Count>,
    /// Planned run time per item in nanoseconds in force at the end of the run; `None` if there is none.
    pub per_item: Option<Rational>,
}

/// One line of the calculation as it can be shown and followed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormulaLine {
    /// Short name: `PBT`, `APT`, `M`, `N`, `availability` and so on.
    pub name: String,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
    /// The expression in symbols, and with the numbers put in.
    pub expression: String,
    /// The value under the convention.
    pub value: Option<Ratio>,
    /// Unit of the value: `ns`, `pieces` or empty for a ratio.
    pub unit: String,
}

/// Identity of every definition that a result rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Definitions {
    /// Id of the indicator definition of OEE.
    pub definition_id: String,
    /// Its version.
    pub definition_version: u32,
    /// OEE profile.
    pub profile_id: String,
    /// Its version.
    pub profile_version: u32,
    /// State rule.
    pub state_rule_id: String,
    /// Its version.
    pub state_rule_version: u32,
    /// Time-zone data version, for example `2025b`.
    pub tz_version: String,
}

/// The answer for one work unit and one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkUnitResult {
    /// The work unit.
    pub work_unit: WorkUnitId,
    /// The window as asked.
    pub window: Window,
    /// The part that is over: the window up to `now`. Every figure is about this part.
    pub evaluated: Interval,
    /// What the calendar planned in `evaluated`.
    pub planned: Vec<PlannedSpan>,
    /// The gap-free timeline of `evaluated`.
    pub segments: Vec<Segment>,
    /// The last segment and the newest sample; `None` if nothing of the window is over.
    pub current: Option<Current>,
    /// Time in each leaf, and the ISO 22400 time elements.
    pub times: Times,
    /// Produced quantity (PQ); `None` without a counter.
    pub produced: Option<Count>,
    /// Good quantity (GQ = PQ - SQ); `None` without a scrap counter.
    pub good: Option<Count>,
    /// Scrap quantity (SQ); `None` without a counter.
    pub scrap: Option<Count>,
    /// Energy in kWh; `None` without a meter.
    pub energy_kwh: Option<Count>,
    /// Pieces by product run.
    pub products: Vec<ProductCount>,
    /// Availability = APT / PBT.
    pub availability: Figure,
    /// Effectiveness = sum of PRI x PQ / APT.
    pub effectiveness: Figure,
    /// Quality ratio = GQ / PQ, over several products weighted by their ideal time.
    pub quality_ratio: Figure,
    /// OEE index = sum of PRI x GQ / PBT.
    pub oee: Figure,
    /// Availability x effectiveness = sum of PRI x PQ / PBT, which needs no scrap counter.
    pub availability_effectiveness: Figure,
    /// The times and amounts that the factors were made of, so that those of several work units can be added.
    pub parts: oee::Inputs,
    /// Whether the quality parts are pieces; else they are ideal time.
    pub quality_in_pieces: bool,
    /// Share of the planned busy time (of the window, if nothing was planned) with known state.
    pub coverage: Option<Ratio>,
    /// Minor stops: how many stops of the window were shorter than the threshold.
    pub micro_stops: u64,
    /// The lines of the calculation.
    pub formula: Vec<FormulaLine>,
    /// What was read.
    pub inputs: Vec<Input>,
    /// What was noticed.
    pub remarks: Vec<Remark>,
    /// What it rests on.
    pub definitions: Definitions,
}

impl WorkUnitResult {
    /// Time in each leaf, in nanoseconds, all eleven leaves, in the order of the ledger.
    pub fn leaves(&self) -> &BTreeMap<crate::state::Leaf, i64> {
        &self.times.leaves
    }
}
