//! Shapes of what lies beneath a figure: timeline, energy, samples, blocks, agents, the log.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::unit_shape::Ends;
use crate::evaluate::number::{Energy, Ratio};
use crate::evaluate::words::{Reason, Words};

/// A stretch of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Planned {
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
    /// `planned-busy`, `break`, `planned-maintenance` or `off`.
    pub kind: String,
    /// Shift.
    pub shift: Option<String>,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
}

/// A stretch of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Segment {
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
    /// Leaf of the ledger.
    pub leaf: String,
    /// Why, where the data say so.
    pub cause: Option<Reason>,
    /// Whether the class may still change: a short stop that has not ended.
    pub provisional: bool,
    /// Chinese name.
    pub zh: String,
    /// English name.
    pub en: String,
}

/// What was planned and what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimelineShape {
    /// First instant.
    pub start: String,
    /// First instant after; not later than now.
    pub end: String,
    /// The calendar.
    pub planned: Vec<Planned>,
    /// The states, without a gap.
    pub segments: Vec<Segment>,
}

/// Energy of one window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EnergyStep {
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: String,
    /// The site's date.
    pub business_date: String,
    /// Name.
    pub label: Words,
    /// Energy.
    pub energy: Energy,
    /// Share of the planned time that is known.
    pub coverage: Option<Ratio>,
    /// `live`, `provisional`, `settled` or `restated`.
    pub state: String,
    /// Version of the window's result.
    pub version: u32,
}

/// Energy over a range, as a whole and step by step.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EnergyShape {
    /// Always `kWh`.
    pub unit: String,
    /// Over the whole range.
    pub total: Energy,
    /// By hour, shift or day.
    pub steps: Vec<EnergyStep>,
}

/// A tag as an agent declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TagShape {
    /// Work unit.
    pub work_unit: String,
    /// Tag.
    pub tag: String,
    /// Role in the plant.
    pub role: Option<String>,
    /// Section of the block.
    pub section: String,
    /// Unit of its values.
    pub unit: String,
    /// Type on the device.
    pub data_type: String,
    /// Where its bits lie.
    pub place: String,
    /// Agent.
    pub agent: String,
    /// Source.
    pub source: String,
    /// `modbus-tcp` or `opc-ua`.
    pub protocol: String,
    /// `device` or `simulated`.
    pub origin: String,
    /// For how long a value may be taken to hold.
    pub stale_after_ms: i64,
}

/// A value of any type.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnyValue {
    /// A bit.
    Bit(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
}

/// A sample with the words it was read as and the block that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SampleShape {
    /// The instant it speaks for.
    pub at: String,
    /// Time of the device.
    pub source_time: Option<String>,
    /// Time of the server.
    pub server_time: Option<String>,
    /// Time of the agent.
    pub observed_time: String,
    /// When the request was sent.
    pub request_time: Option<String>,
    /// When its block was received.
    pub received_time: String,
    /// The value; null when it is bad.
    pub value: Option<AnyValue>,
    /// The value exactly, where it is a number of integers.
    pub exact: Option<String>,
    /// Unit.
    pub unit: String,
    /// `good`, `uncertain` or `bad`.
    pub quality: String,
    /// Name of the status code.
    #[schema(example = "BadTimeout (0x800A0000)")]
    pub status: String,
    /// All 32 bits.
    pub status_code: u32,
    /// The words in one.
    #[schema(example = "0x000004d2")]
    pub raw_hex: Option<String>,
    /// The words as read, in the order read.
    pub words: Vec<String>,
    /// Where they lie.
    pub place: String,
    /// `scan`, `event` or `life-sign`.
    pub by: String,
    /// Block.
    pub block_hash: String,
    /// Its index in the log.
    pub log_index: String,
    /// Agent.
    pub agent: String,
    /// Epoch.
    pub epoch: String,
    /// Sequence.
    pub sequence: String,
}

/// Samples by quality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QualityCounts {
    /// Good.
    pub good: String,
    /// Uncertain.
    pub uncertain: String,
    /// Bad.
    pub bad: String,
}

/// A recorded gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GapShape {
    /// Kind.
    pub kind: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// First and last sequence that is missing.
    pub sequences: Option<(String, String)>,
    /// The time that is missing.
    pub interval: Option<Ends>,
    /// In the agent's words.
    pub detail: String,
}

/// A block's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeaderShape {
    /// Version of the format.
    pub format: u16,
    /// Site.
    pub site: String,
    /// Agent.
    pub agent: String,
    /// Epoch.
    pub epoch: String,
    /// Sequence, from 1.
    pub sequence: String,
    /// Hash of the block before.
    pub prev_block_hash: String,
    /// Hash of the register map.
    pub config_hash: String,
    /// Hash of a plan, if there is one.
    pub plan_hash: Option<String>,
    /// Program and version.
    pub software: String,
    /// Boot of the machine.
    pub boot_id: String,
    /// First and last observation.
    pub window: Ends,
    /// State of the agent's clock.
    pub clock: String,
    /// Number of the first sample.
    pub first_sample: String,
    /// Number of samples.
    pub sample_count: String,
    /// By quality.
    pub quality_counts: QualityCounts,
    /// Dropped so far, by cause.
    pub drops: BTreeMap<String, String>,
    /// Recorded gaps.
    pub gaps: Vec<GapShape>,
    /// What limits its worth as evidence.
    pub marks: Vec<String>,
}

/// Whether the signature holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignatureShape {
    /// Key id.
    pub key_id: String,
    /// Whether it holds; null when the key is not known here.
    pub valid: Option<bool>,
    /// The public key it was checked with.
    pub public_key: Option<String>,
    /// Why it is not valid or not checked.
    pub reason: Option<Reason>,
}

/// A group inside a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupShape {
    /// `scan` or `event`.
    pub kind: String,
    /// Source.
    pub source: String,
    /// Rows.
    pub rows: u64,
    /// Tags.
    pub tags: Vec<String>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SectionShape {
    /// Name.
    pub name: String,
    /// Compressed bytes.
    pub bytes: u64,
    /// Bytes after inflating.
    pub inflated_bytes: u64,
    /// Hash that the header commits to.
    pub hash: String,
    /// Whether the bytes have that hash.
    pub hash_ok: bool,
    /// Groups.
    pub groups: Vec<GroupShape>,
}

/// A block in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BlockShape {
    /// Hash.
    pub hash: String,
    /// Index in the log.
    pub log_index: String,
    /// When it was received.
    pub received_time: String,
    /// Hash of its leaf.
    pub leaf_hash: String,
    /// Bytes.
    pub size: u64,
    /// Whether it links to the block before; null when that one is not here.
    pub chain_ok: Option<bool>,
    /// Header.
    pub header: HeaderShape,
    /// Signature.
    pub signature: SignatureShape,
    /// Sections.
    pub sections: Vec<SectionShape>,
}

/// An agent as the collector knows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AgentShape {
    /// Site.
    pub site: String,
    /// Agent.
    pub agent: String,
    /// Whether it says that it is on line; null when it has never said.
    pub online: Option<bool>,
    /// Epoch.
    pub epoch: String,
    /// Everything up to here is held.
    pub contiguous: String,
    /// Ranges held beyond it.
    pub beyond: Vec<(String, String)>,
    /// End of the newest block.
    pub newest_block_time: Option<String>,
    /// Sequences that are missing.
    pub missing: String,
    /// Time that nothing accounts for.
    pub unaccounted_gap_seconds: f64,
    /// Alarms.
    pub alarms: Vec<Reason>,
    /// What limits the worth of its blocks as evidence.
    pub marks: Vec<String>,
    /// Program and version.
    pub software: Option<String>,
}

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogShape {
    /// Origin.
    pub origin: String,
    /// Entries.
    pub size: String,
    /// Root of the tree.
    pub root: String,
    /// Newest signed checkpoint.
    pub checkpoint: Option<String>,
}
