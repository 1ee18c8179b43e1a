//! The floors: what cannot be left out. One polls the same requests and forgets the answers, the other receives
//! the same messages and forgets them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::config::SourceKind;
use agent::source::Task;
use anyhow::{Context as _, Result, ensure};
use shopfloor::register_map::Area;

use super::{child, mqtt};

/// Polls what the agent of this configuration polls, at its interval, and counts samples.
pub fn poll(config: &Path) -> Result<()> {
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
    let samples = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&samples);
    std::thread::spawn(move || {
        let mut due = Instant::now();
        while devices.iter_mut().all(|device| device.scan(&counted).is_ok()) {
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
    fn scan(&mut self, samples: &AtomicU64) -> Result<()> {
        for read in &self.reads {
            self.stream.write_all(&read.frame)?;
            let mut answer = [0; 260];
            self.stream.read_exact(&mut answer[..9])?;
            let rest = usize::from(u16::from_be_bytes([answer[4], answer[5]])).saturating_sub(3);
            ensure!(answer[7] == read.frame[7] && rest <= 251, "the device refused a read");
            self.stream.read_exact(&mut answer[9..9 + rest])?;
            samples.fetch_add(read.samples, Ordering::Relaxed);
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
