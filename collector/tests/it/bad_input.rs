//! Bad inputs of the reliability page, each through the broker and each with its name.

use rumqttc::v5::mqttbytes::QoS;
use shopfloor::hash::Hash;
use shopfloor::wire::control::Down;
use shopfloor::wire::topic::Channel;

use crate::house::{Agent, Wire, collector, counted, site, stop, stored, until};

/// 50: a retained stale block comes again at every connect; it is acknowledged again and stored once.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_50_a_retained_stale_block_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    let stale = agent.block();
    wire.publish_as(&agent.topic(Channel::Block), &stale.bytes, QoS::AtLeastOnce, true).await;
    wire.acked(1).await;
    let second = agent.block();
    wire.send(&agent, &second).await;
    wire.acked(2).await;
    // Another subscriber gets the retained block, as the collector will when it connects again.
    wire.publish_as(&agent.topic(Channel::Block), &stale.bytes, QoS::AtLeastOnce, true).await;
    until("the stale block was judged again", || counted(&first, "duplicate") >= 1).await;
    assert_eq!(stored(&first, &agent), [(1, stale.hash), (2, second.hash)]);
    stop(first, token).await;
}

/// 52: a block on the topic of another agent or site is refused and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_52_a_block_on_a_foreign_topic_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut agent, victim) = (Agent::new("edge-01", 1), Agent::new("edge-02", 2));
    let (collector, token) = collector(folder.path(), &[&agent, &victim]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let sealed = agent.block();
    wire.publish(&victim.topic(Channel::Block), &sealed.bytes).await;
    let shard_of_another_site = agent.topic(Channel::Block).replace(site().as_str(), "ningbo");
    wire.publish(&shard_of_another_site, &sealed.bytes).await;
    until("the block was refused", || counted(&collector, "other_topic") == 1).await;
    let refused = || collector.metrics().refused_messages.with_label_values(&["unknown"]).get();
    until("the wrong shard was refused", || refused() == 1).await;
    let view = collector.store().agents.agent(&site(), &victim.id).unwrap();
    assert!(view.alarms.iter().any(|alarm| alarm.code == "other_topic"), "{view:?}");
    assert_eq!(collector.store().log.size(), 0);
    // On its own topic the same block is welcome.
    wire.send(&agent, &sealed).await;
    wire.acked(1).await;
    stop(collector, token).await;
}

/// 54: the same block again, as a client sends it that saw no PUBACK.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_54_a_block_sent_again_is_stored_once_and_acknowledged_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..5).map(|_| agent.block()).collect();
    for _ in 0..3 {
        for sealed in &blocks {
            wire.send(&agent, sealed).await;
        }
        wire.acked(5).await;
        until("nothing waits", || wire_is_idle(&collector)).await;
        wire.drain();
    }
    until("all repeats were judged", || counted(&collector, "duplicate") == 10).await;
    assert_eq!(stored(&collector, &agent).len(), 5);
    wire.send(&agent, &blocks[2]).await;
    wire.acked(5).await;
    stop(collector, token).await;
}

fn wire_is_idle(collector: &collector::Collector) -> bool {
    (counted(collector, "accepted") + counted(collector, "duplicate")).is_multiple_of(5)
}

/// 55: the broker says that it has no session. Blocks in flight are sent again and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_55_a_lost_session_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (mut collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..40).map(|_| agent.block()).collect();
    for sealed in &blocks {
        wire.send(&agent, sealed).await;
    }
    collector.restart_broker().await.unwrap();
    assert!(!wire.connected().await.session_present);
    wire.deliver(&agent, &blocks).await;
    assert_eq!(stored(&collector, &agent).len(), 40);
    stop(collector, token).await;
}

/// 61: a forged signature is refused, raises an alarm, is kept in quarantine, and does not stand in the way of the
/// true block.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_61_a_forged_signature_is_refused_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let genuine = agent.block();
    let mut forged = genuine.bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    wire.publish(&agent.topic(Channel::Block), &forged).await;
    until("the forgery was refused", || counted(&collector, "forged") == 1).await;
    assert_eq!(collector.store().log.size(), 0);
    let view = collector.store().agents.agent(&site(), &agent.id).unwrap();
    assert_eq!(view.alarms.iter().map(|alarm| (alarm.code, alarm.count)).collect::<Vec<_>>(), [("forged", 1)]);
    assert_eq!(quarantined(folder.path(), "forged"), [forged]);
    wire.send(&agent, &genuine).await;
    let ack = wire.acked(1).await;
    assert!(ack.refused.is_empty(), "one forgery gives nothing up: {ack:?}");
    stop(collector, token).await;
}

/// 61, the other side: a block that is broken at its agent and comes the same again and again is given up by name,
/// with the hash of its bytes, so that its agent can park it and the chain goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_stays_broken_is_refused_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let mut broken = agent.block().bytes;
    *broken.last_mut().unwrap() ^= 1;
    for _ in 0..3 {
        wire.publish(&agent.topic(Channel::Block), &broken).await;
    }
    let ack = wire.ack("the refusal", |ack| !ack.refused.is_empty()).await;
    assert_eq!(ack.refused[0].sequence, 1);
    assert!(ack.refused[0].reason.contains(&Hash::of(&broken).to_string()), "{ack:?}");
    assert_eq!(ack.contiguous, 0);
    stop(collector, token).await;
}

/// 62: a valid signature by a key that is not enrolled, under an enrolled name and under a name of its own.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_62_a_key_that_is_not_enrolled_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::new("edge-01", 1);
    let mut impostor = Agent::new("edge-01", 9);
    let mut stranger = Agent::new("edge-99", 9);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let wire = Wire::connect(&collector, &agent).await;
    for _ in 0..4 {
        let sealed = impostor.block();
        wire.send(&impostor, &sealed).await;
        wire.publish(&impostor.topic(Channel::Birth), &impostor.birth()).await;
        let sealed = stranger.block();
        wire.send(&stranger, &sealed).await;
    }
    until("all were refused", || counted(&collector, "forged") == 4 && counted(&collector, "not_enrolled") == 4).await;
    let births = || collector.metrics().refused_messages.with_label_values(&["birth"]).get();
    until("the births were refused", || births() == 4).await;
    assert_eq!(collector.store().log.size(), 0);
    stop(collector, token).await;
}

/// 63: an old block again is nothing; another block under an old number is kept beside it, and both are disputed.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_63_an_equivocation_is_kept_beside_and_disputed() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    let blocks: Vec<_> = (0..4).map(|_| agent.block()).collect();
    for sealed in &blocks {
        wire.send(&agent, sealed).await;
    }
    wire.acked(4).await;
    wire.send(&agent, &blocks[1]).await;
    until("the replay was judged", || counted(&first, "duplicate") == 1).await;
    assert_eq!(stored(&first, &agent).len(), 4);

    let other = agent.sealed(3, blocks[1].hash, Vec::new(), "the other truth");
    for _ in 0..2 {
        wire.send(&agent, &other).await;
    }
    until("the second copy was judged", || counted(&first, "duplicate") == 2).await;
    until("it is stored", || stored(&first, &agent).len() == 5).await;
    let both: Vec<_> = stored(&first, &agent).into_iter().filter(|(sequence, _)| *sequence == 3).collect();
    assert_eq!(both, [(3, blocks[2].hash), (3, other.hash)]);
    let view = first.store().agents.agent(&site(), &agent.id).unwrap();
    assert!(view.alarms.iter().any(|alarm| alarm.code == "equivocation"), "{view:?}");
    assert!(view.disputed.contains(&other.header.window));
    wire.acked(4).await;
    drop(wire);
    stop(first, token).await;

    // The dispute and the judgement outlast a restart, although the session remembers no hashes then.
    let (second, token) = collector(folder.path(), &[&agent]).await;
    let view = second.store().agents.agent(&site(), &agent.id).unwrap();
    assert!(view.disputed.contains(&other.header.window));
    let wire = Wire::connect(&second, &agent).await;
    wire.send(&agent, &other).await;
    wire.send(&agent, &blocks[2]).await;
    until("both were recognised", || counted(&second, "duplicate") == 2).await;
    assert_eq!(stored(&second, &agent).len(), 5);
    stop(second, token).await;
}

/// 64: a link that contradicts is held, the neighbours are asked for, and if the agent insists the break is marked.
/// A block that is merely ahead is no contradiction.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_64_a_broken_link_is_held_and_then_marked() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..3).map(|_| agent.block()).collect();
    wire.send(&agent, &blocks[0]).await;
    wire.send(&agent, &blocks[2]).await;
    wire.ack("3 beyond 1", |ack| ack.contiguous == 1 && ack.beyond == [(3, 3)]).await;
    assert_eq!(counted(&collector, "held"), 0);
    wire.send(&agent, &blocks[1]).await;
    wire.acked(3).await;

    let broken = agent.sealed(4, Hash::of(b"no block of ours"), Vec::new(), "");
    wire.send(&agent, &broken).await;
    let asked = wire
        .down("a request for 3 and 4", |down| matches!(down, Down::RequestRanges { ranges, .. } if ranges == &[(3, 4)]))
        .await;
    assert!(matches!(asked, Down::RequestRanges { epoch: 1, .. }));
    assert_eq!(stored(&collector, &agent).len(), 3, "held, not stored");
    wire.send(&agent, &broken).await;
    wire.acked(4).await;
    assert_eq!(counted(&collector, "broken_chain"), 1);
    let view = collector.store().agents.agent(&site(), &agent.id).unwrap();
    assert!(view.disputed.contains(&broken.header.window), "{view:?}");
    stop(collector, token).await;
}

/// 65: a sequence gap without a gap record stays open and is shown.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_65_a_gap_without_a_record_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..9).map(|_| agent.block()).collect();
    for sealed in blocks.iter().filter(|sealed| !(4..=6).contains(&sealed.header.sequence)) {
        wire.send(&agent, sealed).await;
    }
    let ack = wire.ack("7 to 9 beyond 3", |ack| ack.beyond == [(7, 9)]).await;
    assert_eq!(ack.contiguous, 3);
    let view = collector.store().agents.agent(&site(), &agent.id).unwrap();
    assert_eq!(view.missing, [(4, 6)]);
    stop(collector, token).await;
}

/// 66: a chain that begins again without a new epoch is rejected, and so is an epoch that is not enrolled.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_66_a_restart_without_a_new_epoch_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let fresh = agent.clone();
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    for _ in 0..3 {
        let sealed = agent.block();
        wire.send(&agent, &sealed).await;
    }
    wire.acked(3).await;
    let again = fresh.sealed(1, Hash::ZERO, Vec::new(), "reinstalled");
    wire.send(&agent, &again).await;
    until("the restart was rejected", || counted(&first, "restart") == 1).await;
    let mut next_epoch = Agent { epoch: 2, ..fresh };
    let of_next = next_epoch.block();
    wire.send(&agent, &of_next).await;
    until("the unknown epoch was rejected", || counted(&first, "wrong_epoch") == 1).await;
    assert_eq!(stored(&first, &agent).len(), 3);
    drop(wire);
    stop(first, token).await;

    // Enrolled, the new epoch begins a chain of its own; the old one stays in the log.
    let (second, token) = collector(folder.path(), &[&next_epoch]).await;
    let mut wire = Wire::connect(&second, &next_epoch).await;
    wire.send(&next_epoch, &of_next).await;
    let ack = wire.acked(1).await;
    assert_eq!(ack.epoch, 2);
    assert_eq!((stored(&second, &next_epoch).len(), stored(&second, &agent).len()), (1, 3));
    stop(second, token).await;
}

/// 67: keys of small order cannot be enrolled, and a signature with S beyond the group order is refused.
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_67_weak_keys_and_non_canonical_signatures_are_refused() {
    // The point of order one: anyone can sign for it.
    let weak = "schema = 1\n[collector]\nstate_dir = \"s\"\n[[agent]]\nsite = \"x\"\nid = \"y\"\n\
                public_key = \"ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n";
    let error = collector::config::parse(weak, "c.toml").unwrap_err().to_string();
    assert!(error.starts_with("c.toml:7:14: `public_key`"), "{error}");
    assert!(error.contains("prime-order"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let wire = Wire::connect(&collector, &agent).await;
    let mut bytes = agent.block().bytes;
    let s = bytes.len() - 32;
    add_group_order(&mut bytes[s..]);
    wire.publish(&agent.topic(Channel::Block), &bytes).await;
    until("the signature was refused", || counted(&collector, "forged") == 1).await;
    assert_eq!(collector.store().log.size(), 0);
    stop(collector, token).await;
}

/// S + L is the same number modulo L, and a lax verifier takes it.
fn add_group_order(scalar: &mut [u8]) {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0_u16;
    for (byte, add) in scalar.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
}

/// What lies in quarantine under a code.
fn quarantined(folder: &std::path::Path, code: &str) -> Vec<Vec<u8>> {
    let connection = rusqlite::Connection::open(folder.join("state/quarantine.db")).unwrap();
    let mut statement = connection.prepare("SELECT bytes FROM message WHERE code = ?1 ORDER BY id").unwrap();
    statement.query_map([code], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
