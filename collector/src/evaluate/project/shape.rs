//! Shapes of a project: what was agreed, what was delivered, what each criterion came to.
//!
//! One document for the page, the API, the printed sheet and the workbook: each writes these fields down and
//! computes nothing. A figure's `text` is what people read; `value`, `num` and `den` are what programs compare.

use serde::Serialize;
use utoipa::ToSchema;

use crate::evaluate::number::Number;
use crate::evaluate::words::{Reason, Words};

/// A coded term with its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Term {
    /// Stable code.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Term {
    /// The term of these parts.
    pub fn new(code: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code: code.into(), zh: zh.into(), en: en.into() }
    }
}

/// An exact number and the text that every reader is shown.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Figure {
    /// Nearest `f64`; a ratio as a fraction of one, energy per piece in kWh.
    #[schema(example = 0.6075)]
    pub value: f64,
    /// Exact numerator.
    pub num: String,
    /// Exact denominator, above zero.
    pub den: String,
    /// What people read, rounded once.
    pub text: Words,
}

/// The least, the most and the value under the convention.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Range {
    /// The least; null when nothing can be said.
    pub low: Option<Figure>,
    /// The most; null with `low` present means that it is open.
    pub high: Option<Figure>,
    /// The value under the convention that a state holds from its sample to the next.
    pub point: Option<Figure>,
}

/// The same with the reason why there is nothing or why the upper bound is open.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Bounded {
    /// The least; null when nothing can be said.
    pub low: Option<Figure>,
    /// The most; null with `low` present means that it is open.
    pub high: Option<Figure>,
    /// The value under the convention that a state holds from its sample to the next.
    pub point: Option<Figure>,
    /// Why there is nothing, or why the upper bound is open.
    pub reason: Option<Reason>,
}

/// How far the figures are worked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    /// `current`; `computing`: nothing is worked out yet for this version; `recomputing`: blocks came since, and
    /// what is shown is the answer as of `as_of`.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// 0 to 100.
    pub percent: u8,
}

/// An id with its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NamedBoth {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
}

/// A stage of the programme's path and the date on which it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stage {
    /// `diagnosis`, `incubation`, `matching`, `rebuilding`, `acceptance` or `promotion`.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// The site's date; null where it has not begun.
    pub date: Option<String>,
}

/// How many criteria came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerdictCounts {
    /// 数据支持达标.
    pub pass: u64,
    /// 数据不支持达标.
    pub fail: u64,
    /// 证据不足.
    pub insufficient: u64,
}

/// Contract lines and how many of them are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeliveryCounts {
    /// Lines of the contract.
    pub lines: u64,
    /// Of these delivered in full.
    pub delivered: u64,
}

/// When the criteria went into the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Registered {
    /// When the first version was received.
    pub at: String,
    /// Its place in the log.
    pub log_index: String,
    /// Its hash.
    pub hash: String,
    /// Whether that was before the after-window began. If not, it is 补登记 for ever.
    pub in_time: bool,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What a list and the project itself both say.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProjectFacts {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// 项目编号.
    pub code: Option<String>,
    /// 智能生产线, 数字化车间, 智能工厂 or 未来工厂.
    pub level: Term,
    /// The factory.
    pub site: NamedBoth,
    /// The present stage.
    pub stage: Option<Stage>,
    /// All stages.
    pub path: Vec<Stage>,
    /// What it comes to as a whole.
    pub conclusion: Term,
    /// Why, in a sentence.
    pub conclusion_reason: Reason,
    /// Verdicts.
    pub counts: VerdictCounts,
    /// Delivery.
    pub delivery: DeliveryCounts,
    /// The lowest coverage of any criterion's windows.
    pub lowest_coverage: Option<Figure>,
    /// Milestones that are missed or in danger.
    pub warnings: Vec<Reason>,
    /// Registration.
    pub registered: Registered,
    /// Whether any of the data is simulated or signed with a demo key.
    pub demo: bool,
    /// How far the figures are worked out.
    pub state: Progress,
}

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProjectRow {
    /// The project.
    #[serde(flatten)]
    pub facts: ProjectFacts,
    /// Number of changes after registration.
    pub changes: u64,
}

/// A party to the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Party {
    /// `enterprise`, `supplier`, `supervisor` or `diagnostician`.
    pub role: Term,
    /// Name.
    pub name: String,
    /// Whom to call.
    pub contact: Option<String>,
}

/// A window of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Span {
    /// First instant.
    pub from: String,
    /// First instant after.
    pub until: String,
    /// In the site's time, for people.
    pub text: Words,
}

/// A device of a contract line.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContractEquipment {
    /// Id in the register.
    pub id: String,
    /// Name; null when the register has no such line.
    pub name: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// `online`, `declared`, `never-online` or `missing`.
    pub standing: Term,
    /// The work unit it is, if it is measured here.
    pub work_unit: Option<String>,
    /// First data.
    pub first_data: Option<String>,
    /// Newest data.
    pub last_data: Option<String>,
    /// Share of the after-window that is known.
    pub coverage: Option<Figure>,
}

/// A line of the contract.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContractLine {
    /// Line number as the contract has it.
    pub id: String,
    /// What it is.
    pub name: String,
    /// How many.
    pub quantity: u64,
    /// Whether as many are really online.
    pub delivered: bool,
    /// Why, in a sentence.
    pub reason: Reason,
    /// Device by device.
    pub equipment: Vec<ContractEquipment>,
}

/// An indicator as its definition has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndicatorShape {
    /// Id.
    pub id: String,
    /// Version.
    pub version: u32,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Unit; empty for a ratio.
    pub unit: String,
    /// The formula in symbols.
    pub expression: String,
    /// Where it is defined.
    pub source: String,
}

/// The target of a criterion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Target {
    /// `absolute`, `points` or `percent`.
    pub kind: String,
    /// Chinese name of the kind.
    pub zh: String,
    /// English name of the kind.
    pub en: String,
    /// The whole target in words.
    pub text: Words,
    /// As it was written.
    pub value: Number,
}

/// One work unit's part of a measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MeasuredUnit {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Its figure.
    pub figure: Bounded,
    /// Share of its planned time that is known.
    pub coverage: Option<Figure>,
    /// First instant of its window.
    pub start: String,
    /// First instant after.
    pub end: String,
}

/// What an indicator came to in a window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MeasuredShape {
    /// First instant.
    pub from: String,
    /// First instant after.
    pub until: String,
    /// The figure over all work units: parts added, never averaged.
    pub figure: Bounded,
    /// Share of the planned time that is known.
    pub coverage: Option<Figure>,
    /// Unit by unit.
    pub work_units: Vec<MeasuredUnit>,
}

/// What would settle a criterion that is not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settle {
    /// Stable code.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Work unit.
    pub work_unit: Option<String>,
    /// Tag.
    pub tag: Option<String>,
    /// Whole days more.
    pub days: Option<i64>,
}

/// A change after registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeShape {
    /// When the version that changed it was received.
    pub at: String,
    /// Who wrote it.
    pub author: String,
    /// Why.
    pub reason: Option<String>,
    /// Its place in the log.
    pub log_index: String,
    /// Its hash.
    pub hash: String,
    /// What was changed.
    pub what: Words,
    /// As it was.
    pub before: String,
    /// As it is.
    pub after: String,
    /// The criterion, where it concerns one.
    pub criterion: Option<String>,
}

/// A criterion and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CriterionShape {
    /// Id.
    pub id: String,
    /// Indicator.
    pub indicator: IndicatorShape,
    /// Scope.
    pub work_units: Vec<NamedBoth>,
    /// `up` or `down`.
    pub direction: String,
    /// Target.
    pub target: Target,
    /// Decision rule: `point` or `lower-end`.
    pub rule: Term,
    /// Least coverage that both windows need.
    pub coverage_minimum: Figure,
    /// Baseline.
    pub before: MeasuredShape,
    /// After.
    pub after: MeasuredShape,
    /// Difference in points (for energy: in its unit).
    pub points: Option<Range>,
    /// Difference as a share of the baseline.
    pub relative: Option<Range>,
    /// 判定.
    pub verdict: Term,
    /// Why, in a sentence.
    pub reason: Reason,
    /// What would settle it.
    pub settle: Vec<Settle>,
    /// The answer by the contract's point value, whichever rule is agreed.
    pub meets_by_point: Option<bool>,
    /// The answer by the unfavourable end of the bounds.
    pub meets_by_lower_end: Option<bool>,
    /// 未做统计检验.
    pub statistics: Words,
    /// Its changes after registration.
    pub changes: Vec<ChangeShape>,
}

/// A version of the project in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProjectVersionShape {
    /// Hash of its text.
    pub hash: String,
    /// Its place in the log.
    pub log_index: String,
    /// When it was received.
    pub received: String,
    /// Who wrote it.
    pub author: String,
}

/// The signed head of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckpointShape {
    /// Name of the log.
    pub origin: String,
    /// Leaves that it covers.
    pub size: String,
    /// Root of the tree.
    pub root: String,
    /// The signed text; null before the first checkpoint, then size and root are those of the log now.
    pub note: Option<String>,
}

/// A project with everything that it was judged by.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProjectDetail {
    /// As in the list.
    #[serde(flatten)]
    pub facts: ProjectFacts,
    /// Parties.
    pub parties: Vec<Party>,
    /// When the rebuilt equipment went live.
    pub go_live: Option<String>,
    /// Baseline window.
    pub baseline: Span,
    /// After window.
    pub after: Span,
    /// Delivery, line by line.
    pub contract_lines: Vec<ContractLine>,
    /// Criteria.
    pub criteria: Vec<CriterionShape>,
    /// Every change after registration.
    pub changes: Vec<ChangeShape>,
    /// Versions, oldest first.
    pub versions: Vec<ProjectVersionShape>,
    /// Head of the log.
    pub checkpoint: CheckpointShape,
    /// Up to which instant the figures are worked out.
    pub as_of: String,
    /// Program and version.
    pub software: String,
    /// Definitions, rules and data that the figures rest on.
    pub definitions: Vec<Reason>,
}
