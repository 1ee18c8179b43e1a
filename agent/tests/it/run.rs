//! Starting and stopping.

use std::sync::Arc;

use agent::identity::IdentityError;
use agent::wait::RealTime;
use agent::{Agent, AgentError};
use shopfloor::wire::header::GapKind;
use tokio_util::sync::CancellationToken;

use super::device::{Device, Reply, right};
use super::support::{blocks, head, modbus, parse, rows, start};

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
    let values: Vec<u64> = rows(&blocks, 0).iter().map(|r| r.2).collect();
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
