//! A result as text for people and as JSON for programs; both from the same values, nothing is computed here.

use serde_json::{Value, json};
use shopfloor::counter::Count;
use shopfloor::evaluate::WorkUnitResult;
use shopfloor::oee::{Figure, Ratio};
use shopfloor::plant::Plant;
use shopfloor::remark::Remark;
use shopfloor::state::Leaf;
use shopfloor::unit::Rational;

use super::Language;

/// For people, in one language.
pub fn text(result: &WorkUnitResult, plant: &Plant, lang: Language) -> String {
    let say = |zh: &'static str, en: &'static str| if lang == Language::Zh { zh } else { en };
    let mut lines = vec![format!("{} ({})", result.window.label, plant.site.time_zone_name), String::new()];
    for leaf in Leaf::ALL.into_iter().filter(|leaf| result.times.leaf(*leaf) != 0) {
        lines.push(format!(
            "  {:<6} {:>16} s  {}",
            leaf.code(),
            seconds(result.times.leaf(leaf)),
            say(leaf.zh(), leaf.en())
        ));
    }
    lines.push(String::new());
    lines.extend(result.formula.iter().map(|line| {
        let title = if lang == Language::Zh { &line.zh } else { &line.en };
        format!("  {title}: {}", line.expression)
    }));
    lines.push(String::new());
    let figures = [
        (say("可用率", "availability"), &result.availability),
        (say("性能率", "effectiveness"), &result.effectiveness),
        (say("合格品率", "quality ratio"), &result.quality_ratio),
        ("OEE", &result.oee),
        (say("可用率×性能率", "availability x effectiveness"), &result.availability_effectiveness),
    ];
    lines.extend(figures.map(|(title, value)| format!("  {title}: {}", figure(value, lang))));
    let coverage = result.coverage.map_or_else(|| "-".to_owned(), |coverage| percent(coverage.value()));
    lines.push(format!("  {}: {coverage}", say("数据覆盖率", "coverage")));
    if !result.remarks.is_empty() {
        lines.push(String::new());
        lines.push(say("提示:", "Remarks:").to_owned());
        lines.extend(result.remarks.iter().map(|remark| format!("  [{}] {}", remark.code, sentence(remark, lang))));
    }
    let used = &result.definitions;
    lines.push(String::new());
    lines.push(format!(
        "{} {} v{}, {} {} v{}, {} {} v{}, tz {}",
        say("定义", "definition"),
        used.definition_id,
        used.definition_version,
        say("口径", "profile"),
        used.profile_id,
        used.profile_version,
        say("状态规则", "state rule"),
        used.state_rule_id,
        used.state_rule_version,
        used.tz_version,
    ));
    lines.join("\n") + "\n"
}

/// For programs: each value with its exact parts.
pub fn json(result: &WorkUnitResult) -> String {
    let bounds = |leaf| result.times.leaf_bounds(leaf);
    let time: Vec<Value> = Leaf::ALL
        .into_iter()
        .map(|leaf| {
            json!({
                "leaf": leaf.code(),
                "ns": result.times.leaf(leaf).to_string(),
                "low_ns": bounds(leaf).low.to_string(),
                "high_ns": bounds(leaf).high.to_string(),
            })
        })
        .collect();
    let formula: Vec<Value> = result
        .formula
        .iter()
        .map(|line| json!({ "name": line.name, "zh": line.zh, "en": line.en, "expression": line.expression }))
        .collect();
    let value = json!({
        "window": { "start": result.window.interval.start, "end": result.window.interval.end, "label": result.window.label },
        "evaluated": result.evaluated,
        "time": time,
        "planned_busy_ns": result.times.planned_busy.to_string(),
        "production_ns": result.times.production.to_string(),
        "produced": result.produced.as_ref().map(count),
        "good": result.good.as_ref().map(count),
        "scrap": result.scrap.as_ref().map(count),
        "energy_kwh": result.energy_kwh.as_ref().map(count),
        "availability": figure_json(&result.availability),
        "effectiveness": figure_json(&result.effectiveness),
        "quality_ratio": figure_json(&result.quality_ratio),
        "oee": figure_json(&result.oee),
        "availability_effectiveness": figure_json(&result.availability_effectiveness),
        "coverage": result.coverage.map(ratio),
        "formula": formula,
        "remarks": result.remarks,
        "definitions": result.definitions,
    });
    format!("{value:#}\n")
}

fn figure(figure: &Figure, lang: Language) -> String {
    let Some(low) = figure.low else {
        return figure.reason.as_ref().map_or_else(|| "-".to_owned(), |reason| sentence(reason, lang).to_owned());
    };
    let show = |value: Option<Ratio>, none: &str| value.map_or_else(|| none.to_owned(), |ratio| percent(ratio.value()));
    let mut text = String::new();
    if let Some(reason) = &figure.reason {
        text = format!(" ({})", sentence(reason, lang));
    }
    format!("{} [{}, {}]{text}", show(figure.point, "?"), percent(low.value()), show(figure.high, "…"))
}

fn sentence(remark: &Remark, lang: Language) -> &str {
    if lang == Language::Zh { &remark.zh } else { &remark.en }
}

/// One decimal, rounded once, half away from zero, from the exact value.
fn percent(value: Rational) -> String {
    let tenths = value.checked_mul(Rational::integer(1000)).and_then(|v| v.checked_add(Rational::new(1, 2)?));
    let Some(tenths) = tenths.map(|tenths| tenths.num().div_euclid(tenths.den())) else { return value.to_string() };
    format!("{}.{} %", tenths.div_euclid(10), tenths.rem_euclid(10))
}

fn seconds(nanos: i64) -> String {
    Rational::new(i128::from(nanos), 1_000_000_000).map_or_else(String::new, |seconds| seconds.to_string())
}

fn ratio(ratio: Ratio) -> Value {
    let value = ratio.value();
    json!({ "value": value.to_f64(), "num": value.num().to_string(), "den": value.den().to_string() })
}

fn figure_json(figure: &Figure) -> Value {
    json!({
        "low": figure.low.map(ratio),
        "high": figure.high.map(ratio),
        "point": figure.point.map(ratio),
        "reason": figure.reason,
    })
}

fn count(count: &Count) -> Value {
    let text = |value: Option<Rational>| value.map(|value| value.to_string());
    let steps: serde_json::Map<String, Value> =
        count.steps.iter().map(|(class, number)| (class.code().to_owned(), json!(number))).collect();
    json!({ "low": text(Some(count.low)), "high": text(count.high), "point": text(count.point), "steps": steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_once_to_one_decimal() {
        let show = |num, den| percent(Rational::new(num, den).unwrap());
        assert_eq!(show(1178, 1575), "74.8 %");
        assert_eq!(show(1, 2000), "0.1 %");
        assert_eq!(show(3, 2), "150.0 %");
    }
}
