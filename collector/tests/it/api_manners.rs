//! How the HTTP interface behaves: what it lists, what it refuses and in which words, what it says when it is empty.

use std::io::{BufRead, BufReader, Read, Write};

use collector::ledger::project_import::import_project;
use shopfloor::time::{MINUTE, SECOND};

use crate::api_house::{MORNING, PLANT, Site, agent, minute};
use crate::project::PROJECT;

const UNITS: &str = "/api/v1/sites/xinchang/work-units";

#[tokio::test(flavor = "multi_thread")]
async fn the_document_lists_every_route_and_every_route_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(20 * MINUTE), PLANT).await;
    let blocks: Vec<_> = (0..20).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    import_project(&site.store, PROJECT, "project.toml", MORNING, false).unwrap();
    let document = site.get("/api/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let listed: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    // Written by hand: a route that is added or lost without being meant to shows here.
    let expected = [
        "/api/v1/agents",
        "/api/v1/blocks/{hash}",
        "/api/v1/blocks/{hash}/bytes",
        "/api/v1/events",
        "/api/v1/log",
        "/api/v1/overview",
        "/api/v1/projects",
        "/api/v1/projects/{project}",
        "/api/v1/projects/{project}/sheet",
        "/api/v1/projects/{project}/sheet.xlsx",
        "/api/v1/region",
        "/api/v1/region.xlsx",
        "/api/v1/sites",
        "/api/v1/sites/{site}/equipment",
        "/api/v1/sites/{site}/equipment.xlsx",
        "/api/v1/sites/{site}/maturity",
        "/api/v1/sites/{site}/networked",
        "/api/v1/sites/{site}/tags",
        "/api/v1/sites/{site}/tags/{unit}/{tag}/samples",
        "/api/v1/sites/{site}/work-units",
        "/api/v1/sites/{site}/work-units/{unit}",
        "/api/v1/sites/{site}/work-units/{unit}/energy",
        "/api/v1/sites/{site}/work-units/{unit}/timeline",
        "/api/v1/sites/{site}/work-units/{unit}/windows",
        "/api/v1/sites/{site}/work-units/{unit}/windows/{start}/{end}",
        "/health",
        "/metrics",
    ];
    assert_eq!(listed, expected);
    for path in expected.iter().filter(|path| **path != "/api/v1/events") {
        let filled = path
            .replace("{site}", "xinchang")
            .replace("{unit}", "grinder-01")
            .replace("{tag}", "produced")
            .replace("{hash}", &blocks[0].hash.to_string())
            .replace("{project}", "xc-2026-001")
            .replace("{start}", "2026-11-25T00:00:00Z")
            .replace("{end}", "2026-11-25T01:00:00Z");
        let operation = &document["paths"][path].as_object().unwrap();
        assert_eq!(operation.keys().collect::<Vec<_>>(), ["get"], "{path} is read-only");
        if path.contains("xlsx") {
            assert!(site.bytes(&filled).await.starts_with(b"PK"), "{filled}");
        } else if !filled.ends_with("/bytes") {
            let answer = site.raw(&filled, &[]).await;
            // The broker of the test may be seen as away for a moment; that is an answer too.
            let fine = answer.status() == 200 || *path == "/health" && answer.status() == 503;
            assert!(fine, "{filled}: {} {}", answer.status(), answer.body());
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING, PLANT).await;
    let unit = format!("{UNITS}/grinder-01");
    for (path, code) in [
        (format!("{unit}/windows?kind=week"), "E-2101"),
        (format!("{unit}/windows?from=yesterday"), "E-2101"),
        (format!("{unit}/windows?from=2026-11-26&to=2026-11-25"), "E-2101"),
        (format!("{unit}/windows?from=2020-01-01&to=2026-01-01"), "E-2102"),
        (format!("{unit}/windows?limit=0"), "E-2101"),
        (format!("{unit}/windows?limit=99999999999999999999"), "E-2101"),
        (format!("{unit}/windows?knd=shift"), "E-2101"),
        (format!("{unit}/windows?after=%00"), "E-2101"),
        (format!("{unit}/windows/x/y"), "E-2101"),
        (format!("{unit}/timeline?from=2026-11-01&to=2026-11-25"), "E-2102"),
        (format!("{unit}/energy?step=year"), "E-2101"),
        (format!("{unit}/timeline?from=2026-11-25&from=2026-11-24"), "E-2101"),
        ("/api/v1/sites/xinchang/tags/grinder-01/produced/samples?after=1.2".into(), "E-2101"),
        ("/api/v1/blocks/abc".into(), "E-2101"),
    ] {
        assert_eq!(site.refused(&path, 400).await["code"], code, "{path}");
    }
    for (path, code) in [
        ("/api/v1/sites/nowhere/work-units".to_owned(), "E-2401"),
        ("/api/v1/sites/UPPER/equipment".into(), "E-2401"),
        (format!("{UNITS}/nothing"), "E-2402"),
        ("/api/v1/sites/xinchang/tags/grinder-01/nothing/samples".into(), "E-2403"),
        (format!("{unit}/windows/2026-11-25T00:00:00Z/2026-11-25T00:30:00Z"), "E-2404"),
        (format!("/api/v1/blocks/{}", "0".repeat(64)), "E-2405"),
        ("/api/v1/nothing".into(), "E-2400"),
        ("/api/v2".into(), "E-2400"),
    ] {
        assert_eq!(site.refused(&path, 404).await["code"], code, "{path}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_107_a_garbage_time_zone_or_language_header_means_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let blocks: Vec<_> = (0..65).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    let path = format!("{UNITS}/grinder-01/energy?from=2026-11-25&to=2026-11-26&step=shift");
    let plain = site.raw(&path, &[]).await.into_body();
    for garbage in ["", "Mars/Olympus", "../../etc/passwd", ";;;", "%s%s%n"] {
        let answer = site.raw(&path, &[("time-zone", garbage), ("accept-language", garbage)]).await;
        assert_eq!((answer.status().as_u16(), answer.body()), (200, &plain), "{garbage}");
        let refused = site.raw("/api/v1/sites/nowhere/work-units", &[("accept-language", garbage)]).await;
        assert_eq!(refused.status(), 404);
        let body: serde_json::Value = serde_json::from_str(refused.body()).unwrap();
        assert_eq!(body["error"]["message"], body["error"]["zh"], "{garbage}");
    }
    let english = site.raw("/api/v1/sites/nowhere/work-units", &[("accept-language", "en-GB, zh;q=0.5")]).await;
    let body: serde_json::Value = serde_json::from_str(english.body()).unwrap();
    assert_eq!(body["error"]["message"], body["error"]["en"]);
    assert_eq!(english.headers()["content-language"], "en");
    // A zone that is known moves where a plain date begins: New York's 25th begins at 05:00Z, after the shift.
    let elsewhere = site.raw(&path, &[("time-zone", "America/New_York")]).await.into_body();
    assert_ne!(elsewhere, plain);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_yet_is_said_with_the_reason_and_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING, "").await;
    let overview = site.get("/api/v1/overview").await;
    assert_eq!(overview["empty"]["code"], "no-plant");
    assert!(overview["empty"]["what_next"]["en"].as_str().unwrap().contains("import"));
    assert_eq!(site.get("/api/v1/sites").await, serde_json::json!([]));
    collector::ledger::import::import(&site.store, PLANT, "plant.toml", MORNING, false).unwrap();
    assert_eq!(site.get("/api/v1/overview").await["empty"]["code"], "no-data");
    let units = site.get(UNITS).await;
    let unit = &units[0];
    assert_eq!(unit["state"]["leaf"], "UNK");
    assert_eq!(unit["newest_sample"], serde_json::Value::Null);
    assert_eq!(unit["protocol"], serde_json::Value::Null);
    for figure in ["oee", "availability", "effectiveness", "quality_ratio"] {
        let reason = &unit[figure]["reason"];
        assert!(unit[figure]["point"].is_null(), "{figure}: {unit:#}");
        assert!(reason["zh"].as_str().is_some_and(|zh| !zh.is_empty()), "{figure}: {}", unit[figure]);
    }
    // A work unit that nobody connects is in the list too, and says that nothing is measured.
    assert_eq!(units[1]["id"], "press-09");
    assert_eq!(units[1]["produced"]["reason"]["code"], "not-measured");
    assert_eq!(site.get("/api/v1/sites/xinchang/tags/grinder-01/produced/samples").await, serde_json::json!([]));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_unit_as_it_stands_now() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let now = MORNING.plus(20 * MINUTE + 5 * SECOND);
    let site = Site::start(folder.path(), &agent, now, PLANT).await;
    let blocks: Vec<_> = (-1..20).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    let unit = site.get(&format!("{UNITS}/grinder-01")).await;
    assert_eq!(unit["state"]["leaf"], "RUN");
    assert_eq!(unit["state"]["since"], "2026-11-25T00:00:00Z", "{unit:#}");
    assert_eq!(unit["protocol"], "modbus-tcp");
    assert_eq!(unit["newest_sample"]["time"], "2026-11-25T00:19:50Z");
    assert_eq!(unit["newest_sample"]["age_ms"], 15_000);
    assert_eq!(unit["newest_sample"]["lag_ms"], 15_000);
    assert_eq!(unit["shift"]["id"], "day");
    assert_eq!(unit["shift"]["business_date"], "2026-11-25");
    assert_eq!(unit["window_state"], "live");
    // What is on its way is left out, not called unknown.
    assert_eq!(unit["window"]["end"], "2026-11-25T00:20:00Z");
    // Readings at 08:00:00 and 08:19:50: 119 pieces.
    assert_eq!(unit["produced"]["point"], 119);
    assert_eq!(unit["micro_stop_ms"], 120_000);
    assert_eq!(unit["ideal_cycles"][0]["seconds_per_item"]["text"], "9");
    let role = unit["roles"].as_array().unwrap().iter().find(|role| role["role"] == "energy").unwrap();
    assert_eq!((&role["place"], &role["unit"]), (&"unit 1 holding 4..5".into(), &"kWh".into()));

    let timeline =
        site.get(&format!("{UNITS}/grinder-01/timeline?from=2026-11-25T00:00:00Z&to=2026-11-25T01:00:00Z")).await;
    assert_eq!(timeline["end"], "2026-11-25T00:20:00Z", "nothing is said about what has not arrived yet");
    assert_eq!(timeline["planned"][0]["kind"], "planned-busy");
    assert_eq!(timeline["segments"][0]["leaf"], "RUN");

    let equipment = site.get("/api/v1/sites/xinchang/equipment").await;
    assert_eq!((&equipment[0]["networked"], &equipment[1]["networked"]), (&"verified".into(), &"none".into()));
    assert_eq!(equipment[0]["last_data"], "2026-11-25T00:20:00Z");
    assert_eq!(equipment[1]["work_unit"], serde_json::Value::Null);
    let agents = site.get("/api/v1/agents").await;
    assert_eq!((&agents[0]["contiguous"], &agents[0]["missing"]), (&"21".into(), &"0".into()));
    assert_eq!(agents[0]["marks"], serde_json::json!(["demo_key", "simulated"]));
    // Silence for longer than a block may take is unknown time.
    site.clock.move_to(MORNING.plus(25 * MINUTE));
    let silent = site.get(&format!("{UNITS}/grinder-01")).await;
    assert_eq!((&silent["state"]["leaf"], &silent["window"]["end"]), (&"UNK".into(), &"2026-11-25T00:25:00Z".into()));
    let log = site.get("/api/v1/log").await;
    assert_eq!(log["size"], site.store.log.size().to_string());
    assert_eq!(log["root"], site.store.log.root().to_string());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_samples_join_without_a_seam() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let blocks: Vec<_> = (0..65).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    let all =
        "/api/v1/sites/xinchang/tags/grinder-01/produced/samples?from=2026-11-25T00:00:00Z&to=2026-11-25T01:02:00Z";
    let whole = site.get(&format!("{all}&limit=5000")).await;
    assert_eq!(whole.as_array().unwrap().len(), 62 * 6);
    let mut path = format!("{all}&limit=50");
    let mut joined = Vec::new();
    loop {
        let page = site.raw(&path, &[]).await;
        joined.extend(serde_json::from_str::<Vec<serde_json::Value>>(page.body()).unwrap());
        let Some(link) = page.headers().get("link") else { break };
        let link = link.to_str().unwrap();
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(serde_json::Value::from(joined), whole);
    let page = site
        .raw(
            &format!("{UNITS}/grinder-01/windows?kind=hour&from=2026-11-25T00:00:00Z&to=2026-11-25T02:00:00Z&limit=1"),
            &[],
        )
        .await;
    assert_eq!(page.headers()["next-cursor"], "2026-11-25T00:00:00Z");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_the_page_to_its_own_origin() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING, PLANT).await;
    for path in ["/", "/api/v1/sites", "/api/v1/nothing", "/metrics"] {
        let answer = site.raw(path, &[]).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    let small = raw_http(site.base(), "GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n");
    assert!(small.to_ascii_lowercase().contains("content-encoding: gzip"), "{small}");
    let foreign = raw_http(site.base(), "GET /api/v1/sites HTTP/1.1\r\nHost: evil.example\r\n");
    assert!(foreign.starts_with("HTTP/1.1 421"), "{foreign}");
    let written = raw_http(site.base(), "POST /api/v1/sites HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n");
    assert!(written.starts_with("HTTP/1.1 405"), "{written}");
    assert!(written.contains("E-2490"), "{written}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_listen_are_told_what_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent();
    let site = Site::start(folder.path(), &agent, MORNING.plus(70 * MINUTE), PLANT).await;
    let address = site.base().trim_start_matches("http://").to_owned();
    let (told, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET /api/v1/events?site=xinchang HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if told.send(line).is_err() {
                return;
            }
        }
    });
    let patience = std::time::Duration::from_mins(1);
    let wait_for = |wanted: &str| {
        loop {
            let line = listening.recv_timeout(patience).unwrap_or_else(|_| panic!("not told: {wanted}"));
            if line.contains(wanted) {
                return line;
            }
        }
    };
    wait_for("event: hello");
    let blocks: Vec<_> = (0..3).map(|at| minute(&mut agent, at)).collect();
    site.deliver(&agent, &blocks).await;
    site.clock.move_to(MORNING.plus(71 * MINUTE));
    wait_for("event: sample");
    let data = wait_for("data: ");
    let data: serde_json::Value = serde_json::from_str(data.trim_start_matches("data: ")).unwrap();
    assert_eq!(data["site"], "xinchang");
    assert_eq!(data["units"], serde_json::json!(["grinder-01"]));
    assert!(data["newest_sample_time"].as_str().unwrap().starts_with("2026-11-25T00:0"));
    site.stop().await;
}

/// Sends a head as it is and gives what comes back until the connection closes.
fn raw_http(base: &str, head: &str) -> String {
    let mut stream = std::net::TcpStream::connect(base.trim_start_matches("http://")).unwrap();
    write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
