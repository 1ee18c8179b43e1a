//! One MQTT connection, from CONNECT to its end. The only file that knows rumqttc.
//!
//! Each connection has a client and an event loop of its own, and both go when it ends: nothing that rumqttc keeps
//! of an earlier session (unacknowledged publishes, collisions) can lose, double or block anything, because the
//! queue on disk and the collector's acknowledgement decide what is sent. The event loop is polled in a task of
//! its own that is never cancelled in the middle of a poll; it ends with the connection.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions};
use shopfloor::wire::control::CONTROL_BYTES_MAX;
use tokio::sync::mpsc;

/// Messages of the broker that wait for us; beyond it the connection waits, and TCP with it.
const EVENTS_MAX: usize = 64;
/// Keep-alive: a dead link is noticed within twice this.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The broker keeps our session, and so its messages for us, this long.
const SESSION_EXPIRY_SECONDS: u32 = 24 * 3600;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Client id, the same at every connection.
    pub client_id: String,
    /// Topic and bytes of the last will; QoS 1, retained.
    pub will: (String, Vec<u8>),
    /// Publishes without PUBACK, at most.
    pub in_flight: u16,
}

/// What happened on the connection.
#[derive(Debug)]
pub enum Incoming {
    /// The broker took us.
    Connected,
    /// A message on one of our topics.
    Message {
        /// Its topic.
        topic: String,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// The connection is over; nothing follows.
    Ended(String),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The connection is busy; try again when something has happened.
    Busy,
    /// The connection is over.
    Over,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    client: AsyncClient,
    incoming: mpsc::Receiver<Incoming>,
}

impl Link {
    /// Begins to connect; [`Incoming::Connected`] or [`Incoming::Ended`] follows.
    pub fn open(settings: &Settings) -> Self {
        let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(false);
        options.set_session_expiry_interval(Some(SESSION_EXPIRY_SECONDS));
        options.set_max_packet_size(u32::try_from(CONTROL_BYTES_MAX).ok());
        options.set_outgoing_inflight_upper_limit(settings.in_flight);
        let (topic, payload) = settings.will.clone();
        options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true, None));
        let (client, events) = AsyncClient::new(options, 2 * usize::from(settings.in_flight) + 16);
        let (sender, incoming) = mpsc::channel(EVENTS_MAX);
        tokio::spawn(poll(events, sender));
        Self { client, incoming }
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Incoming {
        self.incoming.recv().await.unwrap_or_else(|| Incoming::Ended("the event loop ended".to_owned()))
    }

    /// Hands a message over to the connection, QoS 1.
    pub fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) -> Result<(), Refused> {
        self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload).map_err(|e| refused(&e))
    }

    /// Asks for the messages of a topic, QoS 1.
    pub fn subscribe(&self, topic: &str) -> Result<(), Refused> {
        self.client.try_subscribe(topic, QoS::AtLeastOnce).map_err(|e| refused(&e))
    }

    /// Ends the connection in good order: what was handed over is sent first, the last will is not.
    pub async fn close(mut self) {
        if self.client.disconnect().await.is_ok() {
            while !matches!(self.next().await, Incoming::Ended(_)) {}
        }
    }
}

fn refused(error: &ClientError) -> Refused {
    match error {
        ClientError::TryRequest(_) => Refused::Busy,
        ClientError::Request(_) => Refused::Over,
    }
}

async fn poll(mut events: EventLoop, sender: mpsc::Sender<Incoming>) {
    let ended = loop {
        let incoming = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => Incoming::Connected,
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                Incoming::Message { topic, payload: publish.payload.to_vec() }
            }
            Ok(Event::Incoming(Packet::Disconnect(reason))) => break format!("the broker said goodbye: {reason:?}"),
            Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => break "closed by us".to_owned(),
            Ok(_) => continue,
            Err(error) => break why(&error),
        };
        if sender.send(incoming).await.is_err() {
            return; // nobody listens any more
        }
    };
    // Nobody listening is fine: then nobody needs to know.
    drop(sender.send(Incoming::Ended(ended)).await);
}

fn why(error: &ConnectionError) -> String {
    crate::recorder::error_chain(error)
}
