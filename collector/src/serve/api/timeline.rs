//! What was planned and what happened, and the energy of it, over any stretch of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use shopfloor::calendar::{PlannedKind, PlannedSpan};
use shopfloor::evaluate::{self, WindowKind};
use shopfloor::plant::{Role, WorkUnit};
use shopfloor::time::{HOUR, Interval, Timestamp};
use shopfloor::timeline;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::query::{self, Params, RangeParams};
use super::record_shape::{EnergyShape, EnergyStep, Planned, Segment, TimelineShape};
use super::units::{cause, find};
use super::windows;
use crate::evaluate::convert;
use crate::evaluate::number::Energy;
use crate::evaluate::pipeline::UNHURRIED;
use crate::ledger::PlantVersion;
use crate::serve::Serving;

const DAY: i64 = 24 * HOUR;
/// Longest timeline of one request.
const TIMELINE_MAX: i64 = 8 * DAY;
/// Longest range of energy of one request.
const ENERGY_MAX: i64 = 367 * DAY;

/// The calendar and the states of a stretch of time, up to now. Default: the last 24 hours.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units/{unit}/timeline", tag = "figures",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id"), RangeParams),
    responses((status = 200, body = TimelineShape), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn timeline(
    State(serving): State<Arc<Serving>>,
    Path((site, unit)): Path<(String, String)>,
    Params(params): Params<RangeParams>,
    headers: HeaderMap,
) -> Result<Json<TimelineShape>, ApiError> {
    let version = serving.plant(&site)?;
    find(&version, &unit)?;
    let now = serving.now();
    let zone = query::zone_of(&headers, &version.plant.site.time_zone);
    let default = Interval { start: now.plus(-DAY), end: now };
    let range = params.resolve(&zone, default, TIMELINE_MAX)?;
    let shape = serving.clone().work(move || {
        let unit = find(&version, &unit)?;
        let result = serving.pipeline.span(&version, unit, &evaluate::span(&version.plant, range), now);
        let (result, _) = result.map_err(|error| ApiError::evaluate(&error))?;
        Ok(TimelineShape {
            start: result.evaluated.start.to_string(),
            end: result.evaluated.end.to_string(),
            planned: result.planned.iter().map(planned).collect(),
            segments: result.segments.iter().map(|s| segment(s, unit)).collect(),
        })
    });
    Ok(Json(shape.await?))
}

fn planned(span: &PlannedSpan) -> Planned {
    let (kind, zh, en) = match span.kind {
        PlannedKind::Busy => ("planned-busy", "计划生产", "planned busy"),
        PlannedKind::Break => ("break", "休息", "break"),
        PlannedKind::Maintenance => ("planned-maintenance", "计划维护", "planned maintenance"),
        PlannedKind::Off => ("off", "非班次时间", "off shift"),
    };
    Planned {
        start: span.interval.start.to_string(),
        end: span.interval.end.to_string(),
        kind: kind.to_owned(),
        shift: span.shift.as_ref().map(ToString::to_string),
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

fn segment(segment: &timeline::Segment, unit: &WorkUnit) -> Segment {
    Segment {
        start: segment.interval.start.to_string(),
        end: segment.interval.end.to_string(),
        leaf: segment.leaf.code().to_owned(),
        cause: cause(segment, &unit.state_rule),
        provisional: segment.provisional,
        zh: segment.leaf.zh().to_owned(),
        en: segment.leaf.en().to_owned(),
    }
}

/// Which energy.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EnergyParams {
    /// First instant (RFC 3339) or a date of the site. Default: seven days ago.
    pub from: Option<String>,
    /// First instant after, or a date. Default: now.
    pub to: Option<String>,
    /// `hour`, `shift` or `day` (default).
    pub step: Option<String>,
}

/// Energy of a range as a whole, and of every hour, shift or day that begins in it, in exact kWh.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units/{unit}/energy", tag = "figures",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id"), EnergyParams),
    responses((status = 200, body = EnergyShape), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn energy(
    State(serving): State<Arc<Serving>>,
    Path((site, unit)): Path<(String, String)>,
    Params(params): Params<EnergyParams>,
    headers: HeaderMap,
) -> Result<Json<EnergyShape>, ApiError> {
    let version = serving.plant(&site)?;
    find(&version, &unit)?;
    let now = serving.now();
    let zone = query::zone_of(&headers, &version.plant.site.time_zone);
    let default = Interval { start: now.plus(-7 * DAY), end: now };
    let range = query::range(params.from.as_deref(), params.to.as_deref(), &zone, default, ENERGY_MAX)?;
    let step = match params.step.as_deref() {
        None => WindowKind::Day,
        Some(text) => windows::kind(Some(text))
            .ok()
            .flatten()
            .ok_or_else(|| ApiError::parameter("step", text, "写成 hour、shift 或 day", "write hour, shift or day"))?,
    };
    let shape = serving.clone().work(move || {
        let unit = find(&version, &unit)?;
        steps(&serving, &version, unit, step, range, now)
    });
    Ok(Json(shape.await?))
}

fn steps(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
    step: WindowKind,
    range: Interval,
    now: Timestamp,
) -> Result<EnergyShape, ApiError> {
    let mut steps = Vec::new();
    for window in evaluate::windows(&version.plant, &unit.id, step, range) {
        if window.interval.start < range.start || window.interval.start >= now {
            continue;
        }
        let result = serving.pipeline.window(version, unit, &window, now);
        let result = result.map_err(|error| ApiError::evaluate(&error))?;
        steps.push(EnergyStep {
            start: result.start,
            end: result.end,
            business_date: result.business_date,
            label: result.label,
            energy: result.energy,
            coverage: result.coverage,
            state: result.state,
            version: result.version,
        });
    }
    let total = total(serving, version, unit, range, now)?;
    Ok(EnergyShape { unit: "kWh".to_owned(), total, steps })
}

/// Energy of the whole range, evaluated as one: last reading less first, not a sum of rounded parts. Only the
/// meter's samples are read for it, so that a year of a slow meter is one request.
fn total(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
    range: Interval,
    now: Timestamp,
) -> Result<Energy, ApiError> {
    let mut meter = unit.clone();
    meter.roles.retain(|role, _| *role == Role::Energy);
    let failed = |error| ApiError::evaluate(&error);
    let read = serving.pipeline.read(version, &meter, range, UNHURRIED, now).map_err(failed)?;
    let counted =
        evaluate::work_unit(&version.plant, &unit.id, &read.samples, &evaluate::span(&version.plant, range), now);
    let counted = counted.map_err(|error| ApiError::evaluation(&error))?;
    Ok(convert::energy(counted.energy_kwh.as_ref()))
}
