//! Where each tag's bits lie and what they mean: the pure function from raw words to samples.
//!
//! The register map is a document: canonical bytes, named by their hash in every block. Blocks carry indexes into
//! its groups and tags; order, scale or unit "fixed" afterwards is another document and stays visible.

mod decode;
mod document;

use std::collections::BTreeSet;

use crate::hash::Hash;
use crate::id::{AgentId, SiteId, SourceId, TagName};
use crate::unit::Rational;
use crate::wire::cbor::CborError;
use crate::wire::header::TEXT_MAX;
use crate::wire::section::SectionName;

pub use self::decode::{RawSample, SOURCE_AHEAD_MAX, decode, raw_samples, samples, words};

/// Most sources, groups or tags of one agent: a block names them by 16 bits.
pub const ENTRIES_MAX: usize = 1 << 16;

/// Everything that an agent reads, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterMap {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// Connections.
    pub sources: Vec<SourceEntry>,
    /// Read requests and subscriptions.
    pub groups: Vec<GroupEntry>,
    /// Tags; each name once.
    pub tags: Vec<TagEntry>,
}

/// One connection to one device or server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// Its name in the agent's configuration.
    pub id: SourceId,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Address, as configured, without secrets.
    pub endpoint: String,
    /// How far it is known who answers.
    pub auth: SourceAuth,
}

/// A protocol of equipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Modbus TCP.
    ModbusTcp,
    /// OPC UA binary.
    OpcUa,
}

/// How far it is known who answers on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceAuth {
    /// Anyone who can reach the wire could answer (Modbus TCP; OPC UA with policy None).
    Unauthenticated,
    /// The server proved its identity.
    Authenticated,
    /// A simulator of ours.
    Simulated,
}

/// Tags that are read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// Index into `sources`.
    pub source: u16,
    /// Polled or notified.
    pub kind: GroupKind,
    /// For how long after a sample its value may be taken to hold if no later one comes, ns.
    pub stale_after: i64,
}

/// How a group is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// One planned Modbus read request, repeated.
    Scan {
        /// Nanoseconds from one scheduled scan to the next.
        interval: i64,
    },
    /// One OPC UA subscription.
    Event {
        /// Publishing interval, ns.
        publishing: i64,
        /// Sampling interval, ns.
        sampling: i64,
    },
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagEntry {
    /// `work_unit/tag`.
    pub name: TagName,
    /// Index into `groups`.
    pub group: u16,
    /// The section of the block that carries it.
    pub section: SectionName,
    /// Where it lies.
    pub place: Place,
    /// What the bits are.
    pub data_type: DataType,
    /// Order of words and bytes as read; `None` where it has no meaning (OPC UA, bits, text) and for one plain word.
    pub word_order: Option<WordOrder>,
    /// The value is raw × scale + offset.
    pub scale: Rational,
    /// See `scale`.
    pub offset: Rational,
    /// UCUM-like unit as configured; empty for none.
    pub unit: String,
    /// Whether a device or a simulator speaks.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A device.
    Device,
    /// A simulator.
    Simulated,
}

/// Where a tag lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the tables of a Modbus unit.
    Modbus {
        /// Unit id.
        unit: u8,
        /// Which table.
        area: Area,
        /// Address as in the telegram, from 0.
        address: u16,
        /// Number of registers, or 1 for a coil or discrete input.
        words: u16,
        /// Which bit of the one register (0 is the least significant) is the tag. The raw value stays the whole register.
        bit: Option<u8>,
    },
    /// A variable of an OPC UA server.
    OpcUa {
        /// Namespace URI.
        namespace: String,
        /// `s=…`, `i=…`, `g=…` or `b=…`.
        identifier: String,
    },
}

/// A table of a Modbus unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Function code 1.
    Coil,
    /// Function code 2.
    DiscreteInput,
    /// Function code 3.
    Holding,
    /// Function code 4.
    Input,
}

/// What the bits of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the types
pub enum DataType {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Text,
}

/// In which order the bytes of a value of several words stand, `A` being the most significant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordOrder {
    /// Big-endian throughout.
    Abcd,
    /// Words swapped.
    Cdab,
    /// Bytes swapped within words.
    Badc,
    /// Little-endian throughout.
    Dcba,
}

/// Why bytes are not a register map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterMapError {
    /// Not the canonical bytes of one.
    #[error("register map: {0}")]
    Cbor(#[from] CborError),
    /// An index that points nowhere, a name used twice, a field outside its range.
    #[error("register map, {place}: {why}")]
    Content {
        /// Which entry.
        place: String,
        /// What is wrong.
        why: String,
    },
}

impl RegisterMap {
    /// SHA-256 of the canonical bytes: the `config_hash` of blocks.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// Index of the tag with this name.
    pub fn tag_index(&self, name: &TagName) -> Option<u16> {
        let place = self.tags.iter().position(|tag| tag.name == *name)?;
        u16::try_from(place).ok()
    }

    /// Whether the map is consistent: indexes, names, ranges. `decode` checks it; an agent checks before it starts.
    pub fn check(&self) -> Result<(), RegisterMapError> {
        let most = self.sources.len().max(self.groups.len()).max(self.tags.len());
        if most > ENTRIES_MAX {
            return Err(content("entries", format!("{most} are more than the {ENTRIES_MAX} that a block can name")));
        }
        unique("source", self.sources.iter().map(|source| &source.id))?;
        unique("tag", self.tags.iter().map(|tag| &tag.name))?;
        if let Some(source) = self.sources.iter().find(|source| source.endpoint.len() > TEXT_MAX) {
            return Err(content(format!("source {}", source.id), "endpoint is longer than 256 bytes"));
        }
        for (index, group) in self.groups.iter().enumerate() {
            self.check_group(group).map_err(|why| content(format!("group {index}"), why))?;
        }
        for tag in &self.tags {
            self.check_tag(tag).map_err(|why| content(format!("tag {}", tag.name), why))?;
        }
        Ok(())
    }

    fn check_group(&self, group: &GroupEntry) -> Result<(), &'static str> {
        let source = self.sources.get(usize::from(group.source)).ok_or("names a source that is not there")?;
        let periods = match group.kind {
            GroupKind::Scan { interval } => [interval, interval],
            GroupKind::Event { publishing, sampling } => [publishing, sampling],
        };
        if periods.iter().any(|period| *period < 0) || group.stale_after <= 0 {
            return Err("a negative interval, or stale_after not above zero");
        }
        if matches!(group.kind, GroupKind::Event { .. }) && source.protocol == Protocol::ModbusTcp {
            return Err("Modbus knows no subscriptions");
        }
        Ok(())
    }

    fn check_tag(&self, tag: &TagEntry) -> Result<(), &'static str> {
        let group = self.groups.get(usize::from(tag.group)).ok_or("names a group that is not there")?;
        let protocol = self.sources.get(usize::from(group.source)).map(|source| source.protocol);
        if tag.scale == Rational::ZERO {
            return Err("scale is zero");
        }
        if tag.unit.len() > TEXT_MAX {
            return Err("unit is longer than 256 bytes");
        }
        match &tag.place {
            Place::Modbus { area, address, words, bit, .. } if protocol == Some(Protocol::ModbusTcp) => {
                check_modbus(tag, *area, *address, *words, *bit)
            }
            Place::OpcUa { namespace, identifier } if protocol == Some(Protocol::OpcUa) => {
                if namespace.len() > TEXT_MAX || identifier.len() > TEXT_MAX {
                    return Err("namespace or identifier is longer than 256 bytes");
                }
                if tag.word_order.is_some() { Err("OPC UA values have no word order") } else { Ok(()) }
            }
            _ => Err("its place is of another protocol than its source"),
        }
    }
}

fn check_modbus(tag: &TagEntry, area: Area, address: u16, words: u16, bit: Option<u8>) -> Result<(), &'static str> {
    let registers = matches!(area, Area::Holding | Area::Input);
    if u32::from(address) + u32::from(words) > 1 << 16 {
        return Err("lies beyond address 65535");
    }
    let fits = match tag.data_type {
        DataType::Bool | DataType::U16 | DataType::I16 => words == 1,
        DataType::U32 | DataType::I32 | DataType::F32 => words == 2,
        DataType::U64 | DataType::I64 | DataType::F64 => words == 4,
        DataType::Text => (1..=125).contains(&words),
        DataType::U8 | DataType::I8 => false,
    };
    if !fits {
        return Err("its number of words does not fit its data type");
    }
    if !registers && (tag.data_type != DataType::Bool || tag.word_order.is_some()) {
        return Err("coils and discrete inputs are bits without a word order");
    }
    match bit {
        Some(bit) if !registers || tag.data_type != DataType::Bool || bit > 15 => {
            Err("a bit number, 0 to 15, belongs to a Bool in a register")
        }
        _ => Ok(()),
    }
}

fn content(place: impl Into<String>, why: impl Into<String>) -> RegisterMapError {
    RegisterMapError::Content { place: place.into(), why: why.into() }
}

fn unique<T: Ord + std::fmt::Display>(what: &str, names: impl Iterator<Item = T>) -> Result<(), RegisterMapError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if seen.contains(&name) {
            return Err(content(format!("{what} {name}"), "is there twice"));
        }
        seen.insert(name);
    }
    Ok(())
}
