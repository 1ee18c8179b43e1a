//! What a machine shows on its interface: which points there are, where they lie and what they read at an instant.
//!
//! One table per kind of machine. Codes of states differ between kinds, as they do between makers.

use crate::machine::{Activity, Machine, MachineState};
use crate::registers::{BitArea, Encoding, WordArea, WordOrder};
use crate::scenario::{Kind, MachineSpec};
use shopfloor::time::{SECOND, Timestamp};

/// One data point of a machine.
#[derive(Debug, Clone)]
pub struct Point {
    /// Second half of its tag name.
    pub tag: String,
    /// What it shows.
    pub signal: Signal,
    /// Where it lies.
    pub place: Place,
    /// What it is to the work unit, if anything.
    pub role: Option<Role>,
    /// Whether it belongs to states, counters and energy (`kpi`) or to the rest (`process`).
    pub section: &'static str,
    /// Factor from the raw number to the unit, as an exact decimal.
    pub scale: &'static str,
    /// Unit; empty for none.
    pub unit: &'static str,
}

/// What a point shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// State code or text of the kind.
    State,
    /// What the machine is there for: production, setup or maintenance, as text.
    Mode,
    /// Closed while the machine runs.
    Contact,
    /// Cycles since a start that the scenario names.
    Cycles,
    /// Scrap pieces.
    Scrap,
    /// Energy meter in 0.01 kWh.
    Energy,
    /// Product id, as text or as a number.
    Product,
    /// Power in watts.
    Watts,
    /// A measured quantity that wanders.
    Analog(Analog),
}

/// A measured quantity in raw steps: it wanders slowly around one level while running and another while not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analog {
    /// Tells signals of one machine apart.
    pub number: u16,
    /// Level while running.
    pub running: i64,
    /// Level while not running.
    pub standing: i64,
    /// How far it wanders to either side.
    pub swing: i64,
    /// Seconds between two independent levels; it moves straight between them.
    pub period_seconds: i64,
}

/// What a point is to its work unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// State code or text.
    State,
    /// Functional mode.
    Mode,
    /// Run contact.
    Running,
    /// Counter of cycles or pieces made.
    Produced,
    /// Counter of scrap.
    Scrap,
    /// Energy meter.
    Energy,
    /// Product being made.
    Product,
    /// Power.
    Power,
}

/// Where a point lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Modbus words.
    Words {
        /// Unit id.
        unit: u8,
        /// Table.
        area: WordArea,
        /// First address, counted from 0.
        address: u16,
        /// Type.
        encoding: Encoding,
        /// Order of the words and bytes.
        order: WordOrder,
    },
    /// A Modbus bit.
    Bit {
        /// Unit id.
        unit: u8,
        /// Table.
        area: BitArea,
        /// Address, counted from 0.
        address: u16,
    },
    /// An OPC UA variable.
    Node {
        /// String identifier within the server's namespace, without `s=`.
        identifier: String,
        /// Type.
        shape: Shape,
    },
}

/// Type of an OPC UA variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Int32.
    Int32,
    /// UInt32.
    UInt32,
    /// Int16.
    Int16,
    /// Float; the raw number is a tenth of a unit.
    Tenths,
    /// String.
    Text,
}

/// What a point reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A contact.
    Bit(bool),
    /// A raw number, before it is cut to the width of its registers.
    Number(i64),
    /// A text.
    Text(String),
}

impl Machine {
    /// What a point reads at `at`.
    pub fn read(&self, point: &Point, at: Timestamp) -> Reading {
        self.show(point, &self.at(at), at)
    }

    /// The same for a state that is already at hand.
    pub fn show(&self, point: &Point, state: &MachineState, at: Timestamp) -> Reading {
        let spec = self.spec();
        let number = |n: u64| Reading::Number(i64::try_from(n).unwrap_or(i64::MAX));
        match point.signal {
            Signal::State if spec.kind == Kind::CncLathe => Reading::Text(execution(state.activity).into()),
            Signal::State => Reading::Number(code(spec.kind, state.activity)),
            Signal::Mode => Reading::Text(mode(state.activity).into()),
            Signal::Contact => Reading::Bit(state.activity == Activity::Run),
            Signal::Cycles => number(spec.counter_start + state.cycles),
            Signal::Scrap => number(state.scrap),
            Signal::Energy => number(state.energy),
            Signal::Product => {
                let id = spec.products[state.product].id.as_str();
                if spec.kind.is_opcua() { Reading::Text(id.into()) } else { Reading::Number(id.parse().unwrap_or(0)) }
            }
            Signal::Watts => Reading::Number(self.watts(state.activity)),
            Signal::Analog(analog) => Reading::Number(self.wander(analog, state.activity, at)),
        }
    }

    /// Value of an analog signal: straight lines between levels that hash seed, machine, signal and time.
    fn wander(&self, analog: Analog, activity: Activity, at: Timestamp) -> i64 {
        let period = analog.period_seconds * SECOND;
        let knot = at.as_nanos().div_euclid(period);
        let into = at.as_nanos().rem_euclid(period);
        let (seed, index) = self.stream();
        let level = |knot: i64| {
            let mixed = mix(seed ^ mix(index ^ mix(u64::from(analog.number) ^ mix(knot.cast_unsigned()))));
            let width = 2 * analog.swing + 1;
            i64::try_from(mixed % width.cast_unsigned()).expect("a remainder fits") - analog.swing
        };
        let (from, to) = (level(knot), level(knot + 1));
        let moved = i128::from(to - from) * i128::from(into) / i128::from(period);
        let base = if activity == Activity::Run { analog.running } else { analog.standing };
        base + from + i64::try_from(moved).expect("between two levels")
    }
}

/// SplitMix64's finalizer: spreads every bit of the input over the output.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// State code that a machine of this kind shows.
pub const fn code(kind: Kind, activity: Activity) -> i64 {
    let codes = match kind {
        Kind::InjectionMoulding => [0, 10, 20, 30, 40, 50, 60],
        Kind::Loom => [0, 1, 4, 2, 8, 16, 32],
        _ => [0, 1, 2, 3, 4, 5, 6],
    };
    match activity {
        Activity::Off => codes[0],
        Activity::Run => codes[1],
        Activity::ShortWait | Activity::Waiting => codes[2],
        Activity::ShortFault | Activity::Breakdown => codes[3],
        Activity::Setup => codes[4],
        Activity::Maintenance => codes[5],
        Activity::NoOrder => codes[6],
    }
}

/// Execution text that a lathe shows.
pub const fn execution(activity: Activity) -> &'static str {
    match activity {
        Activity::Off | Activity::Maintenance => "STOPPED",
        Activity::Run => "ACTIVE",
        Activity::ShortWait | Activity::Waiting => "WAIT",
        Activity::ShortFault | Activity::Breakdown => "INTERRUPTED",
        Activity::Setup => "PROGRAM_STOPPED",
        Activity::NoOrder => "READY",
    }
}

/// Functional mode that a lathe shows.
pub const fn mode(activity: Activity) -> &'static str {
    match activity {
        Activity::Setup => "SETUP",
        Activity::Maintenance => "MAINTENANCE",
        _ => "PRODUCTION",
    }
}

/// The points of a machine, in the order of their places.
pub fn points(spec: &MachineSpec) -> Vec<Point> {
    match spec.kind {
        Kind::BearingGrinder => grinder(spec.unit),
        Kind::InjectionMoulding => moulding(spec.id.as_str()),
        Kind::Loom => loom(spec.unit),
        Kind::CncLathe => lathe(spec.id.as_str()),
        Kind::Dumb => dumb(spec.unit),
        Kind::Cell => cell(spec.unit, spec.signals),
    }
}

/// Writes the table of one Modbus device.
struct Words {
    unit: u8,
    area: WordArea,
    order: WordOrder,
    points: Vec<Point>,
}

impl Words {
    fn add(&mut self, tag: &str, signal: Signal, address: u16, encoding: Encoding) -> &mut Self {
        let place = Place::Words { unit: self.unit, area: self.area, address, encoding, order: self.order };
        self.points.push(point(tag, signal, place));
        self
    }
}

fn point(tag: &str, signal: Signal, place: Place) -> Point {
    let (role, section, scale, unit) = match signal {
        Signal::State => (Some(Role::State), "kpi", "1", ""),
        Signal::Mode => (Some(Role::Mode), "kpi", "1", ""),
        Signal::Contact => (Some(Role::Running), "kpi", "1", ""),
        Signal::Cycles => (Some(Role::Produced), "kpi", "1", ""),
        Signal::Scrap => (Some(Role::Scrap), "kpi", "1", ""),
        Signal::Energy => (Some(Role::Energy), "kpi", "0.01", "kWh"),
        Signal::Product => (Some(Role::Product), "kpi", "1", ""),
        Signal::Watts => (Some(Role::Power), "process", "1", "W"),
        Signal::Analog(_) => (None, "process", "1", ""),
    };
    Point { tag: tag.into(), signal, place, role, section, scale, unit }
}

/// Gives the last point a scale and a unit.
fn measured(points: &mut [Point], scale: &'static str, unit: &'static str) {
    let last = points.last_mut().expect("a point was just added");
    (last.scale, last.unit) = (scale, unit);
}

const fn analog(number: u16, running: i64, standing: i64, swing: i64, period_seconds: i64) -> Signal {
    Signal::Analog(Analog { number, running, standing, swing, period_seconds })
}

fn grinder(unit: u8) -> Vec<Point> {
    let mut table = Words { unit, area: WordArea::Holding, order: WordOrder::Cdab, points: Vec::new() };
    table.add("state", Signal::State, 0, Encoding::U16);
    table.add("product", Signal::Product, 1, Encoding::U16);
    table.add("produced", Signal::Cycles, 2, Encoding::U32);
    table.add("scrap", Signal::Scrap, 4, Encoding::U32);
    table.add("energy", Signal::Energy, 6, Encoding::U32);
    table.add("spindle_current", analog(1, 850, 60, 60, 40), 8, Encoding::I16);
    measured(&mut table.points, "0.01", "A");
    table.add("coolant_temperature", analog(2, 264, 221, 12, 600), 9, Encoding::I16);
    measured(&mut table.points, "0.1", "°C");
    table.add("vibration", analog(3, 112, 4, 30, 20), 10, Encoding::U16);
    measured(&mut table.points, "0.01", "mm/s");
    table.points
}

fn loom(unit: u8) -> Vec<Point> {
    let mut table = Words { unit, area: WordArea::Input, order: WordOrder::Abcd, points: Vec::new() };
    table.add("state", Signal::State, 100, Encoding::U16);
    table.add("style", Signal::Product, 101, Encoding::U16);
    table.add("length", Signal::Cycles, 102, Encoding::U32);
    table.add("faulty_length", Signal::Scrap, 104, Encoding::U16);
    table.add("speed", analog(1, 612, 0, 0, 60), 105, Encoding::U16);
    measured(&mut table.points, "1", "1/min");
    table.add("energy", Signal::Energy, 106, Encoding::U32);
    table.add("warp_tension", analog(2, 284, 251, 18, 30), 108, Encoding::I16);
    measured(&mut table.points, "0.01", "kN");
    table.points
}

fn dumb(unit: u8) -> Vec<Point> {
    let contact = Place::Bit { unit, area: BitArea::DiscreteInput, address: 0 };
    let mut points = vec![point("contact", Signal::Contact, contact)];
    let module = &mut Words { unit, area: WordArea::Input, order: WordOrder::Abcd, points: Vec::new() };
    module.add("pulses", Signal::Cycles, 0, Encoding::U16);
    let (area, order) = (WordArea::Input, WordOrder::Badc);
    let meter = &mut Words { unit: unit.saturating_add(1), area, order, points: Vec::new() };
    meter.add("energy", Signal::Energy, 0x4000, Encoding::U32);
    meter.add("power", Signal::Watts, 0x4002, Encoding::F32);
    points.append(&mut module.points);
    points.append(&mut meter.points);
    points
}

fn cell(unit: u8, signals: u16) -> Vec<Point> {
    let mut table = Words { unit, area: WordArea::Holding, order: WordOrder::Dcba, points: Vec::new() };
    table.add("state", Signal::State, 0, Encoding::U16);
    table.add("recipe", Signal::Product, 1, Encoding::U16);
    table.add("produced", Signal::Cycles, 2, Encoding::U32);
    table.add("scrap", Signal::Scrap, 4, Encoding::U16);
    table.add("energy", Signal::Energy, 6, Encoding::U32);
    for number in 1..=signals {
        let (name, signal, scale, unit) = match number % 3 {
            1 => ("temperature", analog(number, 1854, 1650, 25, 900), "0.1", "°C"),
            2 => ("pressure", analog(number, 612, 120, 20, 120), "0.01", "MPa"),
            _ => ("current", analog(number, 2310, 240, 90, 15), "0.01", "A"),
        };
        let address = 7 + number;
        let encoding = if number % 3 == 1 { Encoding::I16 } else { Encoding::U16 };
        table.add(&format!("{name}_{number}"), signal, address, encoding);
        measured(&mut table.points, scale, unit);
    }
    table.points
}

fn node(machine: &str, name: &str, shape: Shape) -> Place {
    Place::Node { identifier: format!("{machine}.{name}"), shape }
}

fn moulding(machine: &str) -> Vec<Point> {
    let mut points = vec![
        point("state", Signal::State, node(machine, "State", Shape::Int32)),
        point("shots", Signal::Cycles, node(machine, "ShotCounter", Shape::UInt32)),
        point("scrap", Signal::Scrap, node(machine, "RejectCounter", Shape::UInt32)),
        point("energy", Signal::Energy, node(machine, "EnergyMeter", Shape::UInt32)),
        point("mould", Signal::Product, node(machine, "MouldName", Shape::Text)),
    ];
    points.push(point("melt_temperature", analog(1, 2215, 1900, 14, 300), node(machine, "Melt", Shape::Tenths)));
    measured(&mut points, "1", "°C");
    points.push(point("injection_pressure", analog(2, 1120, 0, 35, 20), node(machine, "Pressure", Shape::Int16)));
    measured(&mut points, "0.1", "MPa");
    points
}

fn lathe(machine: &str) -> Vec<Point> {
    let mut points = vec![
        point("execution", Signal::State, node(machine, "Execution", Shape::Text)),
        point("mode", Signal::Mode, node(machine, "FunctionalMode", Shape::Text)),
        point("program", Signal::Product, node(machine, "Program", Shape::Text)),
        point("parts", Signal::Cycles, node(machine, "PartCount", Shape::UInt32)),
        point("scrap", Signal::Scrap, node(machine, "ScrapCount", Shape::UInt32)),
        point("energy", Signal::Energy, node(machine, "EnergyMeter", Shape::UInt32)),
    ];
    points.push(point("spindle_load", analog(1, 43, 0, 12, 20), node(machine, "SpindleLoad", Shape::Int16)));
    measured(&mut points, "1", "%");
    points
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shopfloor::time::HOUR;

    use super::*;
    use crate::machine::World;
    use crate::scenario::Scenario;

    #[test]
    fn no_two_points_share_a_place_or_a_name() {
        for name in ["demo", "small", "hundred"] {
            for machine in &Scenario::builtin(name).unwrap().machines {
                let points = points(machine);
                let tags: BTreeSet<&str> = points.iter().map(|point| point.tag.as_str()).collect();
                assert_eq!(tags.len(), points.len(), "{}", machine.id);
                let mut taken = BTreeSet::new();
                for point in &points {
                    if let Place::Words { unit, area, address, encoding, .. } = point.place {
                        let words = address..address + encoding.words();
                        assert!(
                            words.into_iter().all(|a| taken.insert((unit, area, a))),
                            "{}/{}",
                            machine.id,
                            point.tag
                        );
                    }
                    assert!(format!("{}/{}", machine.id, point.tag).parse::<shopfloor::id::TagName>().is_ok());
                }
            }
        }
    }

    #[test]
    fn the_bench_has_a_hundred_tags() {
        let scenario = Scenario::builtin("hundred").unwrap();
        assert_eq!(scenario.machines.iter().map(|machine| points(machine).len()).sum::<usize>(), 100);
    }

    #[test]
    fn analog_signals_wander_within_their_swing_and_in_small_steps() {
        let scenario = Scenario::builtin("hundred").unwrap();
        let start = Timestamp::parse("2026-11-25T01:00:00Z").unwrap();
        let world = World::new(&scenario, 1, start, 2 * HOUR);
        let machine = &world.machines()[0];
        for point in machine.points().iter().filter(|point| matches!(point.signal, Signal::Analog(_))) {
            let Signal::Analog(analog) = point.signal else { unreachable!("filtered") };
            let mut seen = BTreeSet::new();
            for second in 0..3600 {
                let at = start.plus(second * SECOND);
                let Reading::Number(value) = machine.read(point, at) else { panic!("an analog is a number") };
                let level = if machine.at(at).activity == Activity::Run { analog.running } else { analog.standing };
                assert!((value - level).abs() <= analog.swing, "{}: {value}", point.tag);
                seen.insert(value);
            }
            assert!(seen.len() > 3, "{} stands still", point.tag);
        }
    }
}
