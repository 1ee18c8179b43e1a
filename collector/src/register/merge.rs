//! The rows of a sheet into the text of a plant.toml: what did not change stays byte for byte, comments too.

use std::collections::BTreeMap;

use shopfloor::file::plant::parse;
use shopfloor::plant::{Equipment, Plant};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

use super::read::{Filled, Row};
use super::{Column, Entry, Problem, Problems};

/// How problems of the text that comes out call it; they are told as problems of the sheet's rows.
const FILE: &str = "plant.toml";
const HEADER: &str = "[[equipment]]";

/// The text with the register of the sheet instead of its own: lines that the sheet does not have are taken out, new
/// ones come last. Checked as a whole; problems name rows and columns of the sheet.
pub fn merge(text: &str, plant: &Plant, filled: &Filled) -> Result<String, Problems> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        Problems(vec![Problem::whole(
            format!("现行 plant.toml 读不出来：{error}"),
            format!("the plant.toml in force cannot be read: {error}"),
        )])
    })?;
    let mut order = Vec::new();
    let changed = replace(&mut document, plant, filled, &mut order);
    let merged = if changed { document.to_string() } else { text.to_owned() };
    check(&merged, filled, &order)?;
    Ok(merged)
}

/// Edits the tables; `order` are the rows in the order of the tables then. Gives whether anything changed.
fn replace(document: &mut DocumentMut, plant: &Plant, filled: &Filled, order: &mut Vec<usize>) -> bool {
    let before = document.remove("equipment").unwrap_or_default();
    let tables = before.into_array_of_tables().unwrap_or_default();
    let mut rows: BTreeMap<&str, &Row> = filled.rows.iter().filter_map(|row| Some((id_of(row)?, row))).collect();
    let mut changed = false;
    let mut after = ArrayOfTables::new();
    for mut table in tables {
        let id = table.get("id").and_then(Item::as_str).unwrap_or_default().to_owned();
        let Some(row) = rows.remove(id.as_str()) else {
            changed = true;
            continue;
        };
        let line = plant.equipment.iter().find(|line| line.id.as_str() == id);
        changed |= update(&mut table, line, row);
        order.push(row.at);
        after.push(table);
    }
    for row in filled.rows.iter().filter(|row| id_of(row).is_some_and(|id| rows.contains_key(id))) {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        update(&mut table, None, row);
        order.push(row.at);
        after.push(table);
        changed = true;
    }
    document.insert("equipment", Item::ArrayOfTables(after));
    changed
}

fn id_of(row: &Row) -> Option<&str> {
    match row.entries.get(&Column::Id) {
        Some(Entry::Text(id)) => Some(id),
        _ => None,
    }
}

/// Sets what differs from the line as it is; a column that the sheet does not have is left alone.
fn update(table: &mut Table, line: Option<&Equipment>, row: &Row) -> bool {
    let mut changed = false;
    for (column, entry) in &row.entries {
        if line.is_some_and(|line| Entry::of(line, *column) == *entry) {
            continue;
        }
        changed = true;
        let key = column.key();
        let value = match entry {
            Entry::Nothing => {
                table.remove(key);
                continue;
            }
            Entry::Text(text) => Value::from(text.as_str()),
            Entry::Flag(flag) => Value::from(*flag),
            Entry::Day(day) => Value::from(toml_edit::Datetime {
                date: Some(toml_edit::Date {
                    year: u16::try_from(day.year()).unwrap_or_default(),
                    month: u8::try_from(day.month()).unwrap_or_default(),
                    day: u8::try_from(day.day()).unwrap_or_default(),
                }),
                time: None,
                offset: None,
            }),
        };
        match table.get_mut(key).and_then(Item::as_value_mut) {
            Some(old) => {
                // Blanks and the comment behind the value stay.
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            None => drop(table.insert(key, Item::Value(value))),
        }
    }
    changed
}

/// Checks the text; a problem of a line of the register is told of the sheet's row that the line came from.
fn check(text: &str, filled: &Filled, order: &[usize]) -> Result<(), Problems> {
    let Err(problems) = parse(text, FILE) else { return Ok(()) };
    let lines: Vec<&str> = text.lines().collect();
    let told = problems.problems.iter().map(|problem| {
        let above = lines.get(..problem.line).unwrap_or_default();
        let headers = above.iter().filter(|line| line.trim_start().starts_with(HEADER)).count();
        let at = headers.checked_sub(1).and_then(|index| order.get(index)).copied();
        let in_register = above.iter().rev().find(|line| line.trim_start().starts_with('['));
        let at = at.filter(|_| in_register.is_some_and(|line| line.trim_start().starts_with(HEADER)));
        let en = without_pointers(&problem.message);
        let zh = problem.zh.clone().unwrap_or_else(|| en.clone());
        let Some(at) = at else {
            let place = format!("{FILE}:{}:{}", problem.line, problem.column);
            return Problem::whole(format!("{place}：{zh}"), format!("{place}: {en}"));
        };
        let key = lines.get(problem.line - 1).and_then(|line| line.split('=').next()).unwrap_or_default().trim();
        let column = Column::ALL.into_iter().find(|column| column.key() == key).unwrap_or(Column::Id);
        filled.problem(at, column, zh, en)
    });
    Err(Problems(told.collect()))
}

/// A message without its pointers into a text that the reader never saw.
fn without_pointers(message: &str) -> String {
    let pointer = format!(" at {FILE}:");
    let mut parts = message.split(&pointer);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::super::{SHEET, book};
    use super::*;
    use crate::workbook::{Book, Cell, write};

    const EXAMPLE: &str = include_str!("../../../shopfloor/plant.example.toml");

    fn plant(text: &str) -> Plant {
        parse(text, FILE).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The example's register with a change, read back and merged.
    fn changed(change: impl FnOnce(&mut Book)) -> Result<String, Problems> {
        let plant = plant(EXAMPLE);
        let mut book = book(&plant, 0, false);
        change(&mut book);
        merge(EXAMPLE, &plant, &read(&write(&book).unwrap())?)
    }

    fn told(change: impl FnOnce(&mut Book)) -> String {
        changed(change).unwrap_err().zh()
    }

    #[test]
    fn a_round_trip_changes_nothing() {
        assert_eq!(changed(|_| {}).unwrap(), EXAMPLE);
    }

    #[test]
    fn only_what_was_changed_changes() {
        let merged = changed(|book| {
            book.sheets[0].rows[0][3] = Cell::text("M203-119");
            book.sheets[0].rows[1][8] = Cell::text("李工");
        });
        let merged = merged.unwrap();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (lines(EXAMPLE), lines(&merged));
        let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        assert_eq!(new, ["serial = \"M203-119\"", "attested_by = \"李工\""]);
        assert_eq!(after.len(), before.len() + 1);
        assert!(merged.contains("key_process = true                     # 关键工序"));
    }

    #[test]
    fn lines_come_and_go() {
        let merged = changed(|book| {
            let rows = &mut book.sheets[0].rows;
            rows.remove(1);
            let mut row = rows[0].clone();
            (row[0], row[1], row[3], row[10]) = (Cell::text("eq-0003"), Cell::text("=磨床"), Cell::Empty, Cell::Empty);
            row[6] = Cell::text("已申报");
            rows.push(row);
        });
        let plant = plant(&merged.unwrap());
        let ids: Vec<_> = plant.equipment.iter().map(|line| line.id.as_str()).collect();
        assert_eq!(ids, ["eq-0001", "eq-0003"]);
        let new = &plant.equipment[1];
        assert_eq!(
            (new.name.as_str(), new.serial.as_deref(), new.contract_line.as_deref()),
            ("=磨床", None, Some("1.3"))
        );
        assert_eq!(new.networked.code(), "declared");
    }

    #[test]
    fn bad_input_register_row_with_duplicate_serial_names_both_lines_and_the_cell() {
        let text = told(|book| {
            let row = &mut book.sheets[0].rows[1];
            (row[2], row[3]) = (Cell::text("3MZ203"), Cell::text("M203-118"));
        });
        assert_eq!(
            text,
            "第 3 行 出厂编号（D3）：出厂编号 M203-118 与设备 eq-0001 重复（型号相同或未写），一台设备只能有一行"
        );
        let text = told(|book| book.sheets[0].rows[1][0] = Cell::text("eq-0001"));
        assert_eq!(text, "第 3 行 设备编号（A3）：eq-0001 在第 2 行已有");
    }

    #[test]
    fn every_problem_of_every_row_is_told_at_once() {
        let text = told(|book| {
            let rows = &mut book.sheets[0].rows;
            rows[0][0] = Cell::text("EQ-1");
            rows[0][4] = Cell::Empty;
            rows[0][9] = Cell::text("去年秋天");
            rows[1][6] = Cell::text("联网");
            rows[1][1] = Cell::Empty;
        });
        let places: Vec<_> = text.lines().map(|line| line.split('：').next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "第 2 行 设备编号（A2）",
                "第 2 行 关键工序（E2）",
                "第 2 行 核实日期（J2）",
                "第 3 行 设备名称（B3）",
                "第 3 行 联网状态（G3）"
            ]
        );
        assert!(text.contains("“去年秋天”看不出是哪一天；请写成 2026-01-31"), "{text}");
    }

    #[test]
    fn what_only_the_whole_plant_knows_is_told_of_its_row_too() {
        let text = told(|book| book.sheets[0].rows[1][6] = Cell::text("已申报"));
        assert_eq!(text, "第 3 行 联网状态（G3）：设备 eq-0002 为已申报联网，须写明核实人和核实日期");
        let text = told(|book| book.sheets[0].rows[1][10] = Cell::text("press-9"));
        assert_eq!(text, "第 3 行 采集单元（K3）：work_unit press-9 不存在，现有：grinder-01");
        let long = "长".repeat(121);
        let text = told(|book| book.sheets[0].rows[0][1] = Cell::text(&long));
        assert!(text.starts_with("第 2 行 设备名称（B2）：应为 1 至 120 个字"), "{text}");
    }

    #[test]
    fn a_missing_heading_an_unknown_sheet_and_an_empty_one_are_told() {
        let text = told(|book| book.sheets[0].columns[3].heading = "出厂号".into());
        assert_eq!(text, "缺少表头“出厂编号”（没有内容也要保留该列）；不认识的表头：出厂号");
        let text = told(|book| book.sheets[0].name = "Sheet1".into());
        assert_eq!(text, format!("没有名为“{SHEET}”的工作表；现有：Sheet1、口径"));
        assert!(told(|book| book.sheets[0].rows.clear()).contains("没有一行设备"));
        assert!(read(b"id,name\n").unwrap_err().zh().contains("不是 XLSX 工作簿"));
    }

    #[test]
    fn an_empty_row_is_passed_over() {
        assert_eq!(changed(|book| book.sheets[0].rows.insert(1, Vec::new())).unwrap(), EXAMPLE);
    }

    #[test]
    fn a_sheet_without_the_english_names_leaves_them() {
        let merged = changed(|book| {
            book.sheets[0].columns.pop();
            book.sheets[0].rows.iter_mut().for_each(|row| drop(row.pop()));
        });
        assert_eq!(merged.unwrap(), EXAMPLE);
    }
}
