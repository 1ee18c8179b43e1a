//! `[[criterion]]`: indicator, scope, direction, target, rule and minimum coverage.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::document::Table;
use super::need_word;
use crate::display::{self, Unit};
use crate::id::{CriterionId, WorkUnitId};
use crate::indicator::{self, Indicator};
use crate::project::{CRITERIA_MAX, Criterion, DEFAULT_COVERAGE_PERCENT, Direction, Rule, Scope, Target, TargetKind};
use crate::unit::Rational;

/// Every criterion; there may be ten.
pub fn criteria(root: &Table<'_, '_>) -> Vec<Criterion> {
    let tables = root.tables("criterion");
    if let Some(first_too_many) = tables.get(CRITERIA_MAX) {
        first_too_many.report().add(
            first_too_many.span(),
            format!("this is criterion {} of {}; a project has at most {CRITERIA_MAX}", CRITERIA_MAX + 1, tables.len()),
        );
    }
    if tables.is_empty() {
        root.need("criterion", "at least one thing that is judged, as [[criterion]]");
    }
    let mut seen = BTreeMap::new();
    tables.iter().filter_map(|table| criterion(table, &mut seen)).collect()
}

fn criterion(table: &Table<'_, '_>, seen: &mut BTreeMap<CriterionId, Range<usize>>) -> Option<Criterion> {
    let id = id(table, seen);
    let indicator = table.need("indicator", "an indicator with its version, such as \"oee@1\"");
    let indicator = indicator.then(|| indicator_of(table)).flatten();
    let scope = scope(table);
    let words = |items: &'static [Direction]| items.iter().map(|item| item.code());
    let direction = need_word(table, "direction", Direction::from_code, words(Direction::ALL));
    let target = target(table, indicator.as_ref());
    let rule = need_word(table, "rule", Rule::from_code, Rule::ALL.iter().map(|rule| rule.code()));
    let coverage = coverage(table);
    table.refuse_others();
    let (coverage, coverage_stated) = coverage?;
    Some(Criterion {
        id: id?,
        indicator: indicator?,
        scope: scope?,
        direction: direction?,
        target: target?,
        rule: rule?,
        coverage,
        coverage_stated,
    })
}

fn id(table: &Table<'_, '_>, seen: &mut BTreeMap<CriterionId, Range<usize>>) -> Option<CriterionId> {
    let needed = table.need("id", "an id of a-z 0-9 . _ -");
    let (id, span) = needed.then(|| table.from_str::<CriterionId>("id")).flatten()?;
    if let Some(first) = seen.get(&id) {
        let first = table.report().pointer(first);
        table.report().add(span.clone(), format!("criterion `{id}` stands twice, first at {first}; give each its own"));
    }
    seen.entry(id.clone()).or_insert(span);
    Some(id)
}

fn indicator_of(table: &Table<'_, '_>) -> Option<Indicator> {
    let (text, span) = table.text("indicator")?;
    match indicator::find(&text) {
        Ok(indicator) => Some(indicator),
        Err(error) => {
            table.report().add(span, error.to_string());
            None
        }
    }
}

fn scope(table: &Table<'_, '_>) -> Option<Scope> {
    let what = "the work units, such as [\"grinder-01\"], or \"*\" for all connected ones";
    if !table.need("work_units", what) {
        return None;
    }
    if let Some(toml::de::DeValue::String(text)) = table.get("work_units").map(toml::Spanned::get_ref) {
        if text == "*" {
            return Some(Scope::All);
        }
        table.problem("work_units", format!("`work_units` is {text:?}; write {what}"));
        return None;
    }
    let report = table.report();
    let mut units: Vec<WorkUnitId> = Vec::new();
    for (text, span) in table.texts("work_units")? {
        match text.parse::<WorkUnitId>() {
            Ok(unit) if units.contains(&unit) => {
                report.add(span, format!("work unit `{unit}` stands twice; it counts once"));
            }
            Ok(unit) => units.push(unit),
            Err(error) => report.add(span, format!("`work_units`: {error}")),
        }
    }
    if units.is_empty() {
        table.problem("work_units", format!("`work_units` names nothing; write {what}"));
        return None;
    }
    Some(Scope::Units(units))
}

const TARGET: &str = "what is to be reached, such as { kind = \"points\", value = \"3\" }";

/// The target says in what it is stated: 3 points and 3 % are different things.
fn target(table: &Table<'_, '_>, indicator: Option<&Indicator>) -> Option<Target> {
    if !table.need("target", TARGET) {
        return None;
    }
    let table = table.table("target")?;
    let kind = if table.get("kind").is_some() {
        need_word(&table, "kind", TargetKind::from_code, TargetKind::ALL.iter().map(|kind| kind.code()))
    } else {
        table.problem(
            "kind",
            "the target does not say in what its change is measured: write kind = \"points\" (percentage points), \
             \"percent\" (of the value before) or \"absolute\" (the value after); 3 points and 3 % are different things",
        );
        None
    };
    let value = table.need("value", "a number such as \"3\"").then(|| {
        table.parsed(
            "value",
            "a number that is not negative, such as \"3\"; which way is better says `direction`",
            |text| Rational::parse(text).filter(|value| *value >= Rational::ZERO),
        )
    });
    table.refuse_others();
    let (kind, (value, _)) = (kind?, value.flatten()?);
    let dimensionless = indicator.is_none_or(|indicator| indicator.unit.is_dimensionless());
    if kind == TargetKind::Points
        && let Some(indicator) = indicator
        && !dimensionless
    {
        let unit = indicator.unit.text().zh;
        table.problem(
            "kind",
            format!("`{indicator}` is measured in {unit}, which has no percentage points; write kind = \"percent\" or \"absolute\""),
        );
        return None;
    }
    let share = indicator.is_some_and(|indicator| indicator.unit == Unit::Share);
    if kind == TargetKind::Absolute && share && value > Rational::ONE {
        table.problem(
            "value",
            format!("`value` = {value} is above 1; an absolute share is a fraction: 65 % is \"0.65\""),
        );
        return None;
    }
    Some(Target { kind, value })
}

/// The minimum coverage, and whether the file states it.
fn coverage(table: &Table<'_, '_>) -> Option<(Rational, bool)> {
    if table.get("coverage").is_none() {
        return Rational::new(DEFAULT_COVERAGE_PERCENT, 100).map(|default| (default, false));
    }
    let (value, span) = table.parsed("coverage", "a share such as \"0.95\"", Rational::parse)?;
    if value > Rational::ZERO && value <= Rational::ONE {
        return Some((value, true));
    }
    let shown = display::plain(value);
    table.report().add(span, format!("`coverage` = {shown} is no share above 0 and up to 1: 95 % is \"0.95\""));
    None
}
