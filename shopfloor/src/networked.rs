//! Networked equipment (设备联网) in three states, counted over the equipment register.
//!
//! What the register says and what arrives here are two things: only a machine whose own data arrive is verified.
//! The share of networked equipment is never one number, because what others say and what was seen do not add up to
//! one truth.

use std::collections::BTreeSet;

use crate::display::Text;
use crate::id::{EquipmentId, WorkUnitId};
use crate::plant::{Equipment, Networked, Plant};
use crate::remark::Remark;

/// How many machines stand in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// 已核验联网: registered as networked, and its data arrive here.
    pub verified: u32,
    /// 已申报未核验: somebody says that it is networked.
    pub declared: u32,
    /// 未联网.
    pub none: u32,
}

impl Counts {
    /// All machines of the register.
    pub const fn total(self) -> u32 {
        self.verified + self.declared + self.none
    }

    /// The sums of two registers.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            verified: self.verified + other.verified,
            declared: self.declared + other.declared,
            none: self.none + other.none,
        }
    }

    /// The three counts and the total, as people read them.
    pub fn text(self) -> Text {
        let Self { verified, declared, none } = self;
        let total = self.total();
        Text::new(
            format!("{verified} 已核验 / {declared} 已申报 / {none} 未联网（共 {total} 台）"),
            format!("{verified} verified / {declared} declared / {none} not networked (of {total})"),
        )
    }

    const fn add(&mut self, networked: Networked) {
        match networked {
            Networked::Verified => self.verified += 1,
            Networked::Declared => self.declared += 1,
            Networked::None => self.none += 1,
        }
    }
}

/// One machine of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line of the register.
    pub id: EquipmentId,
    /// Whether it performs a key process.
    pub key_process: bool,
    /// Its state, by the register and by what arrives here.
    pub networked: Networked,
    /// Why that differs from what the register says, or what contradicts it.
    pub remark: Option<Remark>,
}

/// The register, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Register {
    /// All machines.
    pub counts: Counts,
    /// Those that perform a key process (关键工序).
    pub key_process: Counts,
    /// Machine by machine, in the order of the register.
    pub lines: Vec<Line>,
    /// What was noticed about the register as a whole.
    pub remarks: Vec<Remark>,
}

/// Counts the register of a plant; `sends` are the work units of which at least one sample arrived here.
///
/// A machine is verified when the register says that it is networked and its work unit sends. One work unit answers
/// for one machine: a second line with the same work unit stays declared. The register alone says how many machines
/// there are; a work unit that stands in no line is noticed and not counted.
pub fn count(plant: &Plant, sends: &BTreeSet<WorkUnitId>) -> Register {
    let mut register = Register::default();
    let mut answered: BTreeSet<&WorkUnitId> = BTreeSet::new();
    for equipment in &plant.equipment {
        let line = line(equipment, sends, &answered);
        if line.networked == Networked::Verified {
            answered.extend(equipment.work_unit.as_ref());
        }
        register.counts.add(line.networked);
        if line.key_process {
            register.key_process.add(line.networked);
        }
        register.lines.push(line);
    }
    let listed: BTreeSet<_> = plant.equipment.iter().filter_map(|line| line.work_unit.as_ref()).collect();
    let unlisted = plant.work_units.iter().filter(|unit| sends.contains(&unit.id) && !listed.contains(&unit.id));
    register.remarks.extend(unlisted.map(|unit| not_in_register(&unit.id)));
    register
}

fn line(equipment: &Equipment, sends: &BTreeSet<WorkUnitId>, answered: &BTreeSet<&WorkUnitId>) -> Line {
    let unit = equipment.work_unit.as_ref().filter(|unit| sends.contains(*unit));
    let (networked, remark) = match (equipment.networked, unit) {
        (Networked::None, Some(unit)) => (Networked::None, Some(contradiction(&equipment.id, unit))),
        (Networked::None, None) => (Networked::None, None),
        (_, Some(unit)) if answered.contains(unit) => (Networked::Declared, Some(answers_already(&equipment.id, unit))),
        (_, Some(_)) => (Networked::Verified, None),
        (Networked::Verified, None) => (Networked::Declared, Some(no_data(&equipment.id))),
        (Networked::Declared, None) => (Networked::Declared, None),
    };
    Line { id: equipment.id.clone(), key_process: equipment.key_process, networked, remark }
}

fn no_data(id: &EquipmentId) -> Remark {
    Remark::new(
        "verified-without-data",
        format!("设备 {id} 在台账中记为已核验联网，但本系统从未收到它的数据，按已申报计"),
        format!(
            "equipment {id} is registered as verified, but none of its data ever arrived here; it counts as declared"
        ),
    )
}

fn answers_already(id: &EquipmentId, unit: &WorkUnitId) -> Remark {
    Remark::new(
        "work-unit-counted-already",
        format!("设备 {id} 与台账中另一行同属采集单元 {unit}，一个采集单元只核验一台，按已申报计"),
        format!(
            "equipment {id} shares work unit {unit} with another line; one work unit verifies one machine, so it counts as declared"
        ),
    )
}

fn contradiction(id: &EquipmentId, unit: &WorkUnitId) -> Remark {
    Remark::new(
        "none-with-data",
        format!("设备 {id} 在台账中记为未联网，但采集单元 {unit} 有数据；请更正台账"),
        format!(
            "equipment {id} is registered as not networked, but data of work unit {unit} arrive; correct the register"
        ),
    )
}

fn not_in_register(unit: &WorkUnitId) -> Remark {
    Remark::new(
        "work-unit-not-in-register",
        format!("采集单元 {unit} 有数据，但设备台账中没有它，未计入台数"),
        format!("data of work unit {unit} arrive, but it stands in no line of the register and is not counted"),
    )
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::file::plant::parse;

    const HEAD: &str = "schema = 1\n[site]\nid = \"s\"\nname = \"厂\"\ntime_zone = \"Asia/Shanghai\"\n\
        [[calendar]]\nid = \"c\"\nname = \"历\"\n";

    /// A shop: so many machines that are measured here, so many that another system networks, so many that nothing does.
    fn shop(here: u32, elsewhere: u32, dumb: u32) -> (Plant, BTreeSet<WorkUnitId>) {
        let mut text = HEAD.to_owned();
        for n in 0..here {
            let unit = "name = \"机\"\ncalendar = \"c\"\nstate_rule = \"running-bit\"";
            writeln!(text, "[[work_unit]]\nid = \"w{n}\"\n{unit}").unwrap();
            let line = format!("name = \"机\"\nkey_process = true\nnetworked = \"verified\"\nwork_unit = \"w{n}\"");
            writeln!(text, "[[equipment]]\nid = \"here-{n}\"\n{line}").unwrap();
        }
        for n in 0..elsewhere {
            let line = "name = \"机\"\nnetworked = \"declared\"\nsystem = \"MES\"\nattested_by = \"张工\"\nattested_at = 2026-10-20";
            writeln!(text, "[[equipment]]\nid = \"other-{n}\"\n{line}").unwrap();
        }
        for n in 0..dumb {
            writeln!(text, "[[equipment]]\nid = \"dumb-{n}\"\nname = \"机\"\nnetworked = \"none\"").unwrap();
        }
        let plant = parse(&text, "plant.toml").unwrap_or_else(|problems| panic!("{problems}"));
        let sends = plant.work_units.iter().map(|unit| unit.id.clone()).collect();
        (plant, sends)
    }

    #[test]
    fn a_shop_of_30_with_10_here_and_20_elsewhere_is_10_verified_and_20_declared() {
        let (plant, sends) = shop(10, 20, 0);
        let register = count(&plant, &sends);
        assert_eq!(register.counts, Counts { verified: 10, declared: 20, none: 0 });
        assert_eq!(register.counts.text().zh, "10 已核验 / 20 已申报 / 0 未联网（共 30 台）");
        assert_eq!(register.counts.text().en, "10 verified / 20 declared / 0 not networked (of 30)");
        assert_eq!(register.key_process, Counts { verified: 10, declared: 0, none: 0 });
        let all = format!("{:?}", register.counts.text());
        assert!(!all.contains('%') && register.remarks.is_empty());
    }

    #[test]
    fn a_machine_that_never_sent_is_not_verified_whatever_the_register_says() {
        let (plant, mut sends) = shop(3, 0, 1);
        sends.remove(&"w1".parse::<WorkUnitId>().unwrap());
        let register = count(&plant, &sends);
        assert_eq!(register.counts, Counts { verified: 2, declared: 1, none: 1 });
        let noticed: Vec<_> = register.lines.iter().filter_map(|line| line.remark.as_ref()).collect();
        assert_eq!(noticed.len(), 1);
        assert_eq!(noticed[0].code, "verified-without-data");
    }

    #[test]
    fn one_work_unit_verifies_one_machine_and_an_unlisted_one_none() {
        let (mut plant, sends) = shop(2, 1, 0);
        plant.equipment[1].work_unit = plant.equipment[0].work_unit.clone();
        plant.equipment[2].networked = Networked::None;
        plant.equipment[2].work_unit = plant.equipment[0].work_unit.clone();
        let register = count(&plant, &sends);
        assert_eq!(register.counts, Counts { verified: 1, declared: 1, none: 1 });
        let codes: Vec<_> =
            register.lines.iter().filter_map(|line| Some(line.remark.as_ref()?.code.as_str())).collect();
        assert_eq!(codes, ["work-unit-counted-already", "none-with-data"]);
        assert_eq!(register.remarks[0].code, "work-unit-not-in-register");
    }
}
