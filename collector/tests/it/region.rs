//! The region, the register counted in three states, and maturity without a score.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use collector::evaluate::number::{BoundedRatio, Ratio};
use collector::ledger::import::import;
use collector::series::derived::{Derived, Kept, Key};
use collector::workbook::{self, Value as Content};
use collector::{register, series};
use shopfloor::evaluate::{WindowKind, windows};
use shopfloor::register_map::{Area, DataType, Origin, Place, TagEntry};
use shopfloor::time::{HOUR, Interval, MINUTE, SECOND, Timestamp};
use shopfloor::unit::Rational;
use shopfloor::wire::block::Sealed;
use shopfloor::wire::header::SectionName;
use shopfloor::wire::section::{Group, Raw, ScanColumn, ScanGroup};

use crate::api_house::{MORNING, PLANT, Site, agent, minute, seal_minute};
use crate::house::Agent;

/// A shop of 30 machines: 10 are read by our agent, 20 are networked by another system.
fn thirty() -> (Agent, String) {
    let mut agent = agent();
    let mut plant = "schema = 1\n[site]\nid = \"xinchang\"\nname = \"三十台\"\ncounty = \"新昌县\"\n\
        time_zone = \"Asia/Shanghai\"\n[site.contact]\nname = \"张工\"\nphone = \"0575-86000000\"\n\
        [[site.cluster]]\nid = \"bearings\"\nname = \"新昌轴承产业集群\"\n[[calendar]]\nid = \"c\"\nname = \"历\"\n"
        .to_owned();
    agent.map.groups.truncate(1);
    agent.map.tags.clear();
    for n in 0..10_u16 {
        agent.map.tags.push(TagEntry {
            name: format!("w{n}/running").parse().unwrap(),
            group: 0,
            section: SectionName::kpi(),
            place: Place::Modbus { unit: 1, area: Area::Coil, address: n, words: 1, bit: None },
            data_type: DataType::Bool,
            word_order: None,
            scale: Rational::ONE,
            offset: Rational::ZERO,
            unit: String::new(),
            origin: Origin::Simulated,
        });
        let line = format!("id = \"w{n}\"\nname = \"磨床\"\ncalendar = \"c\"\nstate_rule = \"running-bit\"");
        let rest = format!("[work_unit.role]\nrunning = \"w{n}/running\"\n[[work_unit.binding]]\nagent = \"edge-01\"");
        let register = format!("id = \"here-{n}\"\nname = \"磨床\"\nnetworked = \"verified\"\nwork_unit = \"w{n}\"");
        writeln!(plant, "[[work_unit]]\n{line}\n{rest}\n[[equipment]]\n{register}").unwrap();
    }
    for n in 0..20 {
        let line = "name = \"车床\"\nnetworked = \"declared\"\nsystem = \"MES\"\nattested_by = \"张工\"\nattested_at = 2026-11-01";
        writeln!(plant, "[[equipment]]\nid = \"other-{n}\"\n{line}").unwrap();
    }
    (agent, plant)
}

/// A block of one minute in which the first `machines` machines were read.
fn read_of(agent: &mut Agent, at: i64, machines: u16) -> Sealed {
    let start = MORNING.plus(at * MINUTE);
    let times: Vec<i64> = (0..6).map(|row| start.plus(row * 10 * SECOND).as_nanos()).collect();
    let column = |tag| ScanColumn { tag, values: vec![Raw::Bits(1); 6], exceptions: Vec::new() };
    let columns = (0..machines).map(column).collect();
    let group = ScanGroup { group: 0, request: times.clone(), response: times, columns };
    seal_minute(agent, at, Vec::new(), vec![Group::Scan(group)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_of_30_with_10_here_and_20_elsewhere_shows_three_counts_and_no_rate() {
    let folder = tempfile::tempdir().unwrap();
    let (mut agent, plant) = thirty();
    let site = Site::start(folder.path(), &agent, MORNING.plus(3 * MINUTE), &plant).await;
    let before = site.get("/api/v1/sites/xinchang/networked").await;
    assert_eq!(before["networked"]["zh"], "0 已核验 / 30 已申报 / 0 未联网（共 30 台）", "no data arrived yet");
    let codes: Vec<_> = before["remarks"].as_array().unwrap().iter().map(|remark| &remark["code"]).collect();
    assert_eq!(codes, ["verified-without-data"; 10]);

    let blocks = [read_of(&mut agent, 0, 10), read_of(&mut agent, 1, 10)];
    site.deliver(&agent, &blocks).await;
    site.clock.move_to(MORNING.plus(5 * MINUTE));
    let after = site.get("/api/v1/sites/xinchang/networked").await;
    let three = serde_json::json!({
        "verified": 10, "declared": 20, "none": 0, "total": 30,
        "zh": "10 已核验 / 20 已申报 / 0 未联网（共 30 台）", "en": "10 verified / 20 declared / 0 not networked (of 30)"
    });
    assert_eq!(after["networked"], three);
    assert_eq!(after["remarks"], serde_json::json!([]));

    let lines = site.get("/api/v1/sites/xinchang/equipment").await;
    let count = |state: &str| lines.as_array().unwrap().iter().filter(|line| line["networked"] == state).count();
    assert_eq!((count("verified"), count("declared"), count("none")), (10, 20, 0));
    assert_eq!((&lines[29]["system"], &lines[29]["last_data"]), (&"MES".into(), &serde_json::Value::Null));

    let region = site.get("/api/v1/region").await;
    let row = &region["sites"][0];
    assert_eq!((&row["networked"], &region["clusters"][0]["networked"]), (&three, &three));
    assert_eq!((&row["online"]["code"], &row["contact"]["name"]), (&"online".into(), &"张工".into()));
    assert_eq!(region["clusters"][0]["kind"]["zh"], "产业集群");
    assert_eq!(region["clusters"][0]["counties"], serde_json::json!(["新昌县"]));

    let maturity = site.get("/api/v1/sites/xinchang/maturity").await;
    let items = maturity["models"][1]["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["id"] == "equipment-networked").unwrap();
    assert_eq!((&item["state"]["code"], &item["value"]["zh"]), (&"attested".into(), &three["zh"]));

    // Neither the words nor the numbers anywhere say a third.
    let workbook = workbook::read(&site.bytes("/api/v1/region.xlsx").await).unwrap();
    let row: Vec<_> = (10..14).map(|column| workbook[0].value(3, column).clone()).collect();
    assert_eq!(row, [10.0, 20.0, 0.0, 30.0].map(Content::Number));
    for (path, body) in [("networked", &after), ("equipment", &lines), ("region", &region), ("maturity", &maturity)] {
        let text = body.to_string();
        for rate in ["33", "0.333", "66.", "100 %"] {
            assert!(!text.contains(rate), "{path} says {rate}: {text}");
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_value_of_its_own_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (mut agent, plant) = thirty();
    let site = Site::start(folder.path(), &agent, MORNING.plus(3 * MINUTE), &plant).await;
    // The agent sends, but only of nine machines.
    let block = read_of(&mut agent, 0, 9);
    site.deliver(&agent, &[block]).await;
    let found = site.get("/api/v1/sites/xinchang/networked").await;
    assert_eq!((&found["networked"]["verified"], &found["networked"]["declared"]), (&9.into(), &21.into()));
    assert!(found["remarks"][0]["zh"].as_str().unwrap().contains("here-9"), "{found:#}");
    let lines = site.get("/api/v1/sites/xinchang/equipment").await;
    let line = &lines[9];
    assert_eq!((&line["networked"], &line["registered"]), (&"declared".into(), &"verified".into()));
    assert_eq!(line["remark"]["code"], "verified-without-data");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_of_the_register_comes_back_as_the_same_plant() {
    let folder = tempfile::tempdir().unwrap();
    let (agent, plant) = thirty();
    let site = Site::start(folder.path(), &agent, MORNING, &plant).await;
    let filled = register::read::read(&site.bytes("/api/v1/sites/xinchang/equipment.xlsx").await).unwrap();
    let version = site.store.ledger.plant(&"xinchang".parse().unwrap()).unwrap();
    assert_eq!(register::merge::merge(&version.text, &version.plant, &filled).unwrap(), plant);
    site.stop().await;
}

/// One site's settled day stands in its row with its coverage; one site alone publishes no production figure.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_settled_day_gives_the_coverage_and_one_site_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(30 * MINUTE), PLANT).await;
    let blocks: Vec<Sealed> = (-5..80).chain([20 * 60]).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    site.clock.move_to(MORNING.plus(21 * HOUR));
    let day = "/api/v1/sites/xinchang/work-units/grinder-01/windows/2026-11-24T16:00:00Z/2026-11-25T16:00:00Z";
    assert_eq!(site.get(day).await["state"], "settled");
    site.clock.move_to(MORNING.plus(21 * HOUR + MINUTE));
    let region = site.get("/api/v1/region").await;
    let row = &region["sites"][0];
    assert_eq!(
        (&row["coverage_day"], &row["coverage"]["text"]["zh"]),
        (&"2026-11-25".into(), &"100.00 %".into()),
        "{region:#}"
    );
    assert_eq!((&row["coverage"]["num"], &row["coverage"]["den"]), (&row["coverage"]["den"], &"3600000000000".into()));
    let figure = &region["all"]["figures"][1];
    assert_eq!(
        (&figure["indicator"]["id"], &figure["sites"], &figure["figure"]),
        (&"oee".into(), &1.into(), &serde_json::Value::Null)
    );
    assert_eq!(figure["suppressed"]["code"], "too-few-sites");
    assert!(figure["window"]["zh"].as_str().unwrap().ends_with("2026-11-25"));
    // 0.6075 is this site's OEE; it must not stand anywhere in the region.
    assert!(!region.to_string().contains("6075"));

    let maturity = site.get("/api/v1/sites/xinchang/maturity").await;
    assert_eq!((&maturity["score"], &maturity["level"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(maturity["reason"]["code"], "profile_unverified");
    let item = |model: usize, id: &str| {
        let items = maturity["models"][model]["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
    };
    // Data began on that morning, so it is no whole day of data; but it is the only day there is.
    let oee = item(0, "equipment-oee");
    assert_eq!(oee["value"]["zh"], "1 台设备中 1 台有结果，共 1 个设备日", "{oee:#}");
    assert_eq!(
        (&oee["state"]["code"], &oee["would_settle"]["zh"]),
        (&"measured".into(), &"已有 1 天，满 30 天才成立".into())
    );
    assert_eq!(oee["window"]["zh"], "2026-11-25 至 2026-11-25（1 d）");
    // The counters were not read for most of the day, so what was made in it is not defined.
    let quality = item(1, "outcome-quality");
    assert_eq!((&quality["value"], &quality["state"]["code"]), (&serde_json::Value::Null, &"unknown".into()));
    assert!(quality["would_settle"]["zh"].as_str().unwrap().starts_with("计数器全天读数无缺口"));
    assert_eq!(item(0, "network-integrity")["state"]["code"], "measured");
    let text = maturity.to_string();
    for word in ["一级", "二级", "三级", "四级", "五级", "总分", "得分", "GB/T", "badge"] {
        assert!(!text.contains(word), "{word}");
    }
    site.stop().await;
}

/// Six sites whose settled days are put in place: their parts are added, and a cluster of four is held back together
/// with what would give it away.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_many_sites_are_added_and_what_gives_a_few_away_is_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let now = MORNING.plus(24 * HOUR);
    let site = Site::start(folder.path(), &agent, now, "").await;
    let cluster = |id: &str| format!("time_zone = \"Asia/Shanghai\"\n[[site.cluster]]\nid = \"{id}\"");
    for n in 0..10 {
        let plant = PLANT
            .replace("id = \"xinchang\"", &format!("id = \"site-{n}\""))
            .replace("time_zone = \"Asia/Shanghai\"", &cluster(if n < 6 { "large" } else { "small" }));
        import(&site.store, &plant, "plant.toml", now, false).unwrap();
    }
    let derived = Derived::open(Some(&folder.path().join("state/derived.db"))).unwrap();
    let mut expected = BTreeMap::new();
    for (n, version) in (0_i128..).zip(site.store.ledger.plants()) {
        let version = site.store.ledger.plant(&version.site.id).unwrap();
        keep_day(&site, &derived, &version, n);
        expected.insert(version.plant.site.id.clone(), (36 + n, 60));
    }
    let region = site.get("/api/v1/region").await;
    let published = &region["clusters"][0]["figures"][0];
    assert_eq!((&published["sites"], &published["suppressed"]), (&6.into(), &serde_json::Value::Null), "{region:#}");
    let point = &published["figure"]["point"];
    let exact = |key: &str| point[key].as_str().unwrap().parse::<i128>().unwrap();
    // Σ (36 + n) / 60 × 3600 s over Σ 3600 s, n = 0 to 5.
    assert_eq!(exact("num") * 360, exact("den") * (36 * 6 + 15));
    assert_eq!(point["text"]["zh"], "64.17 %");
    let code = |figure: &serde_json::Value| figure["suppressed"]["code"].clone();
    assert_eq!(code(&region["clusters"][1]["figures"][0]), "too-few-sites");
    assert_eq!(code(&region["all"]["figures"][0]), "complementary");
    assert_eq!(region["clusters"][1]["figures"][0]["figure"], serde_json::Value::Null);
    let sheet = workbook::read(&site.bytes("/api/v1/region.xlsx").await).unwrap();
    let cell = |row, column| sheet[1].value(row, column).clone();
    assert_eq!(cell(2, 10), Content::Number(point["value"].as_f64().unwrap()));
    assert_eq!((cell(4, 10), cell(6, 10)), (Content::Text("不公开".into()), Content::Text("不公开".into())));
    site.stop().await;
}

fn keep_day(site: &Site, derived: &Derived, version: &collector::ledger::PlantVersion, n: i128) {
    let unit = &version.plant.work_units[0];
    let range = Interval { start: MORNING, end: MORNING.plus(HOUR) };
    let window = windows(&version.plant, &unit.id, WindowKind::Day, range).remove(0);
    let log = site.store.clone();
    let series = std::sync::Arc::new(series::Series::new(log.log.clone(), log.ledger.clone(), 1 << 20));
    let settle = collector::config::Settle { hour: 0, shift: 0, day: 0 };
    let pipeline = collector::evaluate::pipeline::Pipeline::new(log, series, Derived::open(None).unwrap(), settle);
    let now = MORNING.plus(24 * HOUR);
    let mut shape = pipeline.evaluated(version, unit, &window, now).unwrap().shape.clone();
    let share = Ratio::from(Rational::new(36 + n, 60).unwrap());
    shape.coverage = Some(Ratio::from(Rational::ONE));
    shape.availability =
        BoundedRatio { low: Some(share.clone()), high: Some(share.clone()), point: Some(share), reason: None };
    let key = Key {
        site: version.plant.site.id.clone(),
        unit: unit.id.clone(),
        kind: WindowKind::Day,
        window: window.interval,
    };
    let kept = Kept {
        version: 1,
        state: "settled".into(),
        data_version: "d".into(),
        plant: version.hash.to_string(),
        definitions: "f".into(),
        log_size: 0,
        made_at: Timestamp::from_secs(0),
        cause: None,
        body: serde_json::to_string(&shape).unwrap(),
    };
    derived.keep(&key, &kept).unwrap();
}
