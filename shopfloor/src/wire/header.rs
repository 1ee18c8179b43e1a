//! The header of a block: who, which one in the chain, what configuration, which time, what is missing.

mod record;

use std::collections::BTreeMap;

use crate::hash::Hash;
use crate::id::{AgentId, SiteId};
use crate::time::Interval;
use crate::wire::cbor::{CborError, Fields, Reader, Writer, required};

pub use self::record::{ClockState, GapKind, GapRecord, Marks, SectionEntry, SectionName};
use self::record::{read_interval, write_interval};

/// The version of the block format that this program writes and reads.
pub const FORMAT: u16 = 1;
/// Most sections of a block.
pub const SECTIONS_MAX: usize = 8;
/// Most gap records of a block; an agent with more puts the rest into the next block.
pub const GAPS_MAX: usize = 256;
/// Most causes of drops.
pub const DROPS_MAX: usize = 64;
/// Longest text of a header field in bytes.
pub const TEXT_MAX: usize = 256;

/// What stands at the head of a block and is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of the block format: [`FORMAT`].
    pub format: u16,
    /// The site.
    pub site: SiteId,
    /// The agent that built and signed it.
    pub agent: AgentId,
    /// From 1; changes only when the agent's history is lost or its key changes.
    pub epoch: u64,
    /// Place in the chain of the epoch, from 1, rising by exactly 1.
    pub sequence: u64,
    /// Hash of the block before; [`Hash::ZERO`] for sequence 1.
    pub prev_block_hash: Hash,
    /// Hash of the register map's canonical bytes.
    pub config_hash: Hash,
    /// Hash of the read plan in force, where there is one.
    pub plan_hash: Option<Hash>,
    /// Name and version of the program that built it.
    pub software: String,
    /// Drawn at random at each start of the agent's machine (or program, where the machine tells none).
    pub boot_id: [u8; 16],
    /// From the first instant this block answers for to the instant it was sealed. Rows observed before
    /// its start are restatements.
    pub window: Interval,
    /// Monotonic time at the start and the end of the window, ns since some instant of this boot.
    pub monotonic: (u64, u64),
    /// What is known of the agent's clock.
    pub clock: ClockState,
    /// Number of the first sample, contiguous over the blocks of an epoch, from 1.
    pub first_sample: u64,
    /// Number of samples: values of scan rows, and event rows that are no restatements. `seal` counts them.
    pub sample_count: u64,
    /// Of these: good, uncertain, bad. `seal` counts them.
    pub quality_counts: [u64; 3],
    /// Samples dropped before they could be sealed, by cause, since the epoch began; never falls.
    pub drops: BTreeMap<String, u64>,
    /// What is missing, by time or by sequence.
    pub gaps: Vec<GapRecord>,
    /// What a reader must be warned of.
    pub marks: Marks,
    /// The sections in the order they follow. `seal` fills them.
    pub sections: Vec<SectionEntry>,
}

impl Header {
    /// The header as deterministic CBOR. Errors: a field outside its bounds, named.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        self.check()?;
        let mut fields = Fields::new();
        fields.key(1).uint(u64::from(self.format));
        fields.key(2).text(self.site.as_str());
        fields.key(3).text(self.agent.as_str());
        fields.key(4).uint(self.epoch);
        fields.key(5).uint(self.sequence);
        fields.key(6).bytes(&self.prev_block_hash.0);
        fields.key(7).bytes(&self.config_hash.0);
        if let Some(plan) = &self.plan_hash {
            fields.key(8).bytes(&plan.0);
        }
        fields.key(9).text(&self.software);
        fields.key(10).bytes(&self.boot_id);
        write_interval(fields.key(11), self.window);
        fields.key(12).array(2).uint(self.monotonic.0).uint(self.monotonic.1 - self.monotonic.0);
        self.clock.write(fields.key(13));
        fields.key(14).uint(self.first_sample);
        fields.key(15).uint(self.sample_count);
        let [good, uncertain, bad] = self.quality_counts;
        fields.key(16).array(3).uint(good).uint(uncertain).uint(bad);
        if !self.drops.is_empty() {
            write_drops(fields.key(17), &self.drops);
        }
        if !self.gaps.is_empty() {
            let writer = fields.key(18).array(self.gaps.len());
            for gap in &self.gaps {
                gap.write(writer);
            }
        }
        if self.marks != Marks::default() {
            fields.key(19).uint(self.marks.bits());
        }
        let writer = fields.key(20).array(self.sections.len());
        for section in &self.sections {
            writer.array(4).text(section.name.as_str());
            writer.uint(u64::from(section.bytes)).uint(u64::from(section.inflated_bytes)).bytes(&section.hash.0);
        }
        Ok(fields.into_bytes())
    }

    /// Reads what `encode` writes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut raw = RawHeader::default();
        let mut reader = Reader::new(bytes);
        reader.fields(|key, reader| raw.field(key, reader))?;
        reader.end()?;
        let header = raw.finish()?;
        header.check()?;
        Ok(header)
    }

    /// Whether every field is within its bounds.
    fn check(&self) -> Result<(), CborError> {
        let refuse = |field, why: &str| Err(CborError::value(field, why));
        if self.format != FORMAT {
            return Err(CborError::value("format", format!("{} is not the known {FORMAT}", self.format)));
        }
        if self.epoch == 0 || self.sequence == 0 || self.first_sample == 0 {
            return refuse("epoch, sequence, first sample", "counted from 1, found 0");
        }
        if self.sequence == u64::MAX || self.first_sample.checked_add(self.sample_count).is_none() {
            return refuse("sequence, sample count", "beyond what can be counted");
        }
        if (self.sequence == 1) != (self.prev_block_hash == Hash::ZERO) {
            return refuse("prev_block_hash", "all zero exactly for sequence 1");
        }
        if self.software.len() > TEXT_MAX {
            return refuse("software", "longer than 256 bytes");
        }
        if self.window.start > self.window.end || self.monotonic.0 > self.monotonic.1 {
            return refuse("window, monotonic", "ends before it starts");
        }
        if self.window.end.as_nanos().checked_sub(self.window.start.as_nanos()).is_none() {
            return refuse("window", "longer than can be written");
        }
        let [good, uncertain, bad] = self.quality_counts;
        if good.checked_add(uncertain).and_then(|sum| sum.checked_add(bad)) != Some(self.sample_count) {
            return refuse("quality_counts", "do not add up to the sample count");
        }
        if self.drops.len() > DROPS_MAX || self.drops.keys().any(|cause| cause.len() > TEXT_MAX) {
            return refuse("drops", "more than 64 causes or a cause longer than 256 bytes");
        }
        if self.gaps.len() > GAPS_MAX || self.sections.len() > SECTIONS_MAX {
            return refuse("gaps, sections", "more than 256 gap records or 8 sections");
        }
        let mut names: Vec<_> = self.sections.iter().map(|section| &section.name).collect();
        names.sort();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("sections", "two have the same name");
        }
        self.gaps.iter().try_for_each(|gap| gap.check(self.sequence))
    }
}

/// Text keys of deterministic CBOR rise by length, then by content.
fn write_drops(writer: &mut Writer, drops: &BTreeMap<String, u64>) {
    let mut sorted: Vec<_> = drops.iter().collect();
    sorted.sort_by_key(|(cause, _)| (cause.len(), *cause));
    writer.map(sorted.len());
    for (cause, count) in sorted {
        writer.text(cause).uint(*count);
    }
}

fn read_drops(reader: &mut Reader<'_>) -> Result<BTreeMap<String, u64>, CborError> {
    let mut drops = BTreeMap::new();
    let mut last: Option<(usize, &str)> = None;
    for _ in 0..reader.map(DROPS_MAX)? {
        let at = reader.position();
        let cause = reader.text(TEXT_MAX)?;
        if last.is_some_and(|last| (cause.len(), cause) <= last) {
            return Err(CborError::KeyOrder(at));
        }
        last = Some((cause.len(), cause));
        drops.insert(cause.to_owned(), reader.uint()?);
    }
    Ok(drops)
}

/// The fields as they come, before it is known that all are there.
#[derive(Default)]
struct RawHeader {
    format: Option<u16>,
    site: Option<SiteId>,
    agent: Option<AgentId>,
    epoch: Option<u64>,
    sequence: Option<u64>,
    prev_block_hash: Option<Hash>,
    config_hash: Option<Hash>,
    plan_hash: Option<Hash>,
    software: Option<String>,
    boot_id: Option<[u8; 16]>,
    window: Option<Interval>,
    monotonic: Option<(u64, u64)>,
    clock: Option<ClockState>,
    first_sample: Option<u64>,
    sample_count: Option<u64>,
    quality_counts: Option<[u64; 3]>,
    drops: BTreeMap<String, u64>,
    gaps: Vec<GapRecord>,
    marks: Marks,
    sections: Option<Vec<SectionEntry>>,
}

impl RawHeader {
    fn field(&mut self, key: u64, reader: &mut Reader<'_>) -> Result<bool, CborError> {
        match key {
            1 => self.format = Some(known_format(reader.uint()?)?),
            2 => self.site = Some(reader.parse("site", 64)?),
            3 => self.agent = Some(reader.parse("agent", 64)?),
            4 => self.epoch = Some(reader.uint()?),
            5 => self.sequence = Some(reader.uint()?),
            6 => self.prev_block_hash = Some(reader.hash()?),
            7 => self.config_hash = Some(reader.hash()?),
            8 => self.plan_hash = Some(reader.hash()?),
            9 => self.software = Some(reader.text(TEXT_MAX)?.to_owned()),
            10 => self.boot_id = Some(reader.exact()?),
            11 => self.window = Some(read_interval(reader)?),
            12 => self.monotonic = Some(read_monotonic(reader)?),
            13 => self.clock = Some(ClockState::read(reader)?),
            14 => self.first_sample = Some(reader.uint()?),
            15 => self.sample_count = Some(reader.uint()?),
            16 => {
                reader.tuple(3)?;
                self.quality_counts = Some([reader.uint()?, reader.uint()?, reader.uint()?]);
            }
            17 => self.drops = not_empty("drops", read_drops(reader)?, BTreeMap::is_empty)?,
            18 => {
                let count = reader.array(GAPS_MAX)?;
                let gaps = (0..count).map(|_| GapRecord::read(reader)).collect::<Result<_, _>>()?;
                self.gaps = not_empty("gaps", gaps, Vec::is_empty)?;
            }
            19 => self.marks = Marks::from_bits(reader.uint()?)?,
            20 => {
                let count = reader.array(SECTIONS_MAX)?;
                self.sections = Some((0..count).map(|_| SectionEntry::read(reader)).collect::<Result<_, _>>()?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Result<Header, CborError> {
        Ok(Header {
            format: required(self.format, 1)?,
            site: required(self.site, 2)?,
            agent: required(self.agent, 3)?,
            epoch: required(self.epoch, 4)?,
            sequence: required(self.sequence, 5)?,
            prev_block_hash: required(self.prev_block_hash, 6)?,
            config_hash: required(self.config_hash, 7)?,
            plan_hash: self.plan_hash,
            software: required(self.software, 9)?,
            boot_id: required(self.boot_id, 10)?,
            window: required(self.window, 11)?,
            monotonic: required(self.monotonic, 12)?,
            clock: required(self.clock, 13)?,
            first_sample: required(self.first_sample, 14)?,
            sample_count: required(self.sample_count, 15)?,
            quality_counts: required(self.quality_counts, 16)?,
            drops: self.drops,
            gaps: self.gaps,
            marks: self.marks,
            sections: required(self.sections, 20)?,
        })
    }
}

/// A format that is not known is refused before any other field is looked at.
fn known_format(format: u64) -> Result<u16, CborError> {
    if format == u64::from(FORMAT) {
        return Ok(FORMAT);
    }
    Err(CborError::value("format", format!("{format} is not the known {FORMAT}")))
}

fn read_monotonic(reader: &mut Reader<'_>) -> Result<(u64, u64), CborError> {
    reader.tuple(2)?;
    let start = reader.uint()?;
    let end = start.checked_add(reader.uint()?).ok_or_else(|| CborError::value("monotonic", "too large"))?;
    Ok((start, end))
}

/// A field that may be left out must not be written empty: one header, one spelling.
fn not_empty<T>(field: &'static str, value: T, is_empty: impl Fn(&T) -> bool) -> Result<T, CborError> {
    if is_empty(&value) { Err(CborError::value(field, "written although empty")) } else { Ok(value) }
}
