//! What there is: sites, agents, the log. Empty is answered with the reason and a next step.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use shopfloor::calendar;
use shopfloor::plant::Plant;

use super::error::ApiError;
use super::record_shape::{AgentShape, LogShape};
use super::unit_shape::{Empty, Overview, SiteShape};
use crate::evaluate::words::{Reason, Words};
use crate::ingest::registry::AgentView;
use crate::serve::Serving;

/// Missing ranges whose length in time is worked out; beyond it the first ones count.
const RANGES_MAX: usize = 64;

/// What the collector holds, and why it is empty if it is.
#[utoipa::path(get, path = "/api/v1/overview", tag = "plant", responses((status = 200, body = Overview)))]
pub async fn overview(State(serving): State<Arc<Serving>>) -> Json<Overview> {
    let plants = serving.store.ledger.plants();
    let agents = serving.store.agents.agents();
    Json(Overview {
        now: serving.now().to_string(),
        software: serving.software(),
        demo: agents.iter().any(is_demo),
        sites: plants.len() as u64,
        work_units: plants.iter().map(|plant| plant.work_units.len() as u64).sum(),
        agents: agents.len() as u64,
        log_size: serving.store.log.size().to_string(),
        empty: empty(&plants, &agents),
    })
}

fn empty(plants: &[Arc<Plant>], agents: &[AgentView]) -> Option<Empty> {
    let (code, zh, en, next) = if plants.is_empty() {
        (
            "no-plant",
            "还没有工厂模型",
            "no plant has been imported yet",
            Words::new("运行 plumbline-collector import plant.toml", "run plumbline-collector import plant.toml"),
        )
    } else if agents.is_empty() {
        (
            "no-agent",
            "配置中没有采集端",
            "no agent is listed in the configuration",
            Words::new(
                "把 plumbline-agent init 打印的 [[agent]] 段加入采集中心配置",
                "add the [[agent]] lines that plumbline-agent init prints to the collector's configuration",
            ),
        )
    } else if agents.iter().all(|view| view.newest_block_time.is_none()) {
        (
            "no-data",
            "还没有收到数据",
            "no data has arrived yet",
            Words::new("在采集端运行 plumbline-agent doctor", "run plumbline-agent doctor on the agent"),
        )
    } else {
        return None;
    };
    Some(Empty { code: code.to_owned(), zh: zh.to_owned(), en: en.to_owned(), what_next: next })
}

fn is_demo(view: &AgentView) -> bool {
    view.marks.demo_key || view.marks.simulated
}

/// The sites.
#[utoipa::path(get, path = "/api/v1/sites", tag = "plant", responses((status = 200, body = Vec<SiteShape>)))]
pub async fn sites(State(serving): State<Arc<Serving>>) -> Json<Vec<SiteShape>> {
    let agents = serving.store.agents.agents();
    let now = serving.now();
    let shape = |plant: &Arc<Plant>| {
        let site = &plant.site;
        SiteShape {
            id: site.id.to_string(),
            name: site.name.clone(),
            name_en: site.name_en.clone(),
            time_zone: site.time_zone_name.clone(),
            county: site.county.clone(),
            uscc: site.uscc.clone(),
            industry: site.industry.clone(),
            work_units: plant.work_units.len() as u64,
            demo: agents.iter().any(|view| view.site == site.id && is_demo(view)),
            now: now.to_string(),
            business_date: calendar::local(&site.time_zone, now).date().to_string(),
            tz_version: calendar::tz_version().to_owned(),
        }
    };
    Json(serving.store.ledger.plants().iter().map(shape).collect())
}

/// The agents that may send, and how far they have come.
#[utoipa::path(get, path = "/api/v1/agents", tag = "record", responses((status = 200, body = Vec<AgentShape>)))]
pub async fn agents(State(serving): State<Arc<Serving>>) -> Result<Json<Vec<AgentShape>>, ApiError> {
    let shapes = serving.clone().work(move || {
        let views = serving.store.agents.agents();
        views.iter().map(|view| agent_shape(&serving, view)).collect::<Result<Vec<_>, _>>()
    });
    Ok(Json(shapes.await?))
}

fn agent_shape(serving: &Serving, view: &AgentView) -> Result<AgentShape, ApiError> {
    let range = |&(first, last): &(u64, u64)| (first.to_string(), last.to_string());
    let newest = serving.newest_header(&view.site, &view.agent)?;
    Ok(AgentShape {
        site: view.site.to_string(),
        agent: view.agent.to_string(),
        online: view.status_time.map(|_| view.online),
        epoch: view.epoch.to_string(),
        contiguous: view.contiguous.to_string(),
        beyond: view.beyond.iter().map(range).collect(),
        newest_block_time: view.newest_block_time.map(|at| at.to_string()),
        missing: view.missing.iter().map(|(first, last)| last - first + 1).sum::<u64>().to_string(),
        unaccounted_gap_seconds: unaccounted(serving, view)?,
        alarms: view.alarms.iter().map(alarm).collect(),
        marks: view.marks.names().into_iter().map(str::to_owned).collect(),
        software: newest.map(|header| header.software),
    })
}

fn alarm(alarm: &crate::ingest::registry::Alarm) -> Reason {
    Reason::new(
        alarm.code,
        format!("{} 次, 最近 {}: {}", alarm.count, alarm.last, alarm.detail),
        format!("{} times, last {}: {}", alarm.count, alarm.last, alarm.detail),
    )
}

/// Seconds between the neighbours of the sequences that are missing: time that nothing accounts for yet.
#[allow(clippy::cast_precision_loss)] // seconds for display
fn unaccounted(serving: &Serving, view: &AgentView) -> Result<f64, ApiError> {
    let mut nanos = 0;
    let find = |sequence: u64| {
        let found = serving.store.log.block_by_sequence(&view.site, &view.agent, view.epoch, sequence);
        found.map_err(|error| ApiError::storage(&error))
    };
    for &(first, last) in view.missing.iter().take(RANGES_MAX) {
        let (before, after) = (find(first.saturating_sub(1))?, find(last.saturating_add(1))?);
        if let Some((before, after)) = before.zip(after) {
            nanos += after.window.start.since(before.window.end).max(0);
        }
    }
    Ok(nanos as f64 / 1e9)
}

/// The head of the log.
#[utoipa::path(get, path = "/api/v1/log", tag = "record", responses((status = 200, body = LogShape)))]
pub async fn log(State(serving): State<Arc<Serving>>) -> Json<LogShape> {
    let log = &serving.store.log;
    Json(LogShape {
        origin: log.origin().to_owned(),
        size: log.size().to_string(),
        root: log.root().to_string(),
        checkpoint: log.checkpoint(),
    })
}
