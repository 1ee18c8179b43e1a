//! The table of criteria: one group of rows for each, never cut by the end of a page.

use super::{key, words};
use crate::evaluate::project::shape::{Bounded, CriterionShape, Figure, MeasuredShape, ProjectDetail, Range};
use crate::report::html::{Page, escape};

/// Writes the table.
pub(super) fn table(page: &mut Page, detail: &ProjectDetail) {
    page.element("h2", "二、指标核验");
    if detail.criteria.is_empty() {
        page.element("p", "本项目没有登记核验指标。");
        return;
    }
    page.raw(
        "<table class=\"criteria\">\n<thead><tr><th>指标与口径</th><th>基准期</th><th>改造后</th>\
         <th>差值（个百分点；相对 %）</th><th>目标与规则</th><th>判定</th></tr></thead>\n",
    );
    for criterion in &detail.criteria {
        one(page, criterion);
    }
    page.raw("</table>\n");
}

fn one(page: &mut Page, criterion: &CriterionShape) {
    page.raw(&format!("<tbody class=\"group\" data-criterion=\"{}\">\n<tr>\n", escape(&criterion.id)));
    page.raw(&format!("<td>{}</td>\n", name(criterion)));
    page.raw(&format!("<td>{}</td>\n", measured(&criterion.id, "before", &criterion.before)));
    page.raw(&format!("<td>{}</td>\n", measured(&criterion.id, "after", &criterion.after)));
    let points = range(&criterion.id, "points", criterion.points.as_ref());
    let relative = range(&criterion.id, "relative", criterion.relative.as_ref());
    page.raw(&format!("<td>{points}{relative}</td>\n"));
    page.raw(&format!("<td>{}</td>\n", agreed(criterion)));
    page.raw(&format!("<td>{}</td>\n</tr>\n", verdict(criterion)));
    page.raw(&format!("<tr><td colspan=\"6\">{}</td></tr>\n</tbody>\n", reasons(criterion)));
}

fn name(criterion: &CriterionShape) -> String {
    let indicator = &criterion.indicator;
    let units: Vec<_> = criterion.work_units.iter().map(|unit| escape(&unit.name)).collect();
    let unit = if indicator.unit.is_empty() { String::new() } else { format!("，单位 {}", escape(&indicator.unit)) };
    format!(
        "<span class=\"v\">{}</span><span class=\"b\">编号 {}</span><span class=\"b\">口径 {}@{}{unit}</span>\
         <span class=\"b\">范围 {}</span>",
        escape(&indicator.zh),
        escape(&criterion.id),
        escape(&indicator.id),
        indicator.version,
        units.join("、"),
    )
}

fn measured(criterion: &str, which: &str, measured: &MeasuredShape) -> String {
    let coverage = figure(&key(criterion, &format!("{which}.coverage")), measured.coverage.as_ref());
    format!("{}<span class=\"b\">覆盖率 {coverage}</span>", bounded(criterion, which, &measured.figure))
}

fn bounded(criterion: &str, which: &str, bounded: &Bounded) -> String {
    let reason = bounded.reason.as_ref().map(|reason| format!("<span class=\"b\">{}</span>", escape(&reason.zh)));
    let figures = three(criterion, which, bounded.low.as_ref(), bounded.high.as_ref(), bounded.point.as_ref());
    figures + &reason.unwrap_or_default()
}

fn range(criterion: &str, which: &str, range: Option<&Range>) -> String {
    match range {
        Some(range) => three(criterion, which, range.low.as_ref(), range.high.as_ref(), range.point.as_ref()),
        None => "<span class=\"b\">—</span>".to_owned(),
    }
}

/// The point above, both bounds below it.
fn three(criterion: &str, which: &str, low: Option<&Figure>, high: Option<&Figure>, point: Option<&Figure>) -> String {
    let of = |end: &str, value| figure(&key(criterion, &format!("{which}.{end}")), value);
    let bounds = match (low, high) {
        (None, None) => String::new(),
        _ => format!("<span class=\"b\">[{}, {}]</span>", of("low", low), of("high", high)),
    };
    format!("<span class=\"v\">{}</span>{bounds}", of("point", point))
}

/// A figure with its key and its value; a dash where there is none.
pub(super) fn figure(key: &str, figure: Option<&Figure>) -> String {
    match figure {
        Some(figure) => format!(
            "<span class=\"nowrap\" data-key=\"{}\" data-value=\"{}\">{}</span>",
            escape(key),
            figure.value,
            escape(&figure.text.zh)
        ),
        None => format!("<span data-key=\"{}\">—</span>", escape(key)),
    }
}

fn agreed(criterion: &CriterionShape) -> String {
    format!(
        "<span class=\"v\">{}</span><span class=\"b\">{}</span><span class=\"b\">规则 {}</span>\
         <span class=\"b\">最低覆盖率 {}</span>",
        escape(&criterion.target.text.zh),
        escape(&criterion.target.zh),
        escape(&criterion.rule.zh),
        figure(&key(&criterion.id, "coverage_minimum"), Some(&criterion.coverage_minimum)),
    )
}

fn verdict(criterion: &CriterionShape) -> String {
    let answer = |name: &str, met: Option<bool>| {
        let said = met.map_or("无法比较", |met| if met { "达到" } else { "未达到" });
        format!("<span class=\"b\">{name} {said}</span>")
    };
    format!(
        "<span class=\"verdict {}\" data-verdict=\"{}\">{}</span><span class=\"b\">{}</span>{}{}",
        escape(&criterion.verdict.code),
        escape(&criterion.verdict.code),
        escape(&criterion.verdict.zh),
        words::NOT_TESTED,
        answer("按点值", criterion.meets_by_point),
        answer("按不利端", criterion.meets_by_lower_end),
    )
}

fn reasons(criterion: &CriterionShape) -> String {
    let mut text = format!("<p><span class=\"v\">理由：</span>{}</p>", escape(&criterion.reason.zh));
    if !criterion.settle.is_empty() {
        text.push_str("<p><span class=\"v\">怎样才能判定：</span></p><ul>");
        for settle in &criterion.settle {
            text.extend(["<li>", &escape(&settle.zh), "</li>"]);
        }
        text.push_str("</ul>");
    }
    if !criterion.changes.is_empty() {
        let count = criterion.changes.len().to_string();
        text.extend(["<p><span class=\"v\">登记后有 ", &count, " 处更改，</span>见“三、登记后的更改”。</p>"]);
    }
    let units =
        [("基准期", &criterion.before), ("改造后", &criterion.after)].map(|(which, measured)| by_unit(which, measured));
    text + &units.concat()
}

/// What each work unit gave, where there are several.
fn by_unit(which: &str, measured: &MeasuredShape) -> String {
    if measured.work_units.len() < 2 {
        return String::new();
    }
    let one = |unit: &crate::evaluate::project::shape::MeasuredUnit| {
        let shown = unit.figure.point.as_ref().map_or("—", |point| &point.text.zh);
        let coverage = unit.coverage.as_ref().map_or("—", |coverage| &coverage.text.zh);
        format!("{} {}（覆盖率 {}）", escape(&unit.name), escape(shown), escape(coverage))
    };
    let all: Vec<_> = measured.work_units.iter().map(one).collect();
    format!("<p class=\"note\">{which}分设备：{}</p>", all.join("；"))
}
