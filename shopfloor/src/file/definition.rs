//! Definition files (state rules, OEE profiles, indicators): read into checked values.
//!
//! The files that ship with the program are compiled in and parsed by the same code as a rule written in
//! plant.toml.

use std::collections::BTreeMap;

use super::document::{Problems, Report, Table};
use crate::oee::{Indicator, Profile};
use crate::state::rule::{Code, Meaning, RuleKind, StateRule};
use crate::state::{Activity, Leaf};
use crate::unit::Rational;

/// Reads one state rule file.
pub fn state_rule(text: &str, file: &str) -> Result<StateRule, Problems> {
    read(text, file, state_rule_table)
}

/// Reads one OEE profile file.
pub fn profile(text: &str, file: &str) -> Result<Profile, Problems> {
    read(text, file, profile_table)
}

/// Reads one indicator definition file.
pub fn indicator(text: &str, file: &str) -> Result<Indicator, Problems> {
    read(text, file, indicator_table)
}

fn read<T>(text: &str, file: &str, table: impl FnOnce(&Table<'_, '_>) -> Option<T>) -> Result<T, Problems> {
    let report = Report::new(file, text);
    let document = report.parse();
    let root = Table::new(&report, document.get_ref(), 0..0, "");
    match table(&root) {
        Some(value) => report.finish(value),
        None => Err(report.into_problems()),
    }
}

/// A state rule from its table, in a file of its own or in plant.toml; problems go to the table's report.
pub fn state_rule_table(table: &Table<'_, '_>) -> Option<StateRule> {
    let id = table.need_text("id");
    let version = version(table);
    let title_zh = table.text("title_zh").map(|(text, _)| text).unwrap_or_default();
    let title_en = table.text("title_en").map(|(text, _)| text).unwrap_or_default();
    let kind = table.need_text("kind").and_then(|(kind, _)| match kind.as_str() {
        "enumeration" | "packml" | "okuma" | "mtconnect" => codes(table),
        "running-bit" => stopped(table).map(|stopped| RuleKind::RunningBit { stopped }),
        "power-threshold" => power(table),
        other => {
            let known = ["enumeration", "packml", "okuma", "mtconnect", "running-bit", "power-threshold"];
            let hint = super::document::nearest(other, known)
                .map_or_else(|| format!("allowed are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            table.problem("kind", format!("unknown kind of state rule `{other}`; {hint}"));
            None
        }
    });
    table.refuse_others();
    Some(StateRule { id: id?.0, version: version?, title_zh, title_en, kind: kind? })
}

fn codes(table: &Table<'_, '_>) -> Option<RuleKind> {
    let states = meanings(table, "state");
    let modes = meanings(table, "mode");
    if states.is_empty() {
        table.problem("state", "a state rule of this kind needs at least one [[state]] with value, leaf and cause");
        return None;
    }
    Some(RuleKind::Table { states, modes })
}

fn meanings(table: &Table<'_, '_>, key: &'static str) -> BTreeMap<Code, Meaning> {
    let mut found = BTreeMap::new();
    for row in table.tables(key) {
        let value = row.need("value", "the device's code").then(|| row.scalar("value")).flatten();
        let meaning = meaning(&row);
        row.refuse_others();
        let (Some((value, _)), Some(meaning)) = (value, meaning) else { continue };
        let code = value.parse().map_or_else(|_| Code::Text(value.trim().to_ascii_uppercase()), Code::Integer);
        if found.insert(code, meaning).is_some() {
            row.problem(
                "value",
                format!("the code {value:?} stands twice under [[{}]]; a code has one meaning", row.path()),
            );
        }
    }
    found
}

fn meaning(row: &Table<'_, '_>) -> Option<Meaning> {
    let expected = "one of RUN DOWN EXT SETUP PM IDLE ENG UNK (MICRO, BREAK and OFF follow from time and calendar)";
    let activity = row.need("leaf", expected).then(|| row.parsed("leaf", expected, Activity::from_code)).flatten();
    let cause = row.need_text("cause");
    let zh = row.text("zh").map(|(text, _)| text);
    let en = row.text("en").map(|(text, _)| text);
    let cause = cause?.0;
    Some(Meaning {
        activity: activity?.0,
        zh: zh.unwrap_or_else(|| cause.clone()),
        en: en.unwrap_or_else(|| cause.clone()),
        cause,
    })
}

fn stopped(table: &Table<'_, '_>) -> Option<Meaning> {
    let Some(row) = table.table("stopped") else {
        table.problem(
            "stopped",
            "this kind of state rule needs [stopped] with leaf and cause: what a machine does that does not run",
        );
        return None;
    };
    let meaning = meaning(&row);
    row.refuse_others();
    meaning
}

fn power(table: &Table<'_, '_>) -> Option<RuleKind> {
    let number = |key| {
        let found = table.need(key, "a power in the tag's unit, such as \"2.5\"");
        found.then(|| table.parsed(key, "a decimal such as \"2.5\"", Rational::parse)).flatten()
    };
    let (running_at, stopped_below) = (number("running_at"), number("stopped_below"));
    let stopped = stopped(table);
    let ((running_at, _), (stopped_below, _)) = (running_at?, stopped_below?);
    if stopped_below > running_at {
        table.problem(
            "stopped_below",
            format!("`stopped_below` = {stopped_below} lies above `running_at` = {running_at}; it must not"),
        );
        return None;
    }
    Some(RuleKind::PowerThreshold { running_at, stopped_below, stopped: stopped? })
}

fn profile_table(table: &Table<'_, '_>) -> Option<Profile> {
    let (id, version) = (table.need_text("id"), version(table));
    let (title_zh, title_en) = (table.need_text("title_zh"), table.need_text("title_en"));
    let source = table.need_text("source");
    let base = table.need_text("base").and_then(|(base, _)| {
        let known = base == "planned_busy";
        if !known {
            table.problem("base", format!("unknown base `{base}`; allowed is planned_busy"));
        }
        known.then_some(())
    });
    let mut production = Vec::new();
    for (code, span) in table.texts("production").unwrap_or_default() {
        match Leaf::from_code(&code) {
            Some(leaf) => production.push(leaf),
            None => table.problem("production", format!("unknown leaf `{code}` at {}", span.start)),
        }
    }
    let minimum = table.need("coverage_minimum", "a share such as \"0.95\"");
    let minimum = minimum.then(|| table.parsed("coverage_minimum", "a share", Rational::parse)).flatten();
    table.refuse_others();
    base?;
    Some(Profile {
        id: id?.0,
        version: version?,
        title_zh: title_zh?.0,
        title_en: title_en?.0,
        source: source?.0,
        production,
        coverage_minimum: minimum?.0,
    })
}

fn indicator_table(table: &Table<'_, '_>) -> Option<Indicator> {
    let (id, version) = (table.need_text("id"), version(table));
    let (title_zh, title_en) = (table.need_text("title_zh"), table.need_text("title_en"));
    let (expression, source) = (table.need_text("expression"), table.need_text("source"));
    table.refuse_others();
    Some(Indicator {
        id: id?.0,
        version: version?,
        title_zh: title_zh?.0,
        title_en: title_en?.0,
        expression: expression?.0,
        source: source?.0,
    })
}

fn version(table: &Table<'_, '_>) -> Option<u32> {
    if !table.need("version", "a whole number that grows with each change of meaning") {
        return None;
    }
    table.parsed("version", "a whole number from 1", |text| text.parse().ok().filter(|v| *v > 0)).map(|(v, _)| v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_with_two_meanings_is_refused() {
        let text = "id = \"x\"\nversion = 1\nkind = \"enumeration\"\n\
            [[state]]\nvalue = 1\nleaf = \"RUN\"\ncause = \"a\"\n[[state]]\nvalue = 1\nleaf = \"DOWN\"\ncause = \"b\"\n";
        let problems = state_rule(text, "x.toml").unwrap_err();
        assert_eq!(problems.problems.len(), 1);
        assert_eq!(problems.problems[0].line, 9);
        assert!(problems.problems[0].message.contains("stands twice"));
    }

    #[test]
    fn a_rule_cannot_name_a_leaf_that_only_time_or_calendar_decide() {
        let text =
            "id = \"x\"\nversion = 1\nkind = \"enumeration\"\n[[state]]\nvalue = 1\nleaf = \"MICRO\"\ncause = \"a\"\n";
        let problems = state_rule(text, "x.toml").unwrap_err();
        assert!(problems.to_string().contains("`leaf` is \"MICRO\"; expected one of RUN DOWN"), "{problems}");
    }

    #[test]
    fn thresholds_the_wrong_way_round_are_refused() {
        let text = "id = \"x\"\nversion = 1\nkind = \"power-threshold\"\nrunning_at = \"2\"\nstopped_below = \"3\"\n\
            [stopped]\nleaf = \"IDLE\"\ncause = \"idle\"\n";
        let problems = state_rule(text, "x.toml").unwrap_err();
        assert!(problems.to_string().contains("lies above"), "{problems}");
    }
}
