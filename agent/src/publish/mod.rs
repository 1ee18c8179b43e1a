//! The task that gives blocks to the broker and takes the collector's answers.
//!
//! A block leaves the queue only on an acknowledgement that is signed with the pinned key and fits this agent; a
//! broker's PUBACK is flow control. What comes down can be an acknowledgement or a request for births or ranges;
//! nothing else has a meaning here. `outbox` decides what is sent, `mqtt` knows the protocol.

pub mod mqtt;
pub mod outbox;

use std::sync::Arc;
use std::time::Duration;

use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Timestamp, Wait};
use shopfloor::wire::control::{Ack, Birth, Down, Status};
use shopfloor::wire::sign::SecretKey;
use shopfloor::wire::topic::{Channel, Topic};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, jitter};
use crate::config::Publish;
use crate::metrics::Metrics;
use crate::queue::QueueError;
use crate::queue::blocks::Parking;
use crate::recorder::{SharedQueue, error_chain, lock};
use crate::seal::SOFTWARE;
use mqtt::{Incoming, Link, Refused};
use outbox::{Limits, Outbox, Pick};

/// Who speaks.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The site.
    pub site: SiteId,
    /// The agent.
    pub agent: AgentId,
    /// The key that births and status are signed with.
    pub key: SecretKey,
}

/// How long a connection may take from CONNECT to CONNACK.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a busy connection is left alone.
const BUSY: Duration = Duration::from_millis(20);
/// How long the end of a connection may take.
const CLOSE: Duration = Duration::from_secs(1);
/// How long the last blocks may wait for their acknowledgement when the agent stops.
const LAST_ACKS: Duration = Duration::from_secs(1);

/// The task.
pub struct Publisher {
    settings: Publish,
    identity: Identity,
    queue: SharedQueue,
    register_map: Vec<u8>,
    config_hash: Hash,
    sealed: watch::Receiver<u64>,
    metrics: Metrics,
    outbox: Outbox,
    epoch: u64,
    started: Instant,
}

/// Why one connection ended.
enum Over {
    Lost(String),
    Stopped,
}

impl Publisher {
    /// A publisher of the chain in `queue`, which was read by `register_map` with hash `config_hash`.
    pub fn new(
        settings: Publish,
        identity: Identity,
        queue: SharedQueue,
        register_map: Vec<u8>,
        config_hash: Hash,
        sealed: watch::Receiver<u64>,
        metrics: Metrics,
    ) -> Self {
        let limits = Limits {
            in_flight: settings.in_flight,
            resend: settings.resend,
            resend_max: settings.resend_max,
            rate: settings.rate,
        };
        let (epoch, acknowledged) = {
            let queue = lock(&queue);
            (queue.state().epoch, queue.state().acknowledged)
        };
        let outbox = Outbox::new(limits, *sealed.borrow(), acknowledged);
        let started = Instant::now();
        Self { settings, identity, queue, register_map, config_hash, sealed, metrics, outbox, epoch, started }
    }

    /// Publishes until `stop`; then the last blocks, a goodbye, and the end.
    pub async fn run(mut self, wait: Arc<dyn Wait>, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.settings.reconnect_max);
        loop {
            let over = self.connection(&*wait, &stop, &mut backoff).await;
            self.metrics.connected.set(0);
            match over {
                Over::Stopped => return,
                Over::Lost(why) => {
                    let pause = backoff.next(jitter());
                    let (host, port) = (&self.settings.host, self.settings.port);
                    tracing::warn!(host, port, why, retry_in = ?pause, "no connection to the broker; blocks wait on disk");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    async fn connection(&mut self, wait: &dyn Wait, stop: &CancellationToken, backoff: &mut Backoff) -> Over {
        let mut link = Link::open(&mqtt::Settings {
            host: self.settings.host.clone(),
            port: self.settings.port,
            client_id: format!("plumbline-{}-{}", self.identity.site, self.identity.agent),
            will: (self.topic(Channel::Status), self.status(false, wait.now())),
            in_flight: u16::try_from(self.settings.in_flight).unwrap_or(u16::MAX),
        });
        let connected = tokio::select! {
            () = stop.cancelled() => return Over::Stopped,
            incoming = tokio::time::timeout(CONNECT, link.next()) => incoming,
        };
        match connected {
            Ok(Incoming::Connected) => {}
            Ok(Incoming::Ended(why)) => return Over::Lost(why),
            Ok(Incoming::Message { .. }) => return Over::Lost("a message before CONNACK".to_owned()),
            Err(_) => return Over::Lost(format!("no CONNACK within {CONNECT:?}")),
        }
        if self.greet(&link, wait.now()).is_err() {
            return Over::Lost("the connection took no greeting".to_owned());
        }
        self.metrics.connected.set(1);
        backoff.reset();
        tracing::info!(host = self.settings.host, port = self.settings.port, "connected to the broker");
        self.outbox.sealed(*self.sealed.borrow_and_update());
        self.outbox.connected();
        self.converse(link, wait, stop).await
    }

    /// Subscriptions at every connection, whatever the broker remembers; then status and births.
    fn greet(&mut self, link: &Link, now: Timestamp) -> Result<(), Refused> {
        link.subscribe(&self.topic(Channel::Ack))?;
        link.subscribe(&self.topic(Channel::Down))?;
        link.publish(&self.topic(Channel::Status), self.status(true, now), true)?;
        self.births(link, now)
    }

    /// Register maps of older blocks in the queue first, then the present one, which stays as the retained one.
    fn births(&mut self, link: &Link, now: Timestamp) -> Result<(), Refused> {
        let older = lock(&self.queue).older_maps(self.config_hash).unwrap_or_else(|error| {
            tracing::error!(cause = error_chain(&error), "older register maps could not be read");
            Vec::new()
        });
        for map in older.into_iter().chain([self.register_map.clone()]) {
            let birth = Birth {
                site: self.identity.site.clone(),
                agent: self.identity.agent.clone(),
                epoch: self.epoch,
                register_map: map,
                software: SOFTWARE.to_owned(),
                sent_at: now,
            };
            link.publish(&self.topic(Channel::Birth), birth.encode(&self.identity.key), true)?;
        }
        Ok(())
    }

    async fn converse(&mut self, mut link: Link, wait: &dyn Wait, stop: &CancellationToken) -> Over {
        let mut last: Option<Instant> = None;
        loop {
            let busy = match self.send(&link) {
                Ok(()) => false,
                Err(Refused::Busy) => true,
                Err(Refused::Over) => return Over::Lost("the connection is over".to_owned()),
            };
            let now = self.started.elapsed();
            let idle = self.outbox.next_at(now).unwrap_or(now + Duration::from_mins(1));
            let mut wake = self.started + if busy { now + BUSY } else { idle };
            if let Some(deadline) = last {
                let done = self.outbox.in_flight() == 0 || Instant::now() >= deadline;
                if done {
                    return self.goodbye(link, wait.now()).await;
                }
                wake = wake.min(deadline);
            }
            tokio::select! {
                incoming = link.next() => match incoming {
                    Incoming::Message { topic, payload } => self.message(&link, &topic, &payload, wait.now()),
                    Incoming::Ended(why) => return Over::Lost(why),
                    Incoming::Connected => {}
                },
                Ok(()) = self.sealed.changed(), if last.is_none() => {
                    let newest = *self.sealed.borrow_and_update();
                    self.outbox.sealed(newest);
                }
                () = stop.cancelled(), if last.is_none() => {
                    let newest = *self.sealed.borrow_and_update();
                    self.outbox.sealed(newest);
                    last = Some(Instant::now() + LAST_ACKS);
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn goodbye(&mut self, link: Link, now: Timestamp) -> Over {
        let said = link.publish(&self.topic(Channel::Status), self.status(false, now), true);
        if said.is_err() || tokio::time::timeout(CLOSE, link.close()).await.is_err() {
            tracing::warn!("the broker did not take the goodbye; the last will says it");
        }
        Over::Stopped
    }

    /// Hands over whatever may go.
    fn send(&mut self, link: &Link) -> Result<(), Refused> {
        let topic = self.topic(Channel::Block);
        while let Some(pick) = self.outbox.next(self.started.elapsed()) {
            let found = match self.pick(pick) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(cause = error_chain(&error), "the queue could not be read");
                    return Ok(());
                }
            };
            match found {
                None => self.outbox.absent(pick),
                Some((sequence, bytes)) => {
                    let size = bytes.len() as u64;
                    link.publish(&topic, bytes, false)?;
                    self.outbox.sent(sequence, size, self.started.elapsed());
                    tracing::debug!(target: "phase", phase = %"sent", sequence);
                    self.metrics.blocks_sent.inc();
                }
            }
        }
        Ok(())
    }

    fn pick(&self, pick: Pick) -> Result<Option<(u64, Vec<u8>)>, QueueError> {
        let mut queue = lock(&self.queue);
        let sequence = match pick {
            Pick::Block(sequence) => sequence,
            Pick::From(sequence) => match queue.next_from(sequence)? {
                Some((sequence, _)) => sequence,
                None => return Ok(None),
            },
        };
        Ok(queue.block(sequence)?.map(|bytes| (sequence, bytes)))
    }

    fn message(&mut self, link: &Link, topic: &str, payload: &[u8], now: Timestamp) {
        let result = if topic == self.topic(Channel::Ack) {
            self.ack(payload)
        } else if topic == self.topic(Channel::Down) {
            self.down(link, payload, now)
        } else {
            "foreign"
        };
        self.metrics.messages.with_label_values(&[result]).inc();
    }

    fn ack(&mut self, payload: &[u8]) -> &'static str {
        let ack = match Ack::decode(payload, &self.settings.collector_key) {
            Ok(ack) => ack,
            Err(error) => {
                tracing::error!(%error, "an acknowledgement is not by the pinned collector key; ignored");
                return "forged";
            }
        };
        if (&ack.site, &ack.agent) != (&self.identity.site, &self.identity.agent) {
            tracing::error!(site = %ack.site, agent = %ack.agent, "an acknowledgement for another agent; ignored");
            return "foreign";
        }
        if ack.epoch != self.epoch {
            tracing::warn!(found = ack.epoch, ours = self.epoch, "an acknowledgement of another epoch; ignored");
            return "foreign";
        }
        let known = lock(&self.queue).state().acknowledged;
        let newest = *self.sealed.borrow();
        if ack.contiguous < known {
            return "old";
        }
        self.outbox.sealed(newest);
        if !self.outbox.acknowledged(ack.contiguous, ack.beyond) {
            tracing::error!(
                acknowledged = ack.contiguous,
                newest,
                "the collector acknowledges blocks that this state directory never sealed: is it an old copy?"
            );
            return "impossible";
        }
        if let Err(error) = self.settle(ack.contiguous, known, ack.log_index, &ack.log_origin, &ack.refused) {
            tracing::error!(
                cause = error_chain(&error),
                "an acknowledgement could not be recorded; it will come again"
            );
        }
        "taken"
    }

    fn settle(
        &mut self,
        contiguous: u64,
        known: u64,
        log_index: u64,
        log_origin: &str,
        refused: &[shopfloor::wire::control::Refused],
    ) -> Result<(), QueueError> {
        let mut queue = lock(&self.queue);
        for refusal in refused.iter().filter(|r| r.sequence > contiguous) {
            let sequence = refusal.sequence;
            match queue.park(sequence, &refusal.reason)? {
                Parking::Parked => {
                    tracing::error!(
                        sequence,
                        reason = refusal.reason,
                        "the collector refused a block for good; parked"
                    );
                    self.metrics.blocks_refused.inc();
                    self.outbox.parked(sequence);
                }
                Parking::NotOurs => {
                    let reason = refusal.reason.as_str();
                    tracing::warn!(sequence, reason, "the collector refused bytes that are not ours; sent on");
                    self.metrics.refusals_not_ours.inc();
                }
                Parking::Absent => {}
            }
        }
        if contiguous > known || queue.state().receipt.is_none() {
            queue.acknowledge(contiguous, log_index, log_origin)?;
            let (blocks, bytes) = queue.size();
            self.metrics.queue_blocks.set(blocks.cast_signed());
            self.metrics.queue_bytes.set(bytes.cast_signed());
            self.metrics.acknowledged_sequence.set(contiguous.cast_signed());
        }
        Ok(())
    }

    fn down(&mut self, link: &Link, payload: &[u8], now: Timestamp) -> &'static str {
        let (site, agent) = (&self.identity.site, &self.identity.agent);
        match Down::decode(payload, &self.settings.collector_key) {
            Err(error) => {
                tracing::error!(%error, "a request is not by the pinned collector key; ignored");
                "forged"
            }
            Ok(Down::RequestBirth { site: s, agent: a, .. }) if (&s, &a) == (site, agent) => {
                if self.births(link, now).is_err() {
                    tracing::warn!("the birth could not be sent again now; it will be at the next connection");
                }
                "taken"
            }
            Ok(Down::RequestRanges { site: s, agent: a, epoch, ranges, .. })
                if (&s, &a, epoch) == (site, agent, self.epoch) =>
            {
                for (first, last) in ranges {
                    if let Err(error) = self.asked(first, last) {
                        tracing::error!(cause = error_chain(&error), "a request for blocks could not be answered now");
                    }
                }
                "taken"
            }
            Ok(_) => "foreign",
        }
    }

    /// What is still in the queue goes again; what was acknowledged and deleted is answered in the next block.
    fn asked(&mut self, first: u64, last: u64) -> Result<(), QueueError> {
        let mut queue = lock(&self.queue);
        let (acknowledged, next) = (queue.state().acknowledged, queue.state().next_sequence);
        if first == 0 || first > last || last >= next {
            tracing::warn!(first, last, next, "blocks were asked for that do not exist");
            return Ok(());
        }
        if first <= acknowledged {
            queue.restored(first, last.min(acknowledged))?;
        }
        drop(queue);
        if last > acknowledged {
            self.outbox.asked(first.max(acknowledged + 1), last);
        }
        Ok(())
    }

    fn topic(&self, channel: Channel) -> String {
        let (site, agent) = (self.identity.site.clone(), self.identity.agent.clone());
        Topic { site, agent, channel }.to_string()
    }

    fn status(&self, online: bool, now: Timestamp) -> Vec<u8> {
        let (site, agent) = (self.identity.site.clone(), self.identity.agent.clone());
        Status { site, agent, epoch: self.epoch, online, sent_at: now }.encode(&self.identity.key)
    }
}
