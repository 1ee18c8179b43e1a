//! The region as a workbook: 工厂, 集群, 项目 and 口径, with Chinese headings. The figures are those of the page.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shopfloor::calendar;
use shopfloor::time::Timestamp;

use crate::serve::api::region_shape::{ClusterShape, NetworkedShape, RegionFigure, RegionShape, RegionSite};
use crate::workbook::{Book, Cell, Column, Sheet};

/// The zone in which times of a region are written; its sites name it themselves everywhere else.
const ZONE: &str = "Asia/Shanghai";

/// The workbook of a region as it was answered.
pub fn book(region: &RegionShape, now: Timestamp) -> Book {
    let demo = region.sites.iter().any(|site| site.demo);
    let lead = |sheet: Sheet| {
        let said = format!(
            "截至 {}（{ZONE}）",
            shown(&region.as_of)
                .map_or_else(|| region.as_of.clone(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
        );
        let sheet = sheet.with_lead(said);
        if demo { sheet.with_lead("演示数据（仿真），不是真实工厂") } else { sheet }
    };
    Book {
        title: "区域概览".to_owned(),
        made_at: now.as_nanos().div_euclid(1_000_000_000),
        demo,
        sheets: vec![lead(sites(region)), lead(clusters(region)), lead(projects(region)), notes(region)],
    }
}

fn sites(region: &RegionShape) -> Sheet {
    let mut sheet = Sheet::new(
        "工厂",
        columns(&[
            ("工厂编号", 18.0),
            ("工厂名称", 32.0),
            ("统一社会信用代码", 22.0),
            ("行业", 20.0),
            ("县（市、区）", 14.0),
            ("集群", 28.0),
            ("阶段", 12.0),
            ("项目数", 9.0),
            ("在线", 12.0),
            ("最新数据", 20.0),
            ("已核验（台）", 12.0),
            ("已申报（台）", 12.0),
            ("未联网（台）", 12.0),
            ("台账合计（台）", 14.0),
            ("覆盖率", 11.0),
            ("覆盖率所属日", 14.0),
            ("联系人", 12.0),
            ("电话", 18.0),
        ]),
    );
    for site in &region.sites {
        sheet.push(site_row(region, site));
    }
    sheet
}

fn site_row(region: &RegionShape, site: &RegionSite) -> Vec<Cell> {
    let clusters: Vec<&str> = region
        .clusters
        .iter()
        .filter(|cluster| site.clusters.contains(&cluster.id))
        .map(|cluster| cluster.name.as_str())
        .collect();
    let mut row = vec![
        Cell::text(&site.id),
        Cell::text(&site.name),
        Cell::maybe(site.uscc.as_ref()),
        Cell::maybe(site.industry.as_ref()),
        Cell::maybe(site.county.as_ref()),
        Cell::text(clusters.join("、")),
        Cell::maybe(site.stage.as_ref().map(|stage| &stage.zh)),
        Cell::count(site.projects.len() as u64),
        Cell::text(&site.online.zh),
        site.newest.as_deref().and_then(shown).map_or(Cell::Empty, Cell::Time),
    ];
    row.extend(three(&site.networked));
    row.push(
        site.coverage.as_ref().map_or(Cell::Empty, |coverage| Cell::Percent { value: coverage.value, decimals: 2 }),
    );
    row.push(site.coverage_day.as_deref().and_then(|day| day.parse().ok()).map_or(Cell::Empty, Cell::Date));
    row.push(Cell::maybe(site.contact.as_ref().map(|contact| &contact.name)));
    row.push(Cell::maybe(site.contact.as_ref().and_then(|contact| contact.phone.as_ref())));
    row
}

fn three(counts: &NetworkedShape) -> [Cell; 4] {
    [counts.verified, counts.declared, counts.none, counts.total].map(|count| Cell::count(count.into()))
}

fn clusters(region: &RegionShape) -> Sheet {
    let mut sheet = Sheet::new(
        "集群",
        columns(&[
            ("集群", 30.0),
            ("类别", 12.0),
            ("县（市、区）", 24.0),
            ("工厂数", 9.0),
            ("已核验（台）", 12.0),
            ("已申报（台）", 12.0),
            ("未联网（台）", 12.0),
            ("台账合计（台）", 14.0),
            ("指标", 22.0),
            ("下限", 11.0),
            ("点值", 11.0),
            ("上限", 11.0),
            ("参与工厂数", 11.0),
            ("说明", 52.0),
        ]),
    );
    for cluster in &region.clusters {
        for figure in &cluster.figures {
            let mut row = cluster_cells(cluster);
            row.extend(figure_cells(figure));
            sheet.push(row);
        }
    }
    for figure in &region.all.figures {
        let total = Cell::count(region.sites.len() as u64);
        let mut row = vec![Cell::Strong("全部工厂".to_owned()), Cell::Empty, Cell::Empty, total];
        row.extend([const { Cell::Empty }; 4]);
        row.extend(figure_cells(figure));
        sheet.push(row);
    }
    sheet
}

fn cluster_cells(cluster: &ClusterShape) -> Vec<Cell> {
    let mut row = vec![
        Cell::text(&cluster.name),
        Cell::text(&cluster.kind.zh),
        Cell::text(cluster.counties.join("、")),
        Cell::count(cluster.sites.len() as u64),
    ];
    row.extend(three(&cluster.networked));
    row
}

fn figure_cells(figure: &RegionFigure) -> Vec<Cell> {
    let range = figure.figure.as_ref();
    let held_back = figure.suppressed.as_ref();
    let end = |end: Option<&crate::evaluate::project::shape::Figure>| match end {
        Some(figure) => Cell::Percent { value: figure.value, decimals: 2 },
        None if held_back.is_some() => Cell::text("不公开"),
        None => Cell::text("未知"),
    };
    vec![
        Cell::text(format!("{}@{} {}", figure.indicator.id, figure.indicator.version, figure.indicator.zh)),
        end(range.and_then(|range| range.low.as_ref())),
        end(range.and_then(|range| range.point.as_ref())),
        end(range.and_then(|range| range.high.as_ref())),
        Cell::count(figure.sites),
        Cell::text(held_back.map_or(&figure.window.zh, |reason| &reason.zh)),
    ]
}

fn projects(region: &RegionShape) -> Sheet {
    let mut sheet = Sheet::new(
        "项目",
        columns(&[
            ("项目编号", 18.0),
            ("项目名称", 36.0),
            ("工厂", 32.0),
            ("县（市、区）", 14.0),
            ("阶段", 12.0),
            ("结论", 18.0),
        ]),
    );
    for site in &region.sites {
        for project in &site.projects {
            sheet.push(vec![
                Cell::text(&project.id),
                Cell::text(&project.name),
                Cell::text(&site.name),
                Cell::maybe(site.county.as_ref()),
                Cell::maybe(project.stage.as_ref().map(|stage| &stage.zh)),
                Cell::text(&project.conclusion.zh),
            ]);
        }
    }
    sheet
}

fn notes(region: &RegionShape) -> Sheet {
    let minimum = region.minimum_sites;
    let window = region.all.figures.first().map_or("", |figure| &figure.window.zh);
    let lines = [
        ("已核验", "台账记为已联网，且本系统收到过该设备的数据；一个采集单元只核验一台设备".to_owned()),
        ("已申报", "有人声明已联网（台账写明核实人和日期），本系统没有它的数据".to_owned()),
        ("未联网", "台账记为未联网；三种状态合计为台账全部设备，不给出单一的联网率".to_owned()),
        ("覆盖率", "该厂最近一个已结算、有计划生产时间的完整日：已知时间 / 计划生产时间，各设备相加".to_owned()),
        ("在线", "最新数据块在 5 分钟以内为在线，否则为静默；从未收到为从未上线".to_owned()),
        (
            "生产指标",
            format!(
                "只作为至少 {minimum} 家工厂的合计公开；各厂分子、分母相加后相除，不取平均；取最近一个多数工厂已结算、且至少一半计划时间有数据的完整日；{window}"
            ),
        ),
        ("OEE", "只含有产量和不良品计数的设备；下限与上限由未知时间和采样间隔决定".to_owned()),
        (
            "不公开",
            format!("少于 {minimum} 家；或一家占一半以上、两家合计占 85 % 以上；或与其他已公开的数相减可推出少数工厂"),
        ),
        ("阶段", "该厂各项目现行阶段中最靠后的一个；项目结论只说明数据支持与否，不是认定".to_owned()),
        ("统计检验", "未做统计检验".to_owned()),
    ];
    Sheet::notes(lines.map(|(what, meaning)| (what.to_owned(), meaning)))
}

fn columns(columns: &[(&str, f64)]) -> Vec<Column> {
    columns.iter().map(|(heading, width)| Column::new(*heading, *width)).collect()
}

/// An instant of the API as local date and time, to the second.
fn shown(instant: &str) -> Option<DateTime> {
    let zone = TimeZone::get(ZONE).ok()?;
    let local = calendar::local(&zone, Timestamp::parse(instant)?);
    local.with().subsec_nanosecond(0).build().ok()
}
