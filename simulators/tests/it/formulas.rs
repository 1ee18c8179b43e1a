//! shopfloor's formulas against the truth, without sockets: every point sampled at every quantum of a simulated
//! stretch, evaluated over hours, shifts and days.

use std::collections::BTreeMap;

use shopfloor::evaluate::{self, WindowKind, WorkUnitResult};
use shopfloor::id::TagName;
use shopfloor::plant::Plant;
use shopfloor::sample::{Sample, StatusCode, Value};
use shopfloor::time::{HOUR, Interval, Timestamp};
use shopfloor::unit::Rational;
use simulators::machine::{Machine, World};
use simulators::points::{Place, Point, Reading};
use simulators::registers::Encoding;
use simulators::scenario::Scenario;
use simulators::site_files::Binding;
use simulators::truth::{Truth, truth};

fn value(machine: &Machine, point: &Point, at: Timestamp) -> Value {
    let width = match point.place {
        Place::Words { encoding: Encoding::U16, .. } => 16,
        _ => 32,
    };
    match machine.read(point, at) {
        Reading::Bit(bit) => Value::Bool(bit),
        Reading::Text(text) => Value::Text(text),
        Reading::Number(number) => {
            let wrapped = Rational::integer(i128::from(number.rem_euclid(1 << width)));
            Value::Exact(wrapped.checked_mul(Rational::parse(point.scale).unwrap()).unwrap())
        }
    }
}

fn samples(world: &World, machine: &Machine) -> BTreeMap<TagName, Vec<Sample>> {
    let (quantum, range) = (world.scenario().quantum(), world.range());
    let mut all = BTreeMap::new();
    for point in machine.points().iter().filter(|point| point.role.is_some()) {
        let sample = |step: i64| {
            let at = range.start.plus(step * quantum);
            Sample {
                at,
                value: Some(value(machine, point, at)),
                status: StatusCode::GOOD,
                source_time: Some(at),
                observed_time: at,
                request_time: None,
                stale_after: 3 * quantum,
            }
        };
        let name = format!("{}/{}", machine.spec().id, point.tag).parse().unwrap();
        all.insert(name, (0..=range.nanos() / quantum).map(sample).collect());
    }
    all
}

fn compare(truth: &Truth, found: &WorkUnitResult) {
    let label = format!("{} {} {}", truth.work_unit, found.window.kind.code(), found.window.label);
    let told: BTreeMap<&str, i64> = truth.leaves.iter().map(|(leaf, ns)| (leaf.code(), *ns)).collect();
    let measured = found.leaves().iter().filter(|(_, ns)| **ns != 0).map(|(leaf, ns)| (leaf.code(), *ns));
    assert_eq!(measured.collect::<BTreeMap<_, _>>(), told, "{label}");
    let count = |count: u64| Rational::integer(i128::from(count));
    let produced = found.produced.as_ref().unwrap();
    assert_eq!(produced.point, Some(count(truth.produced)), "{label} produced");
    if truth.scrap_is_shown {
        assert_eq!(found.scrap.as_ref().unwrap().point, Some(count(truth.scrap)), "{label} scrap");
    }
    let energy = Rational::new(i128::from(truth.energy), 100);
    assert_eq!(found.energy_kwh.as_ref().unwrap().point, energy, "{label} energy");
    let point = |figure: &shopfloor::oee::Figure| figure.point.map(|ratio| ratio.num.checked_div(ratio.den).unwrap());
    assert_eq!(point(&found.availability), truth.availability, "{label} availability");
    assert_eq!(point(&found.effectiveness), truth.effectiveness, "{label} effectiveness: {:?}", found.remarks);
    if truth.scrap_is_shown {
        assert_eq!(point(&found.quality_ratio), truth.quality_ratio, "{label} quality");
        assert_eq!(point(&found.oee), truth.oee, "{label} OEE");
    }
}

/// Every window of the kinds that lies wholly inside the world, with room for a look back and ahead.
fn check(world: &World, plant: &Plant, kinds: &[WindowKind]) -> usize {
    let range = world.range();
    let inner = Interval::new(range.start.plus(HOUR), range.end.plus(-HOUR)).unwrap();
    let mut compared = 0;
    for machine in world.machines() {
        let samples = samples(world, machine);
        for kind in kinds {
            for window in evaluate::windows(plant, &machine.spec().id, *kind, inner) {
                if window.interval.start < inner.start || window.interval.end > inner.end {
                    continue;
                }
                let found = evaluate::work_unit(plant, &machine.spec().id, &samples, &window, range.end).unwrap();
                compare(&truth(world, machine, window.interval), &found);
                compared += 1;
            }
        }
    }
    compared
}

fn world(name: &str, seed: u64, start: &str, hours: i64) -> (World, Plant) {
    let start = Timestamp::parse(start).unwrap();
    let world = World::new(&Scenario::builtin(name).unwrap(), seed, start, hours * HOUR);
    let binding = Binding { agent: "agent-1".parse().unwrap(), from: None, until: None };
    let plant = shopfloor::file::plant::parse(&world.plant_toml(&[binding]), "plant.toml").unwrap();
    (world, plant)
}

#[test]
fn a_day_of_every_kind_of_machine_is_evaluated_to_the_last_digit() {
    // A Monday, with planned maintenance, from the evening before.
    let (world, plant) = world("demo", 1, "2026-11-22T19:00:00+08:00", 38);
    let compared = check(&world, &plant, &[WindowKind::Hour, WindowKind::Shift, WindowKind::Day]);
    assert!(compared > 8 * 30, "{compared} windows");
}

#[test]
fn other_seeds_too() {
    for seed in 2..6 {
        let (world, plant) = world("small", seed, "2026-11-24T07:00:00+08:00", 26);
        assert!(check(&world, &plant, &[WindowKind::Hour, WindowKind::Shift]) > 40);
    }
}
