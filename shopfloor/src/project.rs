//! A project (改造项目) as its project.toml describes it: path, parties, contract lines, windows, criteria.
//!
//! Made by [`crate::file::project::parse`]; whatever is here has been checked as far as the file alone allows.
//! What needs the factory's plant.toml is checked by [`check_against`].

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar;
use crate::display::{self, Text, Unit};
use crate::id::{ContractLineId, CriterionId, EquipmentId, ProjectId, SiteId, WorkUnitId};
use crate::indicator::Indicator;
use crate::time::{HOUR, Interval, Timestamp};
use crate::unit::Rational;

mod against;

pub use against::{Against, check_against};

/// The newest schema of project.toml that this program reads.
pub const SCHEMA: i64 = 1;

/// Most criteria that a project may have.
pub const CRITERIA_MAX: usize = 10;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Schema version of the file.
    pub schema: i64,
    /// Id.
    pub id: ProjectId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// 项目编号, as the programme gave it.
    pub code: Option<String>,
    /// The factory.
    pub site: SiteId,
    /// What it is to become.
    pub level: Level,
    /// Who wrote this version.
    pub author: String,
    /// Why this version differs from the one before.
    pub reason: Option<String>,
    /// When the new equipment goes live.
    pub go_live: Moment,
    /// The path with its dates; the last one given is where the project stands.
    pub stages: BTreeMap<Stage, Date>,
    /// Who takes part.
    pub parties: Vec<Party>,
    /// The window before.
    pub baseline: Span,
    /// The window after.
    pub after: Span,
    /// Equipment lines of the contract.
    pub contract_lines: Vec<ContractLine>,
    /// What is judged.
    pub criteria: Vec<Criterion>,
}

impl Project {
    /// The stage that the project stands at, and since when.
    pub fn stage(&self) -> Option<(Stage, Date)> {
        self.stages.iter().next_back().map(|(stage, date)| (*stage, *date))
    }

    /// Both windows and the go-live as instants of the site's zone.
    pub fn windows(&self, zone: &TimeZone) -> Windows {
        Windows {
            baseline: self.baseline.resolve(zone),
            after: self.after.resolve(zone),
            go_live: self.go_live.resolve(zone),
        }
    }

    /// The criterion of an id.
    pub fn criterion(&self, id: &CriterionId) -> Option<&Criterion> {
        self.criteria.iter().find(|criterion| criterion.id == *id)
    }

    /// The party of a role.
    pub fn party(&self, role: PartyRole) -> Option<&Party> {
        self.parties.iter().find(|party| party.role == role)
    }
}

/// A date, which stands for its midnight at the site, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Midnight of a local date.
    Date(Date),
    /// An instant.
    Instant(Timestamp),
}

impl Moment {
    /// The instant in a zone.
    pub fn resolve(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Date(date) => calendar::instant(zone, date.at(0, 0, 0, 0)),
            Self::Instant(at) => at,
        }
    }

    /// Whether it lies before another in every zone: what a file without its factory can say.
    pub fn is_before_everywhere(self, other: Self) -> bool {
        match (self, other) {
            (Self::Date(a), Self::Date(b)) => a < b,
            (Self::Instant(a), Self::Instant(b)) => a < b,
            // Zones reach from 14 hours before Greenwich to 12 behind it.
            (Self::Date(_), Self::Instant(b)) => self.resolve(&TimeZone::UTC).plus(12 * HOUR) < b,
            (Self::Instant(a), Self::Date(_)) => a < other.resolve(&TimeZone::UTC).plus(-14 * HOUR),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => write!(f, "{date}"),
            Self::Instant(at) => write!(f, "{at}"),
        }
    }
}

/// A window as the file writes it; `until` is the first moment after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First moment inside.
    pub from: Moment,
    /// First moment after.
    pub until: Moment,
}

impl Span {
    /// The interval in a zone; empty where the end does not lie after the start.
    pub fn resolve(self, zone: &TimeZone) -> Interval {
        let start = self.from.resolve(zone);
        Interval { start, end: self.until.resolve(zone).max(start) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} .. {}", self.from, self.until)
    }
}

/// The windows of a project as instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Before (基准期).
    pub baseline: Interval,
    /// After (改造后).
    pub after: Interval,
    /// When the new equipment goes live.
    pub go_live: Timestamp,
}

/// A word with a code and its names in two languages.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal, $zh:literal, $en:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$item_doc])* $item,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$item),+];

            /// The word in files and in the API.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$item => $code),+ }
            }

            /// The one of a word.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.code() == code)
            }

            /// As people read it.
            pub fn text(self) -> $crate::display::Text {
                match self { $(Self::$item => $crate::display::Text::new($zh, $en)),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Steps of the path, in order.
    Stage {
        /// 诊断摸排.
        Diagnosis = "diagnosis", "诊断摸排", "diagnosis";
        /// 培育入库.
        Incubation = "incubation", "培育入库", "incubation";
        /// 供需对接.
        Matching = "matching", "供需对接", "matching";
        /// 改造实施.
        Rebuilding = "rebuilding", "改造实施", "rebuilding";
        /// 评估验收.
        Acceptance = "acceptance", "评估验收", "acceptance";
        /// 推广.
        Promotion = "promotion", "推广", "promotion";
    }
}

words! {
    /// What the project is to make of the factory, in the programme's words.
    Level {
        /// 智能生产线.
        ProductionLine = "production-line", "智能生产线", "smart production line";
        /// 数字化车间.
        DigitalWorkshop = "digital-workshop", "数字化车间", "digital workshop";
        /// 智能工厂.
        SmartFactory = "smart-factory", "智能工厂", "smart factory";
        /// 未来工厂.
        FutureFactory = "future-factory", "未来工厂", "future factory";
    }
}

words! {
    /// Who takes part in a project.
    PartyRole {
        /// 企业.
        Enterprise = "enterprise", "企业", "enterprise";
        /// 服务商.
        Supplier = "supplier", "服务商", "supplier";
        /// 监理.
        Supervisor = "supervisor", "监理", "supervisor";
        /// 诊断机构.
        Diagnostician = "diagnostician", "诊断机构", "diagnostician";
    }
}

words! {
    /// Which way is better.
    Direction {
        /// More is better.
        Up = "up", "提升", "increase";
        /// Less is better.
        Down = "down", "下降", "decrease";
    }
}

words! {
    /// In what the target of a criterion is stated.
    TargetKind {
        /// The value after, whatever it was before.
        Absolute = "absolute", "绝对值", "absolute value";
        /// The change, in percentage points.
        Points = "points", "百分点", "percentage points";
        /// The change, in percent of the value before.
        Percent = "percent", "百分比（相对改造前）", "percent of the value before";
    }
}

words! {
    /// By which number a criterion is decided, as agreed beforehand.
    Rule {
        /// The value under the convention, as the contract names it.
        Point = "point", "合同点值", "contract point value";
        /// The unfavourable end of the bounds.
        LowerEnd = "lower-end", "区间不利端", "unfavourable end of the bounds";
    }
}

/// One who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// As what.
    pub role: PartyRole,
    /// Name.
    pub name: String,
    /// Whom to call.
    pub contact: Option<String>,
}

/// An equipment line of the contract (合同设备清单).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractLine {
    /// The line as the contract numbers it.
    pub id: ContractLineId,
    /// What is to be delivered.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// Which lines of the equipment register it became; no more than `quantity`.
    pub equipment: Vec<EquipmentId>,
}

/// Which work units a criterion is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All connected work units of the site (`"*"` in the file).
    All,
    /// These, in the order of the file.
    Units(Vec<WorkUnitId>),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Units(units) => {
                let names: Vec<_> = units.iter().map(WorkUnitId::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// In what it is stated.
    pub kind: TargetKind,
    /// The number as it is written: a fraction or kWh per piece for `absolute`, points or percent otherwise.
    pub value: Rational,
}

impl Target {
    /// The number to compare with: points and percent as fractions of one.
    pub fn threshold(self) -> Rational {
        let hundredth = Rational::new(1, 100).and_then(|hundredth| self.value.checked_mul(hundredth));
        match self.kind {
            TargetKind::Absolute => self.value,
            // A hundredth that does not fit stays as it is: it is a target beyond all measure either way.
            TargetKind::Points | TargetKind::Percent => hundredth.unwrap_or(self.value),
        }
    }
}

/// One thing that is judged (验收指标).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criterion {
    /// Id.
    pub id: CriterionId,
    /// What is measured.
    pub indicator: Indicator,
    /// Over which work units.
    pub scope: Scope,
    /// Which way is better.
    pub direction: Direction,
    /// What is to be reached.
    pub target: Target,
    /// By which number it is decided.
    pub rule: Rule,
    /// Least coverage of both windows, above 0, at most 1.
    pub coverage: Rational,
    /// Whether the file says so itself; else it is the default of [`DEFAULT_COVERAGE_PERCENT`].
    pub coverage_stated: bool,
}

/// Least coverage where a criterion does not state one.
pub const DEFAULT_COVERAGE_PERCENT: i128 = 95;

impl Criterion {
    /// The target as a sentence part: `提升 ≥ 3 个百分点`, `下降 ≥ 10 %（相对改造前）`, `≥ 65 %`.
    pub fn target_text(&self) -> Text {
        let unit = self.indicator.unit;
        let way = self.direction.text();
        let value = display::plain(self.target.value);
        match self.target.kind {
            TargetKind::Points => {
                Text::new(format!("{} ≥ {value} 个百分点", way.zh), format!("{} of at least {value} points", way.en))
            }
            TargetKind::Percent => Text::new(
                format!("{} ≥ {value} %（相对改造前）", way.zh),
                format!("{} of at least {value} % of the value before", way.en),
            ),
            TargetKind::Absolute => {
                let sign = if self.direction == Direction::Up { "≥" } else { "≤" };
                let reached = match unit {
                    Unit::Share => Text::both(display::plain_percent(self.target.value)),
                    Unit::KwhPerPiece => {
                        Text::new(format!("{value} {}", unit.text().zh), format!("{value} {}", unit.text().en))
                    }
                };
                Text::new(format!("改造后 {sign} {}", reached.zh), format!("after {sign} {}", reached.en))
            }
        }
    }

    /// Whether the criterion covers a work unit; `connected` says whether any of its tags has a role.
    pub fn covers(&self, unit: &WorkUnitId, connected: bool) -> bool {
        match &self.scope {
            Scope::All => connected,
            Scope::Units(units) => units.contains(unit),
        }
    }
}
