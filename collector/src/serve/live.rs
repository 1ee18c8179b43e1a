//! Server-sent events: what arrived, at most once a second for each site, and how far a history has filled in.
//!
//! A client that falls behind loses events, never the connection: the next one says the newest again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use shopfloor::id::{AgentId, SiteId};
use shopfloor::time::{Interval, SECOND, Timestamp, Wait};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::Serving;
use super::api::query::Params;

/// Events that one slow client may lag behind before it loses some.
const BEHIND_MAX: usize = 256;

/// New data of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SampleEvent {
    /// Site.
    pub site: String,
    /// Agent that sent the newest block.
    pub agent: String,
    /// Work units that it may concern.
    pub units: Vec<String>,
    /// Newest observation that arrived.
    pub newest_sample_time: String,
    /// Index of the newest block.
    pub log_index: String,
}

/// How far the history of an agent that is bound until some instant has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProgressEvent {
    /// Site.
    pub site: String,
    /// Agent.
    pub agent: String,
    /// From 0 to 1.
    pub done: f64,
    /// Observations so far reach to here.
    pub until: String,
}

/// What clients are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// New data.
    Sample(SampleEvent),
    /// History.
    Progress(ProgressEvent),
}

/// The sender that all clients listen to.
pub fn channel() -> broadcast::Sender<Told> {
    broadcast::channel(BEHIND_MAX).0
}

/// What arrived since the last telling, by site.
#[derive(Debug, Default)]
pub struct Gathered {
    newest: BTreeMap<SiteId, (AgentId, Timestamp, u64)>,
    histories: BTreeMap<(SiteId, AgentId), Timestamp>,
}

impl Gathered {
    /// Remembers a block.
    pub fn add(&mut self, site: &SiteId, agent: &AgentId, window: Interval, log_index: u64) {
        let entry = self.newest.entry(site.clone()).or_insert_with(|| (agent.clone(), window.end, log_index));
        if window.end >= entry.1 {
            *entry = (agent.clone(), window.end, log_index);
        }
        let history = self.histories.entry((site.clone(), agent.clone())).or_insert(window.end);
        *history = window.end.max(*history);
    }

    /// What to tell, and forgets it. `units` names the work units of an agent, `bound` the ends of its binding if it
    /// has both.
    pub fn take(
        &mut self,
        units: impl Fn(&SiteId, &AgentId) -> BTreeSet<String>,
        bound: impl Fn(&SiteId, &AgentId) -> Option<Interval>,
    ) -> Vec<Told> {
        let samples = std::mem::take(&mut self.newest).into_iter().map(|(site, (agent, at, log_index))| {
            Told::Sample(SampleEvent {
                units: units(&site, &agent).into_iter().collect(),
                site: site.to_string(),
                agent: agent.to_string(),
                newest_sample_time: at.to_string(),
                log_index: log_index.to_string(),
            })
        });
        let mut told: Vec<Told> = samples.collect();
        for ((site, agent), at) in std::mem::take(&mut self.histories) {
            let Some(bound) = bound(&site, &agent).filter(|bound| !bound.is_empty()) else { continue };
            told.push(Told::Progress(ProgressEvent {
                done: share(bound, at),
                site: site.to_string(),
                agent: agent.to_string(),
                until: at.to_string(),
            }));
        }
        told
    }
}

#[allow(clippy::cast_precision_loss)] // a progress bar
fn share(bound: Interval, at: Timestamp) -> f64 {
    (at.since(bound.start) as f64 / bound.nanos() as f64).clamp(0.0, 1.0)
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// Only of this site.
    pub site: Option<String>,
}

/// Server-sent events `hello`, `sample` and `progress`.
#[utoipa::path(get, path = "/api/v1/events", tag = "live", params(EventParams),
    responses((status = 200, description = "event stream: hello, sample, progress", content_type = "text/event-stream", body = String)))]
pub async fn events(
    State(serving): State<Arc<Serving>>,
    Params(params): Params<EventParams>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = serde_json::json!({ "now": serving.now().to_string(), "software": serving.software() });
    let first = futures::stream::once(async move { Ok(Event::default().event("hello").data(hello.to_string())) });
    let told = BroadcastStream::new(serving.told.subscribe());
    let stop = serving.stop.clone();
    let rest = told.filter_map(move |told| {
        let event = told.ok().and_then(|told| event(&told, params.site.as_deref()));
        async move { event.map(Ok) }
    });
    let stream = first.chain(rest).take_until(async move { stop.cancelled().await });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

fn event(told: &Told, only: Option<&str>) -> Option<Event> {
    let (name, site, data) = match told {
        Told::Sample(sample) => ("sample", &sample.site, serde_json::to_string(sample)),
        Told::Progress(progress) => ("progress", &progress.site, serde_json::to_string(progress)),
    };
    if only.is_some_and(|only| only != site) {
        return None;
    }
    data.ok().map(|data| Event::default().event(name).data(data))
}

/// The work units that an agent's data may concern.
pub fn units(serving: &Serving, site: &SiteId, agent: &AgentId) -> BTreeSet<String> {
    let Some(version) = serving.store.ledger.plant(site) else { return BTreeSet::new() };
    let bound = version.plant.work_units.iter().filter(|unit| unit.bindings.iter().any(|b| b.agent == *agent));
    bound.map(|unit| unit.id.to_string()).collect()
}

/// The ends of an agent's history: from its first data to the end of its last binding, if all of them end.
pub fn history(serving: &Serving, site: &SiteId, agent: &AgentId) -> Option<Interval> {
    let version = serving.store.ledger.plant(site)?;
    let bindings = version.plant.work_units.iter().flat_map(|unit| &unit.bindings).filter(|b| b.agent == *agent);
    let until = bindings.map(|binding| binding.until).collect::<Option<Vec<_>>>()?.into_iter().max()?;
    let first = serving.series.first_of(site, agent).ok()??;
    Interval::new(first, until)
}

/// Waits a second between two tellings; ends with `stop`.
pub async fn pause(wait: &dyn Wait, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = wait.until(wait.now().plus(SECOND)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(from: i64, to: i64) -> Interval {
        Interval { start: Timestamp::from_secs(from), end: Timestamp::from_secs(to) }
    }

    #[test]
    fn a_site_is_told_once_with_its_newest_block() {
        let (site, agent): (SiteId, AgentId) = ("s".parse().unwrap(), "a".parse().unwrap());
        let mut gathered = Gathered::default();
        gathered.add(&site, &agent, block(10, 20), 7);
        gathered.add(&site, &agent, block(0, 10), 8);
        let told = gathered.take(|_, _| BTreeSet::from(["u".to_owned()]), |_, _| Some(block(0, 40)));
        let expected = SampleEvent {
            site: "s".into(),
            agent: "a".into(),
            units: vec!["u".into()],
            newest_sample_time: "1970-01-01T00:00:20Z".into(),
            log_index: "7".into(),
        };
        assert_eq!(told[0], Told::Sample(expected));
        assert!(matches!(&told[1], Told::Progress(progress) if (progress.done - 0.5).abs() < 1e-9));
        assert!(gathered.take(|_, _| BTreeSet::new(), |_, _| None).is_empty());
    }
}
