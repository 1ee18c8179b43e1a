//! Sections: groups of raw readings, written as columns and compressed as a whole.
//!
//! A block stands alone: nothing here refers to an earlier block. Names, units and places are in the register map.

mod event;
mod scan;
mod values;

use crate::sample::StatusCode;
use crate::wire::column::{ColumnError, Source, put_varint};

pub use crate::wire::header::SectionName;

/// What a device said, undecoded.
///
/// Modbus: the words as read, in the order read, each big-endian, one after another (1 to 4 words; the whole
/// register also where a tag is one bit of it); a coil or discrete input is 0 or 1. OPC UA: integers as
/// two's complement of 64 bits, floats as their IEEE bits (f32 in the low 32 bits), Boolean as 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// Up to 64 bits.
    Bits(u64),
    /// A text: an OPC UA String, or a Modbus text of any number of registers.
    Text(String),
}

/// The readings of one group in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// Polled: every scheduled scan is a row.
    Scan(ScanGroup),
    /// Notified.
    Event(EventGroup),
}

impl Group {
    /// Index into `RegisterMap::groups`.
    pub const fn group(&self) -> u16 {
        match self {
            Self::Scan(scan) => scan.group,
            Self::Event(event) => event.group,
        }
    }
}

/// Rows of one planned read request: shared times, one column of values per tag.
///
/// Times in whole microseconds are enough for any bus and cost a byte and a half less each than nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanGroup {
    /// Index into `RegisterMap::groups`.
    pub group: u16,
    /// When each request was sent, ns UTC.
    pub request: Vec<i64>,
    /// When its answer came or its failure was clear, ns UTC; as many as requests.
    pub response: Vec<i64>,
    /// One per tag, in ascending order of tag.
    pub columns: Vec<ScanColumn>,
}

/// The values of one tag in a scan group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanColumn {
    /// Index into `RegisterMap::tags`.
    pub tag: u16,
    /// One per row, all `Bits` or all `Text`; a row that is Bad carries `Bits(0)` or an empty text.
    pub values: Vec<Raw>,
    /// Rows that are not Good, in ascending order; a row not listed is Good.
    pub exceptions: Vec<(u32, StatusCode)>,
}

/// Notifications of one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventGroup {
    /// Index into `RegisterMap::groups`.
    pub group: u16,
    /// Times of life signs (every publish response, keep-alives included), ns UTC, never falling.
    pub life: Vec<i64>,
    /// One per tag, in ascending order of tag.
    pub columns: Vec<EventColumn>,
}

/// The notifications of one tag. The first row may restate the last known value with its original times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventColumn {
    /// Index into `RegisterMap::tags`.
    pub tag: u16,
    /// In the order received.
    pub rows: Vec<EventRow>,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Source time stamp, ns UTC, as the server sent it.
    pub source_time: Option<i64>,
    /// Server time stamp, ns UTC, as the server sent it.
    pub server_time: Option<i64>,
    /// When the agent saw it, ns UTC.
    pub observed_time: i64,
    /// The status code as sent.
    pub status: StatusCode,
    /// The value as sent; a value may come with any status.
    pub value: Option<Raw>,
}

/// Why a section cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// The bytes are not what the writer makes.
    #[error("section: {0}")]
    Column(#[from] ColumnError),
    /// The groups do not fit together.
    #[error("section, group {group}: {why}")]
    Shape {
        /// Index of the group.
        group: u16,
        /// What does not fit.
        why: &'static str,
    },
    /// The compressed bytes do not inflate.
    #[error("section does not inflate: {0}")]
    Inflate(String),
    /// The section inflates to another length than the header says.
    #[error("section inflates to another length than the {declared} bytes its header says")]
    Length {
        /// As the header says.
        declared: u32,
    },
    /// A declared size beyond its bound, refused before anything is inflated.
    #[error("section of {bytes} bytes declares {declared} inflated bytes, more than the {max} allowed")]
    Bomb {
        /// Compressed length.
        bytes: usize,
        /// As the header says.
        declared: u32,
        /// The bound.
        max: u64,
    },
}

const SCAN: u8 = 0;
const EVENT: u8 = 1;

/// The groups as the bytes of a section, not yet compressed. Groups without rows and life signs are kept.
pub fn encode(groups: &[Group]) -> Result<Vec<u8>, SectionError> {
    let mut bytes = Vec::with_capacity(1024);
    put_varint(&mut bytes, groups.len() as u64);
    for group in groups {
        match group {
            Group::Scan(scan) => scan::put(&mut bytes, scan)?,
            Group::Event(event) => event::put(&mut bytes, event)?,
        }
    }
    Ok(bytes)
}

/// Reads what [`encode`] writes. Gives at most `values_max` values, counted before they are allocated.
pub fn decode(bytes: &[u8], values_max: u32) -> Result<Vec<Group>, SectionError> {
    let mut source = Source::new(bytes, values_max);
    let count = source.count("number of groups")?;
    let mut groups = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let at = source.position();
        groups.push(match source.byte()? {
            SCAN => Group::Scan(scan::read(&mut source)?),
            EVENT => Group::Event(event::read(&mut source)?),
            code => return Err(ColumnError::Code { at, what: "group", code: u64::from(code) }.into()),
        });
    }
    source.end()?;
    Ok(groups)
}

/// Compresses the bytes of a section: zlib (RFC 1950), so that any standard library reads it.
///
/// `miniz_oxide` is called by name: the same columns then give the same bytes in every build and on every processor.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, DEFLATE_LEVEL)
}

/// The level at which another step costs more processor time than it saves bytes (`examples/layout.rs` measures it).
const DEFLATE_LEVEL: u8 = 5;

/// Inflates a section to exactly `declared` bytes, which the caller has found within its bounds.
pub fn inflate(compressed: &[u8], declared: u32) -> Result<Vec<u8>, SectionError> {
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

    let length = usize::try_from(declared).map_err(|_| SectionError::Length { declared })?;
    let mut bytes = vec![0; length];
    let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | inflate_flags::TINFL_FLAG_COMPUTE_ADLER32;
    let mut state = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(&mut state, compressed, &mut bytes, 0, flags);
    match status {
        TINFLStatus::Done if read == compressed.len() && written == length => Ok(bytes),
        // Too short, too long, or with bytes behind its end.
        TINFLStatus::Done | TINFLStatus::HasMoreOutput | TINFLStatus::FailedCannotMakeProgress => {
            Err(SectionError::Length { declared })
        }
        other => Err(SectionError::Inflate(format!("{other:?}"))),
    }
}

/// The columns of a group in ascending order of tag. Errors: a tag that comes twice.
fn ordered<T>(group: u16, columns: &[T], tag: impl Fn(&T) -> u16) -> Result<Vec<&T>, SectionError> {
    let mut ordered: Vec<&T> = columns.iter().collect();
    ordered.sort_by_key(|column| tag(column));
    if ordered.windows(2).any(|pair| tag(pair[0]) == tag(pair[1])) {
        return Err(SectionError::Shape { group, why: "two columns have the same tag" });
    }
    Ok(ordered)
}

/// Tags rise; each is written as what it exceeds the least it could be.
fn put_tags(bytes: &mut Vec<u8>, tags: impl Iterator<Item = u16>) {
    let mut least = 0_u32;
    for tag in tags {
        put_varint(bytes, u64::from(u32::from(tag).saturating_sub(least)));
        least = u32::from(tag) + 1;
    }
}

fn tags(source: &mut Source<'_>, count: usize) -> Result<Vec<u16>, ColumnError> {
    let mut least = 0_u64;
    let mut tags = Vec::with_capacity(count);
    for _ in 0..count {
        let at = source.position();
        let tag = source.varint()?.checked_add(least).and_then(|tag| u16::try_from(tag).ok());
        let tag = tag.ok_or(ColumnError::Range { at, what: "tag" })?;
        least = u64::from(tag) + 1;
        tags.push(tag);
    }
    Ok(tags)
}

fn status(source: &mut Source<'_>) -> Result<StatusCode, ColumnError> {
    let bytes = source.take(4)?;
    Ok(StatusCode(bytes.iter().fold(0, |status, byte| status << 8 | u32::from(*byte))))
}
