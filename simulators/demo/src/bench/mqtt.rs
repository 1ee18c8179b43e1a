//! As much MQTT 5 as a floor needs: blocking, QoS 1, one topic filter. It knows nothing of the clients under test.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBACK: u8 = 9;

/// The sending half; cheap to clone, each packet is written whole.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<TcpStream>>);

/// The receiving half.
pub struct Receiver {
    stream: BufReader<TcpStream>,
    sender: Sender,
}

/// Connects to `host:port`.
pub fn connect(address: &str, client: &str) -> Result<(Sender, Receiver)> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to the broker at {address}"))?;
    stream.set_nodelay(true)?;
    let sender = Sender(Arc::new(Mutex::new(stream.try_clone()?)));
    let mut receiver = Receiver { stream: BufReader::with_capacity(64 << 10, stream), sender: sender.clone() };
    // Protocol name and level 5, clean start, keep-alive of an hour, no properties.
    let mut body = b"\x00\x04MQTT\x05\x02\x0e\x10\x00".to_vec();
    text(&mut body, client)?;
    sender.packet(0x10, &body)?;
    let (kind, body) = receiver.packet()?;
    ensure!(kind >> 4 == CONNACK && body.get(1) == Some(&0), "the broker refused the connection");
    Ok((sender, receiver))
}

impl Sender {
    /// Publishes with QoS 1 under a packet id of the caller's.
    pub fn publish(&self, topic: &str, packet: u16, payload: &[u8]) -> Result<()> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
        text(&mut body, topic)?;
        body.extend(packet.to_be_bytes());
        body.push(0);
        body.extend(payload);
        self.packet(0x32, &body)
    }

    fn packet(&self, first: u8, body: &[u8]) -> Result<()> {
        let mut packet = Vec::with_capacity(body.len() + 5);
        packet.push(first);
        let mut rest = body.len();
        loop {
            let low = u8::try_from(rest & 0x7f).expect("seven bits");
            rest >>= 7;
            packet.push(if rest == 0 { low } else { low | 0x80 });
            if rest == 0 {
                break;
            }
        }
        packet.extend(body);
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&packet).context("write to the broker")
    }
}

impl Receiver {
    /// Subscribes with QoS 1; before the first [`Self::next`].
    pub fn subscribe(&mut self, filter: &str) -> Result<()> {
        let mut body = vec![0, 1, 0];
        text(&mut body, filter)?;
        body.push(1);
        self.sender.packet(0x82, &body)?;
        let (kind, body) = self.packet()?;
        ensure!(kind >> 4 == SUBACK && body.last() == Some(&1), "the broker refused {filter}");
        Ok(())
    }

    /// The payload of the next message, acknowledged to the broker; other packets are passed over.
    pub fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            let (kind, mut body) = self.packet()?;
            if kind >> 4 != PUBLISH {
                continue;
            }
            let mut at = 2 + usize::from(u16::from_be_bytes([byte(&body, 0)?, byte(&body, 1)?]));
            if kind & 0x06 != 0 {
                self.sender.packet(0x40, &[byte(&body, at)?, byte(&body, at + 1)?])?;
                at += 2;
            }
            let properties = byte(&body, at)?;
            ensure!(properties < 0x80, "a message has more properties than a floor reads");
            at += 1 + usize::from(properties);
            ensure!(at <= body.len(), "a message is shorter than it says");
            return Ok(body.split_off(at));
        }
    }

    fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut one = [0];
        self.stream.read_exact(&mut one).context("read from the broker")?;
        let kind = one[0];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            self.stream.read_exact(&mut one).context("read from the broker")?;
            length |= usize::from(one[0] & 0x7f) << shift;
            shift += 7;
            if one[0] & 0x80 == 0 {
                break;
            }
            ensure!(shift < 28, "the broker sent a length of more than four bytes");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("read from the broker")?;
        Ok((kind, body))
    }
}

fn byte(body: &[u8], at: usize) -> Result<u8> {
    body.get(at).copied().context("a packet is shorter than it says")
}

fn text(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend(u16::try_from(text.len()).context("a text of MQTT has at most 65535 bytes")?.to_be_bytes());
    body.extend(text.as_bytes());
    Ok(())
}

/// Bytes that a QoS 1 PUBLISH without properties puts before a payload: header, topic, packet id.
pub fn overhead(topic: &str, payload: usize) -> usize {
    let variable = 2 + topic.len() + 2 + 1;
    let length = match variable + payload {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    };
    1 + length + variable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_as_long_as_the_overhead_says() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut taken, _) = listener.accept().unwrap();
        let sender = Sender(Arc::new(Mutex::new(stream)));
        sender.publish("a/b", 7, &[1; 300]).unwrap();
        drop(sender);
        let mut bytes = Vec::new();
        taken.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), overhead("a/b", 300) + 300);
        assert_eq!(bytes[..3], [0x32, 0xb4, 0x02]); // 308 = 0x34 + 2 × 128
    }
}
