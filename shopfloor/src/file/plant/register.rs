//! `[[equipment]]`: the equipment register (设备台账), all equipment of the site, connected or not.

use std::ops::Range;

use super::super::document::Table;
use super::check::Names;
use super::{date, label, optional};
use crate::id::EquipmentId;
use crate::plant::{Equipment, Networked};

/// Longest name of a contract line, in characters; a project's contract lines have the same bound.
const CONTRACT_LINE_MAX: usize = 32;

/// Every line of the register.
pub fn equipment(root: &Table<'_, '_>, names: &mut Names<'_, '_>) -> Vec<Equipment> {
    let mut plates = Plates::default();
    root.tables("equipment").iter().filter_map(|table| line(table, names, &mut plates)).collect()
}

fn line(table: &Table<'_, '_>, names: &mut Names<'_, '_>, plates: &mut Plates) -> Option<Equipment> {
    let id: Option<EquipmentId> = names.define("equipment", table);
    let name = super::need_label(table, "name");
    let name_en = optional(table, "name_en");
    let model = optional(table, "model");
    let serial = optional(table, "serial");
    let networked = networked(table);
    let work_unit = table.from_str("work_unit");
    names.refer("work_unit", work_unit.as_ref());
    let contract_line = table.scalar("contract_line");
    let line = Equipment {
        id: id.clone()?,
        name: name.unwrap_or_default(),
        name_en,
        model,
        serial,
        key_process: table.boolean("key_process").is_some_and(|(bit, _)| bit),
        contract_line: contract_line
            .and_then(|(text, span)| label(table, "contract_line", text, span, CONTRACT_LINE_MAX)),
        networked: networked.unwrap_or(Networked::None),
        system: optional(table, "system"),
        attested_by: optional(table, "attested_by"),
        attested_at: date(table, "attested_at"),
        work_unit: work_unit.map(|(unit, _)| unit),
    };
    table.refuse_others();
    check_attestation(table, &line);
    plates.check(table, &line);
    Some(line)
}

fn networked(table: &Table<'_, '_>) -> Option<Networked> {
    let expected = "verified, declared or none";
    let word = |word: &str| Networked::ALL.into_iter().find(|state| state.code() == word);
    table
        .need("networked", expected)
        .then(|| table.parsed("networked", expected, word))
        .flatten()
        .map(|(state, _)| state)
}

/// What nobody here can check must have somebody who answers for it.
fn check_attestation(table: &Table<'_, '_>, line: &Equipment) {
    if line.networked != Networked::Declared {
        return;
    }
    let there = [("attested_by", line.attested_by.is_some()), ("attested_at", line.attested_at.is_some())];
    let missing: Vec<_> = there.into_iter().filter(|(_, there)| !there).map(|(key, _)| format!("`{key}`")).collect();
    // A key that is there with a problem of its own has said so.
    let absent = |key: &&str| table.entry(key).is_none();
    if !missing.is_empty() && ["attested_by", "attested_at"].iter().any(absent) {
        let missing = missing.join(" and ");
        table.problem_in_both(
            "networked",
            format!("equipment `{}` is declared as networked, so it needs {missing}: who says so, and when", line.id),
            format!("设备 {} 为已申报联网，须写明核实人和核实日期", line.id),
        );
    }
}

/// The nameplates so far: a machine stands in the register once.
#[derive(Default)]
struct Plates(Vec<Plate>);

struct Plate {
    id: EquipmentId,
    model: Option<String>,
    serial: String,
    span: Range<usize>,
}

impl Plates {
    /// Refuses a serial number that another line of the same model has. A line that names no model is no other model.
    fn check(&mut self, table: &Table<'_, '_>, line: &Equipment) {
        let folded = |text: &str| text.trim().to_ascii_uppercase();
        let Some(serial) = line.serial.as_deref().map(folded) else { return };
        let model = line.model.as_deref().map(folded);
        let same = |plate: &&Plate| {
            plate.serial == serial && (plate.model == model || plate.model.is_none() || model.is_none())
        };
        if let Some(first) = self.0.iter().find(same) {
            let place = table.report().pointer(&first.span);
            let shown = line.serial.as_deref().unwrap_or_default();
            let model = line.model.as_deref().map(|model| format!(" of model {model:?}")).unwrap_or_default();
            table.problem_in_both(
                "serial",
                format!(
                    "serial {shown:?}{model} stands twice, first on equipment `{}` at {place}; one machine has one line",
                    first.id
                ),
                format!("出厂编号 {shown} 与设备 {} 重复（型号相同或未写），一台设备只能有一行", first.id),
            );
        }
        let span = table.entry("serial").map_or_else(|| table.span(), toml::Spanned::span);
        self.0.push(Plate { id: line.id.clone(), model, serial, span });
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const EXAMPLE: &str = include_str!("../../../plant.example.toml");

    fn with_lines(lines: &str) -> Result<crate::plant::Plant, String> {
        parse(&format!("{EXAMPLE}\n{lines}"), "plant.toml").map_err(|problems| problems.to_string())
    }

    #[test]
    fn bad_input_register_row_with_duplicate_serial_is_refused_with_both_places() {
        let twice = "[[equipment]]\nid = \"eq-0100\"\nname = \"x\"\nmodel = \"3MZ203\"\nserial = \"m203-118\"\nnetworked = \"none\"\n";
        let text = with_lines(twice).unwrap_err();
        assert!(
            text.contains(
                "serial \"m203-118\" of model \"3MZ203\" stands twice, first on equipment `eq-0001` at plant.toml:"
            ),
            "{text}"
        );
        assert!(with_lines(&twice.replace("model = \"3MZ203\"\n", "")).unwrap_err().contains("stands twice"));
        assert!(with_lines(&twice.replace("3MZ203", "3MZ1310")).is_ok(), "another maker's numbers are its own");
    }

    #[test]
    fn a_declared_line_needs_somebody_who_says_so() {
        let line = "[[equipment]]\nid = \"eq-0100\"\nname = \"x\"\nnetworked = \"declared\"\n";
        let text = with_lines(line).unwrap_err();
        assert!(
            text.contains("`eq-0100` is declared as networked, so it needs `attested_by` and `attested_at`"),
            "{text}"
        );
        let plant =
            with_lines(&format!("{line}system = \"MES\"\nattested_by = \"张工\"\nattested_at = 2026-10-20\n")).unwrap();
        assert_eq!(plant.equipment.last().unwrap().system.as_deref(), Some("MES"));
    }

    #[test]
    fn bad_input_100_a_name_is_data_and_has_a_bound() {
        let line = |name: &str| format!("[[equipment]]\nid = \"eq-0100\"\nname = {name}\nnetworked = \"none\"\n");
        let hostile = "'; DROP TABLE equipment; -- {job=\"x\"} |> drop()";
        let plant = with_lines(&line(&format!("{hostile:?}"))).unwrap();
        assert_eq!(plant.equipment.last().unwrap().name, hostile);
        let text = with_lines(&line(&format!("\"{}\"", "长".repeat(121)))).unwrap_err();
        assert!(text.contains("`name` has 121 characters; expected 1 to 120 characters on one line"), "{text}");
        assert!(with_lines(&line("\"a\\nb\"")).unwrap_err().contains("without control characters"));
        assert!(with_lines(&line("\"  \"")).unwrap_err().contains("expected 1 to 120"));
    }
}
