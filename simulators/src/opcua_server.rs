//! An OPC UA server that shows a [`NodeSource`], stepped from outside; the only file that knows async-opcua's server.
//!
//! Security policy None, anonymous users, loopback. Source times are those of the source, so that a simulated day
//! has simulated times. Nothing is sampled or filtered away: the limits are so low that each written change reaches
//! every subscription that asked for it. `step(t)` writes what changed up to `t` and then a new value of the node
//! `tick`: within one subscription every earlier change is in the same message as the tick or in an earlier one.
//! The library shuffles the values of a message, so a client that shows them one by one may show the tick first;
//! `tick(t)`, called when the first tick has been seen, writes another one, which is in a later message: its arrival
//! proves that every change of the step has arrived and has been handed over.
//!
//! Traps of the library: under its default filter a change of the status alone is not reported, and a variable
//! without a value loses its status. A Bad status is therefore always written with an empty value.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opcua::nodes::VariableBuilder;
use opcua::server::address_space::{AccessLevel, AddressSpace};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ServerBuilder, ServerHandle};
use opcua::types::{DataTypeId, DataValue, DateTime, NodeId, ObjectId, QualifiedName, StatusCode as Status, Variant};
use shopfloor::sample::{Quality, StatusCode};
use shopfloor::time::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::nodes::{Change, NodeSource, NodeSpec};
use crate::points::{Reading, Shape};

/// Identifier of the node that counts steps (Int64).
pub const TICK: &str = "tick";

/// How long a graceful stop may take before connections are torn down.
const STOP: Duration = Duration::from_secs(3);

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum OpcUaServerError {
    /// The port is taken or the system refuses sockets.
    #[error("start OPC UA server {name} at {at}: {source}")]
    Bind {
        /// Name of the server.
        name: String,
        /// Where it was to listen.
        at: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The library refuses the configuration or the nodes.
    #[error("start OPC UA server {name}: {why}")]
    Setup {
        /// Name of the server.
        name: String,
        /// In the library's words.
        why: String,
    },
    /// A value could not be written.
    #[error("write node {node} of the OPC UA server: {status}")]
    Write {
        /// Identifier of the node.
        node: String,
        /// The library's status.
        status: String,
    },
}

/// How often the server looks for something to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Each millisecond: lock-step tests, where nobody waits for real time.
    Fast,
    /// Ten times a second: real time.
    Calm,
}

/// A running server on a loopback port. Dropping it tears it down.
pub struct OpcUaServer {
    addr: SocketAddr,
    namespace: String,
    source: Arc<dyn NodeSource>,
    nodes: Vec<(NodeSpec, NodeId)>,
    tick: NodeId,
    handle: ServerHandle,
    manager: Arc<SimpleNodeManager>,
    progress: Mutex<Progress>,
    writes: Arc<AtomicU64>,
    served: Option<(Runtime, JoinHandle<Result<(), String>>)>,
    scratch: PathBuf,
}

/// How far the server has been stepped, and which statuses it was told to show.
#[derive(Default)]
struct Progress {
    last: Option<Timestamp>,
    ticks: i64,
    forced: BTreeMap<usize, StatusCode>,
    current: BTreeMap<usize, Change>,
    dirty: Vec<usize>,
}

impl OpcUaServer {
    /// Starts on a free loopback port and shows the values of `first`.
    pub async fn start(
        name: &str,
        source: Arc<dyn NodeSource>,
        first: Timestamp,
        pace: Pace,
    ) -> Result<Self, OpcUaServerError> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), name, source, first, pace).await
    }

    /// Starts at a given address, for example that of a server that was stopped.
    pub async fn start_at(
        at: SocketAddr,
        name: &str,
        source: Arc<dyn NodeSource>,
        first: Timestamp,
        pace: Pace,
    ) -> Result<Self, OpcUaServerError> {
        let setup = |why: String| OpcUaServerError::Setup { name: name.to_owned(), why };
        let bind = |source| OpcUaServerError::Bind { name: name.to_owned(), at, source };
        let listener = TcpListener::bind(at).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let scratch = std::env::temp_dir().join(format!("plumbline-sim-{}-{}", std::process::id(), addr.port()));
        let namespace = format!("urn:plumbline:sim:{name}:machines");
        let (server, handle) = builder(name, &namespace, addr, pace).pki_dir(&scratch).build().map_err(setup)?;
        let manager = handle
            .node_managers()
            .get_of_type::<SimpleNodeManager>()
            .ok_or_else(|| setup("the node manager is missing".into()))?;
        let index = handle.get_namespace_index(&namespace).ok_or_else(|| setup("the namespace is missing".into()))?;
        let writes = Arc::new(AtomicU64::new(0));
        let specs = source.nodes();
        let nodes: Vec<_> = specs.into_iter().map(|spec| (spec.clone(), NodeId::new(index, spec.identifier))).collect();
        let tick = NodeId::new(index, TICK);
        populate(&mut manager.address_space().write(), index, &nodes, &tick);
        for (_, id) in &nodes {
            let writes = Arc::clone(&writes);
            manager.inner().add_write_callback(id.clone(), move |_, _| {
                writes.fetch_add(1, Ordering::Relaxed);
                Status::BadNotWritable
            });
        }
        // A runtime of its own, so that a kill takes every connection with it at once.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("opcua-sim")
            .enable_all()
            .build()
            .map_err(bind)?;
        let listener = listener.into_std().map_err(bind)?;
        let running = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
            server.run_with(listener).await
        });
        let server = Self {
            addr,
            namespace,
            source,
            nodes,
            tick,
            handle,
            manager,
            progress: Mutex::default(),
            writes,
            served: Some((runtime, running)),
            scratch,
        };
        server.step(first)?;
        Ok(server)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as clients dial it.
    pub fn endpoint(&self) -> String {
        format!("opc.tcp://{}/", self.addr)
    }

    /// URI of the namespace that all its variables are in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How often a client tried to write a variable. Zero unless somebody is at fault.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Writes everything that changed up to and including `at`, then the tick with source time `at`.
    /// Returns the tick: 1 for the first step, which shows the first values.
    pub fn step(&self, at: Timestamp) -> Result<i64, OpcUaServerError> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.source.changes(progress.last, at);
        for round in rounds(changes) {
            let written: Vec<_> = round.into_iter().map(|change| progress.force(change)).collect();
            self.write(&written)?;
        }
        let dirty = std::mem::take(&mut progress.dirty);
        let restated: Vec<_> = dirty.into_iter().filter_map(|node| progress.restate(node, at)).collect();
        self.write(&restated)?;
        progress.last = Some(at);
        self.count(&mut progress, at)
    }

    /// Writes the tick alone, with source time `at`, and returns it. See the top of this file for when to use it.
    pub fn tick(&self, at: Timestamp) -> Result<i64, OpcUaServerError> {
        self.count(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner), at)
    }

    /// From the next step on shows a variable under `status`, or as its source says when `None`.
    /// A Bad status hides the value. Unknown identifiers are ignored.
    pub fn force_status(&self, identifier: &str, status: Option<StatusCode>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(node) = self.nodes.iter().position(|(spec, _)| spec.identifier == identifier) else { return };
        match status {
            Some(status) => progress.forced.insert(node, status),
            None => progress.forced.remove(&node),
        };
        progress.dirty.push(node);
    }

    /// Says goodbye to every client and frees the port.
    pub async fn stop(mut self) {
        self.handle.cancel();
        if let Some((runtime, mut running)) = self.served.take() {
            if tokio::time::timeout(STOP, &mut running).await.is_err() {
                tracing::warn!(server = %self.addr, "OPC UA server did not stop in time; its connections are cut");
                running.abort();
            }
            runtime.shutdown_background();
        }
    }

    /// Vanishes without a goodbye, as a server does whose power fails; frees the port.
    pub async fn kill(mut self) {
        if let Some((runtime, running)) = self.served.take() {
            running.abort();
            // The listener is dropped when the aborted task is; a second join cannot fail to see that.
            let ended = running.await;
            tracing::debug!(?ended, server = %self.addr, "OPC UA server killed");
            runtime.shutdown_background();
        }
    }

    fn count(&self, progress: &mut Progress, at: Timestamp) -> Result<i64, OpcUaServerError> {
        progress.ticks += 1;
        let value = data_value(Variant::Int64(progress.ticks), StatusCode::GOOD, at);
        self.set(std::iter::once((&self.tick, value)), TICK)?;
        Ok(progress.ticks)
    }

    fn write(&self, changes: &[Change]) -> Result<(), OpcUaServerError> {
        let Some(first) = changes.first() else { return Ok(()) };
        let label = self.nodes[first.node].0.identifier.clone();
        let values = changes.iter().map(|change| {
            let (spec, id) = &self.nodes[change.node];
            let value = change.value.as_ref().map_or(Variant::Empty, |reading| variant(reading, spec.shape));
            (id, data_value(value, change.status, change.source_time))
        });
        self.set(values, &label)
    }

    fn set<'a>(
        &self,
        values: impl Iterator<Item = (&'a NodeId, DataValue)>,
        label: &str,
    ) -> Result<(), OpcUaServerError> {
        let values = values.map(|(id, value)| (id, None, value));
        self.manager
            .set_values(self.handle.subscriptions(), values)
            .map_err(|status| OpcUaServerError::Write { node: label.to_owned(), status: status.to_string() })
    }
}

impl Drop for OpcUaServer {
    fn drop(&mut self) {
        self.handle.cancel();
        if let Some((runtime, running)) = self.served.take() {
            running.abort();
            runtime.shutdown_background();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.scratch) {
            tracing::debug!(%error, "the scratch directory of an OPC UA server stays");
        }
    }
}

impl Progress {
    /// Keeps a change and puts it under the status that was forced on its node.
    fn force(&mut self, change: Change) -> Change {
        let shown = self.forced_form(&change);
        self.current.insert(change.node, change);
        shown
    }

    /// The current value of a node again, under the status that now holds.
    fn restate(&self, node: usize, at: Timestamp) -> Option<Change> {
        let current = self.current.get(&node)?;
        Some(Change { source_time: at, ..self.forced_form(current) })
    }

    fn forced_form(&self, change: &Change) -> Change {
        let mut shown = change.clone();
        if let Some(status) = self.forced.get(&change.node) {
            shown.status = *status;
            if status.quality() == Quality::Bad {
                shown.value = None;
            }
        }
        shown
    }
}

/// Splits changes so that each node occurs once in a round: the library reports the last value of a call only.
fn rounds(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut rounds: Vec<Vec<Change>> = Vec::new();
    let mut depth: BTreeMap<usize, usize> = BTreeMap::new();
    for change in changes {
        let round = depth.entry(change.node).or_insert(0);
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(change);
        *round += 1;
    }
    rounds
}

fn builder(name: &str, namespace: &str, addr: SocketAddr, pace: Pace) -> ServerBuilder {
    let metadata = NamespaceMetadata { namespace_uri: namespace.to_owned(), ..NamespaceMetadata::default() };
    let interval = match pace {
        Pace::Fast => 1,
        Pace::Calm => 100,
    };
    let mut builder = ServerBuilder::new_anonymous(format!("Plumbline simulator {name}"))
        // The namespace of the nodes must not be the application's own: the library would not let it be monitored.
        .application_uri(format!("urn:plumbline:sim:{name}"))
        .product_uri("urn:plumbline:sim")
        .host(addr.ip().to_string())
        .port(addr.port())
        .subscription_poll_interval_ms(interval)
        .with_node_manager(simple_node_manager(metadata, "machines"));
    let limits = builder.limits_mut();
    limits.max_array_length = 1_000_000;
    limits.max_message_size = 16 * 1024 * 1024;
    limits.max_chunk_count = 512;
    let subscriptions = &mut limits.subscriptions;
    subscriptions.min_sampling_interval_ms = 0.0; // a sampling interval of 0 is then "every change"
    subscriptions.min_publishing_interval_ms = 1.0;
    subscriptions.max_monitored_item_queue_size = 10_000;
    subscriptions.max_queued_notifications = 10_000;
    subscriptions.max_notifications_per_publish = 0;
    builder
}

fn populate(space: &mut AddressSpace, index: u16, nodes: &[(NodeSpec, NodeId)], tick: &NodeId) {
    let root = NodeId::new(index, "machines");
    space.add_folder(&root, QualifiedName::new(index, "Machines"), "Machines", &ObjectId::ObjectsFolder.into());
    for (spec, id) in nodes {
        let folder = NodeId::new(index, format!("folder.{}", spec.folder));
        if space.find(&folder).is_none() {
            space.add_folder(&folder, QualifiedName::new(index, spec.folder.as_str()), spec.folder.as_str(), &root);
        }
        // Writable as real machines are: the refusal of a write is counted, not hidden behind an access level.
        VariableBuilder::new(id, QualifiedName::new(index, spec.name.as_str()), spec.name.as_str())
            .data_type(data_type(spec.shape))
            .access_level(AccessLevel::CURRENT_READ | AccessLevel::CURRENT_WRITE)
            .user_access_level(AccessLevel::CURRENT_READ | AccessLevel::CURRENT_WRITE)
            .organized_by(&folder)
            .insert(space);
    }
    VariableBuilder::new(tick, QualifiedName::new(index, TICK), TICK)
        .data_type(DataTypeId::Int64)
        .value(Variant::Int64(0))
        .organized_by(&root)
        .insert(space);
}

const fn data_type(shape: Shape) -> DataTypeId {
    match shape {
        Shape::Int32 => DataTypeId::Int32,
        Shape::UInt32 => DataTypeId::UInt32,
        Shape::Int16 => DataTypeId::Int16,
        Shape::Tenths => DataTypeId::Float,
        Shape::Text => DataTypeId::String,
    }
}

/// A reading in the type of its node; counters wrap to their width as a device's do.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // see above
fn variant(reading: &Reading, shape: Shape) -> Variant {
    match (reading, shape) {
        (Reading::Bit(bit), _) => Variant::Boolean(*bit),
        (Reading::Text(text), _) => Variant::String(text.as_str().into()),
        (Reading::Number(number), Shape::Int32) => Variant::Int32(*number as i32),
        (Reading::Number(number), Shape::UInt32) => Variant::UInt32(*number as u32),
        (Reading::Number(number), Shape::Int16) => Variant::Int16(*number as i16),
        (Reading::Number(number), Shape::Tenths) => Variant::Float(*number as f32 / 10.0),
        (Reading::Number(number), Shape::Text) => Variant::String(number.to_string().into()),
    }
}

fn data_value(value: Variant, status: StatusCode, at: Timestamp) -> DataValue {
    let time = date_time(at);
    DataValue {
        value: Some(value),
        status: Some(Status::from(status.0)),
        source_timestamp: Some(time),
        source_picoseconds: None,
        server_timestamp: Some(time),
        server_picoseconds: None,
    }
}

/// OPC UA counts 100 ns from 1601-01-01.
fn date_time(at: Timestamp) -> DateTime {
    const EPOCH_TICKS: i64 = 11_644_473_600 * 10_000_000;
    DateTime::from(at.as_nanos().div_euclid(100) + EPOCH_TICKS)
}
