//! The sheet 设备台账 into rows, with a problem for every cell that is wrong, all of them at once.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use shopfloor::id::{EquipmentId, WorkUnitId};
use shopfloor::plant::Networked;

use super::{Column, Entry, Problem, Problems, SHEET, networked_word};
use crate::workbook::{self, Table, Value, cell_name};

/// Rows among which the headings are looked for.
const HEAD_ROWS: usize = 10;
/// Problems that are listed; a sheet with more has one cause for most of them.
const PROBLEMS_MAX: usize = 200;

/// A line of the sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place in the sheet, from 0.
    pub at: usize,
    /// What it says, for each column that the sheet has.
    pub entries: BTreeMap<Column, Entry>,
}

/// A sheet that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Where each column lies, from 0.
    pub columns: BTreeMap<Column, usize>,
    /// The lines, in order.
    pub rows: Vec<Row>,
    /// Headings that mean nothing here; what stands under them is not imported.
    pub ignored: Vec<String>,
}

impl Filled {
    /// The problem of a cell.
    pub(super) fn problem(&self, at: usize, column: Column, zh: impl Into<String>, en: impl Into<String>) -> Problem {
        problem(&self.columns, at, column, zh, en)
    }
}

/// Reads a workbook's bytes.
pub fn read(bytes: &[u8]) -> Result<Filled, Problems> {
    let tables = workbook::read(bytes).map_err(|error| {
        let zh = match &error {
            workbook::ReadError::TooBig(_) => "文件太大，不像是设备台账".to_owned(),
            workbook::ReadError::NotXlsx(_) => {
                "不是 XLSX 工作簿；请在 Excel 或 WPS 中另存为“工作簿 .xlsx”，不要用 .xls、.et、.csv，也不要加密码"
                    .to_owned()
            }
            workbook::ReadError::Sheet { sheet, message } => format!("工作表“{sheet}”读不出来：{message}"),
            workbook::ReadError::TooManyCells { sheet } => {
                format!("工作表“{sheet}”行列过多，请删去不属于台账的内容")
            }
        };
        Problems(vec![Problem::whole(zh, error.to_string())])
    })?;
    let Some(table) = tables.iter().find(|table| table.name.trim() == SHEET) else {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let names = names.join("、");
        return Err(Problems(vec![Problem::whole(
            format!("没有名为“{SHEET}”的工作表；现有：{names}"),
            format!("there is no sheet named {SHEET}; there are: {names}"),
        )]));
    };
    sheet(table)
}

fn sheet(table: &Table) -> Result<Filled, Problems> {
    let (head, columns, ignored) = headings(table)?;
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for at in head + 1..table.rows.len() {
        if columns
            .values()
            .all(|column| *table.value(at, *column) == Value::Empty && table.merged_with(at, *column).is_none())
        {
            continue;
        }
        let mut entries = BTreeMap::new();
        for (column, place) in &columns {
            match entry(table, at, *column, *place) {
                Ok(entry) => drop(entries.insert(*column, entry)),
                Err((zh, en)) => problems.push(problem(&columns, at, *column, zh, en)),
            }
        }
        if let Some(Entry::Text(id)) = entries.get(&Column::Id)
            && let Some(first) = seen.insert(id.clone(), at)
        {
            let (zh, en) =
                (format!("{id} 在第 {} 行已有", first + 1), format!("{id} stands in row {} already", first + 1));
            problems.push(problem(&columns, at, Column::Id, zh, en));
        }
        rows.push(Row { at, entries });
    }
    if rows.is_empty() {
        problems.push(Problem::whole(
            "表中没有一行设备；没有设备的台账不能导入",
            "the sheet lists no equipment; a register without equipment is not imported",
        ));
    }
    let filled = Filled { columns, rows, ignored };
    if problems.is_empty() { Ok(filled) } else { Err(bounded(problems)) }
}

fn bounded(mut problems: Vec<Problem>) -> Problems {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        problems
            .push(Problem::whole(format!("另有 {more} 处问题未列出"), format!("{more} more problems are not listed")));
    }
    Problems(problems)
}

type Head = (usize, BTreeMap<Column, usize>, Vec<String>);

/// The row of headings: the first that has 设备编号.
fn headings(table: &Table) -> Result<Head, Problems> {
    let text = |value: &Value| match value {
        // People widen headings with blanks and break them over lines.
        Value::Text(text) => text.split_whitespace().collect::<String>(),
        _ => String::new(),
    };
    let is_head = |at: &usize| table.rows[*at].iter().any(|value| text(value) == Column::Id.heading());
    let Some(head) = (0..table.rows.len().min(HEAD_ROWS)).find(is_head) else {
        return Err(Problems(vec![Problem::whole(
            format!("前 {HEAD_ROWS} 行中没有表头“{}”", Column::Id.heading()),
            format!("no heading {} in the first {HEAD_ROWS} rows", Column::Id.heading()),
        )]));
    };
    let (mut columns, mut ignored, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (place, value) in table.rows[head].iter().enumerate() {
        let found = text(value);
        // `关键工序(是/否)` is the same heading with a hint.
        let plain = found.split(['(', '（']).next().unwrap_or_default();
        match Column::ALL.into_iter().find(|column| column.heading() == plain) {
            Some(column) if columns.contains_key(&column) => problems.push(Problem::whole(
                format!("表头“{plain}”出现两次，第二次在 {}", cell_name(head, place)),
                format!("heading {plain} stands twice, again in {}", cell_name(head, place)),
            )),
            Some(column) => drop(columns.insert(column, place)),
            None if found.is_empty() => {}
            None => ignored.push(found),
        }
    }
    for missing in Column::ALL.into_iter().filter(|column| column.is_needed() && !columns.contains_key(column)) {
        let heading = missing.heading();
        let unknown =
            if ignored.is_empty() { String::new() } else { format!("；不认识的表头：{}", ignored.join("、")) };
        let unknown_en =
            if ignored.is_empty() { String::new() } else { format!("; not known are: {}", ignored.join(", ")) };
        problems.push(Problem::whole(
            format!("缺少表头“{heading}”（没有内容也要保留该列）{unknown}"),
            format!("heading {heading} is missing (keep the column even if it is empty){unknown_en}"),
        ));
    }
    if problems.is_empty() { Ok((head, columns, ignored)) } else { Err(Problems(problems)) }
}

fn problem(
    columns: &BTreeMap<Column, usize>,
    at: usize,
    column: Column,
    zh: impl Into<String>,
    en: impl Into<String>,
) -> Problem {
    Problem {
        row: Some(at + 1),
        heading: Some(column.heading()),
        cell: columns.get(&column).map(|place| cell_name(at, *place)),
        text: shopfloor::display::Text::new(zh, en),
    }
}

type Wrong = (String, String);

fn wrong(zh: impl Into<String>, en: impl Into<String>) -> Wrong {
    (zh.into(), en.into())
}

fn entry(table: &Table, at: usize, column: Column, place: usize) -> Result<Entry, Wrong> {
    if let Some((row, left)) = table.merged_with(at, place) {
        let first = cell_name(row, left);
        return Err(wrong(
            format!("与 {first} 合并了单元格；请取消合并，每台设备各写一行"),
            format!("merged with {first}; unmerge the cells and write one line for each machine"),
        ));
    }
    let value = table.value(at, place);
    if let Value::Error(error) = value {
        return Err(wrong(
            format!("是公式错误 {error}；请写成值"),
            format!("is the error {error}; write the value itself"),
        ));
    }
    match column {
        Column::KeyProcess => flag(value),
        Column::Networked => networked(value),
        Column::AttestedAt => day(value),
        Column::Id => id(value),
        Column::Name => match text(value)? {
            Entry::Nothing => Err(wrong("不能为空", "must not be empty")),
            name => Ok(name),
        },
        Column::WorkUnit => match text(value)? {
            Entry::Text(unit) if unit.parse::<WorkUnitId>().is_err() => Err(not_an_id(&unit)),
            unit => Ok(unit),
        },
        _ => text(value),
    }
}

fn id(value: &Value) -> Result<Entry, Wrong> {
    match text(value)? {
        Entry::Text(id) if id.parse::<EquipmentId>().is_ok() => Ok(Entry::Text(id)),
        Entry::Text(id) => Err(not_an_id(&id)),
        _ => Err(wrong("不能为空", "must not be empty")),
    }
}

fn not_an_id(id: &str) -> Wrong {
    wrong(
        format!("“{id}”不能作编号：只能用小写字母 a-z、数字和 . _ -，以字母或数字开头，最长 64 个字符"),
        format!("{id:?} is no id: write 1 to 64 characters of a-z 0-9 . _ -, beginning with a letter or a digit"),
    )
}

fn text(value: &Value) -> Result<Entry, Wrong> {
    match value {
        Value::Empty => Ok(Entry::Nothing),
        Value::Text(text) => Ok(Entry::Text(text.clone())),
        Value::Number(number) => whole(*number).map(Entry::Text).ok_or_else(|| {
            wrong(
                format!("是数值 {number}；请把单元格设为文本再写，以免位数改变"),
                format!("is the number {number}; format the cell as text and write it again, so that no digit changes"),
            )
        }),
        Value::Boolean(bit) => Err(wrong(format!("是逻辑值 {bit}；请写文字"), format!("is {bit}; write a text"))),
        Value::Time(time) => Err(wrong(
            format!("被存成了日期 {}；请把单元格设为文本再写", time.date()),
            format!("was stored as the date {}; format the cell as text and write it again", time.date()),
        )),
        Value::Error(error) => Err(wrong(error.clone(), error.clone())),
    }
}

/// A whole number below 10^15, which a spreadsheet holds exactly, as its digits.
#[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // whole and small enough, checked here
fn whole(number: f64) -> Option<String> {
    (number.abs() < 1e15 && number.fract() == 0.0).then(|| (number as i64).to_string())
}

fn flag(value: &Value) -> Result<Entry, Wrong> {
    let word = match value {
        Value::Boolean(bit) => return Ok(Entry::Flag(*bit)),
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    match word {
        "是" | "yes" | "Yes" | "YES" => Ok(Entry::Flag(true)),
        "否" | "no" | "No" | "NO" => Ok(Entry::Flag(false)),
        _ => Err(wrong("应为 是 或 否", "should be 是 or 否")),
    }
}

fn networked(value: &Value) -> Result<Entry, Wrong> {
    let word = match value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let means = |state: &Networked| [networked_word(*state), state.zh(), state.code()].contains(&word);
    let found = Networked::ALL.into_iter().find(means);
    found
        .map(|state| Entry::Text(state.code().to_owned()))
        .ok_or_else(|| wrong("应为 已核验、已申报 或 未联网", "should be 已核验, 已申报 or 未联网"))
}

fn day(value: &Value) -> Result<Entry, Wrong> {
    let unreadable = |shown: &str| {
        wrong(
            format!("“{shown}”看不出是哪一天；请写成 2026-01-31"),
            format!("{shown:?} is no readable date; write it as 2026-01-31"),
        )
    };
    match value {
        Value::Empty => Ok(Entry::Nothing),
        Value::Time(time) if time.time() == Time::midnight() => Ok(Entry::Day(time.date())),
        Value::Time(time) => Err(unreadable(&time.to_string())),
        Value::Text(text) => written_day(text).map(Entry::Day).ok_or_else(|| unreadable(text)),
        Value::Number(number) => Err(unreadable(&number.to_string())),
        Value::Boolean(bit) => Err(unreadable(&bit.to_string())),
        Value::Error(error) => Err(unreadable(error)),
    }
}

/// A day as people write it, year first: 2026-01-31, 2026/1/31, 2026.1.31, 2026年1月31日.
fn written_day(text: &str) -> Option<Date> {
    let plain = text.trim().strip_suffix('日').unwrap_or(text.trim());
    let parts: Vec<&str> = plain.split(['-', '/', '.', '年', '月']).collect();
    let [year, month, day] = parts[..] else { return None };
    let digits =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i16>().ok()).flatten();
    let (month, day) = (i8::try_from(digits(month)?).ok()?, i8::try_from(digits(day)?).ok()?);
    Date::new(digits(year)?, month, day).ok().filter(|date| (1970..2200).contains(&date.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_people_write_it_and_never_guessed() {
        let day = Date::constant(2026, 1, 31);
        for text in ["2026-01-31", "2026/1/31", "2026.1.31", "2026年1月31日"] {
            assert_eq!(written_day(text), Some(day), "{text}");
        }
        for text in ["31/1/2026", "2026-02-30", "20260131", "去年", "46053", "2026-1", "-026-1-3"] {
            assert_eq!(written_day(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_typed_where_a_text_belongs_keeps_its_digits_or_is_refused() {
        assert_eq!(text(&Value::Number(20_190_512.0)).unwrap(), Entry::Text("20190512".into()));
        assert!(text(&Value::Number(1.5)).is_err());
        assert!(text(&Value::Number(123_456_789_012_345_678.0)).is_err());
    }

    #[test]
    fn a_merged_row_is_refused_with_its_first_cell() {
        let text = |text: &str| Value::Text(text.into());
        let mut rows = vec![Column::ALL.map(|column| text(column.heading())).to_vec()];
        for id in ["eq-1", "eq-2"] {
            let mut row = vec![text(id), text("磨床")];
            row.extend([Value::Empty, Value::Empty, text("是"), Value::Empty, text("未联网")]);
            rows.push(row);
        }
        let table = Table { name: SHEET.into(), rows, merged: vec![((1, 2), (2, 2))] };
        let problems = sheet(&table).unwrap_err().zh();
        assert!(problems.contains("第 3 行 型号（C3）：与 C2 合并了单元格"), "{problems}");
        let plain = sheet(&Table { merged: Vec::new(), ..table }).unwrap();
        assert_eq!(plain.rows.len(), 2);
    }
}
