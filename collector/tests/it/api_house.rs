//! A machine whose hour can be worked out by hand, its blocks, and a client of the HTTP interface.
//!
//! The machine is scanned every 10 s. It runs from 08:00 to 08:45 local time and then stands. While it runs it makes
//! a piece every 10 s and scraps every tenth; its meter counts 0.01 kWh every 10 s all the time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collector::config;
use collector::ledger::import::import;
use collector::{Collector, store::Store};
use serde_json::Value;
use shopfloor::register_map::{
    Area, DataType, GroupEntry, GroupKind, Origin, Place, Protocol, SourceAuth, SourceEntry, TagEntry, WordOrder,
};
use shopfloor::sample::StatusCode;
use shopfloor::time::{Clock, Interval, MINUTE, ManualClock, Pending, SECOND, Timestamp, Wait, Worker};
use shopfloor::unit::Rational;
use shopfloor::wire::block::{Sealed, seal};
use shopfloor::wire::header::{ClockState, FORMAT, GapKind, GapRecord, Header, Marks, SectionName};
use shopfloor::wire::section::{EventColumn, EventGroup, EventRow, Group, Raw, ScanColumn, ScanGroup};
use tokio_util::sync::CancellationToken;

use crate::house::{Agent, Wire, config_text, site};

/// 2026-11-25T08:00:00+08:00, the start of the shift.
pub const MORNING: Timestamp = Timestamp::from_secs(1_795_564_800);
/// One block a minute, six scans each.
const SCANS: i64 = 6;

pub const PLANT: &str = r#"
schema = 1
[site]
id = "xinchang"
name = "新昌测试厂"
county = "330624"
time_zone = "Asia/Shanghai"
[[area]]
id = "shop-1"
name = "一车间"
[[work_center]]
id = "line-1"
name = "一号线"
area = "shop-1"
[[work_unit]]
id = "grinder-01"
name = "磨床 01"
name_en = "Grinder 01"
work_center = "line-1"
calendar = "one"
state_rule = "running-bit"
micro_stop = "2min"
[work_unit.role]
running = "grinder-01/running"
produced = "grinder-01/produced"
scrap = "grinder-01/scrap"
energy = "grinder-01/energy"
[[work_unit.binding]]
agent = "edge-01"
[work_unit.counter.energy]
unit = "kWh"
[[work_unit.ideal_cycle]]
product = "*"
time = "9s"
[[work_unit]]
id = "press-09"
name = "压机 09"
calendar = "one"
state_rule = "running-bit"
[[calendar]]
id = "one"
name = "一班"
[[calendar.shift]]
id = "day"
name = "白班"
start = "08:00"
end = "09:00"
weekdays = ["mon", "tue", "wed", "thu", "fri"]
[[equipment]]
id = "eq-0001"
name = "磨床"
serial = "SN-1"
key_process = true
networked = "verified"
attested_by = "王工"
attested_at = 2026-11-01
work_unit = "grinder-01"
[[equipment]]
id = "eq-0002"
name = "钻床"
key_process = false
networked = "none"
"#;

/// A clock that stands where the test puts it; those who wait look at it every few milliseconds.
#[derive(Clone)]
pub struct HandClock(Arc<ManualClock>);

impl HandClock {
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(ManualClock::at(now)))
    }

    pub fn move_to(&self, at: Timestamp) {
        self.0.advance(u64::try_from(at.since(self.0.now())).expect("time goes forward"));
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> u64 {
        self.0.monotonic()
    }
}

impl Wait for HandClock {
    fn until(&self, at: Timestamp) -> Pending<'static> {
        let clock = self.0.clone();
        Box::pin(async move {
            while clock.now() < at {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }

    fn worker(&self) -> Box<dyn Worker> {
        Box::new(self.clone())
    }
}

impl Worker for HandClock {
    fn until(&mut self, at: Timestamp) -> Pending<'_> {
        Wait::until(self, at)
    }
}

/// What the machine's registers show, `t` seconds after the start of the shift: running, produced, scrap, energy.
fn registers(t: i64) -> [u64; 4] {
    let at = |seconds: i64, step: i64| u64::try_from(seconds.max(0) / step).unwrap();
    let ran = t.min(2700);
    [u64::from((0..2700).contains(&t)), 1000 + at(ran, 10), at(ran, 100), 500_000 + at(t + 3600, 10)]
}

/// The agent with the machine's register map.
pub fn agent() -> Agent {
    let mut agent = Agent::new("edge-01", 1);
    let tag = |name: &str, group, place, data_type, scale: &str, unit: &str| TagEntry {
        name: format!("grinder-01/{name}").parse().unwrap(),
        group,
        section: SectionName::kpi(),
        place,
        data_type,
        word_order: matches!(data_type, DataType::U32).then_some(WordOrder::Abcd),
        scale: Rational::parse(scale).unwrap(),
        offset: Rational::ZERO,
        unit: unit.into(),
        origin: Origin::Simulated,
    };
    let holding = |address| Place::Modbus { unit: 1, area: Area::Holding, address, words: 2, bit: None };
    let coil = Place::Modbus { unit: 1, area: Area::Coil, address: 7, words: 1, bit: None };
    let group = || GroupEntry { source: 0, kind: GroupKind::Scan { interval: 10 * SECOND }, stale_after: 30 * SECOND };
    agent.map.sources = vec![SourceEntry {
        id: "plc-1".parse().unwrap(),
        protocol: Protocol::ModbusTcp,
        endpoint: "127.0.0.1:502".into(),
        auth: SourceAuth::Simulated,
    }];
    agent.map.groups = vec![group(), group()];
    agent.map.tags = vec![
        tag("running", 0, coil, DataType::Bool, "1", ""),
        tag("produced", 1, holding(0), DataType::U32, "1", ""),
        tag("scrap", 1, holding(2), DataType::U32, "1", ""),
        tag("energy", 1, holding(4), DataType::U32, "0.01", "kWh"),
    ];
    agent
}

/// The block of the minute that begins `minute` minutes after the start of the shift.
pub fn minute(agent: &mut Agent, minute: i64) -> Sealed {
    minute_with(agent, minute, Vec::new())
}

/// The same, with the statement that the block `lost` left the queue.
pub fn minute_after_loss(agent: &mut Agent, minute: i64, lost: &Sealed) -> Sealed {
    let gap = GapRecord {
        kind: GapKind::Evicted,
        sequences: Some((lost.header.sequence, lost.header.sequence)),
        interval: Some(lost.header.window),
        last_block_hash: Some(lost.hash),
        detail: "queue full".into(),
    };
    minute_with(agent, minute, vec![gap])
}

/// An agent that hears of `grinder-01/running` from an OPC UA server.
pub fn subscriber() -> Agent {
    let mut agent = agent();
    agent.map.sources[0].protocol = Protocol::OpcUa;
    let kind = GroupKind::Event { publishing: SECOND, sampling: SECOND };
    agent.map.groups = vec![GroupEntry { source: 0, kind, stale_after: 30 * SECOND }];
    agent.map.tags.truncate(1);
    agent.map.tags[0].place = Place::OpcUa { namespace: "urn:press".into(), identifier: "s=Running".into() };
    agent
}

/// The block of a minute of that agent: a keep-alive every 10 s, the last known value restated first, and the news
/// that came in this minute. `news` are seconds after the start of the shift, each with its value, in order.
pub fn heard_minute(agent: &mut Agent, minute: i64, news: &[(i64, bool)]) -> Sealed {
    let at = |seconds: i64| MORNING.plus(seconds * SECOND).as_nanos();
    let row = |(seconds, value): (i64, bool)| EventRow {
        source_time: Some(at(seconds)),
        server_time: None,
        observed_time: at(seconds),
        status: StatusCode::GOOD,
        value: Some(Raw::Bits(u64::from(value))),
    };
    let known = news.iter().rev().find(|(seconds, _)| *seconds < minute * 60);
    let fresh = news.iter().filter(|(seconds, _)| (minute * 60..(minute + 1) * 60).contains(seconds));
    let rows = known.into_iter().chain(fresh).map(|news| row(*news)).collect();
    let life = (0..SCANS).map(|row| at(minute * 60 + row * 10)).collect();
    let columns = vec![EventColumn { tag: 0, rows }];
    seal_minute(agent, minute, Vec::new(), vec![Group::Event(EventGroup { group: 0, life, columns })])
}

/// An agent that reads a meter every 15 minutes.
pub fn meter() -> Agent {
    let mut agent = agent();
    let kind = GroupKind::Scan { interval: 15 * MINUTE };
    agent.map.groups = vec![GroupEntry { source: 0, kind, stale_after: 45 * MINUTE }];
    let mut energy = agent.map.tags.remove(3);
    energy.group = 0;
    agent.map.tags = vec![energy];
    agent
}

/// The block with the meter's reading `n` quarters of an hour after the local midnight of 2026-11-25.
pub fn quarter(agent: &mut Agent, n: i64, reading: i64) -> Sealed {
    let minute = n * 15 - 8 * 60;
    let at = vec![MORNING.plus(minute * MINUTE).as_nanos()];
    let values = vec![Raw::Bits(u64::try_from(reading).unwrap())];
    let columns = vec![ScanColumn { tag: 0, values, exceptions: Vec::new() }];
    let group = ScanGroup { group: 0, request: at.clone(), response: at, columns };
    seal_minute(agent, minute, Vec::new(), vec![Group::Scan(group)])
}

fn minute_with(agent: &mut Agent, minute: i64, gaps: Vec<GapRecord>) -> Sealed {
    let start = MORNING.plus(minute * 60 * SECOND);
    let times: Vec<i64> = (0..SCANS).map(|row| start.plus(row * 10 * SECOND).as_nanos()).collect();
    let rows: Vec<[u64; 4]> = (0..SCANS).map(|row| registers(minute * 60 + row * 10)).collect();
    let column = |tag: u16| ScanColumn {
        tag,
        values: rows.iter().map(|row| Raw::Bits(row[usize::from(tag)])).collect(),
        exceptions: Vec::new(),
    };
    let group = |group, tags: &[u16]| {
        let columns = tags.iter().map(|tag| column(*tag)).collect();
        Group::Scan(ScanGroup { group, request: times.clone(), response: times.clone(), columns })
    };
    seal_minute(agent, minute, gaps, vec![group(0, &[0]), group(1, &[1, 2, 3])])
}

pub fn seal_minute(agent: &mut Agent, minute: i64, gaps: Vec<GapRecord>, groups: Vec<Group>) -> Sealed {
    let start = MORNING.plus(minute * 60 * SECOND);
    let header = Header {
        format: FORMAT,
        site: site(),
        agent: agent.id.clone(),
        epoch: agent.epoch,
        sequence: agent.next,
        prev_block_hash: agent.previous,
        config_hash: agent.map.hash(),
        plan_hash: None,
        software: "test".into(),
        boot_id: [1; 16],
        window: Interval { start, end: start.plus(60 * SECOND) },
        monotonic: (0, 60),
        clock: ClockState::default(),
        first_sample: 1,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: std::collections::BTreeMap::new(),
        gaps,
        marks: Marks { demo_key: true, simulated: true, ..Marks::default() },
        sections: Vec::new(),
    };
    let sealed = seal(header, &[(SectionName::kpi(), groups)], &agent.key).unwrap();
    agent.next += 1;
    agent.previous = sealed.hash;
    sealed
}

/// A collector with its interface on a clock that the test moves.
pub struct Site {
    pub clock: HandClock,
    pub collector: Collector,
    pub token: CancellationToken,
    pub store: Store,
    base: String,
    client: ureq::Agent,
}

impl Site {
    /// Starts with the plant imported, unless `plant` is empty.
    pub async fn start(folder: &Path, agent: &Agent, now: Timestamp, plant: &str) -> Self {
        Self::start_with(folder, &[agent], now, plant).await
    }

    /// The same with several agents.
    pub async fn start_with(folder: &Path, agents: &[&Agent], now: Timestamp, plant: &str) -> Self {
        let text = config_text(agents);
        let config = config::parse(&text, folder.join("collector.toml").to_str().unwrap()).unwrap();
        let clock = HandClock::at(now);
        let token = CancellationToken::new();
        let collector = Collector::start(config, Arc::new(clock.clone()), token.clone()).await.unwrap();
        let store = collector.store();
        if !plant.is_empty() {
            import(&store, plant, "plant.toml", now, false).unwrap();
        }
        let base = format!("http://{}", collector.http_addr());
        let client = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build()
            .into();
        Self { clock, collector, token, store, base, client }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Status, headers and body of a path.
    pub async fn raw(&self, path: &str, headers: &[(&str, &str)]) -> ureq::http::Response<String> {
        let mut request = self.client.get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = tokio::task::spawn_blocking(move || {
            let (parts, mut body) = request.call().unwrap().into_parts();
            ureq::http::Response::from_parts(parts, body.read_to_string().unwrap())
        });
        answer.await.unwrap()
    }

    /// The bytes of a path that must answer 200.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let request = self.client.get(format!("{}{path}", self.base));
        let answer = tokio::task::spawn_blocking(move || {
            let (parts, mut body) = request.call().unwrap().into_parts();
            assert_eq!(parts.status, 200);
            body.read_to_vec().unwrap()
        });
        answer.await.unwrap()
    }

    /// The JSON of a path that must answer 200.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.raw(path, &[]).await;
        assert_eq!(answer.status(), 200, "{path}: {}", answer.body());
        serde_json::from_str(answer.body()).unwrap()
    }

    /// The error of a path that must answer `status`.
    pub async fn refused(&self, path: &str, status: u16) -> Value {
        let answer = self.raw(path, &[]).await;
        assert_eq!(answer.status(), status, "{path}: {}", answer.body());
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        for text in
            [&body["error"]["code"], &body["error"]["zh"], &body["error"]["en"], &body["error"]["what_next"]["en"]]
        {
            assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{path}: {body}");
        }
        body["error"].clone()
    }

    /// Delivers blocks as their agent does, after its birth.
    pub async fn deliver(&self, agent: &Agent, blocks: &[Sealed]) {
        let wire = Wire::connect(&self.collector, agent).await;
        wire.publish(&agent.topic(shopfloor::wire::topic::Channel::Birth), &agent.birth()).await;
        for sealed in blocks {
            wire.send(agent, sealed).await;
        }
        let store = self.store.clone();
        let hashes: Vec<_> = blocks.iter().map(|sealed| sealed.hash).collect();
        let map = agent.map.hash();
        crate::house::until("all blocks are in the log", || {
            store.ledger.register_map(&map).is_some()
                && hashes.iter().all(|hash| store.log.block_by_hash(hash).unwrap().is_some())
        })
        .await;
    }

    pub async fn stop(self) {
        self.token.cancel();
        self.collector.join().await;
    }
}
