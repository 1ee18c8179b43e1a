//! Publishing against a broker and a collector that misbehave.

use std::path::Path;

use agent::config::Config;
use shopfloor::hash::Hash;
use shopfloor::time::Timestamp;
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::control::{Ack, Birth, Down, Refused, Status};
use shopfloor::wire::header::{GapKind, GapRecord, Header};
use shopfloor::wire::sign::SecretKey;
use shopfloor::wire::topic::{Channel, Topic};

use super::broker::{Broker, Seen};
use super::device::{Device, Reply, right};
use super::support::{Running, blocks, head, modbus, parse, start};

fn collector_key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn topic(config: &Config, channel: Channel) -> String {
    Topic { site: config.site.clone(), agent: config.agent.clone(), channel }.to_string()
}

fn config(state: &Path, broker: &Broker, device: &Device) -> Config {
    let publish = format!(
        "[publish]\nbroker = \"mqtt://{}\"\ncollector_key = \"{}\"\nresend = \"60s\"\nreconnect_max = \"100ms\"\n",
        broker.address,
        collector_key().public()
    );
    let source = modbus("device", device.address.port(), "m/value").replace("150ms", "10s");
    parse(&(head(state) + &publish + &source))
}

async fn device() -> Device {
    Device::start(|_, request| Reply::Bytes(right(request, 7))).await
}

fn ack(config: &Config, contiguous: u64) -> Ack {
    Ack {
        site: config.site.clone(),
        agent: config.agent.clone(),
        epoch: 1,
        contiguous,
        beyond: vec![],
        refused: vec![],
        log_index: 40 + contiguous,
        log_origin: "log.example/1".to_owned(),
        sent_at: Timestamp::from_secs(1),
    }
}

/// The bytes of the next block on the wire.
async fn next_bytes(broker: &mut Broker, config: &Config) -> Vec<u8> {
    let topic = topic(config, Channel::Block);
    let bytes = broker.until(|seen| match seen {
        Seen::Publish { topic: found, payload, retain: false } if found == topic => Some(payload),
        _ => None,
    });
    bytes.await
}

/// The next block on the wire, its signature checked.
async fn next_block(broker: &mut Broker, config: &Config) -> (Header, Hash) {
    let bytes = next_bytes(broker, config).await;
    let opened = block::open(&bytes, &Limits::default()).unwrap();
    opened.verify(&agent::identity::demo_key(&config.site, &config.agent).public()).unwrap();
    (opened.header.clone(), opened.hash)
}

async fn block_with(broker: &mut Broker, config: &Config, kind: GapKind) -> (Header, GapRecord) {
    loop {
        let (header, _) = next_block(broker, config).await;
        if let Some(gap) = header.gaps.iter().find(|g| g.kind == kind).cloned() {
            return (header, gap);
        }
    }
}

async fn acknowledged(running: &Running, sequence: u64) {
    let waiting = async {
        while running.agent.progress().acknowledged < sequence {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), waiting).await.expect("the acknowledgement is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_leaves_the_queue_only_on_the_collectors_own_acknowledgement() {
    let (mut broker, device, state) = (Broker::start().await, device().await, tempfile::tempdir().unwrap());
    let config = config(state.path(), &broker, &device);
    let running = start(config.clone()).await;
    let ack_topic = topic(&config, Channel::Ack);
    assert_eq!(next_block(&mut broker, &config).await.0.sequence, 1);
    assert_eq!(next_block(&mut broker, &config).await.0.sequence, 2);
    // The broker has confirmed both (PUBACK); nothing may leave on that, nor on any of these.
    broker.send(&ack_topic, ack(&config, 2).encode(&SecretKey::from_seed([8; 32])));
    broker.send(&ack_topic, Ack { agent: "agent-2".parse().unwrap(), ..ack(&config, 2) }.encode(&collector_key()));
    broker.send(&ack_topic, Ack { epoch: 2, ..ack(&config, 2) }.encode(&collector_key()));
    broker.send(&ack_topic, ack(&config, 1_000_000).encode(&collector_key()));
    broker.send(&ack_topic, vec![1, 2, 3]);
    broker.send(&ack_topic, ack(&config, 1).encode(&collector_key()));
    acknowledged(&running, 1).await;
    assert!(running.agent.progress().queued_blocks >= 1, "block 2 is still there");
    broker.send(&ack_topic, ack(&config, 0).encode(&collector_key()));
    broker.send(&ack_topic, ack(&config, 2).encode(&collector_key()));
    acknowledged(&running, 2).await;
    while next_block(&mut broker, &config).await.0.sequence < 3 {}
    running.end().await;
    assert_eq!(blocks(state.path(), &config)[0].header.sequence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_55_a_session_that_the_broker_forgot_loses_nothing() {
    let (mut broker, device, state) = (Broker::start().await, device().await, tempfile::tempdir().unwrap());
    let config = config(state.path(), &broker, &device);
    let running = start(config.clone()).await;
    let will = broker.until(|seen| match seen {
        Seen::Connect { clean_start, will } => Some((clean_start, will)),
        _ => None,
    });
    let (clean_start, will) = will.await;
    let (will_topic, will) = will.unwrap();
    assert!(!clean_start);
    assert_eq!(will_topic, topic(&config, Channel::Status));
    assert!(!Status::decode(&will, running.agent.public_key()).unwrap().online);
    assert_eq!(next_block(&mut broker, &config).await.0.sequence, 1);
    broker.cut();
    broker.until(|seen| (seen == Seen::Gone).then_some(())).await;
    // Every connection subscribes, says that it is there and what it reads, and sends what is not acknowledged.
    let mut subscribed = Vec::new();
    let (status_topic, birth_topic) = (topic(&config, Channel::Status), topic(&config, Channel::Birth));
    let birth = broker.until(|seen| match seen {
        Seen::Subscribe(topic) => {
            subscribed.push(topic);
            None
        }
        Seen::Publish { topic, payload, retain: true } if topic == status_topic => {
            assert!(Status::decode(&payload, running.agent.public_key()).unwrap().online);
            None
        }
        Seen::Publish { topic, payload, retain: true } if topic == birth_topic => Some(payload),
        _ => None,
    });
    let birth = Birth::decode(&birth.await, running.agent.public_key()).unwrap();
    assert_eq!(birth.register_map, running.agent.register_map().encode());
    assert_eq!(subscribed, [topic(&config, Channel::Ack), topic(&config, Channel::Down)]);
    let mut sequences = vec![next_block(&mut broker, &config).await.0.sequence];
    while !sequences.contains(&1) {
        sequences.push(next_block(&mut broker, &config).await.0.sequence);
    }
    assert!(sequences.len() <= 3, "it is sent again at once: {sequences:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_block_is_parked_and_the_next_block_says_so() {
    let (mut broker, device, state) = (Broker::start().await, device().await, tempfile::tempdir().unwrap());
    let config = config(state.path(), &broker, &device);
    let running = start(config.clone()).await;
    let bytes = next_bytes(&mut broker, &config).await;
    let hash = block::open(&bytes, &Limits::default()).unwrap().hash;
    // Somebody else's bytes under our name are refused too: that changes nothing.
    let reason = format!("forged; bytes sha256:{}", Hash::of(b"forged"));
    let refused = vec![Refused { sequence: 1, reason }];
    broker.send(&topic(&config, Channel::Ack), Ack { refused, ..ack(&config, 0) }.encode(&collector_key()));
    let reason = format!("too big; bytes sha256:{}", Hash::of(&bytes));
    let refused = vec![Refused { sequence: 1, reason: reason.clone() }];
    broker.send(&topic(&config, Channel::Ack), Ack { refused, ..ack(&config, 0) }.encode(&collector_key()));
    let (header, gap) = block_with(&mut broker, &config, GapKind::Refused).await;
    assert_eq!((gap.sequences, gap.last_block_hash, gap.detail.as_str()), (Some((1, 1)), Some(hash), reason.as_str()));
    broker.send(&topic(&config, Channel::Ack), ack(&config, header.sequence).encode(&collector_key()));
    acknowledged(&running, header.sequence).await;
    broker.cut();
    assert!(next_block(&mut broker, &config).await.0.sequence > header.sequence, "the parked one is not sent again");
    running.end().await;
    let (mut queue, _) =
        agent::queue::Queue::open(state.path(), config.queue.clone(), Timestamp::from_secs(0)).unwrap();
    let line = queue.lines(1).unwrap().remove(0);
    assert_eq!((line.sequence, line.parked.as_deref()), (1, Some(reason.as_str())), "it is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_collector_gets_what_is_there_and_a_signed_record_for_the_rest() {
    let (mut broker, device, state) = (Broker::start().await, device().await, tempfile::tempdir().unwrap());
    let config = config(state.path(), &broker, &device);
    let running = start(config.clone()).await;
    next_block(&mut broker, &config).await;
    next_block(&mut broker, &config).await;
    broker.send(&topic(&config, Channel::Ack), ack(&config, 1).encode(&collector_key()));
    acknowledged(&running, 1).await;
    let (site, agent) = (config.site.clone(), config.agent.clone());
    let sent_at = Timestamp::from_secs(2);
    let ranges =
        Down::RequestRanges { site: site.clone(), agent: agent.clone(), epoch: 1, ranges: vec![(1, 2)], sent_at };
    let down = topic(&config, Channel::Down);
    broker.send(&down, ranges.encode(&SecretKey::from_seed([8; 32])));
    broker.send(&down, ranges.encode(&collector_key()));
    let (mut again, mut record) = (false, None);
    while !again || record.is_none() {
        let (header, _) = next_block(&mut broker, &config).await;
        again |= header.sequence == 2;
        record = header.gaps.into_iter().find(|g| g.kind == GapKind::Restored).or(record);
    }
    let record = record.unwrap();
    assert_eq!(record.sequences, Some((1, 1)));
    assert!(record.detail.contains("log.example/1") && record.detail.contains("index 41"), "{}", record.detail);
    broker.send(&down, Down::RequestBirth { site, agent, sent_at }.encode(&collector_key()));
    let birth = topic(&config, Channel::Birth);
    broker
        .until(|seen| matches!(seen, Seen::Publish { topic, retain: true, .. } if topic == birth).then_some(()))
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_sends_the_last_block_and_a_goodbye() {
    let (mut broker, device, state) = (Broker::start().await, device().await, tempfile::tempdir().unwrap());
    let config = config(state.path(), &broker, &device);
    let running = start(config.clone()).await;
    next_block(&mut broker, &config).await;
    let mut readings = running.agent.live().readings();
    readings.mark_unchanged();
    readings.changed().await.unwrap();
    let key = *running.agent.public_key();
    running.end().await;
    let last = blocks(state.path(), &config).last().unwrap().header.sequence;
    let (status, block) = (topic(&config, Channel::Status), topic(&config, Channel::Block));
    let (mut newest, mut offline) = (0, false);
    broker
        .until(|seen| match seen {
            Seen::Publish { topic, payload, .. } if topic == block => {
                newest = block::open(&payload, &Limits::default()).unwrap().header.sequence;
                None
            }
            Seen::Publish { topic, payload, retain: true } if topic == status => {
                offline = !Status::decode(&payload, &key).unwrap().online;
                None
            }
            Seen::Disconnect => Some(()),
            _ => None,
        })
        .await;
    assert!(offline, "the goodbye is said before the connection ends");
    assert_eq!(newest, last);
}
