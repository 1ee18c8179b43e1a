//! The lines of a calculation, with the numbers put in, so that a person can follow it with a pencil.

use super::{FormulaLine, WorkUnitResult};
use crate::counter::Count;
use crate::oee::{self, Amount, Figure, Ratio};
use crate::unit::Rational;

/// Every line from planned busy time to the OEE.
pub fn lines(result: &WorkUnitResult, all: Option<Amount>, scrap: Option<Amount>) -> Vec<FormulaLine> {
    let times = &result.times;
    let mut lines = vec![
        time(
            "PBT",
            "计划生产时间",
            "planned busy time",
            &format!("POT - PDOT = {} - {}", seconds(times.planned_operation), seconds(times.planned_down)),
            times.planned_busy,
        ),
        time("APT", "实际生产时间", "actual production time", "RUN", times.production),
        time("AUST", "换型时间", "actual unit setup time", "SETUP", times.setup),
        time("ADET", "延误时间", "actual unit delay time", "MICRO + DOWN + EXT", times.delay),
        time("ADOT", "无任务时间", "actual unit down time", "IDLE", times.no_order),
        time("UNK", "数据缺失时间", "unknown time", "UNK", times.unknown),
    ];
    let counted = [
        ("PQ", "产量", "produced quantity", "PQ(end) - PQ(start)", &result.produced),
        ("SQ", "不良品数", "scrap quantity", "SQ(end) - SQ(start)", &result.scrap),
        ("GQ", "合格品数", "good quantity", "PQ - SQ", &result.good),
    ];
    lines
        .extend(counted.into_iter().filter_map(|(name, zh, en, how, count)| pieces(name, zh, en, how, count.as_ref())));
    let each = ideal_sum(result);
    lines.extend(all.map(|all| ideal("M", "全部产品的理想时间", "ideal time of all parts", &each, all.point)));
    let good = all.zip(scrap).and_then(|(all, scrap)| all.point?.checked_sub(scrap.point?));
    lines.extend(scrap.map(|_| ideal("N", "合格品的理想时间", "ideal time of good parts", "Σ PRI·GQ", good)));
    let figures = [
        ("availability", &result.availability),
        ("effectiveness", &result.effectiveness),
        ("quality_ratio", &result.quality_ratio),
        ("oee", &result.oee),
    ];
    lines.extend(figures.into_iter().filter_map(|(name, value)| figure(name, value)));
    lines
}

fn seconds(nanos: i64) -> String {
    format!("{} s", Rational::new(i128::from(nanos), 1_000_000_000).unwrap_or(Rational::ZERO))
}

fn line(name: &str, zh: &str, en: &str, expression: String, value: Option<Ratio>, unit: &str) -> FormulaLine {
    FormulaLine { name: name.into(), zh: zh.into(), en: en.into(), expression, value, unit: unit.into() }
}

fn time(name: &str, zh: &str, en: &str, expression: &str, nanos: i64) -> FormulaLine {
    let value = Ratio::new(Rational::integer(i128::from(nanos)), Rational::ONE);
    line(name, zh, en, format!("{name} = {expression} = {}", seconds(nanos)), value, "ns")
}

fn pieces(name: &str, zh: &str, en: &str, expression: &str, count: Option<&Count>) -> Option<FormulaLine> {
    let count = count?;
    let shown = count.point.map_or_else(|| "?".to_owned(), |point| point.to_string());
    let value = count.point.and_then(|point| Ratio::new(point, Rational::ONE));
    Some(line(name, zh, en, format!("{name} = {expression} = {shown}"), value, "pieces"))
}

fn ideal(name: &str, zh: &str, en: &str, expression: &str, nanos: Option<Rational>) -> FormulaLine {
    let in_seconds = nanos.and_then(|nanos| nanos.checked_div(Rational::integer(1_000_000_000)));
    let shown = in_seconds.map_or_else(|| "?".to_owned(), |value| format!("{value} s"));
    let value = nanos.and_then(|nanos| Ratio::new(nanos, Rational::ONE));
    line(name, zh, en, format!("{name} = {expression} = {shown}"), value, "ns")
}

/// `PRI x PQ` of each product.
fn ideal_sum(result: &WorkUnitResult) -> String {
    let one = |product: &super::ProductCount| {
        let per_item = product.per_item.and_then(|per_item| per_item.checked_div(Rational::integer(1_000_000_000)));
        let show = |value: Option<Rational>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        format!("{} s × {}", show(per_item), show(product.produced.point))
    };
    let parts: Vec<_> = result.products.iter().map(one).collect();
    if parts.is_empty() { "Σ PRI·PQ".to_owned() } else { format!("Σ PRI·PQ = {}", parts.join(" + ")) }
}

fn figure(name: &str, figure: &Figure) -> Option<FormulaLine> {
    let indicator = oee::indicator(name)?;
    let shown = match (figure.point, &figure.reason) {
        (Some(point), _) => format!("{} / {} = {point}", point.num, point.den),
        (None, Some(reason)) => reason.en.clone(),
        (None, None) => "?".to_owned(),
    };
    let expression = format!("{} = {shown}", indicator.expression);
    Some(line(name, &indicator.title_zh, &indicator.title_en, expression, figure.point, ""))
}
