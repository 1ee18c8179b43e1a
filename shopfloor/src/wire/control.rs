//! The small signed messages beside blocks: birth, ack, status, down.
//!
//! Envelope: magic `PLC1`, length of the body (u32, big-endian), body (deterministic CBOR), key id, signature over
//! the pre-authentication encoding of everything before the key id, under a payload type of its own for each kind.

use crate::hash::Hash;
use crate::id::{AgentId, SiteId};
use crate::time::Timestamp;
use crate::wire::cbor::{CborError, Fields, Reader, Writer, required};
use crate::wire::header::TEXT_MAX;
use crate::wire::sign::{self, KeyId, PublicKey, SecretKey, SignError, TRAILER_BYTES};

/// The first four bytes of every control message.
pub const MAGIC: [u8; 4] = *b"PLC1";
/// Longest control message in bytes; the MQTT packet limit.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;
/// Most ranges or refusals in one message.
pub const RANGES_MAX: usize = 256;

/// Why a control message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Not a control message, cut off, or with bytes behind it.
    #[error("control message: {0}; refused")]
    Form(&'static str),
    /// The body is not what its kind demands.
    #[error("control message: {0}")]
    Body(#[from] CborError),
    /// The signature does not hold.
    #[error("control message: {0}")]
    Signature(#[from] SignError),
}

/// Whom a message concerns and which key it names, read before any key is known. Not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The key that the trailer names.
    pub key_id: KeyId,
}

/// Agent to collector, retained: what I am and how my tags are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The agent's epoch.
    pub epoch: u64,
    /// Canonical bytes of the register map; their hash is the `config_hash` of its blocks.
    pub register_map: Vec<u8>,
    /// Name and version of the program.
    pub software: String,
    /// When it was sent, agent's clock.
    pub sent_at: Timestamp,
}

impl Birth {
    /// Hash of the register map.
    pub fn config_hash(&self) -> Hash {
        Hash::of(&self.register_map)
    }
}

/// Collector to agent, retained: what is on disk and logged. Forged, it would delete data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The epoch.
    pub epoch: u64,
    /// Everything up to this sequence may be deleted.
    pub contiguous: u64,
    /// Ranges received beyond it: not to be sent again, not to be deleted.
    pub beyond: Vec<(u64, u64)>,
    /// Sequences refused for good.
    pub refused: Vec<Refused>,
    /// Log index of the newest leaf of this agent.
    pub log_index: u64,
    /// Origin of the log.
    pub log_origin: String,
    /// When it was sent, collector's clock.
    pub sent_at: Timestamp,
}

/// A block that the collector will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its sequence.
    pub sequence: u64,
    /// Why, in words.
    pub reason: String,
}

/// Agent to collector, retained, also as last will: online or offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The epoch.
    pub epoch: u64,
    /// Whether the agent is there.
    pub online: bool,
    /// When it was signed, agent's clock: the last will is signed at connect.
    pub sent_at: Timestamp,
}

/// Collector to agent: a request. Nothing that writes to equipment exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// Publish the birth again.
    RequestBirth {
        /// The site.
        site: SiteId,
        /// The agent.
        agent: AgentId,
        /// When it was sent, collector's clock.
        sent_at: Timestamp,
    },
    /// Send these blocks again, or say in a gap record why not.
    RequestRanges {
        /// The site.
        site: SiteId,
        /// The agent.
        agent: AgentId,
        /// The epoch.
        epoch: u64,
        /// First and last sequence of each range.
        ranges: Vec<(u64, u64)>,
        /// When it was sent, collector's clock.
        sent_at: Timestamp,
    },
}

/// Reads site, agent and key id of any control message without verifying it.
pub fn peek(bytes: &[u8]) -> Result<Peek, ControlError> {
    let (_, body, trailer) = split(bytes)?;
    let mut reader = Reader::new(body);
    let common = Common::read(&mut reader, |_, reader| reader.skip().map(|()| true))?;
    Ok(Peek { site: common.site, agent: common.agent, key_id: sign::key_id(trailer) })
}

/// What is signed, the body in it, the trailer.
type Envelope<'a> = (&'a [u8], &'a [u8], &'a [u8; TRAILER_BYTES]);

fn split(bytes: &[u8]) -> Result<Envelope<'_>, ControlError> {
    if bytes.len() > CONTROL_BYTES_MAX {
        return Err(ControlError::Form("longer than 1 MiB"));
    }
    let (signed, trailer) =
        bytes.split_last_chunk::<TRAILER_BYTES>().ok_or(ControlError::Form("too short to be signed"))?;
    let (preamble, body) = signed.split_first_chunk::<8>().ok_or(ControlError::Form("too short to have a body"))?;
    if preamble[..4] != MAGIC {
        return Err(ControlError::Form("does not begin with PLC1"));
    }
    let length = preamble[4..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if length != body.len() {
        return Err(ControlError::Form("has another length than it says"));
    }
    Ok((signed, body, trailer))
}

fn envelope(payload_type: &str, body: &[u8], key: &SecretKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + body.len() + TRAILER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(body);
    let trailer = key.trailer(payload_type, &bytes);
    bytes.extend_from_slice(&trailer);
    bytes
}

fn verified<'a>(payload_type: &str, bytes: &'a [u8], key: &PublicKey) -> Result<Reader<'a>, ControlError> {
    let (signed, body, trailer) = split(bytes)?;
    key.verify(payload_type, signed, trailer)?;
    Ok(Reader::new(body))
}

/// The fields that every message begins with.
struct Common {
    site: SiteId,
    agent: AgentId,
    sent_at: Timestamp,
}

impl Common {
    fn write(site: &SiteId, agent: &AgentId, sent_at: Timestamp) -> Fields {
        let mut fields = Fields::new();
        fields.key(1).text(site.as_str());
        fields.key(2).text(agent.as_str());
        fields.key(3).int(sent_at.as_nanos());
        fields
    }

    /// Reads the whole body; keys other than the common ones go to `field`.
    fn read(
        reader: &mut Reader<'_>,
        mut field: impl FnMut(u64, &mut Reader<'_>) -> Result<bool, CborError>,
    ) -> Result<Self, CborError> {
        let (mut site, mut agent, mut sent_at) = (None, None, None);
        reader.fields(|key, reader| {
            match key {
                1 => site = Some(reader.parse("site", 64)?),
                2 => agent = Some(reader.parse("agent", 64)?),
                3 => sent_at = Some(Timestamp::from_nanos(reader.int()?)),
                _ => return field(key, reader),
            }
            Ok::<_, CborError>(true)
        })?;
        reader.end()?;
        Ok(Self { site: required(site, 1)?, agent: required(agent, 2)?, sent_at: required(sent_at, 3)? })
    }
}

fn write_ranges(writer: &mut Writer, ranges: &[(u64, u64)]) {
    let ranges = &ranges[..ranges.len().min(RANGES_MAX)];
    writer.array(ranges.len());
    for (first, last) in ranges {
        writer.array(2).uint(*first).uint(*last);
    }
}

fn read_ranges(reader: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, CborError> {
    let mut ranges = Vec::new();
    let mut least = 1;
    for _ in 0..reader.array(RANGES_MAX)? {
        reader.tuple(2)?;
        let (first, last) = (reader.uint()?, reader.uint()?);
        if first < least || last < first || last == u64::MAX {
            return Err(CborError::value("ranges", "not ascending"));
        }
        least = last + 1;
        ranges.push((first, last));
    }
    Ok(ranges)
}

impl Birth {
    /// DSSE payload type.
    pub const PAYLOAD_TYPE: &str = "application/vnd.plumbline.birth.v1";

    /// The signed message.
    pub fn encode(&self, key: &SecretKey) -> Vec<u8> {
        let mut fields = Common::write(&self.site, &self.agent, self.sent_at);
        fields.key(4).uint(self.epoch);
        fields.key(5).text(&self.software);
        fields.key(6).bytes(&self.register_map);
        envelope(Self::PAYLOAD_TYPE, &fields.into_bytes(), key)
    }

    /// Verifies and reads a signed message. The register map inside is not looked at.
    pub fn decode(bytes: &[u8], key: &PublicKey) -> Result<Self, ControlError> {
        let (mut epoch, mut software, mut register_map) = (None, None, None);
        let common = Common::read(&mut verified(Self::PAYLOAD_TYPE, bytes, key)?, |key, reader| {
            match key {
                4 => epoch = Some(reader.uint()?),
                5 => software = Some(reader.text(TEXT_MAX)?.to_owned()),
                6 => register_map = Some(reader.bytes(CONTROL_BYTES_MAX)?.to_vec()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let Common { site, agent, sent_at } = common;
        let (epoch, software) = (required(epoch, 4)?, required(software, 5)?);
        Ok(Self { site, agent, epoch, register_map: required(register_map, 6)?, software, sent_at })
    }
}

impl Ack {
    /// DSSE payload type.
    pub const PAYLOAD_TYPE: &str = "application/vnd.plumbline.ack.v1";

    /// The signed message. Ranges and refusals beyond 256 are left for the next one.
    pub fn encode(&self, key: &SecretKey) -> Vec<u8> {
        let mut fields = Common::write(&self.site, &self.agent, self.sent_at);
        fields.key(4).uint(self.epoch);
        fields.key(5).uint(self.contiguous);
        write_ranges(fields.key(6), &self.beyond);
        let refused = &self.refused[..self.refused.len().min(RANGES_MAX)];
        let writer = fields.key(7).array(refused.len());
        for refused in refused {
            writer.array(2).uint(refused.sequence).text(within(&refused.reason));
        }
        fields.key(8).uint(self.log_index);
        fields.key(9).text(&self.log_origin);
        envelope(Self::PAYLOAD_TYPE, &fields.into_bytes(), key)
    }

    /// Verifies and reads a signed message.
    pub fn decode(bytes: &[u8], key: &PublicKey) -> Result<Self, ControlError> {
        let (mut epoch, mut contiguous, mut beyond, mut refused) = (None, None, None, None);
        let (mut log_index, mut log_origin) = (None, None);
        let common = Common::read(&mut verified(Self::PAYLOAD_TYPE, bytes, key)?, |key, reader| {
            match key {
                4 => epoch = Some(reader.uint()?),
                5 => contiguous = Some(reader.uint()?),
                6 => beyond = Some(read_ranges(reader)?),
                7 => refused = Some(read_refused(reader)?),
                8 => log_index = Some(reader.uint()?),
                9 => log_origin = Some(reader.text(TEXT_MAX)?.to_owned()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            site: common.site,
            agent: common.agent,
            epoch: required(epoch, 4)?,
            contiguous: required(contiguous, 5)?,
            beyond: required(beyond, 6)?,
            refused: required(refused, 7)?,
            log_index: required(log_index, 8)?,
            log_origin: required(log_origin, 9)?,
            sent_at: common.sent_at,
        })
    }
}

/// At most 256 bytes of a text, cut between characters.
fn within(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

fn read_refused(reader: &mut Reader<'_>) -> Result<Vec<Refused>, CborError> {
    let mut refused = Vec::new();
    for _ in 0..reader.array(RANGES_MAX)? {
        reader.tuple(2)?;
        refused.push(Refused { sequence: reader.uint()?, reason: reader.text(TEXT_MAX)?.to_owned() });
    }
    Ok(refused)
}

impl Status {
    /// DSSE payload type.
    pub const PAYLOAD_TYPE: &str = "application/vnd.plumbline.status.v1";

    /// The signed message.
    pub fn encode(&self, key: &SecretKey) -> Vec<u8> {
        let mut fields = Common::write(&self.site, &self.agent, self.sent_at);
        fields.key(4).uint(self.epoch);
        fields.key(5).boolean(self.online);
        envelope(Self::PAYLOAD_TYPE, &fields.into_bytes(), key)
    }

    /// Verifies and reads a signed message.
    pub fn decode(bytes: &[u8], key: &PublicKey) -> Result<Self, ControlError> {
        let (mut epoch, mut online) = (None, None);
        let common = Common::read(&mut verified(Self::PAYLOAD_TYPE, bytes, key)?, |key, reader| {
            match key {
                4 => epoch = Some(reader.uint()?),
                5 => online = Some(reader.boolean()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let Common { site, agent, sent_at } = common;
        Ok(Self { site, agent, epoch: required(epoch, 4)?, online: required(online, 5)?, sent_at })
    }
}

impl Down {
    /// DSSE payload type.
    pub const PAYLOAD_TYPE: &str = "application/vnd.plumbline.down.v1";

    /// The signed message. Ranges beyond 256 are left for the next one.
    pub fn encode(&self, key: &SecretKey) -> Vec<u8> {
        let fields = match self {
            Self::RequestBirth { site, agent, sent_at } => {
                let mut fields = Common::write(site, agent, *sent_at);
                fields.key(4).uint(REQUEST_BIRTH);
                fields
            }
            Self::RequestRanges { site, agent, epoch, ranges, sent_at } => {
                let mut fields = Common::write(site, agent, *sent_at);
                fields.key(4).uint(REQUEST_RANGES);
                fields.key(5).uint(*epoch);
                write_ranges(fields.key(6), ranges);
                fields
            }
        };
        envelope(Self::PAYLOAD_TYPE, &fields.into_bytes(), key)
    }

    /// Verifies and reads a signed message.
    pub fn decode(bytes: &[u8], key: &PublicKey) -> Result<Self, ControlError> {
        let (mut kind, mut epoch, mut ranges) = (None, None, None);
        let common = Common::read(&mut verified(Self::PAYLOAD_TYPE, bytes, key)?, |key, reader| {
            match key {
                4 => kind = Some(reader.uint()?),
                5 => epoch = Some(reader.uint()?),
                6 => ranges = Some(read_ranges(reader)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let Common { site, agent, sent_at } = common;
        match required(kind, 4)? {
            REQUEST_BIRTH if epoch.is_none() && ranges.is_none() => Ok(Self::RequestBirth { site, agent, sent_at }),
            REQUEST_RANGES => {
                let (epoch, ranges) = (required(epoch, 5)?, required(ranges, 6)?);
                Ok(Self::RequestRanges { site, agent, epoch, ranges, sent_at })
            }
            kind => Err(CborError::value("kind of request", format!("{kind} is unknown or has foreign fields")).into()),
        }
    }
}

const REQUEST_BIRTH: u64 = 1;
const REQUEST_RANGES: u64 = 2;
