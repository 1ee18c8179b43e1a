//! The floors: what cannot be left out. One polls the same requests and forgets the answers, one also commits what it
//! read to the agent's journal after each scan, on the same thread, and the third receives the same messages and
//! forgets them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::config::{Config, SourceKind};
use agent::queue::Queue;
use agent::source::Task;
use agent::wait::RealTime;
use anyhow::{Context as _, Result, ensure};
use shopfloor::hash::Hash;
use shopfloor::register_map::Area;
use shopfloor::time::Clock as _;

use super::{child, mqtt};

/// Commits after which the journal begins anew, so that the file never grows.
const LAP: u64 = 1000;

/// Polls what the agent of this configuration polls, at its interval, and counts samples. With a directory each scan
/// is committed to a journal in it.
pub fn poll(config: &Path, commit: Option<&Path>) -> Result<()> {
    let text = std::fs::read_to_string(config).with_context(|| format!("read {}", config.display()))?;
    let config = agent::config::parse(&text, "agent.toml")?;
    let mut devices = Vec::new();
    for (source, tasks) in config.sources.iter().zip(agent::source::assemble(&config).tasks) {
        let SourceKind::Modbus(modbus) = &source.kind else { continue };
        let stream = TcpStream::connect((modbus.host.as_str(), modbus.port)).context("connect to the device")?;
        stream.set_nodelay(true)?;
        devices.push(Device { stream, reads: tasks.iter().filter_map(|task| Read::of(modbus.unit, task)).collect() });
    }
    let interval = devices.iter().flat_map(|device| &device.reads).map(|read| read.interval).min();
    let interval = Duration::from_nanos(interval.context("nothing to poll")?.unsigned_abs());
    let mut journal = commit.map(|directory| Journal::open(directory, &config)).transpose()?;
    let samples = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&samples);
    std::thread::spawn(move || {
        let mut due = Instant::now();
        let mut words = Vec::new();
        while devices.iter_mut().all(|device| device.scan(&counted, &mut words).is_ok())
            && journal.as_mut().is_none_or(|journal| journal.commit(&words).is_ok())
        {
            words.clear();
            due += interval;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    child::answer("", || samples.load(Ordering::Relaxed))
}

/// One connection and what is read on it.
struct Device {
    stream: TcpStream,
    reads: Vec<Read>,
}

/// One request, and how many samples its answer holds.
struct Read {
    frame: [u8; 12],
    samples: u64,
    interval: i64,
}

impl Read {
    fn of(unit: u8, task: &Task) -> Option<Self> {
        let Task::Scan { request, .. } = task else { return None };
        let function = match request.area {
            Area::Coil => 1,
            Area::DiscreteInput => 2,
            Area::Holding => 3,
            Area::Input => 4,
        };
        let ([a0, a1], [c0, c1]) = (request.stretch.first.to_be_bytes(), request.stretch.count.to_be_bytes());
        let frame = [0, 1, 0, 0, 0, 6, unit, function, a0, a1, c0, c1];
        Some(Self { frame, samples: request.tags.len() as u64, interval: request.interval })
    }
}

impl Device {
    fn scan(&mut self, samples: &AtomicU64, words: &mut Vec<u8>) -> Result<()> {
        for read in &self.reads {
            self.stream.write_all(&read.frame)?;
            let mut answer = [0; 260];
            self.stream.read_exact(&mut answer[..9])?;
            let rest = usize::from(u16::from_be_bytes([answer[4], answer[5]])).saturating_sub(3);
            ensure!(answer[7] == read.frame[7] && rest <= 251, "the device refused a read");
            self.stream.read_exact(&mut answer[9..9 + rest])?;
            words.extend(&answer[9..9 + rest]);
            samples.fetch_add(read.samples, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The agent's journal, and nothing else of its queue.
struct Journal {
    queue: Queue,
    rows: u64,
}

impl Journal {
    fn open(directory: &Path, config: &Config) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let (queue, _) = Queue::open(directory, config.queue.clone(), RealTime::new().now())?;
        Ok(Self { queue, rows: 0 })
    }

    fn commit(&mut self, words: &[u8]) -> Result<()> {
        let row = self.queue.commit(Hash::ZERO, words, RealTime::new().now())?;
        self.rows += 1;
        if self.rows.is_multiple_of(LAP) {
            self.queue.forget_journal(row)?;
        }
        Ok(())
    }
}

/// Receives what is published under `filter` and counts messages.
pub fn subscribe(broker: &str, filter: &str) -> Result<()> {
    let (_sender, mut receiver) = mqtt::connect(broker, "bench-floor")?;
    receiver.subscribe(filter)?;
    let messages = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&messages);
    std::thread::spawn(move || {
        while receiver.next().is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    child::answer("", || messages.load(Ordering::Relaxed))
}
