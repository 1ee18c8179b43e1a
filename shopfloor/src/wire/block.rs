//! A block: preamble, header, sections, trailer. Built once, signed once, never encoded again.

use crate::hash::Hash;
use crate::sample::{Quality, StatusCode};
use crate::time::Timestamp;
use crate::wire::cbor::CborError;
use crate::wire::header::{Header, SectionEntry, SectionName};
use crate::wire::section::{self, Group, SectionError};
use crate::wire::sign::{self, KeyId, PublicKey, SecretKey, SignError, TRAILER_BYTES};

/// The first four bytes of every block.
pub const MAGIC: [u8; 4] = *b"PLB1";
/// DSSE payload type of a block: the signed body is preamble and header.
pub const PAYLOAD_TYPE: &str = "application/vnd.plumbline.block.v1";

/// A block as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The block, ready for queue and wire.
    pub bytes: Vec<u8>,
    /// SHA-256 of preamble and header: the block's name.
    pub hash: Hash,
    /// The header as signed.
    pub header: Header,
}

/// Bounds that a reader sets before it allocates anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest block in bytes.
    pub block_bytes_max: usize,
    /// Longest header in bytes.
    pub header_bytes_max: usize,
    /// Most bytes of one section after inflation.
    pub inflated_bytes_max: u32,
    /// Most inflated bytes per compressed byte, for sections that inflate beyond 64 KiB.
    pub ratio_max: u32,
    /// Most values (and times) of one section, and most samples of a block.
    pub values_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            block_bytes_max: 1 << 20,
            header_bytes_max: 64 << 10,
            inflated_bytes_max: 8 << 20,
            ratio_max: 500,
            values_max: 1 << 20,
        }
    }
}

/// Why a block cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not a block, or one of another version of the format.
    #[error("block does not begin with PLB1; refused")]
    Magic,
    /// The block ends before its parts do.
    #[error("block of {found} bytes is cut off: its parts need {needed}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        needed: usize,
    },
    /// Bytes follow the trailer.
    #[error("{0} bytes follow the block's trailer; refused")]
    Trailing(usize),
    /// Beyond a stated bound.
    #[error("block's {what} is {found}, more than the {max} allowed; refused")]
    TooBig {
        /// What is too big.
        what: &'static str,
        /// How big it is.
        found: u64,
        /// The bound.
        max: u64,
    },
    /// The header is not a header.
    #[error("block header: {0}")]
    Header(#[from] CborError),
    /// A section's bytes do not have the hash that the header says.
    #[error("section {0} does not have the hash that its header says; refused")]
    SectionHash(SectionName),
    /// A section cannot be written or read.
    #[error("section {name}: {source}")]
    Section {
        /// Its name.
        name: SectionName,
        /// What is wrong.
        source: SectionError,
    },
    /// The block has no section of that name.
    #[error("block has no section {0}")]
    NoSection(SectionName),
    /// The counts in the header are not those of the sections.
    #[error("block header counts good, uncertain, bad {declared:?}, its sections hold {found:?}; refused")]
    Counts {
        /// As the header says.
        declared: [u64; 3],
        /// As counted.
        found: [u64; 3],
    },
    /// The signature does not hold.
    #[error("block: {0}")]
    Signature(#[from] SignError),
}

/// A block whose structure, sizes and section hashes were checked; its signature was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The header.
    pub header: Header,
    /// SHA-256 of preamble and header.
    pub hash: Hash,
    /// The key that the trailer names.
    pub key_id: KeyId,
    signed: &'a [u8],
    sections: Vec<&'a [u8]>,
    trailer: &'a [u8; TRAILER_BYTES],
    limits: Limits,
}

/// Builds a block. The draft's `sections`, `sample_count` and `quality_counts` are filled here; sections without
/// groups are left out. Errors: a field or a size beyond its bounds under [`Limits::default`].
pub fn seal(draft: Header, sections: &[(SectionName, Vec<Group>)], key: &SecretKey) -> Result<Sealed, BlockError> {
    let limits = Limits::default();
    let mut header = Header { sections: Vec::new(), ..draft };
    let mut counts = [0; 3];
    let mut bodies = Vec::new();
    for (name, groups) in sections.iter().filter(|(_, groups)| !groups.is_empty()) {
        let failed = |source| BlockError::Section { name: name.clone(), source };
        count_into(&mut counts, groups, header.window.start);
        let plain = section::encode(groups).map_err(failed)?;
        // What is sealed must be readable for ever, so it is read once before it is signed.
        section::decode(&plain, limits.values_max).map_err(failed)?;
        let body = section::deflate(&plain);
        let entry = SectionEntry {
            name: name.clone(),
            bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            inflated_bytes: u32::try_from(plain.len()).unwrap_or(u32::MAX),
            hash: Hash::of(&body),
        };
        limits.admit(&entry)?;
        header.sections.push(entry);
        bodies.push(body);
    }
    header.quality_counts = counts;
    header.sample_count = counts.iter().sum();
    within("number of values", header.sample_count, limits.values_max.into())?;
    let encoded = header.encode()?;
    within("header", encoded.len() as u64, limits.header_bytes_max as u64)?;
    let mut bytes =
        Vec::with_capacity(PREAMBLE_BYTES + encoded.len() + TRAILER_BYTES + bodies.iter().map(Vec::len).sum::<usize>());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&encoded);
    let hash = Hash::of(&bytes);
    let trailer = key.trailer(PAYLOAD_TYPE, &bytes);
    for body in &bodies {
        bytes.extend_from_slice(body);
    }
    bytes.extend_from_slice(&trailer);
    within("length", bytes.len() as u64, limits.block_bytes_max as u64)?;
    Ok(Sealed { bytes, hash, header })
}

/// Opens a block: structure, sizes, deterministic header, section hashes. Not the signature: see [`Opened::verify`].
pub fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>, BlockError> {
    within("length", bytes.len() as u64, limits.block_bytes_max as u64)?;
    let mut rest = bytes;
    if !bytes.starts_with(&MAGIC[..bytes.len().min(4)]) {
        return Err(BlockError::Magic);
    }
    let preamble = cut(&mut rest, PREAMBLE_BYTES, bytes)?;
    let length = preamble[4..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    within("header", length as u64, limits.header_bytes_max as u64)?;
    let header = Header::decode(cut(&mut rest, length, bytes)?)?;
    let signed = &bytes[..PREAMBLE_BYTES + length];
    let mut sections = Vec::with_capacity(header.sections.len());
    for entry in &header.sections {
        limits.admit(entry)?;
        let body = cut(&mut rest, entry.bytes as usize, bytes)?;
        if Hash::of(body) != entry.hash {
            return Err(BlockError::SectionHash(entry.name.clone()));
        }
        sections.push(body);
    }
    let trailer = cut(&mut rest, TRAILER_BYTES, bytes)?;
    let trailer: &[u8; TRAILER_BYTES] = trailer.try_into().expect("the trailer was cut to its length");
    if !rest.is_empty() {
        return Err(BlockError::Trailing(rest.len()));
    }
    Ok(Opened {
        hash: Hash::of(signed),
        key_id: sign::key_id(trailer),
        header,
        signed,
        sections,
        trailer,
        limits: *limits,
    })
}

/// Bytes of magic and header length.
pub const PREAMBLE_BYTES: usize = 8;

fn cut<'a>(rest: &mut &'a [u8], length: usize, whole: &[u8]) -> Result<&'a [u8], BlockError> {
    let done = whole.len() - rest.len();
    let short = BlockError::Short { found: whole.len(), needed: done.saturating_add(length) };
    let (part, left) = rest.split_at_checked(length).ok_or(short)?;
    *rest = left;
    Ok(part)
}

fn within(what: &'static str, found: u64, max: u64) -> Result<(), BlockError> {
    if found > max { Err(BlockError::TooBig { what, found, max }) } else { Ok(()) }
}

impl Limits {
    /// Whether a section of the declared sizes may be inflated.
    fn admit(&self, entry: &SectionEntry) -> Result<(), BlockError> {
        let by_ratio = u64::from(entry.bytes).saturating_mul(self.ratio_max.into()).max(64 << 10);
        let max = by_ratio.min(self.inflated_bytes_max.into());
        if u64::from(entry.inflated_bytes) <= max {
            return Ok(());
        }
        let source = SectionError::Bomb { bytes: entry.bytes as usize, declared: entry.inflated_bytes, max };
        Err(BlockError::Section { name: entry.name.clone(), source })
    }
}

/// Counts samples by quality: each value of a scan row, each event row that is no restatement.
fn count_into(counts: &mut [u64; 3], groups: &[Group], start: Timestamp) {
    let place = |status: StatusCode| match status.quality() {
        Quality::Good => 0,
        Quality::Uncertain => 1,
        Quality::Bad => 2,
    };
    for group in groups {
        match group {
            Group::Scan(scan) => {
                for column in &scan.columns {
                    counts[0] += (column.values.len().saturating_sub(column.exceptions.len())) as u64;
                    column.exceptions.iter().for_each(|(_, status)| counts[place(*status)] += 1);
                }
            }
            Group::Event(event) => {
                let rows = event.columns.iter().flat_map(|column| &column.rows);
                let fresh = rows.filter(|row| row.observed_time >= start.as_nanos());
                fresh.for_each(|row| counts[place(row.status)] += 1);
            }
        }
    }
}

impl Opened<'_> {
    /// Checks the signature, strictly.
    pub fn verify(&self, key: &PublicKey) -> Result<(), BlockError> {
        Ok(key.verify(PAYLOAD_TYPE, self.signed, self.trailer)?)
    }

    /// The 64 bytes of the signature.
    pub fn signature(&self) -> &[u8] {
        &self.trailer[8..]
    }

    /// The groups of one section.
    pub fn section(&self, name: &SectionName) -> Result<Vec<Group>, BlockError> {
        let place = self.header.sections.iter().position(|entry| entry.name == *name);
        self.read(place.ok_or_else(|| BlockError::NoSection(name.clone()))?)
    }

    /// All groups with the names of their sections, in the order of the block; checks the header's counts too.
    pub fn groups(&self) -> Result<Vec<(SectionName, Group)>, BlockError> {
        let mut all = Vec::new();
        let mut found = [0; 3];
        for (place, entry) in self.header.sections.iter().enumerate() {
            let groups = self.read(place)?;
            count_into(&mut found, &groups, self.header.window.start);
            all.extend(groups.into_iter().map(|group| (entry.name.clone(), group)));
        }
        let declared = self.header.quality_counts;
        if declared == found { Ok(all) } else { Err(BlockError::Counts { declared, found }) }
    }

    fn read(&self, place: usize) -> Result<Vec<Group>, BlockError> {
        let entry = &self.header.sections[place];
        let failed = |source| BlockError::Section { name: entry.name.clone(), source };
        let plain = section::inflate(self.sections[place], entry.inflated_bytes).map_err(failed)?;
        section::decode(&plain, self.limits.values_max).map_err(failed)
    }
}
