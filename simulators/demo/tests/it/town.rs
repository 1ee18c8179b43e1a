//! Several factories in lock-step with one collector: the clock goes on only when all of them wait.

use std::sync::Arc;
use std::time::Duration;

use agent::Agent;
use collector::Collector;
use collector::ledger::project_import::{ImportedProject, import_project};
use demo::factory::{AgentPlan, drained, drive, start_agent};
use demo::files::{CollectorFile, collector_toml};
use demo::keys;
use demo::site::Site;
use serde_json::Value;
use shopfloor::time::{Clock as _, HOUR, Interval, MINUTE, Timestamp, Wait, Worker};
use simulators::lockstep::LockStep;
use simulators::machine::World;
use simulators::opcua_server::Pace;
use simulators::scenario::Scenario;
use simulators::site_files::{Binding, Schedule};
use tokio_util::sync::CancellationToken;

use crate::rig::get;

/// One factory of the town.
pub struct Player {
    pub site: Site,
    agent: Agent,
    driver: Box<dyn Worker>,
}

/// The factories and their collector.
pub struct Town {
    pub clock: LockStep,
    pub schedule: Schedule,
    pub players: Vec<Player>,
    /// There but while it is restarted.
    collector: Option<Collector>,
    collector_file: String,
    collector_stop: CancellationToken,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Town {
    /// Starts the factories of these scenarios ten minutes before the baseline. Baseline and after-window are `half`
    /// nanoseconds each, one behind the other.
    pub async fn start(names: &[&str], seed: u64, baseline: Timestamp, half: i64) -> Self {
        let go_live = baseline.plus(half);
        let after = Interval::new(go_live, go_live.plus(half)).unwrap();
        let baseline = Interval::new(baseline, go_live).unwrap();
        let schedule = Schedule { baseline, go_live, after, today: after.end };
        let begin = baseline.start.plus(-10 * MINUTE);
        let folder = tempfile::tempdir().unwrap();
        let clock = LockStep::starting_at(begin);
        let wait: Arc<dyn Wait> = Arc::new(clock.clone());
        let (stop, collector_stop) = (CancellationToken::new(), CancellationToken::new());

        let cast: Vec<(Arc<World>, AgentPlan)> = (1..)
            .zip(names)
            .map(|(number, name)| {
                let scenario = Scenario::builtin(name).unwrap();
                let world = World::improving(&scenario, seed, begin, 2 * half + 2 * HOUR, go_live);
                let interval = match scenario.quantum_seconds {
                    10 => "10s",
                    30 => "30s",
                    _ => "60s",
                };
                let id = format!("edge-{number:02}").parse().unwrap();
                let (publishing, block_interval, journal_commit) = ("5ms", "60s", "10s");
                (Arc::new(world), AgentPlan { id, seed, interval, publishing, block_interval, journal_commit })
            })
            .collect();
        // Holds the clock until every factory has a driver of its own.
        let holder = wait.worker();
        let agents: Vec<_> = cast
            .iter()
            .map(|(world, plan)| {
                let key = keys::agent_key(plan.seed, &plan.id).public();
                (world.scenario().site.id.clone(), plan.id.clone(), key)
            })
            .collect();
        let state_dir = folder.path().join("collector");
        let http = "127.0.0.1:0".parse().unwrap();
        let collector_file =
            collector_toml(&CollectorFile { state_dir: &state_dir, broker: None, http, agents: &agents });
        let collector = start_collector(&collector_file, &wait, &collector_stop).await;
        let mut players = Vec::new();
        for (world, plan) in cast {
            let plant = world.plant_toml(&[Binding { agent: plan.id.clone(), from: None, until: None }]);
            collector::ledger::import::import(&collector.store(), &plant, "plant.toml", clock.now(), false).unwrap();
            let place = folder.path().join(world.scenario().site.id.as_str());
            let site = Site::start(world, Arc::clone(&wait), Pace::Fast).await.unwrap();
            let (broker, key) = (collector.mqtt_addr(), collector.ack_key());
            let agent =
                start_agent(&site, &plan, &place, &broker, &key, Arc::clone(&wait), stop.child_token()).await.unwrap();
            players.push(Player { site, agent, driver: wait.worker() });
        }
        drop(holder);
        let collector = Some(collector);
        Self { clock, schedule, players, collector, collector_file, collector_stop, stop, _folder: folder }
    }

    /// Moves all factories to `until` (a whole minute); lines fail as their scenarios say.
    pub async fn drive(&mut self, until: Timestamp) {
        let (clock, go_live) = (&self.clock, self.schedule.go_live);
        let moves = self.players.iter_mut().map(|player| {
            let (site, agent, driver) = (&player.site, &player.agent, &mut player.driver);
            drive(site, agent, clock, &mut **driver, until, |at| site.set_lines(at.since(go_live)))
        });
        for moved in futures::future::join_all(moves).await {
            moved.unwrap();
        }
        for player in &self.players {
            drained(&player.agent, Duration::from_mins(1)).await.unwrap();
        }
    }

    /// The collector of the moment.
    pub fn collector(&self) -> &Collector {
        self.collector.as_ref().unwrap()
    }

    /// Imports the project of every factory, now.
    pub fn register(&self) -> Vec<ImportedProject> {
        self.players
            .iter()
            .map(|player| self.import(&player.site.world.project_toml(&self.schedule).unwrap()))
            .collect()
    }

    /// Imports a version of a project, now.
    pub fn import(&self, text: &str) -> ImportedProject {
        import_project(&self.collector().store(), text, "project.toml", self.clock.now(), false).unwrap()
    }

    /// The answer of the collector's API to a GET.
    pub async fn get(&self, path: &str) -> Value {
        get(self.collector().http_addr(), path).await
    }

    /// A project once all that was received has been worked out. Time goes on meanwhile: the collector judges again
    /// only after a while that depends on how much time of its clock the judging took.
    pub async fn judged(&mut self, id: &str) -> Value {
        for _ in 0..240 {
            if let Some(project) = self.current(id).await {
                return project;
            }
            self.drive(self.clock.now().plus(MINUTE)).await;
        }
        panic!("project {id} was not worked out within four hours")
    }

    /// The same while the clock stands, as it does after a restart.
    pub async fn judged_at_once(&self, id: &str) -> Value {
        let judged = async {
            loop {
                match self.current(id).await {
                    Some(project) => return project,
                    None => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(2), judged).await.expect("the project is worked out within 2 minutes")
    }

    async fn current(&self, id: &str) -> Option<Value> {
        let project = self.get(&format!("/api/v1/projects/{id}")).await;
        (project["state"]["code"] == "current").then_some(project)
    }

    /// Stops the collector and starts it again over the same folder, on the same clock.
    pub async fn restart_collector(&mut self) {
        self.collector_stop.cancel();
        self.collector_stop = CancellationToken::new();
        self.collector.take().unwrap().join().await;
        let wait: Arc<dyn Wait> = Arc::new(self.clock.clone());
        self.collector = Some(start_collector(&self.collector_file, &wait, &self.collector_stop).await);
    }

    /// Stops everything.
    pub async fn end(self) {
        for player in &self.players {
            assert_eq!(player.site.writes(), 0, "nobody may write to a machine");
        }
        self.stop.cancel();
        self.collector_stop.cancel();
        self.clock.end();
        let ended = async {
            for player in self.players {
                player.agent.join().await;
            }
            self.collector.unwrap().join().await;
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("everything stops within 30 s");
    }
}

async fn start_collector(file: &str, wait: &Arc<dyn Wait>, stop: &CancellationToken) -> Collector {
    let config = collector::config::parse(file, "collector.toml").unwrap();
    Collector::start(config, Arc::clone(wait), stop.child_token()).await.unwrap()
}
