//! The OPC UA server against async-opcua's client.

use std::sync::Arc;

use opcua::types::{AttributeId, DataValue, NodeId, ReadValueId, StatusCode, TimestampsToReturn, Variant, WriteValue};
use shopfloor::time::{HOUR, SECOND, Timestamp};
use simulators::machine::World;
use simulators::nodes::{NodeSource, WorldNodes};
use simulators::opcua_server::{OpcUaServer, Pace};
use simulators::scenario::Scenario;

use crate::opcua_client::Client;

fn small() -> (Arc<WorldNodes>, Timestamp) {
    let start = Timestamp::parse("2026-11-25T08:30:00+08:00").unwrap();
    let world = World::new(&Scenario::builtin("small").unwrap(), 5, start, 4 * HOUR);
    (Arc::new(WorldNodes::new(Arc::new(world), "opcua-a")), start)
}

fn identifiers(nodes: &WorldNodes) -> Vec<String> {
    nodes.nodes().into_iter().map(|node| node.identifier).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_every_step_arrives_with_its_source_time_before_the_tick() {
    let (nodes, start) = small();
    let server = OpcUaServer::start("test", nodes.clone(), start, Pace::Fast).await.unwrap();
    let mut client = Client::connect(&server).await;
    client.monitor(&identifiers(&nodes)).await;
    client.tick(1).await;
    client.tick(server.tick(start).unwrap()).await;
    let mut expected = nodes.changes(None, start).len();
    for step in 1..=720 {
        let at = start.plus(step * 10 * SECOND);
        client.tick(server.step(at).unwrap()).await;
        client.tick(server.tick(at).unwrap()).await;
        expected += nodes.changes(Some(at.plus(-10 * SECOND)), at).len();
        let seen = client.seen.lock().unwrap();
        assert_eq!(seen.len(), expected, "after step {step}");
        let ticks = at.as_nanos() / 100 + 116_444_736_000_000_000;
        assert!(seen.iter().all(|(_, value, status, time)| value.is_some() && *status == 0 && *time <= ticks));
    }
    let states: Vec<_> = client.seen.lock().unwrap().iter().filter(|s| s.0.ends_with("State")).cloned().collect();
    assert!(states.len() > 5, "the machine did something: {states:?}");
    client.session.disconnect().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_and_counted_and_statuses_can_be_forced() {
    let (nodes, start) = small();
    let server = OpcUaServer::start("test", nodes.clone(), start, Pace::Fast).await.unwrap();
    let mut client = Client::connect(&server).await;
    let node = NodeId::new(client.index, "imm-01.State");
    let value = DataValue::value_only(Variant::Int32(99));
    let write = WriteValue::new(node.clone(), AttributeId::Value, opcua::types::NumericRange::None, value);
    assert_eq!(client.session.write(&[write]).await.unwrap(), [StatusCode::BadNotWritable]);
    assert_eq!(server.writes(), 1);
    let read = ReadValueId::from(node);
    let read_back = client.session.read(&[read], TimestampsToReturn::Both, 0.0).await.unwrap();
    assert_ne!(read_back[0].value, Some(Variant::Int32(99)));

    client.monitor(&["imm-01.State".to_owned()]).await;
    client.tick(1).await;
    server.force_status("imm-01.State", Some(shopfloor::sample::StatusCode::BAD_DEVICE_FAILURE));
    client.tick(server.step(start.plus(10 * SECOND)).unwrap()).await;
    server.force_status("imm-01.State", None);
    client.tick(server.step(start.plus(20 * SECOND)).unwrap()).await;
    client.tick(server.tick(start.plus(20 * SECOND)).unwrap()).await;
    let seen = client.seen.lock().unwrap().clone();
    let shown: Vec<_> = seen.iter().map(|(_, value, status, _)| (*value != Some(Variant::Empty), *status)).collect();
    assert_eq!(shown, [(true, 0), (false, 0x808B_0000), (true, 0)], "{seen:?}");
    client.session.disconnect().await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_comes_back_on_the_same_port() {
    let (nodes, start) = small();
    for graceful in [true, false] {
        let server = OpcUaServer::start("test", nodes.clone(), start, Pace::Fast).await.unwrap();
        let addr = server.addr();
        let client = Client::connect(&server).await;
        if graceful {
            client.session.disconnect().await.unwrap();
            server.stop().await;
        } else {
            server.kill().await;
        }
        let again = OpcUaServer::start_at(addr, "test", nodes.clone(), start, Pace::Fast).await.unwrap();
        let mut client = Client::connect(&again).await;
        client.monitor(&identifiers(&nodes)).await;
        client.tick(1).await;
        client.session.disconnect().await.unwrap();
        again.stop().await;
    }
}
