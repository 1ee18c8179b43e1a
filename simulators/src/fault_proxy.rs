//! A TCP proxy that spoils the line between a client and a server, in one of a few ways that lines really fail.
//!
//! Faults are set from outside at any time and hold for old and new connections alike until another one is set.
//! What is random (which answer, which bit) comes from a seed. Delays are real time, as sockets are; the rest of a
//! lock-step test does not notice, because its clock stands while the sockets work.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How the line fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// Everything from the server comes later by this much.
    Delay(Duration),
    /// Connections are cut as soon as they exist.
    Cut,
    /// Connections are cut, and nobody listens: dialling is refused.
    Refuse,
    /// Connections stay, and nothing passes; it passes once the fault is gone.
    Stall,
    /// The server's side is gone without the client being told: what the client sends vanishes, nothing comes back,
    /// new connections are accepted. A connection that went through this stays dead when the fault is gone.
    HalfOpen,
    /// One bit is flipped in about one of so many pieces of data from the server (at least 1).
    Corrupt(u32),
    /// About one of so many pieces of data from the server (at least 1) comes late by this much; what follows it
    /// waits behind it.
    LateReply(u32, Duration),
}

/// What the proxy has done so far.
#[derive(Debug, Default)]
pub struct ProxyCounters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections cut by [`Fault::Cut`] or [`Fault::Refuse`].
    pub cut: AtomicU64,
    /// Connections that died half open.
    pub half_open: AtomicU64,
    /// Pieces of data delayed.
    pub delayed: AtomicU64,
    /// Pieces of data with a flipped bit.
    pub corrupted: AtomicU64,
    /// Bytes passed on to the server.
    pub bytes_up: AtomicU64,
    /// Bytes passed on to the client.
    pub bytes_down: AtomicU64,
}

impl ProxyCounters {
    /// Every count by name, for a test's report.
    pub fn snapshot(&self) -> [(&'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("accepted", read(&self.accepted)),
            ("cut", read(&self.cut)),
            ("half_open", read(&self.half_open)),
            ("delayed", read(&self.delayed)),
            ("corrupted", read(&self.corrupted)),
            ("bytes_up", read(&self.bytes_up)),
            ("bytes_down", read(&self.bytes_down)),
        ]
    }
}

/// A running proxy on a loopback port. Dropping it stops it.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    fault: watch::Sender<Fault>,
    target: watch::Sender<SocketAddr>,
    counters: Arc<ProxyCounters>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl FaultProxy {
    /// Starts a proxy to `target` on a free loopback port, without a fault.
    pub async fn start(target: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::None);
        let (target, targets) = watch::channel(target);
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let counters = Arc::<ProxyCounters>::default();
        let rng = Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed)));
        let line = Line { faults, targets, counters: Arc::clone(&counters), rng, cancel: cancel.clone() };
        tasks.spawn(line.listen(listener, tasks.clone()));
        tasks.close();
        Ok(Self { addr, fault, target, counters, cancel, tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes how the line fails.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How the line fails now.
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// Sends new connections to another server.
    pub fn retarget(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// What it has done so far.
    pub fn counters(&self) -> &Arc<ProxyCounters> {
        &self.counters
    }

    /// Cuts every connection, frees the port and waits until that is done.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What every connection shares.
#[derive(Clone)]
struct Line {
    faults: watch::Receiver<Fault>,
    targets: watch::Receiver<SocketAddr>,
    counters: Arc<ProxyCounters>,
    rng: Arc<Mutex<ChaCha8Rng>>,
    cancel: CancellationToken,
}

impl Line {
    /// Accepts until stopped; while dialling is to be refused, there is no listener.
    async fn listen(mut self, listener: TcpListener, tasks: TaskTracker) {
        let Ok(addr) = listener.local_addr() else { return };
        let mut listener = Some(listener);
        loop {
            if *self.faults.borrow_and_update() == Fault::Refuse {
                drop(listener.take());
            } else if listener.is_none() {
                listener = rebind(addr).await;
            }
            let Some(open) = &listener else {
                tokio::select! {
                    () = self.cancel.cancelled() => return,
                    changed = self.faults.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(Duration::from_millis(20)) => {} // somebody else holds the port: again
                }
                continue;
            };
            tokio::select! {
                () = self.cancel.cancelled() => return,
                changed = self.faults.changed() => if changed.is_err() { return },
                accepted = open.accept() => if let Ok((client, _)) = accepted {
                    self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                    tasks.spawn(self.clone().connection(client));
                },
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(mut self, client: TcpStream) {
        let fault = *self.faults.borrow_and_update();
        if matches!(fault, Fault::Cut | Fault::Refuse) {
            self.counters.cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if fault == Fault::HalfOpen {
            return self.half_open(client).await;
        }
        let target = *self.targets.borrow();
        let Ok(server) = TcpStream::connect(target).await else { return };
        if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
            return;
        }
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let cancel = self.cancel.clone();
        let mut faults = self.faults.clone();
        let broken = faults.wait_for(|fault| matches!(fault, Fault::Cut | Fault::Refuse | Fault::HalfOpen));
        let mut up = Pump { from: from_client, to: to_server, line: self.clone(), down: false };
        let mut down = Pump { from: from_server, to: to_client, line: self.clone(), down: true };
        let ended = tokio::select! {
            () = cancel.cancelled() => None,
            () = up.run() => None,
            () = down.run() => None,
            broken = broken => broken.ok().map(|fault| *fault),
        };
        match ended {
            Some(Fault::HalfOpen) => {
                let (Pump { from, to: server, .. }, Pump { to, .. }) = (up, down);
                drop(server);
                if let Ok(client) = from.reunite(to) {
                    self.half_open(client).await;
                }
            }
            Some(_) => {
                self.counters.cut.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }

    /// Swallows what the client sends until the client gives up or the connection is to be cut.
    async fn half_open(mut self, mut client: TcpStream) {
        self.counters.half_open.fetch_add(1, Ordering::Relaxed);
        let cancel = self.cancel.clone();
        let cut = self.faults.wait_for(|fault| matches!(fault, Fault::Cut | Fault::Refuse));
        let swallow = async {
            let mut buffer = [0; 4096];
            while matches!(client.read(&mut buffer).await, Ok(read) if read > 0) {}
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            () = swallow => {}
            _ = cut => { self.counters.cut.fetch_add(1, Ordering::Relaxed); }
        }
    }

    fn one_in(&self, many: u32) -> bool {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_ratio(1, many.max(1))
    }

    fn place_in(&self, length: usize) -> usize {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..length)
    }
}

/// One direction of one connection.
struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    line: Line,
    /// From server to client.
    down: bool,
}

impl Pump {
    async fn run(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(read @ 1..) = self.from.read(&mut buffer).await else { return };
            let piece = &mut buffer[..read];
            if self.line.faults.wait_for(|fault| *fault != Fault::Stall).await.is_err() {
                return;
            }
            let fault = *self.line.faults.borrow();
            if self.down {
                self.spoil(fault, piece).await;
            }
            if self.to.write_all(piece).await.is_err() {
                return;
            }
            let counters = &self.line.counters;
            let passed = if self.down { &counters.bytes_down } else { &counters.bytes_up };
            passed.fetch_add(read as u64, Ordering::Relaxed);
        }
    }

    async fn spoil(&self, fault: Fault, piece: &mut [u8]) {
        let counters = &self.line.counters;
        match fault {
            Fault::Delay(by) => {
                counters.delayed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(by).await;
            }
            Fault::LateReply(many, by) if self.line.one_in(many) => {
                counters.delayed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(by).await;
            }
            Fault::Corrupt(many) if self.line.one_in(many) => {
                counters.corrupted.fetch_add(1, Ordering::Relaxed);
                let bit = self.line.place_in(piece.len() * 8);
                piece[bit / 8] ^= 1 << (bit % 8);
            }
            _ => {}
        }
    }
}

/// The same port again; `None` if somebody took it meanwhile.
async fn rebind(addr: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(addr).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            tracing::debug!(%addr, %error, "the proxy cannot have its port back yet");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, and a proxy before it.
    async fn echo() -> (FaultProxy, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        let proxy = FaultProxy::start(target, 1).await.unwrap();
        let addr = proxy.addr();
        (proxy, addr)
    }

    async fn ask(stream: &mut TcpStream, what: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(what).await?;
        let mut answer = vec![0; what.len()];
        stream.read_exact(&mut answer).await.map(|_| answer)
    }

    /// Whether an answer is pending: nothing has come although the proxy has taken in what was sent.
    async fn is_silent(stream: &mut TcpStream, passes: usize) -> bool {
        let mut byte = [0];
        for _ in 0..passes {
            tokio::task::yield_now().await;
        }
        matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn without_a_fault_everything_passes() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        assert_eq!(ask(&mut client, b"hello").await.unwrap(), b"hello");
        let counts = proxy.counters().snapshot();
        assert_eq!((counts[0].1, counts[5].1, counts[6].1), (1, 5, 5));
        drop(client);
        proxy.stop().await;
    }

    #[tokio::test]
    async fn a_cut_ends_old_and_new_connections_until_it_is_over() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        ask(&mut client, b"up").await.unwrap();
        proxy.set(Fault::Cut);
        assert!(client.read(&mut [0]).await.map_or(true, |read| read == 0));
        let mut next = TcpStream::connect(addr).await.unwrap();
        assert!(next.read(&mut [0]).await.map_or(true, |read| read == 0));
        proxy.set(Fault::None);
        let mut third = TcpStream::connect(addr).await.unwrap();
        assert_eq!(ask(&mut third, b"again").await.unwrap(), b"again");
        assert_eq!(proxy.counters().cut.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_refusal_closes_the_port_and_opens_the_same_one_again() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        ask(&mut client, b"up").await.unwrap();
        proxy.set(Fault::Refuse);
        assert!(client.read(&mut [0]).await.map_or(true, |read| read == 0));
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await; // until the listener is gone
        }
        proxy.set(Fault::None);
        let mut client = loop {
            match TcpStream::connect(addr).await {
                Ok(client) => break client,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(ask(&mut client, b"again").await.unwrap(), b"again");
    }

    #[tokio::test]
    async fn a_stall_holds_data_back_and_loses_none() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        ask(&mut client, b"up").await.unwrap();
        proxy.set(Fault::Stall);
        client.write_all(b"held").await.unwrap();
        assert!(is_silent(&mut client, 1000).await);
        proxy.set(Fault::None);
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"held");
    }

    #[tokio::test]
    async fn a_half_open_line_swallows_and_stays_dead() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        ask(&mut client, b"up").await.unwrap();
        proxy.set(Fault::HalfOpen);
        while proxy.counters().half_open.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        proxy.set(Fault::None);
        client.write_all(b"lost").await.unwrap();
        assert!(is_silent(&mut client, 1000).await);
        let mut next = TcpStream::connect(addr).await.unwrap();
        assert_eq!(ask(&mut next, b"new").await.unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_corrupt_line_flips_one_bit() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        proxy.set(Fault::Corrupt(1));
        let answer = ask(&mut client, b"hello").await.unwrap();
        let flipped: u32 = answer.iter().zip(b"hello").map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, u32::try_from(proxy.counters().corrupted.load(Ordering::Relaxed)).unwrap());
        assert!(flipped >= 1);
    }

    #[tokio::test]
    async fn a_late_reply_comes_late_and_in_order() {
        let (proxy, addr) = echo().await;
        let mut client = TcpStream::connect(addr).await.unwrap();
        proxy.set(Fault::LateReply(1, Duration::from_millis(50)));
        let asked = tokio::time::Instant::now();
        assert_eq!(ask(&mut client, b"first").await.unwrap(), b"first");
        assert!(asked.elapsed() >= Duration::from_millis(50));
        proxy.set(Fault::None);
        assert_eq!(ask(&mut client, b"second").await.unwrap(), b"second");
        assert_eq!(proxy.counters().delayed.load(Ordering::Relaxed), 1);
    }
}
