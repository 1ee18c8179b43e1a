//! Real input: recordings of real equipment, behind our servers and behind servers that we did not write, read
//! back through the API and compared with readers that import nothing of ours.

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use collector::Collector;
use demo::factory::{drained, saw};
use demo::files::{CollectorFile, collector_toml, make_private};
use demo::keys;
use serde_json::{Value, json};
use shopfloor::time::{Clock as _, MINUTE, SECOND, Timestamp, Wait, Worker};
use simulators::lockstep::LockStep;
use simulators::modbus_server::ModbusServer;
use simulators::opcua_server::{OpcUaServer, Pace, TICK};
use simulators::registers::WordOrder;
use simulators::replay::{Energy, EnergyMeter, Shdr, ShdrNodes};
use tokio_util::sync::CancellationToken;

use crate::peers::{Peer, ask, long_form, python, recording};
use crate::rig::{get, url_time};

const STEEL: &str = "steel-industry-energy.csv";
const OKUMA: &str = "okuma-multus-2022-08-08.shdr.txt";
/// Midnight of 2018-01-01 in Korea, where the recording's first quarter of an hour begins.
const NEW_YEAR: i64 = 1_514_732_400;
const QUARTER: i64 = 15 * MINUTE;

/// One agent with the sources of a test, one collector, one lock-step clock.
struct Line {
    clock: LockStep,
    agent: Agent,
    collector: Collector,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Line {
    async fn start(clock: LockStep, plant: &str, sources: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wait: Arc<dyn Wait> = Arc::new(clock.clone());
        let stop = CancellationToken::new();
        let id = "edge-01".parse().unwrap();
        let agents = [("real-site".parse().unwrap(), "edge-01".parse().unwrap(), keys::agent_key(1, &id).public())];
        let state_dir = folder.path().join("collector");
        let http = "127.0.0.1:0".parse().unwrap();
        let text = collector_toml(&CollectorFile { state_dir: &state_dir, broker: None, http, agents: &agents });
        let config = collector::config::parse(&text, "collector.toml").unwrap();
        let collector = Collector::start(config, Arc::clone(&wait), stop.child_token()).await.unwrap();
        collector::ledger::import::import(&collector.store(), plant, "plant.toml", clock.now(), false).unwrap();
        let seed_file = folder.path().join("seed");
        std::fs::write(&seed_file, keys::hex(keys::agent_seed(1, &id))).unwrap();
        make_private(&seed_file).unwrap();
        let (host, port) = collector.mqtt_addr();
        let text = format!(
            "schema = 1\n[agent]\nsite = \"real-site\"\nid = \"edge-01\"\nstate_dir = {:?}\ndemo = true\nkey_seed_file = {:?}\n\
             block_interval = \"60s\"\njournal_commit = \"60s\"\n[publish]\nbroker = \"mqtt://{host}:{port}\"\ncollector_key = \"{}\"\n{sources}",
            folder.path().join("agent").display().to_string(),
            seed_file.display().to_string(),
            collector.ack_key(),
        );
        let config = agent::config::parse(&text, "agent.toml").unwrap();
        let agent = Agent::start(config, wait, stop.child_token()).await.unwrap();
        Self { clock, agent, collector, stop, _folder: folder }
    }

    async fn get(&self, path: &str) -> Value {
        get(self.collector.http_addr(), path).await
    }

    /// Lets time go on until everything that was read is sealed and acknowledged.
    async fn drain(&self, mut worker: Box<dyn Worker>) {
        worker.until(self.clock.now().plus(3 * MINUTE)).await;
        drained(&self.agent, Duration::from_mins(1)).await.unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.clock.end();
        self.agent.join().await;
        self.collector.join().await;
    }
}

fn plant(time_zone: &str, unit: &str, roles: &str) -> String {
    format!(
        "schema = 1\n[site]\nid = \"real-site\"\nname = \"录制数据\"\ntime_zone = \"{time_zone}\"\n\
         [[calendar]]\nid = \"always\"\n[[calendar.shift]]\nid = \"all\"\nname = \"全天\"\nstart = \"00:00\"\nend = \"00:00\"\n\
         weekdays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
         [[work_unit]]\nid = \"{unit}\"\nname = \"录制\"\ncalendar = \"always\"\nstate_rule = \"mtconnect\"\nmicro_stop = \"5min\"\n\
         [[work_unit.binding]]\nagent = \"edge-01\"\n[work_unit.role]\n{roles}\n"
    )
}

fn meter_source(port: u16) -> String {
    format!(
        "[[source]]\nid = \"meter\"\nprotocol = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\nunit = 1\naddress_base = 0\n\
         [[source.tag]]\nname = \"works/energy\"\narea = \"holding\"\naddress = 0\ntype = \"u32\"\nword_order = \"cdab\"\n\
         scale = \"0.01\"\nunit = \"kWh\"\ninterval = \"15m\"\nsection = \"kpi\"\n"
    )
}

fn days() -> usize {
    if long_form() { 365 } else { 31 }
}

/// The energy of each day and of the whole, as the API gives it, against the reader's.
async fn energy_agrees(line: &Line, python: &std::path::Path, csv: &std::path::Path, days: usize) {
    let start = Timestamp::from_secs(NEW_YEAR);
    let end = start.plus(i64::try_from(days).unwrap() * 96 * QUARTER);
    let expected = ask(python, "energy.py", &[csv]);
    let path = format!(
        "/api/v1/sites/real-site/work-units/works/energy?from={}&to={}&step=day",
        url_time(start),
        url_time(end)
    );
    let measured = line.get(&path).await;
    let steps = measured["steps"].as_array().unwrap();
    assert_eq!(steps.len(), days);
    let hundredths = |text: &str| {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{part:0<2}").parse::<i64>().unwrap()
    };
    let mut sum = 0;
    for (day, (step, expected)) in steps.iter().zip(expected["days"].as_array().unwrap()).enumerate() {
        assert_eq!(step["energy"]["exact"], true, "day {day}: {step}");
        let text = step["energy"]["low"]["text"].as_str().unwrap();
        assert_eq!(hundredths(text), hundredths(expected.as_str().unwrap()), "day {day}: {step}");
        sum += hundredths(text);
    }
    assert_eq!(hundredths(measured["total"]["low"]["text"].as_str().unwrap()), sum, "{}", measured["total"]);
    println!("energy of {days} days equals the recording: {sum} steps of 0.01 kWh");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steel_works_energy_reads_back_to_the_last_digit() {
    let (Some(csv), Some(python)) = (recording(STEEL), python()) else { return };
    let text = std::fs::read_to_string(&csv).unwrap();
    let start = Timestamp::from_secs(NEW_YEAR);
    let energy = Energy::read(&text, "Usage_kWh", start, QUARTER).unwrap().first(days() * 96);
    let clock = LockStep::starting_at(start.plus(-SECOND));
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let mut worker = wait.worker();
    let end = energy.finish();
    let bank = Arc::new(EnergyMeter::new(Arc::new(energy), 1, WordOrder::Cdab));
    let server = ModbusServer::start(bank, wait).await.unwrap();
    let plant = plant("Asia/Seoul", "works", "energy = \"works/energy\"\n[work_unit.counter.energy]\nunit = \"kWh\"");
    let line = Line::start(clock, &plant, &meter_source(server.addr().port())).await;
    worker.until(end.plus(SECOND)).await;
    line.drain(worker).await;
    energy_agrees(&line, &python, &csv, days()).await;
    assert_eq!(server.counters().writes(), 0);
    line.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_energy_comes_through_pymodbus() {
    let (Some(csv), Some(python)) = (recording(STEEL), python()) else { return };
    let text = std::fs::read_to_string(&csv).unwrap();
    let start = Timestamp::from_secs(NEW_YEAR);
    let days = 7;
    let energy = Energy::read(&text, "Usage_kWh", start, QUARTER).unwrap().first(days * 96);
    let mut peer = Peer::start(&python, "modbus_server.py");
    let clock = LockStep::starting_at(start.plus(-SECOND));
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let mut worker = wait.worker();
    let show = |peer: &mut Peer, total: u64| {
        assert_eq!(peer.tell(&json!({"typed": [[0, "UINT32", "CDAB", total]]})), "ok");
    };
    show(&mut peer, 0);
    let plant = plant("Asia/Seoul", "works", "energy = \"works/energy\"\n[work_unit.counter.energy]\nunit = \"kWh\"");
    let line = Line::start(clock, &plant, &meter_source(peer.address.parse().unwrap())).await;
    // The scan of each quarter finds what was shown in the middle of it.
    for (end, total) in energy.rows().collect::<Vec<_>>() {
        worker.until(end.plus(-QUARTER / 2)).await;
        show(&mut peer, total);
    }
    worker.until(energy.finish().plus(SECOND)).await;
    line.drain(worker).await;
    energy_agrees(&line, &python, &csv, days).await;
    assert_eq!(peer.tell(&json!({"writes": true})), "writes 0");
    line.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_and_word_order_reads_the_same_through_pymodbus() {
    let Some(python) = python() else { return };
    let mut peer = Peer::start(&python, "modbus_server.py");
    let start = Timestamp::from_secs(NEW_YEAR);
    let clock = LockStep::starting_at(start);
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let mut worker = wait.worker();
    let cases = [
        ("UINT32", "u32", json!(4_000_000_001_u64), "4000000001"),
        ("INT32", "i32", json!(-123_456_789), "-123456789"),
        ("FLOAT32", "f32", json!(1234.5), ""),
        ("UINT64", "u64", json!(12_345_678_901_234_567_u64), "12345678901234567"),
        ("INT64", "i64", json!(-9_876_543_210_i64), "-9876543210"),
        ("FLOAT64", "f64", json!(-0.000_123), ""),
    ];
    let mut typed = Vec::new();
    let mut sources = format!(
        "[[source]]\nid = \"plc\"\nprotocol = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {}\nunit = 1\naddress_base = 0\n",
        peer.address
    );
    let mut wanted = Vec::new();
    let mut address = 10;
    for (kind, ours, value, exact) in &cases {
        for order in ["ABCD", "CDAB", "BADC", "DCBA"] {
            // pymodbus orders 64-bit values by whole words too, low word first, as CDAB means here.
            typed.push(json!([address, kind, order, value]));
            let tag = format!("{ours}-{}", order.to_lowercase());
            sources += &format!(
                "[[source.tag]]\nname = \"works/{tag}\"\narea = \"holding\"\naddress = {address}\ntype = \"{ours}\"\nword_order = \"{}\"\ninterval = \"10s\"\nsection = \"process\"\n",
                order.to_lowercase()
            );
            wanted.push((tag, value.clone(), *exact));
            address += 4;
        }
    }
    assert_eq!(peer.tell(&json!({"typed": typed})), "ok");
    let line = Line::start(clock, &plant("Asia/Seoul", "works", ""), &sources).await;
    worker.until(start.plus(MINUTE)).await;
    line.drain(worker).await;
    for (tag, value, exact) in wanted {
        let (from, to) = (url_time(start), url_time(start.plus(MINUTE)));
        let samples = line.get(&format!("/api/v1/sites/real-site/tags/works/{tag}/samples?from={from}&to={to}")).await;
        let sample = samples.as_array().unwrap().last().unwrap_or_else(|| panic!("{tag} has samples"));
        assert_eq!(sample["quality"], "good", "{tag}: {sample}");
        if exact.is_empty() {
            assert_eq!(sample["value"].as_f64(), value.as_f64(), "{tag}: {sample}");
        } else {
            assert_eq!(sample["exact"], exact, "{tag}: {sample}");
        }
    }
    line.end().await;
}

/// The keys of the recording that are replayed: the one that is judged, and company.
const KEYS: [&str; 4] = ["pexecution", "avail", "ppartcount", "Z1load"];

fn okuma_source(endpoint: &str, namespace: &str, tick: &str) -> String {
    let mut source = format!(
        "[[source]]\nid = \"okuma\"\nprotocol = \"opc-ua\"\nendpoint = \"{endpoint}\"\ninsecure = true\npublishing_interval = \"5ms\"\n"
    );
    for (tag, node) in [("execution", "pexecution"), ("avail", "avail"), ("parts", "ppartcount"), ("load", "Z1load")] {
        source += &format!(
            "[[source.tag]]\nname = \"lathe/{tag}\"\nnode = \"nsu={namespace};s={node}\"\ntype = \"text\"\nqueue_size = 100\nsection = \"kpi\"\n"
        );
    }
    source
        + &format!(
            "[[source.tag]]\nname = \"lathe/tick\"\nnode = \"nsu={namespace};s={tick}\"\ntype = \"i64\"\nsection = \"process\"\n"
        )
}

/// (execution, source time) as the API gives them, in order of time; restatements and life signs left out.
async fn executions(line: &Line, from: Timestamp, to: Timestamp) -> Vec<(String, String)> {
    let path = format!(
        "/api/v1/sites/real-site/tags/lathe/execution/samples?from={}&to={}&limit=5000",
        url_time(from),
        url_time(to)
    );
    let mut list = Vec::new();
    for sample in line.get(&path).await.as_array().unwrap() {
        if sample["by"] == "event" && sample["quality"] == "good" {
            list.push((
                sample["source_time"].as_str().unwrap().to_owned(),
                sample["value"].as_str().unwrap().to_owned(),
            ));
        }
    }
    list.sort();
    list
}

fn expected(python: &std::path::Path, recording: &std::path::Path) -> Vec<(String, String)> {
    let rows = ask(python, "okuma.py", &[recording, std::path::Path::new("pexecution")]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut list: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (instant(&text(&row[0])), text(&row[1]))).collect();
    list.sort();
    list
}

fn instant(text: &str) -> String {
    Timestamp::parse(text).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_okuma_executions_equal_those_of_a_plain_reader() {
    let (Some(file), Some(python)) = (recording(OKUMA), python()) else { return };
    let shdr = Arc::new(Shdr::read(&std::fs::read_to_string(&file).unwrap()).unwrap().only(&KEYS));
    let instants = shdr.instants();
    let (first, last) = (instants[0], instants[instants.len() - 1]);
    let clock = LockStep::starting_at(first.plus(-MINUTE));
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let mut worker = wait.worker();
    let server = OpcUaServer::start("okuma", Arc::new(ShdrNodes::new(shdr)), clock.now(), Pace::Fast).await.unwrap();
    let plant = plant("UTC", "lathe", "state = \"lathe/execution\"");
    let line = Line::start(clock, &plant, &okuma_source(&server.endpoint(), server.namespace(), TICK)).await;
    let tick_tag = "lathe/tick".parse().unwrap();
    assert!(saw(&line.agent, &tick_tag, 1, Duration::from_secs(20)).await.unwrap(), "the subscription did not come up");
    for at in instants {
        worker.until(at).await;
        let tick = server.step(at).unwrap();
        assert!(saw(&line.agent, &tick_tag, tick, Duration::from_secs(20)).await.unwrap(), "tick {tick} is missing");
    }
    line.drain(worker).await;
    let (expected, measured) =
        (expected(&python, &file), executions(&line, first.plus(-MINUTE), last.plus(MINUTE)).await);
    println!("executions: {} expected, {} measured", expected.len(), measured.len());
    assert!(expected.len() >= 16);
    assert_eq!(measured, expected);
    assert_eq!(server.writes(), 0);
    line.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_executions_come_through_asyncua() {
    let (Some(file), Some(python)) = (recording(OKUMA), python()) else { return };
    let shdr = Shdr::read(&std::fs::read_to_string(&file).unwrap()).unwrap().only(&["pexecution"]);
    let events: Vec<_> = shdr.events().to_vec();
    let (first, last) = (events[0].at, events[events.len() - 1].at);
    let mut peer = Peer::start(&python, "opcua_server.py");
    let add = json!({"add": [["pexecution", "String", ""], ["avail", "String", ""], ["ppartcount", "String", ""],
                             ["Z1load", "String", ""], ["tick", "Int64", 0]]});
    assert_eq!(peer.tell(&add), "ok");
    let clock = LockStep::starting_at(first.plus(-MINUTE));
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let mut worker = wait.worker();
    let plant = plant("UTC", "lathe", "state = \"lathe/execution\"");
    let line = Line::start(clock, &plant, &okuma_source(&peer.address, "urn:plumbline:peer", "tick")).await;
    let tick_tag = "lathe/tick".parse().unwrap();
    assert!(saw(&line.agent, &tick_tag, 0, Duration::from_secs(20)).await.unwrap(), "the subscription did not come up");
    for (tick, event) in events.iter().enumerate() {
        worker.until(event.at).await;
        let micros = event.at.as_nanos() / 1000;
        // At the end of a connection the adapter has nothing to say: a bad status without a value.
        let known = event.value != simulators::replay::shdr::UNAVAILABLE;
        let (value, status) = if known { (json!(event.value), 0) } else { (Value::Null, 0x8031_0000_u32) };
        let set =
            json!({"set": [["pexecution", "String", value, micros, status], ["tick", "Int64", tick + 1, micros, 0]]});
        assert_eq!(peer.tell(&set), "ok");
        let tick = i64::try_from(tick + 1).unwrap();
        assert!(saw(&line.agent, &tick_tag, tick, Duration::from_secs(20)).await.unwrap(), "tick {tick} is missing");
    }
    line.drain(worker).await;
    // Python's datetime ends at microseconds, so the expected times are cut there too.
    let cut = |(time, value): (String, String)| {
        let nanos = Timestamp::parse(&time).unwrap().as_nanos();
        (Timestamp::from_nanos(nanos / 1000 * 1000).to_string(), value)
    };
    let mut expected: Vec<_> = expected(&python, &file).into_iter().map(cut).collect();
    expected.sort();
    let measured: Vec<_> = executions(&line, first.plus(-SECOND), last.plus(MINUTE)).await;
    assert_eq!(measured.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>(), expected);
    line.end().await;
}
