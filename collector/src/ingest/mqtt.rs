//! The MQTT side of ingest: receives what agents send, publishes what they wait for. The only file of this crate
//! that knows rumqttc.
//!
//! A task of its own polls the client and is never cancelled in the middle of a poll. After any error the client is
//! thrown away and a new one is made: nothing in it is worth keeping, because acknowledgements are state that is
//! published anew at every connect, and agents send again what was not acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use shopfloor::wire::topic::{Channel, Topic};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::PACKET_BYTES_MAX;
use crate::metrics::Metrics;

/// Messages that wait to be examined, at most; see [`WAITING_KIB_MAX`].
const WAITING_MAX: usize = 4096;
/// Their payloads in KiB, at most. Beyond either bound the link waits once for [`FULL_PATIENCE`] and then drops
/// messages unacknowledged until there is room again; they are counted, and their agents send them again.
const WAITING_KIB_MAX: usize = 64 << 10;
const FULL_PATIENCE: Duration = Duration::from_secs(5);
/// Requests to the client that wait for its next poll; a publish beyond them is tried again later.
const REQUESTS_MAX: usize = 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_LAST: Duration = Duration::from_secs(5);

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// Sent with QoS 0: the sender would not notice its loss, so blocks must not come that way.
    pub(crate) at_most_once: bool,
    _room: tokio::sync::OwnedSemaphorePermit,
}

/// What the link tells.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Connected and subscribed anew: the broker may have forgotten everything.
    Connected,
    /// Something was published.
    Message(Message),
}

/// Where to connect.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    /// The shards to subscribe to; `None` for all of them.
    pub(crate) shards: Option<std::ops::RangeInclusive<u8>>,
}

/// Publishes; cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    client: Arc<Mutex<Option<AsyncClient>>>,
    connected: Arc<watch::Sender<bool>>,
}

impl Link {
    /// Hands a message to the client; `false` if it is not connected or has too much to do, then try again later.
    pub(crate) fn publish(&self, topic: &Topic, payload: Vec<u8>, retain: bool) -> bool {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client
            .as_ref()
            .is_some_and(|client| client.try_publish(topic.to_string(), QoS::AtLeastOnce, retain, payload).is_ok())
    }

    /// Follows whether it is connected and subscribed.
    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    fn set(&self, client: Option<AsyncClient>) {
        self.connected.send_replace(client.is_some());
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// Starts the polling task. It ends when `token` is cancelled or nobody receives.
pub(crate) fn connect(
    address: Address,
    metrics: Metrics,
    token: CancellationToken,
) -> (Link, mpsc::Receiver<Incoming>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let link = Link { client: Arc::default(), connected: Arc::new(watch::channel(false).0) };
    let room = Arc::new(Semaphore::new(WAITING_KIB_MAX));
    let full = AtomicBool::new(false);
    let task = Poller { address, link: link.clone(), sender, room, metrics, token, full };
    tokio::spawn(task.run());
    (link, receiver)
}

struct Poller {
    address: Address,
    link: Link,
    sender: mpsc::Sender<Incoming>,
    room: Arc<Semaphore>,
    metrics: Metrics,
    token: CancellationToken,
    /// The last message found no room: the next ones are not waited for, so that the link stays alive.
    full: AtomicBool,
}

impl Poller {
    async fn run(self) {
        let mut pause = RECONNECT_FIRST;
        while !self.token.is_cancelled() {
            let connected = self.session().await;
            self.link.set(None);
            self.metrics.mqtt_connected.set(0);
            pause = if connected { RECONNECT_FIRST } else { (pause * 2).min(RECONNECT_LAST) };
            // Real time: the broker is a thing of the network, also where a test drives the clock.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.token.cancelled() => {}
            }
        }
    }

    /// One connection from beginning to end; whether it was ever accepted.
    async fn session(&self) -> bool {
        let (client, mut events) = AsyncClient::new(self.options(), REQUESTS_MAX);
        let stop = {
            let (client, token) = (client.clone(), self.token.clone());
            tokio::spawn(async move {
                token.cancelled().await;
                client.disconnect().await.is_ok()
            })
        };
        let connected = self.poll(&client, &mut events).await;
        stop.abort();
        connected
    }

    async fn poll(&self, client: &AsyncClient, events: &mut EventLoop) -> bool {
        let mut connected = false;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if client.try_subscribe_many(self.filters()).is_err() {
                        return connected;
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => {
                    connected = true;
                    self.metrics.mqtt_connected.set(1);
                    self.link.set(Some(client.clone()));
                    if self.sender.send(Incoming::Connected).await.is_err() {
                        return connected;
                    }
                    tracing::info!(host = self.address.host, port = self.address.port, "connected to the broker");
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => self.receive(publish).await,
                Ok(Event::Incoming(Packet::Disconnect(_))) => return connected,
                Ok(_) => {}
                Err(error) => {
                    if !self.token.is_cancelled() {
                        self.metrics.mqtt_errors.inc();
                        let (host, port) = (&self.address.host, self.address.port);
                        tracing::warn!(host, port, %error, "connection to the broker lost or refused; trying again");
                    }
                    return connected;
                }
            }
        }
    }

    async fn receive(&self, publish: Publish) {
        let kib = u32::try_from(publish.payload.len() / 1024 + 1).unwrap_or(u32::MAX);
        let queue = async {
            let room = self.room.clone().acquire_many_owned(kib).await.ok()?;
            let message = Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload.to_vec(),
                at_most_once: publish.qos == QoS::AtMostOnce,
                _room: room,
            };
            self.sender.send(Incoming::Message(message)).await.ok()
        };
        let patience = if self.full.load(Ordering::Relaxed) { Duration::ZERO } else { FULL_PATIENCE };
        let full = tokio::time::timeout(patience, queue).await.is_err();
        if full {
            self.metrics.dropped_unacknowledged.inc();
        }
        self.full.store(full, Ordering::Relaxed);
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.address.client_id, &self.address.host, self.address.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(true);
        options.set_connection_timeout(5);
        // Above the limit for messages, so that a message that is too big can be refused by name.
        options.set_max_packet_size(u32::try_from(2 * PACKET_BYTES_MAX).ok());
        options
    }

    fn filters(&self) -> Vec<Filter> {
        let shards: Vec<Option<u8>> = match &self.address.shards {
            None => vec![None],
            Some(range) => range.clone().map(Some).collect(),
        };
        let channels = [Channel::Birth, Channel::Block, Channel::Status];
        let filter = |shard, channel| Filter::new(Topic::filter(shard, channel), QoS::AtLeastOnce);
        shards.iter().flat_map(|shard| channels.map(|channel| filter(*shard, channel))).collect()
    }
}
