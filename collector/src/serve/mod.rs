//! What the collector answers: the HTTP API, events, metrics, health and the web application, read-only throughout.
//!
//! Handlers turn questions into calls of `series` and `evaluate` and their answers into JSON; they compute nothing.
//! What reads disk runs on threads where blocking is allowed, a bounded number at once.

pub mod api;
pub mod guard;
pub mod health;
pub mod live;
pub mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use prometheus::Registry;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::register_map::RegisterMap;
use shopfloor::time::{SECOND, Timestamp, Wait};
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::header::Header;
use shopfloor::wire::sign::PublicKey;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::config::Config;
use crate::evaluate::background::Progress;
use crate::evaluate::maturity::Maturity;
use crate::evaluate::pipeline::Pipeline;
use crate::evaluate::project::Projects;
use crate::evaluate::region::Regions;
use crate::ledger::PlantVersion;
use crate::series::derived::{Derived, DerivedError};
use crate::series::{CACHE_BYTES, Series};
use crate::store::Store;
use api::error::ApiError;
use live::{Gathered, Told};

/// Questions that are worked on at once; they share two caches and a disk.
const WORKERS: usize = 4;
/// Questions that may wait for their turn; beyond it the answer is E-2503.
const WAITING_MAX: usize = 256;
/// Nanoseconds between two turns of the background evaluation.
const TURN: i64 = 5 * SECOND;

/// Why the interface could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be taken.
    #[error("listen for HTTP on {listen}: {source}; is another collector running?")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Results could not be opened.
    #[error(transparent)]
    Derived(#[from] DerivedError),
}

/// Everything that handlers need.
pub struct Serving {
    /// Log, ledger, agents.
    pub store: Store,
    /// Samples.
    pub series: Arc<Series>,
    /// Results.
    pub pipeline: Arc<Pipeline>,
    /// Projects and their answers.
    pub projects: Arc<Projects>,
    /// The region and its settled days.
    pub regions: Regions,
    /// Facts for maturity models.
    pub maturity: Maturity,
    /// The clock.
    pub wait: Arc<dyn Wait>,
    /// Events for the clients that listen.
    pub told: broadcast::Sender<Told>,
    /// Ends streams.
    pub stop: CancellationToken,
    /// The process's own metrics.
    pub registry: Registry,
    /// Keys of the enrolled agents.
    pub keys: BTreeMap<(SiteId, AgentId), PublicKey>,
    workers: Semaphore,
    waiting: Semaphore,
}

/// What the interface is started with.
pub struct Start {
    /// Log, ledger, agents.
    pub store: Store,
    /// Where to listen, where derived.db lies, which agents are enrolled, how long results wait.
    pub config: Arc<Config>,
    /// The clock.
    pub wait: Arc<dyn Wait>,
    /// Ends everything.
    pub stop: CancellationToken,
    /// The process's own metrics.
    pub registry: Registry,
}

impl Serving {
    fn new(start: Start) -> Result<Self, ServeError> {
        let Start { store, config, wait, stop, registry } = start;
        let derived = Derived::open(Some(&config.state_dir.join("derived.db")))?;
        derived.made_by(&software())?;
        let series = Arc::new(Series::new(store.log.clone(), store.ledger.clone(), CACHE_BYTES));
        let pipeline = Arc::new(Pipeline::new(store.clone(), series.clone(), derived, config.settle));
        let projects = Arc::new(Projects::new(store.clone(), Arc::clone(&pipeline)));
        let keys = config.agents.iter().map(|agent| ((agent.site.clone(), agent.id.clone()), agent.public_key));
        Ok(Self {
            store,
            series,
            pipeline,
            projects,
            regions: Regions::default(),
            maturity: Maturity::default(),
            wait,
            told: live::channel(),
            stop,
            registry,
            keys: keys.collect(),
            workers: Semaphore::new(WORKERS),
            waiting: Semaphore::new(WAITING_MAX),
        })
    }

    /// The server's clock; no client says what time it is.
    pub fn now(&self) -> Timestamp {
        self.wait.now()
    }

    /// Program and version.
    pub fn software(&self) -> String {
        software()
    }

    /// Answers a question that reads disk, on a thread where that is allowed.
    pub async fn work<T: Send + 'static>(
        self: Arc<Self>,
        question: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _place = self.waiting.try_acquire().map_err(|_| ApiError::busy())?;
        let _turn = self.workers.acquire().await.map_err(|_| ApiError::busy())?;
        tokio::task::spawn_blocking(question).await.map_err(|error| ApiError::storage(&error))?
    }

    /// The current plant of a site.
    pub fn plant(&self, site: &str) -> Result<Arc<PlantVersion>, ApiError> {
        let id: SiteId = site.parse().map_err(|_| ApiError::no_site(site))?;
        self.store.ledger.plant(&id).ok_or_else(|| ApiError::no_site(site))
    }

    /// The key that an agent's blocks are signed with.
    pub fn public_key(&self, site: &SiteId, agent: &AgentId) -> Option<PublicKey> {
        self.keys.get(&(site.clone(), agent.clone())).copied()
    }

    /// The register map that an agent's newest block cites, if it has arrived.
    pub fn newest_map(&self, site: &SiteId, agent: &AgentId) -> Result<Option<Arc<RegisterMap>>, ApiError> {
        let header = self.newest_header(site, agent)?;
        Ok(header.and_then(|header| self.store.ledger.register_map(&header.config_hash)))
    }

    /// The header of the newest block of an agent.
    pub fn newest_header(&self, site: &SiteId, agent: &AgentId) -> Result<Option<Header>, ApiError> {
        let Some(at) = self.store.agents.agent(site, agent).and_then(|view| view.newest_block_time) else {
            return Ok(None);
        };
        let near = shopfloor::time::Interval { start: at, end: at };
        let blocks = self.series.index().blocks(site, agent, near).map_err(|error| ApiError::storage(&error))?;
        let Some(newest) = blocks.last() else { return Ok(None) };
        let stored = self.store.log.block_by_index(newest.log_index).map_err(|error| ApiError::storage(&error))?;
        let Some(stored) = stored else { return Ok(None) };
        let opened = block::open(&stored.bytes, &Limits::default()).map_err(|error| ApiError::storage(&error))?;
        Ok(Some(opened.header))
    }
}

/// Program and version, as the API and kept results name it.
pub fn software() -> String {
    format!("plumbline-collector {}", env!("CARGO_PKG_VERSION"))
}

/// Listens where the configuration says, and serves until `stop`. Gives the address, which tells the port where 0 was
/// asked for, and the tasks.
pub async fn start(start: Start) -> Result<(SocketAddr, Vec<JoinHandle<()>>), ServeError> {
    let listen = start.config.http_listen;
    let failed = |source| ServeError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let serving = Arc::new(Serving::new(start)?);
    let router = router(Arc::clone(&serving), address.ip().is_loopback());
    let tasks = vec![
        tokio::spawn(serve(listener, router, serving.stop.clone())),
        tokio::spawn(tell(Arc::clone(&serving))),
        tokio::spawn(settle(Arc::clone(&serving))),
        tokio::spawn(judge(serving)),
    ];
    Ok((address, tasks))
}

/// All routes with what every answer goes through.
pub fn router(serving: Arc<Serving>, loopback: bool) -> Router {
    let (routes, openapi) = api::routes();
    let document = openapi.to_pretty_json().unwrap_or_default();
    let routes = routes
        .route(
            "/api/openapi.json",
            axum::routing::get(
                move || async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], document) },
            ),
        )
        .fallback(web::fallback)
        .method_not_allowed_fallback(|| async { ApiError::method() })
        .with_state(serving);
    let routes = if loopback { routes.layer(middleware::from_fn(guard::only_loopback_names)) } else { routes };
    routes
        .layer(middleware::from_fn(guard::localize))
        .layer(middleware::from_fn(guard::protect))
        .layer(CompressionLayer::new())
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let done = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await;
    if let Err(error) = done {
        tracing::error!(%error, "the HTTP interface ended");
    }
}

/// Tells clients what arrived, at most once a second.
async fn tell(serving: Arc<Serving>) {
    let mut accepted = serving.store.log.subscribe();
    let mut gathered = Gathered::default();
    while live::pause(serving.wait.as_ref(), &serving.stop).await {
        loop {
            use broadcast::error::TryRecvError;
            match accepted.try_recv() {
                Ok(block) => gathered.add(&block.site, &block.agent, block.window, block.log_index),
                // What was missed is older than what follows, and only the newest is told.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Closed) => return,
            }
        }
        for told in gathered
            .take(|site, agent| live::units(&serving, site, agent), |site, agent| live::history(&serving, site, agent))
        {
            // An error says that nobody listens.
            drop(serving.told.send(told));
        }
    }
}

/// Settles windows in the background.
async fn settle(serving: Arc<Serving>) {
    let progress = Arc::new(Progress::default());
    loop {
        let (pipeline, progress, now) = (Arc::clone(&serving.pipeline), Arc::clone(&progress), serving.now());
        let turn = tokio::task::spawn_blocking(move || pipeline.turn(&progress, now)).await;
        let more = match turn {
            Ok(Ok(worked)) => worked > 0,
            Ok(Err(error)) => {
                tracing::warn!(%error, "settling windows failed; it is tried again");
                false
            }
            Err(error) => {
                tracing::error!(%error, "settling windows stopped: a bug");
                return;
            }
        };
        let next = serving.now().plus(if more { SECOND / 5 } else { TURN });
        tokio::select! {
            () = serving.stop.cancelled() => return,
            () = serving.wait.until(next) => {}
        }
    }
}

/// Judges projects in the background: when somebody asks for one that is not worked out, and now and then.
async fn judge(serving: Arc<Serving>) {
    loop {
        let working = Arc::clone(&serving);
        let turn = tokio::task::spawn_blocking(move || {
            let (clock, stop) = (|| working.now(), || !working.stop.is_cancelled());
            working.projects.turn(working.now(), &clock, &stop)
        });
        match turn.await {
            Ok(Ok(Some(rest))) => {
                let next = serving.now().plus(rest);
                tokio::select! {
                    () = serving.stop.cancelled() => return,
                    () = serving.wait.until(next) => continue,
                }
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "judging a project failed; it is tried again"),
            Err(error) => {
                tracing::error!(%error, "judging projects stopped: a bug");
                return;
            }
        }
        let next = serving.now().plus(TURN);
        tokio::select! {
            () = serving.stop.cancelled() => return,
            () = serving.projects.asked() => {}
            () = serving.wait.until(next) => {}
        }
    }
}
