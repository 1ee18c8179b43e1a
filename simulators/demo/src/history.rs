//! The past of the factories, played in lock-step through sockets, broker and collector while the present goes on.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use shopfloor::time::{SECOND, Timestamp, Wait};
use shopfloor::wire::sign::PublicKey;
use simulators::lockstep::LockStep;
use simulators::opcua_server::Pace;
use tokio_util::sync::CancellationToken;

use crate::factory::{drained, drive, start_agent};
use crate::roster::Factory;
use crate::site::Site;

/// How many pasts are played at a time. Each waits for its sockets half of the time, so three fill two cores.
const LANES: usize = 3;

/// Where the history goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host and port of the broker.
    pub broker: (String, u16),
    /// The key that signs the collector's acknowledgements.
    pub key: PublicKey,
}

/// Plays the past of every factory, a few at a time in the order given, and says how far each one is.
pub async fn fill(factories: &[Factory], folder: &Path, target: &Target, stop: &CancellationToken) -> Result<()> {
    let waiting: VecDeque<Factory> = factories.iter().filter(|factory| !factory.history.is_empty()).cloned().collect();
    let total = waiting.len();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..LANES {
        let (waiting, folder, target, stop) =
            (Arc::clone(&waiting), folder.to_path_buf(), target.clone(), stop.clone());
        lanes.spawn(async move {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(factory) = next.filter(|_| !stop.is_cancelled()) else { return anyhow::Ok(()) };
                let place = folder.join(factory.site().as_str());
                one(&factory, &place, &target, &stop)
                    .await
                    .with_context(|| format!("play the history of {}", factory.label()))?;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.context("a lane of the history")??;
    }
    if total > 0 && !stop.is_cancelled() {
        eprintln!("history: filled in for {total} factories");
    }
    Ok(())
}

/// Plays the past of one factory.
async fn one(factory: &Factory, folder: &Path, target: &Target, stop: &CancellationToken) -> Result<()> {
    let (begin, go) = (factory.history.start, factory.history.end);
    let clock = LockStep::starting_at(begin);
    let wait: Arc<dyn Wait> = Arc::new(clock.clone());
    let site = Site::start(Arc::clone(&factory.world), Arc::clone(&wait), Pace::Fast).await?;
    let ended = stop.child_token();
    let agent =
        start_agent(&site, &factory.past, folder, &target.broker, &target.key, Arc::clone(&wait), ended.clone())
            .await?;
    let mut driver = wait.worker();
    // Two blocks further, so that the block that holds the last instant before `go` is sealed and sent.
    let past_go = go.plus(120 * SECOND);
    let mut said = 0;
    let at_each = |at: Timestamp| {
        factory.set_lines(&site, at);
        let percent = (at.since(begin) / (go.since(begin) / 100).max(1)).min(100);
        if percent / 10 > said {
            said = percent / 10;
            eprintln!("history: {percent:>3} %  {}", factory.label());
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        result = drive(&site, &agent, &clock, &mut *driver, past_go, at_each) => {
            result?;
            drained(&agent, Duration::from_mins(2)).await.context("the history did not reach the collector")?;
        }
    }
    ended.cancel();
    clock.end();
    agent.join().await;
    Ok(())
}
