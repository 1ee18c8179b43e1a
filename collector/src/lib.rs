//! The centre: takes signed blocks from agents, keeps them in an append-only log, computes from them, and serves.
//!
//! A block's way: [`ingest`] verifies it and judges its place in the agent's chain, [`log`] stores it with its Merkle
//! leaf in one transaction, and only then is it acknowledged. [`ledger`] is the current view of the documents in the
//! log. Everything else is computed from these two and can be deleted.

pub mod account;
pub mod broker;
pub mod command;
pub mod config;
mod control;
pub mod evaluate;
pub mod ingest;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod mirror;
pub mod register;
pub mod report;
pub mod series;
pub mod serve;
pub mod store;
pub mod wait;
pub mod workbook;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shopfloor::time::Wait;
use shopfloor::wire::sign::PublicKey;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use broker::Broker;
use config::{BrokerConfig, Config, PACKET_BYTES_MAX};
use keys::Keys;
use log::Log;
use metrics::Metrics;
use store::Store;

/// How long the start waits for the embedded broker.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// Why the collector does not run.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The state directory could not be made or locked.
    #[error("{what} {}: {source}", path.display())]
    State {
        /// What was tried.
        what: &'static str,
        /// The directory or its lock.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the state directory.
    #[error("state directory {} is in use by another plumbline-collector; stop it first", .0.display())]
    InUse(PathBuf),
    /// A key could not be had.
    #[error(transparent)]
    Key(#[from] keys::KeyError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] log::LogError),
    /// The embedded broker does not run.
    #[error(transparent)]
    Broker(#[from] broker::BrokerError),
    /// The HTTP interface does not run.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    /// The socket for commands could not be made.
    #[error("listen for commands in {}: {source}", path.display())]
    Control {
        /// The state directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The mirror cannot work; an absent server is no reason.
    #[error(transparent)]
    Mirror(#[from] mirror::MirrorError),
    /// A metric could not be registered.
    #[error("register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A running collector.
pub struct Collector {
    store: Store,
    keys: Keys,
    registry: prometheus::Registry,
    metrics: Metrics,
    mqtt: (String, u16),
    http: SocketAddr,
    broker: Option<Broker>,
    tasks: Vec<JoinHandle<()>>,
    token: CancellationToken,
    _lock: std::fs::File,
}

impl Collector {
    /// Starts everything: broker, log, ingest, checkpoints. Runs until `token` is cancelled.
    pub async fn start(config: Config, wait: Arc<dyn Wait>, token: CancellationToken) -> Result<Self, CollectorError> {
        // What was started is stopped again if something further on cannot be.
        let token = token.child_token();
        let half_started = token.clone().drop_guard();
        let config = Arc::new(config);
        let lock = lock_state(&config.state_dir)?;
        let keys = Keys::open(&config.state_dir)?;
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry)?;
        let store = open_store(&config, wait.now())?;
        let (broker, mqtt) = match &config.broker {
            BrokerConfig::Embedded { listen } => {
                let broker = Broker::start(*listen, PACKET_BYTES_MAX).await?;
                let address = broker.address();
                (Some(broker), (address.ip().to_string(), address.port()))
            }
            BrokerConfig::External { host, port, .. } => (None, (host.clone(), *port)),
        };
        let (ingest, mut connected) = ingest::start(ingest::Start {
            config: config.clone(),
            broker: mqtt.clone(),
            store: store.clone(),
            keys: keys.clone(),
            metrics: metrics.clone(),
            wait: wait.clone(),
            token: token.clone(),
        })?;
        if broker.is_some() {
            // Before the collector has subscribed the broker would drop what agents send. It answers within
            // milliseconds; should it not, agents send again.
            drop(tokio::time::timeout(FIRST_CONNECTION, connected.wait_for(|connected| *connected)).await);
        }
        let checkpoints =
            tokio::spawn(checkpoints(store.log.clone(), keys.clone(), config.clone(), wait.clone(), token.clone()));
        let control = control::listen(&config.state_dir, store.clone(), wait.clone(), token.clone())
            .map_err(|source| CollectorError::Control { path: config.state_dir.clone(), source })?;
        let mut tasks = vec![ingest, checkpoints, control];
        let serving = serve::Start {
            store: store.clone(),
            config: config.clone(),
            wait: wait.clone(),
            stop: token.clone(),
            registry: registry.clone(),
        };
        let (http, serving) = serve::start(serving).await?;
        tasks.extend(serving);
        if let Some(mirror) = &config.mirror {
            let copies = mirror::start(mirror, &config.state_dir, store.clone(), &registry, wait, token.clone())?;
            tasks.push(copies);
        }
        half_started.disarm();
        Ok(Self { store, keys, registry, metrics, mqtt, http, broker, tasks, token, _lock: lock })
    }

    /// Host and port of the broker that is used: of the embedded one, or as configured.
    pub fn mqtt_addr(&self) -> (String, u16) {
        self.mqtt.clone()
    }

    /// Where the HTTP interface listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The key that signs acknowledgements and requests: what agents pin.
    pub fn ack_key(&self) -> PublicKey {
        self.keys.ack.public()
    }

    /// The key that signs checkpoints of the log.
    pub fn checkpoint_key(&self) -> PublicKey {
        self.keys.checkpoint.public()
    }

    /// Log, ledger and agents.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// The registry with every metric of this process.
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// The collector's own metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Stops the embedded broker and starts it anew on the same port: it forgets all it knew. For tests.
    pub async fn restart_broker(&mut self) -> Result<(), CollectorError> {
        if let Some(broker) = self.broker.take() {
            let address = broker.address();
            broker.stop().await;
            self.broker = Some(Broker::start(address, PACKET_BYTES_MAX).await?);
        }
        Ok(())
    }

    /// Waits until it is being stopped: by the token, or by a task that found a bug.
    pub async fn stopping(&self) {
        self.token.cancelled().await;
    }

    /// Waits until everything has stopped; cancel the token first.
    pub async fn join(self) {
        let Self { tasks, broker, token, .. } = self;
        token.cancelled().await;
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the collector ended badly");
            }
        }
        if let Some(broker) = broker {
            broker.stop().await;
        }
    }
}

/// Opens log and ledger of a state directory.
pub fn open_store(config: &Config, now: shopfloor::time::Timestamp) -> Result<Store, CollectorError> {
    let log = Log::open(&config.state_dir, &config.name, now)?;
    let ledger = ledger::Ledger::open(&log)?;
    Ok(Store { log: Arc::new(log), ledger: Arc::new(ledger), agents: Arc::default() })
}

/// Makes the state directory and takes its lock: one process writes.
pub fn lock_state(state_dir: &Path) -> Result<std::fs::File, CollectorError> {
    let failed = |what| move |source| CollectorError::State { what, path: state_dir.to_owned(), source };
    std::fs::create_dir_all(state_dir).map_err(failed("make the state directory"))?;
    let path = state_dir.join("lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(failed("open the lock of the state directory"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(CollectorError::InUse(state_dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed("lock the state directory")(source)),
    }
}

async fn checkpoints(log: Arc<Log>, keys: Keys, config: Arc<Config>, wait: Arc<dyn Wait>, token: CancellationToken) {
    // Looked at more often than it is due, so that the first one after a quiet time does not wait a whole interval.
    let pause = (config.checkpoint_interval / 4).max(shopfloor::time::SECOND);
    loop {
        let next = wait.now().plus(pause);
        tokio::select! {
            () = wait.until(next) => {}
            () = token.cancelled() => {}
        }
        let now = wait.now();
        // The last checkpoint before the end covers everything, whatever its age.
        let interval = if token.is_cancelled() { 0 } else { config.checkpoint_interval };
        let (log, key) = (log.clone(), keys.checkpoint.clone());
        let written = tokio::task::spawn_blocking(move || log.checkpoint_if_due(now, interval, &key)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "checkpoint not written; trying again");
        }
        if token.is_cancelled() {
            return;
        }
    }
}
