//! The collector's configuration: the values as meant. `resolve.rs` makes them from what is written.

mod mirror;
mod resolve;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use shopfloor::id::{AgentId, SiteId};
use shopfloor::wire::sign::PublicKey;

pub use shopfloor::file::document::Problems as ConfigErrors;

pub use mirror::{MirrorConfig, QueryLanguage};
pub use resolve::parse;

/// The newest version of the file format that this program reads.
pub const SCHEMA: i64 = 1;
/// The largest MQTT message that is accepted, bytes (1 MiB).
pub const PACKET_BYTES_MAX: usize = 1 << 20;

/// The configuration as meant; every value is checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the log, the ledger and the keys lie.
    pub state_dir: PathBuf,
    /// Name of this collector; the log's origin is this and a suffix of its own.
    pub name: String,
    /// Which MQTT broker is used.
    pub broker: BrokerConfig,
    /// Where the HTTP interface listens.
    pub http_listen: SocketAddr,
    /// The shards of sites that this collector owns, of `00` to `ff`.
    pub shards: RangeInclusive<u8>,
    /// The agents that may send.
    pub agents: Vec<AgentEnrolment>,
    /// How long results wait for late data.
    pub settle: Settle,
    /// Least time between two checkpoints of the log, nanoseconds.
    pub checkpoint_interval: i64,
    /// How long sequences may be missing before the agent is asked for them, nanoseconds.
    pub missing_after: i64,
    /// Where the copy for Grafana users goes, if anywhere.
    pub mirror: Option<MirrorConfig>,
}

/// Which MQTT broker is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerConfig {
    /// A broker in this process, on loopback; port 0 finds a free one.
    Embedded {
        /// Where it listens.
        listen: SocketAddr,
    },
    /// A broker of its own.
    External {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// The connection leaves this host without transport security, and the file says so.
        insecure: bool,
    },
}

/// An agent that may send, and its key.
#[derive(Debug, Clone)]
pub struct AgentEnrolment {
    /// The site whose data it sends.
    pub site: SiteId,
    /// Its id within the site.
    pub id: AgentId,
    /// The key that signs its blocks.
    pub public_key: PublicKey,
    /// The epoch that is in force.
    pub epoch: u64,
}

/// How long a result waits for late data before it is settled, nanoseconds after the window's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// For windows of an hour.
    pub hour: i64,
    /// For windows of a shift.
    pub shift: i64,
    /// For windows of a business day.
    pub day: i64,
}
