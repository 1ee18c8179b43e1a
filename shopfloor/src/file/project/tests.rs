//! Tests of reading project.toml: the example, and the bad inputs that a person may write.

use jiff::tz::TimeZone;

use super::*;
use crate::project::{Direction, Rule, Scope, TargetKind};
use crate::unit::Rational;

const EXAMPLE: &str = include_str!("../../../project.example.toml");

fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no {from:?}");
    EXAMPLE.replacen(from, to, 1)
}

/// The only problem of a text.
fn problem(text: &str) -> String {
    let problems = parse(text, "project.toml").unwrap_err();
    assert_eq!(problems.problems.len(), 1, "{problems}");
    problems.to_string()
}

/// The line of the example on which a text stands.
fn line_of(text: &str) -> usize {
    let position = EXAMPLE.find(text).unwrap();
    EXAMPLE[..position].matches('\n').count() + 1
}

#[test]
fn the_example_reads_and_says_what_it_says() {
    let project = parse(EXAMPLE, "project.example.toml").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(project.level, Level::DigitalWorkshop);
    assert_eq!(project.stage(), Some((Stage::Acceptance, Date::constant(2026, 12, 22))));
    assert_eq!(project.parties.len(), 4);
    assert_eq!(project.party(PartyRole::Enterprise).unwrap().contact.as_deref(), Some("李厂长 0572-0000000"));
    let windows = project.windows(&TimeZone::get("Asia/Shanghai").unwrap());
    // 19 October to 23 November are 35 days, 24 November to 22 December 28.
    let days = |interval: crate::time::Interval| interval.nanos() / crate::time::HOUR / 24;
    assert_eq!((days(windows.baseline), days(windows.after)), (35, 28));
    assert_eq!(windows.go_live.to_string(), "2026-11-23T16:00:00Z");
    let line = &project.contract_lines[0];
    assert_eq!((line.id.as_str(), line.quantity, line.equipment.len()), ("1.3", 2, 1));
    let [oee, availability, quality, energy] = &project.criteria[..] else { panic!("four criteria") };
    assert_eq!((oee.direction, oee.target.kind, oee.rule), (Direction::Up, TargetKind::Points, Rule::Point));
    assert_eq!(oee.target.threshold(), Rational::parse("0.03").unwrap());
    assert_eq!(oee.target_text().zh, "提升 ≥ 3 个百分点");
    assert!(oee.coverage_stated && !availability.coverage_stated);
    assert_eq!(availability.coverage, Rational::parse("0.95").unwrap());
    assert_eq!((&availability.scope, availability.rule), (&Scope::All, Rule::LowerEnd));
    assert_eq!(quality.target_text().en, "after ≥ 98.5 %");
    assert_eq!(energy.target_text().zh, "下降 ≥ 10 %（相对改造前）");
    assert_eq!(energy.indicator.to_string(), "unit_energy@1");
}

#[test]
fn bad_input_criterion_without_baseline() {
    let whole = "[baseline]\nfrom = 2026-10-19\nuntil = 2026-11-23\n";
    let text = with(whole, "");
    let problems = parse(&text, "project.toml").unwrap_err();
    // One for each of the four criteria, each at its own line.
    assert_eq!(problems.problems.len(), 4, "{problems}");
    let shown = problems.to_string();
    for id in ["oee-up", "availability-up", "quality", "energy-down"] {
        assert!(shown.contains(&format!("criterion `{id}` has no baseline")), "{shown}");
    }
    assert_eq!(problems.problems[0].line, line_of("id = \"oee-up\"") - 3);
}

#[test]
fn bad_input_overlapping_windows() {
    let text = with("from = 2026-11-24\nuntil = \"2026-12-22", "from = 2026-11-20\nuntil = \"2026-12-22");
    let problems = parse(&text, "project.toml").unwrap_err().to_string();
    assert!(problems.contains("[after] begins at 2026-11-20, before the [baseline] at project.toml:"), "{problems}");
    assert!(problems.contains("the windows overlap"), "{problems}");
    // The other way round is an overlap as well.
    let text = with("from = 2026-10-19\nuntil = 2026-11-23", "from = 2026-12-25\nuntil = 2027-01-23");
    assert!(parse(&text, "project.toml").unwrap_err().to_string().contains("the windows overlap"));
    // Windows that only touch are in order.
    assert!(parse(&with("until = 2026-11-23", "until = 2026-11-24"), "project.toml").is_ok());
}

#[test]
fn bad_input_target_without_unit_of_change() {
    let text = problem(&with("{ kind = \"points\", value = \"3\" }", "{ value = \"3\" }"));
    assert!(text.contains("the target does not say in what its change is measured"), "{text}");
    assert!(text.contains("3 points and 3 % are different things"), "{text}");
    let text = problem(&with("kind = \"points\"", "kind = \"point\""));
    assert!(text.contains("`kind` is \"point\"; did you mean `points`?"), "{text}");
}

#[test]
fn bad_input_unknown_indicator_version() {
    let text = problem(&with("\"oee@1\"", "\"oee@2\""));
    let place = format!("project.toml:{}:13: ", line_of("indicator = \"oee@1\""));
    assert_eq!(text, format!("{place}indicator `oee` has no version 2; this program knows oee@1"));
    assert!(problem(&with("\"oee@1\"", "\"oee\"")).contains("is not of the form id@version"));
    assert!(problem(&with("\"oee@1\"", "\"oeee@1\"")).contains("did you mean `oee`?"));
}

#[test]
fn more_than_ten_criteria_are_refused_at_the_eleventh() {
    let one = |number: usize| {
        format!(
            "\n[[criterion]]\nid = \"more-{number}\"\nindicator = \"oee@1\"\nwork_units = \"*\"\ndirection = \"up\"\n\
             target = {{ kind = \"points\", value = \"1\" }}\nrule = \"point\"\n"
        )
    };
    let ten: String = (0..6).map(one).collect();
    assert_eq!(parse(&format!("{EXAMPLE}{ten}"), "project.toml").unwrap().criteria.len(), 10);
    let text = problem(&format!("{EXAMPLE}{ten}{}", one(6)));
    assert!(text.contains("this is criterion 11 of 11; a project has at most 10"), "{text}");
}

#[test]
fn dates_of_the_path_never_go_back() {
    let text = problem(&with("matching = 2026-08-05", "matching = 2026-07-09"));
    assert!(text.contains("`matching` = 2026-07-09 lies before `incubation` = 2026-07-10"), "{text}");
    // The same day is not back, and a step may be left out.
    assert!(parse(&with("matching = 2026-08-05", "matching = 2026-07-10"), "project.toml").is_ok());
    assert!(parse(&with("matching = 2026-08-05", "# "), "project.toml").is_ok());
    let text = problem(&with("diagnosis = 2026-06-01", "diagnosis = 2206-06-01"));
    assert!(text.contains("expected a date such as 2026-01-31 between 1970 and 2200"), "{text}");
}

#[test]
fn windows_that_do_not_enclose_go_live_are_refused() {
    let text = problem(&with("go_live = 2026-11-24", "go_live = 2026-11-26"));
    assert!(text.contains("[after] begins at 2026-11-24, before `go_live` = 2026-11-26"), "{text}");
    let text = problem(&with("go_live = 2026-11-24", "go_live = 2026-11-22"));
    assert!(text.contains("[baseline] ends at 2026-11-23, after `go_live` = 2026-11-22"), "{text}");
    let text = problem(&with("until = 2026-11-23", "until = 2026-10-19"));
    assert!(text.contains("[baseline] `until` = 2026-10-19 is not after `from` = 2026-10-19"), "{text}");
}

#[test]
fn points_are_for_shares_only() {
    let text = problem(&with(
        "target = { kind = \"percent\", value = \"10\" }",
        "target = { kind = \"points\", value = \"10\" }",
    ));
    assert!(text.contains("`unit_energy@1` is measured in kWh/件, which has no percentage points"), "{text}");
}

#[test]
fn a_share_is_written_as_a_fraction() {
    let text = problem(&with("coverage = \"0.95\"", "coverage = \"95\""));
    assert!(text.contains("`coverage` = 95 is no share above 0 and up to 1: 95 % is \"0.95\""), "{text}");
    assert!(problem(&with("coverage = \"0.95\"", "coverage = \"1.01\"")).contains("no share"));
    assert!(problem(&with("coverage = \"0.95\"", "coverage = \"0\"")).contains("no share"));
    assert!(parse(&with("coverage = \"0.95\"", "coverage = \"1\""), "project.toml").is_ok());
    let text = problem(&with("value = \"0.985\"", "value = \"98.5\""));
    assert!(text.contains("an absolute share is a fraction: 65 % is \"0.65\""), "{text}");
    assert!(problem(&with("value = \"3\"", "value = \"-3\"")).contains("not negative"));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let text = problem(&with("go_live = ", "go_liv = 2026-11-24\ngo_live = "));
    assert!(text.contains("unknown key `go_liv` in [project]; did you mean `go_live`?"), "{text}");
    let text = problem(&with("rule = \"point\"", "rule = \"point\"\ncoverge = \"0.9\""));
    assert!(text.contains("unknown key `coverge` in [criterion]; did you mean `coverage`?"), "{text}");
    let text = problem(&with("[project.party.supervisor]", "[project.party.supervizor]"));
    assert!(text.contains("did you mean `supervisor`?"), "{text}");
}

#[test]
fn what_stands_twice_is_refused() {
    let text = problem(&with("id = \"quality\"", "id = \"oee-up\""));
    assert!(text.contains("criterion `oee-up` stands twice, first at project.toml:"), "{text}");
    let line = "[[contract_line]]\nid = \"1.3\"\nname = \"x\"\nquantity = 1\nequipment = [\"eq-0001\"]\n";
    let text = parse(&format!("{EXAMPLE}\n{line}"), "project.toml").unwrap_err().to_string();
    assert!(text.contains("contract line `1.3` stands twice"), "{text}");
    assert!(text.contains("equipment `eq-0001` stands twice"), "{text}");
    let text = problem(&with("[\"grinder-01\"]", "[\"grinder-01\", \"grinder-01\"]"));
    assert!(text.contains("work unit `grinder-01` stands twice"), "{text}");
}

#[test]
fn more_equipment_than_the_contract_says_is_refused() {
    let text = problem(&with("equipment = [\"eq-0001\"]", "equipment = [\"eq-0001\", \"eq-0002\", \"eq-0003\"]"));
    assert!(text.contains("`quantity` = 2, but 3 pieces of equipment are listed"), "{text}");
    assert!(problem(&with("quantity = 2", "quantity = 0")).contains("a whole number from 1"));
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = with("level = \"digital-workshop\"", "level = \"digital-worksop\"")
        .replace("author = \"王工\"", "autor = \"王工\"")
        .replace("direction = \"down\"", "direction = \"dwn\"");
    let problems = parse(&text, "project.toml").unwrap_err();
    let lines: Vec<_> = problems.problems.iter().map(|problem| problem.line).collect();
    // The level, the author that is missing (at its table) and misspelt, the direction.
    assert_eq!(problems.problems.len(), 4, "{problems}");
    assert!(lines.contains(&line_of("level = ")) && lines.contains(&line_of("direction = \"down\"")), "{problems}");
    assert!(problems.to_string().contains("[project] needs `author`"), "{problems}");
}

#[test]
fn a_newer_schema_is_said_and_nothing_else() {
    assert!(problem(&with("schema = 1", "schema = 2\nfuture = true")).contains("newer than this program"));
    assert!(problem("").contains("the file needs `schema`"));
}
