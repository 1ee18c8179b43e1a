//! A factory in lock-step with a collector whose clock is the same, and its HTTP API asked over a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use collector::Collector;
use demo::factory::{AgentPlan, start_agent};
use demo::files::{CollectorFile, collector_toml};
use demo::keys;
use demo::site::Site;
use serde_json::Value;
use shopfloor::time::{Clock as _, Timestamp, Wait, Worker};
use simulators::fault_proxy::FaultProxy;
use simulators::lockstep::LockStep;
use simulators::machine::World;
use simulators::opcua_server::Pace;
use simulators::site_files::Binding;
use tokio_util::sync::CancellationToken;

/// A factory, its agent and its collector.
pub struct Rig {
    pub world: Arc<World>,
    pub clock: LockStep,
    pub site: Site,
    pub agent: Agent,
    pub collector: Collector,
    pub stop: CancellationToken,
    /// Holds the clock wherever nobody drives it.
    pub driver: Box<dyn Worker>,
    /// The line between the agent and its broker.
    pub broker_line: FaultProxy,
    folder: tempfile::TempDir,
}

impl Rig {
    /// Starts everything at the world's first instant. `broker`: an external one, or the embedded.
    pub async fn start(world: World, broker: Option<&str>) -> Self {
        Self::start_with(world, broker, "").await
    }

    /// The same with further lines in the collector's configuration.
    pub async fn start_with(world: World, broker: Option<&str>, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Arc::new(world);
        let clock = LockStep::starting_at(world.range().start);
        let wait: Arc<dyn Wait> = Arc::new(clock.clone());
        let driver = wait.worker();
        let stop = CancellationToken::new();
        let plan = AgentPlan {
            id: "edge-01".parse().unwrap(),
            seed: world.seed(),
            interval: "10s",
            publishing: "5ms",
            block_interval: "60s",
            journal_commit: "10s",
        };
        let collector = start_collector(folder.path(), &world, &plan, (broker, lines), Arc::clone(&wait), &stop).await;
        let plant = world.plant_toml(&[Binding { agent: plan.id.clone(), from: None, until: None }]);
        collector::ledger::import::import(&collector.store(), &plant, "plant.toml", clock.now(), false).unwrap();
        let site = Site::start(Arc::clone(&world), Arc::clone(&wait), Pace::Fast).await.unwrap();
        let (host, port) = collector.mqtt_addr();
        let broker_line = FaultProxy::start(format!("{host}:{port}").parse().unwrap(), world.seed()).await.unwrap();
        let mqtt = (broker_line.addr().ip().to_string(), broker_line.addr().port());
        let key = collector.ack_key();
        let agent = start_agent(&site, &plan, folder.path(), &mqtt, &key, wait, stop.child_token()).await.unwrap();
        Self { world, clock, site, agent, collector, stop, driver, broker_line, folder }
    }

    /// The answer of the collector's API to a GET.
    pub async fn get(&self, path: &str) -> Value {
        get(self.collector.http_addr(), path).await
    }

    /// Where everything lies; `collector.toml` and the collector's state among it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lock-step time.
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The end of the newest block that the collector has stored.
    pub async fn newest_stored(&self) -> Timestamp {
        let agents = self.get("/api/v1/agents").await;
        agents[0]["newest_block_time"].as_str().and_then(Timestamp::parse).unwrap_or_default()
    }

    /// Stops everything.
    pub async fn end(self) {
        assert_eq!(self.site.writes(), 0, "nobody may write to a machine");
        self.stop.cancel();
        self.clock.end();
        let ended = async {
            self.agent.join().await;
            self.collector.join().await;
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("everything stops within 30 s");
    }
}

async fn start_collector(
    folder: &Path,
    world: &World,
    plan: &AgentPlan,
    (broker, lines): (Option<&str>, &str),
    wait: Arc<dyn Wait>,
    stop: &CancellationToken,
) -> Collector {
    let state_dir = folder.join("collector");
    let key = keys::agent_key(plan.seed, &plan.id).public();
    let agents = [(world.scenario().site.id.clone(), plan.id.clone(), key)];
    let http = "127.0.0.1:0".parse().unwrap();
    let mut text = collector_toml(&CollectorFile { state_dir: &state_dir, broker, http, agents: &agents });
    text.push_str(lines);
    std::fs::write(folder.join("collector.toml"), &text).unwrap();
    let config = collector::config::parse(&text, "collector.toml").unwrap();
    Collector::start(config, wait, stop.child_token()).await.unwrap()
}

/// The answer of an API to a GET; panics with the answer's text if it is an error.
pub async fn get(api: std::net::SocketAddr, path: &str) -> Value {
    let url = format!("http://{api}{path}");
    tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(&url).call().unwrap();
        let text = answer.body_mut().with_config().limit(1 << 28).read_to_string().unwrap();
        assert!(answer.status().is_success(), "{url}: {} {text}", answer.status());
        serde_json::from_str(&text).unwrap()
    })
    .await
    .unwrap()
}

/// An instant as a URL holds it.
pub fn url_time(at: Timestamp) -> String {
    at.to_string()
}
