//! Projects through the real road: registered, changed, judged, printed.
//!
//! The machine of `api_house` is planned from 08:00 to 09:00. On the 25th it runs 36 of the 60 minutes, on the 26th
//! 48, and makes a piece every 10 s while it runs, without scrap. One piece has 9 s, so the OEE is 9 · 216 / 3600 =
//! 0.54 before and 9 · 288 / 3600 = 0.72 after: 18 points more, a third more.

use std::path::Path;

use collector::ledger::project_import::{ImportedProject, ProjectImportError, import_project};
use serde_json::Value;
use shopfloor::time::{HOUR, MINUTE, SECOND, Timestamp};
use shopfloor::wire::block::Sealed;
use shopfloor::wire::section::{Group, Raw, ScanColumn, ScanGroup};

use crate::api_house::{MORNING, PLANT, Site, agent, seal_minute};
use crate::house::Agent;
use crate::program::{Program, json, run};

const DAY: i64 = 24 * HOUR;

pub const PROJECT: &str = r#"
schema = 1
[project]
id = "xc-2026-001"
name = "磨床改造"
name_en = "Grinder rebuilt"
code = "ZJ-XC-2026-001"
site = "xinchang"
level = "digital-workshop"
author = "王工"
go_live = 2026-11-26
[project.stage]
diagnosis = 2026-06-01
rebuilding = 2026-11-01
[project.party.enterprise]
name = "新昌测试厂"
contact = "李厂长"
[project.party.supplier]
name = "示例智造"
[baseline]
from = 2026-11-25T07:58:00+08:00
until = 2026-11-25T09:02:00+08:00
[after]
from = 2026-11-26T07:58:00+08:00
until = 2026-11-26T09:02:00+08:00
[[contract_line]]
id = "C-01"
name = "磨床联网改造"
quantity = 1
equipment = ["eq-0001"]
[[criterion]]
id = "oee-up"
indicator = "oee@1"
work_units = ["grinder-01"]
direction = "up"
target = { kind = "points", value = "10" }
rule = "lower-end"
coverage = "0.95"
[[criterion]]
id = "energy-down"
indicator = "unit_energy@1"
work_units = ["grinder-01"]
direction = "down"
target = { kind = "percent", value = "20" }
rule = "point"
"#;

/// The block of a minute: `run` of the day's first 60 minutes are production, a piece every 10 s.
fn minute(agent: &mut Agent, day: i64, minute: i64, run: i64) -> Sealed {
    let made = |day: i64, run: i64| u64::try_from(day * 216 + run).unwrap();
    let start = MORNING.plus(day * DAY + minute * MINUTE);
    let rows: Vec<(Timestamp, [u64; 4])> = (0..6)
        .map(|row| {
            let second = minute * 60 + row * 10;
            let running = (0..run * 60).contains(&second);
            let pieces = made(day, second.clamp(0, run * 60) / 10);
            let energy = u64::try_from(500_000 + day * 8640 + second / 10).unwrap();
            (start.plus(row * 10 * SECOND), [u64::from(running), 1000 + pieces, 0, energy])
        })
        .collect();
    let times: Vec<i64> = rows.iter().map(|(at, _)| at.as_nanos()).collect();
    let column = |tag: u16| ScanColumn {
        tag,
        values: rows.iter().map(|(_, row)| Raw::Bits(row[usize::from(tag)])).collect(),
        exceptions: Vec::new(),
    };
    let group = |group, tags: &[u16]| {
        let columns = tags.iter().map(|tag| column(*tag)).collect();
        Group::Scan(ScanGroup { group, request: times.clone(), response: times.clone(), columns })
    };
    seal_minute(agent, day * 24 * 60 + minute, Vec::new(), vec![group(0, &[0]), group(1, &[1, 2, 3])])
}

/// Both days, a few minutes more at each end of the shift.
fn two_days(agent: &mut Agent) -> Vec<Sealed> {
    let day =
        |agent: &mut Agent, day: i64, run: i64| (-5..65).map(|at| minute(agent, day, at, run)).collect::<Vec<_>>();
    let first = day(agent, 0, 36);
    [first, day(agent, 1, 48)].concat()
}

fn register(site: &Site, text: &str, at: Timestamp) -> Result<ImportedProject, ProjectImportError> {
    import_project(&site.store, text, "project.toml", at, false)
}

/// The project once it is worked out.
async fn judged(site: &Site) -> Value {
    for _ in 0..600 {
        let project = site.get("/api/v1/projects/xc-2026-001").await;
        if project["state"]["code"] == "current" {
            return project;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the project was not worked out");
}

/// Two days after the shift that is judged, with everything delivered.
async fn started(folder: &Path, agent: &Agent, plant: &str) -> Site {
    Site::start(folder, agent, MORNING.plus(2 * DAY), plant).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_improvement_is_supported_and_every_output_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    register(&site, PROJECT, MORNING.plus(-DAY)).unwrap();
    let blocks = two_days(&mut agent);
    site.deliver(&agent, &blocks).await;

    let project = judged(&site).await;
    let oee = &project["criteria"][0];
    assert_eq!(oee["before"]["figure"]["point"]["text"]["zh"], "54.00 %", "{project:#}");
    assert_eq!(oee["after"]["figure"]["point"]["text"]["zh"], "72.00 %");
    assert_eq!(oee["points"]["point"]["text"]["zh"], "+18.00 个百分点");
    assert_eq!(oee["relative"]["point"]["text"]["en"], "+33.33 %");
    assert_eq!(
        (&oee["verdict"]["code"], &oee["statistics"]["zh"]),
        (&"pass".into(), &"未做统计检验".into()),
        "{oee:#}"
    );
    assert_eq!(project["conclusion"]["zh"], "数据支持达标", "{project:#}");
    assert_eq!(project["registered"]["in_time"], true);
    assert_eq!(project["contract_lines"][0]["equipment"][0]["standing"]["code"], "online");
    assert_eq!(project["demo"], true);
    let listed = site.get("/api/v1/projects").await;
    assert_eq!(listed[0]["counts"], serde_json::json!({ "pass": 2, "fail": 0, "insufficient": 0 }));
    assert_eq!((&listed[0]["changes"], &project["changes"]), (&0.into(), &Value::Array(Vec::new())));

    let api = figures(&project);
    assert!(api.len() > 25, "{api:?}");
    let sheet = site.raw("/api/v1/projects/xc-2026-001/sheet", &[]).await;
    assert!(!sheet.headers()["content-security-policy"].to_str().unwrap().contains("http"));
    let sheet = sheet.into_body();
    assert_eq!(keyed(&sheet), api, "the sheet");
    for word in
        ["项目指标核验单", "数据支持达标", "未做统计检验", "专家组", "演示数据", text(&project["checkpoint"]["root"])]
    {
        assert!(sheet.contains(word), "{word}");
    }
    for request in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!sheet.contains(request), "the sheet asks for nothing: {request}");
    }
    let book = book(&site).await;
    let data = &book.iter().find(|table| table.name == "数据").unwrap();
    let rows =
        (1..data.rows.len()).filter_map(|row| match (data.value(row, 0), data.value(row, 1), data.value(row, 2)) {
            (Cell::Text(key), Cell::Number(value), Cell::Text(text)) => {
                Some((key.clone(), value.to_string(), text.clone()))
            }
            _ => None,
        });
    assert_eq!(rows.collect::<Vec<_>>(), api, "the workbook");
    let names: Vec<_> = book.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["指标核验", "交付核验", "变更", "口径", "数据"]);

    // From the verdict down to the work unit's window, with its formula and its samples.
    let unit = &oee["after"]["work_units"][0];
    let window = site
        .get(&format!(
            "/api/v1/sites/xinchang/work-units/{}/windows/{}/{}?kind=span",
            text(&unit["id"]),
            text(&unit["start"]),
            text(&unit["end"])
        ))
        .await;
    assert_eq!(window["oee"]["point"]["value"], oee["after"]["figure"]["point"]["value"]);
    assert!(window["inputs"].as_array().unwrap().iter().any(|input| input["tag"] == "produced"));
    site.stop().await;
}

use collector::workbook::Value as Cell;

async fn book(site: &Site) -> Vec<collector::workbook::Table> {
    let url = format!("{}/api/v1/projects/xc-2026-001/sheet.xlsx", site.base());
    let bytes = tokio::task::spawn_blocking(move || ureq::get(url).call().unwrap().body_mut().read_to_vec().unwrap());
    collector::workbook::read(&bytes.await.unwrap()).unwrap()
}

/// Key, value and text of every figure of a project's criteria, in the order of the document.
fn figures(project: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for criterion in project["criteria"].as_array().unwrap() {
        let id = text(&criterion["id"]);
        let mut add = |rest: &str, figure: &Value| {
            if !figure.is_null() {
                let value = figure["value"].as_f64().unwrap().to_string();
                found.push((format!("criterion.{id}.{rest}"), value, text(&figure["text"]["zh"]).to_owned()));
            }
        };
        for which in ["before", "after"] {
            for end in ["point", "low", "high"] {
                add(&format!("{which}.{end}"), &criterion[which]["figure"][end]);
            }
            add(&format!("{which}.coverage"), &criterion[which]["coverage"]);
        }
        for which in ["points", "relative"] {
            for end in ["point", "low", "high"] {
                add(&format!("{which}.{end}"), &criterion[which][end]);
            }
        }
        add("coverage_minimum", &criterion["coverage_minimum"]);
    }
    found
}

/// The same of a page: every element with a key and a value.
fn keyed(page: &str) -> Vec<(String, String, String)> {
    let parts = page.split(" data-key=\"").skip(1);
    parts
        .filter_map(|part| {
            let (key, rest) = part.split_once('"')?;
            let (value, rest) = rest.strip_prefix(" data-value=\"")?.split_once("\">")?;
            let (text, _) = rest.split_once('<')?;
            Some((key.to_owned(), value.to_owned(), text.to_owned()))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_criterion_edited_after_registration_is_named_with_author_time_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    register(&site, PROJECT, MORNING.plus(-DAY)).unwrap();
    let blocks = two_days(&mut agent);
    site.deliver(&agent, &blocks).await;
    assert_eq!(judged(&site).await["criteria"][0]["verdict"]["code"], "pass");

    let lower =
        PROJECT.replacen("value = \"10\"", "value = \"30\"", 1).replacen("author = \"王工\"", "author = \"赵工\"", 1);
    let refused = register(&site, &lower, MORNING.plus(DAY)).unwrap_err().to_string();
    assert!(refused.contains("reason") && refused.contains("points 10 -> points 30"), "{refused}");
    let lower = lower.replacen("author =", "reason = \"补充协议<2>\"\nauthor =", 1);
    let imported = register(&site, &lower, MORNING.plus(DAY)).unwrap();
    assert_eq!(imported.changes.len(), 1);

    // What was judged by the old target is not shown for a moment under the new one.
    let at_once = site.get("/api/v1/projects/xc-2026-001").await;
    assert_ne!(at_once["criteria"][0]["verdict"]["code"], "pass", "{:#}", at_once["state"]);
    let project = judged(&site).await;
    let change = &project["changes"][0];
    assert_eq!(change["what"]["zh"], "指标 oee-up 的目标");
    assert_eq!((&change["before"], &change["after"]), (&"points 10".into(), &"points 30".into()));
    assert_eq!((&change["author"], &change["reason"]), (&"赵工".into(), &"补充协议<2>".into()));
    assert_eq!((&change["at"], &change["criterion"]), (&"2026-11-26T00:00:00Z".into(), &"oee-up".into()));
    assert_eq!(project["criteria"][0]["changes"], project["changes"]);
    assert_eq!(project["criteria"][0]["verdict"]["code"], "fail");
    assert_eq!((&project["conclusion"]["code"], &project["registered"]["in_time"]), (&"fail".into(), &true.into()));
    assert_eq!(project["versions"].as_array().unwrap().len(), 2);
    // The change came when the after-window had begun and results could be seen.
    let warnings = project["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["code"] == "changed-late"), "{warnings:?}");
    let sheet = site.raw("/api/v1/projects/xc-2026-001/sheet", &[]).await.into_body();
    for word in ["指标 oee-up 的目标", "赵工", "2026-11-26 08:00", "points 10", "points 30", "补充协议&lt;2&gt;"]
    {
        assert!(sheet.contains(word), "{word}");
    }
    let book = book(&site).await;
    let changes = book.iter().find(|table| table.name == "变更").unwrap();
    assert_eq!(changes.value(1, 1), &Cell::Text("赵工".into()));
    assert_eq!(changes.value(1, 5), &Cell::Text("补充协议<2>".into()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_registration_is_retrospective_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    let imported = register(&site, PROJECT, MORNING.plus(DAY)).unwrap();
    assert_eq!(imported.in_time, Some(false));
    // Moving the window behind the registration does not make it an early one.
    let moved = PROJECT
        .replacen("from = 2026-11-26", "from = 2026-11-27", 1)
        .replacen("until = 2026-11-26", "until = 2026-11-27", 1)
        .replacen("author", "reason = \"推迟\"\nauthor", 1);
    assert_eq!(register(&site, &moved, MORNING.plus(DAY + HOUR)).unwrap().in_time, Some(false));
    let project = judged(&site).await;
    assert_eq!(project["registered"]["in_time"], false);
    assert!(text(&project["registered"]["zh"]).contains("补登记"));
    assert!(
        project["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "agent-silent"),
        "{project:#}"
    );
    assert_eq!(project["changes"][0]["what"]["zh"], "改造后窗口");
    // The window is open: nothing is judged, and what would settle it is its end.
    let oee = &project["criteria"][0];
    assert_eq!((&oee["verdict"]["code"], &oee["reason"]["code"]), (&"insufficient".into(), &"window-not-over".into()));
    assert_eq!((&oee["settle"][0]["code"], &oee["settle"][0]["days"]), (&"wait-for-window".into(), &1.into()));
    assert_eq!(project["versions"][0]["log_index"], project["registered"]["log_index"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_delivery_outweighs_met_criteria_and_names_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    let two = PROJECT.replacen(
        "quantity = 1\nequipment = [\"eq-0001\"]",
        "quantity = 2\nequipment = [\"eq-0001\", \"eq-0002\"]",
        1,
    );
    register(&site, &two, MORNING.plus(-DAY)).unwrap();
    let blocks = two_days(&mut agent);
    site.deliver(&agent, &blocks).await;
    let project = judged(&site).await;
    assert_eq!(
        (&project["conclusion"]["code"], &project["conclusion"]["zh"]),
        (&"delivery-incomplete".into(), &"交付未齐".into())
    );
    assert_eq!(project["counts"]["pass"], 2);
    let line = &project["contract_lines"][0];
    assert_eq!(
        (&line["delivered"], &line["equipment"][1]["standing"]["code"]),
        (&false.into(), &"never-online".into())
    );
    assert!(text(&line["reason"]["zh"]).contains("eq-0002"), "{line:#}");
    let first = &line["equipment"][0];
    assert_eq!(
        (&first["first_data"], &first["coverage"]["text"]["zh"]),
        (&"2026-11-24T23:55:00Z".into(), &"100.00 %".into())
    );
    let sheet = site.raw("/api/v1/projects/xc-2026-001/sheet", &[]).await.into_body();
    let delivery = sheet.find("交付核验").unwrap();
    assert!(delivery < sheet.find("指标核验</h2>").unwrap() && sheet.contains("交付未齐"), "delivery comes first");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_leaves_the_evidence_insufficient_until_the_late_block_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    register(&site, PROJECT, MORNING.plus(-DAY)).unwrap();
    let mut blocks = two_days(&mut agent);
    // Ten minutes of the second day's shift stay away: 50 of 60 minutes are known.
    let late = blocks.drain(80..90).collect::<Vec<_>>();
    site.deliver(&agent, &blocks).await;
    let project = judged(&site).await;
    let oee = &project["criteria"][0];
    assert_eq!(
        (&oee["verdict"]["code"], &project["conclusion"]["code"]),
        (&"insufficient".into(), &"insufficient".into())
    );
    assert_eq!(oee["reason"]["code"], "coverage-below-minimum", "{oee:#}");
    let settle = oee["settle"].as_array().unwrap();
    assert!(settle.iter().any(|settle| settle["days"].as_i64().is_some_and(|days| days > 0)), "{oee:#}");
    assert!(settle.iter().any(|settle| settle["work_unit"] == "grinder-01" && settle["tag"] == "running"), "{oee:#}");
    let sheet = site.raw("/api/v1/projects/xc-2026-001/sheet", &[]).await.into_body();
    assert!(sheet.contains("怎样才能判定") && sheet.contains(text(&settle[0]["zh"])));

    site.deliver(&agent, &late).await;
    let at_once = site.get("/api/v1/projects/xc-2026-001").await;
    assert_ne!(at_once["state"]["code"], "computing", "the answer of before stays in sight, and is called past");
    let settled = at_once["state"]["code"] == "recomputing" || at_once["criteria"][0]["verdict"]["code"] == "pass";
    assert!(settled, "{:#}", at_once["state"]);
    let project = judged(&site).await;
    assert_eq!(project["criteria"][0]["verdict"]["code"], "pass", "{:#}", project["criteria"][0]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_registration_versions_and_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    register(&site, PROJECT, MORNING.plus(-DAY)).unwrap();
    let edited = PROJECT.replacen("author", "reason = \"名称\"\nauthor", 1).replacen("磨床改造", "磨床数字化改造", 1);
    assert_eq!(register(&site, &edited, MORNING.plus(DAY)).unwrap().changes, []);
    let blocks = two_days(&mut agent);
    site.deliver(&agent, &blocks).await;
    let before = judged(&site).await;
    site.stop().await;

    let site = started(folder.path(), &agent, "").await;
    let after = judged(&site).await;
    for key in
        ["name", "criteria", "contract_lines", "registered", "versions", "changes", "conclusion", "counts", "as_of"]
    {
        assert_eq!(before[key], after[key], "{key}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_99_a_formula_in_a_project_stays_a_text_in_its_workbook() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    let risky = "=HYPERLINK(\\\"x\\\",\\\"y\\\")";
    register(&site, PROJECT, MORNING.plus(-DAY)).unwrap();
    let edited = PROJECT
        .replacen("author = \"王工\"", &format!("author = \"@SUM(A1)\"\nreason = \"{risky}\""), 1)
        .replacen("name = \"磨床联网改造\"", "name = \"+1\"", 1);
    register(&site, &edited, MORNING).unwrap();
    judged(&site).await;
    let book = book(&site).await;
    let changes = book.iter().find(|table| table.name == "变更").unwrap();
    assert_eq!(changes.value(1, 1), &Cell::Text("@SUM(A1)".into()));
    assert_eq!(changes.value(1, 5), &Cell::Text("=HYPERLINK(\"x\",\"y\")".into()));
    let delivery = book.iter().find(|table| table.name == "交付核验").unwrap();
    assert_eq!(delivery.value(1, 1), &Cell::Text("+1".into()));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = started(folder.path(), &agent, PLANT).await;
    let refused = |text: &str| register(&site, text, MORNING).unwrap_err().to_string();
    assert!(refused(&PROJECT.replacen("[\"grinder-01\"]", "[\"grinder-99\"]", 1)).contains("grinder-99"));
    assert!(refused(&PROJECT.replacen("[\"eq-0001\"]", "[\"eq-0099\"]", 1)).contains("eq-0099"));
    assert!(refused(&PROJECT.replacen("oee@1", "oee@7", 1)).contains("no version 7"));
    assert!(refused(&" ".repeat(2 << 20)).contains("more than"));
    assert_eq!(site.store.log.documents(collector::log::DocumentKind::Project).unwrap().len(), 0);
    // Before the factory is described a project can be registered, and nothing is judged.
    let early = PROJECT.replacen("site = \"xinchang\"", "site = \"elsewhere\"", 1);
    let imported = register(&site, &early, MORNING).unwrap();
    assert_eq!((imported.in_time, imported.remarks[0].0.as_str()), (None, "site-without-plant"));
    let project = site.get("/api/v1/projects/xc-2026-001").await;
    assert_eq!((&project["state"]["code"], &project["conclusion"]["code"]), (&"no-plant".into(), &"no-plant".into()));
    assert_eq!(site.refused("/api/v1/projects/xc-2026-001/sheet", 503).await["code"], "E-2504");
    assert!(
        register(&site, PROJECT, MORNING).unwrap_err().to_string().contains("elsewhere"),
        "a project keeps its site"
    );
    for missing in ["nothing", "%00", "UPPER"] {
        assert_eq!(site.refused(&format!("/api/v1/projects/{missing}"), 404).await["code"], "E-2406");
        assert_eq!(site.refused(&format!("/api/v1/projects/{missing}/sheet.xlsx"), 404).await["code"], "E-2406");
    }
    site.stop().await;
}

/// The same by commands: through the running program and beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_lives_by_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (plant, project) = (path("plant.toml"), path("project.toml"));
    std::fs::write(&plant, PLANT).unwrap();
    std::fs::write(&project, PROJECT).unwrap();
    let program = Program::start(folder.path(), &[]).await;
    assert_eq!(json(folder.path(), &["import", &plant]).0, 0);
    let (exit, rehearsal) = json(folder.path(), &["project", "import", "--dry-run", &project]);
    assert_eq!((exit, &rehearsal["log_index"]), (0, &Value::Null), "{rehearsal:#}");
    let (exit, first) = json(folder.path(), &["project", "import", &project]);
    assert_eq!((exit, &first["log_index"], &first["replaces"]), (0, &1.into(), &Value::Null), "{first:#}");
    let (_, again) = json(folder.path(), &["project", "import", &project]);
    assert_eq!(again["log_index"], Value::Null, "the same text is in force");
    let (exit, list) = json(folder.path(), &["project", "list"]);
    assert_eq!((exit, &list[0]["id"], &list[0]["versions"]), (0, &"xc-2026-001".into(), &1.into()));
    program.stop().await;

    let edited = PROJECT.replacen("value = \"10\"", "value = \"12\"", 1);
    std::fs::write(&project, &edited).unwrap();
    let refused = run(folder.path(), &["project", "check", &project]);
    assert_eq!(refused.status.code(), Some(65), "{}", String::from_utf8_lossy(&refused.stderr));
    std::fs::write(&project, edited.replacen("author", "reason = \"协议\"\nauthor", 1)).unwrap();
    let (exit, checked) = json(folder.path(), &["project", "check", &project]);
    assert_eq!((exit, &checked["changes"][0]["after"]), (0, &"points 12".into()), "{checked:#}");
    let (exit, second) = json(folder.path(), &["project", "import", &project]);
    assert_eq!((exit, &second["replaces"]), (0, &first["hash"]), "{second:#}");
    let (exit, rebuilt) = json(folder.path(), &["rebuild"]);
    assert_eq!((exit, &rebuilt["projects"]), (0, &serde_json::json!(["xc-2026-001"])), "{rebuilt:#}");
    let (exit, shown) = json(folder.path(), &["project", "show", "xc-2026-001"]);
    assert_eq!((exit, &shown["changes"][0]["reason"]), (0, &"协议".into()), "{shown:#}");
    // Nothing was measured, so nothing is met: the evidence is insufficient, or the delivery is incomplete.
    let (exit, verdict) = json(folder.path(), &["project", "evaluate", "xc-2026-001"]);
    assert!(exit == 1 || exit == 2, "{exit} {verdict:#}");
    for name in ["sheet.html", "sheet.xlsx"] {
        let (exit, written) = json(folder.path(), &["project", "sheet", "xc-2026-001", "-o", &path(name)]);
        assert_eq!(exit, 0, "{written:#}");
        assert_eq!(std::fs::metadata(path(name)).unwrap().len(), written["bytes"].as_u64().unwrap());
    }
    assert_eq!(run(folder.path(), &["project", "show", "nothing"]).status.code(), Some(65));
    assert_eq!(run(folder.path(), &["project", "sheet", "xc-2026-001", "-o", "x.pdf"]).status.code(), Some(64));
    let said = String::from_utf8(run(folder.path(), &["project", "show", "xc-2026-001"]).stdout).unwrap();
    assert!(said.contains("补登记") || said.contains("登记"), "{said}");
}
