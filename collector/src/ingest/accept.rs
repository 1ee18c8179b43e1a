//! Whether a message is what it claims to be, and what it means for its agent's chain. No I/O: the log is asked
//! through a closure, and storing, acknowledging and asking are the caller's.
//!
//! The order: enrolment, size and structure, the topic against the signed header, signature, place in the chain.
//! Whatever fails before the signature changes nothing but a counter and the quarantine.

use std::collections::BTreeMap;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::Timestamp;
use shopfloor::wire::block::{self, BlockError, Limits};
use shopfloor::wire::control::Refused;
use shopfloor::wire::header::Header;
use shopfloor::wire::session::{Session, Verdict};
use shopfloor::wire::sign::PublicKey;
use shopfloor::wire::topic::{Topic, TopicError};

use crate::log::NewBlock;

/// Which agent.
pub(crate) type AgentKey = (SiteId, AgentId);

/// The same broken block has to arrive this often before its sequence is refused for good.
const BROKEN_TIMES: u32 = 3;
/// Sequences that are refused or under suspicion, at most per agent; the oldest are forgotten.
const REFUSED_MAX: usize = 64;
/// Blocks that are kept of one sequence: two prove an equivocation, more add nothing.
const VARIANTS_MAX: usize = 8;

/// Why a block is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("came with QoS 0, so its loss would not be noticed; blocks need QoS 1")]
    AtMostOnce,
    #[error("{0}")]
    Structure(BlockError),
    #[error("{0}")]
    Topic(TopicError),
    #[error("agent {agent} of site {site} is not enrolled; add it to the configuration if it should be")]
    NotEnrolled { site: SiteId, agent: AgentId },
    #[error("{0}")]
    Signature(BlockError),
    #[error("epoch {found} is not the enrolled epoch {expected}")]
    WrongEpoch { found: u64, expected: u64 },
    #[error("sequence 1 of epoch {epoch} again with another hash: the agent lost its history; enrol a new epoch")]
    Restart { epoch: u64 },
    #[error("too many separate ranges are open; nothing is stored, the agent sends it again")]
    NoRoom,
}

impl Refusal {
    /// The name in metrics, alarms and the quarantine.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::AtMostOnce => "at_most_once",
            Self::Structure(_) => "malformed",
            Self::Topic(_) => "other_topic",
            Self::NotEnrolled { .. } => "not_enrolled",
            Self::Signature(_) => "forged",
            Self::WrongEpoch { .. } => "wrong_epoch",
            Self::Restart { .. } => "restart",
            Self::NoRoom => "no_room",
        }
    }
}

/// What is to be done with a block.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// Verified and accepted: store, then acknowledge.
    Store { block: Box<NewBlock>, verdict: Verdict },
    /// Verified and stored already: acknowledge again.
    Again,
    /// Verified, but its link contradicts: keep aside, ask for the neighbours.
    Hold { at: u64, detail: String },
    /// Not taken.
    Refuse(Refusal),
}

/// One enrolled agent, as ingest remembers it.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) public_key: PublicKey,
    pub(crate) session: Session,
    broken: BTreeMap<u64, Broken>,
}

/// A block that came with the right names but does not verify.
#[derive(Debug, Clone)]
struct Broken {
    bytes_hash: Hash,
    times: u32,
    reason: String,
}

impl Chain {
    pub(crate) fn new(public_key: PublicKey, session: Session) -> Self {
        Self { public_key, session, broken: BTreeMap::new() }
    }

    /// The sequences that are refused for good, with reasons.
    ///
    /// A signature that does not hold proves nothing about the agent: anyone who may publish could send it. So a
    /// sequence is given up only after the same bytes came several times and nothing better did, and the reason
    /// names the hash of those bytes: the agent parks its block only if it has these very bytes.
    pub(crate) fn refused(&self) -> Vec<Refused> {
        let given_up = self.broken.iter().filter(|(_, broken)| broken.times >= BROKEN_TIMES);
        given_up
            .map(|(sequence, broken)| Refused {
                sequence: *sequence,
                reason: format!("{}; bytes sha256:{}", broken.reason, broken.bytes_hash),
            })
            .collect()
    }

    /// Whether this makes the list of refused sequences longer.
    fn note_broken(&mut self, header: &Header, bytes: &[u8], reason: &str) -> bool {
        if header.epoch != self.session.epoch() || header.sequence <= self.session.contiguous() {
            return false;
        }
        let bytes_hash = Hash::of(bytes);
        let fresh = Broken { bytes_hash, times: 0, reason: reason.to_owned() };
        let broken = self.broken.entry(header.sequence).or_insert_with(|| fresh.clone());
        if broken.bytes_hash != bytes_hash {
            *broken = fresh;
        }
        broken.times += 1;
        let given_up = broken.times == BROKEN_TIMES;
        while self.broken.len() > REFUSED_MAX {
            self.broken.pop_first();
        }
        given_up
    }

    fn forget_broken(&mut self) {
        let contiguous = self.session.contiguous();
        self.broken = self.broken.split_off(&(contiguous + 1));
    }
}

/// Judges a block. `stored` gives the hashes that the log (or the batch under way) holds for a sequence of this
/// chain. The session of an accepted block remembers it: the caller keeps the block until it is stored.
/// The second answer says that the acknowledgement has news although nothing is stored.
pub(crate) fn judge<E>(
    chains: &mut BTreeMap<AgentKey, Chain>,
    topic: &Topic,
    bytes: Vec<u8>,
    stored: impl Fn(&Header) -> Result<Vec<Hash>, E>,
) -> Result<(Judgement, bool), E> {
    let Some(chain) = chains.get_mut(&(topic.site.clone(), topic.agent.clone())) else {
        let refusal = Refusal::NotEnrolled { site: topic.site.clone(), agent: topic.agent.clone() };
        return Ok((Judgement::Refuse(refusal), false));
    };
    let opened = match block::open(&bytes, &Limits::default()) {
        Ok(opened) => opened,
        Err(error) => {
            let header = header_of_broken(&bytes).filter(|header| topic.admits_header(header).is_ok());
            let news = header.is_some_and(|header| chain.note_broken(&header, &bytes, &error.to_string()));
            return Ok((Judgement::Refuse(Refusal::Structure(error)), news));
        }
    };
    if let Err(error) = topic.admits_header(&opened.header) {
        return Ok((Judgement::Refuse(Refusal::Topic(error)), false));
    }
    if let Err(error) = opened.verify(&chain.public_key) {
        let ours = opened.key_id == chain.public_key.key_id();
        let news = ours && chain.note_broken(&opened.header, &bytes, &error.to_string());
        return Ok((Judgement::Refuse(Refusal::Signature(error)), news));
    }
    let (header, hash) = (opened.header, opened.hash);
    let mut verdict = chain.session.judge(&header, hash);
    let mut known = Vec::new();
    if matches!(verdict, Verdict::Unremembered | Verdict::Equivocation { .. }) {
        known = stored(&header)?;
        verdict = verdict.settle(hash, known.first().copied());
    }
    chain.session.record(&header, hash, &verdict);
    chain.forget_broken();
    let judgement = match verdict {
        Verdict::Duplicate => Judgement::Again,
        Verdict::Equivocation { .. } if known.contains(&hash) => Judgement::Again,
        Verdict::Equivocation { .. } if known.len() >= VARIANTS_MAX => Judgement::Again,
        Verdict::ChainBreak { at, expected, found } => {
            Judgement::Hold { at, detail: format!("block {at} cites {found} as its predecessor, stored is {expected}") }
        }
        Verdict::Restart { .. } => Judgement::Refuse(Refusal::Restart { epoch: header.epoch }),
        Verdict::WrongEpoch { expected } => Judgement::Refuse(Refusal::WrongEpoch { found: header.epoch, expected }),
        Verdict::NoRoom | Verdict::Unremembered => Judgement::Refuse(Refusal::NoRoom),
        verdict => Judgement::Store { block: Box::new(NewBlock { header, hash, bytes }), verdict },
    };
    Ok((judgement, false))
}

/// The header of a block that cannot be opened, where that much can be read. Unverified.
fn header_of_broken(bytes: &[u8]) -> Option<Header> {
    let (preamble, rest) = bytes.split_at_checked(block::PREAMBLE_BYTES)?;
    let length = u32::from_be_bytes(*preamble.last_chunk()?);
    Header::decode(rest.get(..usize::try_from(length).ok()?)?).ok()
}

/// When the agent was asked for something last, and when its chain last moved: so that asking stays rare.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asking {
    missing_since: Option<Timestamp>,
    ranges_asked: Option<Timestamp>,
    birth_asked: Option<Timestamp>,
}

impl Asking {
    /// The chain changed: whatever is missing now gets its time.
    pub(crate) fn moved(&mut self, missing: bool, now: Timestamp) {
        self.missing_since = missing.then_some(now);
    }

    /// Whether to ask for missing ranges now.
    pub(crate) fn ranges_due(&mut self, now: Timestamp, after: i64) -> bool {
        let due = self.missing_since.is_some_and(|since| now.since(since) >= after)
            && self.ranges_asked.is_none_or(|asked| now.since(asked) >= after);
        if due {
            self.ranges_asked = Some(now);
        }
        due
    }

    /// Whether to ask for the birth now.
    pub(crate) fn birth_due(&mut self, now: Timestamp, pause: i64) -> bool {
        let due = self.birth_asked.is_none_or(|asked| now.since(asked) >= pause);
        if due {
            self.birth_asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use shopfloor::time::{Interval, MINUTE};
    use shopfloor::wire::block::seal;
    use shopfloor::wire::header::{ClockState, FORMAT, Marks};
    use shopfloor::wire::sign::SecretKey;
    use shopfloor::wire::topic::Channel;

    use super::*;

    fn key() -> SecretKey {
        SecretKey::from_seed([1; 32])
    }

    fn topic() -> Topic {
        Topic::new("site".parse().unwrap(), "edge".parse().unwrap(), Channel::Block)
    }

    fn chains() -> BTreeMap<AgentKey, Chain> {
        let topic = topic();
        BTreeMap::from([((topic.site, topic.agent), Chain::new(key().public(), Session::new(1)))])
    }

    fn first_block() -> Vec<u8> {
        let at = Timestamp::from_secs(1_795_564_800);
        let header = Header {
            format: FORMAT,
            site: topic().site,
            agent: topic().agent,
            epoch: 1,
            sequence: 1,
            prev_block_hash: Hash::ZERO,
            config_hash: Hash::of(b"map"),
            plan_hash: None,
            software: "test".into(),
            boot_id: [0; 16],
            window: Interval { start: at, end: at },
            monotonic: (0, 0),
            clock: ClockState::default(),
            first_sample: 1,
            sample_count: 0,
            quality_counts: [0; 3],
            drops: BTreeMap::new(),
            gaps: Vec::new(),
            marks: Marks::default(),
            sections: Vec::new(),
        };
        seal(header, &[], &key()).unwrap().bytes
    }

    fn judged(chains: &mut BTreeMap<AgentKey, Chain>, bytes: Vec<u8>) -> (Judgement, bool) {
        let Ok(judged) = judge(chains, &topic(), bytes, |_| Ok::<_, Infallible>(Vec::new()));
        judged
    }

    #[test]
    fn no_cut_and_no_changed_byte_is_taken_and_none_changes_the_chain() {
        let mut chains = chains();
        let before = chains.values().next().unwrap().session.clone();
        let block = first_block();
        for length in 0..block.len() {
            let (judgement, _) = judged(&mut chains, block[..length].to_vec());
            assert!(matches!(judgement, Judgement::Refuse(Refusal::Structure(_))), "{length}: {judgement:?}");
        }
        for at in 0..block.len() {
            let mut changed = block.clone();
            changed[at] ^= 0x10;
            let (judgement, _) = judged(&mut chains, changed);
            assert!(matches!(judgement, Judgement::Refuse(_)), "{at}: {judgement:?}");
        }
        assert_eq!(chains.values().next().unwrap().session, before);
        let (judgement, _) = judged(&mut chains, block);
        assert!(matches!(judgement, Judgement::Store { .. }), "{judgement:?}");
    }

    #[test]
    fn a_broken_block_is_given_up_at_the_third_same_copy_and_forgotten_when_the_true_one_comes() {
        let mut chains = chains();
        let refused = |chains: &BTreeMap<AgentKey, Chain>| chains.values().next().unwrap().refused().len();
        let broken = |byte: u8| [&first_block()[..], &[byte]].concat();
        for (byte, news) in [(1, false), (2, false), (1, false), (1, false), (1, true), (1, false)] {
            let (_, told) = judged(&mut chains, broken(byte));
            assert_eq!(told, news, "another forgery in between starts the count again");
        }
        assert_eq!(refused(&chains), 1);
        judged(&mut chains, first_block());
        assert_eq!(refused(&chains), 0);
    }

    #[test]
    fn missing_ranges_are_asked_for_after_a_while_and_not_too_often() {
        let at = Timestamp::from_secs;
        let mut asking = Asking::default();
        assert!(!asking.ranges_due(at(0), MINUTE));
        asking.moved(true, at(0));
        assert!(!asking.ranges_due(at(59), MINUTE));
        assert!(asking.ranges_due(at(60), MINUTE));
        assert!(!asking.ranges_due(at(61), MINUTE));
        assert!(asking.ranges_due(at(120), MINUTE));
        asking.moved(false, at(130));
        assert!(!asking.ranges_due(at(300), MINUTE));
    }
}
