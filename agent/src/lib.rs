//! The edge agent: reads equipment, keeps what it read on disk, publishes it, never writes to equipment.
//!
//! The tasks and how they join. Each source is a task of its own and pushes readings into the `recorder`'s
//! memory; its writer commits them to the journal every second and turns them into signed blocks; the publisher takes
//! blocks from the queue and gives them to the broker until the collector's own signed acknowledgement lets them go.
//! Sources share the caller's threads. Writer and publisher share a thread of their own, which waits for the disk as
//! long as it must (`north`): neither disk nor network ever holds up a scan, and what is sealed there is sent from
//! there, without being handed over. Stopping goes down the same road: sources first, then the writer seals the rest,
//! then the publisher says goodbye.

pub mod backoff;
pub mod batcher;
pub mod command;
pub mod config;
pub mod health;
pub mod identity;
pub mod live;
pub mod metrics;
mod north;
pub mod publish;
pub mod queue;
pub mod recorder;
pub mod schedule;
pub mod seal;
pub mod source;
pub mod wait;

use std::net::SocketAddr;
use std::sync::Arc;

use shopfloor::register_map::{RegisterMap, RegisterMapError};
use shopfloor::time::Wait;
use shopfloor::wire::sign::PublicKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batcher::{Batcher, Layout};
use crate::config::{Config, SourceKind};
use crate::health::Health;
use crate::identity::{IdentityError, StateDir};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::north::North;
use crate::publish::Publisher;
use crate::queue::{Queue, QueueError};
use crate::recorder::{Recorder, SharedQueue, Writer};
use crate::seal::{Instants, ReadBy, Sealer};
use crate::source::modbus::Modbus;
use crate::source::opcua::OpcUa;
use crate::source::{Assembly, Task};

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Directory or key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The register map contradicts itself.
    #[error(transparent)]
    RegisterMap(#[from] RegisterMapError),
    /// A metric could not be registered.
    #[error("registering metrics")]
    Metrics(#[from] prometheus::Error),
    /// No thread could be started.
    #[error("starting the thread that writes; are there too many threads?")]
    Thread(#[source] std::io::Error),
    /// The address for /health is taken.
    #[error("listening on {address} for /health: {source}; choose another port in [metrics]")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    live: Live,
    map: Arc<RegisterMap>,
    public_key: PublicKey,
    progress: ProgressView,
    health_addr: Option<SocketAddr>,
    finished: JoinHandle<()>,
}

/// How far the agent's chain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Progress {
    /// Epoch of the chain.
    pub epoch: u64,
    /// Sequence of the newest sealed block; 0 if there is none.
    pub sealed: u64,
    /// Everything up to this sequence is acknowledged by the collector.
    pub acknowledged: u64,
    /// Blocks in the queue.
    pub queued_blocks: u64,
    /// Bytes of these blocks.
    pub queued_bytes: u64,
    /// Whether there is a connection to the broker.
    pub connected: bool,
}

/// Progress as the metrics tell it: whoever asks never waits for the disk.
#[derive(Debug, Clone)]
struct ProgressView {
    epoch: u64,
    metrics: Metrics,
}

impl ProgressView {
    fn new(queue: &SharedQueue, metrics: Metrics) -> Self {
        let queue = recorder::lock(queue);
        let (state, (blocks, bytes)) = (queue.state(), queue.size());
        metrics.queue_blocks.set(blocks.cast_signed());
        metrics.queue_bytes.set(bytes.cast_signed());
        metrics.sealed_sequence.set((state.next_sequence - 1).cast_signed());
        metrics.acknowledged_sequence.set(state.acknowledged.cast_signed());
        Self { epoch: state.epoch, metrics }
    }

    fn now(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            sealed: self.metrics.sealed_sequence.get().cast_unsigned(),
            acknowledged: self.metrics.acknowledged_sequence.get().cast_unsigned(),
            queued_blocks: self.metrics.queue_blocks.get().cast_unsigned(),
            queued_bytes: self.metrics.queue_bytes.get().cast_unsigned(),
            connected: self.metrics.connected.get() == 1,
        }
    }
}

impl Agent {
    /// Starts every task; must be called within a tokio runtime. Cancelling `stop` ends it in good order.
    /// Errors: a state directory that another agent uses, a key or queue that cannot be opened.
    pub async fn start(config: Config, wait: Arc<dyn Wait>, stop: CancellationToken) -> Result<Self, AgentError> {
        let directory = StateDir::claim(&config.state_dir)?;
        let key = directory.key(&config)?;
        let public_key = key.public();
        let assembly = source::assemble(&config);
        assembly.map.check()?;
        let metrics = Metrics::new(prometheus::Registry::new())?;
        let now = Instants { wall: wait.now(), monotonic: wait.monotonic() };
        let (queue, _) = Queue::open(directory.path(), config.queue.clone(), now.wall)?;
        let queue: SharedQueue = Arc::new(std::sync::Mutex::new(queue));
        let map_bytes = assembly.map.encode();
        let read_by = ReadBy { config_hash: assembly.map.hash(), plan_hash: Some(assembly.plan_hash) };
        let live = Live::new(Arc::clone(&assembly.map));
        let batcher = Batcher::new(Layout::of(&assembly.map), config.recording.clone(), now.wall);
        let recorder = Recorder::new(batcher, &assembly.map, live.clone(), metrics.clone());
        let sealer = Sealer::new(&config, key.clone(), identity::boot_id()?, now);
        let shared = (recorder.clone(), Arc::clone(&queue));
        let mut writer = Writer::new(shared.0, shared.1, sealer, read_by, config.recording.block_bytes);
        writer.recover(now)?;
        recorder::lock(&queue).remember_map(read_by.config_hash, assembly.plan_hash, &map_bytes)?;

        let progress = ProgressView::new(&queue, metrics.clone());
        let tasks = TaskTracker::new();
        let health_stop = CancellationToken::new();
        let report = report(&config, public_key, progress.clone());
        let health_addr = match config.metrics {
            Some(address) => {
                let served = health::serve(address, report, metrics.clone(), health_stop.clone()).await;
                let (bound, serving) = served.map_err(|source| AgentError::Listen { address, source })?;
                tasks.spawn(serving);
                Some(bound)
            }
            None => None,
        };
        let publisher = config.publish.clone().map(|settings| {
            let identity = publish::Identity { site: config.site.clone(), agent: config.agent.clone(), key };
            let (queue, sealed) = (Arc::clone(&queue), writer.sealed());
            Publisher::new(settings, identity, queue, map_bytes, read_by.config_hash, sealed, metrics.clone())
        });
        let north = North { writer, worker: wait.worker(), publisher, wait: Arc::clone(&wait), directory };
        let sources = start_sources(&config, assembly, &wait, &stop, &recorder, &metrics);
        let north = north.start().map_err(AgentError::Thread)?;
        let road = Road { sources, north, health_stop, tasks };
        let map = Arc::clone(live.map());
        let finished = tokio::spawn(road.travel(stop));
        Ok(Self { live, map, public_key, progress, health_addr, finished })
    }

    /// The newest reading of every tag.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// What is read and how, as blocks cite it.
    pub fn register_map(&self) -> &Arc<RegisterMap> {
        &self.map
    }

    /// The key that blocks are signed with.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// How far sealing and acknowledgement have come.
    pub fn progress(&self) -> Progress {
        self.progress.now()
    }

    /// Where `/health` and `/metrics` are served, if they are.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health_addr
    }

    /// Waits until every task has ended after `stop` was cancelled.
    pub async fn join(self) {
        if let Err(error) = self.finished.await {
            tracing::error!(%error, "a task of the agent ended abnormally");
        }
    }
}

fn report(config: &Config, public_key: PublicKey, progress: ProgressView) -> health::Report {
    let (site, agent) = (config.site.to_string(), config.agent.to_string());
    Arc::new(move || {
        let disk_refuses = progress.metrics.disk_refuses.get() == 1;
        Health {
            status: if disk_refuses { "degraded" } else { "ok" },
            software: seal::SOFTWARE,
            site: site.clone(),
            agent: agent.clone(),
            public_key: public_key.to_string(),
            progress: progress.now(),
            disk_refuses,
        }
    })
}

/// Every source as a task of its own. Workers join before any task runs, so a lock-step clock cannot jump early.
fn start_sources(
    config: &Config,
    assembly: Assembly,
    wait: &Arc<dyn Wait>,
    stop: &CancellationToken,
    recorder: &Recorder,
    metrics: &Metrics,
) -> TaskTracker {
    let tracker = TaskTracker::new();
    let mut polling = Vec::new();
    for (source, tasks) in config.sources.iter().zip(assembly.tasks) {
        let (name, max) = (source.id.to_string(), source.reconnect_max);
        match &source.kind {
            SourceKind::Modbus(settings) => {
                let requests = tasks.into_iter().filter_map(|task| match task {
                    Task::Scan { group, request } => Some((group, request)),
                    Task::Subscribe { .. } => None,
                });
                let requests = requests.collect();
                let modbus = Modbus::new(name, settings.clone(), requests, max, recorder.clone(), metrics.clone());
                polling.push((modbus, wait.worker()));
            }
            SourceKind::OpcUa(settings) => {
                let groups = tasks.into_iter().filter_map(|task| match task {
                    Task::Subscribe { group, tags } => Some((group, tags)),
                    Task::Scan { .. } => None,
                });
                let groups = groups.collect();
                let certificates = config.state_dir.join("opcua");
                let (recorder, metrics) = (recorder.clone(), metrics.clone());
                let opcua = OpcUa::new(name, settings.clone(), groups, max, certificates, recorder, metrics);
                tracker.spawn(opcua.run(Arc::clone(wait), stop.clone()));
            }
        }
    }
    for (modbus, worker) in polling {
        tracker.spawn(modbus.run(Arc::clone(wait), worker, stop.clone()));
    }
    tracker
}

/// The road of the readings, and the order in which it ends.
struct Road {
    sources: TaskTracker,
    north: north::Running,
    health_stop: CancellationToken,
    tasks: TaskTracker,
}

impl Road {
    async fn travel(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.sources.close();
        self.sources.wait().await;
        self.north.stop().await;
        self.health_stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
