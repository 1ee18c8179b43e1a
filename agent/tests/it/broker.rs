//! An MQTT broker that does as it is told, for one client at a time. It speaks with rumqttc's own packets.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Disconnect, DisconnectReasonCode, Packet, PingResp, PubAck, Publish, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_modbus::bytes::BytesMut;

const NORMAL: DisconnectReasonCode = DisconnectReasonCode::NormalDisconnection;

/// What the client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Connect { clean_start: bool, will: Option<(String, Vec<u8>)> },
    Subscribe(String),
    Publish { topic: String, payload: Vec<u8>, retain: bool },
    Disconnect,
    Gone,
}

enum Order {
    Send { topic: String, payload: Vec<u8> },
    Cut,
}

/// A running broker; it ends when dropped.
pub struct Broker {
    pub address: SocketAddr,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    orders: mpsc::UnboundedSender<Order>,
    running: JoinHandle<()>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Broker {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let (orders, mut received) = mpsc::unbounded_channel();
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &sender, &mut received).await;
                drop(sender.send(Seen::Gone));
            }
        });
        Self { address, seen, orders, running }
    }

    /// Sends a message to the client.
    pub fn send(&self, topic: &str, payload: Vec<u8>) {
        self.orders.send(Order::Send { topic: topic.to_owned(), payload }).unwrap();
    }

    /// Cuts the connection without a word.
    pub fn cut(&self) {
        self.orders.send(Order::Cut).unwrap();
    }

    /// The next thing the client does that `wanted` wants; fails after a minute.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(Seen) -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = wanted(self.seen.recv().await.expect("the broker runs")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(1), looking).await.expect("it comes within a minute")
    }
}

async fn serve(mut stream: TcpStream, seen: &mpsc::UnboundedSender<Seen>, orders: &mut mpsc::UnboundedReceiver<Order>) {
    let mut buffer = BytesMut::new();
    let mut next_id = 1;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Send { topic, payload }) => {
                    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
                    publish.pkid = next_id;
                    next_id += 1;
                    if write(&mut stream, Packet::Publish(publish)).await.is_err() {
                        return;
                    }
                }
                Some(Order::Cut) | None => return,
            },
            read = stream.read_buf(&mut buffer) => {
                if !matches!(read, Ok(count) if count > 0) {
                    return;
                }
                loop {
                    let packet = match Packet::read(&mut buffer, None) {
                        Ok(packet) => packet,
                        Err(Error::InsufficientBytes(_)) => break,
                        // A DISCONNECT without properties, which rumqttc writes but does not read.
                        Err(Error::PayloadRequired) => Packet::Disconnect(Disconnect::new(NORMAL)),
                        Err(error) => panic!("{error}"),
                    };
                    let (note, answer) = react(packet);
                    let over = note == Some(Seen::Disconnect);
                    if let Some(note) = note {
                        drop(seen.send(note));
                    }
                    if let Some(answer) = answer
                        && write(&mut stream, answer).await.is_err() {
                            return;
                        }
                    if over {
                        return;
                    }
                }
            }
        }
    }
}

fn react(packet: Packet) -> (Option<Seen>, Option<Packet>) {
    match packet {
        Packet::Connect(connect, will, _) => {
            let will = will.map(|w| (String::from_utf8(w.topic.to_vec()).unwrap(), w.message.to_vec()));
            let answer = ConnAck { session_present: false, code: ConnectReturnCode::Success, properties: None };
            (Some(Seen::Connect { clean_start: connect.clean_start, will }), Some(Packet::ConnAck(answer)))
        }
        Packet::Subscribe(subscribe) => {
            let return_codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
            let answer = SubAck { pkid: subscribe.pkid, return_codes, properties: None };
            (Some(Seen::Subscribe(subscribe.filters[0].path.clone())), Some(Packet::SubAck(answer)))
        }
        Packet::Publish(publish) => {
            let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
            assert_eq!(publish.qos, QoS::AtLeastOnce, "{topic}");
            let seen = Seen::Publish { topic, payload: publish.payload.to_vec(), retain: publish.retain };
            (Some(seen), Some(Packet::PubAck(PubAck::new(publish.pkid, None))))
        }
        Packet::PingReq(_) => (None, Some(Packet::PingResp(PingResp))),
        Packet::Disconnect(_) => (Some(Seen::Disconnect), None),
        _ => (None, None),
    }
}

async fn write(stream: &mut TcpStream, packet: Packet) -> std::io::Result<()> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, None).unwrap();
    stream.write_all(&bytes).await
}
