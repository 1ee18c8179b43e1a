//! The log against its promises, on a real disk.

use std::path::Path;

use shopfloor::evidence::merkle::verify_inclusion;
use shopfloor::hash::Hash;
use shopfloor::time::{HOUR, Interval, SECOND, Timestamp};
use shopfloor::wire::block::seal;
use shopfloor::wire::header::{ClockState, FORMAT, Header, Marks};
use shopfloor::wire::sign::SecretKey;

use super::*;

const NOVEMBER: Timestamp = Timestamp::from_secs(1_795_564_800);
const DECEMBER: Timestamp = NOVEMBER.plus(10 * 24 * HOUR);

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn block(sequence: u64, previous: Hash) -> NewBlock {
    let start = NOVEMBER.plus(i64::try_from(sequence).unwrap() * 10 * SECOND);
    let header = Header {
        format: FORMAT,
        site: "site".parse().unwrap(),
        agent: "edge".parse().unwrap(),
        epoch: 1,
        sequence,
        prev_block_hash: previous,
        config_hash: Hash::of(b"map"),
        plan_hash: None,
        software: "test".into(),
        boot_id: [0; 16],
        window: Interval { start, end: start.plus(10 * SECOND) },
        monotonic: (0, 0),
        clock: ClockState::default(),
        first_sample: 1,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: std::collections::BTreeMap::new(),
        gaps: Vec::new(),
        marks: Marks::default(),
        sections: Vec::new(),
    };
    let sealed = seal(header, &[], &key()).unwrap();
    NewBlock { header: sealed.header, hash: sealed.hash, bytes: sealed.bytes }
}

fn chain(length: u64) -> Vec<NewBlock> {
    let mut blocks: Vec<NewBlock> = Vec::new();
    for sequence in 1..=length {
        let previous = blocks.last().map_or(Hash::ZERO, |block| block.hash);
        blocks.push(block(sequence, previous));
    }
    blocks
}

fn batch(blocks: &[NewBlock]) -> Batch {
    let session = SessionRecord {
        site: "site".parse().unwrap(),
        agent: "edge".parse().unwrap(),
        epoch: 1,
        bytes: blocks.last().map(|block| block.hash.0.to_vec()).unwrap_or_default(),
    };
    Batch { blocks: blocks.to_vec(), sessions: vec![session], ..Batch::default() }
}

fn open(folder: &Path, now: Timestamp) -> Log {
    Log::open(folder, "test", now).unwrap()
}

fn faults(log: &Log) -> Vec<String> {
    let report = log.verify(|_, _| Some(key().public()), &key().public()).unwrap();
    report.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = chain(70);
    let document = NewDocument::new(DocumentKind::Plant, b"plant".to_vec());
    let (root, origin) = {
        let log = open(folder.path(), NOVEMBER);
        for (step, part) in blocks.chunks(7).enumerate() {
            assert_eq!(log.append(NOVEMBER, &batch(part)).unwrap(), step as u64 * 7);
        }
        let documents = Batch { documents: vec![document.clone()], ..Batch::default() };
        assert_eq!(log.append(NOVEMBER, &documents).unwrap(), 70);
        (log.root(), log.origin().to_owned())
    };
    let log = open(folder.path(), NOVEMBER.plus(HOUR));
    assert_eq!((log.size(), log.root(), log.origin()), (71, root, origin.as_str()));
    let (site, agent) = (blocks[0].header.site.clone(), blocks[0].header.agent.clone());
    let stored = log.blocks(&site, &agent, 1, 10..=12).unwrap();
    assert_eq!(stored.iter().map(|block| block.sequence).collect::<Vec<_>>(), [10, 11, 12]);
    assert_eq!(stored[0].bytes, blocks[9].bytes);
    assert_eq!(log.block_by_hash(&blocks[4].hash).unwrap().unwrap().log_index, 4);
    assert_eq!(log.block_by_index(70).unwrap(), None, "a document is no block");
    assert_eq!(log.document_by_hash(&document.hash).unwrap().unwrap().bytes, b"plant");
    assert_eq!(log.session(&site, &agent, 1).unwrap().unwrap(), blocks[69].hash.0);
    assert_eq!(log.blocks_since(68, 10).unwrap().len(), 2);
    let window = Interval { start: blocks[2].header.window.end.plus(1), end: blocks[3].header.window.end.plus(-1) };
    let touched = log.blocks_overlapping(&site, &agent, window).unwrap();
    assert_eq!(touched.iter().map(|block| block.sequence).collect::<Vec<_>>(), [4]);
    assert_eq!(faults(&log), [""; 0]);
}

#[test]
fn a_new_month_is_a_new_file_and_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = chain(9);
    {
        let log = open(folder.path(), NOVEMBER);
        log.append(NOVEMBER, &batch(&blocks[..3])).unwrap();
        log.append(DECEMBER, &batch(&blocks[3..6])).unwrap();
        // A clock that goes back does not reopen the closed month.
        log.append(NOVEMBER, &batch(&blocks[6..])).unwrap();
    }
    let month = |name: &str| rusqlite::Connection::open(folder.path().join(name)).unwrap();
    let count = |connection: &Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM block", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&month("log-2026-11.db")), 3);
    assert_eq!(count(&month("log-2026-12.db")), 6);
    let log = open(folder.path(), DECEMBER);
    let (site, agent) = (blocks[0].header.site.clone(), blocks[0].header.agent.clone());
    assert_eq!(log.blocks(&site, &agent, 1, 1..=u64::MAX).unwrap().len(), 9);
    assert_eq!(log.summary(&site, &agent).unwrap().blocks, 9);
    assert_eq!(log.session(&site, &agent, 1).unwrap().unwrap(), blocks[8].hash.0, "the newest month's");
    assert_eq!(faults(&log), [""; 0]);
    for index in 0..9 {
        let path = log.inclusion_proof(index, 9).unwrap().unwrap();
        let leaf = log.leaf(index).unwrap().unwrap();
        assert_eq!(verify_inclusion(leaf.tree_hash(), index, 9, &path, log.root()), Ok(()));
    }
    assert_eq!(log.inclusion_proof(9, 10).unwrap(), None);
}

#[test]
fn a_refused_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), NOVEMBER);
    let blocks = chain(300);
    log.append(NOVEMBER, &batch(&blocks[..5])).unwrap();
    let (size, root) = (log.size(), log.root());
    let pages = |count: i64| {
        let writer = log.writer.lock().unwrap();
        // SQLite answers "database or disk is full" beyond this number of pages.
        writer.connection.pragma_update_and_check(None, "max_page_count", count, |row| row.get::<_, i64>(0)).unwrap();
    };
    pages(20);
    let error = log.append(NOVEMBER, &batch(&blocks[5..])).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!((log.size(), log.root()), (size, root));
    assert_eq!(log.blocks_since(0, 1000).unwrap().len(), 5);
    pages(1 << 30);
    log.append(NOVEMBER, &batch(&blocks[5..])).unwrap();
    assert_eq!(log.size(), 300);
    assert_eq!(faults(&log), [""; 0]);
}

#[test]
fn a_reader_does_not_hold_up_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), NOVEMBER);
    let blocks = chain(4);
    log.append(NOVEMBER, &batch(&blocks[..2])).unwrap();
    let reader = rusqlite::Connection::open_with_flags(
        folder.path().join("log-2026-11.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let mut statement = reader.prepare("SELECT sequence FROM block").unwrap();
    let mut rows = statement.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    log.append(NOVEMBER, &batch(&blocks[2..])).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert!(rows.next().unwrap().is_none(), "it goes on seeing the log as it was");
}

#[test]
fn checkpoints_come_when_there_is_something_new() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), NOVEMBER);
    let blocks = chain(3);
    let minute = 60 * SECOND;
    assert_eq!(log.checkpoint_if_due(NOVEMBER, minute, &key()).unwrap(), None, "an empty log");
    log.append(NOVEMBER, &batch(&blocks[..2])).unwrap();
    let first = log.checkpoint_if_due(NOVEMBER, minute, &key()).unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("checkpoint")).unwrap(), first);
    assert_eq!(log.checkpoint_if_due(NOVEMBER.plus(HOUR), minute, &key()).unwrap(), None, "nothing new");
    log.append(NOVEMBER, &batch(&blocks[2..])).unwrap();
    assert_eq!(log.checkpoint_if_due(NOVEMBER.plus(minute - 1), minute, &key()).unwrap(), None, "too early");
    let second = log.checkpoint_if_due(NOVEMBER.plus(minute), minute, &key()).unwrap();
    assert_eq!(log.checkpoint(), second);
    assert_eq!(faults(&log), [""; 0]);
    assert!(second.unwrap().starts_with(&format!("{}\n3\n", log.origin())));
}

#[test]
fn every_kind_of_damage_is_found() {
    let damages = [
        ("UPDATE block SET sequence = 7 WHERE sequence = 2", "leaf 1: the block is not the one"),
        ("DELETE FROM block WHERE sequence = 3", "leaf 2: what the leaf names is not there"),
        ("UPDATE leaf SET leaf = x'00' WHERE log_index = 1", "leaf 1: unreadable"),
        ("DELETE FROM leaf WHERE log_index = 1", "leaf 2: expected leaf 1"),
        ("UPDATE block SET received_ns = received_ns + 1 WHERE sequence = 1", "leaf 0: the block is not the one"),
        ("UPDATE document SET bytes = x'01'", "leaf 3: the document is not the one"),
    ];
    for (damage, expected) in damages {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), NOVEMBER);
        log.append(NOVEMBER, &batch(&chain(3))).unwrap();
        let document = NewDocument::new(DocumentKind::Plant, b"plant".to_vec());
        log.append(NOVEMBER, &Batch { documents: vec![document], ..Batch::default() }).unwrap();
        log.checkpoint_if_due(NOVEMBER, 0, &key()).unwrap();
        assert_eq!(faults(&log), [""; 0]);
        let writer = rusqlite::Connection::open(folder.path().join("log-2026-11.db")).unwrap();
        assert_eq!(writer.execute(damage, []).unwrap(), 1, "{damage}");
        let found = faults(&log);
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{damage}: {found:?}");
    }
}

#[test]
fn a_document_of_a_newer_program_is_kept_and_verified_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), NOVEMBER);
    let document = NewDocument::new(DocumentKind::Project, b"seal".to_vec());
    log.append(NOVEMBER, &Batch { documents: vec![document.clone()], ..Batch::default() }).unwrap();
    let writer = rusqlite::Connection::open(folder.path().join("log-2026-11.db")).unwrap();
    writer.execute("UPDATE document SET kind = 'seal_of_three'", []).unwrap();
    drop((writer, log));
    let log = open(folder.path(), NOVEMBER);
    assert_eq!(log.document_by_hash(&document.hash).unwrap().unwrap().kind, DocumentKind::Newer);
    assert_eq!(log.documents(DocumentKind::Project).unwrap(), []);
    let report = log.verify(|_, _| None, &key().public()).unwrap();
    assert_eq!((report.documents, report.fault_count), (1, 0), "{report:?}");
    assert!(crate::ledger::Ledger::open(&log).unwrap().projects().is_empty());
}

#[test]
fn a_log_that_grows_is_verified_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), NOVEMBER);
    let blocks = chain(600);
    log.append(NOVEMBER, &batch(&blocks[..100])).unwrap();
    log.checkpoint_if_due(NOVEMBER, 0, &key()).unwrap();
    let seen = open(folder.path(), NOVEMBER);
    log.append(DECEMBER, &batch(&blocks[100..])).unwrap();
    log.checkpoint_if_due(DECEMBER, 0, &key()).unwrap();
    let report = seen.verify(|_, _| Some(key().public()), &key().public()).unwrap();
    assert_eq!((report.size, report.checkpoints, report.fault_count), (100, 1, 0), "{report:?}");
    let report = open(folder.path(), DECEMBER).verify(|_, _| None, &key().public()).unwrap();
    assert_eq!((report.size, report.checkpoints, report.unchecked_signatures), (600, 2, 600), "{report:?}");
}

#[test]
fn a_file_of_another_version_is_refused_by_name_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), NOVEMBER));
    let path = folder.path().join("log-2026-11.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.pragma_update(None, "user_version", 99).unwrap();
    drop(writer);
    let error = Log::open(folder.path(), "test", NOVEMBER).err().unwrap();
    assert!(matches!(error, LogError::Version { found: 99, known: 1, .. }), "{error}");
    assert!(path.exists());
    // Without its origin a log is not continued under a new name.
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path(), NOVEMBER));
    std::fs::remove_file(other.path().join("origin")).unwrap();
    assert!(matches!(Log::open(other.path(), "test", NOVEMBER), Err(LogError::Io { .. })));
}
