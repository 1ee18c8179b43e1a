//! A model of agent and collector that settles acknowledgement, holes and idempotence: loss, reordering, duplicates,
//! restarts of either, a collector restored from a backup, live-first backlog, evictions, refusals.
//!
//! The collector side is the real [`Session`]; the agent side is the rule that the agent program must follow:
//! - it deletes up to `contiguous` of an ack, never beyond, and never goes back on an older ack;
//! - a gap record for an eviction begins at the first sequence that was not acknowledged, so that a record which
//!   is itself evicted is restated by the next one;
//! - asked for a range, it sends again what it has, and says in its next block what it had deleted on an ack
//!   (everything else that it has not was said by the other rules);
//! - a block refused for good is parked, and its own gap records are restated beside the record about it.
//!
//! Invariants: no sequence is used twice; nothing is stored twice or altered; every block that was sealed is in the
//! queue, in the log, evicted, parked, or was in a log that a restore threw away; and when the faults end, the
//! contiguous end reaches the top and the queue empties.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shopfloor::hash::Hash;
use shopfloor::wire::header::{GapKind, GapRecord, Header};
use shopfloor::wire::session::{Session, Verdict};

use crate::wire::support;

#[derive(Debug, Clone)]
struct Block {
    header: Header,
    hash: Hash,
    /// The collector will never take it (too big, say).
    poison: bool,
}

#[derive(Debug, Clone)]
enum Down {
    Ack { contiguous: u64, beyond: Vec<(u64, u64)>, refused: Vec<u64> },
    RequestRanges(Vec<(u64, u64)>),
}

/// What survives a restart stands first; `sent` is in memory.
#[derive(Debug, Default)]
struct Agent {
    queue: BTreeMap<u64, Block>,
    top: u64,
    top_hash: Option<Hash>,
    acked: u64,
    acked_hash: Option<Hash>,
    evicted: u64,
    parked: BTreeMap<u64, Block>,
    pending: Vec<GapRecord>,
    sent: BTreeSet<u64>,
}

fn gap(kind: GapKind, first: u64, last: u64, last_block_hash: Option<Hash>) -> GapRecord {
    GapRecord { kind, sequences: Some((first, last)), interval: None, last_block_hash, detail: String::new() }
}

impl Agent {
    fn seal(&mut self, poison: bool) -> Block {
        let sequence = self.top + 1;
        let mut header = support::header(sequence, self.top_hash.unwrap_or(Hash::ZERO));
        header.gaps = std::mem::take(&mut self.pending);
        let hash = Hash::of(&header.encode().expect("the agent's headers are in bounds"));
        let block = Block { header, hash, poison };
        (self.top, self.top_hash) = (sequence, Some(hash));
        self.queue.insert(sequence, block.clone());
        block
    }

    /// Newest first is what a live-first agent does; oldest first is how it works off its backlog.
    fn send(&mut self, count: usize, newest_first: bool) -> Vec<Block> {
        let mut waiting: Vec<u64> =
            self.queue.keys().filter(|sequence| !self.sent.contains(sequence)).copied().collect();
        if newest_first {
            waiting.reverse();
        }
        waiting.truncate(count);
        self.sent.extend(&waiting);
        waiting.iter().map(|sequence| self.queue[sequence].clone()).collect()
    }

    fn evict(&mut self, count: usize) -> Vec<u64> {
        let oldest: Vec<u64> = self.queue.keys().take(count).copied().collect();
        let mut last_hash = None;
        for sequence in &oldest {
            last_hash = self.queue.remove(sequence).map(|block| block.hash);
            self.evicted = *sequence;
        }
        if last_hash.is_some() {
            self.pending.push(gap(GapKind::Evicted, self.acked + 1, self.evicted, last_hash));
        }
        oldest
    }

    fn take(&mut self, message: Down) {
        match message {
            Down::Ack { contiguous, beyond, refused } => {
                if contiguous > self.acked && contiguous <= self.top {
                    let kept = self.queue.split_off(&(contiguous + 1));
                    self.acked_hash = self.queue.get(&contiguous).map(|block| block.hash);
                    (self.queue, self.acked) = (kept, contiguous);
                }
                self.sent.extend(beyond.iter().flat_map(|(first, last)| *first..=*last));
                for sequence in refused {
                    self.park(sequence);
                }
            }
            Down::RequestRanges(ranges) => ranges.into_iter().for_each(|(first, last)| self.answer(first, last)),
        }
    }

    fn park(&mut self, sequence: u64) {
        let Some(block) = self.queue.remove(&sequence) else { return };
        self.pending.extend(block.header.gaps.iter().cloned());
        self.pending.push(gap(GapKind::Refused, sequence, sequence, Some(block.hash)));
        self.parked.insert(sequence, block);
    }

    fn answer(&mut self, first: u64, last: u64) {
        let last = last.min(self.top);
        if first <= self.acked {
            let end = last.min(self.acked);
            let hash = self.acked_hash.filter(|_| end == self.acked);
            self.pending.push(gap(GapKind::Restored, first, end, hash));
        }
        for sequence in first.max(self.acked + 1)..=last {
            if self.queue.contains_key(&sequence) {
                self.sent.remove(&sequence);
            }
        }
        self.pending.sort_by_key(|gap| gap.sequences);
        self.pending.dedup();
    }
}

/// The log on disk, and beside it, in the same transaction, the session.
#[derive(Debug, Clone)]
struct Disk {
    log: BTreeMap<u64, Hash>,
    session: Vec<u8>,
}

#[derive(Debug)]
struct Collector {
    disk: Disk,
    session: Session,
    refused: BTreeSet<u64>,
}

impl Collector {
    fn start(disk: Disk) -> Self {
        let session = Session::decode(&disk.session).expect("the session reads back as it was written");
        Self { disk, session, refused: BTreeSet::new() }
    }

    fn take(&mut self, block: &Block) -> Result<(), TestCaseError> {
        let sequence = block.header.sequence;
        if block.poison {
            self.refused.insert(sequence);
            return Ok(());
        }
        let stored = self.disk.log.get(&sequence).copied();
        let verdict = self.session.judge(&block.header, block.hash).settle(block.hash, stored);
        match &verdict {
            Verdict::Accept { .. } | Verdict::Ahead | Verdict::Late => {
                prop_assert_eq!(stored, None, "block {} is stored twice ({:?})", sequence, verdict);
                self.disk.log.insert(sequence, block.hash);
            }
            Verdict::Duplicate => prop_assert_eq!(stored, Some(block.hash)),
            other => prop_assert!(false, "an honest agent's block {sequence} was judged {other:?}"),
        }
        self.session.record(&block.header, block.hash, &verdict);
        self.disk.session = self.session.encode();
        Ok(())
    }

    fn ack(&mut self) -> Down {
        let session = &self.session;
        let covered = |sequence: &u64| {
            *sequence <= session.contiguous()
                || session.beyond().iter().any(|(first, last)| first <= sequence && sequence <= last)
        };
        self.refused.retain(|sequence| !covered(sequence));
        Down::Ack {
            contiguous: self.session.contiguous(),
            beyond: self.session.beyond(),
            refused: self.refused.iter().copied().collect(),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Seal { poison: bool },
    Send { count: usize, newest_first: bool },
    SendAgain,
    Evict { count: usize },
    Up { fate: Fate, which: prop::sample::Index },
    DownLink { fate: Fate, which: prop::sample::Index },
    Ack,
    RequestRanges,
    AgentRestart,
    CollectorRestart,
    Backup,
    Restore,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Deliver,
    Duplicate,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = || prop_oneof![6 => Just(Fate::Deliver), 1 => Just(Fate::Duplicate), 1 => Just(Fate::Lose)];
    let step = prop_oneof![
        10 => prop::bool::weighted(0.05).prop_map(|poison| Step::Seal { poison }),
        8 => (1..5_usize, any::<bool>()).prop_map(|(count, newest_first)| Step::Send { count, newest_first }),
        2 => Just(Step::SendAgain),
        1 => (1..4_usize).prop_map(|count| Step::Evict { count }),
        14 => (fate(), any::<prop::sample::Index>()).prop_map(|(fate, which)| Step::Up { fate, which }),
        8 => (fate(), any::<prop::sample::Index>()).prop_map(|(fate, which)| Step::DownLink { fate, which }),
        6 => Just(Step::Ack),
        2 => Just(Step::RequestRanges),
        1 => Just(Step::AgentRestart),
        1 => Just(Step::CollectorRestart),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 1..160)
}

#[derive(Debug)]
struct World {
    agent: Agent,
    collector: Collector,
    backup: Disk,
    up: Vec<Block>,
    down: Vec<Down>,
    /// Every block that was ever sealed: the oracle.
    sealed: BTreeMap<u64, Hash>,
    evicted: BTreeSet<u64>,
    /// Blocks that were in a log which a restore threw away.
    thrown_away: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let disk = Disk { log: BTreeMap::new(), session: Session::new(1).encode() };
        Self {
            agent: Agent::default(),
            collector: Collector::start(disk.clone()),
            backup: disk,
            up: Vec::new(),
            down: Vec::new(),
            sealed: BTreeMap::new(),
            evicted: BTreeSet::new(),
            thrown_away: BTreeSet::new(),
        }
    }

    fn seal(&mut self, poison: bool) -> Result<(), TestCaseError> {
        let block = self.agent.seal(poison);
        let before = self.sealed.insert(block.header.sequence, block.hash);
        prop_assert_eq!(before, None, "sequence {} is used twice", block.header.sequence);
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Seal { poison } => self.seal(poison)?,
            Step::Send { count, newest_first } => self.up.extend(self.agent.send(count, newest_first)),
            Step::SendAgain | Step::AgentRestart => self.agent.sent.clear(),
            Step::Evict { count } => self.evicted.extend(self.agent.evict(count)),
            Step::Up { fate, which } => {
                if let Some(block) = pick(&mut self.up, fate, which) {
                    self.collector.take(&block)?;
                }
            }
            Step::DownLink { fate, which } => {
                if let Some(message) = pick(&mut self.down, fate, which) {
                    self.agent.take(message);
                }
            }
            Step::Ack => self.down.push(self.collector.ack()),
            Step::RequestRanges => self.down.push(Down::RequestRanges(self.collector.session.missing())),
            Step::CollectorRestart => self.collector = Collector::start(self.collector.disk.clone()),
            Step::Backup => self.backup = self.collector.disk.clone(),
            Step::Restore => {
                let lost = self.collector.disk.log.keys().filter(|sequence| !self.backup.log.contains_key(sequence));
                self.thrown_away.extend(lost);
                self.collector = Collector::start(self.backup.clone());
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (sequence, hash) in &self.sealed {
            let stored = self.collector.disk.log.get(sequence);
            prop_assert!(stored.is_none_or(|stored| stored == hash), "block {sequence} is altered");
            let somewhere = stored.is_some()
                || self.agent.queue.contains_key(sequence)
                || self.agent.parked.contains_key(sequence)
                || self.evicted.contains(sequence)
                || self.gone_with_a_restore(*sequence);
            prop_assert!(somewhere, "block {sequence} is lost");
        }
        Ok(())
    }

    /// Only what the agent was entitled to delete may be gone with a restore: up to the contiguous end of an ack.
    fn gone_with_a_restore(&self, sequence: u64) -> bool {
        self.thrown_away.contains(&sequence) && sequence <= self.agent.acked
    }

    /// The faults end: nothing is lost or reordered any more, blocks go on being sealed.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..8 {
            self.agent.sent.clear();
            self.seal(false)?;
            let sent = self.agent.send(usize::MAX, true);
            self.up.extend(sent);
            for block in std::mem::take(&mut self.up) {
                self.collector.take(&block)?;
            }
            self.down.push(Down::RequestRanges(self.collector.session.missing()));
            self.down.push(self.collector.ack());
            for message in std::mem::take(&mut self.down) {
                self.agent.take(message);
            }
            self.check()?;
        }
        prop_assert_eq!(self.collector.session.contiguous(), self.agent.top, "the end does not reach the top");
        prop_assert!(self.agent.queue.is_empty(), "the queue does not empty");
        for sequence in self.sealed.keys() {
            let given_up = self.evicted.contains(sequence)
                || self.agent.parked.contains_key(sequence)
                || self.gone_with_a_restore(*sequence);
            prop_assert!(given_up || self.collector.disk.log.contains_key(sequence), "block {sequence} is missing");
        }
        Ok(())
    }
}

fn pick<T: Clone>(messages: &mut Vec<T>, fate: Fate, which: prop::sample::Index) -> Option<T> {
    if messages.is_empty() {
        return None;
    }
    let place = which.index(messages.len());
    match fate {
        Fate::Deliver => Some(messages.remove(place)),
        Fate::Duplicate => Some(messages[place].clone()),
        Fate::Lose => {
            messages.remove(place);
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_the_end_reaches_the_top(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.take(&step)?;
        }
        world.settle()?;
    }
}
