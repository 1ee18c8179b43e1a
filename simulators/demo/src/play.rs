//! The demo: live first, while histories fill in behind it through the same road.
//!
//! One world for each factory plays both. Its past runs in lock-step through servers and an agent (`edge-01-past`)
//! of its own; its present runs in real time through another agent (`edge-01`). `plant.toml` binds every work unit
//! to the one before the demo's start and to the other after it. All of them send to one collector.
//!
//! The collector's clock is the real one, so the log says truly when something was received: the history of days
//! ago, and the registration of projects whose windows lie in it, arrived at the demo's start. Such a project is
//! therefore shown as registered afterwards (补登记). The project of `bottles` begins its after-window at the next
//! midnight and is registered in time.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use collector::Collector;
use collector::ledger::project_import::import_project;
use collector::wait::RealWait;
use shopfloor::time::{Clock as _, HOUR, MINUTE, SECOND, Timestamp, Wait};
use simulators::opcua_server::Pace;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::factory::{Folder, start_agent};
use crate::files::{CollectorFile, collector_toml};
use crate::history::{self, Target};
use crate::keys;
use crate::roster::{Cast, Factory, roster};
use crate::site::Site;

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct Options {
    /// What happens in the factories is drawn from it.
    pub seed: u64,
    /// How many factories, 1 to 12.
    pub factories: usize,
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
    let wait = Arc::new(RealWait::new());
    let go = Timestamp::from_nanos(wait.now().as_nanos().div_euclid(MINUTE) * MINUTE);
    let cast = Cast { seed: options.seed, factories: options.factories, history: history(options.days), go };
    let factories = roster(cast)?;

    let collector = start_collector(&options, &folder, &factories, &wait, &stop).await?;
    let target = Target { broker: collector.mqtt_addr(), key: collector.ack_key() };
    let address = format!("http://{}", collector.http_addr());
    let units: usize = factories.iter().map(|factory| factory.world.machines().len()).sum();
    let title = format!("{} factories, {units} work units", factories.len());
    say(&format!("plumbline demo: {title} (simulated data, demo keys)"))?;
    say(&format!("files of each factory: {}", folder.path().display()))?;
    say(&format!("page: {address}"))?;

    import(&collector, &factories, folder.path(), wait.now())?;
    let mut live = JoinSet::new();
    for factory in &factories {
        let place = folder.path().join(factory.site().as_str());
        live.spawn(present(factory.clone(), place, target.clone(), wait.clone(), stop.clone()));
    }
    if !options.ready_when_filled {
        say(&format!("ready {address}"))?;
    }
    let filled = async {
        history::fill(&factories, folder.path(), &target, &stop).await?;
        if options.ready_when_filled && !stop.is_cancelled() {
            say(&format!("ready {address}"))?;
        }
        anyhow::Ok(())
    };
    let played = async {
        while let Some(ended) = live.join_next().await {
            ended.context("a factory's present")??;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(filled, played)?;
    collector.join().await;
    Ok(())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // days of a demo, cut to whole minutes
fn history(days: f64) -> i64 {
    let nanos = (days.clamp(0.0, 400.0) * 24.0 * HOUR as f64) as i64;
    nanos / MINUTE * MINUTE
}

async fn start_collector(
    options: &Options,
    folder: &Folder,
    factories: &[Factory],
    wait: &Arc<RealWait>,
    stop: &CancellationToken,
) -> Result<Collector> {
    let mut agents = Vec::new();
    for factory in factories {
        for plan in [&factory.live, &factory.past] {
            let key = keys::agent_key(plan.seed, &plan.id).public();
            agents.push((factory.site().clone(), plan.id.clone(), key));
        }
    }
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

/// Gives the collector what each factory wrote: its plant model and, if it has one, its project.
fn import(collector: &Collector, factories: &[Factory], folder: &Path, now: Timestamp) -> Result<()> {
    for factory in factories {
        let place = folder.join(factory.site().as_str());
        std::fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
        let plant = factory.plant_toml();
        std::fs::write(place.join("plant.toml"), &plant)?;
        collector::ledger::import::import(&collector.store(), &plant, "plant.toml", now, false)
            .with_context(|| format!("import plant.toml of {}", factory.label()))?;
        if let Some(project) = factory.project_toml() {
            std::fs::write(place.join("project.toml"), &project)?;
            import_project(&collector.store(), &project, "project.toml", now, false)
                .with_context(|| format!("register the project of {}", factory.label()))?;
        }
    }
    Ok(())
}

/// Plays a factory's present: its servers, its agent, and the second hand of its OPC UA servers; Modbus servers look
/// at the clock themselves.
async fn present(
    factory: Factory,
    folder: PathBuf,
    target: Target,
    wait: Arc<RealWait>,
    stop: CancellationToken,
) -> Result<()> {
    let site = Site::start(Arc::clone(&factory.world), wait.clone(), Pace::Calm).await?;
    let agent =
        start_agent(&site, &factory.live, &folder, &target.broker, &target.key, wait.clone(), stop.child_token())
            .await
            .with_context(|| format!("start the agent of {}", factory.label()))?;
    loop {
        let next = Timestamp::from_nanos((wait.now().as_nanos() / SECOND + 1) * SECOND);
        tokio::select! {
            () = stop.cancelled() => break,
            () = wait.until(next) => {
                factory.set_lines(&site, next);
                site.step(next)?;
            }
        }
    }
    agent.join().await;
    Ok(())
}

/// A result, on standard output.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
