//! The demo's projects against the truth: what their scenarios do suffices for what their criteria ask, whatever
//! hour the demo is started at and whatever seed it is played with.

use shopfloor::time::{HOUR, Interval, Timestamp};
use simulators::machine::World;
use simulators::scenario::Scenario;
use simulators::truth::{Truth, truth};

/// The truth about some work units in the windows before and after a go-live, each of so many hours.
fn windows(name: &str, units: &[&str], seed: u64, go_live: Timestamp, hours: i64) -> [Vec<Truth>; 2] {
    let scenario = Scenario::builtin(name).unwrap();
    let begin = go_live.plus(-(hours + 1) * HOUR);
    let world = World::improving(&scenario, seed, begin, (2 * hours + 2) * HOUR, go_live);
    [(go_live.plus(-hours * HOUR), go_live), (go_live, go_live.plus(hours * HOUR))].map(|(start, end)| {
        let window = Interval::new(start, end).unwrap();
        let scope = world.machines().iter().filter(|machine| units.contains(&machine.spec().id.as_str()));
        scope.map(|machine| truth(&world, machine, window)).collect()
    })
}

#[allow(clippy::cast_precision_loss)] // a test of whole percents
fn share(part: impl Fn(&Truth) -> f64, whole: impl Fn(&Truth) -> i64, truths: &[Truth]) -> f64 {
    truths.iter().map(part).sum::<f64>() / truths.iter().map(|truth| whole(truth) as f64).sum::<f64>()
}

#[allow(clippy::cast_precision_loss)]
fn availability(truths: &[Truth]) -> f64 {
    share(|truth| truth.production as f64, |truth| truth.planned_busy, truths)
}

fn oee(truths: &[Truth]) -> f64 {
    share(|truth| truth.ideal_of_good.to_f64(), |truth| truth.planned_busy, truths)
}

fn effectiveness(truths: &[Truth]) -> f64 {
    share(|truth| truth.ideal_of_produced.to_f64(), |truth| truth.production, truths)
}

/// Thirty starts, five hours apart, under three seeds.
fn starts() -> impl Iterator<Item = (u64, Timestamp)> {
    let first = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
    (0..30).map(move |n: u32| (20_261_125 + u64::from(n % 3), first.plus(i64::from(n) * 5 * HOUR)))
}

#[test]
fn the_improvement_of_the_bearing_works_is_real_from_a_day_on() {
    let units = ["grinder-01", "grinder-02", "imm-01", "lathe-01"];
    for (seed, go_live) in starts() {
        let [before, after] = windows("demo", &units, seed, go_live, 24);
        let (rise, reached) = (oee(&after) - oee(&before), oee(&after));
        let relative = availability(&after) / availability(&before) - 1.0;
        assert!(rise > 0.033 && relative > 0.045 && reached > 0.62, "{go_live}: {rise} {relative} {reached}");
    }
}

#[test]
fn what_the_ring_works_did_deliver_is_good() {
    for (seed, go_live) in starts() {
        let [before, after] = windows("rings", &["grinder-01", "grinder-02"], seed, go_live, 24);
        let rise = availability(&after) - availability(&before);
        assert!(rise > 0.05, "{go_live}: {rise}");
    }
}

#[test]
fn the_extruders_are_as_fast_after_the_go_live_as_before() {
    for (seed, go_live) in starts() {
        let [before, after] = windows("plastics", &["extruder-01", "extruder-02"], seed, go_live, 24);
        let rise = effectiveness(&after) - effectiveness(&before);
        assert!(rise.abs() < 0.005, "{go_live}: {rise}");
    }
}
