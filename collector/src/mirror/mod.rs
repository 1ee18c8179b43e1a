//! The mirror: a copy of samples and results for Grafana users, on any server with InfluxDB's v2 write path. It is
//! never the evidence; docs/influx-schema.md says what it holds.
//!
//! `reader.rs` reads the verified log in its order behind a durable cursor (`cursor.rs`), `facts.rs` tells news from
//! restatements, `line.rs` makes points, `influx.rs` knows the server, `deliver.rs` sends until every line is taken
//! or parked. The whole is one task with its own connections: ingest neither waits for it nor knows of it.

pub mod cursor;
pub mod deliver;
pub mod facts;
pub mod influx;
pub mod line;
pub mod metrics;
pub mod reader;
pub mod verify;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use shopfloor::time::{Timestamp, Wait};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::MirrorConfig;
use crate::log::LogError;
use crate::series::SeriesError;
use crate::series::derived::{Derived, DerivedError};
use crate::store::Store;
use cursor::Cursor;
use deliver::{Answer, Delivery, Told, Writes};
use influx::Server;
use metrics::MirrorMetrics;
use reader::{Reader, Stretch};

/// How long nothing is looked for after everything was written, unless a block arrives.
const IDLE: Duration = Duration::from_secs(1);
/// How long a failure of our own, as a full disk, is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Why the mirror cannot work.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// mirror.db could not be used.
    #[error("{doing} {}: {source}; the file may be deleted, the mirror is then written anew", path.display())]
    Cursor {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The token could not be read.
    #[error("read the mirror's token in {}: {why}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The certificates could not be read.
    #[error("read the certificates for the mirror in {}: {why}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The client could not be made.
    #[error("make the client of the mirror: {0}")]
    Client(String),
    /// A point could not be written as a line.
    #[error("write a point as a line: {0}")]
    Line(String),
    /// The server does not say what it holds.
    #[error("ask the mirror what it holds: {0}; is mirror.query the language of this server?")]
    Ask(String),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A block could not be read.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// Results could not be read.
    #[error(transparent)]
    Derived(#[from] DerivedError),
    /// A metric could not be registered.
    #[error("register the mirror's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What a mirror is made of.
pub struct Mirror<S> {
    store: Store,
    server: Arc<S>,
    cursor: Arc<Cursor>,
    reader: Arc<Mutex<Reader>>,
    metrics: MirrorMetrics,
    wait: Arc<dyn Wait>,
    stop: CancellationToken,
    lines_max: usize,
    probe: String,
}

/// What a target is, so that another one is noticed.
pub fn target(config: &MirrorConfig) -> String {
    format!("{} {} {} {}", config.url, config.org, config.bucket, config.measurement)
}

/// Opens cursor, reader and client, and runs until `stop`. Errors: a file, never the server: it may be away.
pub fn start(
    config: &MirrorConfig,
    state_dir: &Path,
    store: Store,
    registry: &Registry,
    wait: Arc<dyn Wait>,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, MirrorError> {
    let mirror = open(config, state_dir, store, registry, wait, stop)?;
    Ok(tokio::spawn(async move { mirror.run().await }))
}

/// Opens cursor, reader and client.
pub fn open(
    config: &MirrorConfig,
    state_dir: &Path,
    store: Store,
    registry: &Registry,
    wait: Arc<dyn Wait>,
    stop: CancellationToken,
) -> Result<Mirror<Server>, MirrorError> {
    let server = Arc::new(Server::open(config)?);
    Mirror::new(config, state_dir, store, registry, wait, stop, server)
}

impl<S: Writes + 'static> Mirror<S> {
    /// A mirror on any server.
    pub fn new(
        config: &MirrorConfig,
        state_dir: &Path,
        store: Store,
        registry: &Registry,
        wait: Arc<dyn Wait>,
        stop: CancellationToken,
        server: Arc<S>,
    ) -> Result<Self, MirrorError> {
        let cursor = Arc::new(Cursor::open(state_dir, store.log.origin(), &target(config))?);
        let derived = Derived::open(Some(&state_dir.join("derived.db")))?;
        let reader = Reader::new(config.clone(), store.clone(), Arc::clone(&cursor), derived)?;
        let metrics = MirrorMetrics::new(registry)?;
        metrics.up.set(1);
        Ok(Self {
            store,
            server,
            cursor,
            reader: Arc::new(Mutex::new(reader)),
            metrics,
            wait,
            stop,
            lines_max: config.batch_lines,
            probe: format!("{}_probe taken=1i\n", config.measurement),
        })
    }

    /// Writes what there is and waits for more, until it is stopped.
    pub async fn run(self) {
        let mut arrivals = self.store.log.subscribe();
        while !self.stop.is_cancelled() {
            match self.turn().await {
                Ok(Some(true)) => {}
                Ok(Some(false)) => {
                    // Whatever is told, or that something was missed, means that there is more.
                    let more = async {
                        if matches!(arrivals.recv().await, Err(RecvError::Closed)) {
                            std::future::pending::<()>().await;
                        }
                    };
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = more => {}
                        () = tokio::time::sleep(IDLE) => {}
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the mirror stands; it goes on when this is mended");
                    self.metrics.up.set(0);
                    tokio::select! {
                        () = self.stop.cancelled() => {}
                        () = tokio::time::sleep(LEFT_ALONE) => {}
                    }
                }
            }
        }
    }

    /// Writes until everything is on the server. Errors: our own files. `Ok(false)`: it was stopped before.
    pub async fn catch_up(&self) -> Result<bool, MirrorError> {
        loop {
            match self.turn().await? {
                Some(true) => {}
                Some(false) => return Ok(true),
                None => return Ok(false),
            }
        }
    }

    /// One stretch. Answers whether there was one; `None`: it was stopped.
    async fn turn(&self) -> Result<Option<bool>, MirrorError> {
        let now = self.wait.now();
        let Some(mut stretch) = self.blocking(move |reader, _| reader.next(now)).await? else {
            self.look().await?;
            return Ok(Some(false));
        };
        self.look().await?;
        let told =
            Telling { store: &self.store, metrics: &self.metrics, cursor: &self.cursor, wait: self.wait.as_ref() };
        let delivery = Delivery {
            server: self.server.as_ref(),
            told: &told,
            lines_max: self.lines_max,
            probe: self.probe.clone(),
            stop: &self.stop,
        };
        let Some(delivered) = delivery.deliver(&stretch.lines).await else { return Ok(None) };
        stretch.step.written = delivered.written;
        stretch.step.parked.extend(delivered.parked);
        self.keep(stretch).await?;
        Ok(Some(true))
    }

    async fn keep(&self, stretch: Stretch) -> Result<(), MirrorError> {
        let now = self.wait.now();
        let step = stretch.step;
        let (written, parked) = (step.written, step.parked.clone());
        let counts = self.blocking(move |reader, cursor| match cursor.step(&step, now) {
            Ok(true) => Ok(true),
            Ok(false) => reader.abandon().map(|()| false),
            Err(error) => reader.abandon().and(Err(error)),
        });
        if !counts.await? {
            tracing::info!("the mirror is written anew");
            return Ok(());
        }
        self.metrics.up.set(1);
        self.metrics.written.inc_by(written);
        for parked in &parked {
            self.metrics.parked.with_label_values(&[parked.reason]).inc();
        }
        if let Some(last) = parked.last() {
            tracing::warn!(
                lines = parked.len(),
                reason = last.reason,
                detail = last.detail,
                "lines of the mirror were parked"
            );
        }
        Ok(())
    }

    /// Reads files where blocking is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reader, &Cursor) -> Result<T, MirrorError> + Send + 'static,
    ) -> Result<T, MirrorError> {
        let (reader, cursor) = (Arc::clone(&self.reader), Arc::clone(&self.cursor));
        let done = tokio::task::spawn_blocking(move || {
            work(&mut reader.lock().unwrap_or_else(PoisonError::into_inner), &cursor)
        });
        done.await.unwrap_or_else(|error| Err(MirrorError::Line(format!("the mirror's reader ended: {error}; a bug"))))
    }

    /// Shows how far it is.
    async fn look(&self) -> Result<(), MirrorError> {
        let (store, now) = (self.store.clone(), self.wait.now());
        let (standing, parked, series) = self
            .blocking(move |reader, cursor| {
                let standing = standing(&store, &cursor.place()?, now)?;
                let parked: u64 = cursor.parked()?.iter().map(|parked| parked.count).sum();
                Ok((standing, parked, reader.series()))
            })
            .await?;
        self.metrics.behind(standing);
        self.metrics.parked_now.set(i64::try_from(parked).unwrap_or(i64::MAX));
        self.metrics.series.set(i64::try_from(series).unwrap_or(i64::MAX));
        Ok(())
    }
}

/// How far a mirror is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Leaves of the log that are not on the server.
    pub leaves: u64,
    /// Nanoseconds since the oldest of their blocks was received; 0 if there is none.
    pub nanos: i64,
}

/// How far a mirror that stands at `place` is behind the log.
pub fn standing(store: &Store, place: &cursor::Place, now: Timestamp) -> Result<Standing, LogError> {
    let leaves = store.log.size().saturating_sub(place.next);
    if leaves == 0 {
        return Ok(Standing { leaves, nanos: 0 });
    }
    let oldest = store.log.blocks_since(place.next, 1)?;
    Ok(Standing { leaves, nanos: oldest.first().map_or(0, |block| now.since(block.received).max(0)) })
}

/// Counts answers, and notes what is in the way.
struct Telling<'a> {
    store: &'a Store,
    metrics: &'a MirrorMetrics,
    cursor: &'a Arc<Cursor>,
    wait: &'a dyn Wait,
}

impl Told for Telling<'_> {
    fn answered(&self, answer: &Answer) {
        let answer = match answer {
            Answer::Taken => "taken",
            Answer::Refused(_) => "refused",
            Answer::TooLarge(_) => "too-large",
            Answer::Later(_) => "later",
        };
        self.metrics.requests.with_label_values(&[answer]).inc();
    }

    fn paused(&self, why: &str) {
        self.metrics.retries.inc();
        if self.metrics.up.get() == 1 {
            tracing::warn!(why, "the mirror does not take lines; they are sent again until it does");
        }
        self.metrics.up.set(0);
        let (store, metrics, cursor) = (self.store.clone(), self.metrics.clone(), Arc::clone(self.cursor));
        let (why, now) = (why.to_owned(), self.wait.now());
        // Nobody waits for the note; the sending goes on.
        drop(tokio::task::spawn_blocking(move || {
            let noted = cursor.trouble(&why, now).and_then(|()| {
                let place = cursor.place()?;
                Ok(standing(&store, &place, now)?)
            });
            match noted {
                Ok(standing) => metrics.behind(standing),
                Err(error) => tracing::warn!(%error, "what is in the mirror's way could not be noted"),
            }
        }));
    }
}
