//! The collector's memory of one agent's chain of blocks in one epoch: what is there, what is missing, what contradicts.
//!
//! Pure: it judges a header and remembers; storing, acknowledging and asking are the caller's. `judge` changes
//! nothing, `record` remembers an accepted block, `offer` does both. A caller that stores in batches works on a
//! clone and keeps it only when the batch is on disk.

mod chain;

use std::collections::{BTreeMap, VecDeque};

use self::chain::Chain;

use crate::hash::Hash;
use crate::wire::cbor::{CborError, Fields, Reader, required};
use crate::wire::header::{GAPS_MAX, Header};

/// Hashes of recent blocks that are kept to tell a duplicate from an equivocation without asking the log.
pub const REMEMBERED_MAX: usize = 1024;
/// Most separate ranges beyond the contiguous end, and most holes; a block that would open one more is not taken.
pub const RANGES_MAX: usize = 256;

/// What a block is to the chain, and what the caller does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Next in the chain, or fills a gap in it. Store, acknowledge up to `contiguous`.
    Accept {
        /// Highest sequence up to which everything is here or accounted for by a gap record.
        contiguous: u64,
    },
    /// Accepted ahead of a predecessor that is missing. Store; the link is checked when the predecessor comes.
    Ahead,
    /// A block that a gap record had given up came after all. Store.
    Late,
    /// Its link contradicts its neighbour. Hold it in quarantine, ask again for `at - 1` and `at`; if the same
    /// block is offered again the answer is `AcceptBroken`.
    ChainBreak {
        /// The sequence whose `prev_block_hash` contradicts.
        at: u64,
        /// Hash of the block `at - 1`.
        expected: Hash,
        /// What the block `at` cites instead.
        found: Hash,
    },
    /// Offered again after a `ChainBreak`: store, mark the break, raise an alarm.
    AcceptBroken {
        /// The sequence whose `prev_block_hash` contradicts.
        at: u64,
        /// Hash of the block `at - 1`.
        expected: Hash,
        /// What the block `at` cites instead.
        found: Hash,
    },
    /// The same block as before. Acknowledge again, store nothing.
    Duplicate,
    /// Another block with this sequence is stored. Keep both, raise an alarm, mark the window disputed.
    Equivocation {
        /// Hash of the stored one.
        other: Hash,
    },
    /// Sequence 1 of this epoch again, with another hash: the agent lost its history without a new epoch. Reject.
    Restart {
        /// Hash of the stored block 1.
        other: Hash,
    },
    /// The sequence is covered, but its hash is not remembered any more: look it up in the log and call [`Verdict::settle`].
    Unremembered,
    /// The header is of another epoch. Reject, or begin a session of that epoch if it is enrolled.
    WrongEpoch {
        /// The epoch of this session.
        expected: u64,
    },
    /// Too many separate ranges are open. Do not store or acknowledge; the agent sends it again.
    NoRoom,
}

impl Verdict {
    /// Whether the block is to be appended to the log.
    pub const fn stores(&self) -> bool {
        matches!(
            self,
            Self::Accept { .. } | Self::Ahead | Self::Late | Self::AcceptBroken { .. } | Self::Equivocation { .. }
        )
    }

    /// Turns `Unremembered` into its answer, given the hash that the log holds for that sequence.
    #[must_use]
    pub fn settle(self, hash: Hash, stored: Option<Hash>) -> Self {
        match (&self, stored) {
            (Self::Unremembered, Some(stored)) if stored == hash => Self::Duplicate,
            (Self::Unremembered, Some(other)) => Self::Equivocation { other },
            (Self::Unremembered, None) => Self::Late,
            _ => self,
        }
    }
}

/// The collector's memory of one agent and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    epoch: u64,
    /// Hash of block 1, kept for ever: it tells a restart without a new epoch.
    first: Option<Hash>,
    chain: Chain,
    /// Hashes of blocks that arrived lately, and the order in which they did.
    recent: BTreeMap<u64, Hash>,
    arrivals: VecDeque<u64>,
    /// Blocks held in quarantine for a chain break.
    held: BTreeMap<u64, Hash>,
}

impl Session {
    /// A session in which nothing has arrived.
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            first: None,
            chain: Chain::new(),
            recent: BTreeMap::new(),
            arrivals: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    /// The epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Judges a block whose signature was verified, and remembers it if it is accepted.
    pub fn offer(&mut self, header: &Header, hash: Hash) -> Verdict {
        let verdict = self.judge(header, hash);
        self.record(header, hash, &verdict);
        verdict
    }

    /// Judges without remembering.
    pub fn judge(&self, header: &Header, hash: Hash) -> Verdict {
        if header.epoch != self.epoch {
            return Verdict::WrongEpoch { expected: self.epoch };
        }
        if self.chain.covers(header.sequence) {
            return self.judge_again(header.sequence, hash);
        }
        if let Some((at, expected, found)) = self.chain.broken_link(header, hash) {
            return if self.held.get(&header.sequence) == Some(&hash) {
                Verdict::AcceptBroken { at, expected, found }
            } else {
                Verdict::ChainBreak { at, expected, found }
            };
        }
        if !self.has_room(header) {
            return Verdict::NoRoom;
        }
        let mut chain = self.chain.clone();
        chain.apply(header, hash);
        let contiguous = chain.contiguous();
        if contiguous >= header.sequence { Verdict::Accept { contiguous } } else { Verdict::Ahead }
    }

    /// A sequence that is already covered.
    fn judge_again(&self, sequence: u64, hash: Hash) -> Verdict {
        if self.chain.is_hole(sequence) {
            return Verdict::Late;
        }
        let known = if sequence == 1 { self.first.as_ref() } else { self.recent.get(&sequence) };
        match known {
            Some(known) if *known == hash => Verdict::Duplicate,
            Some(other) if sequence == 1 => Verdict::Restart { other: *other },
            Some(other) => Verdict::Equivocation { other: *other },
            None => Verdict::Unremembered,
        }
    }

    /// A block that touches what is known always has room: the backlog can always be worked off in order.
    fn has_room(&self, header: &Header) -> bool {
        let gaps = header.gaps.iter().filter(|gap| gap.sequences.is_some()).count();
        let runs = &self.chain.runs;
        let touches = self.chain.covers(header.sequence - 1) || runs.contains_key(&(header.sequence + 1));
        runs.len() + gaps + usize::from(!touches) <= RANGES_MAX + GAPS_MAX && (touches || runs.len() <= RANGES_MAX)
    }

    /// Remembers a block as judged. A caller that settled an `Unremembered` hands in the settled verdict.
    pub fn record(&mut self, header: &Header, hash: Hash, verdict: &Verdict) {
        match verdict {
            Verdict::Accept { .. } | Verdict::Ahead | Verdict::AcceptBroken { .. } => {
                self.chain.apply(header, hash);
                self.held.remove(&header.sequence);
                self.remember(header.sequence, hash);
            }
            Verdict::Late => {
                self.chain.fill_hole(header.sequence);
                self.remember(header.sequence, hash);
            }
            Verdict::ChainBreak { .. } => {
                self.held.insert(header.sequence, hash);
                while self.held.len() > RANGES_MAX {
                    self.held.pop_first();
                }
            }
            _ => {}
        }
    }

    fn remember(&mut self, sequence: u64, hash: Hash) {
        if sequence == 1 {
            self.first = Some(hash);
        }
        self.recent.insert(sequence, hash);
        self.arrivals.push_back(sequence);
        if self.arrivals.len() > REMEMBERED_MAX
            && let Some(oldest) = self.arrivals.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// Highest sequence up to which everything is here or accounted for by a gap record; 0 at first.
    pub fn contiguous(&self) -> u64 {
        self.chain.contiguous()
    }

    /// Hash of the block at the contiguous end, where it is known; [`Hash::ZERO`] at first.
    pub fn contiguous_hash(&self) -> Option<Hash> {
        self.chain.runs.get(&0).and_then(|run| run.tail)
    }

    /// Ranges that are here or accounted for beyond `contiguous + 1`, ascending.
    pub fn beyond(&self) -> Vec<(u64, u64)> {
        self.chain.runs.iter().skip(1).map(|(first, run)| (*first, run.last)).collect()
    }

    /// Ranges that are missing below the highest sequence seen: what to ask the agent for.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        let runs = self.chain.runs.iter();
        runs.clone().zip(runs.skip(1)).map(|((_, before), (next, _))| (before.last + 1, next - 1)).collect()
    }

    /// The session as bytes, to be stored in the transaction that appends the blocks. Small: no hash per block.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::new();
        fields.key(1).uint(self.epoch);
        if let Some(first) = &self.first {
            fields.key(2).bytes(&first.0);
        }
        self.chain.write(&mut fields);
        fields.into_bytes()
    }

    /// Reads what `encode` wrote. (A session can also be rebuilt by offering the stored headers in log order.)
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(bytes);
        let (mut epoch, mut first, mut runs, mut holes) = (None, None, None, None);
        reader.fields(|key, reader| {
            match key {
                1 => epoch = Some(reader.uint()?),
                2 => first = Some(reader.hash()?),
                3 => runs = Some(chain::read_runs(reader)?),
                4 => holes = Some(chain::read_holes(reader)?),
                _ => return Ok::<_, CborError>(false),
            }
            Ok(true)
        })?;
        reader.end()?;
        let chain = Chain { runs: required(runs, 3)?, holes: required(holes, 4)? };
        Ok(Self { first, chain, ..Self::new(required(epoch, 1)?) })
    }
}
