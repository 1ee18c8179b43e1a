//! Which sequences of a chain are here, which were given up, and whether their links agree.

use std::collections::BTreeMap;

use super::RANGES_MAX;
use crate::hash::Hash;
use crate::wire::cbor::{CborError, Fields, Reader};
use crate::wire::header::{GAPS_MAX, Header};

/// A stretch of the chain that is here or accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) last: u64,
    /// What its first block cites as its predecessor; unknown where a gap record stands first.
    pub(super) head: Option<Hash>,
    /// Hash of its last block; unknown where a gap record without a hash stands last.
    pub(super) tail: Option<Hash>,
}

/// Runs by their first sequence. The run from 0 is the contiguous part: a block 0 with the hash zero is taken as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) runs: BTreeMap<u64, Run>,
    /// Ranges that gap records gave up and that have not come after all.
    pub(super) holes: BTreeMap<u64, u64>,
}

impl Chain {
    pub(super) fn new() -> Self {
        let start = Run { last: 0, head: None, tail: Some(Hash::ZERO) };
        Self { runs: BTreeMap::from([(0, start)]), holes: BTreeMap::new() }
    }

    pub(super) fn contiguous(&self) -> u64 {
        self.runs.get(&0).map_or(0, |run| run.last)
    }

    pub(super) fn covers(&self, sequence: u64) -> bool {
        self.runs.range(..=sequence).next_back().is_some_and(|(_, run)| run.last >= sequence)
    }

    pub(super) fn is_hole(&self, sequence: u64) -> bool {
        self.holes.range(..=sequence).next_back().is_some_and(|(_, last)| *last >= sequence)
    }

    /// Hash of the block before `sequence`, where it is known.
    fn before(&self, sequence: u64) -> Option<Hash> {
        self.runs
            .range(..sequence)
            .next_back()
            .filter(|(_, run)| run.last + 1 == sequence)
            .and_then(|(_, run)| run.tail)
    }

    /// What the block after `sequence` cites, where it is known.
    fn after(&self, sequence: u64) -> Option<Hash> {
        self.runs.get(&(sequence + 1)).and_then(|run| run.head)
    }

    /// The first link that this block, or a gap record in it, contradicts.
    pub(super) fn broken_link(&self, header: &Header, hash: Hash) -> Option<(u64, Hash, Hash)> {
        let sequence = header.sequence;
        let mut links = vec![
            (sequence, self.before(sequence), Some(header.prev_block_hash)),
            (sequence + 1, Some(hash), self.after(sequence)),
        ];
        for gap in &header.gaps {
            let (Some((_, last)), Some(given)) = (gap.sequences, gap.last_block_hash) else { continue };
            let cited = if last + 1 == sequence { Some(header.prev_block_hash) } else { self.after(last) };
            links.push((last + 1, Some(given), cited));
        }
        links.into_iter().find_map(|(at, expected, found)| match (expected, found) {
            (Some(expected), Some(found)) if expected != found => Some((at, expected, found)),
            _ => None,
        })
    }

    pub(super) fn apply(&mut self, header: &Header, hash: Hash) {
        let block = Run { last: header.sequence, head: Some(header.prev_block_hash), tail: Some(hash) };
        self.put(header.sequence, block);
        for gap in &header.gaps {
            if let Some((first, last)) = gap.sequences {
                self.give_up(first, last, gap.last_block_hash);
            }
        }
    }

    /// Adds a run that overlaps no other, and joins it to its neighbours.
    fn put(&mut self, first: u64, mut run: Run) {
        let mut start = first;
        if let Some((before_start, before)) = self.runs.range(..first).next_back()
            && before.last + 1 == first
        {
            (start, run.head) = (*before_start, before.head);
        }
        if let Some(after) = self.runs.remove(&(run.last + 1)) {
            (run.last, run.tail) = (after.last, after.tail);
        }
        self.runs.insert(start, run);
    }

    /// Accounts for what is still missing between `first` and `last`.
    fn give_up(&mut self, first: u64, last: u64, last_hash: Option<Hash>) {
        let mut at = first;
        while at <= last {
            if let Some((_, run)) = self.runs.range(..=at).next_back()
                && run.last >= at
            {
                at = run.last + 1;
                continue;
            }
            let next = self.runs.range(at..).next().map_or(u64::MAX, |(start, _)| *start);
            let end = last.min(next - 1);
            self.put(at, Run { last: end, head: None, tail: last_hash.filter(|_| end == last) });
            self.holes.insert(at, end);
            at = end + 1;
        }
        while self.holes.len() > RANGES_MAX {
            self.holes.pop_first();
        }
    }

    /// A block that had been given up came after all.
    pub(super) fn fill_hole(&mut self, sequence: u64) {
        let Some((&first, &last)) = self.holes.range(..=sequence).next_back() else { return };
        if last < sequence {
            return;
        }
        self.holes.remove(&first);
        if first < sequence {
            self.holes.insert(first, sequence - 1);
        }
        if sequence < last {
            self.holes.insert(sequence + 1, last);
        }
    }

    /// Writes runs under key 3 and holes under key 4.
    pub(super) fn write(&self, fields: &mut Fields) {
        let writer = fields.key(3).array(self.runs.len());
        for (first, run) in &self.runs {
            writer.array(4).uint(*first).uint(run.last);
            for hash in [run.head, run.tail] {
                match hash {
                    Some(hash) => writer.bytes(&hash.0),
                    None => writer.null(),
                };
            }
        }
        let writer = fields.key(4).array(self.holes.len());
        for (first, last) in &self.holes {
            writer.array(2).uint(*first).uint(*last);
        }
    }
}

pub(super) fn read_runs(reader: &mut Reader<'_>) -> Result<BTreeMap<u64, Run>, CborError> {
    let mut runs = BTreeMap::new();
    let mut least = 0;
    for _ in 0..reader.array(RANGES_MAX + GAPS_MAX + 2)? {
        reader.tuple(4)?;
        let (first, last) = (reader.uint()?, reader.uint()?);
        let head = if reader.null() { None } else { Some(reader.hash()?) };
        let tail = if reader.null() { None } else { Some(reader.hash()?) };
        if first < least || last < first || last >= u64::MAX - 1 {
            return Err(CborError::value("runs", "not ascending and apart"));
        }
        least = last + 2;
        runs.insert(first, Run { last, head, tail });
    }
    if runs.contains_key(&0) { Ok(runs) } else { Err(CborError::value("runs", "do not begin at 0")) }
}

pub(super) fn read_holes(reader: &mut Reader<'_>) -> Result<BTreeMap<u64, u64>, CborError> {
    let mut holes = BTreeMap::new();
    let mut least = 1;
    for _ in 0..reader.array(RANGES_MAX)? {
        reader.tuple(2)?;
        let (first, last) = (reader.uint()?, reader.uint()?);
        if first < least || last < first || last == u64::MAX {
            return Err(CborError::value("holes", "not ascending"));
        }
        least = last + 1;
        holes.insert(first, last);
    }
    Ok(holes)
}
