//! Which factories the demo plays: their worlds, agents, histories and the windows of their projects.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use shopfloor::id::SiteId;
use shopfloor::time::{HOUR, Interval, MINUTE, Timestamp};
use simulators::machine::World;
use simulators::scenario::{FACTORIES, Scenario};
use simulators::site_files::{Binding, Schedule};

use crate::factory::AgentPlan;
use crate::site::Site;

/// How long a world goes on: a demo that is left running for a month still has something to show.
const AHEAD: i64 = 31 * DAY;
const DAY: i64 = 24 * HOUR;
/// Asia/Shanghai ahead of UTC.
const OFFSET: i64 = 8 * HOUR;
/// History before the first window, so that every counter has been read when it begins.
const LEAD: i64 = 10 * MINUTE;
/// Until then after midnight the region shows the day before yesterday as the last one that has settled.
const SETTLE: i64 = 3 * HOUR;
/// After-window of a project that is still under way.
const FUTURE: i64 = 28 * DAY;

/// A factory as the demo plays it.
#[derive(Debug, Clone)]
pub struct Factory {
    /// What happens in it, past and present.
    pub world: Arc<World>,
    /// The agent of the present.
    pub live: AgentPlan,
    /// The agent of the past.
    pub past: AgentPlan,
    /// From when until when the past is played; the demo's start is the end. Empty for none.
    pub history: Interval,
    /// Windows of its project, if it has one.
    pub schedule: Option<Schedule>,
}

/// What a roster depends on.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// What happens in the factories is drawn from it.
    pub seed: u64,
    /// How many factories, 1 to 12.
    pub factories: usize,
    /// Length of the history of factories whose project is judged, in nanoseconds: half of it before, half after.
    pub history: i64,
    /// The demo's start; a whole minute.
    pub go: Timestamp,
}

/// The factories of a demo that starts at a whole minute, the first one always the scenario `demo`.
pub fn roster(cast: Cast) -> Result<Vec<Factory>> {
    let names = FACTORIES.iter().take(cast.factories.clamp(1, FACTORIES.len()));
    (0..).zip(names).map(|(index, name)| factory(cast, index, name)).collect()
}

fn factory(cast: Cast, index: u64, name: &str) -> Result<Factory> {
    let scenario = Scenario::builtin(name)?;
    let stage = |stage| scenario.project.as_ref().is_some_and(|project| has_stage(project, stage));
    let judged = stage("acceptance");
    let schedule = scenario.project.as_ref().map(|_| if judged { past_windows(cast) } else { future_windows(cast) });
    let begin = match schedule {
        _ if cast.history < LEAD => cast.go,
        Some(schedule) if judged => schedule.baseline.start.plus(-LEAD),
        _ if cast.history < DAY => cast.go.plus(-cast.history),
        _ => yesterday(cast.go.plus(-SETTLE)).plus(-LEAD),
    };
    let go_live = schedule.map_or(Timestamp::from_nanos(i64::MAX), |schedule| schedule.go_live);
    let horizon = cast.go.since(begin).saturating_add(AHEAD);
    let seed = cast.seed.wrapping_add(index);
    let world = World::improving(&scenario, seed, begin, horizon, go_live);
    let number = index + 1;
    let past = past_agent(&format!("edge-{number:02}-past"), seed, scenario.quantum_seconds)?;
    let live = live_agent(&format!("edge-{number:02}"), seed, index == 0)?;
    let history = Interval { start: begin, end: cast.go };
    Ok(Factory { world: Arc::new(world), live, past, history, schedule })
}

impl Factory {
    /// Its id.
    pub fn site(&self) -> &SiteId {
        &self.world.scenario().site.id
    }

    /// How people call it: `新昌准绳示范轴承厂（模拟） (xinchang-demo)`.
    pub fn label(&self) -> String {
        let site = &self.world.scenario().site;
        format!("{} ({})", site.name, site.id)
    }

    /// Its plant model: the past read from one agent's blocks, the present from the other's.
    pub fn plant_toml(&self) -> String {
        let go = self.history.end;
        self.world.plant_toml(&[
            Binding { agent: self.past.id.clone(), from: None, until: Some(go) },
            Binding { agent: self.live.id.clone(), from: Some(go), until: None },
        ])
    }

    /// Its project, if it has one.
    pub fn project_toml(&self) -> Option<String> {
        self.schedule.as_ref().and_then(|schedule| self.world.project_toml(schedule))
    }

    /// Cuts and mends the lines of its site as the scenario says for this instant.
    pub fn set_lines(&self, site: &Site, at: Timestamp) {
        if let Some(schedule) = &self.schedule {
            site.set_lines(at.since(schedule.go_live));
        }
    }
}

fn has_stage(project: &toml::Table, stage: &str) -> bool {
    project.get("stage").and_then(toml::Value::as_table).is_some_and(|stages| stages.contains_key(stage))
}

/// Two windows of the same number of hours up to the last full hour, the second from go-live on.
fn past_windows(cast: Cast) -> Schedule {
    let end = Timestamp::from_nanos(cast.go.as_nanos().div_euclid(HOUR) * HOUR);
    let half = (cast.history / 2).div_euclid(HOUR).max(1) * HOUR;
    let go_live = end.plus(-half);
    let baseline = Interval { start: go_live.plus(-half), end: go_live };
    Schedule { baseline, go_live, after: Interval { start: go_live, end }, today: cast.go }
}

/// A baseline that runs and an after-window that begins at the site's next midnight.
fn future_windows(cast: Cast) -> Schedule {
    let go_live = midnight(cast.go.plus(HOUR)).plus(DAY);
    let baseline = Interval { start: yesterday(cast.go), end: go_live };
    Schedule { baseline, go_live, after: Interval { start: go_live, end: go_live.plus(FUTURE) }, today: cast.go }
}

/// The midnight at the site with which the day of `at` began.
fn midnight(at: Timestamp) -> Timestamp {
    Timestamp::from_nanos((at.as_nanos() + OFFSET).div_euclid(DAY) * DAY - OFFSET)
}

/// The beginning of the last day that is over.
fn yesterday(at: Timestamp) -> Timestamp {
    midnight(at).plus(-DAY)
}

fn past_agent(id: &str, seed: u64, quantum_seconds: i64) -> Result<AgentPlan> {
    let interval = match quantum_seconds {
        10 => "10s",
        30 => "30s",
        60 => "60s",
        other => anyhow::bail!("a scenario of the demo has a quantum of {other} s; there are scans of 10, 30 and 60 s"),
    };
    let id = id.parse().with_context(|| format!("agent id {id:?}"))?;
    let (publishing, block_interval, journal_commit) = ("5ms", "60s", "10s");
    Ok(AgentPlan { id, seed, interval, publishing, block_interval, journal_commit })
}

/// The first factory is scanned each second, as a real one is; the others less often, so that twelve of them leave
/// two cores free for whoever looks at them.
fn live_agent(id: &str, seed: u64, first: bool) -> Result<AgentPlan> {
    let id = id.parse().with_context(|| format!("agent id {id:?}"))?;
    let (interval, publishing, journal_commit) = if first { ("1s", "500ms", "1s") } else { ("5s", "2s", "5s") };
    Ok(AgentPlan { id, seed, interval, publishing, block_interval: "10s", journal_commit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(history: i64) -> Cast {
        Cast { seed: 1, factories: 12, history, go: Timestamp::parse("2026-11-25T15:37:00Z").unwrap() }
    }

    #[test]
    fn twelve_factories_of_two_clusters_and_three_counties() {
        let factories = roster(cast(4 * DAY)).unwrap();
        let count =
            |cluster: &str| factories.iter().filter(|f| f.world.scenario().site.cluster.as_str() == cluster).count();
        assert_eq!((count("xinchang-bearing"), count("yuyao-mould")), (7, 5));
        let units: usize = factories.iter().map(|f| f.world.machines().len()).sum();
        assert!((30..=36).contains(&units), "{units} work units");
        let mut agents: Vec<_> = factories.iter().flat_map(|f| [f.live.id.clone(), f.past.id.clone()]).collect();
        agents.sort_unstable();
        agents.dedup();
        assert_eq!(agents.len(), 24);
    }

    #[test]
    fn windows_lie_inside_the_history_and_do_not_touch_what_is_not_played() {
        for factory in roster(cast(4 * DAY)).unwrap() {
            let Some(schedule) = factory.schedule else { continue };
            assert!(schedule.baseline.end <= schedule.go_live && schedule.go_live <= schedule.after.start);
            if schedule.after.end <= factory.history.end {
                assert!(factory.history.start < schedule.baseline.start);
                assert_eq!((schedule.baseline.nanos(), schedule.after.nanos()), (2 * DAY, 2 * DAY));
            } else {
                assert!(schedule.after.start > factory.history.end.plus(HOUR), "{}", factory.site());
            }
        }
    }

    #[test]
    fn without_a_history_nothing_is_played_before_the_start() {
        for factory in roster(cast(0)).unwrap() {
            assert!(factory.history.is_empty(), "{}", factory.site());
        }
        assert_eq!(roster(Cast { factories: 1, ..cast(0) }).unwrap()[0].site().as_str(), "xinchang-demo");
    }
}
