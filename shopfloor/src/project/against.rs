//! A project held against the factory that it is about.

use super::{Project, Scope};
use crate::indicator::Formula;
use crate::plant::{Plant, Role, WorkUnit};
use crate::remark::Remark;

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Against {
    /// What makes the project impossible to judge: an import refuses it.
    pub problems: Vec<Remark>,
    /// What will have to be looked after, and does not stop an import.
    pub remarks: Vec<Remark>,
}

impl Against {
    /// Whether the project can be taken.
    pub fn is_acceptable(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Whether site, work units, equipment and contract lines are those of the plant, and whether the windows are in
/// order in its zone.
pub fn check_against(project: &Project, plant: &Plant) -> Against {
    let mut found = Against::default();
    if project.site != plant.site.id {
        let (wanted, is) = (&project.site, &plant.site.id);
        found.problems.push(Remark::new(
            "unknown-site",
            format!("项目属于工厂 {wanted}，而不是 {is}"),
            format!("the project is about site {wanted}, not {is}"),
        ));
        return found;
    }
    windows(project, plant, &mut found);
    for criterion in &project.criteria {
        match &criterion.scope {
            Scope::All if !plant.work_units.iter().any(WorkUnit::is_connected) => found.problems.push(Remark::new(
                "no-connected-work-unit",
                format!("指标 {} 的范围是全部已接入设备，但工厂没有已接入的设备", criterion.id),
                format!("criterion {} covers all connected work units, and the site has none", criterion.id),
            )),
            Scope::All => {}
            Scope::Units(units) => {
                for id in units.iter().filter(|id| plant.work_unit(id).is_none()) {
                    found.problems.push(Remark::new(
                        "unknown-work-unit",
                        format!("指标 {} 的设备 {id} 不在工厂模型中", criterion.id),
                        format!("criterion {}: the plant has no work unit {id}", criterion.id),
                    ));
                }
            }
        }
        for unit in plant.work_units.iter().filter(|unit| criterion.covers(&unit.id, unit.is_connected())) {
            for role in needed(criterion.indicator.formula).iter().filter(|role| unit.role(**role).is_none()) {
                found.remarks.push(Remark::new(
                    "role-missing",
                    format!(
                        "指标 {}：设备 {} 没有“{role}”点位，{} 将无法计算",
                        criterion.id, unit.id, criterion.indicator
                    ),
                    format!(
                        "criterion {}: no tag of work unit {} plays the role `{role}`; {} will be refused",
                        criterion.id, unit.id, criterion.indicator
                    ),
                ));
            }
        }
    }
    equipment(project, plant, &mut found);
    found
}

/// The counters without which a formula is refused.
const fn needed(formula: Formula) -> &'static [Role] {
    match formula {
        Formula::Availability => &[],
        Formula::Effectiveness => &[Role::Produced],
        Formula::QualityRatio | Formula::Oee => &[Role::Produced, Role::Scrap],
        Formula::UnitEnergy => &[Role::Produced, Role::Energy],
    }
}

/// What a file that mixes dates and instants can only tell with the zone at hand.
fn windows(project: &Project, plant: &Plant, found: &mut Against) {
    let windows = project.windows(&plant.site.time_zone);
    let mut problem = |wrong: bool, code: &str, zh: &str, en: &str| {
        if wrong {
            found.problems.push(Remark::new(code, zh, en));
        }
    };
    problem(windows.baseline.is_empty(), "window-empty", "基准期为空", "the baseline is empty");
    problem(windows.after.is_empty(), "window-empty", "改造后窗口为空", "the after window is empty");
    problem(
        windows.baseline.intersect(windows.after).is_some() || windows.after.start < windows.baseline.start,
        "windows-overlap",
        "基准期与改造后窗口重叠或前后颠倒",
        "baseline and after window overlap or are the wrong way round",
    );
    problem(
        windows.after.start < windows.go_live,
        "after-before-go-live",
        "改造后窗口早于投用日期",
        "the after window begins before go-live",
    );
    problem(
        windows.baseline.end > windows.go_live,
        "baseline-after-go-live",
        "基准期晚于投用日期",
        "the baseline ends after go-live",
    );
}

fn equipment(project: &Project, plant: &Plant, found: &mut Against) {
    for line in &project.contract_lines {
        for id in &line.equipment {
            let Some(register) = plant.equipment.iter().find(|row| row.id == *id) else {
                found.problems.push(Remark::new(
                    "unknown-equipment",
                    format!("合同行 {} 的设备 {id} 不在设备台账中", line.id),
                    format!("contract line {}: {id} is not in the equipment register", line.id),
                ));
                continue;
            };
            let stated = register.contract_line.as_deref();
            if stated != Some(line.id.as_str()) {
                let shown = stated.unwrap_or("—");
                found.remarks.push(Remark::new(
                    "contract-line-differs",
                    format!("设备 {id}：项目写合同行 {}，台账写 {shown}", line.id),
                    format!("{id}: the project says contract line {}, the register says {shown}", line.id),
                ));
            }
        }
    }
    let listed = |id| project.contract_lines.iter().any(|line| line.equipment.contains(id));
    let lines = |stated: &str| project.contract_lines.iter().any(|line| line.id.as_str() == stated);
    for row in plant.equipment.iter().filter(|row| !listed(&row.id)) {
        if let Some(stated) = row.contract_line.as_deref().filter(|stated| lines(stated)) {
            found.remarks.push(Remark::new(
                "contract-line-differs",
                format!("设备 {} 在台账中属于合同行 {stated}，项目未列出", row.id),
                format!("the register counts {} to contract line {stated}, the project does not list it", row.id),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{plant, project};

    const PLANT: &str = include_str!("../../plant.example.toml");
    const PROJECT: &str = include_str!("../../project.example.toml");

    fn against(project: &str, plant: &str) -> (Vec<String>, Vec<String>) {
        let plant = plant::parse(plant, "plant.toml").unwrap_or_else(|problems| panic!("{problems}"));
        let project = project::parse(project, "project.toml").unwrap_or_else(|problems| panic!("{problems}"));
        let found = check_against(&project, &plant);
        let codes = |remarks: &[Remark]| remarks.iter().map(|remark| remark.code.clone()).collect();
        (codes(&found.problems), codes(&found.remarks))
    }

    fn swap(text: &str, from: &str, to: &str) -> String {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    }

    #[test]
    fn the_examples_belong_together() {
        assert_eq!(against(PROJECT, PLANT), (vec![], vec![]));
    }

    #[test]
    fn what_the_factory_does_not_have_is_a_problem() {
        let one = |from: &str, to: &str| against(&swap(PROJECT, from, to), PLANT).0;
        assert_eq!(one("huzhou-bearing", "huzhou"), ["unknown-site"]);
        assert_eq!(one("[\"grinder-01\"]", "[\"grinder-09\"]"), ["unknown-work-unit"]);
        assert_eq!(one("eq-0001", "eq-0009"), ["unknown-equipment"]);
    }

    #[test]
    fn windows_that_mix_dates_and_instants_are_held_against_the_zone() {
        // 20:00 in Greenwich on the 23rd is 04:00 on the 24th in Shanghai: before midnight there, it overlaps.
        let mixed = |at: &str| swap(PROJECT, "until = 2026-11-23", &format!("until = \"{at}\""));
        assert_eq!(against(&mixed("2026-11-23T16:00:00Z"), PLANT).0, [""; 0]);
        assert_eq!(against(&mixed("2026-11-23T16:00:01Z"), PLANT).0, ["windows-overlap", "baseline-after-go-live"]);
    }

    #[test]
    fn a_register_that_disagrees_is_remarked_line_by_line() {
        let plant = swap(PLANT, "contract_line = \"1.3\"", "contract_line = \"1.4\"");
        assert_eq!(against(PROJECT, &plant).1, ["contract-line-differs"]);
        // The register counts a machine to the line that the project does not list.
        let project = swap(PROJECT, "equipment = [\"eq-0001\"]", "equipment = []");
        assert_eq!(against(&project, PLANT).1, ["contract-line-differs"]);
    }

    #[test]
    fn a_counter_that_an_indicator_needs_is_missed_beforehand() {
        let plant = swap(PLANT, "scrap = \"grinder-01/scrap\"\n", "");
        // OEE and quality ratio need it.
        assert_eq!(against(PROJECT, &plant).1, ["role-missing", "role-missing"]);
    }
}
