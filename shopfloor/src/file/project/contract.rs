//! `[[contract_line]]`: what the contract lists and which lines of the equipment register it became.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::document::Table;
use crate::id::{ContractLineId, EquipmentId};
use crate::project::ContractLine;

/// Every contract line; an equipment belongs to one of them.
pub fn lines(root: &Table<'_, '_>) -> Vec<ContractLine> {
    let mut seen: BTreeMap<ContractLineId, Range<usize>> = BTreeMap::new();
    let mut taken: BTreeMap<EquipmentId, Range<usize>> = BTreeMap::new();
    root.tables("contract_line").iter().filter_map(|table| line(table, &mut seen, &mut taken)).collect()
}

fn line(
    table: &Table<'_, '_>,
    seen: &mut BTreeMap<ContractLineId, Range<usize>>,
    taken: &mut BTreeMap<EquipmentId, Range<usize>>,
) -> Option<ContractLine> {
    let report = table.report();
    let id = table
        .need("id", "the line as the contract numbers it")
        .then(|| table.parsed("id", "1 to 32 printable characters", |text| text.parse::<ContractLineId>().ok()))
        .flatten();
    if let Some((id, span)) = &id {
        if let Some(first) = seen.get(id) {
            let first = report.pointer(first);
            report.add(
                span.clone(),
                format!("contract line `{id}` stands twice, first at {first}; a line has one table"),
            );
        }
        seen.entry(id.clone()).or_insert_with(|| span.clone());
    }
    let name = table.need_text("name");
    let quantity = table.need("quantity", "how many, a whole number from 1").then(|| {
        table.parsed("quantity", "a whole number from 1", |text| {
            text.parse::<u32>().ok().filter(|quantity| *quantity > 0)
        })
    });
    let quantity = quantity.flatten();
    let equipment = equipment(table, taken);
    if let Some((quantity, span)) = &quantity
        && equipment.len() > *quantity as usize
    {
        report.add(
            span.clone(),
            format!("`quantity` = {quantity}, but {} pieces of equipment are listed", equipment.len()),
        );
    }
    table.refuse_others();
    Some(ContractLine { id: id?.0, name: name?.0, quantity: quantity?.0, equipment })
}

fn equipment(table: &Table<'_, '_>, taken: &mut BTreeMap<EquipmentId, Range<usize>>) -> Vec<EquipmentId> {
    let report = table.report();
    let mut found = Vec::new();
    for (text, span) in table.texts("equipment").unwrap_or_default() {
        match text.parse::<EquipmentId>() {
            Ok(id) => {
                if let Some(first) = taken.get(&id) {
                    let first = report.pointer(first);
                    report.add(
                        span.clone(),
                        format!("equipment `{id}` stands twice, first at {first}; it is delivered once"),
                    );
                }
                taken.entry(id.clone()).or_insert(span);
                found.push(id);
            }
            Err(error) => report.add(span, format!("`equipment`: {error}")),
        }
    }
    found
}
