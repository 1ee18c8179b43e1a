//! Which block is sent next. Pure: takes the time and what happened, says what to do.
//!
//! New blocks go first and the backlog follows, oldest first, in the rest of the window and within its rate. While
//! there is backlog, new blocks have half of the window, and wait when they would scatter over too many ranges:
//! the collector keeps a bounded number of them, and only the oldest missing block is certain to be taken. A
//! block stays in the window until the collector has acknowledged it, by contiguous end or by range; without an
//! acknowledgement it is sent again after a wait that doubles. After a reconnect everything that is not
//! acknowledged is backlog again, except the newest block.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Rhythm and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Blocks in the window, at most.
    pub in_flight: usize,
    /// First wait for an acknowledgement.
    pub resend: Duration,
    /// Longest wait.
    pub resend_max: Duration,
    /// Bytes of backlog per second.
    pub rate: u64,
}

/// Separate ranges beyond the contiguous end up to which new blocks overtake the backlog; the collector keeps 256.
const OVERTAKEN_MAX: usize = 64;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This block.
    Block(u64),
    /// The first block from this sequence on that is in the queue.
    From(u64),
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    again_at: Duration,
    wait: Duration,
    /// Which hand-over it was: messages arrive in this order.
    order: u64,
}

/// What was sent and what was answered.
#[derive(Debug)]
pub struct Outbox {
    limits: Limits,
    fresh: VecDeque<u64>,
    window: BTreeMap<u64, Sent>,
    newest: u64,
    acknowledged: u64,
    beyond: Vec<(u64, u64)>,
    cursor: u64,
    drained: bool,
    tokens: u64,
    refilled_at: Duration,
    handed_over: u64,
}

impl Outbox {
    /// An outbox of a chain that ends at `newest` and is acknowledged up to `acknowledged`.
    pub fn new(limits: Limits, newest: u64, acknowledged: u64) -> Self {
        Self {
            limits,
            fresh: VecDeque::new(),
            window: BTreeMap::new(),
            newest,
            acknowledged,
            beyond: Vec::new(),
            cursor: acknowledged + 1,
            drained: false,
            tokens: limits.rate,
            refilled_at: Duration::ZERO,
            handed_over: 0,
        }
    }

    /// A connection was made: nothing is under way, the newest block goes first.
    pub fn connected(&mut self) {
        self.window.clear();
        self.fresh.clear();
        if self.newest > self.acknowledged {
            self.fresh.push_back(self.newest);
        }
        self.rewind();
    }

    fn rewind(&mut self) {
        self.cursor = self.acknowledged + 1;
        self.drained = false;
    }

    /// The chain has grown to `newest`.
    pub fn sealed(&mut self, newest: u64) {
        // A row of fresh blocks longer than the window is backlog; only the newest of it stay fresh.
        let room = self.limits.in_flight as u64;
        let first = (self.newest + 1).max(newest.saturating_sub(room - 1));
        self.fresh.extend(first..=newest);
        if first > self.newest + 1 {
            self.drained = false;
        }
        while self.fresh.len() > self.limits.in_flight {
            self.fresh.pop_front();
            self.drained = false;
        }
        self.newest = self.newest.max(newest);
    }

    /// The collector has everything up to `contiguous` and these ranges beyond it. False if that cannot be: it
    /// moves backward, or beyond what was ever sealed.
    pub fn acknowledged(&mut self, contiguous: u64, beyond: Vec<(u64, u64)>) -> bool {
        if contiguous < self.acknowledged || contiguous > self.newest {
            return false;
        }
        self.acknowledged = contiguous;
        self.beyond = beyond;
        let has = |s: &u64| *s <= contiguous || self.beyond.iter().any(|(a, b)| (*a..=*b).contains(s));
        let arrived = self.window.iter().filter(|(sequence, _)| has(sequence)).map(|(_, sent)| sent.order).max();
        self.window.retain(|sequence, _| !has(sequence));
        self.fresh.retain(|sequence| !has(sequence));
        self.cursor = self.cursor.max(contiguous + 1);
        // The block that is missing now came before one that arrived, and was not taken: it would be now.
        if let Some(missing) = self.window.get_mut(&(contiguous + 1))
            && arrived.is_some_and(|arrived| missing.order < arrived)
        {
            missing.again_at = Duration::ZERO;
        }
        true
    }

    /// The collector asks for these again.
    pub fn asked(&mut self, first: u64, last: u64) {
        self.beyond.retain(|(a, b)| *b < first || last < *a);
        let range: Vec<u64> = self.window.range(first..=last).map(|(s, _)| *s).collect();
        for sequence in range {
            self.window.remove(&sequence);
        }
        self.cursor = self.cursor.min(first.max(self.acknowledged + 1));
        self.drained = false;
    }

    /// The block will not be sent any more.
    pub fn parked(&mut self, sequence: u64) {
        self.window.remove(&sequence);
        self.fresh.retain(|s| *s != sequence);
    }

    /// What to send now, if anything.
    pub fn next(&mut self, now: Duration) -> Option<Pick> {
        self.refill(now);
        if let Some((sequence, _)) = self.window.iter().find(|(_, sent)| sent.again_at <= now) {
            return Some(Pick::Block(*sequence));
        }
        while self.fresh.front().is_some_and(|sequence| self.window.contains_key(sequence)) {
            self.fresh.pop_front();
        }
        if self.window.len() < self.limits.in_flight
            && self.may_overtake()
            && let Some(sequence) = self.fresh.front()
        {
            return Some(Pick::Block(*sequence));
        }
        // One place is left for a new block.
        let room = self.window.len() + 1 < self.limits.in_flight.max(2);
        if room && !self.drained && self.tokens > 0 {
            self.skip();
            if self.cursor <= self.newest {
                return Some(Pick::From(self.cursor));
            }
            self.drained = true;
        }
        None
    }

    /// Whether a new block may go before the backlog.
    fn may_overtake(&self) -> bool {
        let ahead = self.window.range(self.cursor..).count();
        self.drained || (ahead < (self.limits.in_flight / 2).max(1) && self.beyond.len() < OVERTAKEN_MAX)
    }

    /// Moves the cursor over what is acknowledged or under way.
    fn skip(&mut self) {
        loop {
            let at = self.cursor;
            if self.window.contains_key(&at) {
                self.cursor += 1;
            } else if let Some((_, last)) = self.beyond.iter().find(|(a, b)| (*a..=*b).contains(&at)) {
                self.cursor = last + 1;
            } else {
                return;
            }
        }
    }

    /// The block was handed over.
    pub fn sent(&mut self, sequence: u64, bytes: u64, now: Duration) {
        let fresh = self.fresh.front() == Some(&sequence);
        if fresh {
            self.fresh.pop_front();
        }
        let known = self.window.get(&sequence).map(|sent| sent.wait);
        let wait = known.map_or(self.limits.resend, |w| (w * 2).min(self.limits.resend_max));
        self.handed_over += 1;
        self.window.insert(sequence, Sent { again_at: now + wait, wait, order: self.handed_over });
        if !fresh && known.is_none() {
            self.cursor = self.cursor.max(sequence + 1);
            self.tokens = self.tokens.saturating_sub(bytes);
        }
    }

    /// There is no such block in the queue (it was evicted or parked), or none from there on.
    pub fn absent(&mut self, pick: Pick) {
        match pick {
            Pick::Block(sequence) => self.parked(sequence),
            Pick::From(_) => self.drained = true,
        }
    }

    /// When `next` may say something new without anything happening.
    pub fn next_at(&self, now: Duration) -> Option<Duration> {
        let again = self.window.values().map(|sent| sent.again_at).min();
        let refill = (self.tokens == 0 && !self.drained).then(|| now + Duration::from_millis(100));
        again.into_iter().chain(refill).min()
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled_at);
        let gained = u128::from(self.limits.rate) * passed.as_millis() / 1000;
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(self.limits.rate);
            self.refilled_at = now;
        }
    }

    /// Blocks that are under way.
    pub fn in_flight(&self) -> usize {
        self.window.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { in_flight: 4, resend: Duration::from_secs(15), resend_max: Duration::from_secs(40), rate: 1000 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Sends all that may go at `now`, out of a queue that holds every sequence; the order sent.
    fn send(outbox: &mut Outbox, bytes: u64, now: Duration) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(pick) = outbox.next(now) {
            let (Pick::Block(sequence) | Pick::From(sequence)) = pick;
            outbox.sent(sequence, bytes, now);
            order.push(sequence);
            assert!(order.len() < 100, "it comes to an end: {order:?}");
        }
        order
    }

    #[test]
    fn new_blocks_go_first_and_the_backlog_follows_oldest_first() {
        let mut outbox = Outbox::new(LIMITS, 100, 50);
        outbox.connected();
        assert_eq!(send(&mut outbox, 1, at(0)), [100, 51, 52]);
        outbox.sealed(101);
        assert_eq!(send(&mut outbox, 1, at(1)), [101], "one place was kept for it");
        assert!(outbox.acknowledged(50, vec![(100, 101)]));
        let again = "51 came before 101 and was not taken; the place for a new block stays free";
        assert_eq!(send(&mut outbox, 1, at(2)), [51, 53], "{again}");
        assert!(outbox.acknowledged(53, vec![(100, 101)]));
        assert_eq!(send(&mut outbox, 1, at(3)), [54, 55, 56]);
        assert!(outbox.acknowledged(99, vec![(100, 101)]));
        assert_eq!(send(&mut outbox, 1, at(4)), [0; 0], "ranges beyond are not sent again");
    }

    #[test]
    fn without_acknowledgement_a_block_goes_again_after_a_wait_that_doubles() {
        let mut outbox = Outbox::new(LIMITS, 1, 0);
        outbox.connected();
        assert_eq!(send(&mut outbox, 1, at(0)), [1]);
        assert_eq!(send(&mut outbox, 1, at(14)), [0; 0]);
        assert_eq!(outbox.next_at(at(14)), Some(at(15)));
        assert_eq!(send(&mut outbox, 1, at(15)), [1]);
        assert_eq!(send(&mut outbox, 1, at(44)), [0; 0]);
        assert_eq!(send(&mut outbox, 1, at(45)), [1]);
        assert_eq!(send(&mut outbox, 1, at(84)), [0; 0], "the wait is bounded");
        assert_eq!(send(&mut outbox, 1, at(85)), [1]);
        assert!(outbox.acknowledged(1, vec![]));
        assert_eq!(send(&mut outbox, 1, at(1000)), [0; 0]);
    }

    #[test]
    fn acknowledgements_never_move_backward_nor_beyond_the_chain() {
        let mut outbox = Outbox::new(LIMITS, 10, 5);
        assert!(!outbox.acknowledged(4, vec![]));
        assert!(!outbox.acknowledged(11, vec![]));
        assert!(outbox.acknowledged(10, vec![]));
    }

    #[test]
    fn the_backlog_keeps_to_its_rate_and_new_blocks_do_not_wait_for_it() {
        let mut outbox = Outbox::new(LIMITS, 100, 0);
        outbox.connected();
        assert_eq!(send(&mut outbox, 800, at(0)), [100, 1, 2]);
        assert!(outbox.acknowledged(2, vec![(100, 100)]));
        assert_eq!(send(&mut outbox, 800, at(0)), [0; 0], "the bucket is empty");
        outbox.sealed(101);
        assert_eq!(send(&mut outbox, 800, at(0)), [101]);
        assert!(outbox.next_at(at(0)).is_some_and(|t| t <= at(1)));
        assert_eq!(send(&mut outbox, 800, at(1)), [3, 4]);
    }

    #[test]
    fn a_long_outage_becomes_backlog() {
        let mut outbox = Outbox::new(LIMITS, 0, 0);
        outbox.sealed(1000);
        outbox.connected();
        assert_eq!(send(&mut outbox, 1, at(0)), [1000, 1, 2]);
    }

    #[test]
    fn blocks_that_were_asked_for_go_again() {
        let mut outbox = Outbox::new(LIMITS, 9, 5);
        outbox.connected();
        assert_eq!(send(&mut outbox, 1, at(0)), [9, 6, 7]);
        assert!(outbox.acknowledged(5, vec![(6, 9)]));
        outbox.asked(7, 8);
        assert_eq!(send(&mut outbox, 1, at(1)), [7, 8, 9], "the range was withdrawn");
    }

    #[test]
    fn holes_in_the_queue_are_passed_over() {
        let mut outbox = Outbox::new(LIMITS, 9, 5);
        outbox.connected();
        assert_eq!(outbox.next(at(0)), Some(Pick::Block(9)));
        outbox.absent(Pick::Block(9));
        assert_eq!(outbox.next(at(0)), Some(Pick::From(6)));
        outbox.sent(8, 1, at(0));
        assert_eq!(outbox.next(at(0)), Some(Pick::From(9)));
        outbox.absent(Pick::From(9));
        assert_eq!(outbox.next(at(0)), None);
    }

    /// A collector that keeps a bounded number of separate ranges, as the real one does.
    #[derive(Default)]
    struct Ranges(std::collections::BTreeSet<u64>);

    impl Ranges {
        const MAX: usize = 6;

        fn contiguous(&self) -> u64 {
            self.0.iter().zip(1..).take_while(|(found, wanted)| *found == wanted).last().map_or(0, |(last, _)| *last)
        }

        fn beyond(&self) -> Vec<(u64, u64)> {
            let mut found: Vec<(u64, u64)> = Vec::new();
            for sequence in self.0.range(self.contiguous() + 1..) {
                match found.last_mut() {
                    Some((_, last)) if *last + 1 == *sequence => *last = *sequence,
                    _ => found.push((*sequence, *sequence)),
                }
            }
            found
        }

        fn take(&mut self, sequence: u64) {
            self.0.insert(sequence);
            if self.beyond().len() > Self::MAX {
                self.0.remove(&sequence);
            }
        }
    }

    #[test]
    fn blocks_that_are_sealed_faster_than_they_are_sent_never_shut_the_backlog_out() {
        let limits = Limits { in_flight: 8, rate: u64::MAX, ..LIMITS };
        let (mut outbox, mut collector) = (Outbox::new(limits, 0, 0), Ranges::default());
        outbox.connected();
        let (mut newest, mut now) = (0, Duration::ZERO);
        for round in 0..3000 {
            now += Duration::from_millis(1);
            if round < 100 {
                newest += 37;
                outbox.sealed(newest);
            }
            for sequence in send(&mut outbox, 1, now) {
                collector.take(sequence);
            }
            assert!(outbox.acknowledged(collector.contiguous(), collector.beyond()));
        }
        assert_eq!(collector.contiguous(), newest, "every block arrives without a wait for a second send");
    }
}
