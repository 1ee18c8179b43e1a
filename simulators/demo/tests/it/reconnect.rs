//! A line to an OPC UA server that we did not write is cut again and again: what it sends after the return arrives in
//! order and without a hole, also what was under way when the line was cut.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use agent::config::Config;
use agent::queue::Queue;
use agent::wait::RealTime;
use demo::factory::saw;
use serde_json::json;
use shopfloor::sample::StatusCode;
use shopfloor::time::{Clock as _, Timestamp};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::section::{Group, Raw};
use simulators::fault_proxy::{Fault, FaultProxy};
use tokio_util::sync::CancellationToken;

use crate::peers::{Peer, python};

/// 2026-03-02 00:00 UTC, where the counter starts.
const START: i64 = 1_772_409_600;

fn config(state: &Path, proxy: &FaultProxy) -> Config {
    let text = format!(
        "schema = 1\n[agent]\nsite = \"site-1\"\nid = \"edge-01\"\nstate_dir = {:?}\ndemo = true\n\
         block_interval = \"1s\"\njournal_commit = \"50ms\"\n[queue]\ndisk_reserve = 0\n\
         [[source]]\nid = \"server\"\nprotocol = \"opc-ua\"\nendpoint = \"opc.tcp://{}/\"\ninsecure = true\n\
         publishing_interval = \"20ms\"\nsampling_interval = \"1ms\"\nsilence = \"3s\"\nreconnect_max = \"200ms\"\n\
         [[source.tag]]\nname = \"m/count\"\nnode = \"nsu=urn:plumbline:peer;s=count\"\ntype = \"i64\"\n\
         section = \"kpi\"\nqueue_size = 100\n",
        state.display().to_string(),
        proxy.addr()
    );
    agent::config::parse(&text, "agent.toml").unwrap()
}

/// What the blocks of a queue say of the only tag, in the order in which it was handed on: a count, or its status.
fn rows(state: &Path, config: &Config) -> Vec<Result<i64, StatusCode>> {
    let (mut queue, _) = Queue::open(state, config.queue.clone(), Timestamp::from_secs(0)).unwrap();
    let mut rows = Vec::new();
    let mut from = 1;
    while let Some((sequence, _)) = queue.next_from(from).unwrap() {
        let bytes = queue.block(sequence).unwrap().unwrap();
        for (_, group) in block::open(&bytes, &Limits::default()).unwrap().groups().unwrap() {
            let Group::Event(event) = group else { continue };
            rows.extend(event.columns.into_iter().flat_map(|column| column.rows).map(|row| match row.value {
                Some(Raw::Bits(bits)) => Ok(bits.cast_signed()),
                _ => Err(row.status),
            }));
        }
        from = sequence + 1;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_cut_everything_that_asyncua_showed_comes_in_order() {
    let Some(python) = python() else { return };
    let mut peer = Peer::start(&python, "opcua_server.py");
    assert_eq!(peer.tell(&json!({"add": [["count", "Int64", 0]]})), "ok");
    let target = peer.address.trim_start_matches("opc.tcp://").trim_end_matches('/').parse().unwrap();
    let proxy = FaultProxy::start(target, 1).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = config(state.path(), &proxy);
    let (wait, stop) = (Arc::new(RealTime::new()), CancellationToken::new());
    assert!(wait.now() > Timestamp::from_secs(START), "the counter's times lie in the past");
    let agent = Agent::start(config.clone(), wait, stop.clone()).await.unwrap();
    let tag = "m/count".parse().unwrap();
    let mut count = 0_i64;
    let mut show = |peer: &mut Peer| {
        count += 1;
        let micros = (START + count) * 1_000_000;
        assert_eq!(peer.tell(&json!({"set": [["count", "Int64", count, micros, 0]]})), "ok");
        count
    };
    let patience = Duration::from_secs(20);
    assert!(saw(&agent, &tag, 0, patience).await.unwrap(), "the subscription did not come up");
    for round in 0..6 {
        for _ in 0..10 {
            let shown = show(&mut peer);
            assert!(saw(&agent, &tag, shown, patience).await.unwrap(), "round {round}: {shown} did not arrive");
        }
        // The client has two requests waiting when nothing happens for a while. Their answers die with the line, in
        // every other round stuck in it for a while: the server has sent them, so they must be asked for again.
        tokio::time::sleep(Duration::from_millis(300)).await;
        if round % 2 == 0 {
            proxy.set(Fault::Stall);
            for _ in 0..5 {
                show(&mut peer);
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
        proxy.set(Fault::Refuse);
        for _ in 0..5 {
            show(&mut peer);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        proxy.set(Fault::None);
        let shown = show(&mut peer);
        assert!(saw(&agent, &tag, shown, patience).await.unwrap(), "round {round}: the line was not found again");
    }
    stop.cancel();
    agent.join().await;

    let mut rows = rows(state.path(), &config);
    rows.dedup(); // a block restates what was known before it
    assert_eq!(rows, (0..=count).map(Ok).collect::<Vec<_>>());
    println!("{count} values over 6 cuts");
}
