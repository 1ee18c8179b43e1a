//! The demo: live first, while a history fills in behind it through the same road.
//!
//! One world plays both. Its past runs in lock-step through servers, an agent (`edge-01-past`) and the collector of
//! its own; its present runs in real time through another agent (`edge-01`). `plant.toml` binds every work unit to the
//! one before the demo's start and to the other after it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use collector::Collector;
use collector::wait::RealWait;
use shopfloor::id::AgentId;
use shopfloor::time::{Clock as _, HOUR, SECOND, Timestamp, Wait};
use simulators::lockstep::LockStep;
use simulators::machine::World;
use simulators::opcua_server::Pace;
use simulators::scenario::Scenario;
use simulators::site_files::Binding;
use tokio_util::sync::CancellationToken;

use crate::factory::{AgentPlan, Folder, drained, drive, start_agent};
use crate::files::{CollectorFile, collector_toml};
use crate::keys;
use crate::site::Site;

/// How long the world goes on: a demo that is left running for a month still has something to show.
const AHEAD: i64 = 31 * 24 * HOUR;

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct Options {
    /// What happens in the factory is drawn from it.
    pub seed: u64,
    /// Days of history.
    pub days: f64,
    /// Where the pages are served.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub state: Option<PathBuf>,
    /// Say `ready` only when the history is there.
    pub ready_when_filled: bool,
}

/// Plays until `stop` is cancelled.
pub async fn play(options: Options, stop: CancellationToken) -> Result<()> {
    let folder = Folder::open(options.state.clone())?;
    let scenario = Scenario::builtin("demo")?;
    let wait = Arc::new(RealWait::new());
    let quantum = scenario.quantum();
    let go = Timestamp::from_nanos(wait.now().as_nanos().div_euclid(quantum) * quantum);
    let begin = go.plus(-history(options.days, quantum));
    let world = Arc::new(World::new(&scenario, options.seed, begin, go.since(begin).saturating_add(AHEAD)));
    let [live, past] = plans(options.seed)?;

    let collector = start_collector(&options, &folder, &world, [&live, &past], &wait, &stop).await?;
    let plant = world.plant_toml(&[
        Binding { agent: past.id.clone(), from: None, until: Some(go) },
        Binding { agent: live.id.clone(), from: Some(go), until: None },
    ]);
    let plant_file = folder.path().join("plant.toml");
    std::fs::write(&plant_file, &plant)?;
    collector::ledger::import::import(&collector.store(), &plant, "plant.toml", wait.now(), false)
        .context("import the demo's plant.toml")?;

    let site = Site::start(Arc::clone(&world), wait.clone(), Pace::Calm).await?;
    let broker = collector.mqtt_addr();
    let key = collector.ack_key();
    let agent = start_agent(&site, &live, folder.path(), &broker, &key, wait.clone(), stop.child_token()).await?;
    let address = format!("http://{}", collector.http_addr());
    say(&format!("plumbline demo: {} (simulated data, demo keys)", world.scenario().title))?;
    say(&format!("files and plant.toml: {}", folder.path().display()))?;
    say(&format!("page: {address}"))?;
    if !options.ready_when_filled {
        say(&format!("ready {address}"))?;
    }
    let stepping = tokio::spawn(step_live(site, wait, stop.clone()));
    if begin < go {
        fill(&world, &past, &folder, &broker, &key, (begin, go), &stop).await?;
    }
    if options.ready_when_filled && !stop.is_cancelled() {
        say(&format!("ready {address}"))?;
    }
    stop.cancelled().await;
    agent.join().await;
    stepping.await.context("the live servers")??;
    collector.join().await;
    Ok(())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // days of a demo, cut to whole quanta
fn history(days: f64, quantum: i64) -> i64 {
    let nanos = (days.clamp(0.0, 400.0) * 24.0 * HOUR as f64) as i64;
    nanos / quantum * quantum
}

fn plans(seed: u64) -> Result<[AgentPlan; 2]> {
    let plan = |id: &str, interval, publishing, block_interval, journal_commit| {
        let id: AgentId = id.parse()?;
        anyhow::Ok(AgentPlan { id, seed, interval, publishing, block_interval, journal_commit })
    };
    Ok([plan("edge-01", "1s", "500ms", "10s", "1s")?, plan("edge-01-past", "10s", "5ms", "60s", "10s")?])
}

async fn start_collector(
    options: &Options,
    folder: &Folder,
    world: &World,
    plans: [&AgentPlan; 2],
    wait: &Arc<RealWait>,
    stop: &CancellationToken,
) -> Result<Collector> {
    let site = &world.scenario().site.id;
    let enrol = |plan: &AgentPlan| (site.clone(), plan.id.clone(), keys::agent_key(plan.seed, &plan.id).public());
    let agents = plans.map(enrol);
    let mut http = options.listen;
    // The default port may be taken by another demo; any other port was asked for and is not replaced.
    if http.port() == 8080 && std::net::TcpListener::bind(http).is_err() {
        http.set_port(0);
    }
    let state_dir = folder.path().join("collector");
    let text = collector_toml(&CollectorFile { state_dir: &state_dir, broker: None, http, agents: &agents });
    std::fs::write(folder.path().join("collector.toml"), &text)?;
    let config = collector::config::parse(&text, "collector.toml")?;
    Ok(Collector::start(config, wait.clone() as Arc<dyn Wait>, stop.child_token()).await?)
}

/// Shows the present on the OPC UA servers, each second; Modbus servers look at the clock themselves.
async fn step_live(site: Site, wait: Arc<RealWait>, stop: CancellationToken) -> Result<()> {
    loop {
        let next = Timestamp::from_nanos((wait.now().as_nanos() / SECOND + 1) * SECOND);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = wait.until(next) => { site.step(next)?; }
        }
    }
}

/// Plays the past in lock-step, through sockets and broker, and says how far it is.
async fn fill(
    world: &Arc<World>,
    plan: &AgentPlan,
    folder: &Folder,
    broker: &(String, u16),
    key: &shopfloor::wire::sign::PublicKey,
    (begin, go): (Timestamp, Timestamp),
    stop: &CancellationToken,
) -> Result<()> {
    let clock = LockStep::starting_at(begin);
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let site = Site::start(Arc::clone(world), Arc::clone(&wait), Pace::Fast).await?;
    let ended = stop.child_token();
    let agent = start_agent(&site, plan, folder.path(), broker, key, Arc::clone(&wait), ended.clone()).await?;
    let mut driver = wait.worker();
    // Two blocks further, so that the block that holds the last instant before `go` is sealed and sent.
    let past_go = go.plus(120 * SECOND);
    let mut said = -1;
    let progress = |at: Timestamp| {
        let percent = at.since(begin) / (go.since(begin) / 100).max(1);
        if percent / 5 > said {
            said = percent / 5;
            eprintln!("history: {percent} %, {at}");
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        result = drive(&site, &agent, &clock, &mut *driver, past_go, progress) => {
            result?;
            drained(&agent, Duration::from_mins(2)).await.context("the history did not reach the collector")?;
        }
    }
    ended.cancel();
    clock.end();
    eprintln!("history: filled in");
    Ok(())
}

/// A result, on standard output.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
