//! The same document as a workbook: 指标核验, 交付核验, 变更, 口径, and a flat sheet 数据 of every figure by its key.
//!
//! Cells hold the values of the API, not the rounded texts; a difference in points is held in points.

use jiff::tz::TimeZone;
use shopfloor::time::{SECOND, Timestamp};

use super::{key, words};
use crate::evaluate::project::shape::{Bounded, CriterionShape, Figure, MeasuredShape, ProjectDetail, Range, Term};
use crate::workbook::{Book, Cell, Column, Sheet};

/// Decimals shown of a percentage and of a difference in points.
const DECIMALS: u8 = 2;
/// Decimals shown of an energy per piece.
const ENERGY_DECIMALS: u8 = 4;

/// The workbook. `zone` is the site's, `made_at` the instant at which it is made.
pub fn book(detail: &ProjectDetail, zone: &TimeZone, made_at: Timestamp) -> Book {
    Book {
        title: format!("项目指标核验单 {}", detail.facts.name),
        made_at: made_at.as_nanos().div_euclid(SECOND),
        demo: detail.facts.demo,
        sheets: vec![
            criteria(detail),
            delivery(detail, zone),
            changes(detail, zone),
            notes(detail, zone),
            data(detail),
        ],
    }
}

fn columns(all: &[(&str, f64)]) -> Vec<Column> {
    all.iter().map(|(heading, width)| Column::new(*heading, *width)).collect()
}

fn criteria(detail: &ProjectDetail) -> Sheet {
    let mut sheet = Sheet::new(
        "指标核验",
        columns(&[
            ("指标", 18.0),
            ("编号", 14.0),
            ("口径", 18.0),
            ("单位", 10.0),
            ("范围", 24.0),
            ("基准期", 12.0),
            ("基准期下限", 12.0),
            ("基准期上限", 12.0),
            ("基准期覆盖率", 13.0),
            ("改造后", 12.0),
            ("改造后下限", 12.0),
            ("改造后上限", 12.0),
            ("改造后覆盖率", 13.0),
            ("差值(个百分点或单位)", 16.0),
            ("差值下限", 12.0),
            ("差值上限", 12.0),
            ("相对变化", 12.0),
            ("相对变化下限", 13.0),
            ("相对变化上限", 13.0),
            ("目标", 24.0),
            ("规则", 14.0),
            ("最低覆盖率", 12.0),
            ("判定", 18.0),
            ("统计", 14.0),
            ("按点值", 10.0),
            ("按不利端", 10.0),
            ("理由", 48.0),
            ("怎样才能判定", 48.0),
            ("登记后更改数", 12.0),
        ]),
    )
    .with_lead(format!("{}：{}", detail.facts.name, detail.facts.conclusion.zh));
    sheet.rows = detail.criteria.iter().map(criterion).collect();
    sheet
}

fn criterion(criterion: &CriterionShape) -> Vec<Cell> {
    let share = criterion.indicator.unit.is_empty();
    let units: Vec<_> = criterion.work_units.iter().map(|unit| unit.name.as_str()).collect();
    let mut row = vec![
        Cell::text(&criterion.indicator.zh),
        Cell::text(&criterion.id),
        Cell::text(format!("{}@{}", criterion.indicator.id, criterion.indicator.version)),
        Cell::text(if share { "%" } else { &criterion.indicator.unit }),
        Cell::text(units.join("、")),
    ];
    for measured in [&criterion.before, &criterion.after] {
        row.extend(three(&measured.figure).map(|figure| value(figure, share)));
        row.push(value(measured.coverage.as_ref(), true));
    }
    let points = criterion.points.as_ref().map(ends).unwrap_or_default();
    row.extend(points.map(|figure| difference(figure, share)));
    let relative = criterion.relative.as_ref().map(ends).unwrap_or_default();
    row.extend(relative.map(|figure| value(figure, true)));
    let settle: Vec<_> = criterion.settle.iter().map(|settle| settle.zh.as_str()).collect();
    let met = |met: Option<bool>| Cell::text(met.map_or("无法比较", |met| if met { "达到" } else { "未达到" }));
    row.extend([
        Cell::text(&criterion.target.text.zh),
        Cell::text(&criterion.rule.zh),
        value(Some(&criterion.coverage_minimum), true),
        Cell::Strong(criterion.verdict.zh.clone()),
        Cell::text(words::NOT_TESTED),
        met(criterion.meets_by_point),
        met(criterion.meets_by_lower_end),
        Cell::text(&criterion.reason.zh),
        Cell::text(settle.join("；")),
        Cell::count(criterion.changes.len() as u64),
    ]);
    row
}

/// Point, low and high.
fn three(bounded: &Bounded) -> [Option<&Figure>; 3] {
    [bounded.point.as_ref(), bounded.low.as_ref(), bounded.high.as_ref()]
}

fn ends(range: &Range) -> [Option<&Figure>; 3] {
    [range.point.as_ref(), range.low.as_ref(), range.high.as_ref()]
}

fn value(figure: Option<&Figure>, share: bool) -> Cell {
    match figure {
        None => Cell::Empty,
        Some(figure) if share => Cell::Percent { value: figure.value, decimals: DECIMALS },
        Some(figure) => Cell::Number { value: figure.value, decimals: ENERGY_DECIMALS },
    }
}

/// Points are no percentages: a difference of shares is written as points, a hundredth each.
fn difference(figure: Option<&Figure>, share: bool) -> Cell {
    match figure {
        Some(figure) if share => Cell::Number { value: figure.value * 100.0, decimals: DECIMALS },
        other => value(other, false),
    }
}

fn delivery(detail: &ProjectDetail, zone: &TimeZone) -> Sheet {
    let mut sheet = Sheet::new(
        "交付核验",
        columns(&[
            ("合同行", 10.0),
            ("合同内容", 28.0),
            ("数量", 8.0),
            ("是否交付", 12.0),
            ("理由", 40.0),
            ("设备编号", 14.0),
            ("设备名称", 20.0),
            ("型号", 16.0),
            ("出厂编号", 18.0),
            ("联网状态", 16.0),
            ("首次数据", 18.0),
            ("最近数据", 18.0),
            ("改造后覆盖率", 14.0),
        ]),
    );
    for line in &detail.contract_lines {
        let head = || {
            vec![
                Cell::text(&line.id),
                Cell::text(&line.name),
                Cell::count(line.quantity),
                Cell::Strong(if line.delivered { "已交付" } else { "交付未齐" }.to_owned()),
                Cell::text(&line.reason.zh),
            ]
        };
        if line.equipment.is_empty() {
            sheet.push(head());
        }
        for device in &line.equipment {
            let mut row = head();
            row.extend([
                Cell::text(&device.id),
                Cell::maybe(device.name.as_deref()),
                Cell::maybe(device.model.as_deref()),
                Cell::maybe(device.serial.as_deref()),
                Cell::text(&device.standing.zh),
                time(device.first_data.as_deref(), zone),
                time(device.last_data.as_deref(), zone),
                value(device.coverage.as_ref(), true),
            ]);
            sheet.push(row);
        }
    }
    sheet
}

fn changes(detail: &ProjectDetail, zone: &TimeZone) -> Sheet {
    let mut sheet = Sheet::new(
        "变更",
        columns(&[
            ("时间", 18.0),
            ("作者", 12.0),
            ("更改内容", 30.0),
            ("原为", 24.0),
            ("改为", 24.0),
            ("理由", 36.0),
            ("日志序号", 10.0),
            ("版本 SHA-256", 66.0),
        ]),
    );
    for change in &detail.changes {
        sheet.push(vec![
            time(Some(&change.at), zone),
            Cell::text(&change.author),
            Cell::text(&change.what.zh),
            Cell::text(&change.before),
            Cell::text(&change.after),
            Cell::maybe(change.reason.as_deref()),
            Cell::text(&change.log_index),
            Cell::text(&change.hash),
        ]);
    }
    sheet
}

fn notes(detail: &ProjectDetail, zone: &TimeZone) -> Sheet {
    let facts = &detail.facts;
    let mut lines = vec![
        ("项目".to_owned(), format!("{}（{}）", facts.name, facts.id)),
        ("工厂".to_owned(), format!("{}（{}）", facts.site.name, facts.site.id)),
        ("结论".to_owned(), format!("{}；{}", facts.conclusion.zh, words::NOT_TESTED)),
        ("结论理由".to_owned(), facts.conclusion_reason.zh.clone()),
        ("基准期".to_owned(), detail.baseline.text.zh.clone()),
        ("改造后时段".to_owned(), detail.after.text.zh.clone()),
        ("数据截至".to_owned(), super::local(&detail.as_of, zone)),
        ("指标登记".to_owned(), format!("{}（{}）", super::local(&facts.registered.at, zone), facts.registered.zh)),
    ];
    lines.extend(detail.definitions.iter().map(|line| ("依据".to_owned(), line.zh.clone())));
    lines.extend(words::READING.map(|(name, meaning)| (name.to_owned(), meaning.to_owned())));
    lines.extend(words::NOT_PROVEN.map(|sentence| ("不能证明".to_owned(), sentence.to_owned())));
    lines.extend(facts.warnings.iter().map(|warning| ("提示".to_owned(), warning.zh.clone())));
    lines.extend([
        ("日志".to_owned(), detail.checkpoint.origin.clone()),
        ("日志大小".to_owned(), detail.checkpoint.size.clone()),
        ("日志根".to_owned(), detail.checkpoint.root.clone()),
        ("程序".to_owned(), detail.software.clone()),
    ]);
    Sheet::notes(lines)
}

/// Every figure by its key, as the API gives it.
fn data(detail: &ProjectDetail) -> Sheet {
    let mut sheet = Sheet::new("数据", columns(&[("键", 40.0), ("值", 24.0), ("文本", 20.0)]));
    for (key, figure) in figures(detail) {
        sheet.push(vec![
            Cell::text(key),
            Cell::Number { value: figure.value, decimals: 10 },
            Cell::text(&figure.text.zh),
        ]);
    }
    for criterion in &detail.criteria {
        sheet.push(said(key(&criterion.id, "verdict"), &criterion.verdict));
    }
    sheet.push(said("conclusion".to_owned(), &detail.facts.conclusion));
    sheet
}

fn said(key: String, term: &Term) -> Vec<Cell> {
    vec![Cell::text(key), Cell::text(&term.code), Cell::text(&term.zh)]
}

/// Every figure that is there, with its key, in the order of the document.
pub fn figures(detail: &ProjectDetail) -> Vec<(String, Figure)> {
    let mut found = Vec::new();
    for criterion in &detail.criteria {
        let mut add = |rest: String, figure: Option<&'_ Figure>| {
            if let Some(figure) = figure {
                found.push((key(&criterion.id, &rest), figure.clone()));
            }
        };
        for (which, measured) in [("before", &criterion.before), ("after", &criterion.after)] {
            measured_figures(which, measured, &mut add);
        }
        for (which, range) in [("points", &criterion.points), ("relative", &criterion.relative)] {
            if let Some(range) = range {
                for (end, figure) in ["point", "low", "high"].into_iter().zip(ends(range)) {
                    add(format!("{which}.{end}"), figure);
                }
            }
        }
        add("coverage_minimum".to_owned(), Some(&criterion.coverage_minimum));
    }
    found
}

fn measured_figures(which: &str, measured: &MeasuredShape, add: &mut impl FnMut(String, Option<&Figure>)) {
    for (end, figure) in ["point", "low", "high"].into_iter().zip(three(&measured.figure)) {
        add(format!("{which}.{end}"), figure);
    }
    add(format!("{which}.coverage"), measured.coverage.as_ref());
}

fn time(text: Option<&str>, zone: &TimeZone) -> Cell {
    let local = text.and_then(Timestamp::parse).map(|at| shopfloor::calendar::local(zone, at));
    local.map_or(Cell::Empty, Cell::Time)
}
