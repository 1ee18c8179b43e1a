//! Starting and stopping.

use std::collections::BTreeSet;
use std::sync::Arc;

use agent::identity::IdentityError;
use agent::wait::RealTime;
use agent::{Agent, AgentError};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::{HOUR, SECOND, Timestamp, Wait};
use shopfloor::unit::Rational;
use shopfloor::wire::header::GapKind;
use simulators::lockstep::LockStep;
use tokio_util::sync::CancellationToken;

use super::device::{Device, Reply, right};
use super::support::{Row, blocks, head, modbus, parse, rows, start};

/// Values of good rows: a busy machine may miss scans, which are Bad rows.
fn good(rows: &[Row]) -> Vec<u64> {
    rows.iter().filter(|r| r.1 == StatusCode::GOOD).map(|r| r.2).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_97_a_second_agent_on_one_directory_refuses() {
    let state = tempfile::tempdir().unwrap();
    let config = parse(&head(state.path()));
    let first = start(config.clone()).await;
    let second = Agent::start(config.clone(), Arc::new(RealTime::new()), CancellationToken::new()).await;
    let error = second.map(|_| ()).expect_err("the directory is in use");
    assert!(matches!(error, AgentError::Identity(IdentityError::InUse(_))), "{error}");
    first.end().await;
    start(config).await.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_seals_everything_and_a_start_continues_the_chain() {
    let device = Device::start(|number, request| Reply::Bytes(right(request, u16::try_from(number).unwrap()))).await;
    let state = tempfile::tempdir().unwrap();
    let source = modbus("device", device.address.port(), "m/value").replace("150ms", "10s");
    let config = parse(&(head(state.path()) + &source));
    for _ in 0..2 {
        let running = start(config.clone()).await;
        running.until("m/value", |live| live.value.is_some()).await;
        running.end().await;
    }
    let blocks = blocks(state.path(), &config);
    let values = good(&rows(&blocks, 0));
    let expected: Vec<u64> = (0..values.len() as u64).collect();
    assert_eq!(values, expected, "every answer of the device is in the blocks once, in order");
    let down: Vec<_> = blocks.iter().flat_map(|b| &b.header.gaps).filter(|g| g.kind == GapKind::AgentDown).collect();
    assert_eq!(down.len(), 1, "the pause between the runs is recorded");
    assert!(blocks.iter().all(|b| b.header.marks.demo_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_answer_on_loopback() {
    let device = Device::start(|_, request| Reply::Bytes(right(request, 1))).await;
    let state = tempfile::tempdir().unwrap();
    let text = head(state.path()) + "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let running = start(parse(&(text + &modbus("device", device.address.port(), "m/value")))).await;
    running.until("m/value", |live| live.value.is_some()).await;
    let address = running.agent.health_addr().unwrap();
    let get = move |path: &'static str| {
        tokio::task::spawn_blocking(move || {
            ureq::get(format!("http://{address}{path}")).call().unwrap().body_mut().read_to_string().unwrap()
        })
    };
    let health: serde_json::Value = serde_json::from_str(&get("/health").await.unwrap()).unwrap();
    assert_eq!((health["status"].as_str(), health["site"].as_str()), (Some("ok"), Some("site-1")));
    let metrics = get("/metrics").await.unwrap();
    let line = metrics.lines().find(|l| l.starts_with("agent_samples_read_total{result=\"good\",source=\"device\"}"));
    assert!(line.is_some_and(|l| !l.ends_with(" 0")), "{metrics}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_lock_step_every_scan_falls_on_its_instant() {
    let device = Device::start(|_, request| Reply::Bytes(right(request, 1))).await;
    let state = tempfile::tempdir().unwrap();
    let source = modbus("device", device.address.port(), "m/value").replace("150ms", "10s").replace("50ms", "10s");
    let text = head(state.path()).replace("block_interval = \"1s\"", "block_interval = \"60s\"") + &source;
    let config = parse(&text.replace("journal_commit = \"50ms\"", "journal_commit = \"10s\""));
    let start_at = Timestamp::from_secs(1_800_000_000);
    let clock = LockStep::starting_at(start_at);
    let mut driver = clock.worker();
    let stop = CancellationToken::new();
    let agent = Agent::start(config.clone(), Arc::new(clock.clone()), stop.clone()).await.unwrap();
    driver.until(start_at.plus(HOUR)).await;
    stop.cancel();
    agent.join().await;
    let blocks = blocks(state.path(), &config);
    let rows = rows(&blocks, 0);
    let late = |row: &(i64, StatusCode, u64)| row.0 % (10 * SECOND) != 0 || row.1 != StatusCode::GOOD;
    assert_eq!(rows.iter().filter(|row| late(row)).count(), 0);
    let instants: BTreeSet<i64> = rows.iter().map(|row| row.0).collect();
    assert!((360..=361).contains(&rows.len()) && instants.len() == rows.len(), "{} rows", rows.len());
    assert!((60..=62).contains(&blocks.len()), "{} blocks", blocks.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_agent_had_journaled_is_sealed_at_the_next_start() {
    let device = Device::start(|number, request| Reply::Bytes(right(request, u16::try_from(number).unwrap()))).await;
    let state = tempfile::tempdir().unwrap();
    let source = modbus("device", device.address.port(), "m/value").replace("150ms", "10s");
    let text = head(state.path()).replace("block_interval = \"1s\"", "block_interval = \"60s\"") + &source;
    let config = parse(&text);
    let running = start(config.clone()).await;
    running.until("m/value", |live| live.value == Some(Value::Exact(Rational::integer(20)))).await;
    // The state as a kill would leave it, while the agent goes on.
    let copied = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(state.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copied.path().join(entry.file_name())).unwrap();
    }
    running.end().await;
    let again = parse(&text.replace(&state.path().display().to_string(), &copied.path().display().to_string()));
    start(again).await.end().await;
    let blocks = blocks(copied.path(), &config);
    let values = good(&rows(&blocks[..1], 0));
    assert!(values.len() >= 10, "{values:?}");
    assert_eq!(values, (0..values.len() as u64).collect::<Vec<_>>());
    assert_eq!(blocks[0].header.gaps[0].kind, GapKind::AgentDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_refuses_nothing_is_sealed_polling_goes_on_and_nothing_is_lost() {
    let device = Device::start(|number, request| Reply::Bytes(right(request, u16::try_from(number).unwrap()))).await;
    let state = tempfile::tempdir().unwrap();
    let source = modbus("device", device.address.port(), "m/value").replace("150ms", "10s");
    let config = parse(&(head(state.path()) + "[metrics]\nlisten = \"127.0.0.1:0\"\n" + &source));
    let running = start(config.clone()).await;
    running.until("m/value", |live| live.value.is_some()).await;
    // Whoever holds the database for longer than the agent waits looks like a disk that refuses.
    let other = rusqlite::Connection::open(state.path().join("queue.db")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE state SET log_index = 7;").unwrap();
    let address = running.agent.health_addr().unwrap();
    let healthy = move || ureq::get(format!("http://{address}/health")).call().is_ok();
    let until_health = |wanted: bool| {
        tokio::task::spawn_blocking(move || {
            while healthy() != wanted {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        })
    };
    until_health(false).await.unwrap();
    let sealed = running.agent.progress().sealed;
    let mut readings = running.agent.live().readings();
    let more = *readings.borrow() + 20;
    readings.wait_for(|count| *count >= more).await.unwrap();
    assert_eq!(running.agent.progress().sealed, sealed);
    other.execute_batch("ROLLBACK").unwrap();
    until_health(true).await.unwrap();
    running.end().await;
    let values = good(&rows(&blocks(state.path(), &config), 0));
    assert_eq!(values, (0..values.len() as u64).collect::<Vec<_>>(), "every answer once, in order");
    assert!(values.len() > 20);
}
