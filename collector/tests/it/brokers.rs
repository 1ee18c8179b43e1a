//! Two brokers, one contract: the embedded one and mosquitto, both of which forget everything at a restart here.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector::Collector;
use rumqttc::v5::mqttbytes::QoS;
use shopfloor::hash::Hash;
use shopfloor::wire::topic::Channel;

use crate::house::{Agent, Wire, collector, collector_on, counted, stop, stored, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_broker_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::new("edge-01", 1);
    let (mut collector, token) = collector(folder.path(), &[&agent]).await;
    let blocks = first_part(&collector, &mut agent).await;
    collector.restart_broker().await.unwrap();
    second_part(&collector, &mut agent, blocks).await;
    stop(collector, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Mosquitto::start(folder.path()) else { return };
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector_on(folder.path(), &[&agent], &broker.lines()).await;
    until("the collector is connected", || collector.metrics().mqtt_connected.get() == 1).await;
    let blocks = first_part(&collector, &mut agent).await;
    broker.restart();
    second_part(&collector, &mut agent, blocks).await;
    stop(collector, token).await;
}

/// 53: a block by QoS 0 is refused: its sender would not notice its loss. (rumqttd delivers with the subscriber's
/// quality of service and so does not tell; mosquitto does.)
#[tokio::test(flavor = "multi_thread")]
async fn bad_input_53_a_block_by_qos_0_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(folder.path()) else { return };
    let mut agent = Agent::new("edge-01", 1);
    let (collector, token) = collector_on(folder.path(), &[&agent], &broker.lines()).await;
    until("the collector is connected", || collector.metrics().mqtt_connected.get() == 1).await;
    let wire = Wire::connect(&collector, &agent).await;
    wire.publish_as(&agent.topic(Channel::Block), &agent.block().bytes, QoS::AtMostOnce, false).await;
    until("the block was refused", || counted(&collector, "at_most_once") == 1).await;
    assert_eq!(collector.store().log.size(), 0);
    stop(collector, token).await;
}

/// Blocks arrive and are acknowledged; one who comes later hears the acknowledgement without sending anything.
async fn first_part(collector: &Collector, agent: &mut Agent) -> Vec<shopfloor::wire::block::Sealed> {
    let mut wire = Wire::connect(collector, agent).await;
    let mut blocks: Vec<_> = (0..10).map(|_| agent.block()).collect();
    wire.deliver(agent, &blocks).await;
    drop(wire);
    let mut late = Wire::connect(collector, agent).await;
    assert_eq!(late.acked(10).await.contiguous, 10, "retained");
    blocks.extend((0..10).map(|_| agent.block()));
    for sealed in &blocks[10..] {
        late.send(agent, sealed).await;
    }
    blocks
}

/// The broker has forgotten everything, some of the last blocks among it; all of them get there, each once.
async fn second_part(collector: &Collector, agent: &mut Agent, mut blocks: Vec<shopfloor::wire::block::Sealed>) {
    blocks.extend((0..10).map(|_| agent.block()));
    let mut wire = Wire::connect(collector, agent).await;
    wire.deliver(agent, &blocks).await;
    let hashes: Vec<(u64, Hash)> = (1..).zip(blocks.iter().map(|sealed| sealed.hash)).collect();
    assert_eq!(stored(collector, agent), hashes);
}

/// mosquitto without persistence, as a process of its own.
struct Mosquitto {
    child: Child,
    config: std::path::PathBuf,
    port: u16,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Mosquitto {
    /// `None` if it is not installed, which CI does not allow.
    fn start(folder: &Path) -> Option<Self> {
        let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"];
        if !places.iter().any(|place| Path::new(place).exists()) {
            assert!(std::env::var("CI").is_err(), "mosquitto has to be installed where CI is set");
            println!("skipped: mosquitto is not installed");
            return None;
        }
        let config = folder.join("mosquitto.conf");
        // It does not tell a port that it found itself, so one is chosen, and another if that was taken meanwhile.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
            std::fs::write(&config, text).unwrap();
            if let Some(child) = answering(&config, port) {
                return Some(Self { child, config, port });
            }
        }
        panic!("mosquitto found no free port");
    }

    /// kill -9, and again on the same port.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = answering(&self.config, self.port).expect("its port is free again");
    }

    fn lines(&self) -> String {
        format!("url = \"mqtt://127.0.0.1:{}\"", self.port)
    }
}

/// A mosquitto that accepts connections; `None` if it ended.
fn answering(config: &Path, port: u16) -> Option<Child> {
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let mut child = Command::new(program).arg("-c").arg(config).stderr(Stdio::null()).spawn().unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
