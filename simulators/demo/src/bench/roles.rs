//! The parts that are measured, each in a process of its own: the real ones, started as their programs start them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent::Agent;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use collector::Collector;
use collector::broker::{Broker, any_loopback_port};
use collector::config::PACKET_BYTES_MAX;
use shopfloor::time::Timestamp;
use simulators::modbus_server::ModbusServer;
use simulators::paced_clock::PacedClock;
use simulators::registers::RegisterBank;
use tokio_util::sync::CancellationToken;

use super::{child, floor, site};

/// What a child of the bench is.
#[derive(Subcommand)]
pub enum Role {
    /// The simulated device
    #[command(hide = true)]
    Device {
        /// Seed of its world
        #[arg(long)]
        seed: u64,
        /// Its clock's first instant, nanoseconds UTC
        #[arg(long)]
        start: i64,
        /// Speed of its clock
        #[arg(long)]
        pace: u32,
        /// 1 or 10
        #[arg(long)]
        devices: u8,
    },
    /// The MQTT broker
    #[command(hide = true)]
    Broker,
    /// The collector
    #[command(hide = true)]
    Collector {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// The agent
    #[command(hide = true)]
    Agent {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// The floor of the agent
    #[command(hide = true)]
    Poll {
        /// The agent's configuration
        #[arg(long)]
        config: PathBuf,
        /// Commit each scan to a journal in this directory
        #[arg(long)]
        commit: Option<PathBuf>,
    },
    /// The floor of the collector
    #[command(hide = true)]
    Subscribe {
        /// Host and port of the broker
        #[arg(long)]
        broker: String,
        /// Topic filter
        #[arg(long)]
        filter: String,
    },
}

/// Plays a role until standard input ends.
pub fn play(role: Role) -> Result<()> {
    match role {
        Role::Device { seed, start, pace, devices } => {
            let world = site::world(seed, Timestamp::from_nanos(start))?;
            runtime()?
                .block_on(device(site::bank(world, devices), PacedClock::from(Timestamp::from_nanos(start), pace)))
        }
        Role::Broker => runtime()?.block_on(broker()),
        Role::Collector { config } => runtime()?.block_on(collector(&config)),
        Role::Agent { config } => agent_runtime()?.block_on(agent(&config)),
        Role::Poll { config, commit } => floor::poll(&config, commit.as_deref()),
        Role::Subscribe { broker, filter } => floor::subscribe(&broker, &filter),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("start threads")
}

/// The runtime that `plumbline-agent` has: one thread.
fn agent_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a thread")
}

/// Answers on a thread of its own, so that the part's threads do nothing but the part.
async fn answering(ready: String, count: impl Fn() -> u64 + Send + 'static) -> Result<()> {
    let (done, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(done.send(child::answer(&ready, count))));
    answered.await.context("answer the bench")?
}

async fn device(bank: Arc<dyn RegisterBank>, clock: PacedClock) -> Result<()> {
    let server = ModbusServer::start(bank, Arc::new(clock)).await.context("start the device")?;
    let counters = Arc::clone(server.counters());
    answering(server.addr().to_string(), move || counters.reads()).await?;
    server.stop().await;
    Ok(())
}

async fn broker() -> Result<()> {
    let broker = Broker::start(any_loopback_port(), PACKET_BYTES_MAX).await?;
    answering(broker.address().to_string(), || 0).await?;
    broker.stop().await;
    Ok(())
}

async fn collector(config: &Path) -> Result<()> {
    let config = collector::config::parse(&read(config)?, "collector.toml")?;
    let stop = CancellationToken::new();
    let wait = Arc::new(collector::wait::RealWait::new());
    let collector = Collector::start(config, wait, stop.clone()).await?;
    let metrics = collector.metrics().clone();
    answering(collector.ack_key().to_string(), move || metrics.samples.get()).await?;
    stop.cancel();
    collector.join().await;
    Ok(())
}

async fn agent(config: &Path) -> Result<()> {
    let config = agent::config::parse(&read(config)?, "agent.toml")?;
    let stop = CancellationToken::new();
    let agent = Agent::start(config, Arc::new(agent::wait::RealTime::new()), stop.clone()).await?;
    let health = agent.health_addr().context("the agent serves its metrics")?;
    answering(String::new(), move || samples_read(health).unwrap_or(0)).await?;
    stop.cancel();
    agent.join().await;
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Samples that the agent has read well, by its own metrics.
fn samples_read(health: SocketAddr) -> Result<u64> {
    let mut stream = TcpStream::connect(health)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {health}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let lines = text.lines().filter(|line| line.starts_with("agent_samples_read_total{") && line.contains("\"good\""));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}
