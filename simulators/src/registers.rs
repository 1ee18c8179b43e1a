//! What a Modbus device answers, as a pure question: unit, area, address and instant in, bits or words out.
//!
//! [`RegisterBank`] is what the server shell asks; [`Encoding`] says how a number lies in 16-bit words.

use std::collections::BTreeMap;
use std::sync::Arc;

use shopfloor::time::Timestamp;

use crate::machine::World;
use crate::points::{Place, Reading};

/// Which of the two bit tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitArea {
    /// Read with function code 1.
    Coil,
    /// Read with function code 2.
    DiscreteInput,
}

/// Which of the two word tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WordArea {
    /// Read with function code 3.
    Holding,
    /// Read with function code 4.
    Input,
}

/// Why a device refuses a request: the exception codes of the Modbus application protocol that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exception {
    /// 1: the function code is not offered. Every write gets this one.
    IllegalFunction = 1,
    /// 2: an address of the request does not exist.
    IllegalAddress = 2,
    /// 3: a count or length is out of range.
    IllegalValue = 3,
    /// 4: the device has failed.
    DeviceFailure = 4,
    /// 11: no device answers under this unit id.
    NoTarget = 11,
}

/// A set of devices behind one Modbus server. Answers depend on the arguments alone.
pub trait RegisterBank: Send + Sync {
    /// `count` bits from `start` as they stand at `at`.
    fn bits(&self, unit: u8, area: BitArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<bool>, Exception>;

    /// `count` words from `start` as they stand at `at`.
    fn words(&self, unit: u8, area: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception>;

    /// The objects of "read device identification" (function code 43/14) by object id: 0 vendor, 1 product code,
    /// 2 revision. Empty: the device does not offer it.
    fn identification(&self, _unit: u8) -> Vec<(u8, String)> {
        Vec::new()
    }
}

/// How a number lies in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// 16 bits unsigned.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// 32 bits unsigned.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// IEEE 754 single.
    F32,
    /// 64 bits unsigned.
    U64,
}

impl Encoding {
    /// Words that a value takes.
    pub const fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 => 4,
        }
    }

    /// The name that agent configurations use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::U64 => "u64",
        }
    }

    /// The words of `value`, wrapped to the width as a real counter wraps, in the order given.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a device's f32 register is lossy
    pub fn encode(self, value: i64, order: WordOrder) -> Vec<u16> {
        let bits = if self == Self::F32 { u64::from((value as f32).to_bits()) } else { value.cast_unsigned() };
        let bytes = bits.to_be_bytes();
        let used = &bytes[8 - 2 * usize::from(self.words())..];
        let words: Vec<u16> = used.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        order.arrange(words)
    }
}

/// In which order the bytes of a number of several words are sent, named by the places of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WordOrder {
    /// High word first, high byte first.
    #[default]
    Abcd,
    /// Low word first, high byte first.
    Cdab,
    /// High word first, low byte first.
    Badc,
    /// Low word first, low byte first.
    Dcba,
}

impl WordOrder {
    /// The name that agent configurations use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abcd => "ABCD",
            Self::Cdab => "CDAB",
            Self::Badc => "BADC",
            Self::Dcba => "DCBA",
        }
    }

    /// Puts words that stand high word first into this order. A single word stays as it is: its bytes have one
    /// order, that of the protocol.
    pub fn arrange(self, mut words: Vec<u16>) -> Vec<u16> {
        if words.len() == 1 {
            return words;
        }
        if matches!(self, Self::Cdab | Self::Dcba) {
            words.reverse();
        }
        if matches!(self, Self::Badc | Self::Dcba) {
            for word in &mut words {
                *word = word.swap_bytes();
            }
        }
        words
    }
}

/// The Modbus devices of a world that are behind one server.
///
/// Words and bits between a device's first and last point that no point uses read as zero; everything outside is an
/// illegal address, and a unit id that nobody has gets the answer of a gateway without a target.
pub struct WorldRegisters {
    world: Arc<World>,
    words: BTreeMap<(u8, WordArea), BTreeMap<u16, Slot>>,
    bits: BTreeMap<(u8, BitArea), BTreeMap<u16, Slot>>,
}

/// Which point of which machine, and which of its words.
#[derive(Clone, Copy)]
struct Slot {
    machine: usize,
    point: usize,
    word: u16,
}

impl WorldRegisters {
    /// The devices behind `server`.
    pub fn new(world: Arc<World>, server: &str) -> Self {
        let (mut words, mut bits) = (BTreeMap::<_, BTreeMap<u16, Slot>>::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        for (machine, played) in world.machines().iter().enumerate().filter(|(_, m)| m.spec().server == server) {
            for (point, shown) in played.points().iter().enumerate() {
                match shown.place {
                    Place::Words { unit, area, address, encoding, .. } => {
                        let table = words.entry((unit, area)).or_default();
                        table.extend((0..encoding.words()).map(|word| (address + word, Slot { machine, point, word })));
                    }
                    Place::Bit { unit, area, address } => {
                        let slot = Slot { machine, point, word: 0 };
                        bits.entry((unit, area)).or_default().insert(address, slot);
                    }
                    Place::Node { .. } => {}
                }
            }
        }
        Self { world, words, bits }
    }

    /// The slots of a request, or why it is refused.
    fn slots<A: Ord>(
        &self,
        tables: &BTreeMap<(u8, A), BTreeMap<u16, Slot>>,
        key: &(u8, A),
        start: u16,
        count: u16,
    ) -> Result<Vec<Option<Slot>>, Exception> {
        let known = self.words.keys().map(|key| key.0).chain(self.bits.keys().map(|key| key.0));
        if !known.into_iter().any(|unit| unit == key.0) {
            return Err(Exception::NoTarget);
        }
        let table = tables.get(key).ok_or(Exception::IllegalAddress)?;
        let (first, last) = table.first_key_value().zip(table.last_key_value()).ok_or(Exception::IllegalAddress)?;
        let wanted = u32::from(start)..u32::from(start) + u32::from(count);
        if wanted.start < u32::from(*first.0) || wanted.end > u32::from(*last.0) + 1 {
            return Err(Exception::IllegalAddress);
        }
        let slot = |address: u32| table.get(&u16::try_from(address).ok()?).copied();
        Ok(wanted.map(slot).collect())
    }
}

impl RegisterBank for WorldRegisters {
    fn bits(&self, unit: u8, area: BitArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<bool>, Exception> {
        let slots = self.slots(&self.bits, &(unit, area), start, count)?;
        let read = |slot: Slot| {
            let machine = &self.world.machines()[slot.machine];
            machine.read(&machine.points()[slot.point], at) == Reading::Bit(true)
        };
        Ok(slots.into_iter().map(|slot| slot.is_some_and(read)).collect())
    }

    fn words(&self, unit: u8, area: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception> {
        let slots = self.slots(&self.words, &(unit, area), start, count)?;
        let read = |slot: Slot| {
            let machine = &self.world.machines()[slot.machine];
            let point = &machine.points()[slot.point];
            match (machine.read(point, at), &point.place) {
                (Reading::Number(value), Place::Words { encoding, order, .. }) => {
                    encoding.encode(value, *order)[usize::from(slot.word)]
                }
                _ => 0,
            }
        };
        Ok(slots.into_iter().map(|slot| slot.map_or(0, read)).collect())
    }

    fn identification(&self, unit: u8) -> Vec<(u8, String)> {
        let of_unit = |key: &(u8, WordArea)| key.0 == unit;
        let Some(slot) = self.words.iter().find(|(key, _)| of_unit(key)).and_then(|(_, table)| table.values().next())
        else {
            return Vec::new();
        };
        let model = self.world.machines()[slot.machine].spec().model.clone();
        vec![(0, "Plumbline simulators".into()), (1, model), (2, "1".into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_orders_of_a_number_of_two_words() {
        let value = 0x0A0B_0C0D;
        let words = |order| Encoding::U32.encode(value, order);
        assert_eq!(words(WordOrder::Abcd), [0x0A0B, 0x0C0D]);
        assert_eq!(words(WordOrder::Cdab), [0x0C0D, 0x0A0B]);
        assert_eq!(words(WordOrder::Badc), [0x0B0A, 0x0D0C]);
        assert_eq!(words(WordOrder::Dcba), [0x0D0C, 0x0B0A]);
    }

    #[test]
    fn numbers_wrap_to_their_width() {
        assert_eq!(Encoding::U16.encode(65_537, WordOrder::Abcd), [1]);
        assert_eq!(Encoding::I16.encode(-2, WordOrder::Abcd), [0xFFFE]);
        assert_eq!(Encoding::U32.encode((1 << 32) + 7, WordOrder::Cdab), [7, 0]);
        assert_eq!(Encoding::U64.encode(-1, WordOrder::Abcd), [0xFFFF; 4]);
        assert_eq!(Encoding::F32.encode(1, WordOrder::Abcd), [0x3F80, 0]);
    }

    #[test]
    fn a_world_answers_with_its_state() {
        use crate::scenario::Scenario;
        use shopfloor::time::HOUR;

        let start = Timestamp::parse("2026-11-25T00:00:00+08:00").unwrap();
        let world = Arc::new(World::new(&Scenario::builtin("demo").unwrap(), 1, start, 24 * HOUR));
        let bank = WorldRegisters::new(Arc::clone(&world), "modbus-a");
        for at in (0..24 * 60).map(|minute| start.plus(minute * shopfloor::time::MINUTE)) {
            let grinder = world.machines()[0].at(at);
            let words = bank.words(1, WordArea::Holding, 0, 11, at).unwrap();
            let counter = u64::from(words[3]) << 16 | u64::from(words[2]); // low word first
            assert_eq!(counter, world.machines()[0].spec().counter_start + grinder.produced);
            assert_eq!(u64::from(words[7]) << 16 | u64::from(words[6]), grinder.energy);
            assert!(["6204", "6205"].contains(&words[1].to_string().as_str()));
        }
        assert_eq!(bank.words(1, WordArea::Holding, 0, 12, start), Err(Exception::IllegalAddress));
        assert_eq!(bank.words(1, WordArea::Input, 0, 1, start), Err(Exception::IllegalAddress));
        assert_eq!(bank.words(9, WordArea::Holding, 0, 1, start), Err(Exception::NoTarget));
        let retrofit = WorldRegisters::new(Arc::clone(&world), "modbus-b");
        let noon = start.plus(9 * HOUR);
        let contact = retrofit.bits(10, BitArea::DiscreteInput, 0, 1, noon).unwrap();
        let press = world.machine(&"press-01".parse().unwrap()).unwrap().at(noon);
        assert_eq!(contact, [press.activity == crate::machine::Activity::Run]);
        assert_eq!(retrofit.words(11, WordArea::Input, 0x4000, 4, noon).unwrap().len(), 4);
        assert_eq!(retrofit.identification(20)[1].1, "QX-2000");
    }
}
