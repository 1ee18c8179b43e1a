//! plant.toml of a simulated site.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use shopfloor::id::AgentId;
use shopfloor::time::Timestamp;

use crate::machine::{Activity, Machine, World};
use crate::points::{Place, Point, Role, Shape, code};
use crate::registers::Encoding;
use crate::scenario::{Kind, Scenario, Shift, Unconnected};

/// From when until when the work units' tags are read from one agent's blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The agent.
    pub agent: AgentId,
    /// First instant, if limited.
    pub from: Option<Timestamp>,
    /// First instant after, if limited.
    pub until: Option<Timestamp>,
}

impl World {
    /// The plant model of this site, each of its work units bound to the agents given.
    pub fn plant_toml(&self, bindings: &[Binding]) -> String {
        let mut out = String::new();
        let scenario = self.scenario();
        line!(out, "# 由模拟器按场景 {:?} 生成。Written by the simulators.\nschema = 1", scenario.id);
        site(&mut out, scenario);
        hierarchy(&mut out, scenario);
        calendar(&mut out, scenario);
        let kinds: BTreeSet<Kind> = scenario.machines.iter().map(|machine| machine.kind).collect();
        for kind in kinds {
            state_rule(&mut out, kind);
        }
        self.machines().iter().for_each(|machine| work_unit(&mut out, scenario, machine, bindings));
        equipment(&mut out, scenario);
        out
    }
}

fn site(out: &mut String, scenario: &Scenario) {
    let site = &scenario.site;
    line!(out, "\n[site]\nid = {:?}\nname = {:?}\nuscc = {:?}", site.id.as_str(), site.name, site.uscc);
    line!(out, "industry = {:?}\ncounty = {:?}\ntime_zone = {:?}", site.industry, site.county, site.time_zone);
    let also = |out: &mut String, key: &str, text: Option<&String>| {
        if let Some(text) = text {
            line!(out, "{key} = {text:?}");
        }
    };
    also(out, "name_en", site.name_en.as_ref());
    also(out, "county_name", site.county_name.as_ref());
    if let Some(contact) = &site.contact {
        line!(out, "\n[site.contact]\nname = {:?}\nphone = {:?}", contact.name, contact.phone);
    }
    line!(out, "\n[[site.cluster]]\nid = {:?}\nkind = \"cluster\"", site.cluster.as_str());
    also(out, "name", site.cluster_name.as_ref());
    also(out, "name_en", site.cluster_name_en.as_ref());
    line!(out, "from = \"2024-01-01\"");
}

fn hierarchy(out: &mut String, scenario: &Scenario) {
    let area = scenario.site.area.as_str();
    line!(out, "\n[[area]]\nid = {area:?}\nname = {:?}", scenario.site.area_name);
    let centers: BTreeMap<&str, &str> =
        scenario.machines.iter().map(|m| (m.work_center.as_str(), m.work_center_name.as_str())).collect();
    for (id, name) in centers {
        line!(out, "\n[[work_center]]\nid = {id:?}\nname = {name:?}\narea = {area:?}");
    }
    let products: BTreeSet<&str> =
        scenario.machines.iter().flat_map(|machine| &machine.products).map(|product| product.id.as_str()).collect();
    for id in products {
        line!(out, "\n[[product]]\nid = {id:?}\nname = \"产品 {id}\"");
        if let Ok(code) = id.parse::<u16>() {
            line!(out, "code = {code}");
        }
    }
}

fn calendar(out: &mut String, scenario: &Scenario) {
    line!(out, "\n[[calendar]]\nid = \"main\"\nname = \"生产日历\"");
    for Shift { id, name, start, end, breaks, weekdays } in &scenario.shifts {
        line!(
            out,
            "\n[[calendar.shift]]\nid = {:?}\nname = {name:?}\nstart = \"{start}\"\nend = \"{end}\"",
            id.as_str()
        );
        line!(out, "weekdays = {:?}", weekdays.iter().map(|day| weekday(*day)).collect::<Vec<_>>());
        for pause in breaks {
            line!(out, "\n[[calendar.shift.break]]\nstart = \"{}\"\nend = \"{}\"", pause.start, pause.end);
        }
    }
    for maintenance in &scenario.maintenance {
        let (start, end) = (maintenance.span.start, maintenance.span.end);
        line!(out, "\n[[calendar.maintenance]]\nname = \"计划保养\"\nstart = \"{start}\"\nend = \"{end}\"");
        line!(out, "weekdays = [{:?}]", weekday(maintenance.weekday));
    }
}

const fn weekday(day: u8) -> &'static str {
    match day {
        1 => "mon",
        2 => "tue",
        3 => "wed",
        4 => "thu",
        5 => "fri",
        6 => "sat",
        _ => "sun",
    }
}

/// Name of the state rule of a kind: one of the site's own, or one that ships.
const fn rule_name(kind: Kind) -> &'static str {
    match kind {
        Kind::BearingGrinder => "grinder-codes",
        Kind::InjectionMoulding => "moulding-codes",
        Kind::Loom => "loom-codes",
        Kind::Cell => "cell-codes",
        Kind::CncLathe => "mtconnect",
        Kind::Dumb => "running-bit",
    }
}

fn state_rule(out: &mut String, kind: Kind) {
    if matches!(kind, Kind::CncLathe | Kind::Dumb) {
        return;
    }
    line!(out, "\n[[state_rule]]\nid = {:?}\nversion = 1\nkind = \"enumeration\"", rule_name(kind));
    line!(out, "title_zh = \"设备状态码\"\ntitle_en = \"Machine state codes\"");
    let meanings = [
        (Activity::Off, "IDLE", "off", "关机", "off"),
        (Activity::Run, "RUN", "running", "运行", "running"),
        (Activity::Waiting, "EXT", "waiting", "待料或待人", "waiting"),
        (Activity::Breakdown, "DOWN", "fault", "故障", "fault"),
        (Activity::Setup, "SETUP", "changeover", "换型", "changeover"),
        (Activity::Maintenance, "PM", "maintenance", "保养", "maintenance"),
        (Activity::NoOrder, "IDLE", "no-order", "无订单", "no order"),
    ];
    for (activity, leaf, cause, zh, en) in meanings {
        line!(out, "\n[[state_rule.state]]\nvalue = {}\nleaf = {leaf:?}", code(kind, activity));
        line!(out, "cause = {cause:?}\nzh = {zh:?}\nen = {en:?}");
    }
}

/// Longest time that an OPC UA value holds after a life sign unless the plant says otherwise, in seconds.
const HOLDS: i64 = 10;

fn work_unit(out: &mut String, scenario: &Scenario, machine: &Machine, bindings: &[Binding]) {
    let spec = machine.spec();
    let id = spec.id.as_str();
    line!(out, "\n[[work_unit]]\nid = {id:?}\nname = {:?}\nname_en = {:?}", spec.name, spec.name_en);
    line!(out, "work_center = {:?}\ncalendar = \"main\"", spec.work_center.as_str());
    line!(out, "state_rule = {:?}\nmicro_stop = \"{}s\"", rule_name(spec.kind), spec.micro_stop_seconds);
    if spec.kind.is_opcua() && scenario.quantum_seconds > HOLDS {
        // In lock-step a life sign comes once in a quantum; three may be missed, as with scans.
        line!(out, "stale_after = \"{}s\"", 3 * scenario.quantum_seconds);
    }
    line!(out, "\n[work_unit.role]");
    for point in machine.points() {
        if let Some(role) = point.role {
            line!(out, "{} = \"{id}/{}\"", role_name(role), point.tag);
        }
    }
    machine.points().iter().for_each(|point| counter(out, machine, point));
    for binding in bindings {
        line!(out, "\n[[work_unit.binding]]\nagent = {:?}", binding.agent.as_str());
        for (key, at) in [("from", binding.from), ("until", binding.until)] {
            if let Some(at) = at {
                line!(out, "{key} = \"{at}\"");
            }
        }
    }
    let shown = machine.points().iter().any(|point| point.role == Some(Role::Product));
    for product in &spec.products {
        let name = if shown { product.id.as_str() } else { "*" };
        line!(out, "\n[[work_unit.ideal_cycle]]\nproduct = {name:?}\ntime = \"{}s\"", product.ideal_seconds);
        line!(out, "items = {}", product.ideal_items);
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::State => "state",
        Role::Mode => "mode",
        Role::Running => "running",
        Role::Produced => "produced",
        Role::Scrap => "scrap",
        Role::Energy => "energy",
        Role::Product => "product",
        Role::Power => "power",
    }
}

/// How a counter counts: its width, its pieces, and twice what the machine can do as the most that is plausible.
fn counter(out: &mut String, machine: &Machine, point: &Point) {
    let spec = machine.spec();
    let width = match &point.place {
        Place::Words { encoding: Encoding::U16, .. } => 16,
        Place::Words { encoding: Encoding::U32, .. } | Place::Node { shape: Shape::UInt32, .. } => 32,
        _ => return,
    };
    let steps: u64 = 1 << width;
    let pieces = spec.pieces_per_cycle;
    let cycle = spec.products.iter().map(|product| product.cycle_ms).min().unwrap_or(1);
    match point.role {
        Some(Role::Produced) => {
            line!(out, "\n[work_unit.counter.produced]\nmodulus = \"{steps}\"\nper_increment = \"{pieces}\"");
            line!(out, "maximum_rate = {{ amount = \"{}\", per = \"{cycle}ms\" }}", 2 * pieces);
        }
        Some(Role::Scrap) => {
            line!(out, "\n[work_unit.counter.scrap]\nmodulus = \"{steps}\"");
            line!(out, "maximum_rate = {{ amount = \"{}\", per = \"{cycle}ms\" }}", 2 * pieces);
        }
        Some(Role::Energy) => {
            // The tag is in kWh and the meter counts hundredths, so it starts again at a hundredth of its steps.
            line!(out, "\n[work_unit.counter.energy]\nunit = \"kWh\"\nresolution = \"0.01\"");
            line!(out, "modulus = \"{}.{:02}\"", steps / 100, steps % 100);
            line!(out, "maximum_rate = {{ amount = \"{}\", per = \"1000h\" }}", 2 * spec.power.run);
        }
        _ => {}
    }
}

fn equipment(out: &mut String, scenario: &Scenario) {
    for machine in &scenario.machines {
        let id = machine.equipment.as_str();
        line!(out, "\n[[equipment]]\nid = {id:?}\nname = {:?}\nname_en = {:?}", machine.name, machine.name_en);
        line!(out, "model = {:?}\nserial = \"SIM-{id}\"\nkey_process = {}", machine.model, machine.key_process);
        if let Some(contract_line) = &machine.contract_line {
            line!(out, "contract_line = {contract_line:?}");
        }
        line!(out, "networked = \"verified\"\nwork_unit = {:?}", machine.id.as_str());
    }
    for lines in &scenario.unconnected {
        (0..lines.count).for_each(|number| unconnected(out, lines, number));
    }
}

/// One of the machines that nothing connects to; `number` counts those of a kind from zero.
fn unconnected(out: &mut String, lines: &Unconnected, number: u32) {
    let id = lines.id(number);
    line!(out, "\n[[equipment]]\nid = {id:?}\nname = {:?}\nmodel = {:?}", lines.name, lines.model);
    line!(out, "serial = \"SIM-{id}\"\nkey_process = {}", lines.key_process);
    if let Some(contract_line) = &lines.contract_line {
        line!(out, "contract_line = {contract_line:?}");
    }
    match &lines.system {
        Some(system) => {
            line!(out, "networked = \"declared\"\nsystem = {system:?}");
            line!(out, "attested_by = \"设备科\"\nattested_at = \"2026-10-08\"");
        }
        None => line!(out, "networked = \"none\""),
    }
}

#[cfg(test)]
mod tests {
    use shopfloor::time::HOUR;

    use super::*;
    use crate::scenario::BUILTIN;

    #[test]
    fn the_plant_of_every_scenario_is_one_that_shopfloor_reads() {
        for (name, _) in BUILTIN {
            let start = Timestamp::parse("2026-11-25T00:00:00+08:00").unwrap();
            let world = World::new(&Scenario::builtin(name).unwrap(), 1, start, HOUR);
            let (past, live) = ("agent-1-past".parse().unwrap(), "agent-1".parse().unwrap());
            let bindings = [
                Binding { agent: past, from: None, until: Some(start) },
                Binding { agent: live, from: Some(start), until: None },
            ];
            let text = world.plant_toml(&bindings);
            let plant = shopfloor::file::plant::parse(&text, "plant.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(plant.work_units.len(), world.machines().len());
            let unconnected: u32 = world.scenario().unconnected.iter().map(|lines| lines.count).sum();
            assert_eq!(plant.equipment.len(), world.machines().len() + usize::try_from(unconnected).unwrap());
            assert!(plant.remarks.is_empty(), "{:?}", plant.remarks);
            assert!(plant.work_units.iter().all(|unit| unit.bindings.len() == 2));
        }
    }
}
