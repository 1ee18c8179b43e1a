//! The state of ingest between batches: chains, the batch under way, and the answers that are due.

use std::collections::{BTreeMap, BTreeSet};

use shopfloor::hash::Hash;
use shopfloor::register_map::RegisterMap;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::control::{Ack, Birth, Down, RANGES_MAX, Status};
use shopfloor::wire::header::{GapKind, Header};
use shopfloor::wire::session::{Session, Verdict};
use shopfloor::wire::topic::{Channel, Topic, shard};

use super::accept::{AgentKey, Asking, Chain, Judgement, Refusal, judge};
use super::mqtt::{Incoming, Link, Message};
use super::quarantine::Quarantine;
use super::registry::AgentView;
use crate::config::{AgentEnrolment, Config};
use crate::keys::Keys;
use crate::log::{Batch, DocumentKind, Log, LogError, NewBlock, NewDocument, SessionRecord, StoredDocument};
use crate::metrics::Metrics;
use crate::store::Store;

/// Least time between two requests for one agent's birth, nanoseconds.
const BIRTH_PAUSE: i64 = 15 * SECOND;
/// Stored blocks that are read at once when a chain is rebuilt.
const REBUILD_STEP: u64 = 1024;

/// Ingest's state; moved between the tasks that work on it.
pub(super) struct Engine {
    chains: BTreeMap<AgentKey, Chain>,
    asking: BTreeMap<AgentKey, Asking>,
    pending: Batch,
    /// When the pending batch was received, and which chains it changed.
    received: Timestamp,
    touched: BTreeSet<AgentKey>,
    acks_due: BTreeSet<AgentKey>,
    requests: Vec<(AgentKey, Down)>,
    shards: std::ops::RangeInclusive<u8>,
    missing_after: i64,
    store: Store,
    keys: Keys,
    metrics: Metrics,
    link: Link,
    quarantine: Quarantine,
}

impl Engine {
    /// Restores the chains of the enrolled agents from the log.
    pub(super) fn restore(
        config: &Config,
        agents: &[AgentEnrolment],
        store: Store,
        keys: Keys,
        metrics: Metrics,
        link: Link,
    ) -> Result<Self, LogError> {
        let mut chains = BTreeMap::new();
        for enrolled in agents {
            let session = restore_session(&store.log, enrolled)?;
            let chain = Chain::new(enrolled.public_key, session);
            store.agents.insert(restore_view(&store.log, enrolled, &chain)?);
            chains.insert((enrolled.site.clone(), enrolled.id.clone()), chain);
        }
        metrics.log_size.set(i64::try_from(store.log.size()).unwrap_or(i64::MAX));
        Ok(Self {
            asking: chains.keys().map(|key| (key.clone(), Asking::default())).collect(),
            chains,
            pending: Batch::default(),
            received: Timestamp::default(),
            touched: BTreeSet::new(),
            acks_due: BTreeSet::new(),
            requests: Vec::new(),
            shards: config.shards.clone(),
            missing_after: config.missing_after,
            store,
            keys,
            metrics,
            link,
            quarantine: Quarantine::open(&config.state_dir),
        })
    }

    /// Examines messages; what is to be stored becomes the pending batch.
    pub(super) fn examine(&mut self, incoming: Vec<Incoming>, now: Timestamp) {
        self.received = now;
        for incoming in incoming {
            match incoming {
                // The broker may have forgotten every retained acknowledgement.
                Incoming::Connected => self.acks_due.extend(self.chains.keys().cloned()),
                Incoming::Message(message) => self.message(message, now),
            }
        }
    }

    fn message(&mut self, message: Message, now: Timestamp) {
        let topic = match message.topic.parse::<Topic>() {
            Ok(topic) => topic,
            Err(error) => {
                self.metrics.refused_messages.with_label_values(&["unknown"]).inc();
                self.quarantine.keep(now, &message.topic, "topic", &error.to_string(), &message.payload);
                return;
            }
        };
        if !self.shards.contains(&shard(&topic.site)) {
            return;
        }
        let result = match topic.channel {
            Channel::Block => {
                self.block(&topic, message, now);
                return;
            }
            Channel::Birth => self.birth(&topic, &message.payload),
            Channel::Status => self.status(&topic, &message.payload),
            Channel::Ack | Channel::Down => Ok(()),
        };
        if let Err(reason) = result {
            self.metrics.refused_messages.with_label_values(&[topic.channel.as_str()]).inc();
            tracing::warn!(topic = message.topic, reason, "message refused");
            self.quarantine.keep(now, &message.topic, topic.channel.as_str(), &reason, &message.payload);
            let key = (topic.site, topic.agent);
            self.store.agents.change(&key, |view| view.alarm("message_refused", now, reason));
        }
    }

    fn block(&mut self, topic: &Topic, message: Message, now: Timestamp) {
        let key = (topic.site.clone(), topic.agent.clone());
        if message.at_most_once {
            return self.refuse(&key, &Refusal::AtMostOnce, &message.topic, &message.payload, now);
        }
        let Self { chains, store, pending, .. } = self;
        let stored = |header: &Header| hashes_of(&store.log, pending, header);
        // The payload moves into the block; a refused one is needed for the quarantine, so it is kept in two cases.
        let payload = message.payload.clone();
        let (judgement, news) = match judge(chains, topic, message.payload, stored) {
            Ok(judged) => judged,
            Err(error) => {
                // Not judged, so not acknowledged: the agent sends it again.
                self.metrics.blocks.with_label_values(&["unreadable_log"]).inc();
                tracing::error!(%error, "log could not be read; block left for later");
                return;
            }
        };
        if news {
            self.acks_due.insert(key.clone());
        }
        match judgement {
            Judgement::Store { block, verdict } => self.accept(&key, *block, &verdict, now),
            Judgement::Again => {
                self.metrics.blocks.with_label_values(&["duplicate"]).inc();
                self.store.agents.change(&key, |view| view.duplicates += 1);
                self.acks_due.insert(key);
            }
            Judgement::Hold { at, detail } => self.hold(&key, at, detail, &message.topic, &payload, now),
            Judgement::Refuse(refusal) => self.refuse(&key, &refusal, &message.topic, &payload, now),
        }
    }

    fn accept(&mut self, key: &AgentKey, block: NewBlock, verdict: &Verdict, now: Timestamp) {
        let (result, dispute) = match verdict {
            Verdict::Accept { .. } => ("accepted", None),
            Verdict::Ahead => ("ahead", None),
            Verdict::Late => ("late", None),
            Verdict::Equivocation { other } => ("equivocation", Some(format!("stored is {other}"))),
            Verdict::AcceptBroken { at, expected, found } => {
                ("broken_chain", Some(format!("block {at} cites {found} as its predecessor, stored is {expected}")))
            }
            _ => ("other", None),
        };
        self.metrics.blocks.with_label_values(&[result]).inc();
        if let Some(detail) = dispute {
            let header = &block.header;
            tracing::error!(site = %key.0, agent = %key.1, sequence = header.sequence, hash = %block.hash, result, detail, "window disputed");
            let detail = format!("sequence {}, block {}: {detail}", header.sequence, block.hash);
            let window = header.window;
            self.store.agents.change(key, |view| {
                view.alarm(result_code(result), now, detail);
                view.dispute(window);
            });
        }
        if let Some(gap) = block.header.gaps.iter().find(|gap| gap.kind == GapKind::Restored) {
            tracing::error!(site = %key.0, agent = %key.1, receipt = gap.detail, "this log is older than what it acknowledged");
            let detail = format!("the log lacks blocks that it had acknowledged; receipt: {}", gap.detail);
            self.store.agents.change(key, |view| view.alarm("log_restored", now, detail));
        }
        if self.store.ledger.register_map(&block.header.config_hash).is_none() {
            self.ask_birth(key, now);
        }
        self.touched.insert(key.clone());
        self.pending.blocks.push(block);
    }

    fn hold(&mut self, key: &AgentKey, at: u64, detail: String, topic: &str, payload: &[u8], now: Timestamp) {
        self.metrics.blocks.with_label_values(&["held"]).inc();
        tracing::warn!(site = %key.0, agent = %key.1, detail, "chain contradicts; block held, its neighbours asked for");
        self.quarantine.keep(now, topic, "held", &detail, payload);
        self.store.agents.change(key, |view| view.alarm("chain_break", now, detail));
        let Some(chain) = self.chains.get(key) else { return };
        let request = Down::RequestRanges {
            site: key.0.clone(),
            agent: key.1.clone(),
            epoch: chain.session.epoch(),
            ranges: vec![(at.saturating_sub(1).max(1), at)],
            sent_at: now,
        };
        self.requests.push((key.clone(), request));
    }

    fn refuse(&mut self, key: &AgentKey, refusal: &Refusal, topic: &str, payload: &[u8], now: Timestamp) {
        self.metrics.blocks.with_label_values(&[refusal.code()]).inc();
        tracing::warn!(topic, reason = %refusal, "block refused");
        self.quarantine.keep(now, topic, refusal.code(), &refusal.to_string(), payload);
        self.store.agents.change(key, |view| view.alarm(refusal.code(), now, refusal.to_string()));
    }

    fn birth(&mut self, topic: &Topic, payload: &[u8]) -> Result<(), String> {
        let key = (topic.site.clone(), topic.agent.clone());
        let chain = self.chains.get(&key).ok_or_else(|| not_enrolled(topic))?;
        let birth = Birth::decode(payload, &chain.public_key).map_err(|error| error.to_string())?;
        topic.admits(&birth.site, &birth.agent).map_err(|error| error.to_string())?;
        let map = RegisterMap::decode(&birth.register_map).map_err(|error| error.to_string())?;
        if (&map.site, &map.agent) != (&topic.site, &topic.agent) {
            return Err(format!("its register map is of {}/{}", map.site, map.agent));
        }
        let document = NewDocument::new(DocumentKind::RegisterMap, birth.register_map);
        let known = self.store.ledger.register_map(&document.hash).is_some()
            || self.pending.documents.iter().any(|pending| pending.hash == document.hash);
        if !known {
            self.pending.documents.push(document);
        }
        Ok(())
    }

    fn status(&mut self, topic: &Topic, payload: &[u8]) -> Result<(), String> {
        let key = (topic.site.clone(), topic.agent.clone());
        let chain = self.chains.get(&key).ok_or_else(|| not_enrolled(topic))?;
        let status = Status::decode(payload, &chain.public_key).map_err(|error| error.to_string())?;
        topic.admits(&status.site, &status.agent).map_err(|error| error.to_string())?;
        self.store.agents.change(&key, |view| {
            // The last will is signed at connect, before the online message: it is never too old.
            if !status.online || view.status_time.is_none_or(|known| known <= status.sent_at) {
                view.online = status.online;
                view.status_time = Some(status.sent_at);
            }
        });
        Ok(())
    }

    /// Whether a batch waits to be stored.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.blocks.is_empty() || !self.pending.documents.is_empty()
    }

    /// Stores the pending batch; `false` if the disk refused it, then it stays pending.
    pub(super) fn commit(&mut self) -> bool {
        self.pending.sessions = self.touched.iter().filter_map(|key| self.session_record(key)).collect();
        match self.store.log.append(self.received, &self.pending) {
            Ok(first) => {
                self.metrics.commits.inc();
                self.metrics.disk_refuses.set(0);
                tracing::debug!(target: "phase", phase = %"committed");
                self.stored(first);
                true
            }
            Err(error) => {
                self.metrics.commit_errors.inc();
                self.metrics.disk_refuses.set(1);
                tracing::error!(%error, "nothing is acknowledged until the log can be written; trying again");
                false
            }
        }
    }

    fn session_record(&self, key: &AgentKey) -> Option<SessionRecord> {
        let session = &self.chains.get(key)?.session;
        let (site, agent) = key.clone();
        Some(SessionRecord { site, agent, epoch: session.epoch(), bytes: session.encode() })
    }

    /// What follows from a batch that is on disk.
    fn stored(&mut self, first: u64) {
        let Batch { documents, blocks, .. } = std::mem::take(&mut self.pending);
        let mut log_index = first;
        for NewDocument { kind, hash, bytes } in documents {
            self.store.ledger.apply(&StoredDocument { log_index, hash, kind, received: self.received, bytes });
            log_index += 1;
        }
        for block in &blocks {
            self.metrics.samples.inc_by(block.header.sample_count);
            self.metrics.block_bytes.inc_by(block.bytes.len() as u64);
            let key = (block.header.site.clone(), block.header.agent.clone());
            let received = self.received;
            self.store.agents.change(&key, |view| note_stored(view, block, log_index, received));
            log_index += 1;
        }
        for key in std::mem::take(&mut self.touched) {
            let Some(chain) = self.chains.get(&key) else { continue };
            let missing = chain.session.missing();
            let (contiguous, beyond) = (chain.session.contiguous(), chain.session.beyond());
            self.asking.entry(key.clone()).or_default().moved(!missing.is_empty(), self.received);
            self.store.agents.change(&key, |view| {
                view.contiguous = contiguous;
                view.beyond = beyond;
                view.missing = missing;
            });
            self.acks_due.insert(key);
        }
        self.metrics.log_size.set(i64::try_from(self.store.log.size()).unwrap_or(i64::MAX));
    }

    /// What is due by time alone: asking for ranges that have been missing for a while.
    pub(super) fn tick(&mut self, now: Timestamp) {
        for (key, chain) in &self.chains {
            let Some(asking) = self.asking.get_mut(key) else { continue };
            if !asking.ranges_due(now, self.missing_after) {
                continue;
            }
            let mut ranges = chain.session.missing();
            ranges.truncate(RANGES_MAX);
            let (site, agent) = key.clone();
            let request = Down::RequestRanges { site, agent, epoch: chain.session.epoch(), ranges, sent_at: now };
            self.requests.push((key.clone(), request));
        }
    }

    fn ask_birth(&mut self, key: &AgentKey, now: Timestamp) {
        let asking = self.asking.entry(key.clone()).or_default();
        if asking.birth_due(now, BIRTH_PAUSE) {
            let (site, agent) = key.clone();
            self.requests.push((key.clone(), Down::RequestBirth { site, agent, sent_at: now }));
        }
    }

    /// Publishes the acknowledgements and requests that are due; what does not go out stays due.
    pub(super) fn answer(&mut self, now: Timestamp) {
        let (link, keys, metrics) = (&self.link, &self.keys, &self.metrics);
        self.acks_due.retain(|key| {
            let Some(chain) = self.chains.get(key) else { return false };
            let topic = Topic::new(key.0.clone(), key.1.clone(), Channel::Ack);
            let published = link.publish(&topic, ack(key, chain, &self.store, now).encode(&keys.ack), true);
            if published {
                metrics.acks.inc();
                tracing::debug!(target: "phase", phase = %"acknowledged");
            }
            !published
        });
        for (key, request) in std::mem::take(&mut self.requests) {
            let kind = match &request {
                Down::RequestBirth { .. } => "birth",
                Down::RequestRanges { .. } => "ranges",
            };
            let topic = Topic::new(key.0, key.1, Channel::Down);
            // One that is lost is asked again when it is due again.
            if link.publish(&topic, request.encode(&keys.ack), false) {
                metrics.requests.with_label_values(&[kind]).inc();
            }
        }
    }
}

fn ack(key: &AgentKey, chain: &Chain, store: &Store, now: Timestamp) -> Ack {
    let mut beyond = chain.session.beyond();
    beyond.truncate(RANGES_MAX);
    let newest = store.agents.agent(&key.0, &key.1).and_then(|view| view.newest_index);
    Ack {
        site: key.0.clone(),
        agent: key.1.clone(),
        epoch: chain.session.epoch(),
        contiguous: chain.session.contiguous(),
        beyond,
        refused: chain.refused(),
        log_index: newest.unwrap_or(0),
        log_origin: store.log.origin().to_owned(),
        sent_at: now,
    }
}

fn note_stored(view: &mut AgentView, block: &NewBlock, log_index: u64, received: Timestamp) {
    view.blocks += 1;
    view.newest_index = Some(log_index);
    view.newest_received = Some(received);
    if view.newest_block_time.is_none_or(|newest| newest <= block.header.window.end) {
        view.newest_block_time = Some(block.header.window.end);
        view.marks = block.header.marks;
    }
}

fn result_code(result: &str) -> &'static str {
    if result == "equivocation" { "equivocation" } else { "broken_chain" }
}

fn not_enrolled(topic: &Topic) -> String {
    Refusal::NotEnrolled { site: topic.site.clone(), agent: topic.agent.clone() }.to_string()
}

/// The hashes that are stored, or about to be, of a block's sequence; the first is the first stored.
fn hashes_of(log: &Log, pending: &Batch, header: &Header) -> Result<Vec<Hash>, LogError> {
    let stored = log.blocks(&header.site, &header.agent, header.epoch, header.sequence..=header.sequence)?;
    let same = |other: &&NewBlock| {
        (&other.header.site, &other.header.agent, other.header.epoch, other.header.sequence)
            == (&header.site, &header.agent, header.epoch, header.sequence)
    };
    let waiting = pending.blocks.iter().filter(same).map(|block| block.hash);
    Ok(stored.iter().map(|block| block.hash).chain(waiting).collect())
}

/// The session that was stored with the last blocks of the enrolled epoch; rebuilt from the blocks if it is lost.
pub(crate) fn restore_session(log: &Log, enrolled: &AgentEnrolment) -> Result<Session, LogError> {
    if let Some(bytes) = log.session(&enrolled.site, &enrolled.id, enrolled.epoch)? {
        match Session::decode(&bytes) {
            Ok(session) => return Ok(session),
            Err(error) => tracing::warn!(agent = %enrolled.id, %error, "stored session is unreadable; rebuilding it"),
        }
    }
    rebuild_session(log, enrolled)
}

/// Offers the stored blocks of the enrolled epoch again, in the order of the log.
pub(crate) fn rebuild_session(log: &Log, enrolled: &AgentEnrolment) -> Result<Session, LogError> {
    let mut session = Session::new(enrolled.epoch);
    let mut from = 1;
    loop {
        let blocks = log.blocks(&enrolled.site, &enrolled.id, enrolled.epoch, from..=from + REBUILD_STEP - 1)?;
        for stored in &blocks {
            if let Ok(opened) = block::open(&stored.bytes, &Limits::default()) {
                // The second offer takes a block whose link contradicts: it was taken when it was stored.
                if let Verdict::ChainBreak { .. } = session.offer(&opened.header, opened.hash) {
                    session.offer(&opened.header, opened.hash);
                }
            }
        }
        from += REBUILD_STEP;
        if blocks.is_empty() && log.last_sequence(&enrolled.site, &enrolled.id, enrolled.epoch)? < from {
            return Ok(session);
        }
    }
}

fn restore_view(log: &Log, enrolled: &AgentEnrolment, chain: &Chain) -> Result<AgentView, LogError> {
    let mut view = AgentView::new(enrolled.site.clone(), enrolled.id.clone(), enrolled.epoch);
    view.contiguous = chain.session.contiguous();
    view.beyond = chain.session.beyond();
    view.missing = chain.session.missing();
    let summary = log.summary(&enrolled.site, &enrolled.id)?;
    view.blocks = summary.blocks;
    view.newest_index = summary.newest_index;
    if let Some(newest) = summary.newest {
        view.newest_block_time = Some(newest.window.end);
        view.newest_received = Some(newest.received);
        view.marks =
            block::open(&newest.bytes, &Limits::default()).map(|opened| opened.header.marks).unwrap_or_default();
    }
    let windows: Vec<Interval> = log.equivocations(&enrolled.site, &enrolled.id)?;
    for window in windows {
        view.dispute(window);
    }
    Ok(view)
}
