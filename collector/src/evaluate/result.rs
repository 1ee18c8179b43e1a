//! What a window came to, in the one shape in which it is kept in derived.db and answered by the API, so that the
//! kept result and the served one cannot differ. The figures come from `shopfloor::evaluate` alone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::{BoundedRatio, Count, Energy, Ratio, Span};
use super::words::{Reason, Words};

/// An id and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Versioned {
    /// Id.
    #[schema(example = "iso22400")]
    pub id: String,
    /// Version.
    #[schema(example = "1")]
    pub version: String,
}

/// Time spent in one leaf of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeafTime {
    /// Code of the leaf.
    #[schema(example = "RUN")]
    pub leaf: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Length under the convention that a state holds from its sample to the next.
    #[serde(flatten)]
    pub span: Span,
    /// The least that the samples allow.
    pub low: Span,
    /// The most that the samples allow.
    pub high: Span,
}

/// Low and high bound of a duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanText {
    /// Least.
    pub low: String,
    /// Most.
    pub high: String,
    /// Under the convention.
    pub point: String,
}

/// Low and high bound of a duration in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanMillis {
    /// Least.
    pub low: i64,
    /// Most.
    pub high: i64,
    /// Under the convention.
    pub point: i64,
}

/// A time element of ISO 22400-2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Element {
    /// PBT, APT, AUST, ADET or ADOT.
    #[schema(example = "APT")]
    pub code: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Exact nanoseconds.
    pub ns: SpanText,
    /// Whole milliseconds.
    pub ms: SpanMillis,
}

/// How many counter steps were of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepClass {
    /// `normal`, `rollover`, `reset`, `jump`, `decrease`, `ambiguous` or `gap`.
    pub class: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// Number of steps of the produced counter in this class.
    pub count: u64,
}

/// Quantities of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Produced quantity, PQ.
    pub produced: Count,
    /// Good quantity, GQ.
    pub good: Count,
    /// Scrap quantity, SQ.
    pub scrap: Count,
    /// Steps of the counters by class.
    pub steps: Vec<StepClass>,
}

/// Which result this one replaces, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restated {
    /// Version that is replaced.
    pub version: u32,
    /// Its data version.
    pub data_version: String,
    /// Why.
    pub cause: Cause,
    /// When it was noticed.
    pub at: String,
}

/// Why a settled result was made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// `late-blocks`, `plant-changed` or `definition-changed`.
    pub code: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Hashes of late blocks, at most 20.
    pub blocks: Vec<String>,
}

/// What a window came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowResult {
    /// Site.
    pub site: String,
    /// Work unit.
    pub work_unit: String,
    /// `hour`, `shift` or `day`.
    pub kind: String,
    /// Name of the window.
    pub label: Words,
    /// Shift, where it is one.
    pub shift: Option<String>,
    /// The site's date that the window belongs to.
    pub business_date: String,
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
    /// How far it is evaluated: the end, unless it is live.
    pub evaluated_until: String,
    /// `live`, `provisional`, `settled` or `restated`.
    pub state: String,
    /// Counts up with every restatement.
    pub version: u32,
    /// What it replaces.
    pub restates: Option<Restated>,
    /// OEE.
    pub oee: BoundedRatio,
    /// APT / PBT.
    pub availability: BoundedRatio,
    /// PRI · PQ / APT.
    pub effectiveness: BoundedRatio,
    /// GQ / PQ.
    pub quality_ratio: BoundedRatio,
    /// Every leaf; adds up to the evaluated time exactly.
    pub time: Vec<LeafTime>,
    /// Time elements.
    pub elements: Vec<Element>,
    /// Quantities.
    pub counts: Counts,
    /// Energy.
    pub energy: Energy,
    /// Stops that were shorter than the threshold.
    pub micro_stops: u64,
    /// Share of the planned time that is known.
    pub coverage: Option<Ratio>,
    /// What was noticed.
    pub remarks: Vec<Reason>,
    /// Definition of the figures.
    pub definition: Versioned,
    /// Profile of the OEE.
    pub profile: Versioned,
    /// Rule that turns samples into states.
    pub state_rule: Versioned,
    /// Version of the time-zone data.
    pub tz_version: String,
    /// Hash over blocks, plant document and definitions.
    pub data_version: String,
    /// Hash of the plant document.
    pub plant: String,
    /// Whether any of the data is simulated or signed with a demo key.
    pub demo: bool,
}

/// What one tag gave to a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Input {
    /// Tag.
    pub tag: String,
    /// Role.
    pub role: String,
    /// Samples inside the window.
    pub samples: u64,
    /// Good or uncertain ones.
    pub good: u64,
    /// Bad ones.
    pub bad: u64,
    /// First sample inside.
    pub first: Option<String>,
    /// Last sample inside.
    pub last: Option<String>,
    /// Blocks that touch the window.
    pub blocks: u64,
    /// Where the samples are.
    pub samples_url: String,
}

/// A line of the calculation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FormulaLine {
    /// Code of the line.
    pub code: String,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
    /// With symbols, and with the figures put in.
    #[schema(example = "APT / PBT = 21600 s / 27000 s")]
    pub expression: String,
    /// Unit of the value; empty for a ratio.
    pub unit: String,
    /// Numerator of the point, where there is one.
    pub num: Option<String>,
    /// Denominator of the point, where there is one.
    pub den: Option<String>,
    /// The point as a decimal.
    pub value: Option<f64>,
}

/// A block by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BlockName {
    /// Hash.
    pub hash: String,
    /// Index in the log.
    pub log_index: String,
    /// Agent.
    pub agent: String,
    /// Sequence.
    pub sequence: String,
}

/// The blocks behind a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BlockSpan {
    /// How many.
    pub count: u64,
    /// First in time.
    pub first: BlockName,
    /// Last in time.
    pub last: BlockName,
}

/// A version of a result that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeptVersion {
    /// Number.
    pub version: u32,
    /// `provisional`, `settled` or `restated`.
    pub state: String,
    /// Data version.
    pub data_version: String,
    /// When it was made.
    pub at: String,
    /// Why it replaced the one before.
    pub cause: Option<Cause>,
}

/// A window's result with everything that it was worked out from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WindowDetail {
    /// The result.
    #[serde(flatten)]
    pub result: WindowResult,
    /// Tags that went in.
    pub inputs: Vec<Input>,
    /// The calculation, line by line.
    pub formula: Vec<FormulaLine>,
    /// Blocks that went in.
    pub blocks: Option<BlockSpan>,
    /// Versions that were kept, oldest first.
    pub versions: Vec<KeptVersion>,
}
