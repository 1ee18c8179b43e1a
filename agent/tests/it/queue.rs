//! The queue: chain, bounds, crashes. A crash is a copy of the database's files as they are at that moment.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use agent::config::QueueLimits;
use agent::queue::blocks::{Link, Parking, Sealing};
use agent::queue::{Queue, QueueError};
use proptest::prelude::*;
use shopfloor::hash::Hash;
use shopfloor::time::{HOUR, Interval, SECOND, Timestamp};
use shopfloor::wire::block::{self, Limits, Sealed};
use shopfloor::wire::header::{ClockState, FORMAT, GapKind, Header, Marks};
use shopfloor::wire::sign::SecretKey;

const LIMITS: QueueLimits = QueueLimits { bytes: 1 << 30, age: 1000 * HOUR, disk_reserve: 0 };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn open(path: &Path) -> Queue {
    let (queue, found) = Queue::open(path, LIMITS, at(0)).unwrap();
    assert_eq!(found.set_aside, None);
    queue
}

/// An empty block as the link prescribes.
#[allow(clippy::unnecessary_wraps)] // the queue asks for a result
fn build(link: Link, now: Timestamp) -> Result<Sealed, Infallible> {
    let header = Header {
        format: FORMAT,
        site: "site-1".parse().unwrap(),
        agent: "agent-1".parse().unwrap(),
        epoch: link.epoch,
        sequence: link.sequence,
        prev_block_hash: link.prev_hash,
        config_hash: Hash::of(b"map"),
        plan_hash: None,
        software: "test".to_owned(),
        boot_id: [1; 16],
        window: Interval { start: now, end: now },
        monotonic: (0, 0),
        clock: ClockState::default(),
        first_sample: link.first_sample,
        sample_count: 0,
        quality_counts: [0; 3],
        drops: BTreeMap::new(),
        gaps: link.gaps,
        marks: Marks::default(),
        sections: Vec::new(),
    };
    Ok(block::seal(header, &[], &SecretKey::from_seed([1; 32])).unwrap())
}

fn sealing(batch: u64, journaled: Option<i64>, now: Timestamp) -> Sealing {
    let config_hash = Hash::of(b"map");
    Sealing { batch, config_hash, journaled, drops: BTreeMap::new(), bytes_hint: 1000, now }
}

fn seal(queue: &mut Queue, batch: u64, journaled: Option<i64>, now: Timestamp) -> u64 {
    queue.seal(&sealing(batch, journaled, now), |link| build(link, now)).unwrap().sequence
}

fn header(queue: &mut Queue, sequence: u64) -> Header {
    let bytes = queue.block(sequence).unwrap().expect("the block is there");
    block::open(&bytes, &Limits::default()).unwrap().header.clone()
}

/// The reason by which the collector refuses these bytes, or those of the block in the queue.
fn refusal(queue: &mut Queue, sequence: u64) -> String {
    let bytes = queue.block(sequence).unwrap().unwrap_or_default();
    format!("too big; bytes sha256:{}", Hash::of(&bytes))
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What one operation does, for queue and model alike.
#[derive(Debug, Clone)]
enum Step {
    Commit(u8),
    Seal,
    Acknowledge(u8),
    Park(u8),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Commit),
        3 => Just(Step::Seal),
        1 => any::<u8>().prop_map(Step::Acknowledge),
        1 => any::<u8>().prop_map(Step::Park),
        2 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The queue against a model in memory: journal rows, sequences and the acknowledged end survive every crash,
    /// nothing that was sealed is in the journal too, no sequence is used twice.
    #[test]
    fn the_queue_keeps_what_it_promised_over_crashes(steps in prop::collection::vec(step(), 1..40)) {
        let mut directory = tempfile::tempdir().unwrap();
        let mut queue = open(directory.path());
        let (mut journal, mut sealed, mut acknowledged, mut parked) = (Vec::new(), 0_u64, 0_u64, Vec::new());
        let mut last_row = None;
        for (number, step) in steps.into_iter().enumerate() {
            let now = at(i64::try_from(number).unwrap());
            match step {
                Step::Commit(byte) => {
                    last_row = Some(queue.commit(Hash::of(b"map"), &[byte], now).unwrap());
                    journal.push(vec![byte]);
                }
                Step::Seal => {
                    sealed += 1;
                    prop_assert_eq!(seal(&mut queue, number as u64, last_row, now), sealed);
                    journal.clear();
                }
                Step::Acknowledge(part) => {
                    let contiguous = sealed * u64::from(part) / 255;
                    queue.acknowledge(contiguous, 1, "log").unwrap();
                    acknowledged = acknowledged.max(contiguous);
                }
                Step::Park(part) => {
                    let sequence = sealed * u64::from(part) / 255;
                    let known = sequence > acknowledged && !parked.contains(&sequence);
                    let reason = refusal(&mut queue, sequence);
                    let expected = if known { Parking::Parked } else { Parking::Absent };
                    prop_assert_eq!(queue.park(sequence, &reason).unwrap(), expected);
                    if known {
                        parked.push(sequence);
                    }
                }
                Step::Crash => {
                    let copied = tempfile::tempdir().unwrap();
                    copy(directory.path(), copied.path());
                    drop(queue);
                    queue = open(copied.path());
                    directory = copied;
                }
            }
            prop_assert_eq!(queue.state().next_sequence, sealed + 1);
            prop_assert_eq!(queue.state().acknowledged, acknowledged);
            let left: Vec<Vec<u8>> = queue.leftovers().unwrap().into_iter().flat_map(|part| part.bytes).collect();
            prop_assert_eq!(&left, &journal);
            let mut expected = (acknowledged + 1..=sealed).filter(|s| !parked.contains(s));
            let mut from = 0;
            while let Some((sequence, _)) = queue.next_from(from).unwrap() {
                prop_assert_eq!(Some(sequence), expected.next());
                from = sequence + 1;
            }
            prop_assert_eq!(expected.next(), None);
        }
    }
}

#[test]
fn eviction_takes_the_oldest_whole_blocks_and_the_next_block_says_which() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    for batch in 1..=10 {
        seal(&mut queue, batch, None, at(batch.cast_signed()));
    }
    let hash = block::open(&queue.block(4).unwrap().unwrap(), &Limits::default()).unwrap().hash;
    let six: u64 = queue.lines(10).unwrap().iter().skip(4).map(|line| line.bytes).sum();
    drop(queue);
    let limits = QueueLimits { bytes: six + 1000, ..LIMITS };
    let (mut queue, _) = Queue::open(directory.path(), limits, at(11)).unwrap();
    let stored = queue.seal(&sealing(11, None, at(11)), |link| build(link, at(11))).unwrap();
    assert_eq!((stored.sequence, stored.evicted), (11, 4));
    let gaps = header(&mut queue, 11).gaps;
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (gaps[0].kind, gaps[0].sequences, gaps[0].last_block_hash),
        (GapKind::Evicted, Some((1, 4)), Some(hash))
    );
    assert_eq!(gaps[0].interval, Interval::new(at(1), at(4)));
    assert_eq!(queue.next_from(1).unwrap().map(|(s, _)| s), Some(5));
    assert_eq!(queue.size().0, 7);
}

#[test]
fn a_parked_block_goes_in_its_turn_and_is_not_recorded_twice() {
    let directory = tempfile::tempdir().unwrap();
    let limits = QueueLimits { age: HOUR, ..LIMITS };
    let (mut queue, _) = Queue::open(directory.path(), limits, at(0)).unwrap();
    seal(&mut queue, 1, None, at(0));
    let reason = refusal(&mut queue, 1);
    assert_eq!(queue.park(1, &reason).unwrap(), Parking::Parked);
    seal(&mut queue, 2, None, at(10));
    assert_eq!(header(&mut queue, 2).gaps[0].kind, GapKind::Refused);
    seal(&mut queue, 3, None, at(3605));
    assert_eq!(header(&mut queue, 3).gaps, []);
    assert_eq!(queue.lines(10).unwrap().iter().map(|line| line.sequence).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_record_that_is_evicted_itself_is_restated_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let limits = QueueLimits { age: HOUR, ..LIMITS };
    let (mut queue, _) = Queue::open(directory.path(), limits.clone(), at(0)).unwrap();
    seal(&mut queue, 1, None, at(0));
    queue.acknowledge(1, 1, "log").unwrap();
    seal(&mut queue, 2, None, at(10));
    // Block 3 says that 2 is gone, block 4 that 3 is; the collector sees only block 4.
    assert_eq!(seal(&mut queue, 3, None, at(4000)), 3);
    assert_eq!(header(&mut queue, 3).gaps[0].sequences, Some((2, 2)));
    drop(queue);
    let (mut queue, _) = Queue::open(directory.path(), limits, at(4001)).unwrap();
    assert_eq!(seal(&mut queue, 4, None, at(8000)), 4);
    let gap = header(&mut queue, 4).gaps.remove(0);
    assert_eq!((gap.kind, gap.sequences), (GapKind::Evicted, Some((2, 3))));
    assert_eq!(gap.interval, Interval::new(at(10), at(4000)), "the time of both");
    // Once the end has passed them, the next eviction speaks of its own time only.
    queue.acknowledge(4, 2, "log").unwrap();
    seal(&mut queue, 5, None, at(9000));
    seal(&mut queue, 6, None, at(13000));
    let gap = header(&mut queue, 6).gaps.remove(0);
    assert_eq!((gap.sequences, gap.interval), (Some((5, 5)), Interval::new(at(9000), at(9000))));
}

#[test]
fn a_parked_block_hands_its_own_gap_records_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    let down = agent::queue::gap(GapKind::AgentDown, None, Interval::new(at(1), at(2)), "");
    queue.add_gap(&down).unwrap();
    seal(&mut queue, 1, None, at(3));
    assert_eq!(header(&mut queue, 1).gaps, std::slice::from_ref(&down));
    let reason = refusal(&mut queue, 1);
    assert_eq!(queue.park(1, &reason).unwrap(), Parking::Parked);
    seal(&mut queue, 2, None, at(4));
    let gaps = header(&mut queue, 2).gaps;
    assert_eq!((gaps.len(), &gaps[0], gaps[1].kind), (2, &down, GapKind::Refused));
}

#[test]
fn a_refusal_of_other_bytes_parks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    seal(&mut queue, 1, None, at(0));
    for reason in [format!("forged; bytes sha256:{}", Hash::of(b"forged")), "too big".to_owned()] {
        assert_eq!(queue.park(1, &reason).unwrap(), Parking::NotOurs, "{reason}");
    }
    assert_eq!(queue.next_from(0).unwrap().map(|(s, _)| s), Some(1));
    seal(&mut queue, 2, None, at(1));
    assert_eq!(header(&mut queue, 2).gaps, []);
}

#[test]
fn a_restored_record_names_the_hash_of_the_acknowledged_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    for batch in 1..=3 {
        seal(&mut queue, batch, None, at(0));
    }
    let hash = block::open(&queue.block(2).unwrap().unwrap(), &Limits::default()).unwrap().hash;
    queue.acknowledge(2, 1, "log").unwrap();
    drop(queue);
    let mut queue = open(directory.path());
    queue.restored(1, 2).unwrap();
    queue.restored(1, 1).unwrap();
    seal(&mut queue, 4, None, at(1));
    let gaps = header(&mut queue, 4).gaps;
    assert_eq!(gaps.iter().map(|g| g.last_block_hash).collect::<Vec<_>>(), [Some(hash), None]);
}

#[test]
fn a_queue_of_schema_1_is_brought_up_to_date_and_keeps_its_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    seal(&mut queue, 1, None, at(0));
    drop(queue);
    let old = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let back = "ALTER TABLE state DROP COLUMN acknowledged_hash; ALTER TABLE state DROP COLUMN evicted_since;
                ALTER TABLE state DROP COLUMN journaled_through; PRAGMA user_version = 1;";
    old.execute_batch(back).unwrap();
    drop(old);
    let mut queue = open(directory.path());
    assert_eq!(queue.next_from(0).unwrap().map(|(s, _)| s), Some(1));
    assert_eq!(seal(&mut queue, 2, None, at(1)), 2);
}

#[test]
fn blocks_that_are_too_old_are_evicted() {
    let directory = tempfile::tempdir().unwrap();
    let limits = QueueLimits { age: HOUR, ..LIMITS };
    let (mut queue, _) = Queue::open(directory.path(), limits, at(0)).unwrap();
    seal(&mut queue, 1, None, at(0));
    seal(&mut queue, 2, None, at(3000));
    seal(&mut queue, 3, None, at(3601));
    let gap = header(&mut queue, 3).gaps.remove(0);
    assert_eq!((gap.kind, gap.sequences), (GapKind::Evicted, Some((1, 1))));
    assert_eq!(queue.next_from(0).unwrap().map(|(s, _)| s), Some(2));
}

#[test]
fn a_disk_near_full_is_refused_and_no_sequence_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let limits = QueueLimits { disk_reserve: u64::MAX, ..LIMITS };
    let (mut queue, _) = Queue::open(directory.path(), limits, at(0)).unwrap();
    let refused = queue.seal(&sealing(1, None, at(0)), |link| build(link, at(0)));
    assert!(matches!(refused, Err(QueueError::DiskReserve { .. })));
    drop(queue);
    let mut queue = open(directory.path());
    assert_eq!(seal(&mut queue, 1, None, at(1)), 1);
}

#[test]
fn a_failed_seal_can_be_tried_again_and_readers_see_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    let row = queue.commit(Hash::of(b"map"), &[1], at(1)).unwrap();
    // Another process holds the database longer than the queue waits for it.
    let other = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE state SET last_instant = 7;").unwrap();
    let failed = queue.seal(&sealing(1, Some(row), at(2)), |link| build(link, at(2)));
    assert!(matches!(failed, Err(QueueError::Sqlite { .. })));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(queue.next_from(0).unwrap(), None);
    assert_eq!(seal(&mut queue, 1, Some(row), at(3)), 1);
    assert!(queue.leftovers().unwrap().is_empty());
}

#[test]
fn a_corrupt_database_is_set_aside_and_a_new_epoch_begins() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    assert_eq!(seal(&mut queue, 1, None, at(1)), 1);
    assert_eq!(queue.state().epoch, 1);
    drop(queue);
    let path = directory.path().join("queue.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..2048].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let (mut queue, found) = Queue::open(directory.path(), LIMITS, at(50)).unwrap();
    let aside = found.set_aside.expect("it was set aside");
    assert!(aside.exists() && aside.ends_with("queue-corrupt-50.db"));
    assert_eq!((queue.state().epoch, queue.state().next_sequence), (2, 1), "no sequence of epoch 1 is used again");
    seal(&mut queue, 1, None, at(51));
    assert_eq!(header(&mut queue, 1).gaps[0].kind, GapKind::Corrupted);
}

#[test]
fn a_flipped_bit_in_the_journal_loses_only_its_row() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    for byte in 0..3 {
        queue.commit(Hash::of(b"map"), &[byte; 40], at(1)).unwrap();
    }
    drop(queue);
    let path = directory.path().join("readings.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.windows(40).position(|window| window == [1; 40]).unwrap();
    bytes[second + 7] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let mut queue = open(directory.path());
    let left = queue.leftovers().unwrap();
    assert_eq!((left.len(), left[0].corrupt_rows), (1, 1));
    assert_eq!(left[0].bytes, [vec![0; 40], vec![2; 40]]);
    // Sealed once, the damage is not told again.
    seal(&mut queue, 1, Some(left[0].through), at(2));
    drop(queue);
    assert_eq!(open(directory.path()).leftovers().unwrap(), []);
}

#[test]
fn the_only_row_of_the_journal_damaged_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    queue.commit(Hash::of(b"map"), &[1; 40], at(1)).unwrap();
    drop(queue);
    let path = directory.path().join("readings.journal");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..512].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let mut queue = open(directory.path());
    let left = queue.leftovers().unwrap();
    assert_eq!((left.len(), left[0].corrupt_rows, left[0].bytes.len()), (1, 1, 0));
    queue.forget_journal(left[0].through).unwrap();
    assert_eq!(queue.leftovers().unwrap(), []);
    queue.commit(Hash::of(b"map"), &[2; 40], at(2)).unwrap();
    drop(queue);
    let left = open(directory.path()).leftovers().unwrap();
    assert_eq!((left[0].corrupt_rows, &left[0].bytes), (0, &vec![vec![2; 40]]));
}

#[test]
fn a_crash_between_the_block_and_the_next_journal_row_neither_loses_nor_doubles() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    let mut last = 0;
    for byte in 1..=3 {
        last = queue.commit(Hash::of(b"map"), &[byte; 40], at(1)).unwrap();
    }
    // The file still holds the rows of the block, since nothing was written to it since.
    seal(&mut queue, 1, Some(last), at(2));
    let crashed = tempfile::tempdir().unwrap();
    copy(directory.path(), crashed.path());
    let mut again = open(crashed.path());
    assert_eq!(again.leftovers().unwrap(), [], "what is in a block is not in the journal");
    assert_eq!(again.commit(Hash::of(b"map"), &[4; 9], at(3)).unwrap(), 4, "numbers go on");
    let left = again.leftovers().unwrap();
    assert_eq!((left[0].through, &left[0].bytes), (4, &vec![vec![4; 9]]));
    // A block that could not be stored leaves the rows where they are.
    let refused = QueueLimits { disk_reserve: u64::MAX, ..LIMITS };
    again.acknowledge(1, 1, "log").unwrap();
    drop(again);
    let (mut again, _) = Queue::open(crashed.path(), refused, at(4)).unwrap();
    again.seal(&sealing(2, Some(4), at(4)), |link| build(link, at(4))).unwrap_err();
    assert_eq!(again.commit(Hash::of(b"map"), &[5; 9], at(5)).unwrap(), 5);
    drop(again);
    assert_eq!(open(crashed.path()).leftovers().unwrap()[0].bytes, [[4; 9], [5; 9]]);
}

#[test]
fn the_journal_of_schema_2_moves_into_the_file_also_if_the_move_was_cut_short() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let old = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    let back = "ALTER TABLE state DROP COLUMN journaled_through; PRAGMA user_version = 2;
                CREATE TABLE journal (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, config_hash BLOB NOT NULL,
                                      checksum BLOB NOT NULL, bytes BLOB NOT NULL);";
    old.execute_batch(back).unwrap();
    for id in 7..10_u8 {
        let checksum = if id == 8 { [0; 32] } else { Hash::of(&[id; 5]).0 };
        let values = rusqlite::params![id, 1_000_000_000, Hash::of(b"map").0, &checksum[..8], [id; 5]];
        old.execute("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)", values).unwrap();
    }
    drop(old);
    // As far as a move came that was killed before the table was dropped.
    let before = std::fs::read(directory.path().join("queue.db")).unwrap();
    drop(open(directory.path()));
    std::fs::write(directory.path().join("queue.db"), before).unwrap();
    let mut queue = open(directory.path());
    let left = queue.leftovers().unwrap();
    assert_eq!((left.len(), left[0].through, left[0].corrupt_rows), (1, 9, 0));
    assert_eq!(left[0].bytes, [vec![7; 5], Vec::new(), vec![9; 5]]);
    assert_eq!(queue.state().last_instant, Some(at(1)));
    seal(&mut queue, 1, Some(9), at(2));
    assert_eq!(header(&mut queue, 1).gaps.iter().map(|g| g.kind).collect::<Vec<_>>(), [GapKind::Corrupted]);
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'journal'";
    let db = rusqlite::Connection::open(directory.path().join("queue.db")).unwrap();
    assert_eq!(db.query_row(table, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(queue.commit(Hash::of(b"map"), &[1], at(3)).unwrap(), 10);
}

#[test]
fn a_newer_schema_is_refused_by_name_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join("queue.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let refused = Queue::open(directory.path(), LIMITS, at(0)).map(|_| ());
    assert!(matches!(refused, Err(QueueError::NewerSchema { found: 9, .. })), "{refused:?}");
    assert!(path.exists());
}

#[test]
fn gap_records_beyond_what_a_block_holds_wait_for_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = open(directory.path());
    for second in 0..300 {
        let interval = Interval::new(at(second), at(second + 1));
        queue.add_gap(&agent::queue::gap(GapKind::AgentDown, None, interval, "")).unwrap();
    }
    seal(&mut queue, 1, None, at(400));
    seal(&mut queue, 2, None, at(401));
    let (first, second) = (header(&mut queue, 1).gaps, header(&mut queue, 2).gaps);
    assert_eq!((first.len(), second.len()), (256, 44));
    let starts: Vec<i64> = first.iter().chain(&second).map(|g| g.interval.unwrap().start.as_nanos() / SECOND).collect();
    assert_eq!(starts, (0..300).collect::<Vec<_>>());
}
