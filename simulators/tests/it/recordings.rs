//! The recordings that lie beside the project, where they lie there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use opcua::types::Variant;
use shopfloor::time::{SECOND, Timestamp, Wait};
use simulators::lockstep::LockStep;
use simulators::modbus_server::ModbusServer;
use simulators::opcua_server::{OpcUaServer, Pace};
use simulators::registers::WordOrder;
use simulators::replay::energy::QUARTER;
use simulators::replay::{Energy, EnergyMeter, Shdr, ShdrNodes};
use tokio_modbus::Slave;
use tokio_modbus::client::{Reader, tcp};

use crate::opcua_client::Client;

fn recording(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: no recordings");
    }
    text
}

#[test]
fn a_year_of_a_steel_works() {
    let Some(text) = recording("steel-industry-energy.csv") else { return };
    let start = Timestamp::parse("2018-01-01T00:00:00+09:00").unwrap();
    let energy = Energy::read(&text, "Usage_kWh", start, QUARTER).unwrap();
    assert_eq!(energy.rows().count(), 35_040);
    assert_eq!(energy.finish(), Timestamp::parse("2019-01-01T00:00:00+09:00").unwrap());
    let days = energy.days();
    assert_eq!(days.len(), 365);
    assert!(days.iter().all(|(from, until, _)| until.since(*from) == 96 * QUARTER));
    assert_eq!(days.iter().map(|(_, _, used)| used).sum::<u64>(), energy.at(energy.finish()));
    assert_eq!(energy.first(31 * 96).days().len(), 31);
}

#[test]
fn a_turn_mill_in_four_connections() {
    let Some(text) = recording("okuma-multus-2022-08-08.shdr.txt") else { return };
    let recording = Shdr::read(&text).unwrap();
    assert_eq!(recording.connections(), 4);
    assert!(recording.events().windows(2).all(|pair| pair[0].at <= pair[1].at));
    let execution = recording.only(&["pexecution"]);
    let mut counts = BTreeMap::new();
    for event in execution.events().iter().filter(|event| event.recorded) {
        *counts.entry(event.value.as_str()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("ACTIVE", 4), ("PROGRAM_COMPLETED", 4), ("READY", 8)]));
    // No two values of the recording follow each other without a change, once the ends of connections are in.
    assert!(execution.events().windows(2).all(|pair| pair[0].value != pair[1].value));
    let closest = execution.events().windows(2).map(|pair| pair[1].at.since(pair[0].at)).max();
    assert!(closest.is_some_and(|longest| longest > SECOND));
}

/// 31 days of the meter, read by a foreign client at the end of each quarter of an hour while time stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_the_meter_read_through_a_server_in_lock_step() {
    let Some(text) = recording("steel-industry-energy.csv") else { return };
    let start = Timestamp::parse("2018-01-01T00:00:00+09:00").unwrap();
    let energy = Arc::new(Energy::read(&text, "Usage_kWh", start, QUARTER).unwrap().first(31 * 96));
    let clock = LockStep::starting_at(start);
    let meter = EnergyMeter::new(energy.clone(), 3, WordOrder::Cdab);
    let server = ModbusServer::start(Arc::new(meter), Arc::new(clock.clone())).await.unwrap();
    let mut client = tcp::connect_slave(server.addr(), Slave(3)).await.unwrap();
    let mut worker = clock.worker();
    let mut read = Vec::new();
    for (end, _) in energy.rows() {
        worker.until(end).await;
        let words = client.read_holding_registers(0, 2).await.unwrap().unwrap();
        read.push((end, u64::from(words[1]) << 16 | u64::from(words[0])));
    }
    assert_eq!(read, energy.rows().collect::<Vec<_>>());
    assert_eq!(server.counters().writes(), 0);
    server.stop().await;
}

/// The states of the turn-mill, with their source times, as a foreign client sees them.
#[tokio::test(flavor = "multi_thread")]
async fn the_turn_mills_states_arrive_with_their_source_times() {
    let Some(text) = recording("okuma-multus-2022-08-08.shdr.txt") else { return };
    let execution = Shdr::read(&text).unwrap().only(&["pexecution"]);
    let expected: Vec<(i64, String)> = execution
        .events()
        .iter()
        .filter(|event| event.recorded)
        .map(|event| (event.at.as_nanos() / 100 + 116_444_736_000_000_000, event.value.clone()))
        .collect();
    let instants = execution.instants();
    let nodes = Arc::new(ShdrNodes::new(Arc::new(execution)));
    let before = instants[0].plus(-SECOND);
    let server = OpcUaServer::start("okuma", nodes, before, Pace::Fast).await.unwrap();
    let mut client = Client::connect(&server).await;
    client.monitor(&["pexecution".to_owned()]).await;
    client.tick(1).await;
    for at in instants {
        client.tick(server.step(at).unwrap()).await;
    }
    let last = server.tick(before).unwrap();
    client.tick(last).await;
    let seen = client.seen.lock().unwrap().clone();
    let good = seen.into_iter().filter(|(_, _, status, _)| *status == 0);
    let texts = good.map(|(_, value, _, time)| match value {
        Some(Variant::String(text)) => (time, text.to_string()),
        other => panic!("no text: {other:?}"),
    });
    assert_eq!(texts.collect::<Vec<_>>(), expected);
    client.session.disconnect().await.unwrap();
    server.stop().await;
}
