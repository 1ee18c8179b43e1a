//! The mirror over the whole road, against VictoriaMetrics: the server holds the values of the log, series by series;
//! killed and wiped it is filled again; ingest does not notice. And the dashboards' queries against the live servers.
//!
//! The form in CI plays three hours, the long form a day (cargo xtask faults).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Parser as _;
use collector::Collector;
use collector::mirror::deliver::{Answer, Writes as _};
use collector::mirror::influx::Server;
use demo::factory::{drained, drive};
use serde_json::Value;
use shopfloor::register_map;
use shopfloor::sample::{StatusCode, Value as Measured};
use shopfloor::time::{HOUR, Interval, Timestamp};
use shopfloor::wire::block::{self, Limits};
use simulators::machine::World;
use simulators::scenario::Scenario;

use crate::peers::{in_ci, long_form, root};
use crate::rig::Rig;
use crate::victoria::Victoria;

/// 2026-03-02 (a Monday) 00:00 in Shanghai.
const MIDNIGHT: i64 = 1_772_380_800;
/// How long no further line may be written before the mirror has failed: it stands still, it is not slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// The simulated time: some hours, and one more that is played while the server is away.
fn played() -> Interval {
    let hours = if long_form() { 24 } else { 2 };
    let start = Timestamp::from_secs(MIDNIGHT).plus(8 * HOUR);
    Interval::new(start, start.plus((hours + 1) * HOUR)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn victoria_metrics_holds_the_log_and_is_filled_again_after_a_wipe() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = Victoria::start(folder.path()) else { return };
    let time = played();
    let world = World::new(&Scenario::builtin("demo").unwrap(), 1, time.start, time.nanos() + HOUR);
    let lines = format!(
        "\n[mirror]\nurl = \"http://127.0.0.1:{}\"\nquery = \"export\"\ntexts = false\n\n[settle]\nhour = \"1min\"\n",
        server.port
    );
    let mut rig = Rig::start_with(world, None, &lines).await;
    let Rig { site, agent, clock, driver, .. } = &mut rig;
    let first = time.end.plus(-HOUR);
    drive(site, agent, clock, &mut **driver, first, |_| {}).await.unwrap();
    drained(agent, PATIENCE).await.unwrap();
    caught_up(&rig.collector).await;
    let points = same_samples(&rig, &server);
    println!("{points} points of the log are on the server, equal");
    let results = same_results(&rig, &server);
    assert!(results > 0, "some hours have settled");

    // Killed and wiped, and an hour of work meanwhile: every block is acknowledged, none is on the server.
    server.kill();
    server.wipe();
    let before = rig.collector.store().log.size();
    let Rig { site, agent, clock, driver, .. } = &mut rig;
    drive(site, agent, clock, &mut **driver, time.end, |_| {}).await.unwrap();
    drained(agent, PATIENCE).await.unwrap();
    let stored = rig.collector.store().log.size() - before;
    // One a minute, but for the one that is under way at either end.
    assert!(stored >= 58, "an hour's blocks were stored while the server was away: {stored}");
    let told = tokio::time::timeout(PATIENCE, async {
        while gauge(&rig.collector, "collector_mirror_lag_leaves") < stored as f64 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    told.await.expect("the metrics tell how far the mirror is behind while it is away");

    server.restart();
    caught_up(&rig.collector).await;
    assert!(!server.export("{__name__=~\"plumbline_sample_.*\"}").is_empty(), "it goes on by itself");
    let config = rig.folder().join("collector.toml");
    assert_eq!(
        command(&["mirror", "verify", "--from", &time.start.to_string(), "--until", &time.end.to_string()], &config)
            .await,
        1,
        "what was wiped is missed"
    );
    assert_eq!(command(&["mirror", "rebuild"], &config).await, 0);
    caught_up(&rig.collector).await;
    let again = same_samples(&rig, &server);
    assert!(again > points, "{again} points after {points}");
    assert!(same_results(&rig, &server) >= results);
    assert_eq!(
        command(&["mirror", "verify", "--from", &time.start.to_string(), "--until", &time.end.to_string()], &config)
            .await,
        0
    );
    assert_eq!(command(&["mirror", "status"], &config).await, 0);
    println!("{again} points after the rebuild, equal");

    dashboards(&rig, &server, time).await;
    rig.end().await;
}

/// Runs a command of the collector as a person would, beside the running one.
async fn command(arguments: &[&str], config: &std::path::Path) -> u8 {
    let mut line = vec!["plumbline-collector".to_owned(), "--config".to_owned(), config.display().to_string()];
    line.extend(arguments.iter().map(|word| (*word).to_owned()));
    tokio::task::spawn_blocking(move || collector::command::run(&collector::command::Arguments::parse_from(line)))
        .await
        .unwrap()
}

fn gauge(collector: &Collector, name: &str) -> f64 {
    let families = collector.registry().gather();
    let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
    family.get_metric()[0].get_gauge().get_value()
}

/// Waits until log and results are on the server: nothing is behind, and nothing was written for a while.
async fn caught_up(collector: &Collector) {
    let written = || {
        let families = collector.registry().gather();
        let family = families.iter().find(|family| family.name() == "collector_mirror_lines_written_total").unwrap();
        family.get_metric()[0].get_counter().get_value()
    };
    let (mut seen, mut since) = (written(), tokio::time::Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if written() > seen {
            (seen, since) = (written(), tokio::time::Instant::now());
        }
        let behind = gauge(collector, "collector_mirror_lag_leaves") > 0.0;
        if !behind && since.elapsed() > Duration::from_secs(4) {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "the mirror stands still, {behind}");
    }
}

/// Work unit and tag, unit, metric, occurrence.
type Name = (String, String, String, String);
/// The values of each millisecond: one, unless instants of the log share it, of which the server keeps one.
type Points = BTreeMap<i64, Vec<f64>>;

/// Every sample of the log, decoded here with shopfloor alone, by series; and the tags whose values are floats of the
/// device, which VictoriaMetrics keeps to twelve digits. Everything else is exact there.
fn log_samples(rig: &Rig) -> (BTreeMap<Name, Points>, BTreeSet<String>) {
    let (facts, floats) = log_facts(rig);
    let mut found: BTreeMap<Name, Points> = BTreeMap::new();
    for ((tag, unit), instants) in facts {
        for (at, said) in instants {
            for (number, (status, value)) in said.iter().enumerate() {
                let occurrence = if number == 0 { String::new() } else { number.to_string() };
                let mut add = |field: &str, value: f64| {
                    let name = (tag.clone(), unit.clone(), format!("plumbline_sample_{field}"), occurrence.clone());
                    found.entry(name).or_default().entry(at.div_euclid(1_000_000)).or_default().push(value);
                };
                add("quality", [0.0, 1.0, 2.0][status.quality() as usize]);
                if status.0 != 0 {
                    add("status", f64::from(status.0));
                }
                match value {
                    Some(Measured::Bool(bit)) => add("value", f64::from(u8::from(*bit))),
                    Some(Measured::Exact(exact)) => add("value", exact.to_f64()),
                    Some(Measured::Float(value)) => add("value", *value),
                    Some(Measured::Text(_)) | None => {}
                }
            }
        }
    }
    (found, floats)
}

/// By tag and unit: every different thing that was said of each instant, in the order of the log.
type Facts = BTreeMap<(String, String), BTreeMap<i64, Vec<(StatusCode, Option<Measured>)>>>;

fn log_facts(rig: &Rig) -> (Facts, BTreeSet<String>) {
    let store = rig.collector.store();
    let (mut facts, mut floats): (Facts, BTreeSet<String>) = Default::default();
    for stored in store.log.blocks_since(0, usize::MAX / 2).unwrap() {
        let opened = block::open(&stored.bytes, &Limits::default()).unwrap();
        let map = store.ledger.register_map(&opened.header.config_hash).expect("the register map is here");
        for section in &opened.header.sections {
            let groups = opened.section(&section.name).unwrap();
            for (entry, index) in map.tags.iter().zip(0_u16..).filter(|(entry, _)| entry.section == section.name) {
                let name = (entry.name.to_string(), entry.unit.clone());
                for sample in register_map::samples(&map, &groups, index) {
                    if matches!(sample.value, Some(Measured::Float(_))) {
                        floats.insert(name.0.clone());
                    }
                    let instants = facts.entry(name.clone()).or_default();
                    let said = instants.entry(sample.at.as_nanos()).or_default();
                    if !said.contains(&(sample.status, sample.value.clone())) {
                        said.push((sample.status, sample.value));
                    }
                }
            }
        }
    }
    (facts, floats)
}

/// The server's samples equal the log's, series by series. Answers how many.
fn same_samples(rig: &Rig, server: &Victoria) -> usize {
    let (wanted, floats) = log_samples(rig);
    let mut held: BTreeMap<Name, Points> = BTreeMap::new();
    for series in server.export("{__name__=~\"plumbline_sample_.*\"}") {
        let label = |name: &str| series.metric.get(name).cloned().unwrap_or_default();
        assert_eq!((label("site"), label("agent")), (rig.world.scenario().site.id.to_string(), "edge-01".to_owned()));
        assert_eq!(label("demo"), "true", "{:?}", series.metric);
        let tag = format!("{}/{}", label("work_unit"), label("tag"));
        let points = held.entry((tag, label("unit"), label("__name__"), label("occurrence"))).or_default();
        for (at, value) in series.points() {
            points.entry(at).or_default().push(value);
        }
    }
    let names = |of: &BTreeMap<Name, Points>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&wanted), names(&held));
    let (mut points, mut shared) = (0, 0);
    for (name, instants) in &wanted {
        let largest = instants.values().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
        let slack = if floats.contains(&name.0) { largest * 1e-11 } else { 0.0 };
        let mirror = &held[name];
        assert!(instants.keys().eq(mirror.keys()), "{name:?}: {} and {} instants", instants.len(), mirror.len());
        for ((at, log), mirror) in instants.iter().zip(mirror.values()) {
            let same = |mirror: &f64| log.iter().any(|log| (log - mirror).abs() <= slack);
            let one = mirror.len() == 1 && mirror.iter().all(same);
            assert!(one, "{name:?} at {at}: the log has {log:?}, the mirror {mirror:?}");
            points += 1;
            shared += log.len() - 1;
        }
    }
    println!(
        "{} series, {} tags are floats; {shared} points share a millisecond with another",
        wanted.len(),
        floats.len()
    );
    let conflicts = wanted.keys().filter(|(.., occurrence)| !occurrence.is_empty()).count();
    println!("{conflicts} series hold different samples of an instant that another series has too");
    points
}

/// The server's figures equal the kept results. Answers how many results.
fn same_results(rig: &Rig, server: &Victoria) -> usize {
    let path = rig.folder().join("collector/derived.db");
    let derived = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = derived.prepare("SELECT unit, kind, version, starts, body FROM result").unwrap();
    let rows: Vec<(String, String, i64, i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut held: BTreeMap<(String, String, String, String, i64), f64> = BTreeMap::new();
    for series in server.export("{__name__=~\"plumbline_(result|time)_.*\"}") {
        let label = |name: &str| series.metric.get(name).cloned().unwrap_or_default();
        let name = format!("{}{}", label("__name__"), label("leaf"));
        for (at, value) in series.points() {
            held.insert((name.clone(), label("work_unit"), label("kind"), label("version"), at), value);
        }
    }
    for (unit, kind, version, starts, body) in &rows {
        let body: Value = serde_json::from_str(body).unwrap();
        let same = |name: &str, wanted: Option<f64>| {
            let key = (name.to_owned(), unit.clone(), kind.clone(), version.to_string(), starts / 1_000_000);
            let mirror = held.get(&key).copied();
            // Twelve digits are kept there.
            let near =
                wanted.zip(mirror).is_some_and(|(wanted, mirror)| (wanted - mirror).abs() <= wanted.abs() * 1e-11);
            assert!(near || wanted.is_none() && mirror.is_none(), "{key:?}: kept {wanted:?}, mirror {mirror:?}");
        };
        for figure in ["oee", "availability", "effectiveness"] {
            for (end, shown) in [("point", ""), ("low", "_low"), ("high", "_high")] {
                same(&format!("plumbline_result_{figure}{shown}_ratio"), body[figure][end]["value"].as_f64());
            }
        }
        same("plumbline_result_coverage_ratio", body["coverage"]["value"].as_f64());
        same("plumbline_result_produced", body["counts"]["produced"]["point"].as_f64());
        same("plumbline_result_energy_kwh", body["energy"]["point"]["value"].as_f64());
        for leaf in body["time"].as_array().unwrap() {
            let seconds = leaf["ns"].as_str().unwrap().parse::<f64>().unwrap() / 1e9;
            same(&format!("plumbline_time_seconds{}", leaf["leaf"].as_str().unwrap()), Some(seconds));
        }
    }
    rows.len()
}

/// Every query of the committed dashboards is understood by the live server and finds something, and every metric
/// that it names is there: on the mirror's data, and on what collector and agent tell Prometheus.
async fn dashboards(rig: &Rig, server: &Victoria, time: Interval) {
    let at = time.end.as_nanos() / 1_000_000_000;
    let agent = rig.agent.health_addr().expect("the agent serves metrics");
    for (address, job) in [(rig.collector.http_addr(), "collector"), (agent, "agent")] {
        let url = format!("http://{address}/metrics");
        let text =
            tokio::task::spawn_blocking(move || ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap());
        let text = text.await.unwrap();
        // Two scrapes, so that there is something to take a rate of.
        server.scrape(&text, job, at - 120);
        server.scrape(&text, job, at - 60);
    }
    server.flush();
    let names: BTreeSet<String> = server.names().into_iter().collect();
    let (mut queries, mut problems) = (0, Vec::new());
    for board in ["plumbline-mirror", "plumbline-health"] {
        let text = std::fs::read_to_string(root().join(format!("dashboards/grafana/{board}.json"))).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().unwrap();
                queries += 1;
                for name in metrics_of(expression) {
                    if !names.contains(&name) {
                        problems.push(format!("{}: {name} is not on the server", panel["title"]));
                    }
                }
                // Results of the last hours may not be settled yet; a day is looked back. Samples are seconds old.
                let expression = resolved(expression);
                match server.query(&expression.replace("[1h]", "[1d]"), at - 60) {
                    Ok(found) if found.is_empty() => {
                        problems.push(format!("{}: finds nothing: {expression}", panel["title"]));
                    }
                    Ok(_) => {}
                    Err(error) => problems.push(format!("{}: {error}", panel["title"])),
                }
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["definition"].as_str() else { continue };
            let selector = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", ")).unwrap();
            let found = server.query(&resolved(selector.0), at - 60).unwrap();
            let label = selector.1.trim_end_matches(')');
            assert!(found.iter().any(|row| row["metric"][label].is_string()), "{query} finds no choice");
        }
    }
    assert!(queries >= 30, "{queries} queries");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(server.query("sum(plumbline_sample_value", at).is_err(), "what is no query is noticed");
    println!("{queries} queries of the dashboards are understood and find something");
}

/// A query with its variables as Grafana fills them in.
fn resolved(expression: &str) -> String {
    let mut text = expression.replace("$__rate_interval", "5m").replace("$__interval", "1m");
    for variable in ["site", "work_unit", "tag", "job", "instance"] {
        text = text.replace(&format!("\"${variable}\""), "\".*\"");
    }
    assert!(!text.contains('$'), "{text}");
    text
}

/// The names of metrics in a query: the words that begin as ours do.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| ["plumbline_", "collector_", "agent_"].iter().any(|start| word.starts_with(start)));
    ours.map(str::to_owned).collect()
}

/// https goes through the current HTTP client: with the plant's own certificate lines are taken, without it they are
/// not sent to a stranger.
#[tokio::test(flavor = "multi_thread")]
async fn https_is_checked_against_the_plants_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("plant-ca.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "36500", "-subj", "/CN=influx.plant"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        assert!(!in_ci(), "CI needs openssl");
        println!("skipped: no openssl");
        return;
    }
    let tls = [
        "-tls".to_owned(),
        format!("-tlsCertFile={}", certificate.display()),
        format!("-tlsKeyFile={}", key.display()),
    ];
    let Some(server) = Victoria::start_with(folder.path(), &tls) else { return };
    let settings = |lines: &str| {
        let text = format!(
            "schema = 1\n[collector]\nstate_dir = \"s\"\n[mirror]\nurl = \"https://127.0.0.1:{}\"\nquery = \"export\"\n{lines}",
            server.port
        );
        let file = folder.path().join("collector.toml");
        collector::config::parse(&text, file.to_str().unwrap()).unwrap().mirror.unwrap()
    };
    let line = "plumbline_sample,site=s,work_unit=u,tag=t,agent=a quality=0i,value=1.5 1772380800000000000\n";
    let stranger = Server::open(&settings("")).unwrap().write(line.to_owned()).await;
    assert!(matches!(&stranger, Answer::Later(why) if why.to_lowercase().contains("cert")), "{stranger:?}");
    let trusted = settings("ca_file = \"plant-ca.pem\"\n");
    let known = Server::open(&trusted).unwrap();
    assert_eq!(known.write(line.to_owned()).await, Answer::Taken);
    let refused = known.write("plumbline_sample quality=\n".to_owned()).await;
    println!("a line that is none: {refused:?}");
    let interval = Interval::new(Timestamp::from_secs(MIDNIGHT), Timestamp::from_secs(MIDNIGHT + 1)).unwrap();
    // What was written is shown within seconds.
    for _ in 0..600 {
        let held = known.held(trusted.query, "plumbline_sample", &["site", "tag"], interval).await.unwrap();
        if held == BTreeMap::from([(vec!["s".to_owned(), "t".to_owned()], 1)]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the line is not there");
}
