//! The collector's memory of a chain: each kind of verdict, by name.

use shopfloor::hash::Hash;
use shopfloor::wire::header::{GapKind, GapRecord, Header};
use shopfloor::wire::session::{REMEMBERED_MAX, Session, Verdict};

use super::support::header;

/// A chain of headers with made-up hashes, which the session takes as given.
fn hash(sequence: u64) -> Hash {
    if sequence == 0 { Hash::ZERO } else { Hash::of(&sequence.to_be_bytes()) }
}

fn block(sequence: u64) -> (Header, Hash) {
    (header(sequence, hash(sequence - 1)), hash(sequence))
}

fn offer(session: &mut Session, sequence: u64) -> Verdict {
    let (header, hash) = block(sequence);
    session.offer(&header, hash)
}

fn gap(kind: GapKind, first: u64, last: u64, last_block_hash: Option<Hash>) -> GapRecord {
    GapRecord { kind, sequences: Some((first, last)), interval: None, last_block_hash, detail: String::new() }
}

#[test]
fn blocks_in_order_move_the_end() {
    let mut session = Session::new(1);
    for sequence in 1..=5 {
        assert_eq!(offer(&mut session, sequence), Verdict::Accept { contiguous: sequence });
    }
    assert_eq!((session.contiguous(), session.beyond(), session.missing()), (5, vec![], vec![]));
}

/// Live first: a block ahead of its predecessor is stored at once, and the end jumps when the backlog is in.
#[test]
fn blocks_ahead_are_accepted_and_the_end_jumps_over_them() {
    let mut session = Session::new(1);
    offer(&mut session, 1);
    for sequence in [4, 5, 7] {
        assert_eq!(offer(&mut session, sequence), Verdict::Ahead);
    }
    assert_eq!((session.beyond(), session.missing()), (vec![(4, 5), (7, 7)], vec![(2, 3), (6, 6)]));
    assert_eq!(offer(&mut session, 2), Verdict::Accept { contiguous: 2 });
    assert_eq!(offer(&mut session, 3), Verdict::Accept { contiguous: 5 });
    assert_eq!(offer(&mut session, 6), Verdict::Accept { contiguous: 7 });
}

/// Bad input 54: a duplicate (DUP=1, or resent after a lost ack) is idempotent.
#[test]
fn bad_input_54_a_duplicate_changes_nothing() {
    let mut session = Session::new(1);
    for sequence in [1, 2, 4] {
        offer(&mut session, sequence);
    }
    let before = session.clone();
    for sequence in [1, 2, 4] {
        assert_eq!(offer(&mut session, sequence), Verdict::Duplicate);
    }
    assert_eq!(session, before);
}

/// Bad input 63: a replayed old block is idempotent; the same sequence with another hash is equivocation.
#[test]
fn bad_input_63_the_same_sequence_with_another_hash_is_equivocation() {
    let mut session = Session::new(1);
    for sequence in 1..=3 {
        offer(&mut session, sequence);
    }
    assert_eq!(offer(&mut session, 2), Verdict::Duplicate);
    let (other, _) = block(2);
    let verdict = session.offer(&other, Hash::of(b"another block 2"));
    assert_eq!(verdict, Verdict::Equivocation { other: hash(2) });
    assert!(verdict.stores());
    assert_eq!(session.contiguous(), 3);
}

#[test]
fn an_old_block_is_settled_by_the_hash_in_the_log() {
    let mut session = Session::new(1);
    let most = u64::try_from(REMEMBERED_MAX).unwrap() + 10;
    for sequence in 1..=most {
        offer(&mut session, sequence);
    }
    let verdict = offer(&mut session, 5);
    assert_eq!(verdict, Verdict::Unremembered);
    assert_eq!(verdict.clone().settle(hash(5), Some(hash(5))), Verdict::Duplicate);
    assert_eq!(verdict.clone().settle(hash(5), Some(hash(6))), Verdict::Equivocation { other: hash(6) });
    assert_eq!(verdict.settle(hash(5), None), Verdict::Late);
    assert_eq!(offer(&mut session, most), Verdict::Duplicate);
}

/// Bad input 64: a link that contradicts is held first, and marked when the same block comes again.
#[test]
fn bad_input_64_a_broken_link_is_held_then_marked() {
    let mut session = Session::new(1);
    offer(&mut session, 1);
    let broken = header(2, Hash::of(b"not block 1"));
    let (at, expected, found) = (2, hash(1), Hash::of(b"not block 1"));
    assert_eq!(session.offer(&broken, hash(2)), Verdict::ChainBreak { at, expected, found });
    assert_eq!((session.contiguous(), session.beyond()), (1, vec![]));
    assert_eq!(session.offer(&broken, hash(2)), Verdict::AcceptBroken { at, expected, found });
    assert_eq!(session.contiguous(), 2);
}

/// Bad input 64: a block merely ahead of its predecessor is no mismatch; the link is checked when this comes.
#[test]
fn bad_input_64_the_link_to_a_block_ahead_is_checked_when_its_predecessor_comes() {
    let mut session = Session::new(1);
    offer(&mut session, 1);
    assert_eq!(offer(&mut session, 3), Verdict::Ahead);
    let (two, _) = block(2);
    let (at, expected, found) = (3, Hash::of(b"another block 2"), hash(2));
    assert_eq!(session.offer(&two, expected), Verdict::ChainBreak { at, expected, found });
    assert_eq!(offer(&mut session, 2), Verdict::Accept { contiguous: 3 });
}

/// Bad input 65: a gap in the sequence without a gap record stays a gap; with a signed record the end moves on.
#[test]
fn bad_input_65_only_a_gap_record_closes_a_gap() {
    let mut session = Session::new(1);
    offer(&mut session, 1);
    assert_eq!(offer(&mut session, 5), Verdict::Ahead);
    assert_eq!((session.contiguous(), session.missing()), (1, vec![(2, 4)]));
    let (mut six, hash_6) = block(6);
    six.gaps.push(gap(GapKind::Evicted, 2, 4, Some(hash(4))));
    assert_eq!(session.offer(&six, hash_6), Verdict::Accept { contiguous: 6 });
    assert_eq!(session.missing(), []);
}

#[test]
fn a_gap_record_that_contradicts_the_chain_is_a_break() {
    let mut session = Session::new(1);
    for sequence in [1, 5] {
        offer(&mut session, sequence);
    }
    let (mut six, hash_6) = block(6);
    six.gaps.push(gap(GapKind::Evicted, 2, 4, Some(Hash::of(b"not block 4"))));
    let (at, expected, found) = (5, Hash::of(b"not block 4"), hash(4));
    assert_eq!(session.offer(&six, hash_6), Verdict::ChainBreak { at, expected, found });
}

#[test]
fn a_block_given_up_that_comes_after_all_is_stored() {
    let mut session = Session::new(1);
    offer(&mut session, 1);
    let (mut five, hash_5) = block(5);
    five.gaps.push(gap(GapKind::Evicted, 2, 4, Some(hash(4))));
    assert_eq!(session.offer(&five, hash_5), Verdict::Accept { contiguous: 5 });
    assert_eq!(offer(&mut session, 3), Verdict::Late);
    assert_eq!(offer(&mut session, 3), Verdict::Duplicate);
    assert_eq!(offer(&mut session, 2), Verdict::Late);
}

/// Bad input 66: the sequence begins again without a new epoch.
#[test]
fn bad_input_66_a_restart_without_a_new_epoch_is_refused() {
    let mut session = Session::new(1);
    for sequence in 1..=3 {
        offer(&mut session, sequence);
    }
    let verdict = session.offer(&header(1, Hash::ZERO), Hash::of(b"a new life"));
    assert_eq!(verdict, Verdict::Restart { other: hash(1) });
    assert!(!verdict.stores());
    assert_eq!(session.contiguous(), 3);
    // Remembered for ever, also over a restart of the collector.
    let mut restored = Session::decode(&session.encode()).unwrap();
    assert_eq!(restored.offer(&header(1, Hash::ZERO), Hash::of(b"a new life")), Verdict::Restart { other: hash(1) });
}

#[test]
fn another_epoch_is_named() {
    let mut session = Session::new(2);
    assert_eq!(offer(&mut session, 1), Verdict::WrongEpoch { expected: 2 });
}

#[test]
fn a_session_reads_back_without_its_recent_hashes() {
    let mut session = Session::new(1);
    for sequence in [1, 2, 9] {
        offer(&mut session, sequence);
    }
    let (mut twelve, hash_12) = block(12);
    twelve.gaps.push(gap(GapKind::Restored, 4, 6, None));
    session.offer(&twelve, hash_12);
    let bytes = session.encode();
    let mut restored = Session::decode(&bytes).unwrap();
    assert_eq!(restored.encode(), bytes);
    assert_eq!((restored.contiguous(), restored.beyond()), (2, vec![(4, 6), (9, 9), (12, 12)]));
    assert_eq!(offer(&mut restored, 2), Verdict::Unremembered);
    assert_eq!(offer(&mut restored, 5), Verdict::Late);
    assert_eq!(offer(&mut restored, 3), Verdict::Accept { contiguous: 6 });
    for length in 0..bytes.len() {
        assert!(Session::decode(&bytes[..length]).is_err(), "{length}");
    }
}

/// Every second block only: the ranges are bounded, and the backlog in order still gets through.
#[test]
fn too_many_ranges_are_not_taken_but_the_backlog_is() {
    let mut session = Session::new(1);
    let mut refused = 0;
    for sequence in (2..2000).step_by(2) {
        refused += u64::from(offer(&mut session, sequence) == Verdict::NoRoom);
    }
    assert!(refused > 0);
    assert!(session.beyond().len() <= 256);
    for sequence in (1..2000).step_by(2) {
        offer(&mut session, sequence);
        offer(&mut session, sequence + 1);
    }
    assert_eq!(session.contiguous(), 2000);
}
