//! The canonical bytes of a register map: deterministic CBOR, one spelling for one map.

use super::{
    Area, DataType, ENTRIES_MAX, GroupEntry, GroupKind, Origin, Place, Protocol, RegisterMap, RegisterMapError,
    SourceAuth, SourceEntry, TagEntry, WordOrder,
};
use crate::unit::Rational;
use crate::wire::cbor::{CborError, Fields, Reader, Writer, required};
use crate::wire::header::TEXT_MAX;

/// The version of the document.
const VERSION: u64 = 1;

const PROTOCOLS: [Protocol; 2] = [Protocol::ModbusTcp, Protocol::OpcUa];
const AUTHS: [SourceAuth; 3] = [SourceAuth::Unauthenticated, SourceAuth::Authenticated, SourceAuth::Simulated];
const AREAS: [Area; 4] = [Area::Coil, Area::DiscreteInput, Area::Holding, Area::Input];
const ORDERS: [WordOrder; 4] = [WordOrder::Abcd, WordOrder::Cdab, WordOrder::Badc, WordOrder::Dcba];
const DATA_TYPES: [DataType; 12] = [
    DataType::Bool,
    DataType::U8,
    DataType::I8,
    DataType::U16,
    DataType::I16,
    DataType::U32,
    DataType::I32,
    DataType::U64,
    DataType::I64,
    DataType::F32,
    DataType::F64,
    DataType::Text,
];

/// Codes count from 1 in the order of the list.
fn code<T: PartialEq>(list: &[T], value: &T) -> u64 {
    list.iter().position(|entry| entry == value).map_or(0, |place| place as u64 + 1)
}

fn from_code<T: Copy>(list: &[T], field: &'static str, reader: &mut Reader<'_>) -> Result<T, CborError> {
    let code = reader.uint()?;
    let place = usize::try_from(code).unwrap_or(0).wrapping_sub(1);
    list.get(place).copied().ok_or_else(|| CborError::value(field, format!("code {code} is unknown")))
}

impl RegisterMap {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::new();
        fields.key(1).uint(VERSION);
        fields.key(2).text(self.site.as_str());
        fields.key(3).text(self.agent.as_str());
        let writer = fields.key(4).array(self.sources.len());
        for source in &self.sources {
            writer.array(4).text(source.id.as_str()).uint(code(&PROTOCOLS, &source.protocol));
            writer.text(&source.endpoint).uint(code(&AUTHS, &source.auth));
        }
        let writer = fields.key(5).array(self.groups.len());
        for group in &self.groups {
            write_group(writer, group);
        }
        let writer = fields.key(6).array(self.tags.len());
        for tag in &self.tags {
            write_tag(writer, tag);
        }
        fields.into_bytes()
    }

    /// Reads canonical bytes. Errors: anything that `encode` would not write, or a map that contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, RegisterMapError> {
        let mut reader = Reader::new(bytes);
        let (mut site, mut agent, mut sources, mut groups, mut tags) = (None, None, None, None, None);
        let mut version = None;
        reader.fields(|key, reader| {
            match key {
                1 => version = Some(known_version(reader.uint()?)?),
                2 => site = Some(reader.parse("site", 64)?),
                3 => agent = Some(reader.parse("agent", 64)?),
                4 => sources = Some(list(reader, read_source)?),
                5 => groups = Some(list(reader, read_group)?),
                6 => tags = Some(list(reader, read_tag)?),
                _ => return Ok::<_, CborError>(false),
            }
            Ok(true)
        })?;
        reader.end()?;
        required(version, 1)?;
        let map = Self {
            site: required(site, 2)?,
            agent: required(agent, 3)?,
            sources: required(sources, 4)?,
            groups: required(groups, 5)?,
            tags: required(tags, 6)?,
        };
        map.check()?;
        Ok(map)
    }
}

fn known_version(version: u64) -> Result<u64, CborError> {
    if version == VERSION {
        return Ok(version);
    }
    Err(CborError::value("register map version", format!("{version} is not the known {VERSION}")))
}

fn list<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, CborError>,
) -> Result<Vec<T>, CborError> {
    let count = reader.array(ENTRIES_MAX)?;
    (0..count).map(|_| read(reader)).collect()
}

fn read_source(reader: &mut Reader<'_>) -> Result<SourceEntry, CborError> {
    reader.tuple(4)?;
    Ok(SourceEntry {
        id: reader.parse("source", 64)?,
        protocol: from_code(&PROTOCOLS, "protocol", reader)?,
        endpoint: reader.text(TEXT_MAX)?.to_owned(),
        auth: from_code(&AUTHS, "source auth", reader)?,
    })
}

/// Source, stale after, and one interval for a scan, two for a subscription.
fn write_group(writer: &mut Writer, group: &GroupEntry) {
    match group.kind {
        GroupKind::Scan { interval } => {
            writer.array(3).uint(group.source.into()).int(group.stale_after).int(interval);
        }
        GroupKind::Event { publishing, sampling } => {
            writer.array(4).uint(group.source.into()).int(group.stale_after).int(publishing).int(sampling);
        }
    }
}

fn read_group(reader: &mut Reader<'_>) -> Result<GroupEntry, CborError> {
    let length = reader.array(4)?;
    let (source, stale_after) = (reader.small("source")?, reader.int()?);
    let kind = match length {
        3 => GroupKind::Scan { interval: reader.int()? },
        4 => GroupKind::Event { publishing: reader.int()?, sampling: reader.int()? },
        _ => return Err(CborError::value("group", "has neither one interval nor two")),
    };
    Ok(GroupEntry { source, kind, stale_after })
}

/// What has its usual value is left out: no word order, scale 1, offset 0, no unit, a device.
fn write_tag(writer: &mut Writer, tag: &TagEntry) {
    let mut fields = Fields::new();
    fields.key(1).text(&tag.name.to_string());
    fields.key(2).uint(tag.group.into());
    fields.key(3).text(tag.section.as_str());
    match &tag.place {
        Place::Modbus { unit, area, address, words, bit } => {
            let writer = fields.key(4).array(4 + usize::from(bit.is_some()));
            writer.uint((*unit).into()).uint(code(&AREAS, area)).uint((*address).into()).uint((*words).into());
            if let Some(bit) = bit {
                writer.uint((*bit).into());
            }
        }
        Place::OpcUa { namespace, identifier } => {
            fields.key(5).array(2).text(namespace).text(identifier);
        }
    }
    fields.key(6).uint(code(&DATA_TYPES, &tag.data_type));
    if let Some(order) = &tag.word_order {
        fields.key(7).uint(code(&ORDERS, order));
    }
    if tag.scale != Rational::ONE {
        fields.key(8).text(&fraction(tag.scale));
    }
    if tag.offset != Rational::ZERO {
        fields.key(9).text(&fraction(tag.offset));
    }
    if !tag.unit.is_empty() {
        fields.key(10).text(&tag.unit);
    }
    if tag.origin == Origin::Simulated {
        fields.key(11).boolean(true);
    }
    fields.end(writer);
}

fn fraction(value: Rational) -> String {
    format!("{}/{}", value.num(), value.den())
}

/// A fraction in lowest terms that is not the value which is left out.
fn read_fraction(reader: &mut Reader<'_>, usual: Rational) -> Result<Rational, CborError> {
    let text = reader.text(100)?;
    let value = Rational::parse(text).filter(|value| fraction(*value) == text && *value != usual);
    value.ok_or_else(|| CborError::value("scale, offset", format!("{text:?} is not a fraction in lowest terms")))
}

fn read_tag(reader: &mut Reader<'_>) -> Result<TagEntry, CborError> {
    let (mut name, mut group, mut section, mut place, mut data_type, mut word_order) =
        (None, None, None, None, None, None);
    let (mut scale, mut offset, mut unit, mut origin) = (Rational::ONE, Rational::ZERO, String::new(), Origin::Device);
    reader.fields(|key, reader| {
        match key {
            1 => name = Some(reader.parse("tag name", 129)?),
            2 => group = Some(reader.small("group")?),
            3 => section = Some(reader.parse("section", 16)?),
            4 => place = Some(read_modbus(reader)?),
            5 if place.is_some() => return Err(CborError::value("place", "of both protocols")),
            5 => {
                reader.tuple(2)?;
                let namespace = reader.text(TEXT_MAX)?.to_owned();
                place = Some(Place::OpcUa { namespace, identifier: reader.text(TEXT_MAX)?.to_owned() });
            }
            6 => data_type = Some(from_code(&DATA_TYPES, "data type", reader)?),
            7 => word_order = Some(from_code(&ORDERS, "word order", reader)?),
            8 => scale = read_fraction(reader, Rational::ONE)?,
            9 => offset = read_fraction(reader, Rational::ZERO)?,
            10 => {
                reader.text(TEXT_MAX)?.clone_into(&mut unit);
                if unit.is_empty() {
                    return Err(CborError::value("unit", "written although empty"));
                }
            }
            11 if !reader.boolean()? => return Err(CborError::value("simulated", "written although false")),
            11 => origin = Origin::Simulated,
            _ => return Ok::<_, CborError>(false),
        }
        Ok(true)
    })?;
    Ok(TagEntry {
        name: required(name, 1)?,
        group: required(group, 2)?,
        section: required(section, 3)?,
        place: required(place, 4)?,
        data_type: required(data_type, 6)?,
        word_order,
        scale,
        offset,
        unit,
        origin,
    })
}

fn read_modbus(reader: &mut Reader<'_>) -> Result<Place, CborError> {
    let length = reader.array(5)?;
    if length < 4 {
        return Err(CborError::value("place", "has fewer than four parts"));
    }
    Ok(Place::Modbus {
        unit: reader.small("unit id")?,
        area: from_code(&AREAS, "area", reader)?,
        address: reader.small("address")?,
        words: reader.small("words")?,
        bit: if length == 5 { Some(reader.small("bit")?) } else { None },
    })
}
