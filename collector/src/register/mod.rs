//! The equipment register (设备台账) as a spreadsheet that people keep: out of a plant model, and back into it.
//!
//! [`book`] writes the sheet; [`read`](read::read) reads one that was filled in, with a problem for every cell that is
//! wrong; [`merge`](merge::merge) puts its rows into the text of the plant.toml in force and leaves everything else of
//! it as it is. What comes out is an ordinary plant.toml, imported like any other. A sheet that was not changed makes
//! the same text.

pub mod merge;
pub mod read;

use std::fmt;

use shopfloor::display::Text;
use shopfloor::plant::{Equipment, Networked, Plant};

use crate::workbook::{Book, Cell, Sheet};

/// Name of the sheet.
pub const SHEET: &str = "设备台账";

/// A column of the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// 设备编号.
    Id,
    /// 设备名称.
    Name,
    /// 型号.
    Model,
    /// 出厂编号.
    Serial,
    /// 关键工序, 是 or 否.
    KeyProcess,
    /// 合同设备清单行号.
    ContractLine,
    /// 联网状态.
    Networked,
    /// 联网系统.
    System,
    /// 核实人.
    AttestedBy,
    /// 核实日期.
    AttestedAt,
    /// 采集单元.
    WorkUnit,
    /// 英文名称; a sheet may leave this column out.
    NameEn,
}

impl Column {
    /// All columns, in the order of the sheet.
    pub const ALL: [Self; 12] = [
        Self::Id,
        Self::Name,
        Self::Model,
        Self::Serial,
        Self::KeyProcess,
        Self::ContractLine,
        Self::Networked,
        Self::System,
        Self::AttestedBy,
        Self::AttestedAt,
        Self::WorkUnit,
        Self::NameEn,
    ];

    /// Its heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Id => "设备编号",
            Self::Name => "设备名称",
            Self::Model => "型号",
            Self::Serial => "出厂编号",
            Self::KeyProcess => "关键工序",
            Self::ContractLine => "合同设备清单行号",
            Self::Networked => "联网状态",
            Self::System => "联网系统",
            Self::AttestedBy => "核实人",
            Self::AttestedAt => "核实日期",
            Self::WorkUnit => "采集单元",
            Self::NameEn => "英文名称",
        }
    }

    /// Its key in plant.toml.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::KeyProcess => "key_process",
            Self::ContractLine => "contract_line",
            Self::Networked => "networked",
            Self::System => "system",
            Self::AttestedBy => "attested_by",
            Self::AttestedAt => "attested_at",
            Self::WorkUnit => "work_unit",
            Self::NameEn => "name_en",
        }
    }

    /// Whether a sheet must have it.
    pub const fn is_needed(self) -> bool {
        !matches!(self, Self::NameEn)
    }

    const fn width(self) -> f64 {
        match self {
            Self::Name | Self::NameEn => 28.0,
            Self::KeyProcess => 10.0,
            _ => 17.0,
        }
    }
}

/// What a cell of the register says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Nothing,
    /// A text.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A day.
    Day(jiff::civil::Date),
}

impl Entry {
    fn maybe(text: Option<impl fmt::Display>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_string()))
    }

    /// What the register has in a column of a line.
    pub fn of(line: &Equipment, column: Column) -> Self {
        match column {
            Column::Id => Self::Text(line.id.to_string()),
            Column::Name => Self::Text(line.name.clone()),
            Column::Model => Self::maybe(line.model.as_ref()),
            Column::Serial => Self::maybe(line.serial.as_ref()),
            Column::KeyProcess => Self::Flag(line.key_process),
            Column::ContractLine => Self::maybe(line.contract_line.as_ref()),
            Column::Networked => Self::Text(line.networked.code().to_owned()),
            Column::System => Self::maybe(line.system.as_ref()),
            Column::AttestedBy => Self::maybe(line.attested_by.as_ref()),
            Column::AttestedAt => line.attested_at.map_or(Self::Nothing, Self::Day),
            Column::WorkUnit => Self::maybe(line.work_unit.as_ref()),
            Column::NameEn => Self::maybe(line.name_en.as_ref()),
        }
    }
}

/// Something wrong with a sheet, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The row as the spreadsheet counts it, from 1; `None` if it is about the whole sheet.
    pub row: Option<usize>,
    /// The heading of the column.
    pub heading: Option<&'static str>,
    /// The cell, such as `D7`.
    pub cell: Option<String>,
    /// What is wrong and what to do.
    pub text: Text,
}

impl Problem {
    fn whole(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { row: None, heading: None, cell: None, text: Text::new(zh, en) }
    }

    /// The problem with its place, in Chinese.
    pub fn zh(&self) -> String {
        match (self.row, self.heading, &self.cell) {
            (Some(row), Some(heading), Some(cell)) => format!("第 {row} 行 {heading}（{cell}）：{}", self.text.zh),
            (Some(row), ..) => format!("第 {row} 行：{}", self.text.zh),
            _ => self.text.zh.clone(),
        }
    }

    /// The problem with its place, in English.
    pub fn en(&self) -> String {
        match (self.row, self.heading, &self.cell) {
            (Some(row), Some(heading), Some(cell)) => format!("row {row} {heading} ({cell}): {}", self.text.en),
            (Some(row), ..) => format!("row {row}: {}", self.text.en),
            _ => self.text.en.clone(),
        }
    }
}

/// Everything wrong with a sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// All problems, one a line, in Chinese.
    pub fn zh(&self) -> String {
        self.0.iter().map(Problem::zh).collect::<Vec<_>>().join("\n")
    }

    /// All problems, one a line, in English.
    pub fn en(&self) -> String {
        self.0.iter().map(Problem::en).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en())
    }
}

/// The state as the sheet says it.
pub const fn networked_word(networked: Networked) -> &'static str {
    match networked {
        Networked::Verified => "已核验",
        Networked::Declared => "已申报",
        Networked::None => "未联网",
    }
}

/// The register of a plant as a workbook: the sheet that can be imported again, and what its columns mean.
pub fn book(plant: &Plant, made_at: i64, demo: bool) -> Book {
    let columns = Column::ALL.map(|column| crate::workbook::Column::new(column.heading(), column.width()));
    let mut sheet = Sheet::new(SHEET, columns.to_vec());
    for line in &plant.equipment {
        sheet.push(Column::ALL.iter().map(|column| cell(line, *column)).collect());
    }
    let site = &plant.site;
    Book { title: format!("{SHEET} {}", site.name), made_at, demo, sheets: vec![sheet, notes(plant)] }
}

fn cell(line: &Equipment, column: Column) -> Cell {
    match Entry::of(line, column) {
        Entry::Nothing => Cell::Empty,
        Entry::Text(_) if column == Column::Networked => Cell::text(networked_word(line.networked)),
        Entry::Text(text) => Cell::Text(text),
        Entry::Flag(flag) => Cell::text(if flag { "是" } else { "否" }),
        Entry::Day(day) => Cell::Date(day),
    }
}

fn notes(plant: &Plant) -> Sheet {
    let site = &plant.site;
    let lines = [
        ("工厂", format!("{}（{}）", site.name, site.id)),
        ("统一社会信用代码", site.uscc.clone().unwrap_or_else(|| "未填".to_owned())),
        ("范围", "工厂全部设备，无论是否联网；台数以本表为准，不由已联网设备推定".to_owned()),
        ("设备编号", "小写字母、数字和 . _ -，最长 64 个字符；导入时按编号对应，编号不同即为另一台设备".to_owned()),
        ("出厂编号", "同一型号不得重复；未写型号的视为同一型号".to_owned()),
        ("关键工序", "是 或 否".to_owned()),
        ("联网状态", "已核验：本系统收到该设备的数据；已申报：有人声明已联网，须填核实人和核实日期；未联网".to_owned()),
        ("联网系统", "已申报设备所联的其他系统，例如 MES".to_owned()),
        ("采集单元", "本系统中采集该设备的单元编号（plant.toml 的 work_unit）".to_owned()),
        (
            "导入",
            "plumbline-collector import 文件.xlsx --site 工厂编号 --dry-run 先看差别，再去掉 --dry-run 导入".to_owned(),
        ),
    ];
    Sheet::notes(lines.map(|(what, meaning)| (what.to_owned(), meaning)))
}
