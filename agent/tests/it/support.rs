//! What several tests need: configurations, a running agent, and reading its queue afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use agent::config::{self, Config};
use agent::live::LiveValue;
use agent::queue::Queue;
use agent::wait::RealTime;
use shopfloor::register_map::RegisterMap;
use shopfloor::sample::StatusCode;
use shopfloor::time::Timestamp;
use shopfloor::wire::block::{self, Limits};
use shopfloor::wire::header::Header;
use shopfloor::wire::section::{Group, Raw};
use tokio_util::sync::CancellationToken;

/// The head of a configuration that is quick to test: everything happens within fractions of a second.
pub fn head(state_dir: &Path) -> String {
    format!(
        "schema = 1\n[agent]\nsite = \"site-1\"\nid = \"agent-1\"\nstate_dir = \"{}\"\ndemo = true\n\
         block_interval = \"1s\"\njournal_commit = \"50ms\"\n[queue]\ndisk_reserve = 0\n",
        state_dir.display()
    )
}

/// A Modbus source with one u16 tag `m/value` at holding register 0, scanned every 50 ms.
pub fn modbus(id: &str, port: u16, tag: &str) -> String {
    format!(
        "[[source]]\nid = \"{id}\"\nprotocol = \"modbus-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\nunit = 1\n\
         address_base = 0\nconnect_timeout = \"500ms\"\nresponse_timeout = \"150ms\"\nreconnect_max = \"100ms\"\n\
         [[source.tag]]\nname = \"{tag}\"\narea = \"holding\"\naddress = 0\ntype = \"u16\"\ninterval = \"50ms\"\nsection = \"kpi\"\n"
    )
}

pub fn parse(text: &str) -> Config {
    config::parse(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// A running agent and its end.
pub struct Running {
    pub agent: Agent,
    pub stop: CancellationToken,
}

pub async fn start(config: Config) -> Running {
    // Shown with the output of a test that fails; RUST_LOG chooses.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
    let stop = CancellationToken::new();
    let agent = Agent::start(config, Arc::new(RealTime::new()), stop.clone()).await.unwrap();
    Running { agent, stop }
}

impl Running {
    /// Waits until the tag's newest reading is as wanted; fails after a minute.
    pub async fn until(&self, tag: &str, wanted: impl Fn(&LiveValue) -> bool) -> LiveValue {
        let name = tag.parse().unwrap();
        let mut readings = self.agent.live().readings();
        let seen = async {
            loop {
                if let Some(value) = self.agent.live().get(&name).filter(|v| wanted(v)) {
                    return value;
                }
                readings.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_mins(1), seen).await.expect("the reading comes within a minute")
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.agent.join().await;
    }
}

/// A block of the queue, opened.
pub struct Block {
    pub header: Header,
    pub hash: shopfloor::hash::Hash,
    pub groups: Vec<Group>,
}

/// Every block in the queue of a state directory, in order; signatures and chain are checked.
pub fn blocks(state_dir: &Path, config: &Config) -> Vec<Block> {
    let (mut queue, found) = Queue::open(state_dir, config.queue.clone(), Timestamp::from_secs(0)).unwrap();
    assert_eq!(found.set_aside, None);
    let key = agent::identity::demo_key(&config.site, &config.agent).public();
    let mut blocks: Vec<Block> = Vec::new();
    let mut from = 1;
    while let Some((sequence, _)) = queue.next_from(from).unwrap() {
        let bytes = queue.block(sequence).unwrap().unwrap();
        let opened = block::open(&bytes, &Limits::default()).unwrap();
        opened.verify(&key).unwrap();
        if let Some(before) = blocks.last() {
            assert_eq!(opened.header.prev_block_hash, before.hash, "block {sequence} follows its predecessor");
            assert_eq!(opened.header.first_sample, before.header.first_sample + before.header.sample_count);
        }
        let groups = opened.groups().unwrap().into_iter().map(|(_, group)| group).collect();
        let (header, hash) = (opened.header.clone(), opened.hash);
        blocks.push(Block { header, hash, groups });
        from = sequence + 1;
    }
    blocks
}

/// One row of a scan: (response, status, bits).
pub type Row = (i64, StatusCode, u64);

/// All scan rows of the tag with this index, in the order of blocks.
pub fn rows(blocks: &[Block], tag: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    for group in blocks.iter().flat_map(|b| &b.groups) {
        let Group::Scan(scan) = group else { continue };
        for column in scan.columns.iter().filter(|c| c.tag == tag) {
            for (row, value) in column.values.iter().enumerate() {
                let exception = column.exceptions.iter().find(|(at, _)| *at as usize == row);
                let status = exception.map_or(StatusCode::GOOD, |(_, status)| *status);
                let Raw::Bits(bits) = value else { panic!("a register is bits") };
                rows.push((scan.response[row], status, *bits));
            }
        }
    }
    rows
}

pub fn map(config: &Config) -> Arc<RegisterMap> {
    agent::source::assemble(config).map
}
