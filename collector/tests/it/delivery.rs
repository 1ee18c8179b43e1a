//! What an acknowledgement promises.

use shopfloor::hash::Hash;
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::control::Down;
use shopfloor::wire::header::{GapKind, GapRecord};
use shopfloor::wire::topic::Channel;

use crate::house::{Agent, Heard, Wire, collector, site, stop, stored, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_block_is_on_disk_and_in_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    for expected in 1..=20 {
        let block = agent.block();
        wire.send(&agent, &block).await;
        let ack = wire.acked(expected).await;
        // A connection of its own sees what is on disk, not what the collector thinks.
        let month = std::fs::read_dir(folder.path().join("state")).unwrap();
        let file = month
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|e| e == "db") && path.to_str().unwrap().contains("log-"))
            .unwrap();
        let reader = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let bytes: Vec<u8> = reader
            .query_row("SELECT bytes FROM block WHERE sequence = ?1", [i64::try_from(expected).unwrap()], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(bytes, block.bytes);
        let at = i64::try_from(ack.log_index).unwrap();
        let leaf: Vec<u8> =
            reader.query_row("SELECT leaf FROM leaf WHERE log_index = ?1", [at], |row| row.get(0)).unwrap();
        assert!(leaf.windows(32).any(|part| part == block.hash.0), "the leaf names the block");
        assert_eq!(ack.log_origin, collector.store().log.origin());
    }
    stop(collector, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_signed_and_only_rise() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let mut blocks: Vec<_> = (0..60).map(|_| agent.block()).collect();
    // Out of order in a fixed, ugly way.
    for step in 0..blocks.len() {
        let other = step * 37 % blocks.len();
        blocks.swap(step, other);
    }
    for sealed in &blocks {
        wire.send(&agent, sealed).await;
    }
    let mut last = 0;
    // Every acknowledgement was verified with the pinned key when it was heard.
    loop {
        let ack = wire.ack("the next acknowledgement", |_| true).await;
        assert!(ack.contiguous >= last, "{} after {last}", ack.contiguous);
        assert!(ack.beyond.iter().all(|(first, _)| *first > ack.contiguous + 1), "{ack:?}");
        last = ack.contiguous;
        if last == 60 {
            break;
        }
    }
    assert_eq!(stored(&collector, &agent).len(), 60);
    stop(collector, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_restores_chains_log_and_origin() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let blocks: Vec<_> = (0..12).map(|_| agent.block()).collect();
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    for sealed in blocks[..5].iter().chain(&blocks[8..10]) {
        wire.send(&agent, sealed).await;
    }
    wire.ack("5 and 9 to 10", |ack| ack.contiguous == 5 && ack.beyond == [(9, 10)]).await;
    let (size, root, origin) =
        (first.store().log.size(), first.store().log.root(), first.store().log.origin().to_owned());
    let key = first.ack_key();
    drop(wire);
    stop(first, token).await;

    let (second, token) = collector(folder.path(), &[&agent]).await;
    let log = second.store().log;
    assert_eq!((log.size(), log.root(), log.origin(), second.ack_key()), (size, root, origin.as_str(), key));
    let mut wire = Wire::connect(&second, &agent).await;
    // The acknowledgement comes without anything being sent.
    wire.ack("what was known", |ack| ack.contiguous == 5 && ack.beyond == [(9, 10)]).await;
    for sealed in &blocks {
        wire.send(&agent, sealed).await;
    }
    wire.acked(12).await;
    let hashes: Vec<(u64, Hash)> = (1..).zip(blocks.iter().map(|sealed| sealed.hash)).collect();
    assert_eq!(stored(&second, &agent), hashes);
    stop(second, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgets_everything_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (mut collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..30).map(|_| agent.block()).collect();
    for (round, part) in blocks.chunks(10).enumerate() {
        for sealed in part {
            wire.send(&agent, sealed).await;
        }
        if round < 2 {
            // Some of these may be stored, some lost with the broker; the agent knows only what is acknowledged.
            collector.restart_broker().await.unwrap();
            let connack = wire.connected().await;
            assert!(!connack.session_present, "bad input 55: the session is gone");
        }
        wire.deliver(&agent, &blocks[..(round + 1) * 10]).await;
    }
    let hashes: Vec<(u64, Hash)> = (1..).zip(blocks.iter().map(|sealed| sealed.hash)).collect();
    assert_eq!(stored(&collector, &agent), hashes, "nothing lost, nothing twice");
    stop(collector, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_blocks_are_asked_for_and_a_gap_record_closes_the_hole() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let blocks: Vec<_> = (0..6).map(|_| agent.block()).collect();
    for index in [0, 3, 5] {
        wire.send(&agent, &blocks[index]).await;
    }
    let asked = wire.down("a request for 2, 3 and 5", |down| matches!(down, Down::RequestRanges { .. })).await;
    let Down::RequestRanges { epoch, ranges, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((epoch, ranges), (1, vec![(2, 3), (5, 5)]));
    wire.send(&agent, &blocks[4]).await;
    // The agent had to evict 2 and 3 and says so in its next block.
    let evicted = GapRecord {
        kind: GapKind::Evicted,
        sequences: Some((2, 3)),
        interval: None,
        last_block_hash: Some(blocks[2].hash),
        detail: String::new(),
    };
    let seventh = agent.sealed(7, blocks[5].hash, vec![evicted], "");
    wire.send(&agent, &seventh).await;
    let ack = wire.acked(7).await;
    assert!(ack.beyond.is_empty());
    stop(collector, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_register_map_is_asked_for_and_the_block_is_kept_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&collector, &agent).await;
    let sealed = agent.block();
    wire.send(&agent, &sealed).await;
    wire.acked(1).await;
    let mut other = Wire::connect_as(collector.mqtt_addr(), &agent, "agent-again", collector.ack_key()).await;
    let ledger = collector.store().ledger;
    let config_hash = block::open(&sealed.bytes, &Limits::default()).unwrap().header.config_hash;
    assert!(ledger.register_map(&config_hash).is_none());
    for times in 0..3 {
        other.publish(&agent.topic(Channel::Birth), &agent.birth()).await;
        until("the register map is known", || ledger.register_map(&config_hash).is_some()).await;
        let documents = collector.store().log.documents(collector::log::DocumentKind::RegisterMap).unwrap();
        assert_eq!(documents.len(), 1, "logged once, round {times}");
    }
    let asked =
        wire.drain().into_iter().filter(|heard| matches!(heard, Heard::Down(Down::RequestBirth { .. }))).count();
    other.drain();
    assert!(asked <= 1, "asked once at most in this time");
    assert_eq!(collector.store().agents.agent(&site(), &agent.id).unwrap().blocks, 1);
    stop(collector, token).await;
}

/// A collector that was restored from a backup acknowledges less than before; the agent, which has deleted what was
/// acknowledged, says so in a signed record, and the end moves on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_goes_on_with_a_recorded_gap() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new("edge-01", 1);
    let blocks: Vec<_> = (0..10).map(|_| agent.block()).collect();
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    wire.deliver(&agent, &blocks[..5]).await;
    drop(wire);
    stop(first, token).await;
    copy(&folder.path().join("state"), &backup.path().join("state"));
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let mut wire = Wire::connect(&first, &agent).await;
    let receipt = wire.deliver(&agent, &blocks).await;
    drop(wire);
    stop(first, token).await;

    let (restored, token) = collector(backup.path(), &[&agent]).await;
    let mut wire = Wire::connect(&restored, &agent).await;
    wire.ack("the old end", |ack| ack.contiguous == 5).await;
    let gone = GapRecord {
        kind: GapKind::Restored,
        sequences: Some((6, 10)),
        interval: None,
        last_block_hash: Some(blocks[9].hash),
        detail: format!("{} {}", receipt.log_origin, receipt.log_index),
    };
    let next = agent.sealed(11, blocks[9].hash, vec![gone], "");
    wire.send(&agent, &next).await;
    wire.acked(11).await;
    let view = restored.store().agents.agent(&site(), &agent.id).unwrap();
    assert!(view.alarms.iter().any(|alarm| alarm.code == "log_restored"), "{view:?}");
    stop(restored, token).await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// What was started before the HTTP port turned out to be taken is stopped again, and the directory is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_half_way_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "schema = 1\n[collector]\nstate_dir = \"state\"\n[broker]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    let config = collector::config::parse(&text, folder.path().join("collector.toml").to_str().unwrap()).unwrap();
    let token = tokio_util::sync::CancellationToken::new();
    let wait = std::sync::Arc::new(collector::wait::RealWait::new());
    let error = collector::Collector::start(config, wait, token.clone()).await.err().unwrap();
    assert!(matches!(error, collector::CollectorError::Serve(_)), "{error}");
    assert!(!token.is_cancelled(), "the caller may try again");
    collector::lock_state(&folder.path().join("state")).unwrap();
    let socket = folder.path().join("state/control.sock");
    until("the socket for commands is gone", || !socket.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_do_not_share_a_state_directory() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::new("edge-01", 1);
    let (first, token) = collector(folder.path(), &[&agent]).await;
    let error = collector::lock_state(&folder.path().join("state")).unwrap_err();
    assert!(matches!(error, collector::CollectorError::InUse(_)), "{error}");
    stop(first, token).await;
    collector::lock_state(&folder.path().join("state")).unwrap();
}
