//! The agent's configuration: what the factory decided, checked, with its defaults filled in.
//!
//! `file` reads what is written, `resolve` turns it into these types. Nothing behind this door checks again.
//! The file owns addresses, types, widths, orders, scales, units, sections and the names `work_unit/tag`; what a
//! tag means for a work unit is the plant's business, not the agent's.

mod file;
mod problem;
mod resolve;
mod sources;
mod vocabulary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use shopfloor::id::{AgentId, SiteId, SourceId, TagName};
use shopfloor::register_map::{Area, DataType, WordOrder};
use shopfloor::unit::Rational;
use shopfloor::wire::header::SectionName;
use shopfloor::wire::sign::PublicKey;

pub use problem::{ConfigErrors, Lang, Position, Problem, ProblemKind, Said};

/// The newest `schema` that this program reads.
pub const SCHEMA: i64 = 1;

/// Everything the agent was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The factory.
    pub site: SiteId,
    /// This agent.
    pub agent: AgentId,
    /// Where key, lock and queue live; one agent each.
    pub state_dir: PathBuf,
    /// Where the signing key comes from.
    pub key: KeyOrigin,
    /// Rhythm of journal and blocks.
    pub recording: Recording,
    /// Bounds of the queue on disk.
    pub queue: QueueLimits,
    /// Where blocks go; without it the agent only records.
    pub publish: Option<Publish>,
    /// Loopback address of `/health` and `/metrics`; port 0 takes a free one. None: not served.
    pub metrics: Option<SocketAddr>,
    /// Devices and servers that are read.
    pub sources: Vec<Source>,
}

/// Where the agent's signing key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// `agent.key` in the state directory, made at the first run, readable by the owner only.
    StateDir,
    /// A file with the seed as 64 hexadecimal digits.
    SeedFile {
        /// The file.
        path: PathBuf,
        /// Whether every block says that the key is a demo key.
        demo: bool,
    },
    /// Derived from site and agent id, so anyone can know it; every block says so.
    Demo,
}

impl KeyOrigin {
    /// Whether blocks are marked as signed by a demo key.
    pub fn is_demo(&self) -> bool {
        matches!(self, Self::Demo | Self::SeedFile { demo: true, .. })
    }
}

/// Rhythm of journal and blocks, in nanoseconds and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// A block is sealed this often while there are samples.
    pub block_interval: i64,
    /// Readings reach the disk at least this often: what a power cut may cost.
    pub journal_commit: i64,
    /// A block is sealed at least this often, empty or not.
    pub empty_block: i64,
    /// A block is sealed before its readings, not compressed, grow beyond this.
    pub block_bytes: usize,
}

/// Bounds of the queue on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLimits {
    /// Bytes of blocks; beyond it the oldest whole blocks are evicted and recorded as a gap.
    pub bytes: u64,
    /// Nanoseconds; older blocks are evicted and recorded as a gap.
    pub age: i64,
    /// Bytes of the file system that the agent never uses.
    pub disk_reserve: u64,
}

/// Where blocks go and how hard the agent tries.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Host of the MQTT broker.
    pub host: String,
    /// Port of the MQTT broker.
    pub port: u16,
    /// Plaintext to a host that is not loopback, as the file explicitly allows; marked in every block.
    pub insecure: bool,
    /// The collector key that acknowledgements must be signed with.
    pub collector_key: PublicKey,
    /// Blocks sent and not yet acknowledged by the collector, at most.
    pub in_flight: usize,
    /// A block without acknowledgement is sent again after this; the wait doubles up to `resend_max`.
    pub resend: Duration,
    /// The longest such wait.
    pub resend_max: Duration,
    /// Bytes per second of backlog, at most; new blocks are not held back.
    pub rate: u64,
    /// The longest wait between attempts to connect.
    pub reconnect_max: Duration,
}

/// One device or server.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub id: SourceId,
    /// Whether it is a simulation; blocks say so.
    pub simulated: bool,
    /// The longest wait between attempts to connect.
    pub reconnect_max: Duration,
    /// Protocol and tags.
    pub kind: SourceKind,
}

/// Protocol and tags of a source.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A Modbus TCP server.
    Modbus(Modbus),
    /// An OPC UA server.
    OpcUa(OpcUa),
}

/// A Modbus TCP server and what is read from it.
#[derive(Debug, Clone)]
pub struct Modbus {
    /// Host name or address; may be unresolvable at start.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Unit id behind the address.
    pub unit: u8,
    /// Total time for a connection.
    pub connect_timeout: Duration,
    /// Total time for one answer.
    pub response_timeout: Duration,
    /// Registers in one request, at most (1 to 125).
    pub max_registers: u16,
    /// Coils or discrete inputs in one request, at most (1 to 2000).
    pub max_bits: u16,
    /// Addresses, first and last, that no request may touch.
    pub forbidden: Vec<(Area, u16, u16)>,
    /// Tags in the order of the file.
    pub tags: Vec<ModbusTag>,
}

/// A tag of a Modbus server.
#[derive(Debug, Clone)]
pub struct ModbusTag {
    /// Its name.
    pub name: TagName,
    /// Where it lies.
    pub area: Area,
    /// First address, counted from 0.
    pub address: u16,
    /// Bit of a register, for a Bool in a register.
    pub bit: Option<u8>,
    /// Type of the value.
    pub data_type: DataType,
    /// Order of the words and bytes of a value wider than 16 bits.
    pub word_order: Option<WordOrder>,
    /// Nanoseconds between scans.
    pub interval: i64,
    /// What all tags have.
    pub common: Common,
}

/// What a tag of either protocol has.
#[derive(Debug, Clone)]
pub struct Common {
    /// Value = scale × raw + offset.
    pub scale: Rational,
    /// Added after scaling.
    pub offset: Rational,
    /// Unit of the value as text; empty if it has none.
    pub unit: String,
    /// Section of the block.
    pub section: SectionName,
}

/// An OPC UA server and what is subscribed there.
#[derive(Debug, Clone)]
pub struct OpcUa {
    /// `opc.tcp://host:port/path`; this host is dialled, never the one that the server advertises.
    pub endpoint: String,
    /// Publishing interval asked for.
    pub publishing_interval: Duration,
    /// Total time for a connection.
    pub connect_timeout: Duration,
    /// A subscription without any answer for this long is made anew.
    pub silence: Duration,
    /// Tags in the order of the file.
    pub tags: Vec<OpcUaTag>,
}

/// A tag of an OPC UA server.
#[derive(Debug, Clone)]
pub struct OpcUaTag {
    /// Its name.
    pub name: TagName,
    /// Namespace URI; the index is looked up at each connect.
    pub namespace: String,
    /// `s=…`, `i=…`, `g=…` or `b=…`.
    pub identifier: String,
    /// Type that is expected; another type is Bad.
    pub data_type: DataType,
    /// Sampling interval asked for.
    pub sampling_interval: Duration,
    /// Values that the server keeps between two publishings.
    pub queue_size: u32,
    /// What all tags have.
    pub common: Common,
}

/// Host and port of a checked `opc.tcp` endpoint.
pub fn host_and_port(endpoint: &str) -> (String, u16) {
    vocabulary::address(endpoint, "opc.tcp", 4840).unwrap_or_default()
}

/// Reads and checks a configuration; `file_name` appears in the messages.
/// Errors: every problem of the file at once.
pub fn parse(text: &str, file_name: &str) -> Result<Config, ConfigErrors> {
    resolve::resolve(text, file_name)
}
