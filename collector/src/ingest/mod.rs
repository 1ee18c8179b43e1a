//! Takes what agents publish: verifies, stores, and only then acknowledges.
//!
//! One task gathers messages into batches; each batch is examined ([`accept`]) and appended to the log in one
//! transaction. While the disk refuses writes the batch is kept and tried again, nothing is acknowledged and nothing
//! further is examined; what comes meanwhile waits in a bounded queue and is dropped unacknowledged beyond it, so
//! its agent sends it again. Acknowledgements are state, not messages: always the newest, one per agent and batch.

mod accept;
mod engine;
mod mqtt;
mod quarantine;
pub mod registry;

use std::sync::Arc;
use std::time::Duration;

use shopfloor::time::{SECOND, Wait};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{AgentEnrolment, BrokerConfig, Config};
use crate::keys::Keys;
use crate::log::LogError;
use crate::metrics::Metrics;
use crate::store::Store;

use engine::Engine;
use mqtt::{Address, Incoming};

pub(crate) use engine::{rebuild_session, restore_session};

/// Messages of one transaction, at most.
const BATCH_MAX: usize = 64;
/// How long a batch that is not full waits for more.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait before a refused write is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Where ingest connects and what it may store.
pub(crate) struct Start {
    pub(crate) config: Arc<Config>,
    pub(crate) broker: (String, u16),
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) metrics: Metrics,
    pub(crate) wait: Arc<dyn Wait>,
    pub(crate) token: CancellationToken,
}

/// Restores the chains from the log and starts to take messages. The task ends when the token is cancelled.
/// The second answer follows whether the broker is connected.
pub(crate) fn start(start: Start) -> Result<(JoinHandle<()>, watch::Receiver<bool>), LogError> {
    let Start { config, broker, store, keys, metrics, wait, token } = start;
    let agents: Vec<AgentEnrolment> = config.agents.clone();
    let shards = (config.shards != (0..=255)).then(|| config.shards.clone());
    let client_id = format!("plumbline-collector-{}", store.log.origin().rsplit('/').next().unwrap_or_default());
    let address = Address { host: broker.0, port: broker.1, client_id, shards };
    if matches!(config.broker, BrokerConfig::External { insecure: true, .. }) {
        tracing::warn!(host = address.host, "MQTT leaves this host without transport security");
    }
    let (link, incoming) = mqtt::connect(address, metrics.clone(), token.clone());
    let connected = link.connected();
    let engine = Engine::restore(&config, &agents, store, keys, metrics, link)?;
    Ok((tokio::spawn(run(engine, incoming, wait, token)), connected))
}

async fn run(
    mut engine: Engine,
    mut incoming: mpsc::Receiver<Incoming>,
    wait: Arc<dyn Wait>,
    token: CancellationToken,
) {
    let mut tick = wait.until(wait.now().plus(SECOND));
    loop {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        tokio::select! {
            () = token.cancelled() => return,
            () = &mut tick => {
                tick = wait.until(wait.now().plus(SECOND));
            }
            count = incoming.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return;
                }
                gather(&mut incoming, &mut batch).await;
            }
        }
        let now = wait.now();
        // SQLite and signatures block, so they run where blocking is allowed.
        let done = tokio::task::spawn_blocking(move || {
            engine.examine(batch, now);
            engine.tick(now);
            engine
        });
        engine = match done.await {
            Ok(engine) => engine,
            Err(error) => {
                tracing::error!(%error, "ingest stopped: a bug; restart the collector");
                token.cancel();
                return;
            }
        };
        while engine.has_pending() {
            let done = tokio::task::spawn_blocking(move || {
                let stored = engine.commit();
                (engine, stored)
            });
            let Ok((returned, stored)) = done.await else { return token.cancel() };
            engine = returned;
            if !stored {
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
        engine.answer(wait.now());
    }
}

/// Waits a moment for more messages, so that a trickle of agents shares its transactions.
async fn gather(incoming: &mut mpsc::Receiver<Incoming>, batch: &mut Vec<Incoming>) {
    let more = async {
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            if incoming.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    // Running out of time is the usual end; what was received stays in the batch.
    drop(tokio::time::timeout(GATHER, more).await);
}
