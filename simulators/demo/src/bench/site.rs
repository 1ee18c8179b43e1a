//! What is measured: one hundred tags of ten simulated cells behind one Modbus TCP server, and the files that
//! agent and collector are started with.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use demo::files::{CollectorFile, collector_toml, make_private};
use demo::keys;
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{HOUR, Timestamp};
use simulators::machine::World;
use simulators::registers::{RegisterBank, WorldRegisters};
use simulators::scenario::Scenario;
use simulators::site_files::{AgentOptions, ServerAddress};

use super::child::Part;
use super::plc::{self, Plc};

/// The scenario's one server.
pub const SERVER: &str = "modbus-a";
/// Tags of the scenario.
pub const TAGS: u64 = 100;
/// Scans in one block: ten seconds at one a second.
pub const SCANS: u64 = 10;

/// The site, and how fast its time goes.
pub struct Site {
    /// What happens is drawn from this.
    pub seed: u64,
    /// Seconds of the device in a second.
    pub pace: u32,
    /// One controller with all tags, or ten devices with ten tags each.
    pub devices: u8,
    /// The device's clock begins here: a shift begins.
    pub start: Timestamp,
}

/// Where an agent sends, and whom it believes.
pub struct North<'a> {
    /// Host and port of the broker.
    pub broker: &'a str,
    /// The collector's key.
    pub collector_key: &'a str,
}

/// The registers of one controller, or of the ten devices.
pub fn bank(world: World, devices: u8) -> Arc<dyn RegisterBank> {
    let world = Arc::new(world);
    if devices == 1 { Arc::new(Plc::new(world)) } else { Arc::new(WorldRegisters::new(world, SERVER)) }
}

/// Two days of the scenario.
pub fn world(seed: u64, start: Timestamp) -> Result<World> {
    let scenario = Scenario::builtin("hundred").context("the bench's scenario is built in")?;
    Ok(World::new(&scenario, seed, start, 48 * HOUR))
}

impl Site {
    /// The site of a seed.
    pub fn new(seed: u64, pace: u32, devices: u8) -> Self {
        Self { seed, pace, devices, start: Timestamp::from_secs(1_795_564_800) }
    }

    /// The agent's configuration: scans and journal commits once a second and blocks every ten seconds, in the
    /// device's time.
    pub fn agent_toml(&self, id: &AgentId, folder: &Path, device: &str, north: &North<'_>) -> Result<String> {
        let state_dir = folder.join(id.as_str());
        std::fs::create_dir_all(&state_dir).with_context(|| format!("make {}", state_dir.display()))?;
        let seed_file = state_dir.join("demo.seed");
        std::fs::write(&seed_file, keys::hex(keys::agent_seed(self.seed, id)))?;
        make_private(&seed_file)?;
        let second = 1000 / self.pace;
        let mut options = AgentOptions::new(id.clone(), state_dir.display().to_string());
        options.scan = format!("{second}ms");
        if self.devices > 1 {
            options.servers.insert(SERVER.to_owned(), ServerAddress::Modbus(device.parse()?));
        }
        options.publish = Some((format!("mqtt://{}", north.broker), north.collector_key.to_owned()));
        options.metrics = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        options.agent_lines = vec![
            "demo = true".to_owned(),
            format!("key_seed_file = {:?}", seed_file.display().to_string()),
            format!("block_interval = \"{}ms\"", u64::from(second) * SCANS),
            format!("journal_commit = \"{second}ms\""),
        ];
        let world = world(self.seed, self.start)?;
        let mut text = world.agent_toml(&options);
        if self.devices == 1 {
            text += &plc::source_toml(&world, device.parse()?, &options.scan);
        }
        Ok(text)
    }

    /// Starts a collector that knows this agent and uses an external broker.
    pub fn collector(&self, folder: &Path, broker: &str, site: &SiteId, agent: &AgentId) -> Result<Part> {
        let (state_dir, url) = (folder.join("collector"), format!("mqtt://{broker}"));
        let agents = [(site.clone(), agent.clone(), keys::agent_key(self.seed, agent).public())];
        let http = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let file = CollectorFile { state_dir: &state_dir, broker: Some(&url), http, agents: &agents };
        let path = folder.join("collector.toml");
        std::fs::write(&path, collector_toml(&file))?;
        Part::start(&["collector", "--config", &path.display().to_string()])
    }

    /// The site's id.
    pub fn id(&self) -> Result<SiteId> {
        Ok(world(self.seed, self.start)?.scenario().site.id.clone())
    }
}
