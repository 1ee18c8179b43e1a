//! The account of one agent: what of its chain and of its time is in the log, what is not, and what was said about it.

use shopfloor::hash::Hash;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::block::{self, Limits};

use crate::config::AgentEnrolment;
use crate::ingest::rebuild_session;
use crate::log::{Log, LogError};

/// Time between two windows that is nobody's loss: an empty block comes every 60 s, a block may take 10 s to seal.
pub const SILENCE_MAX: i64 = 70 * SECOND;
/// Blocks that are read at once.
const STEP: u64 = 512;

/// The account of one agent in its enrolled epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Blocks stored.
    pub blocks: u64,
    /// Samples in them, as their headers count.
    pub samples: u64,
    /// Everything up to this sequence is stored or accounted for.
    pub contiguous: u64,
    /// Ranges of sequences that are missing below the highest one.
    pub missing: Vec<(u64, u64)>,
    /// Blocks that are stored twice; there should be none.
    pub duplicates: u64,
    /// Sequences of which different blocks are stored.
    pub equivocations: u64,
    /// Blocks whose link contradicts the block before.
    pub broken_links: u64,
    /// Gap records in all headers.
    pub gap_records: u64,
    /// Time that gap records name, nanoseconds; overlaps count once.
    pub recorded_gaps: i64,
    /// Time between windows that is longer than [`SILENCE_MAX`] and in no gap record, nanoseconds.
    pub unaccounted: i64,
    /// From the start of the first window to the end of the last.
    pub span: Option<Interval>,
    /// When a block was stored last, collector's clock.
    pub newest_received: Option<Timestamp>,
}

impl Account {
    /// Reads every stored block of an agent's enrolled epoch.
    pub fn of(log: &Log, enrolled: &AgentEnrolment) -> Result<Self, LogError> {
        let mut account = Self::default();
        let (mut windows, mut gaps) = (Vec::new(), Vec::new());
        let mut last: Option<(u64, Vec<Hash>)> = None;
        let highest = log.last_sequence(&enrolled.site, &enrolled.id, enrolled.epoch)?;
        let mut from = 1;
        while from <= highest {
            for stored in log.blocks(&enrolled.site, &enrolled.id, enrolled.epoch, from..=from + STEP - 1)? {
                account.blocks += 1;
                account.newest_received = account.newest_received.max(Some(stored.received));
                windows.push(stored.window);
                let Ok(opened) = block::open(&stored.bytes, &Limits::default()) else { continue };
                account.samples += opened.header.sample_count;
                account.gap_records += opened.header.gaps.len() as u64;
                gaps.extend(opened.header.gaps.iter().filter_map(|gap| gap.interval));
                last = Some(account.link(last, stored.sequence, stored.hash, opened.header.prev_block_hash));
            }
            from += STEP;
        }
        let session = rebuild_session(log, enrolled)?;
        account.contiguous = session.contiguous();
        account.missing = session.missing();
        account.recorded_gaps = union(gaps.clone()).iter().map(|gap| gap.nanos()).sum();
        account.unaccounted = unaccounted(windows.clone(), &gaps);
        let windows = union(windows);
        account.span = windows.first().zip(windows.last()).map(|(a, b)| Interval { start: a.start, end: b.end });
        Ok(account)
    }

    /// Sequences that are missing.
    pub fn missing_count(&self) -> u64 {
        self.missing.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Counts what is double or contradicts; gives the sequence just seen with every hash it has.
    fn link(&mut self, last: Option<(u64, Vec<Hash>)>, sequence: u64, hash: Hash, previous: Hash) -> (u64, Vec<Hash>) {
        match last {
            Some((at, mut hashes)) if at == sequence => {
                if hashes.contains(&hash) {
                    self.duplicates += 1;
                } else {
                    self.equivocations += 1;
                }
                hashes.push(hash);
                (at, hashes)
            }
            Some((at, hashes)) => {
                self.broken_links += u64::from(at + 1 == sequence && !hashes.contains(&previous));
                (sequence, vec![hash])
            }
            None => (sequence, vec![hash]),
        }
    }
}

/// Ascending intervals that cover the same instants and neither touch nor overlap.
fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort();
    let mut merged: Vec<Interval> = Vec::new();
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if interval.start <= last.end => last.end = last.end.max(interval.end),
            _ => merged.push(interval),
        }
    }
    merged
}

/// Nanoseconds between windows that no gap record names, of stretches longer than [`SILENCE_MAX`].
fn unaccounted(mut windows: Vec<Interval>, gaps: &[Interval]) -> i64 {
    let Some(first) = windows.iter().map(|window| window.start).min() else { return 0 };
    let last = windows.iter().map(|window| window.end).max().unwrap_or(first);
    let inside = Interval { start: first, end: last };
    windows.extend(gaps.iter().filter_map(|gap| gap.intersect(inside)));
    let covered = union(windows);
    let holes = covered.windows(2).map(|pair| pair[1].start.since(pair[0].end));
    holes.filter(|hole| *hole > SILENCE_MAX).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(start: i64, end: i64) -> Interval {
        Interval { start: Timestamp::from_secs(start), end: Timestamp::from_secs(end) }
    }

    #[test]
    fn silence_is_unaccounted_unless_it_is_short_or_recorded() {
        let windows = vec![seconds(200, 210), seconds(0, 10), seconds(80, 90)];
        // 10 to 80 is exactly what is allowed, 90 to 200 is not.
        assert_eq!(unaccounted(windows.clone(), &[]), 110 * SECOND);
        assert_eq!(unaccounted(windows.clone(), &[seconds(90, 195)]), 0);
        assert_eq!(unaccounted(windows.clone(), &[seconds(100, 110)]), 90 * SECOND);
        assert_eq!(unaccounted(windows, &[seconds(0, 5000)]), 0);
        assert_eq!(unaccounted(Vec::new(), &[seconds(0, 5)]), 0);
    }

    #[test]
    fn double_blocks_and_broken_links_are_told_apart() {
        let hash = |text: &str| Hash::of(text.as_bytes());
        let mut account = Account::default();
        let first = account.link(None, 1, hash("a"), Hash::ZERO);
        let again = account.link(Some(first), 1, hash("a"), Hash::ZERO);
        let other = account.link(Some(again), 1, hash("b"), Hash::ZERO);
        let second = account.link(Some(other), 2, hash("c"), hash("b"));
        let third = account.link(Some(second), 3, hash("d"), hash("x"));
        // A hole breaks nothing: the link cannot be checked.
        account.link(Some(third), 7, hash("e"), hash("y"));
        assert_eq!((account.duplicates, account.equivocations, account.broken_links), (1, 1, 1));
    }
}
