//! A computed result in the shape that is kept and served. Nothing is computed here: figures are written down.

use std::collections::BTreeMap;

use shopfloor::counter::{self, StepClass as Class};
use shopfloor::evaluate::{FormulaLine as Line, WindowKind, WorkUnitResult};
use shopfloor::id::WorkUnitId;
use shopfloor::state::Leaf;
use shopfloor::time_element::Times;
use shopfloor::unit::Bounds;

use super::number::{BoundedRatio, Count, Energy, Ratio, Span};
use super::result::{Counts, Element, FormulaLine, LeafTime, SpanMillis, SpanText, StepClass, Versioned, WindowResult};
use super::words::{Reason, Words};
use crate::ledger::PlantVersion;

/// What a result is named by.
pub struct Named<'a> {
    /// The plant it was computed with.
    pub version: &'a PlantVersion,
    /// The work unit.
    pub unit: &'a WorkUnitId,
    /// Hash over all inputs.
    pub data_version: &'a str,
    /// Whether any of the data is simulated or signed with a demo key.
    pub demo: bool,
}

/// The result of a window, live until its standing is judged.
pub fn window(result: &WorkUnitResult, named: &Named<'_>) -> WindowResult {
    let window = &result.window;
    let definitions = &result.definitions;
    WindowResult {
        site: named.version.plant.site.id.to_string(),
        work_unit: named.unit.to_string(),
        kind: window.kind.code().to_owned(),
        label: label(result),
        shift: window.shift.as_ref().map(ToString::to_string),
        business_date: window.business_date.to_string(),
        start: window.interval.start.to_string(),
        end: window.interval.end.to_string(),
        evaluated_until: result.evaluated.end.to_string(),
        state: super::window::State::Live.name().to_owned(),
        version: 1,
        restates: None,
        oee: BoundedRatio::from(&result.oee),
        availability: BoundedRatio::from(&result.availability),
        effectiveness: BoundedRatio::from(&result.effectiveness),
        quality_ratio: BoundedRatio::from(&result.quality_ratio),
        time: leaves(&result.times),
        elements: elements(&result.times),
        counts: counts(result),
        energy: energy(result.energy_kwh.as_ref()),
        micro_stops: result.micro_stops,
        coverage: result.coverage.map(Ratio::from),
        remarks: result.remarks.iter().map(Reason::from).collect(),
        definition: versioned(&definitions.definition_id, definitions.definition_version),
        profile: versioned(&definitions.profile_id, definitions.profile_version),
        state_rule: versioned(&definitions.state_rule_id, definitions.state_rule_version),
        tz_version: definitions.tz_version.clone(),
        data_version: named.data_version.to_owned(),
        plant: named.version.hash.to_string(),
        demo: named.demo,
    }
}

fn versioned(id: &str, version: u32) -> Versioned {
    Versioned { id: id.to_owned(), version: version.to_string() }
}

/// The window's name; in English a shift goes by its id.
fn label(result: &WorkUnitResult) -> Words {
    let window = &result.window;
    let en = match (&window.kind, &window.shift) {
        (WindowKind::Shift, Some(shift)) => format!("{} {shift}", window.business_date),
        _ => window.label.clone(),
    };
    Words::new(window.label.clone(), en)
}

fn leaves(times: &Times) -> Vec<LeafTime> {
    let shape = |leaf: Leaf| {
        let bounds = times.leaf_bounds(leaf);
        LeafTime {
            leaf: leaf.code().to_owned(),
            zh: leaf.zh().to_owned(),
            en: leaf.en().to_owned(),
            span: Span::from(times.leaf(leaf)),
            low: Span::from(bounds.low),
            high: Span::from(bounds.high),
        }
    };
    Leaf::ALL.map(shape).to_vec()
}

fn elements(times: &Times) -> Vec<Element> {
    let of = |leaves: &[Leaf]| {
        leaves.iter().fold(Bounds::exact(0), |sum, leaf| {
            let leaf = times.leaf_bounds(*leaf);
            Bounds { low: sum.low + leaf.low, high: sum.high + leaf.high }
        })
    };
    // A profile may count more leaves as production than RUN; their sum stands in the formula lines then.
    let production =
        if times.production == times.leaf(Leaf::Run) { of(&[Leaf::Run]) } else { Bounds::exact(times.production) };
    vec![
        element("PBT", "计划生产时间", "Planned busy time", times.planned_busy, Bounds::exact(times.planned_busy)),
        element("APT", "实际生产时间", "Actual production time", times.production, production),
        element("AUST", "实际换型时间", "Actual unit setup time", times.setup, of(&[Leaf::Setup])),
        element(
            "ADET",
            "实际延误时间",
            "Actual unit delay time",
            times.delay,
            of(&[Leaf::Micro, Leaf::Down, Leaf::External]),
        ),
        element("ADOT", "实际无任务时间", "Actual unit down time, no order", times.no_order, of(&[Leaf::Idle])),
    ]
}

fn element(code: &str, zh: &str, en: &str, point: i64, bounds: Bounds<i64>) -> Element {
    let ms = |nanos: i64| nanos.div_euclid(1_000_000);
    Element {
        code: code.to_owned(),
        zh: zh.to_owned(),
        en: en.to_owned(),
        ns: SpanText { low: bounds.low.to_string(), high: bounds.high.to_string(), point: point.to_string() },
        ms: SpanMillis { low: ms(bounds.low), high: ms(bounds.high), point: ms(point) },
    }
}

fn counts(result: &WorkUnitResult) -> Counts {
    Counts {
        produced: count(result.produced.as_ref()),
        good: count(result.good.as_ref()),
        scrap: count(result.scrap.as_ref()),
        steps: steps(result.produced.as_ref()),
    }
}

/// A count, or why there is none.
pub fn count(count: Option<&counter::Count>) -> Count {
    let none = || Reason::new("not-measured", "没有计数器, 未测量", "there is no counter, so it is not measured");
    count.map_or_else(|| Count::nothing(none()), Count::from)
}

/// Energy, or why there is none.
pub fn energy(count: Option<&counter::Count>) -> Energy {
    let none = || Reason::new("not-measured", "没有电能表, 未测量", "there is no energy meter, so it is not measured");
    count.map_or_else(|| Energy::nothing(none()), Energy::from)
}

fn steps(count: Option<&counter::Count>) -> Vec<StepClass> {
    let steps: BTreeMap<Class, u64> = count.map(|count| count.steps.clone()).unwrap_or_default();
    let shape = |(class, count): (Class, u64)| {
        let (zh, en) = match class {
            Class::Normal => ("正常", "normal"),
            Class::Rollover => ("回绕", "rollover"),
            Class::Reset => ("清零", "reset"),
            Class::Jump => ("跳变", "jump"),
            Class::Decrease => ("倒退", "decrease"),
            Class::Ambiguous => ("无法判定", "ambiguous"),
            Class::Gap => ("跨越中断", "across a gap"),
            Class::Unread => ("未读到", "unread"),
        };
        StepClass { class: class.code().to_owned(), zh: zh.to_owned(), en: en.to_owned(), count }
    };
    steps.into_iter().map(shape).collect()
}

/// The lines of the calculation.
pub fn formula(lines: &[Line]) -> Vec<FormulaLine> {
    let shape = |line: &Line| {
        let value = line.value.map(Ratio::from);
        FormulaLine {
            code: line.name.clone(),
            zh: line.zh.clone(),
            en: line.en.clone(),
            expression: line.expression.clone(),
            unit: line.unit.clone(),
            num: value.as_ref().map(|ratio| ratio.num.clone()),
            den: value.as_ref().map(|ratio| ratio.den.clone()),
            value: value.map(|ratio| ratio.value),
        }
    };
    lines.iter().map(shape).collect()
}
