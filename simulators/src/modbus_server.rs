//! A Modbus TCP server that answers reads from a [`RegisterBank`] and refuses and counts everything else.
//!
//! The codec is our own: seven bytes of header and a handful of function codes are less than an adapter would be,
//! and a simulator must be able to see and count the requests that it refuses. Reads are function codes 1, 2, 3, 4
//! and 43/14; every other code is answered with exception 1, and the codes that write are counted, so that a test
//! can prove that nobody wrote.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shopfloor::time::{Timestamp, Wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::registers::{BitArea, Exception, RegisterBank, WordArea};

/// Most words in one read, from the Modbus application protocol.
const WORDS_MAX: u16 = 125;
/// Most bits in one read, from the Modbus application protocol.
const BITS_MAX: u16 = 2000;
/// Longest length field of the header: unit id and a PDU of 253 bytes.
const LENGTH_MAX: u16 = 254;

/// Function codes that change a device: write coil, register, coils, registers, file record, mask write, and the
/// write half of read/write registers.
const WRITES: [u8; 7] = [5, 6, 15, 16, 21, 22, 23];

/// What a server has seen so far.
#[derive(Debug, Default)]
pub struct ModbusCounters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Read requests answered with data.
    pub reads: AtomicU64,
    /// Requests answered with an exception, writes included.
    pub exceptions: AtomicU64,
    /// Requests that would have written. Zero unless somebody is at fault.
    pub writes: AtomicU64,
}

impl ModbusCounters {
    /// Requests that would have written.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Read requests answered with data.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Requests answered with an exception.
    pub fn exceptions(&self) -> u64 {
        self.exceptions.load(Ordering::Relaxed)
    }
}

/// A running server on a loopback port. Dropping it stops it.
#[derive(Debug)]
pub struct ModbusServer {
    addr: SocketAddr,
    counters: Arc<ModbusCounters>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl ModbusServer {
    /// Starts on a free loopback port; registers show the bank at the time of the clock.
    pub async fn start(bank: Arc<dyn RegisterBank>, clock: Arc<dyn Wait>) -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), bank, clock).await
    }

    /// Starts on a given address.
    pub async fn start_at(at: SocketAddr, bank: Arc<dyn RegisterBank>, clock: Arc<dyn Wait>) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let addr = listener.local_addr()?;
        let (counters, cancel, tasks) = (Arc::default(), CancellationToken::new(), TaskTracker::new());
        let device = Device { bank, clock, counters: Arc::clone(&counters) };
        tasks.spawn(accept(listener, Arc::new(device), cancel.clone(), tasks.clone()));
        tasks.close();
        Ok(Self { addr, counters, cancel, tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has seen so far.
    pub fn counters(&self) -> &Arc<ModbusCounters> {
        &self.counters
    }

    /// Closes the listener and every connection and waits until they are closed.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for ModbusServer {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn accept(listener: TcpListener, device: Arc<Device>, cancel: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        device.counters.connections.fetch_add(1, Ordering::Relaxed);
        let (device, cancel) = (Arc::clone(&device), cancel.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                ended = serve(stream, &device) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "modbus connection ended");
                    }
                }
            }
        });
    }
}

/// Answers one connection until it closes or sends something that is not Modbus TCP.
async fn serve(mut stream: TcpStream, device: &Device) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0_u8; 7];
        if let Err(error) = stream.read_exact(&mut header).await {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
        let [t0, t1, p0, p1, l0, l1, unit] = header;
        let length = u16::from_be_bytes([l0, l1]);
        if [p0, p1] != [0, 0] || !(2..=LENGTH_MAX).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the header is not one of Modbus TCP"));
        }
        let mut request = vec![0_u8; usize::from(length) - 1];
        stream.read_exact(&mut request).await?;
        let answer = device.answer(unit, &request);
        let length = u16::try_from(answer.len() + 1).expect("an answer has at most 253 bytes");
        let mut reply = vec![t0, t1, 0, 0];
        reply.extend(length.to_be_bytes());
        reply.push(unit);
        reply.extend(answer);
        stream.write_all(&reply).await?;
    }
}

/// The protocol without the sockets: one request PDU in, one response PDU out.
struct Device {
    bank: Arc<dyn RegisterBank>,
    clock: Arc<dyn Wait>,
    counters: Arc<ModbusCounters>,
}

impl Device {
    fn answer(&self, unit: u8, request: &[u8]) -> Vec<u8> {
        let function = request[0];
        match self.read(unit, request, self.clock.now()) {
            Ok(answer) => {
                self.counters.reads.fetch_add(1, Ordering::Relaxed);
                answer
            }
            Err(exception) => {
                self.counters.exceptions.fetch_add(1, Ordering::Relaxed);
                if WRITES.contains(&function) {
                    self.counters.writes.fetch_add(1, Ordering::Relaxed);
                }
                vec![function | 0x80, exception as u8]
            }
        }
    }

    fn read(&self, unit: u8, request: &[u8], now: Timestamp) -> Result<Vec<u8>, Exception> {
        match request[0] {
            1 => self.read_bits(unit, BitArea::Coil, request, now),
            2 => self.read_bits(unit, BitArea::DiscreteInput, request, now),
            3 => self.read_words(unit, WordArea::Holding, request, now),
            4 => self.read_words(unit, WordArea::Input, request, now),
            43 => self.identify(unit, request),
            _ => Err(Exception::IllegalFunction),
        }
    }

    fn read_bits(&self, unit: u8, area: BitArea, request: &[u8], now: Timestamp) -> Result<Vec<u8>, Exception> {
        let (start, count) = range(request, BITS_MAX)?;
        let bits = self.bank.bits(unit, area, start, count, now)?;
        let packed: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |packed, (place, bit)| packed | u8::from(*bit) << place))
            .collect();
        Ok(counted(request[0], &packed))
    }

    fn read_words(&self, unit: u8, area: WordArea, request: &[u8], now: Timestamp) -> Result<Vec<u8>, Exception> {
        let (start, count) = range(request, WORDS_MAX)?;
        let words = self.bank.words(unit, area, start, count, now)?;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        Ok(counted(request[0], &bytes))
    }

    /// Function code 43, MEI type 14: all basic objects in one answer, or one object.
    fn identify(&self, unit: u8, request: &[u8]) -> Result<Vec<u8>, Exception> {
        let [_, 14, code, first] = request else { return Err(Exception::IllegalFunction) };
        let objects = self.bank.identification(unit);
        if objects.is_empty() {
            return Err(Exception::IllegalFunction);
        }
        let wanted: Vec<&(u8, String)> = match code {
            1..=3 => objects.iter().filter(|(id, _)| id >= first).collect(),
            4 => objects.iter().filter(|(id, _)| id == first).collect(),
            _ => return Err(Exception::IllegalValue),
        };
        if wanted.is_empty() {
            return Err(Exception::IllegalAddress);
        }
        let count = u8::try_from(wanted.len()).unwrap_or(u8::MAX);
        let mut answer = vec![43, 14, *code, 0x81, 0, 0, count];
        for (id, text) in wanted {
            let text = &text.as_bytes()[..text.len().min(60)];
            answer.extend([*id, u8::try_from(text.len()).expect("cut to 60 bytes")]);
            answer.extend(text);
        }
        Ok(answer)
    }
}

/// First address and count of a read request.
fn range(request: &[u8], most: u16) -> Result<(u16, u16), Exception> {
    let [_, a0, a1, c0, c1] = request else { return Err(Exception::IllegalValue) };
    let (start, count) = (u16::from_be_bytes([*a0, *a1]), u16::from_be_bytes([*c0, *c1]));
    if !(1..=most).contains(&count) {
        return Err(Exception::IllegalValue);
    }
    if u32::from(start) + u32::from(count) > 0x1_0000 {
        return Err(Exception::IllegalAddress);
    }
    Ok((start, count))
}

fn counted(function: u8, bytes: &[u8]) -> Vec<u8> {
    let mut answer = vec![function, u8::try_from(bytes.len()).expect("a read has at most 250 bytes")];
    answer.extend(bytes);
    answer
}

#[cfg(test)]
mod tests {
    use shopfloor::time::ManualClock;

    use super::*;

    /// Unit 1 has words 100 to 109 (word n holds n) and input bits 0 to 9 (every third is set).
    struct Bench;

    impl RegisterBank for Bench {
        fn bits(&self, unit: u8, _: BitArea, start: u16, count: u16, _: Timestamp) -> Result<Vec<bool>, Exception> {
            if unit != 1 || start + count > 10 {
                return Err(Exception::IllegalAddress);
            }
            Ok((start..start + count).map(|address| address % 3 == 0).collect())
        }

        fn words(&self, unit: u8, _: WordArea, start: u16, count: u16, _: Timestamp) -> Result<Vec<u16>, Exception> {
            if unit != 1 {
                return Err(Exception::NoTarget);
            }
            if start < 100 || start + count > 110 {
                return Err(Exception::IllegalAddress);
            }
            Ok((start..start + count).collect())
        }

        fn identification(&self, _: u8) -> Vec<(u8, String)> {
            vec![(0, "Plumbline".into()), (1, "SIM".into()), (2, "1".into())]
        }
    }

    fn device() -> Device {
        let clock = Arc::new(StandingClock(ManualClock::at(Timestamp::from_secs(0))));
        Device { bank: Arc::new(Bench), clock, counters: Arc::default() }
    }

    /// A manual clock on which nobody waits.
    struct StandingClock(ManualClock);

    impl shopfloor::time::Clock for StandingClock {
        fn now(&self) -> Timestamp {
            self.0.now()
        }
        fn monotonic(&self) -> u64 {
            self.0.monotonic()
        }
    }

    impl Wait for StandingClock {
        fn until(&self, _: Timestamp) -> shopfloor::time::Pending<'static> {
            Box::pin(std::future::pending())
        }
        fn worker(&self) -> Box<dyn shopfloor::time::Worker> {
            unreachable!("the server is no worker")
        }
    }

    #[test]
    fn reads_are_answered_and_ranges_are_checked() {
        let device = device();
        assert_eq!(device.answer(1, &[3, 0, 100, 0, 2]), [3, 4, 0, 100, 0, 101]);
        assert_eq!(device.answer(1, &[2, 0, 0, 0, 10]), [2, 2, 0b0100_1001, 0b10]);
        assert_eq!(device.answer(1, &[4, 0, 109, 0, 2]), [0x84, 2]);
        assert_eq!(device.answer(1, &[3, 0, 100, 0, 126]), [0x83, 3]);
        assert_eq!(device.answer(1, &[3, 0xFF, 0xFF, 0, 2]), [0x83, 2]);
        assert_eq!(device.answer(2, &[3, 0, 100, 0, 1]), [0x83, 11]);
        assert_eq!(device.answer(1, &[3, 0, 100]), [0x83, 3]);
        assert_eq!(device.counters.reads(), 2);
    }

    #[test]
    fn every_write_is_refused_and_counted() {
        let device = device();
        for (sent, function) in WRITES.into_iter().enumerate() {
            assert_eq!(device.answer(1, &[function, 0, 100, 0, 1]), [function | 0x80, 1]);
            assert_eq!(device.counters.writes(), sent as u64 + 1);
        }
        assert_eq!(device.answer(1, &[8, 0, 0, 0, 0]), [0x88, 1]); // diagnostics: refused, but no write
        assert_eq!(device.counters.writes(), WRITES.len() as u64);
    }

    #[test]
    fn identification_is_answered() {
        let answer = device().answer(1, &[43, 14, 1, 0]);
        assert_eq!(&answer[..9], &[43, 14, 1, 0x81, 0, 0, 3, 0, 9]);
        assert_eq!(&answer[9..18], b"Plumbline");
        assert_eq!(device().answer(1, &[43, 13, 1, 0]), [0xAB, 1]);
    }

    #[tokio::test]
    async fn a_foreign_client_reads_and_cannot_write() {
        use tokio_modbus::client::{Reader, Writer, tcp};
        use tokio_modbus::{ExceptionCode, Slave};

        let server = ModbusServer::start(Arc::new(Bench), device().clock).await.unwrap();
        let mut client = tcp::connect_slave(server.addr(), Slave(1)).await.unwrap();
        assert_eq!(client.read_holding_registers(100, 3).await.unwrap().unwrap(), [100, 101, 102]);
        assert_eq!(client.read_discrete_inputs(0, 4).await.unwrap().unwrap(), [true, false, false, true]);
        let refused = client.write_single_register(100, 7).await.unwrap();
        assert_eq!(refused, Err(ExceptionCode::IllegalFunction));
        assert_eq!(client.read_input_registers(0, 1).await.unwrap(), Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(server.counters().writes(), 1);
        let addr = server.addr();
        server.stop().await;
        assert!(client.read_holding_registers(100, 1).await.is_err());
        TcpListener::bind(addr).await.expect("the port is free again after stop");
    }
}
