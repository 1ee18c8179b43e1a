//! A Modbus device that does as it is told, over real TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the device does with one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes after a pause.
    Late(Duration, Vec<u8>),
    /// Sends these bytes one by one, with a pause before each.
    Dribble(Duration, Vec<u8>),
    /// Sends these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Says nothing.
    Nothing,
}

/// A running device; it ends when dropped.
pub struct Device {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Device {
    /// `answer` gets the number of the request over all connections, from 0, and the request's bytes.
    pub async fn start(answer: impl Fn(usize, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, requests, answer) = (Arc::clone(&connections), Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                serving.spawn(async move { serve(stream, &requests, &*answer).await });
            }
        });
        Self { address, connections, accepting }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, requests: &AtomicUsize, answer: &(impl Fn(usize, &[u8]) -> Reply + ?Sized)) {
    let mut request = [0; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let sent = match answer(requests.fetch_add(1, Ordering::SeqCst), &request) {
            Reply::Bytes(bytes) => stream.write_all(&bytes).await,
            Reply::Late(pause, bytes) => {
                tokio::time::sleep(pause).await;
                stream.write_all(&bytes).await
            }
            Reply::Dribble(pause, bytes) => {
                for byte in bytes {
                    tokio::time::sleep(pause).await;
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
                Ok(())
            }
            Reply::Reset(bytes) => {
                drop(stream.write_all(&bytes).await);
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.set_zero_linger().unwrap();
                return;
            }
            Reply::Nothing => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The right answer to a read of one register: this value.
pub fn right(request: &[u8], value: u16) -> Vec<u8> {
    let mut frame = vec![request[0], request[1], 0, 0, 0, 5, request[6], request[7], 2];
    frame.extend(value.to_be_bytes());
    frame
}

/// The right answer to any read of registers or bits, `value(address)` each.
pub fn right_many(request: &[u8], value: impl Fn(u16) -> u16) -> Vec<u8> {
    let word = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
    let (first, count) = (word(8), word(10));
    let mut data = Vec::new();
    if request[7] <= 2 {
        data.resize(usize::from(count.div_ceil(8)), 0);
        for item in 0..count {
            data[usize::from(item / 8)] |= u8::from(value(first + item) & 1 == 1) << (item % 8);
        }
    } else {
        data.extend((0..count).flat_map(|item| value(first + item).to_be_bytes()));
    }
    let mut frame =
        vec![request[0], request[1], 0, 0, 0, u8::try_from(data.len() + 3).unwrap(), request[6], request[7]];
    frame.push(u8::try_from(data.len()).unwrap());
    frame.extend(data);
    frame
}
