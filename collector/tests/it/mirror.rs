//! The mirror against a server that misbehaves in the ways that InfluxDB's v2 write path can. The evidence store is
//! never touched by any of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collector::mirror::cursor::Cursor;
use collector::mirror::influx::Server;
use collector::mirror::verify::verify;
use collector::{Collector, config, mirror};
use shopfloor::sample::StatusCode;
use shopfloor::time::{HOUR, Interval, MINUTE, SECOND};
use shopfloor::wire::block::Sealed;
use shopfloor::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw};
use shopfloor::wire::topic::Channel;
use tokio_util::sync::CancellationToken;

use crate::api_house::{HandClock, MORNING, agent, minute, seal_minute, subscriber};
use crate::house::{Agent, Wire, config_text, site, stop, stored, until};
use crate::influx_server::{InfluxServer, Plan};
use crate::program;

/// Points of one minute: six scans of four tags.
const MINUTE_POINTS: usize = 24;

fn text_of(agents: &[&Agent], port: u16, lines: &str) -> String {
    let more = "org = \"o\"\nbucket = \"b\"\nquery = \"export\"\ntimeout = \"1s\"\n";
    format!("{}[mirror]\nurl = \"http://127.0.0.1:{port}\"\n{more}{lines}", config_text(agents))
}

async fn start(folder: &Path, agents: &[&Agent], port: u16, lines: &str) -> (Collector, CancellationToken) {
    let text = text_of(agents, port, lines);
    let config = config::parse(&text, folder.join("collector.toml").to_str().unwrap())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let token = CancellationToken::new();
    let clock = HandClock::at(MORNING.plus(2 * HOUR));
    let collector = Collector::start(config, Arc::new(clock), token.clone()).await.unwrap();
    (collector, token)
}

async fn deliver(collector: &Collector, agent: &Agent, blocks: &[Sealed]) {
    let mut wire = Wire::connect(collector, agent).await;
    wire.publish(&agent.topic(Channel::Birth), &agent.birth()).await;
    let map = agent.map.hash();
    until("the register map is here", || collector.store().ledger.register_map(&map).is_some()).await;
    wire.deliver(agent, blocks).await;
}

fn gauge(collector: &Collector, name: &str) -> f64 {
    let families = collector.registry().gather();
    let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
    family.get_metric()[0].get_gauge().get_value()
}

fn cursor(folder: &Path, collector: &Collector, port: u16) -> Cursor {
    let target = format!("http://127.0.0.1:{port} o b plumbline");
    Cursor::open(&folder.join("state"), collector.store().log.origin(), &target).unwrap()
}

/// Waits until everything in the log is on the server or parked.
async fn caught_up(folder: &Path, collector: &Collector, port: u16) {
    let cursor = cursor(folder, collector, port);
    let log = &collector.store().log;
    until("the mirror has caught up", || log.size() > 0 && cursor.place().unwrap().next >= log.size()).await;
}

fn parked(folder: &Path, collector: &Collector, port: u16) -> Vec<(String, u64)> {
    let counts = cursor(folder, collector, port).parked().unwrap();
    counts.into_iter().map(|count| (count.reason, count.count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_arrive_with_their_names_as_tags_and_the_token_is_sent() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let server = InfluxServer::start(0).await;
    let token_file = folder.path().join("influx.token");
    std::fs::write(&token_file, "secret\n").unwrap();
    std::fs::set_permissions(&token_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut agent = agent();
    let port = server.address.port();
    let (collector, token) = start(folder.path(), &[&agent], port, "token_file = \"influx.token\"\n").await;
    let blocks: Vec<_> = (0..3).map(|n| minute(&mut agent, n)).collect();
    deliver(&collector, &agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.lines().len(), 3 * MINUTE_POINTS);
    let at = MORNING.plus(70 * SECOND).as_nanos();
    let wanted = format!(
        "plumbline_sample,agent=edge-01,demo=true,site=xinchang,tag=energy,unit=kWh,work_unit=grinder-01 {at} \
         quality=0i,value=5003.67"
    );
    assert!(server.lines().contains(&wanted), "{wanted}\n{:#?}", server.lines());
    {
        let held = server.held.lock().unwrap();
        assert_eq!(held.authorization.as_deref(), Some("Token secret"));
        assert_eq!(held.asked, "/api/v2/write?bucket=b&org=o&precision=ns");
    }
    assert_eq!(gauge(&collector, "collector_mirror_lag_leaves").to_string(), "0");
    stop(collector, token).await;
}

/// 44: data older than the server keeps are in the log, and reported and kept as parked lines, never dropped quietly:
/// where we know it before, and where only the server does (422).
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_44_older_than_retention_is_parked_and_stays_evidence() {
    for (lines, refuse, reason) in [("retention = \"110min\"\n", None, "retention"), ("", Some("tag=scrap"), "refused")]
    {
        let folder = tempfile::tempdir().unwrap();
        let server = InfluxServer::start(0).await;
        server.held.lock().unwrap().refuse = refuse;
        let port = server.address.port();
        let mut agent = agent();
        let (collector, token) = start(folder.path(), &[&agent], port, lines).await;
        let blocks: Vec<_> = (0..20).map(|n| minute(&mut agent, n)).collect();
        deliver(&collector, &agent, &blocks).await;
        caught_up(folder.path(), &collector, port).await;
        // The clock stands 120 minutes after the first sample: ten minutes of all tags are too old. The server
        // refuses one tag of four.
        let parked_points = if refuse.is_some() { 20 * 6 } else { 10 * MINUTE_POINTS as u64 };
        assert_eq!(parked(folder.path(), &collector, port), [(reason.to_owned(), parked_points)]);
        assert_eq!(server.lines().len() as u64, 20 * MINUTE_POINTS as u64 - parked_points);
        let (_, detail, line) = cursor(folder.path(), &collector, port).parked_lines(1).unwrap().remove(0);
        assert!(detail.contains("retention"), "{detail}");
        assert!(line.starts_with("plumbline_sample,"), "{line}");
        assert_eq!(stored(&collector, &agent).len(), 20, "the evidence is whole");
        let told = collector.registry().gather();
        let metric = told.iter().find(|family| family.name() == "collector_mirror_lines_parked_total").unwrap();
        let counted = metric.get_metric().iter().find(|metric| metric.get_label()[0].value() == reason).unwrap();
        assert_eq!(counted.get_counter().get_value().to_string(), parked_points.to_string());
        stop(collector, token).await;
    }
}

/// 45: the same instant with different values, in one block and in two: every one of them is on the server, and the
/// conflict is visible in the key. A rebuild gives the same lines.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_45_different_values_of_one_instant_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = InfluxServer::start(0).await;
    let port = server.address.port();
    let mut agent = subscriber();
    let (collector, token) = start(folder.path(), &[&agent], port, "").await;
    let at = |seconds: i64| MORNING.plus(seconds * SECOND).as_nanos();
    let row = |source: i64, heard: i64, value: u64, status| EventRow {
        source_time: Some(at(source)),
        server_time: None,
        observed_time: at(heard),
        status,
        value: Some(Raw::Bits(value)),
    };
    let mut block = |n: i64, rows: Vec<EventRow>| {
        let columns = vec![EventColumn { tag: 0, rows }];
        seal_minute(&mut agent, n, Vec::new(), vec![Group::Event(EventGroup { group: 0, life: Vec::new(), columns })])
    };
    let good = StatusCode::GOOD;
    let blocks = vec![
        // Two values of second 10 in one block.
        block(0, vec![row(10, 10, 1, good), row(10, 11, 0, good), row(20, 20, 1, good)]),
        // The last known value restated, which is no news, and a third thing said of second 10.
        block(1, vec![row(20, 20, 1, good), row(10, 65, 1, StatusCode::UNCERTAIN), row(70, 70, 0, good)]),
        // Second 10 once more, as it was said before, and second 70 another way.
        block(2, vec![row(70, 70, 0, good), row(10, 125, 0, good), row(70, 126, 1, good)]),
    ];
    deliver(&collector, &agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    let mut shown: Vec<(i64, String)> = server
        .lines()
        .iter()
        .map(|line| {
            let (series, rest) = line.split_once(' ').unwrap();
            let (at, fields) = rest.split_once(' ').unwrap();
            let second = (at.parse::<i64>().unwrap() - MORNING.as_nanos()) / SECOND;
            let occurrence = series.split(',').find(|tag| tag.starts_with("occurrence=")).unwrap_or("");
            (second, format!("{occurrence} {fields}"))
        })
        .collect();
    shown.sort();
    let wanted = [
        (10, " quality=0i,value=1"),
        (10, "occurrence=1 quality=0i,value=0"),
        (10, "occurrence=2 quality=1i,status=1073741824i,value=1"),
        (20, " quality=0i,value=1"),
        (70, " quality=0i,value=0"),
        (70, "occurrence=1 quality=0i,value=1"),
    ];
    assert_eq!(shown, wanted.map(|(second, text)| (second, text.to_owned())));
    let written = cursor(folder.path(), &collector, port).place().unwrap().written;
    assert_eq!(written, 6, "what a block restates is not written again");
    let before = server.lines();
    server.held.lock().unwrap().lines.clear();
    cursor(folder.path(), &collector, port).rebuild().unwrap();
    until("all lines are there again", || server.lines().len() == before.len()).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.lines(), before, "the keys depend on the log alone");
    stop(collector, token).await;
}

/// 100: names that would end a line, and more series than are wanted.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_100_names_cannot_inject_and_series_are_capped() {
    let folder = tempfile::tempdir().unwrap();
    let server = InfluxServer::start(0).await;
    let port = server.address.port();
    let mut agent = agent();
    agent.map.tags[1].unit = "件, x=y \"z\"".to_owned();
    agent.map.tags[2].unit = "件\\".to_owned();
    agent.map.tags[3].unit = "y".repeat(200);
    let (collector, token) = start(folder.path(), &[&agent], port, "").await;
    let blocks = [minute(&mut agent, 0)];
    deliver(&collector, &agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.count("tag=produced,unit=件\\,\\ x\\=y\\ \"z\",work_unit=grinder-01"), 6, "{:?}", server.lines());
    assert_eq!(server.lines().len(), 12);
    assert_eq!(parked(folder.path(), &collector, port), [("label".to_owned(), 12)]);
    stop(collector, token).await;

    let (folder, server) = (tempfile::tempdir().unwrap(), InfluxServer::start(0).await);
    let port = server.address.port();
    let mut agent = crate::api_house::agent();
    let (collector, token) = start(folder.path(), &[&agent], port, "series_max = 3\n").await;
    let blocks: Vec<_> = (0..2).map(|n| minute(&mut agent, n)).collect();
    deliver(&collector, &agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.lines().len(), 2 * 18, "the old series go on");
    assert_eq!(parked(folder.path(), &collector, port), [("series".to_owned(), 12)]);
    stop(collector, token).await;
}

/// 108: refusals in part, too many requests, faults, silence, and a 204 whose lines are thrown away later. Everything
/// is sent again or parked with its reason, what was lost after 204 is found by asking, the evidence is whole.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_108_answers_of_a_v2_write_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = InfluxServer::start(0).await;
    let port = server.address.port();
    {
        let mut held = server.held.lock().unwrap();
        let slow = Plan::Silence(Duration::from_secs(3));
        held.plans = vec![Plan::Status(503), Plan::Status(429), slow, Plan::Status(500), Plan::Status(200)];
        held.refuse = Some("value=1003 ");
        held.lose = Some("tag=scrap");
        held.lines_max = Some(100);
    }
    let mut agent = agent();
    let (collector, token) = start(folder.path(), &[&agent], port, "").await;
    let blocks: Vec<_> = (0..10).map(|n| minute(&mut agent, n)).collect();
    deliver(&collector, &agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    for status in [503, 429, 500, 200, 413, 422] {
        assert!(server.answered(status) > 0, "the server answered {status}");
    }
    assert_eq!(parked(folder.path(), &collector, port), [("refused".to_owned(), 1)]);
    let (_, detail, line) = cursor(folder.path(), &collector, port).parked_lines(9).unwrap().remove(0);
    assert!(detail.starts_with("422 ") && line.contains("tag=produced"), "{detail} {line}");
    assert_eq!(server.lines().len(), 10 * 18 - 1, "all that was neither refused nor lost");

    // What was lost after 204 is seen by nobody who only reads answers.
    let text = text_of(&[&agent], port, "");
    let settings =
        config::parse(&text, folder.path().join("collector.toml").to_str().unwrap()).unwrap().mirror.unwrap();
    let interval = Interval { start: MORNING, end: MORNING.plus(10 * MINUTE) };
    let agents = [(site(), agent.id.clone())];
    let asked = Server::open(&settings).unwrap();
    let compared = verify(&settings, &collector.store(), &agents, &asked, interval).await.unwrap();
    assert_eq!((compared.series, compared.points), (4, 240));
    let missing: Vec<(String, u64, u64)> =
        compared.differences.iter().map(|d| (d.series[2].clone(), d.log, d.mirror)).collect();
    assert_eq!(missing, [("produced".to_owned(), 60, 59), ("scrap".to_owned(), 60, 0)]);

    assert_eq!(stored(&collector, &agent).len(), 10, "the evidence is whole");
    let report = collector.store().log.verify(|_, _| Some(agent.key.public()), &collector.checkpoint_key()).unwrap();
    assert_eq!((report.fault_count, report.blocks), (0, 10));
    stop(collector, token).await;
}

/// While the server is away blocks are stored and acknowledged as ever; when it is back it gets all of them. Nothing
/// of this is a question of time: the server is not there until the last block was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_goes_on_while_the_mirrors_server_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut agent = agent();
    let (collector, token) = start(folder.path(), &[&agent], port, "").await;
    let blocks: Vec<_> = (0..60).map(|n| minute(&mut agent, n)).collect();
    deliver(&collector, &agent, &blocks[..30]).await;
    let cursor = cursor(folder.path(), &collector, port);
    until("the mirror found nobody", || cursor.place().unwrap().trouble.is_some()).await;
    deliver(&collector, &agent, &blocks[30..]).await;
    assert_eq!(stored(&collector, &agent).len(), 60);
    let place = cursor.place().unwrap();
    assert_eq!((place.next, place.written), (0, 0), "nothing was written anywhere");
    let health =
        ureq::get(format!("http://{}/health", collector.http_addr())).call().unwrap().body_mut().read_to_string();
    let health: serde_json::Value = serde_json::from_str(&health.unwrap()).unwrap();
    let check = health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "mirror").unwrap();
    assert!(health["status"] == "ok" && check["en"].as_str().unwrap().contains("takes no lines"), "{health}");

    let server = InfluxServer::start(port).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.lines().len(), 60 * MINUTE_POINTS);
    assert_eq!(cursor.place().unwrap().trouble, None);
    stop(collector, token).await;
}

/// Blocks whose register map comes after them wait, and nothing is lost. A wiped server is filled again by the
/// command, with and without a running collector; `status` tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_server_is_filled_again_by_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let server = InfluxServer::start(0).await;
    let port = server.address.port();
    let mut agent = agent();
    std::fs::write(folder.path().join("collector.toml"), text_of(&[&agent], port, "")).unwrap();
    let (collector, token) = start(folder.path(), &[&agent], port, "").await;
    let blocks: Vec<_> = (0..5).map(|n| minute(&mut agent, n)).collect();
    let mut wire = Wire::connect(&collector, &agent).await;
    wire.deliver(&agent, &blocks).await;
    caught_up(folder.path(), &collector, port).await;
    assert_eq!(server.lines().len(), 0, "nothing is known of these blocks yet");
    assert_eq!(cursor(folder.path(), &collector, port).waiting().unwrap().len(), 5);
    wire.publish(&agent.topic(Channel::Birth), &agent.birth()).await;
    until("the blocks were written", || server.lines().len() == 5 * MINUTE_POINTS).await;
    let whole = server.lines();

    let run = |arguments: &'static [&'static str]| {
        let folder = folder.path().to_owned();
        tokio::task::spawn_blocking(move || program::json(&folder, arguments))
    };
    server.held.lock().unwrap().lines.clear();
    let (exit, told) = run(&["mirror", "rebuild"]).await.unwrap();
    assert_eq!((exit, told["leaves_behind"].as_u64()), (0, Some(0)), "{told:#}");
    assert_eq!(server.lines(), whole, "the running collector wrote it anew");
    let (exit, compared) = run(&["mirror", "verify"]).await.unwrap();
    assert_eq!((exit, compared["points"].as_u64()), (0, Some(5 * MINUTE_POINTS as u64)), "{compared:#}");

    stop(collector, token).await;
    server.held.lock().unwrap().lines.clear();
    let (exit, told) = run(&["mirror", "rebuild"]).await.unwrap();
    assert_eq!((exit, told["lines_written"].as_u64()), (0, Some(5 * MINUTE_POINTS as u64)), "{told:#}");
    assert_eq!(server.lines(), whole, "the command wrote it anew");
    server.held.lock().unwrap().lines.pop_last();
    let (exit, compared) = run(&["mirror", "verify"]).await.unwrap();
    assert_eq!((exit, compared["differences"].as_array().unwrap().len()), (1, 1), "{compared:#}");
    let (exit, told) = run(&["mirror", "status"]).await.unwrap();
    assert_eq!((exit, told["parked"].as_array().unwrap().len()), (0, 0), "{told:#}");
}

/// The name that the cursor keeps for a target is that of the configuration.
#[test]
fn another_target_has_another_name() {
    let agent = agent();
    let parsed = |port, lines: &str| {
        mirror::target(&config::parse(&text_of(&[&agent], port, lines), "c.toml").unwrap().mirror.unwrap())
    };
    assert_eq!(parsed(1, ""), "http://127.0.0.1:1 o b plumbline");
    assert_ne!(parsed(1, ""), parsed(2, ""));
    assert_ne!(parsed(1, ""), parsed(1, "measurement = \"other\"\n"));
}
