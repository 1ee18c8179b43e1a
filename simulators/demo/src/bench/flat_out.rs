//! The second phase: a collector takes sealed blocks in as fast as it acknowledges them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent::batcher::{self, Layout};
use agent::config::SourceKind;
use agent::source::modbus::plan::Request;
use agent::source::{Assembly, Reading, Task, assemble};
use anyhow::{Context as _, Result, ensure};
use demo::keys;
use shopfloor::hash::Hash;
use shopfloor::id::AgentId;
use shopfloor::register_map::{Area, Place, TagEntry};
use shopfloor::sample::StatusCode;
use shopfloor::time::{Interval, SECOND, Timestamp};
use shopfloor::wire::block::{self, Sealed};
use shopfloor::wire::control::{Ack, Birth};
use shopfloor::wire::header::{ClockState, FORMAT, Header, Marks};
use shopfloor::wire::sign::{PublicKey, SecretKey};
use shopfloor::wire::topic::{Channel, Topic};
use simulators::registers::{RegisterBank, WordArea};

use super::child::Part;
use super::mqtt::{self, Receiver};
use super::site::{self, North, SCANS, Site};

/// Without an acknowledgement for so long the phase has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the phase shows.
pub struct FlatOut {
    /// Blocks that the collector took in.
    pub blocks: u64,
    /// Samples in them.
    pub samples: u64,
    /// From the first publish to the last acknowledgement, nanoseconds.
    pub wall: u64,
    /// CPU nanoseconds of the collector.
    pub collector: u64,
    /// Of the floor: who receives the same messages and forgets them.
    pub subscriber: u64,
    /// Of the broker, which served both.
    pub broker: u64,
    /// Blocks in flight, at most.
    pub window: u64,
}

/// Runs the phase.
pub fn measure(site: &Site, blocks: u64, window: u64) -> Result<FlatOut> {
    let folder = tempfile::Builder::new().prefix("plumbline-bench-").tempdir()?;
    let (site_id, agent_id) = (site.id()?, "edge-02".parse::<AgentId>()?);
    let broker = Part::start(&["broker"])?;
    let address = broker.said(0)?.to_owned();
    let mut collector = site.collector(folder.path(), &address, &site_id, &agent_id)?;
    let ack_key: PublicKey = collector.said(0)?.parse()?;
    let north = North { broker: &address, collector_key: collector.said(0)? };
    let config = site.agent_toml(&agent_id, folder.path(), "127.0.0.1:502", &north)?;
    let key = keys::agent_key(site.seed, &agent_id);
    let signals = Signals::new(site, &config, blocks)?;
    let sealed = signals.seal(blocks, &key)?;

    let topic = |channel| Topic::new(site_id.clone(), agent_id.clone(), channel).to_string();
    let subscribe = Part::start(&["subscribe", "--broker", &address, "--filter", &topic(Channel::Block)])?;
    let (sender, mut receiver) = mqtt::connect(&address, "bench-edge-02")?;
    receiver.subscribe(&topic(Channel::Ack))?;
    let acknowledged = Acknowledged::follow(receiver, ack_key);
    sender.publish(&topic(Channel::Birth), 1, &signals.birth().encode(&key))?;
    std::thread::sleep(Duration::from_secs(1));

    let used = [&collector, &subscribe, &broker].map(|part| part.meter().nanos());
    let begun = Instant::now();
    let block_topic = topic(Channel::Block);
    for (sequence, block) in (1_u64..).zip(&sealed) {
        acknowledged.wait_for(sequence.saturating_sub(window))?;
        let packet = u16::try_from(sequence % 60_000).expect("below 60000") + 2;
        sender.publish(&block_topic, packet, &block.bytes)?;
    }
    acknowledged.wait_for(blocks)?;
    let wall = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let used_then = [&collector, &subscribe, &broker].map(|part| part.meter().nanos());
    let [collector_used, subscriber, broker_used] = std::array::from_fn(|part| used_then[part] - used[part]);

    let samples = sealed.iter().map(|block| block.header.sample_count).sum();
    let stored = collector.count()?;
    ensure!(stored == samples, "no result: the collector stored {stored} of {samples} samples");
    for part in [collector, subscribe, broker] {
        part.stop()?;
    }
    Ok(FlatOut { blocks, samples, wall, collector: collector_used, subscriber, broker: broker_used, window })
}

/// The same signals as in the first phase, read straight from the simulated registers.
struct Signals {
    assembly: Assembly,
    units: Vec<u8>,
    layout: Layout,
    bank: Arc<dyn RegisterBank>,
    /// The scenario's first instant.
    world: Timestamp,
    /// The first scan: such that the last block ends now.
    start: Timestamp,
}

impl Signals {
    fn new(site: &Site, config: &str, blocks: u64) -> Result<Self> {
        let config = agent::config::parse(config, "agent.toml")?;
        let unit = |source: &agent::config::Source| match &source.kind {
            SourceKind::Modbus(modbus) => modbus.unit,
            SourceKind::OpcUa(_) => 0,
        };
        let assembly = assemble(&config);
        let world = site.start;
        let bank = site::bank(site::world(site.seed, world)?, site.devices);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let start = Timestamp::from_secs(i64::try_from(now.saturating_sub(blocks * SCANS))?);
        let (units, layout) = (config.sources.iter().map(unit).collect(), Layout::of(&assembly.map));
        Ok(Self { assembly, units, layout, bank, world, start })
    }

    fn birth(&self) -> Birth {
        let map = &self.assembly.map;
        Birth {
            site: map.site.clone(),
            agent: map.agent.clone(),
            epoch: 1,
            register_map: map.encode(),
            software: agent::seal::SOFTWARE.to_owned(),
            sent_at: self.start,
        }
    }

    fn seal(&self, blocks: u64, key: &SecretKey) -> Result<Vec<Sealed>> {
        let mut sealed: Vec<Sealed> = Vec::new();
        let mut random = Jitter(1);
        for sequence in 1..=blocks {
            let mut readings = Vec::new();
            for scan in (sequence - 1) * SCANS..sequence * SCANS {
                self.scan(i64::try_from(scan)? * SECOND, &mut random, &mut readings)?;
            }
            let sections = batcher::replay(&self.layout, readings).sections(&self.layout);
            let before = sealed.last();
            let header = self.header(sequence, before)?;
            sealed.push(block::seal(header, &sections, key)?);
        }
        Ok(sealed)
    }

    fn header(&self, sequence: u64, before: Option<&Sealed>) -> Result<Header> {
        let length = i64::try_from(SCANS)? * SECOND;
        let first = self.start.plus(i64::try_from(sequence - 1)? * length);
        let monotonic = length.unsigned_abs() * (sequence - 1);
        let map = &self.assembly.map;
        Ok(Header {
            format: FORMAT,
            site: map.site.clone(),
            agent: map.agent.clone(),
            epoch: 1,
            sequence,
            prev_block_hash: before.map_or(Hash::ZERO, |block| block.hash),
            config_hash: map.hash(),
            plan_hash: Some(self.assembly.plan_hash),
            software: agent::seal::SOFTWARE.to_owned(),
            boot_id: [7; 16],
            window: Interval { start: first, end: first.plus(length - 1) },
            monotonic: (monotonic, monotonic + length.unsigned_abs()),
            clock: ClockState::default(),
            first_sample: before.map_or(1, |block| block.header.first_sample + block.header.sample_count),
            sample_count: 0,
            quality_counts: [0; 3],
            drops: std::collections::BTreeMap::new(),
            gaps: Vec::new(),
            marks: Marks { demo_key: true, simulated: true, ..Marks::default() },
            sections: Vec::new(),
        })
    }

    /// One scan of every device, with request and response times as ragged as real ones.
    fn scan(&self, since: i64, random: &mut Jitter, readings: &mut Vec<Reading>) -> Result<()> {
        let (shown, at) = (self.world.plus(since), self.start.plus(since).as_nanos());
        for (tasks, unit) in self.assembly.tasks.iter().zip(&self.units) {
            for task in tasks {
                let Task::Scan { group, request } = task else { continue };
                let words = self.read(*unit, request, shown)?;
                let tags = self.layout.tags(*group).iter().map(|tag| &self.assembly.map.tags[usize::from(*tag)]);
                let words = tags.map(|tag| raw(tag, request, &words)).collect::<Result<_>>()?;
                let sent = at + random.below(1_500_000);
                let response = sent + 150_000 + random.below(250_000);
                let (group, status) = (*group, StatusCode::GOOD);
                readings.push(Reading::Scan { group, request: sent, response, status, words });
            }
        }
        Ok(())
    }

    fn read(&self, unit: u8, request: &Request, shown: Timestamp) -> Result<Vec<u16>> {
        let area = match request.area {
            Area::Holding => WordArea::Holding,
            Area::Input => WordArea::Input,
            Area::Coil | Area::DiscreteInput => anyhow::bail!("the bench's devices have no bits"),
        };
        let words = self.bank.words(unit, area, request.stretch.first, request.stretch.count, shown);
        words.map_err(|exception| anyhow::anyhow!("unit {unit} refuses {request}: {exception:?}"))
    }
}

/// The bits of a tag in the answer to its request.
fn raw(tag: &TagEntry, request: &Request, answer: &[u16]) -> Result<u64> {
    let Place::Modbus { address, words, .. } = tag.place else { anyhow::bail!("{} is not Modbus", tag.name) };
    let first = usize::from(address - request.stretch.first);
    let words = answer.get(first..first + usize::from(words)).context("an answer holds every tag of its request")?;
    Ok(words.iter().fold(0, |bits, word| bits << 16 | u64::from(*word)))
}

/// The same ragged times at every run (splitmix64).
struct Jitter(u64);

impl Jitter {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 1).cast_signed() % bound
    }
}

/// How far the collector has acknowledged, by its own signed word.
struct Acknowledged(Arc<(Mutex<Result<u64, String>>, Condvar)>);

impl Acknowledged {
    fn follow(mut receiver: Receiver, key: PublicKey) -> Self {
        let shared = Arc::new((Mutex::new(Ok(0)), Condvar::new()));
        let told = Arc::clone(&shared);
        std::thread::spawn(move || {
            loop {
                let ack = receiver.next().and_then(|payload| Ok(Ack::decode(&payload, &key)?));
                let news = match ack {
                    Ok(ack) if ack.refused.is_empty() => Ok(ack.contiguous),
                    Ok(ack) => Err(format!("the collector refused a block: {}", ack.refused[0].reason)),
                    Err(error) => Err(format!("{error:#}")),
                };
                let over = news.is_err();
                *told.0.lock().unwrap_or_else(PoisonError::into_inner) = news;
                told.1.notify_all();
                if over {
                    return;
                }
            }
        });
        Self(shared)
    }

    /// Waits until `sequence` is acknowledged.
    fn wait_for(&self, sequence: u64) -> Result<()> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let reached = state.clone().map_err(anyhow::Error::msg)?;
            if reached >= sequence {
                return Ok(());
            }
            let waited = changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            ensure!(!waited.1.timed_out(), "block {sequence} was not acknowledged within {PATIENCE:?}");
            state = waited.0;
        }
    }
}
