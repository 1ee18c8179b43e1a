//! The parts of a header: clock, gap records, marks, names and entries of sections.

use std::fmt;
use std::str::FromStr;

use super::TEXT_MAX;
use crate::hash::Hash;
use crate::time::{Interval, Timestamp};
use crate::wire::cbor::{CborError, Fields, Reader, Writer, required};

/// What the agent knows of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockState {
    /// Whether the operating system says that the clock is synchronised; `None` if it does not say.
    pub synced: Option<bool>,
    /// Estimated offset to the reference in ns, if known.
    pub offset: Option<i64>,
    /// Bound of its error in ns, if known.
    pub uncertainty: Option<u64>,
    /// How far the wall clock stepped against the monotonic one within this block's window, ns; 0 if it did not.
    pub stepped: i64,
}

/// Why something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// Whole blocks left the queue because it was full or too old.
    Evicted,
    /// The collector refused blocks for good; the agent parked them.
    Refused,
    /// Blocks or journal rows became unreadable on the agent's disk.
    Corrupted,
    /// The agent did not run.
    AgentDown,
    /// A restored collector lacks blocks that it had acknowledged and the agent had deleted; `detail` cites the receipt.
    Restored,
    /// A source could not be reached.
    CommunicationLost,
    /// A source said that it dropped values (an OPC UA overflow bit), or a buffer of ours was full.
    Overflow,
    /// The clock could not be trusted.
    ClockUnusable,
    /// The disk refused writes, so nothing could be kept.
    DiskRefused,
}

impl GapKind {
    const ALL: [Self; 9] = [
        Self::Evicted,
        Self::Refused,
        Self::Corrupted,
        Self::AgentDown,
        Self::Restored,
        Self::CommunicationLost,
        Self::Overflow,
        Self::ClockUnusable,
        Self::DiskRefused,
    ];

    /// The name in documents and programs' answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Refused => "refused",
            Self::Corrupted => "corrupted",
            Self::AgentDown => "agent_down",
            Self::Restored => "restored",
            Self::CommunicationLost => "communication_lost",
            Self::Overflow => "overflow",
            Self::ClockUnusable => "clock_unusable",
            Self::DiskRefused => "disk_refused",
        }
    }

    const fn code(self) -> u64 {
        self as u64 + 1
    }

    fn from_code(code: u64) -> Result<Self, CborError> {
        let place = usize::try_from(code).unwrap_or(0).wrapping_sub(1);
        Self::ALL.get(place).copied().ok_or_else(|| CborError::value("gap kind", format!("{code} is unknown")))
    }
}

/// A signed statement that something is missing, and why.
///
/// The rules that let the collector's end always reach the top (`tests/it/ack_model.rs` proves them): the record of an
/// eviction begins at the first sequence that was not acknowledged, so that a record which is evicted itself is
/// restated; a block that is parked hands its own gap records on to the next block, beside the record about itself;
/// asked for a range that it had deleted on an ack, the agent says so (`Restored`) in its next block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRecord {
    /// Why.
    pub kind: GapKind,
    /// First and last sequence of blocks that will not come; both below the sequence of the block that says so.
    pub sequences: Option<(u64, u64)>,
    /// The time that is not covered.
    pub interval: Option<Interval>,
    /// Hash of the last of these blocks, so that the chain stays checkable.
    pub last_block_hash: Option<Hash>,
    /// Source, receipt or cause in words; may be empty.
    pub detail: String,
}

/// What a reader must be warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // four independent facts, each shown by its name
pub struct Marks {
    /// The signing key is a demo key: anyone can derive it.
    pub demo_key: bool,
    /// MQTT without TLS off loopback.
    pub insecure_mqtt: bool,
    /// OPC UA without security.
    pub insecure_opcua: bool,
    /// Some source is simulated.
    pub simulated: bool,
}

impl Marks {
    pub(super) const fn bits(self) -> u64 {
        self.demo_key as u64
            | (self.insecure_mqtt as u64) << 1
            | (self.insecure_opcua as u64) << 2
            | (self.simulated as u64) << 3
    }

    pub(super) fn from_bits(bits: u64) -> Result<Self, CborError> {
        if bits == 0 || bits > 15 {
            return Err(CborError::value("marks", format!("{bits} is not a set of known marks")));
        }
        Ok(Self {
            demo_key: bits & 1 != 0,
            insecure_mqtt: bits & 2 != 0,
            insecure_opcua: bits & 4 != 0,
            simulated: bits & 8 != 0,
        })
    }

    /// The names of the marks that are set.
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.demo_key, "demo_key"),
            (self.insecure_mqtt, "insecure_mqtt"),
            (self.insecure_opcua, "insecure_opcua"),
            (self.simulated, "simulated"),
        ];
        all.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
    }
}

/// The name of a section: 1 to 16 characters of `a-z 0-9 _`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionName(String);

impl SectionName {
    /// States, counters, energy.
    pub fn kpi() -> Self {
        Self("kpi".to_owned())
    }

    /// All the rest.
    pub fn process() -> Self {
        Self("process".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SectionName {
    type Err = CborError;
    fn from_str(text: &str) -> Result<Self, CborError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if first && text.len() <= 16 && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let why = format!("{text:?} is not 1 to 16 characters of a-z 0-9 _ beginning with a letter");
        Err(CborError::value("section name", why))
    }
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the header says of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionEntry {
    /// Its name.
    pub name: SectionName,
    /// Length as it follows, compressed.
    pub bytes: u32,
    /// Length after inflation.
    pub inflated_bytes: u32,
    /// SHA-256 of the compressed bytes.
    pub hash: Hash,
}

pub(super) fn write_interval(writer: &mut Writer, interval: Interval) {
    writer.array(2).int(interval.start.as_nanos()).uint(interval.nanos().cast_unsigned());
}

pub(super) fn read_interval(reader: &mut Reader<'_>) -> Result<Interval, CborError> {
    reader.tuple(2)?;
    let start = reader.int()?;
    let end = start.checked_add_unsigned(reader.uint()?);
    let end = end.ok_or_else(|| CborError::value("interval", "ends beyond the year 2262"))?;
    Ok(Interval { start: Timestamp::from_nanos(start), end: Timestamp::from_nanos(end) })
}

impl ClockState {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.array(4);
        match self.synced {
            Some(synced) => writer.boolean(synced),
            None => writer.null(),
        };
        match self.offset {
            Some(offset) => writer.int(offset),
            None => writer.null(),
        };
        match self.uncertainty {
            Some(uncertainty) => writer.uint(uncertainty),
            None => writer.null(),
        };
        writer.int(self.stepped);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CborError> {
        reader.tuple(4)?;
        let synced = if reader.null() { None } else { Some(reader.boolean()?) };
        let offset = if reader.null() { None } else { Some(reader.int()?) };
        let uncertainty = if reader.null() { None } else { Some(reader.uint()?) };
        Ok(Self { synced, offset, uncertainty, stepped: reader.int()? })
    }
}

impl GapRecord {
    pub(super) fn check(&self, sequence: u64) -> Result<(), CborError> {
        let refuse = |why: &str| Err(CborError::value("gap record", why));
        if self.sequences.is_none() && self.interval.is_none() {
            return refuse("names neither sequences nor an interval");
        }
        if let Some((first, last)) = self.sequences
            && (first == 0 || first > last || last >= sequence)
        {
            return refuse("sequences are not a range below the block's own sequence");
        }
        if self.last_block_hash.is_some() && self.sequences.is_none() {
            return refuse("names a last block without sequences");
        }
        if self.detail.len() > TEXT_MAX {
            return refuse("detail is longer than 256 bytes");
        }
        match self.interval {
            Some(gap) if gap.end.as_nanos().checked_sub(gap.start.as_nanos()).is_none_or(|length| length < 0) => {
                refuse("interval ends before it starts")
            }
            _ => Ok(()),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let mut fields = Fields::new();
        fields.key(1).uint(self.kind.code());
        if let Some((first, last)) = self.sequences {
            fields.key(2).array(2).uint(first).uint(last);
        }
        if let Some(interval) = self.interval {
            write_interval(fields.key(3), interval);
        }
        if let Some(hash) = &self.last_block_hash {
            fields.key(4).bytes(&hash.0);
        }
        if !self.detail.is_empty() {
            fields.key(5).text(&self.detail);
        }
        fields.end(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CborError> {
        let (mut kind, mut sequences, mut interval, mut last_block_hash) = (None, None, None, None);
        let mut detail = String::new();
        reader.fields(|key, reader| {
            match key {
                1 => kind = Some(GapKind::from_code(reader.uint()?)?),
                2 => {
                    reader.tuple(2)?;
                    sequences = Some((reader.uint()?, reader.uint()?));
                }
                3 => interval = Some(read_interval(reader)?),
                4 => last_block_hash = Some(reader.hash()?),
                5 => reader.text(TEXT_MAX)?.clone_into(&mut detail),
                _ => return Ok::<_, CborError>(false),
            }
            Ok(true)
        })?;
        Ok(Self { kind: required(kind, 1)?, sequences, interval, last_block_hash, detail })
    }
}

impl SectionEntry {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CborError> {
        reader.tuple(4)?;
        Ok(Self {
            name: reader.parse("section name", 16)?,
            bytes: reader.small("section length")?,
            inflated_bytes: reader.small("section inflated length")?,
            hash: reader.hash()?,
        })
    }
}
