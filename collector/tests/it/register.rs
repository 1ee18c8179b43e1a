//! The equipment register as people keep it: XLSX in and out through the program, and names that mean harm.

use std::fmt::Write as _;
use std::path::Path;

use collector::ledger::import::{ImportError, import};
use collector::workbook::{Cell, Value as Content, write};
use collector::{register, workbook};
use serde_json::Value;
use shopfloor::display::Text;
use shopfloor::time::MINUTE;

use crate::api_house::{MORNING, PLANT, Site, agent};
use crate::house::config_text;
use crate::program::{json, run};

const EXAMPLE: &str = include_str!("../../../shopfloor/plant.example.toml");

fn folder_with_plant() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("collector.toml"), config_text(&[])).unwrap();
    std::fs::write(folder.path().join("plant.toml"), EXAMPLE).unwrap();
    let (exit, first) = json(folder.path(), &["import", folder.path().join("plant.toml").to_str().unwrap()]);
    assert_eq!(exit, 0, "{first:#}");
    folder
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// The example's register with a change, as a file.
fn sheet(folder: &Path, change: impl FnOnce(&mut workbook::Book)) -> String {
    let plant = shopfloor::file::plant::parse(EXAMPLE, "plant.toml").unwrap();
    let mut book = register::book(&plant, 0, false);
    change(&mut book);
    let file = path(folder, "changed.xlsx");
    std::fs::write(&file, write(&book).unwrap()).unwrap();
    file
}

#[test]
fn a_register_goes_out_and_comes_back_without_a_change() {
    let folder = folder_with_plant();
    let file = path(folder.path(), "register.xlsx");
    let (exit, written) = json(folder.path(), &["export", "register", "--site", "huzhou-bearing", "-o", &file]);
    assert_eq!((exit, &written["equipment"]), (0, &Value::from(2)), "{written:#}");
    let (exit, back) = json(folder.path(), &["import", "--site", "huzhou-bearing", &file]);
    assert_eq!((exit, &back["log_index"], &back["changes"]), (0, &Value::Null, &serde_json::json!([])), "{back:#}");
    assert_eq!(back["hash"], back["replaces"], "the same text to the byte");
    assert_eq!(run(folder.path(), &["import", &file]).status.code(), Some(64), "whose register is it?");
    let nobody = run(folder.path(), &["import", "--site", "nobody", &file]);
    assert_eq!(nobody.status.code(), Some(65));
}

#[test]
fn a_rehearsal_says_what_differs_line_by_line_and_writes_nothing() {
    let folder = folder_with_plant();
    let file = sheet(folder.path(), |book| {
        let rows = &mut book.sheets[0].rows;
        rows[0][3] = Cell::text("M203-119");
        rows[0][9] = Cell::text("2026年11月2日");
        let mut new = rows[1].clone();
        new[0] = Cell::text("eq-0003");
        rows[1] = new;
    });
    let expected = serde_json::json!([
        "- equipment eq-0002",
        "~ equipment eq-0001（出厂编号 \"M203-118\" → \"M203-119\"；核实日期 2026-10-20 → 2026-11-02）",
        "+ equipment eq-0003"
    ]);
    let (exit, rehearsal) = json(folder.path(), &["import", "--site", "huzhou-bearing", "--dry-run", &file]);
    assert_eq!((exit, &rehearsal["log_index"], &rehearsal["changes"]), (0, &Value::Null, &expected), "{rehearsal:#}");
    let (exit, done) = json(folder.path(), &["import", "--site", "huzhou-bearing", &file]);
    assert_eq!((exit, &done["log_index"], &done["changes"]), (0, &Value::from(1), &expected), "{done:#}");
    let (_, again) = json(folder.path(), &["import", "--site", "huzhou-bearing", &file]);
    assert_eq!(again["log_index"], Value::Null);
}

#[test]
fn bad_input_register_row_with_duplicate_serial_is_refused_and_nothing_is_written() {
    let folder = folder_with_plant();
    let file = sheet(folder.path(), |book| {
        let row = &mut book.sheets[0].rows[1];
        (row[2], row[3], row[4]) = (Cell::text("3MZ203"), Cell::text("M203-118"), Cell::text("是"));
    });
    let refused = run(folder.path(), &["import", "--site", "huzhou-bearing", &file]);
    assert_eq!(refused.status.code(), Some(65));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("第 3 行 出厂编号（D3）：出厂编号 M203-118 与设备 eq-0001 重复"), "{text}");
    let english = run(folder.path(), &["import", "--lang", "en", "--site", "huzhou-bearing", &file]);
    let text = String::from_utf8(english.stderr).unwrap();
    assert!(text.contains("row 3 出厂编号 (D3): serial \"M203-118\" of model \"3MZ203\" stands twice"), "{text}");
    let (exit, report) = json(folder.path(), &["doctor"]);
    assert_eq!((exit, &report["log"]["documents"]), (0, &Value::from(1)), "{report:#}");
    std::fs::write(path(folder.path(), "list.xlsx"), "设备编号,设备名称\n").unwrap();
    let csv = run(folder.path(), &["import", "--site", "huzhou-bearing", &path(folder.path(), "list.xlsx")]);
    assert_eq!(csv.status.code(), Some(65));
    assert!(String::from_utf8(csv.stderr).unwrap().contains("不是 XLSX 工作簿"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_two_sites_with_one_credit_code_are_refused_with_the_other_site() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let with = |id: &str, code: &str| PLANT.replace("id = \"xinchang\"", &format!("id = \"{id}\"\nuscc = \"{code}\""));
    let (code, other) = ("91330500000000000X", "913305000000000011");
    let site = Site::start(folder.path(), &agent, MORNING, &with("xinchang", code)).await;
    let now = MORNING.plus(MINUTE);
    let error = import(&site.store, &with("yuyao", code), "yuyao.toml", now, true).unwrap_err();
    assert!(matches!(error, ImportError::CreditCode { .. }));
    let text = error.to_string();
    assert!(text.contains("yuyao.toml") && text.contains("`xinchang` (新昌测试厂)") && text.contains(code), "{text}");
    let wrong = import(&site.store, &with("yuyao", &code.replace('X', "Y")), "yuyao.toml", now, true).unwrap_err();
    assert!(wrong.to_string().contains("right check character"), "{wrong}");
    import(&site.store, &with("yuyao", other), "yuyao.toml", now, false).unwrap_or_else(|error| panic!("{error}"));
    // A new version of the same site keeps its code.
    let renamed = with("xinchang", code).replace("新昌测试厂", "新昌厂");
    import(&site.store, &renamed, "plant.toml", now, false).unwrap();
    site.stop().await;
}

/// What a person typed into a name arrives as that text everywhere: in the log, in JSON, in a cell.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_100_and_99_a_hostile_name_is_only_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let names = [
        "'; DROP TABLE result; --",
        "x\\\"} or vector(1) #",
        "\\\") |> drop(columns: [\\\"_value\\\"])",
        "=HYPERLINK(\\\"http://127.0.0.1/\\\")",
        "@SUM(1)",
        "-1+1",
    ];
    let mut plant = PLANT.replace("name = \"新昌测试厂\"", "name = \"=1+1'; DROP TABLE result; --\"");
    for (n, name) in names.iter().enumerate() {
        writeln!(plant, "[[equipment]]\nid = \"bad-{n}\"\nname = \"{name}\"\nnetworked = \"none\"").unwrap();
    }
    let site = Site::start(folder.path(), &agent, MORNING, &plant).await;
    let lines = site.get("/api/v1/sites/xinchang/equipment").await;
    let shown: Vec<&str> = lines.as_array().unwrap()[2..].iter().map(|line| line["name"].as_str().unwrap()).collect();
    let plain: Vec<String> = names.iter().map(|name| name.replace("\\\"", "\"")).collect();
    assert_eq!(shown, plain);
    for (path, sheet, row, column, expected) in [
        ("/api/v1/sites/xinchang/equipment.xlsx", 0, 3, 1, plain[0].as_str()),
        ("/api/v1/sites/xinchang/equipment.xlsx", 0, 6, 1, plain[3].as_str()),
        ("/api/v1/region.xlsx", 0, 2, 1, "=1+1'; DROP TABLE result; --"),
    ] {
        let tables = workbook::read(&site.bytes(path).await).unwrap();
        assert_eq!(tables[sheet].value(row, column), &Content::Text(expected.to_owned()), "{path}");
    }
    let region = site.get("/api/v1/region").await;
    assert_eq!(region["sites"][0]["name"], "=1+1'; DROP TABLE result; --");
    site.stop().await;
}

#[test]
fn a_problem_says_its_place_in_both_languages() {
    let problem = register::Problem {
        row: Some(7),
        heading: Some("出厂编号"),
        cell: Some("D7".into()),
        text: Text::new("重复", "stands twice"),
    };
    assert_eq!(
        (problem.zh(), problem.en()),
        ("第 7 行 出厂编号（D7）：重复".into(), "row 7 出厂编号 (D7): stands twice".into())
    );
}
