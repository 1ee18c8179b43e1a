//! Tests of reading plant.toml: the example, and the bad inputs that a person may write.

use super::*;
use crate::id::{AgentId, WorkUnitId};
use crate::plant::Role;
use crate::time::{Interval, SECOND};
use crate::unit::Rational;

const EXAMPLE: &str = include_str!("../../../plant.example.toml");

fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no {from:?}");
    EXAMPLE.replacen(from, to, 1)
}

/// The only problem of a text.
fn problem(text: &str) -> String {
    let problems = parse(text, "plant.toml").unwrap_err();
    assert_eq!(problems.problems.len(), 1, "{problems}");
    problems.to_string()
}

#[test]
fn the_example_reads_and_says_what_it_says() {
    let plant = parse(EXAMPLE, "plant.example.toml").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(plant.remarks, []);
    assert_eq!(plant.equipment.len(), 2);
    assert!(plant.equipment[0].key_process && !plant.equipment[1].key_process);
    let id: WorkUnitId = "grinder-01".parse().unwrap();
    let unit = plant.work_unit(&id).unwrap();
    assert_eq!(unit.micro_stop, 120 * SECOND);
    assert_eq!(unit.state_rule.id, "grinder");
    assert_eq!(unit.ideal_cycles[0].per_item, Rational::integer(4_500_000_000));
    assert_eq!(unit.counter(Role::Produced).maximum_rate, Rational::new(1, 2 * i128::from(SECOND)));
    assert_eq!(plant.calendar_of(unit).unwrap().shifts.len(), 2);
    assert_eq!(plant.register_of(&id)[0].serial.as_deref(), Some("M203-118"));
}

#[test]
fn tags_are_read_from_the_agent_that_is_bound_at_the_time() {
    let both = "agent = \"edge-01-past\"\nuntil = \"2026-11-25T00:00:00Z\"\n\n[[work_unit.binding]]\n\
        agent = \"edge-01\"\nfrom = \"2026-11-25T00:00:00Z\"";
    let plant = parse(&with("agent = \"edge-01\"", both), "plant.toml").unwrap();
    let id: WorkUnitId = "grinder-01".parse().unwrap();
    let at = |text: &str| Timestamp::parse(text).unwrap();
    let window = Interval { start: at("2026-11-24T23:00:00Z"), end: at("2026-11-25T01:00:00Z") };
    let bound = plant.bindings(&id, window);
    let agents: Vec<_> = bound.iter().map(|(agent, part)| (agent.as_str(), part.nanos() / SECOND)).collect();
    assert_eq!(agents, [("edge-01-past", 3600), ("edge-01", 3600)]);
    let agent: AgentId = "edge-01".parse().unwrap();
    let tags = plant.tags_of(&id, Some(&agent), window);
    assert_eq!(tags.len(), 5);
    assert!(tags.iter().all(|tag| tag.interval.start == at("2026-11-25T00:00:00Z")));
}

#[test]
fn bad_input_85_an_unknown_key_is_refused_with_the_nearest_name_and_its_place() {
    assert_eq!(
        problem(&with("micro_stop = ", "micro_stp = ")),
        "plant.toml:53:1: unknown key `micro_stp` in [work_unit]; did you mean `micro_stop`?"
    );
    let text = problem(&with("works_as = \"fri\"", "works_as = \"fri\", wroks_as = 1"));
    assert!(text.contains("unknown key `wroks_as` in [calendar.make_up]; did you mean `works_as`?"), "{text}");
}

#[test]
fn bad_input_86_an_id_that_stands_twice_is_refused_with_both_places() {
    let text = problem(&with("id = \"eq-0002\"", "id = \"eq-0001\""));
    assert!(text.contains("equipment `eq-0001` stands twice, first at plant.toml:"), "{text}");
    let text = problem(&with("[[product]]", "[[product]]\nid = \"6204\"\nname = \"x\"\n\n[[product]]"));
    assert!(text.contains("product `6204` stands twice"), "{text}");
}

#[test]
fn bad_input_88_a_planned_run_time_of_zero_is_kept_with_a_remark() {
    for time in ["0s", "-9s"] {
        let plant = parse(&with("time = \"9s\"", &format!("time = \"{time}\"")), "plant.toml").unwrap();
        let codes: Vec<_> = plant.remarks.iter().map(|remark| remark.code.as_str()).collect();
        assert_eq!(codes, ["planned-run-time-not-positive"]);
        assert!(plant.work_units[0].ideal_cycles[0].per_item <= Rational::ZERO);
    }
}

#[test]
fn bad_input_89_overlapping_shifts_are_refused_and_both_are_shown() {
    let text = problem(&with("end = \"08:00\"", "end = \"09:30\""));
    assert!(text.contains("shift `night` 20:00–09:30 overlaps shift `day` 08:00–20:00 (at plant.toml:"), "{text}");
    assert!(
        text.contains("in calendar `two-shifts`, first on mon at 08:00") || text.contains("first on tue at 08:00"),
        "{text}"
    );
}

#[test]
fn bad_input_95_a_newer_schema_is_refused_by_name_with_what_to_do() {
    let text = problem(&format!("{}\nsomething_new = 1\n", with("schema = 1", "schema = 2")));
    assert!(text.contains("schema = 2 is newer than this program, which reads up to 1; upgrade Plumbline"), "{text}");
    assert!(problem("").contains("the file needs `schema`"));
}

#[test]
fn a_name_that_is_referred_to_must_exist() {
    let text = problem(&with("calendar = \"two-shifts\"", "calendar = \"two-shift\""));
    assert!(text.contains("calendar `two-shift` does not exist; did you mean `two-shifts`?"), "{text}");
    let text = problem(&with("state_rule = \"grinder\"", "state_rule = \"packlm\""));
    assert!(text.contains("did you mean `packml`?"), "{text}");
    let text = problem(&with("work_unit = \"grinder-01\"", "work_unit = \"press-9\""));
    assert!(text.contains("work_unit `press-9` does not exist"), "{text}");
}

#[test]
fn there_is_no_default_for_zone_and_energy_unit() {
    let text = problem(&with("time_zone = \"Asia/Shanghai\"            # IANA name; there is no default\n", ""));
    assert!(text.contains("[site] needs `time_zone`"), "{text}");
    assert!(problem(&with("unit = \"kWh\" ", "")).contains("[work_unit.counter.energy] needs `unit`"));
    assert!(problem(&with("\"Asia/Shanghai\"", "\"Asia/Shangai\"")).contains("expected an IANA name"));
}

#[test]
fn every_problem_is_reported_at_once() {
    let text =
        with("micro_stop = \"2min\"", "micro_stop = \"2 parsecs\"").replace("name = \"白班\"", "nmae = \"白班\"");
    let problems = parse(&text, "plant.toml").unwrap_err();
    assert_eq!(problems.problems.len(), 3, "{problems}");
}

#[test]
fn bad_input_credit_code_with_wrong_check_digit_is_refused() {
    assert!(problem(&with("91330500000000000X", "91330500000000000Y")).contains("right check character"));
}
