//! The program as an evaluator runs it: files in, answer and exit code out.

#![allow(clippy::unwrap_used)] // a test may fail where it stands

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

const PLANT: &str = r#"
schema = 1
site = { id = "s", name = "示例", time_zone = "Asia/Shanghai" }
[[calendar]]
id = "c"
shift = [{ id = "day", name = "白班", start = "08:00", end = "09:00", weekdays = ["wed"] }]
[[work_unit]]
id = "m"
name = "机床"
calendar = "c"
state_rule = "mtconnect"
stale_after = "3min"
role = { state = "m/state", produced = "m/produced", scrap = "m/scrap" }
ideal_cycle = [{ product = "*", time = "1min" }]
"#;

/// Half an hour of production, half an hour of a stop; 30 pieces, 3 of them scrap.
fn samples() -> String {
    let mut text = String::from("tag,at,value\n");
    for minute in 0..=60 {
        let at = format!("2026-11-25T{:02}:{:02}:00+08:00", 8 + minute / 60, minute % 60);
        let state = if minute < 30 { "ACTIVE" } else { "STOPPED" };
        let produced = minute.min(30);
        write!(text, "m/state,{at},{state}\nm/produced,{at},{produced}\nm/scrap,{at},{}\n", produced / 10).unwrap();
    }
    text
}

fn oee(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plumbline-audit"));
    command.current_dir(folder).args(["oee", "--plant", "plant.toml", "--samples", "samples.csv"]);
    command.args(["--from", "2026-11-25T08:00:00+08:00", "--to", "2026-11-25T09:00:00+08:00"]).args(more);
    command.output().unwrap()
}

fn folder(plant: &str, samples: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plant.toml"), plant).unwrap();
    std::fs::write(folder.path().join("samples.csv"), samples).unwrap();
    folder
}

#[test]
fn an_hour_is_answered_exactly() {
    let folder = folder(PLANT, &samples());
    let output = oee(folder.path(), &["--work-unit", "m", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // A = 30/60, P = 30 min / 30 min, Q = 27/30, OEE = 27/60
    assert_eq!((&answer["oee"]["point"]["num"], &answer["oee"]["point"]["den"]), (&"9".into(), &"20".into()));
    assert_eq!(answer["availability"]["point"]["value"], 0.5);
    assert_eq!(
        answer["time"][0],
        serde_json::json!({
            "leaf": "RUN", "ns": "1800000000000", "low_ns": "1740000000000", "high_ns": "1800000000000"
        })
    );
    let text = String::from_utf8(oee(folder.path(), &["--work-unit", "m", "--lang", "en"]).stdout).unwrap();
    assert!(text.contains("OEE: 45.0 % [45.0 %, 45.0 %]"), "{text}");
    let text = String::from_utf8(oee(folder.path(), &["--work-unit", "m"]).stdout).unwrap();
    assert!(text.contains("可用率: 50.0 %"), "{text}");
}

#[test]
fn the_exit_code_says_what_is_wrong() {
    let code = |plant: &str, samples: &str, more: &[&str]| oee(folder(plant, samples).path(), more).status.code();
    let all = samples();
    assert_eq!(code(PLANT, &all, &["--work-unit", "m"]), Some(0));
    assert_eq!(code(PLANT, &all, &["--work-unit", "n"]), Some(64));
    assert_eq!(code(PLANT, &all, &["--work-unit", "m", "--colour"]), Some(64));
    assert_eq!(code(PLANT, "tag,at,value\nm/state,never,1\n", &["--work-unit", "m"]), Some(65));
    assert_eq!(code("schema = 1\nsight = 1\n", &all, &["--work-unit", "m"]), Some(78));
    assert_eq!(code(PLANT, "tag,at,value\n", &["--work-unit", "m"]), Some(2));
    // A cycle that is too long makes an effectiveness above 1: valid, with a remark.
    assert_eq!(code(&PLANT.replace("1min", "2min"), &all, &["--work-unit", "m"]), Some(3));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(oee(empty.path(), &["--work-unit", "m"]).status.code(), Some(74));
}

#[test]
fn what_was_known_earlier_can_be_asked_again() {
    let folder = folder(PLANT, &samples());
    let output = oee(folder.path(), &["--work-unit", "m", "--format", "json", "--now", "2026-11-25T08:20:00+08:00"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["evaluated"]["end"], "2026-11-25T00:20:00Z");
    assert_eq!(answer["availability"]["point"]["value"], 1.0);
}
