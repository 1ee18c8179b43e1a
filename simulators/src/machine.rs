//! A scenario set in motion: for every machine what happens when, computed once, so that any instant is a look-up.
//!
//! The list covers the world from start to end without a gap. Everything in it begins at a multiple of the
//! scenario's quantum. A sample taken at `t` shows what holds from `t` on; a counter at `t` includes every piece
//! finished at `t` or before. Counts and energy are integers; the same scenario, seed and start give the same world.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use shopfloor::id::WorkUnitId;
use shopfloor::time::{Interval, SECOND, Timestamp};

use crate::calendar::{Calendar, Planned};
use crate::points::{Point, points};
use crate::scenario::{Behaviour, Interruption, MachineSpec, Scenario, Span};

/// Watt-nanoseconds in 0.01 kWh: 36 kJ.
pub(crate) const METER_STEP: i128 = 36_000 * 1_000_000_000;

/// What a machine does, as its cause knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Activity {
    /// No shift, or a break: switched off or left alone.
    Off,
    /// Producing.
    Run,
    /// A stop below the threshold that looks like a failure.
    ShortFault,
    /// A stop below the threshold that looks like waiting.
    ShortWait,
    /// A technical failure.
    Breakdown,
    /// No material, no operator, blocked.
    Waiting,
    /// Product change.
    Setup,
    /// Planned maintenance.
    Maintenance,
    /// Nothing ordered.
    NoOrder,
}

/// From when on a machine does what, with its totals at that instant.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// First instant.
    pub start: Timestamp,
    /// What it does.
    pub activity: Activity,
    /// Index of the product that it shows.
    pub product: usize,
    /// Cycles completed at the start.
    cycles: u64,
    /// Nanoseconds already spent on the next cycle at the start.
    progress: i64,
    /// Energy used at the start, in watt-nanoseconds.
    energy: i128,
}

/// A machine and everything that happens to it.
#[derive(Debug, Clone)]
pub struct Machine {
    spec: MachineSpec,
    index: u64,
    seed: u64,
    segments: Vec<Segment>,
    /// Numbers (from 0) of the pieces that are scrap, in order.
    scrap: Vec<u64>,
    points: Vec<Point>,
}

/// What a machine shows at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineState {
    /// What it does.
    pub activity: Activity,
    /// Index of the product.
    pub product: usize,
    /// Cycles completed since the start of the world.
    pub cycles: u64,
    /// Pieces made since the start of the world.
    pub produced: u64,
    /// Pieces of these that are scrap.
    pub scrap: u64,
    /// Energy meter in 0.01 kWh, its reading at the start of the world included.
    pub energy: u64,
}

/// A scenario between two instants, under one seed.
#[derive(Debug, Clone)]
pub struct World {
    scenario: Arc<Scenario>,
    seed: u64,
    range: Interval,
    calendar: Calendar,
    machines: Vec<Machine>,
}

impl World {
    /// Plays `scenario` under `seed` from `start` (moved back to a multiple of the quantum) for `horizon`
    /// nanoseconds (moved up to one). Machines stand switched off afterwards.
    pub fn new(scenario: &Scenario, seed: u64, start: Timestamp, horizon: i64) -> Self {
        Self::improving(scenario, seed, start, horizon, Timestamp::from_nanos(i64::MAX))
    }

    /// The same, but from `improved` on machines without a behaviour of their own behave as the scenario's table
    /// `improved` says, if it has one. Until then everything happens as it would have without.
    pub fn improving(scenario: &Scenario, seed: u64, start: Timestamp, horizon: i64, improved: Timestamp) -> Self {
        let quantum = scenario.quantum();
        let start = Timestamp::from_nanos(start.as_nanos().div_euclid(quantum) * quantum);
        let quanta = horizon.max(0).saturating_add(quantum - 1) / quantum;
        let range = Interval { start, end: start.plus(quanta.saturating_mul(quantum)) };
        let calendar = Calendar::of(scenario, range);
        let play = |(index, spec)| Machine::play(scenario, &calendar, range, improved, (index, spec), seed);
        let machines = (0_u64..).zip(&scenario.machines).map(play).collect();
        Self { scenario: Arc::new(scenario.clone()), seed, range, calendar, machines }
    }

    /// The scenario that is played.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The seed under which it is played.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// From the first instant to the last.
    pub fn range(&self) -> Interval {
        self.range
    }

    /// What was planned when.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The machines in the order of the scenario.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// A machine by its work unit id.
    pub fn machine(&self, id: &WorkUnitId) -> Option<&Machine> {
        self.machines.iter().find(|machine| &machine.spec.id == id)
    }

    /// The machines behind one server.
    pub fn machines_of<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a Machine> {
        self.machines.iter().filter(move |machine| machine.spec.server == server)
    }
}

impl Machine {
    /// What the scenario says of it.
    pub fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    /// Its registers or nodes.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// What happens to it, in order, without a gap.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Which of the world's machines it is, and under which seed; for signals of its own.
    pub(crate) fn stream(&self) -> (u64, u64) {
        (self.seed, self.index)
    }

    /// What it shows at `at`. Before the start of the world it shows the start.
    pub fn at(&self, at: Timestamp) -> MachineState {
        let segment = &self.segments[self.segments.partition_point(|segment| segment.start <= at).saturating_sub(1)];
        let into = at.since(segment.start).max(0);
        let mut cycles = segment.cycles;
        if segment.activity == Activity::Run {
            cycles += (segment.progress + into).cast_unsigned() / self.cycle(segment.product).cast_unsigned();
        }
        let produced = cycles * u64::from(self.spec.pieces_per_cycle);
        let scrap = self.scrap.partition_point(|piece| *piece < produced) as u64;
        let energy = segment.energy + i128::from(into) * i128::from(self.watts(segment.activity));
        let steps = u64::try_from(energy / METER_STEP).unwrap_or(u64::MAX);
        let energy = self.spec.energy_start + steps;
        MachineState { activity: segment.activity, product: segment.product, cycles, produced, scrap, energy }
    }

    /// Nanoseconds that one cycle of a product really takes.
    fn cycle(&self, product: usize) -> i64 {
        i64::from(self.spec.products[product].cycle_ms) * (SECOND / 1000)
    }

    /// Power of an activity, in watts.
    pub(crate) fn watts(&self, activity: Activity) -> i64 {
        match activity {
            Activity::Run => self.spec.power.run,
            Activity::Off => self.spec.power.off,
            _ => self.spec.power.idle,
        }
    }

    fn play(
        scenario: &Scenario,
        calendar: &Calendar,
        range: Interval,
        improved: Timestamp,
        (index, spec): (u64, &MachineSpec),
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        let machine =
            Self { spec: spec.clone(), index, seed, segments: Vec::new(), scrap: Vec::new(), points: points(spec) };
        let before = *spec.behaviour.as_ref().unwrap_or(&scenario.behaviour);
        let after = spec.behaviour.or(scenario.improved).unwrap_or(before);
        let quantum = scenario.quantum_seconds;
        let mut playing = Playing { machine, before, after, improved, quantum, rng, next_scrap: 0, product: 0 };
        playing.next_scrap = playing.gap();
        for (span, planned) in stretches(calendar, range) {
            match planned {
                Planned::Work => playing.work(span),
                Planned::Maintenance => playing.push(span.start, Activity::Maintenance, span.end),
                Planned::Off | Planned::Break => playing.push(span.start, Activity::Off, span.end),
            }
        }
        playing.push(range.end, Activity::Off, range.end);
        playing.machine
    }
}

/// The calendar's pieces, with adjacent stretches of work joined: a shift that follows another stops no machine.
fn stretches(calendar: &Calendar, range: Interval) -> Vec<(Interval, Planned)> {
    let mut joined: Vec<(Interval, Planned)> = Vec::new();
    for (span, planned) in calendar.within(range) {
        match joined.last_mut() {
            Some((last, same)) if *same == planned && last.end == span.start => last.end = span.end,
            _ => joined.push((span, planned)),
        }
    }
    joined
}

/// A machine while its list is being written.
struct Playing {
    machine: Machine,
    before: Behaviour,
    after: Behaviour,
    /// From when on the second behaviour holds.
    improved: Timestamp,
    quantum: i64,
    rng: ChaCha8Rng,
    /// Number of the next piece that will be scrap.
    next_scrap: u64,
    product: usize,
}

impl Playing {
    /// Fills a stretch of work with runs and stops. No stop touches either end, so that each is whole.
    fn work(&mut self, span: Interval) {
        let mut at = span.start;
        loop {
            let behaviour = if at < self.improved { self.before } else { self.after };
            let run_until = at.plus(self.draw(behaviour.run)).min(span.end);
            self.push(at, Activity::Run, run_until);
            let (activity, length) = self.stop(behaviour);
            if length == 0 || run_until.plus(length + self.quantum * SECOND) > span.end {
                // The rest of the stretch has no room for this stop.
                if run_until < span.end {
                    self.push(run_until, Activity::Run, span.end);
                }
                return;
            }
            at = run_until.plus(length);
            if activity == Activity::Setup {
                // The old product stays visible for a step, so that its last pieces are counted under it.
                let changed = run_until.plus(self.quantum * SECOND);
                self.push(run_until, activity, changed);
                self.product = (self.product + 1) % self.machine.spec.products.len();
                self.push(changed, activity, at);
            } else {
                self.push(run_until, activity, at);
            }
        }
    }

    /// Draws the next stop and its length in nanoseconds; a length of zero is none.
    fn stop(&mut self, behaviour: Behaviour) -> (Activity, i64) {
        let short = if self.rng.random_bool(0.5) { Activity::ShortFault } else { Activity::ShortWait };
        let kinds = [
            (short, behaviour.micro_stop),
            (Activity::Breakdown, behaviour.breakdown),
            (Activity::Waiting, behaviour.waiting),
            (Activity::Setup, behaviour.setup),
            (Activity::NoOrder, behaviour.no_order),
        ];
        let total: u32 = kinds.iter().map(|(_, interruption)| interruption.weight).sum();
        if total == 0 {
            return (short, 0);
        }
        let mut drawn = self.rng.random_range(0..total);
        for (activity, Interruption { weight, min, max }) in kinds {
            if drawn < weight {
                return (activity, self.draw(Span { min, max }));
            }
            drawn -= weight;
        }
        (short, 0)
    }

    /// A multiple of the quantum between the two ends, in nanoseconds.
    fn draw(&mut self, span: Span) -> i64 {
        self.rng.random_range(span.min / self.quantum..=span.max / self.quantum) * self.quantum * SECOND
    }

    /// Pieces until the next scrap one: even around the mean that the product's rate gives.
    fn gap(&mut self) -> u64 {
        let rate = u64::from(self.machine.spec.products[self.product].scrap_per_mille);
        match 2000_u64.checked_div(rate) {
            Some(most) => self.rng.random_range(0..most),
            None => u64::MAX / 2,
        }
    }

    /// Ends what went on at `start` and begins `activity`, up to `end`.
    fn push(&mut self, start: Timestamp, activity: Activity, end: Timestamp) {
        let (product, machine) = (self.product, &mut self.machine);
        let mut segment = Segment { start, activity, product, cycles: 0, progress: 0, energy: 0 };
        let mut changed = false;
        if let Some(last) = machine.segments.last().copied() {
            let past = start.since(last.start);
            segment.energy = last.energy + i128::from(past) * i128::from(machine.watts(last.activity));
            let spent = last.progress + if last.activity == Activity::Run { past } else { 0 };
            let cycle = machine.cycle(last.product);
            segment.cycles = last.cycles + (spent / cycle).cast_unsigned();
            // A change of product throws away the piece that was begun.
            changed = last.product != product;
            segment.progress = if changed { 0 } else { spent % cycle };
            if last.start == start {
                machine.segments.pop();
            }
        }
        machine.segments.push(segment);
        if activity == Activity::Run {
            self.spoil(end);
        } else if changed {
            self.next_scrap = self.machine.at(start).produced + self.gap();
        }
    }

    /// Decides which of the pieces finished up to `end` are scrap.
    fn spoil(&mut self, end: Timestamp) {
        let produced = self.machine.at(end).produced;
        while self.next_scrap < produced {
            self.machine.scrap.push(self.next_scrap);
            self.next_scrap += 1 + self.gap();
        }
    }
}

#[cfg(test)]
mod tests {
    use shopfloor::time::{HOUR, MINUTE};

    use super::*;

    const WEEK: i64 = 7 * 24 * HOUR;

    fn world(seed: u64) -> World {
        let scenario = Scenario::builtin("demo").unwrap();
        World::new(&scenario, seed, Timestamp::parse("2026-11-22T16:00:00Z").unwrap(), WEEK)
    }

    #[test]
    fn the_same_seed_gives_the_same_world_and_another_seed_another() {
        assert_eq!(format!("{:?}", world(7).machines), format!("{:?}", world(7).machines));
        assert_ne!(format!("{:?}", world(7).machines), format!("{:?}", world(8).machines));
    }

    #[test]
    fn everything_happens_on_the_quantum_and_without_a_gap() {
        let world = world(3);
        for machine in world.machines() {
            assert_eq!(machine.segments[0].start, world.range.start);
            for pair in machine.segments.windows(2) {
                assert!(pair[0].start < pair[1].start, "{}", machine.spec.id);
            }
            assert!(machine.segments.iter().all(|s| s.start.as_nanos() % world.scenario.quantum() == 0));
        }
    }

    #[test]
    fn totals_never_fall_and_scrap_is_part_of_them() {
        let world = world(4);
        for machine in world.machines() {
            let mut last = machine.at(world.range.start);
            for minute in 1..=WEEK / MINUTE {
                let now = machine.at(world.range.start.plus(minute * MINUTE));
                assert!(last.produced <= now.produced && last.scrap <= now.scrap && last.energy <= now.energy);
                assert!(now.scrap <= now.produced);
                last = now;
            }
            assert!(last.produced > 100, "{} made {}", machine.spec.id, last.produced);
            let declared = machine.spec.products.iter().any(|product| product.scrap_per_mille > 0);
            assert_eq!(declared, last.scrap > 0, "{}", machine.spec.id);
        }
    }

    #[test]
    fn every_cause_occurs_in_a_week() {
        let world = world(5);
        let mut seen: Vec<Activity> = world.machines.iter().flat_map(|m| &m.segments).map(|s| s.activity).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9, "{seen:?}");
    }

    #[test]
    fn no_piece_is_finished_while_the_product_changes() {
        for machine in world(6).machines() {
            for pair in machine.segments.windows(2).filter(|pair| pair[0].product != pair[1].product) {
                assert_eq!((pair[0].activity, pair[1].activity), (Activity::Setup, Activity::Setup));
                assert_eq!(machine.at(pair[0].start).produced, machine.at(pair[1].start).produced);
            }
        }
    }

    #[test]
    fn an_improvement_changes_what_comes_after_it_and_nothing_before() {
        let scenario = Scenario::builtin("demo").unwrap();
        let start = Timestamp::parse("2026-11-01T16:00:00Z").unwrap();
        let (plain, improved) = (World::new(&scenario, 9, start, 4 * WEEK), start.plus(2 * WEEK));
        let better = World::improving(&scenario, 9, start, 4 * WEEK, improved);
        for (old, new) in plain.machines.iter().zip(&better.machines).filter(|(old, _)| old.spec.behaviour.is_none()) {
            for hour in 0..2 * 7 * 24 {
                assert_eq!(old.at(start.plus(hour * HOUR)), new.at(start.plus(hour * HOUR)), "{}", old.spec.id);
            }
            let made = |from: Timestamp| new.at(from.plus(2 * WEEK)).produced - new.at(from).produced;
            assert!(made(improved) > made(start), "{}", old.spec.id);
        }
    }

    #[test]
    fn a_meter_runs_with_the_power() {
        let machine = &world(7).machines[0];
        let run = machine.segments.iter().find(|segment| segment.activity == Activity::Run).unwrap();
        // 3600 s at W watts are W * 3600 J; the meter counts steps of 36 kJ.
        let energy = |at: Timestamp| machine.at(at).energy;
        let used = energy(run.start.plus(MINUTE)) - energy(run.start);
        let exact = machine.spec.power.run * 60 / 36_000;
        assert!(used.abs_diff(exact.cast_unsigned()) <= 1);
    }
}
