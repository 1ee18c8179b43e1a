//! A factory in one process: its servers, an agent, and who moves its time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use anyhow::{Context as _, Result};
use shopfloor::id::{AgentId, TagName};
use shopfloor::sample::Value;
use shopfloor::time::{Clock, Timestamp, Wait, Worker};
use shopfloor::wire::sign::PublicKey;
use simulators::fault_proxy::Fault;
use simulators::site_files::AgentOptions;
use tokio_util::sync::CancellationToken;

use crate::keys;
use crate::site::Site;

/// How an agent of a factory works.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Its id.
    pub id: AgentId,
    /// The seed its demo key derives from.
    pub seed: u64,
    /// Time between two scans, such as `10s`.
    pub interval: &'static str,
    /// Publishing and sampling interval of OPC UA tags.
    pub publishing: &'static str,
    /// Time between two blocks.
    pub block_interval: &'static str,
    /// What a power cut may cost.
    pub journal_commit: &'static str,
}

/// Starts the agent of a site: it reads the site's servers through their proxies and sends to `broker`.
pub async fn start_agent(
    site: &Site,
    plan: &AgentPlan,
    folder: &Path,
    broker: &(String, u16),
    collector_key: &PublicKey,
    wait: Arc<dyn Wait>,
    stop: CancellationToken,
) -> Result<Agent> {
    let state_dir = folder.join(plan.id.as_str());
    std::fs::create_dir_all(&state_dir).with_context(|| format!("make {}", state_dir.display()))?;
    let seed_file = state_dir.join("demo.seed");
    std::fs::write(&seed_file, keys::hex(keys::agent_seed(plan.seed, &plan.id)))?;
    crate::files::make_private(&seed_file)?;
    let mut options = AgentOptions::new(plan.id.clone(), state_dir.display().to_string());
    options.servers = site.addresses();
    options.scan = plan.interval.to_owned();
    options.publishing = plan.publishing.to_owned();
    options.tick = true;
    options.metrics = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    options.publish = Some((format!("mqtt://{}:{}", broker.0, broker.1), collector_key.to_string()));
    // The broker is in this process: when it is away it is soon back.
    options.publish_lines = vec!["reconnect_max = \"1s\"".to_owned()];
    options.agent_lines = vec![
        "demo = true".to_owned(),
        format!("key_seed_file = {:?}", seed_file.display().to_string()),
        format!("block_interval = {:?}", plan.block_interval),
        format!("journal_commit = {:?}", plan.journal_commit),
    ];
    let text = site.world.agent_toml(&options);
    let path = folder.join(format!("{}.toml", plan.id));
    std::fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    let config = agent::config::parse(&text, &path.display().to_string())?;
    Ok(Agent::start(config, wait, stop).await?)
}

/// Moves a lock-step factory from its clock's time to `until`: each quantum shows its values, and the clock goes on
/// only when every OPC UA value of the quantum has reached the agent, whose tick proves it. While `driver` is not
/// waiting, as after this returns, the clock stands.
/// A server whose line is faulty is not waited for, nor is one that the agent has not found again since. From the
/// first tick that it shows after its return on, a server is waited for as before the fault.
/// Errors: values did not reach the agent although their line was whole.
pub async fn drive(
    site: &Site,
    agent: &Agent,
    clock: &dyn Clock,
    driver: &mut dyn Worker,
    until: Timestamp,
    mut at_each: impl FnMut(Timestamp),
) -> Result<()> {
    let quantum = site.world.scenario().quantum();
    let mut away = BTreeSet::new();
    let mut at = Timestamp::from_nanos(clock.now().as_nanos().div_euclid(quantum) * quantum);
    while at < until {
        at = at.plus(quantum);
        driver.until(at).await;
        at_each(at);
        for (server, tick) in site.step(at)? {
            let faulty = site.proxies.get(&server).is_some_and(|proxy| proxy.fault() != Fault::None);
            let patience = match (faulty, away.contains(&server)) {
                (true, _) => Duration::ZERO,
                (false, true) => Duration::from_millis(20),
                (false, false) => Duration::from_secs(20),
            };
            if saw_tick(site, agent, &server, tick, patience).await? {
                away.remove(&server);
            } else {
                anyhow::ensure!(
                    faulty || away.contains(&server),
                    "tick {tick} of {server}, shown at {at}, did not reach the agent within {patience:?}, \
                     although the line is whole"
                );
                away.insert(server);
            }
        }
    }
    Ok(())
}

/// Whether the agent has seen this tick of the server, within `patience`.
async fn saw_tick(site: &Site, agent: &Agent, server: &str, tick: i64, patience: Duration) -> Result<bool> {
    let Some(name) = site.world.tick_tag(server) else { return Ok(true) };
    saw(agent, &name, tick, patience).await
}

/// Whether the agent has seen at least `tick` in this tag, within `patience`.
pub async fn saw(agent: &Agent, name: &TagName, tick: i64, patience: Duration) -> Result<bool> {
    let mut readings = agent.live().readings();
    let reached = async {
        loop {
            let value = agent.live().get(name).and_then(|live| live.value);
            if let Some(Value::Exact(number)) = value
                && number.to_integer().is_some_and(|seen| seen >= i128::from(tick))
            {
                return;
            }
            if readings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    Ok(tokio::time::timeout(patience, reached).await.is_ok())
}

/// Waits until the collector has acknowledged every block of the agent; `Err` says how far it came when no further
/// block was acknowledged for `patience`. A slow machine is waited for; a road that stands still is not.
pub async fn drained(agent: &Agent, patience: Duration) -> Result<()> {
    let (mut reached, mut since) = (None, tokio::time::Instant::now());
    loop {
        let progress = agent.progress();
        if progress.acknowledged >= progress.sealed {
            return Ok(());
        }
        if reached != Some(progress.acknowledged) {
            (reached, since) = (Some(progress.acknowledged), tokio::time::Instant::now());
        }
        anyhow::ensure!(
            since.elapsed() < patience,
            "{} of {} blocks acknowledged, and no further one for {patience:?}",
            progress.acknowledged,
            progress.sealed
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Where a demo keeps everything.
pub enum Folder {
    /// Gone at the end.
    Scratch(tempfile::TempDir),
    /// Named by the user; stays.
    Kept(PathBuf),
}

impl Folder {
    /// The folder named, or a fresh one.
    pub fn open(named: Option<PathBuf>) -> Result<Self> {
        match named {
            Some(path) => {
                std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
                Ok(Self::Kept(path))
            }
            None => Ok(Self::Scratch(tempfile::Builder::new().prefix("plumbline-demo-").tempdir()?)),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Scratch(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}
