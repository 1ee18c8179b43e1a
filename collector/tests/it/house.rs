//! A collector in a folder of its own, and agents that say exactly what a test wants said.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collector::Collector;
use collector::config;
use collector::wait::RealWait;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use shopfloor::hash::Hash;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::register_map::RegisterMap;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::block::{Sealed, seal};
use shopfloor::wire::control::{Ack, Birth, Down};
use shopfloor::wire::header::{ClockState, FORMAT, GapRecord, Header, Marks};
use shopfloor::wire::sign::{PublicKey, SecretKey};
use shopfloor::wire::topic::{Channel, Topic};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Nothing here takes long; a test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_mins(1);
/// Blocks of a test begin here: 2026-11-25T00:00:00Z.
const MORNING: Timestamp = Timestamp::from_secs(1_795_564_800);

pub fn site() -> SiteId {
    "xinchang".parse().unwrap()
}

/// A collector that listens on free ports, with its state in `folder`.
pub async fn collector(folder: &Path, agents: &[&Agent]) -> (Collector, CancellationToken) {
    collector_on(folder, agents, "listen = \"127.0.0.1:0\"").await
}

/// The same with another `[broker]`.
pub async fn collector_on(folder: &Path, agents: &[&Agent], broker: &str) -> (Collector, CancellationToken) {
    let text = config_text(agents).replacen("listen = \"127.0.0.1:0\"", broker, 1);
    let config = config::parse(&text, folder.join("collector.toml").to_str().unwrap())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let token = CancellationToken::new();
    let collector = Collector::start(config, Arc::new(RealWait::new()), token.clone()).await.unwrap();
    (collector, token)
}

pub fn config_text(agents: &[&Agent]) -> String {
    use std::fmt::Write;
    let mut text = "schema = 1\n[collector]\nstate_dir = \"state\"\n[broker]\nlisten = \"127.0.0.1:0\"\n\
                    [http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nmissing_after = \"1s\"\n"
        .to_owned();
    for agent in agents {
        write!(
            text,
            "[[agent]]\nsite = \"{}\"\nid = \"{}\"\npublic_key = \"{}\"\nepoch = {}\n",
            site(),
            agent.id,
            agent.key.public(),
            agent.epoch
        )
        .unwrap();
    }
    text
}

/// Stops a collector and waits until its state directory is free again.
pub async fn stop(collector: Collector, token: CancellationToken) {
    token.cancel();
    collector.join().await;
}

/// An agent's identity and the end of its chain.
#[derive(Clone)]
pub struct Agent {
    pub id: AgentId,
    pub key: SecretKey,
    pub epoch: u64,
    pub next: u64,
    pub previous: Hash,
    pub map: RegisterMap,
}

impl Agent {
    pub fn new(id: &str, seed: u8) -> Self {
        let id: AgentId = id.parse().unwrap();
        let map =
            RegisterMap { site: site(), agent: id.clone(), sources: Vec::new(), groups: Vec::new(), tags: Vec::new() };
        Self { id, key: SecretKey::from_seed([seed; 32]), epoch: 1, next: 1, previous: Hash::ZERO, map }
    }

    /// The next block of the chain: ten seconds in which nothing was read.
    pub fn block(&mut self) -> Sealed {
        let sealed = self.sealed(self.next, self.previous, Vec::new(), "");
        self.next += 1;
        self.previous = sealed.hash;
        sealed
    }

    /// A block with this place and link. `remark` makes blocks of one place differ.
    pub fn sealed(&self, sequence: u64, previous: Hash, gaps: Vec<GapRecord>, remark: &str) -> Sealed {
        let start = MORNING.plus(i64::try_from(sequence).unwrap() * 10 * SECOND);
        let header = Header {
            format: FORMAT,
            site: site(),
            agent: self.id.clone(),
            epoch: self.epoch,
            sequence,
            prev_block_hash: previous,
            config_hash: self.map.hash(),
            plan_hash: None,
            software: format!("test {remark}"),
            boot_id: [1; 16],
            window: Interval { start, end: start.plus(10 * SECOND) },
            monotonic: (0, 10),
            clock: ClockState::default(),
            first_sample: 1,
            sample_count: 0,
            quality_counts: [0; 3],
            drops: std::collections::BTreeMap::new(),
            gaps,
            marks: Marks { demo_key: true, ..Marks::default() },
            sections: Vec::new(),
        };
        seal(header, &[], &self.key).unwrap()
    }

    pub fn birth(&self) -> Vec<u8> {
        let birth = Birth {
            site: site(),
            agent: self.id.clone(),
            epoch: self.epoch,
            register_map: self.map.encode(),
            software: "test".into(),
            sent_at: MORNING,
        };
        birth.encode(&self.key)
    }

    pub fn topic(&self, channel: Channel) -> String {
        Topic::new(site(), self.id.clone(), channel).to_string()
    }
}

/// What an agent hears.
#[derive(Debug)]
pub enum Heard {
    Connected(ConnAck),
    Ack(Ack),
    Down(Down),
}

/// An MQTT client in the part of one agent. It never sends anything on its own.
pub struct Wire {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    poller: tokio::task::JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Wire {
    /// Connects and subscribes; what the collector signs is checked with `collector_key`.
    pub async fn connect(collector: &Collector, agent: &Agent) -> Self {
        Self::connect_as(collector.mqtt_addr(), agent, &format!("agent-{}", agent.id), collector.ack_key()).await
    }

    pub async fn connect_as((host, port): (String, u16), agent: &Agent, client_id: &str, key: PublicKey) -> Self {
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_max_packet_size(Some(2 << 20));
        let (client, mut events) = AsyncClient::new(options, 1000);
        let (sender, heard) = mpsc::unbounded_channel();
        let topics = [agent.topic(Channel::Ack), agent.topic(Channel::Down)];
        let again = client.clone();
        let poller = tokio::spawn(async move {
            loop {
                let news = match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                        for topic in &topics {
                            again.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
                        }
                        Heard::Connected(connack)
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic: Topic = std::str::from_utf8(&publish.topic).unwrap().parse().unwrap();
                        match topic.channel {
                            Channel::Ack => Heard::Ack(Ack::decode(&publish.payload, &key).unwrap()),
                            Channel::Down => Heard::Down(Down::decode(&publish.payload, &key).unwrap()),
                            other => panic!("an agent was sent something on {other:?}"),
                        }
                    }
                    Ok(_) => continue,
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                if sender.send(news).is_err() {
                    return;
                }
            }
        });
        let mut wire = Self { client, heard, poller };
        wire.connected().await;
        wire
    }

    pub async fn send(&self, agent: &Agent, sealed: &Sealed) {
        self.publish(&agent.topic(Channel::Block), &sealed.bytes).await;
    }

    pub async fn publish(&self, topic: &str, payload: &[u8]) {
        self.publish_as(topic, payload, QoS::AtLeastOnce, false).await;
    }

    pub async fn publish_as(&self, topic: &str, payload: &[u8], qos: QoS, retain: bool) {
        self.client.publish(topic, qos, retain, payload.to_vec()).await.unwrap();
    }

    async fn next(&mut self, what: &str) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.unwrap_or_else(|_| panic!("waited in vain for {what}")).expect("the poller runs")
    }

    pub async fn connected(&mut self) -> ConnAck {
        loop {
            if let Heard::Connected(connack) = self.next("the connection").await {
                return connack;
            }
        }
    }

    /// The first acknowledgement that satisfies `wanted`.
    pub async fn ack(&mut self, what: &str, mut wanted: impl FnMut(&Ack) -> bool) -> Ack {
        loop {
            if let Heard::Ack(ack) = self.next(what).await
                && wanted(&ack)
            {
                return ack;
            }
        }
    }

    pub async fn acked(&mut self, contiguous: u64) -> Ack {
        self.ack(&format!("an acknowledgement up to {contiguous}"), |ack| ack.contiguous >= contiguous).await
    }

    /// Does what an agent does: sends what is not acknowledged, and again after a while, until all of it is.
    pub async fn deliver(&mut self, agent: &Agent, blocks: &[Sealed]) -> Ack {
        let wanted = blocks.iter().map(|sealed| sealed.header.sequence).max().unwrap_or(0);
        let mut contiguous = 0;
        for _ in 0..PATIENCE.as_secs() {
            for sealed in blocks.iter().filter(|sealed| sealed.header.sequence > contiguous) {
                self.send(agent, sealed).await;
            }
            let acked = self.ack("all of it", |ack| {
                contiguous = contiguous.max(ack.contiguous);
                ack.contiguous >= wanted
            });
            if let Ok(ack) = tokio::time::timeout(Duration::from_secs(1), acked).await {
                return ack;
            }
        }
        panic!("{wanted} blocks were sent again and again, and only {contiguous} acknowledged");
    }

    /// The first request that satisfies `wanted`.
    pub async fn down(&mut self, what: &str, wanted: impl Fn(&Down) -> bool) -> Down {
        loop {
            if let Heard::Down(down) = self.next(what).await
                && wanted(&down)
            {
                return down;
            }
        }
    }

    /// Everything heard so far, without waiting.
    pub fn drain(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// Waits until a condition holds; conditions here become true by what other tasks do.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// How many blocks had this result.
pub fn counted(collector: &Collector, result: &str) -> u64 {
    collector.metrics().blocks.with_label_values(&[result]).get()
}

/// The sequences and hashes that the log holds of an agent.
pub fn stored(collector: &Collector, agent: &Agent) -> Vec<(u64, Hash)> {
    let blocks = collector.store().log.blocks(&site(), &agent.id, agent.epoch, 1..=u64::MAX).unwrap();
    blocks.into_iter().map(|block| (block.sequence, block.hash)).collect()
}
