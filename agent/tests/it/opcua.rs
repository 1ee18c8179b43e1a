//! The OPC UA source against a real server and a line that fails. The known defects of the client each have a test.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::config::Config;
use shopfloor::register_map::samples;
use shopfloor::sample::{Sample, StatusCode, Value};
use shopfloor::time::{SECOND, Timestamp};
use shopfloor::unit::Rational;
use shopfloor::wire::section::{EventRow, Group};
use simulators::fault_proxy::{Fault, FaultProxy};
use simulators::nodes::{Change, NodeSource, NodeSpec};
use simulators::opcua_server::{OpcUaServer, Pace};
use simulators::points::{Reading, Shape};

use super::support::{Block, Running, blocks, head, map, parse, start};

/// One variable `count` whose value is the number of seconds of the step's time.
struct Counting;

impl NodeSource for Counting {
    fn nodes(&self) -> Vec<NodeSpec> {
        let (identifier, folder, name) = ("count".to_owned(), "m".to_owned(), "count".to_owned());
        vec![NodeSpec { identifier, folder, name, shape: Shape::Int32 }]
    }

    fn changes(&self, _: Option<Timestamp>, until: Timestamp) -> Vec<Change> {
        let value = Some(Reading::Number(until.as_nanos() / SECOND));
        vec![Change { node: 0, value, status: StatusCode::GOOD, source_time: until }]
    }
}

/// Many variables that all change at once.
struct Many(usize);

impl NodeSource for Many {
    fn nodes(&self) -> Vec<NodeSpec> {
        let spec = |n| NodeSpec {
            identifier: format!("n{n}"),
            folder: "m".into(),
            name: format!("n{n}"),
            shape: Shape::Int32,
        };
        (0..self.0).map(spec).collect()
    }

    fn changes(&self, _: Option<Timestamp>, until: Timestamp) -> Vec<Change> {
        let value = Some(Reading::Number(until.as_nanos() / SECOND));
        let change = |node| Change { node, value: value.clone(), status: StatusCode::GOOD, source_time: until };
        (0..self.0).map(change).collect()
    }
}

async fn server() -> OpcUaServer {
    OpcUaServer::start("test", Arc::new(Counting), Timestamp::from_secs(1), Pace::Fast).await.unwrap()
}

fn config(state: &Path, proxy: &FaultProxy, server: &OpcUaServer, silence: &str) -> Config {
    let namespace = server.namespace();
    let tag = |name: &str, node: &str| {
        format!(
            "[[source.tag]]\nname = \"m/{name}\"\nnode = \"nsu={namespace};s={node}\"\ntype = \"i32\"\nsection = \"kpi\"\nqueue_size = 50\n"
        )
    };
    let source = format!(
        "[[source]]\nid = \"server\"\nprotocol = \"opc-ua\"\nendpoint = \"opc.tcp://{}/\"\ninsecure = true\n\
         publishing_interval = \"20ms\"\nsampling_interval = \"5ms\"\nsilence = \"{silence}\"\nreconnect_max = \"200ms\"\n\
         connect_timeout = \"2s\"\n",
        proxy.addr()
    );
    parse(&(head(state) + &source + &tag("count", "count") + &tag("nothing", "no-such-node")))
}

async fn until_count(running: &Running, seconds: i64) {
    let wanted = Value::Exact(Rational::integer(i128::from(seconds)));
    running.until("m/count", |live| live.value.as_ref() == Some(&wanted)).await;
}

fn event_rows(blocks: &[Block]) -> Vec<EventRow> {
    let mut rows: Vec<EventRow> = Vec::new();
    for group in blocks.iter().flat_map(|b| &b.groups) {
        let Group::Event(event) = group else { continue };
        for row in event.columns.iter().filter(|c| c.tag == 0).flat_map(|c| &c.rows) {
            if !rows.contains(row) {
                rows.push(row.clone());
            }
        }
    }
    rows
}

fn life(blocks: &[Block]) -> Vec<i64> {
    let life = |g: &Group| if let Group::Event(event) = g { event.life.clone() } else { Vec::new() };
    blocks.iter().flat_map(|b| &b.groups).flat_map(life).collect()
}

fn counts(samples: &[Sample]) -> Vec<i64> {
    let count = |s: &Sample| match &s.value {
        Some(Value::Exact(value)) => i64::try_from(value.to_integer()?).ok(),
        _ => None,
    };
    let mut counts: Vec<i64> = samples.iter().filter_map(count).collect();
    counts.dedup();
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_with_the_servers_times_and_every_block_stands_alone() {
    let server = server().await;
    let proxy = FaultProxy::start(server.addr(), 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), &proxy, &server, "10s");
    let running = start(config.clone()).await;
    until_count(&running, 1).await;
    for step in 2..=40 {
        server.step(Timestamp::from_secs(step)).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_count(&running, 40).await;
    running.end().await;
    assert!(state.path().join("opcua/trusted").is_dir(), "the client keeps its folders where the agent keeps its own");
    let blocks = blocks(state.path(), &config);
    let rows = event_rows(&blocks);
    let times: Vec<i64> = rows.iter().map(|r| r.source_time.unwrap() / SECOND).collect();
    assert_eq!(times, (1..=40).collect::<Vec<_>>(), "every change once, with its source time");
    assert!(rows.iter().all(|r| r.server_time.is_some() && r.status == StatusCode::GOOD));
    assert!(life(&blocks).is_sorted() && life(&blocks).len() >= 2, "{:?}", life(&blocks));
    let with_rows = blocks.iter().filter(|b| !b.groups.is_empty()).count();
    assert!(with_rows >= 2);
    for block in blocks.iter().skip(1).filter(|b| !b.groups.is_empty()) {
        let first = samples(&map(&config), &block.groups, 0).remove(0);
        assert!(first.observed_time < block.header.window.start, "its first row restates what was known before");
    }
    let count = blocks.iter().map(|b| b.header.sample_count).sum::<u64>();
    assert!(blocks.iter().all(|b| b.header.marks.insecure_opcua), "{count}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_30_an_unknown_node_is_bad_and_the_others_flow() {
    let server = server().await;
    let proxy = FaultProxy::start(server.addr(), 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let running = start(config(state.path(), &proxy, &server, "10s")).await;
    running.until("m/nothing", |live| live.status == StatusCode::BAD_NODE_ID_UNKNOWN).await;
    until_count(&running, 1).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_cut_what_changed_meanwhile_and_since_comes_once_and_in_order() {
    let server = server().await;
    let proxy = FaultProxy::start(server.addr(), 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), &proxy, &server, "30s");
    let running = start(config.clone()).await;
    until_count(&running, 1).await;
    // Each round would end in silence for ever if the client were left to itself.
    let mut step = 1;
    for round in 0..6 {
        let fault = if round % 2 == 0 { Fault::Cut } else { Fault::Refuse };
        proxy.set(fault);
        for _ in 0..5 {
            step += 1;
            server.step(Timestamp::from_secs(step)).unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        proxy.set(Fault::None);
        // The server has answered requests of the dead connection: messages are missing. Once the newest value is
        // there, so is everything before it, and no older value comes in its place any more.
        until_count(&running, step).await;
        for _ in 0..10 {
            step += 1;
            server.step(Timestamp::from_secs(step)).unwrap();
            until_count(&running, step).await;
        }
    }
    running.end().await;
    let blocks = blocks(state.path(), &config);
    let rows = event_rows(&blocks);
    assert!(rows.iter().all(|row| row.status == StatusCode::GOOD), "nothing was lost: {rows:?}");
    assert!(rows.is_sorted_by_key(|row| row.observed_time), "a row is not observed before the one it replaces");
    let mut seconds: Vec<i64> = rows.iter().map(|row| row.source_time.unwrap_or(0) / SECOND).collect();
    seconds.dedup(); // after a return the server sends the value that holds once more
    assert_eq!(seconds, (1..=step).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_32_a_silent_subscription_is_made_anew_and_its_silence_is_said() {
    let server = server().await;
    let proxy = FaultProxy::start(server.addr(), 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), &proxy, &server, "1s");
    let running = start(config.clone()).await;
    until_count(&running, 1).await;
    proxy.set(Fault::HalfOpen);
    running.until("m/count", |live| live.status == StatusCode::BAD_SUBSCRIPTION_LOST).await;
    proxy.set(Fault::None);
    server.step(Timestamp::from_secs(9)).unwrap();
    until_count(&running, 9).await;
    running.end().await;
    let blocks = blocks(state.path(), &config);
    let lost = event_rows(&blocks).into_iter().find(|r| r.status == StatusCode::BAD_SUBSCRIPTION_LOST).unwrap();
    assert!(life(&blocks).contains(&(lost.observed_time - 1)), "right after the last life sign");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_again_is_subscribed_again() {
    let server = server().await;
    let proxy = FaultProxy::start(server.addr(), 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), &proxy, &server, "2s");
    let running = start(config.clone()).await;
    until_count(&running, 1).await;
    let address = server.addr();
    server.kill().await;
    let again = OpcUaServer::start_at(address, "test", Arc::new(Counting), Timestamp::from_secs(100), Pace::Fast)
        .await
        .unwrap();
    until_count(&running, 100).await;
    again.step(Timestamp::from_secs(101)).unwrap();
    until_count(&running, 101).await;
    running.end().await;
    let all: Vec<Group> = blocks(state.path(), &config).into_iter().flat_map(|b| b.groups).collect();
    let found = samples(&map(&config), &all, 0);
    assert!(found.iter().any(|s| s.status == StatusCode::BAD_SUBSCRIPTION_LOST));
    let counts = counts(&found);
    assert!(counts.contains(&1) && counts.contains(&100) && counts.contains(&101), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_items_than_a_subscription_may_have_and_messages_of_a_thousand_values_flow() {
    const COUNT: usize = 2200;
    let server = OpcUaServer::start("many", Arc::new(Many(COUNT)), Timestamp::from_secs(1), Pace::Fast).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut text = head(state.path())
        + &format!(
            "[[source]]\nid = \"server\"\nprotocol = \"opc-ua\"\nendpoint = \"{}\"\ninsecure = true\n\
             publishing_interval = \"50ms\"\nconnect_timeout = \"20s\"\nsilence = \"60s\"\n",
            server.endpoint()
        );
    for n in 0..COUNT {
        write!(
            text,
            "[[source.tag]]\nname = \"m/n{n}\"\nnode = \"nsu={};s=n{n}\"\ntype = \"i32\"\nsection = \"kpi\"\n",
            server.namespace()
        )
        .unwrap();
    }
    let config = parse(&text);
    assert_eq!(map(&config).groups.len(), 3, "a thousand items each");
    let running = start(config).await;
    for seconds in [1, 2, 3] {
        server.step(Timestamp::from_secs(seconds)).unwrap();
        let wanted = Value::Exact(Rational::integer(i128::from(seconds)));
        for n in 0..COUNT {
            running.until(&format!("m/n{n}"), |live| live.value.as_ref() == Some(&wanted)).await;
        }
    }
    running.end().await;
}
