//! The first phase: the whole road at a pace, every part in a process of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::wire::block::{self, Limits, PREAMBLE_BYTES};
use shopfloor::wire::sign::TRAILER_BYTES;
use shopfloor::wire::topic::{Channel, Topic};

use super::child::Part;
use super::mqtt;
use super::site::{North, SCANS, Site, TAGS};

/// Connections are made and caches are warm after this.
const WARM_UP: Duration = Duration::from_secs(5);

/// What the phase shows.
pub struct Paced {
    /// How many times faster than in a factory it went.
    pub pace: u32,
    /// For how long it was measured, seconds.
    pub seconds: u64,
    /// Samples that the agent read.
    pub samples: u64,
    /// Samples that the collector stored.
    pub stored: u64,
    /// CPU nanoseconds of each part, in the order of [`Parts::all`].
    pub used: [u64; 7],
    /// The most memory that the agent held, kB.
    pub agent_memory: u64,
    /// What went over the wire.
    pub wire: Wire,
}

/// Bytes of the blocks of the phase, without the first and the last.
#[derive(Debug, Default)]
pub struct Wire {
    /// Blocks.
    pub blocks: u64,
    /// Samples in them.
    pub samples: u64,
    /// Samples that are not Good.
    pub not_good: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// Bytes of their compressed sections.
    pub columns: u64,
    /// Bytes of preamble, header and signature.
    pub envelope: u64,
    /// Bytes that MQTT puts before them.
    pub framing: u64,
}

/// The processes of the phase.
struct Parts {
    agent: Part,
    poll: Part,
    commit: Part,
    collector: Part,
    subscribe: Part,
    broker: Part,
    device: Part,
}

impl Parts {
    fn start(site: &Site, folder: &Path, site_id: &SiteId, agent_id: &AgentId) -> Result<Self> {
        let broker = Part::start(&["broker"])?;
        let address = broker.said(0)?.to_owned();
        let collector = site.collector(folder, &address, site_id, agent_id)?;
        let filter = Topic::filter(None, Channel::Block);
        let subscribe = Part::start(&["subscribe", "--broker", &address, "--filter", &filter])?;
        let (seed, start, pace) = (site.seed.to_string(), site.start.as_nanos().to_string(), site.pace.to_string());
        let devices = site.devices.to_string();
        let device =
            Part::start(&["device", "--seed", &seed, "--start", &start, "--pace", &pace, "--devices", &devices])?;
        let north = North { broker: &address, collector_key: collector.said(0)? };
        let path = folder.join("agent.toml");
        std::fs::write(&path, site.agent_toml(agent_id, folder, device.said(0)?, &north)?)?;
        let config = path.display().to_string();
        let agent = Part::start(&["agent", "--config", &config])?;
        let poll = Part::start(&["poll", "--config", &config])?;
        let journal = folder.join("floor").display().to_string();
        let commit = Part::start(&["poll", "--config", &config, "--commit", &journal])?;
        Ok(Self { agent, poll, commit, collector, subscribe, broker, device })
    }

    fn all(&self) -> [&Part; 7] {
        [&self.agent, &self.poll, &self.commit, &self.collector, &self.subscribe, &self.broker, &self.device]
    }

    fn counts(&mut self) -> Result<[u64; 4]> {
        Ok([self.agent.count()?, self.poll.count()?, self.commit.count()?, self.collector.count()?])
    }

    fn used(&self) -> [u64; 7] {
        self.all().map(|part| part.meter().nanos())
    }

    /// Stops what sends before what receives.
    fn stop(self) -> Result<()> {
        [self.agent, self.poll, self.commit, self.collector, self.subscribe, self.device, self.broker]
            .into_iter()
            .try_for_each(Part::stop)
    }
}

/// Runs the phase.
pub fn measure(site: &Site, seconds: u64) -> Result<Paced> {
    let folder = tempfile::Builder::new().prefix("plumbline-bench-").tempdir()?;
    let (site_id, agent_id) = (site.id()?, "edge-01".parse::<AgentId>()?);
    let mut parts = Parts::start(site, folder.path(), &site_id, &agent_id)?;
    std::thread::sleep(WARM_UP);
    // Asking costs those who are asked, so they are asked outside the time that counts.
    let (counts, used) = (parts.counts()?, parts.used());
    std::thread::sleep(Duration::from_secs(seconds));
    let (used_then, counts_then) = (parts.used(), parts.counts()?);
    let agent_memory = parts.agent.meter().peak_memory();
    parts.stop()?;
    let used = std::array::from_fn(|part| used_then[part].saturating_sub(used[part]));
    let [samples, polled, committed, stored] = std::array::from_fn(|part| counts_then[part] - counts[part]);
    let wire = wire(folder.path(), &site_id, &agent_id)?;

    let due = seconds * u64::from(site.pace) * TAGS;
    for (who, read) in [("agent", samples), ("floor", polled), ("committing floor", committed)] {
        let kept_up = read.abs_diff(due) <= due / 50 + 2 * TAGS;
        ensure!(kept_up, "no result: the {who} read {read} samples and not {due}; the machine is too busy");
    }
    // On a machine that others use a scan can come too late for its turn; it is recorded as Bad and told below.
    ensure!(wire.not_good * 100 <= wire.samples, "no result: {} samples are not Good", wire.not_good);
    let device = used[6] / 1_000_000 / seconds;
    ensure!(device <= 600, "no result: the simulated device was busy {device} ms in each second");
    Ok(Paced { pace: site.pace, seconds, samples, stored, used, agent_memory, wire })
}

/// Reads back from the collector's log what the agent sent: every sequence once, every block whole.
fn wire(folder: &Path, site: &SiteId, agent: &AgentId) -> Result<Wire> {
    let text = std::fs::read_to_string(folder.join("collector.toml"))?;
    let config = collector::config::parse(&text, "collector.toml")?;
    let store = collector::open_store(&config, shopfloor::time::Timestamp::from_secs(0))?;
    let blocks = store.log.blocks(site, agent, 1, 1..=u64::MAX)?;
    for (expected, block) in (1..).zip(&blocks) {
        ensure!(block.sequence == expected, "no result: block {expected} is missing or twice in the log");
    }
    let topic = Topic::new(site.clone(), agent.clone(), Channel::Block).to_string();
    let whole = blocks.get(1..blocks.len().saturating_sub(1)).context("there are blocks")?;
    let mut wire = Wire::default();
    for stored in whole {
        let header = block::open(&stored.bytes, &Limits::default())?.header;
        let columns: u64 = header.sections.iter().map(|section| u64::from(section.bytes)).sum();
        let bytes = stored.bytes.len() as u64;
        wire.blocks += 1;
        wire.samples += header.sample_count;
        wire.not_good += header.quality_counts[1] + header.quality_counts[2];
        wire.bytes += bytes;
        wire.columns += columns;
        wire.envelope += bytes - columns;
        wire.framing += mqtt::overhead(&topic, stored.bytes.len()) as u64;
    }
    debug_assert!(wire.envelope > wire.blocks * (PREAMBLE_BYTES + TRAILER_BYTES) as u64);
    let mean = wire.samples / wire.blocks.max(1);
    ensure!(mean.abs_diff(SCANS * TAGS) <= TAGS, "no result: blocks of {mean} samples are not blocks of ten scans");
    Ok(wire)
}
