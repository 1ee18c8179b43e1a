//! Tags as agents declared them, and their samples with the words they were read as.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use shopfloor::id::{SiteId, TagName};
use shopfloor::plant::{Plant, Role};
use shopfloor::register_map::{DataType, GroupKind, RegisterMap, TagEntry};
use shopfloor::sample::{StatusCode, Value};
use shopfloor::time::{HOUR, Interval, Timestamp};
use shopfloor::wire::section::Raw;
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::query::{self, Params};
use super::record_shape::{AnyValue, SampleShape, TagShape};
use super::vocabulary;
use crate::evaluate::pipeline::bounds;
use crate::ledger::PlantVersion;
use crate::series::raw::{Cursor, RawRow};
use crate::series::read::Bound;
use crate::serve::Serving;

const LIMIT: usize = 500;
const LIMIT_MAX: usize = 5000;
/// Longest range of one request; pages go through it.
const RANGE_MAX: i64 = 32 * 24 * HOUR;

/// The tags that the agents of a site have declared.
#[utoipa::path(get, path = "/api/v1/sites/{site}/tags", tag = "record",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, body = Vec<TagShape>), (status = 404, body = ErrorBody)))]
pub async fn tags(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Json<Vec<TagShape>>, ApiError> {
    let version = serving.plant(&site)?;
    let shapes = serving.clone().work(move || {
        let mut shapes = Vec::new();
        for map in maps(&serving, &version.plant.site.id)? {
            shapes.extend(map.tags.iter().map(|entry| tag_shape(&version.plant, &map, entry)));
        }
        Ok(shapes)
    });
    Ok(Json(shapes.await?))
}

/// The register maps in force of the agents of a site.
fn maps(serving: &Serving, site: &SiteId) -> Result<Vec<Arc<RegisterMap>>, ApiError> {
    let agents = serving.store.agents.agents();
    let mut maps = Vec::new();
    for view in agents.iter().filter(|view| view.site == *site) {
        maps.extend(serving.newest_map(site, &view.agent)?);
    }
    Ok(maps)
}

fn tag_shape(plant: &Plant, map: &RegisterMap, entry: &TagEntry) -> TagShape {
    let unit = plant.work_unit(entry.name.work_unit());
    let role = unit.and_then(|unit| unit.roles.iter().find(|(_, name)| **name == entry.name).map(|(role, _)| *role));
    let group = map.groups.get(usize::from(entry.group));
    let source = group.and_then(|group| map.sources.get(usize::from(group.source)));
    TagShape {
        work_unit: entry.name.work_unit().to_string(),
        tag: entry.name.tag().to_owned(),
        role: role.map(|role: Role| role.code().to_owned()),
        section: entry.section.to_string(),
        unit: entry.unit.clone(),
        data_type: vocabulary::data_type(entry.data_type).to_owned(),
        place: vocabulary::place(&entry.place),
        agent: map.agent.to_string(),
        source: source.map(|source| source.id.to_string()).unwrap_or_default(),
        protocol: source.map(|source| vocabulary::protocol(source.protocol).to_owned()).unwrap_or_default(),
        origin: vocabulary::origin(entry.origin).to_owned(),
        stale_after_ms: group.map_or(0, |group| group.stale_after.div_euclid(1_000_000)),
    }
}

/// Which samples.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SampleParams {
    /// First instant (RFC 3339) or a date of the site. Default: an hour ago.
    pub from: Option<String>,
    /// First instant after, or a date. Default: now.
    pub to: Option<String>,
    /// At most this many, 1 to 5000; 500 if absent.
    pub limit: Option<String>,
    /// Cursor of the next page.
    pub after: Option<String>,
}

/// Samples of a tag with register words, place, block and log index, oldest first.
#[utoipa::path(get, path = "/api/v1/sites/{site}/tags/{unit}/{tag}/samples", tag = "record",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id"),
        ("tag" = String, Path, description = "tag of the work unit"), SampleParams),
    responses((status = 200, body = Vec<SampleShape>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn samples(
    State(serving): State<Arc<Serving>>,
    Path((site, unit, tag)): Path<(String, String, String)>,
    Params(params): Params<SampleParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let version = serving.plant(&site)?;
    let name: TagName = format!("{unit}/{tag}").parse().map_err(|_| ApiError::no_tag(&unit, &tag))?;
    let now = serving.now();
    let zone = query::zone_of(&headers, &version.plant.site.time_zone);
    let default = Interval { start: now.plus(-HOUR), end: now.plus(1) };
    let range = query::range(params.from.as_deref(), params.to.as_deref(), &zone, default, RANGE_MAX)?;
    let limit = query::limit(params.limit.as_deref(), LIMIT, LIMIT_MAX)?;
    let after = params.after.as_deref().map(cursor).transpose()?;
    let path = format!("/api/v1/sites/{site}/tags/{unit}/{tag}/samples");
    let mut rows = serving
        .clone()
        .work(move || {
            let bounds = bounds_of(&serving, &version, &name)?;
            let site = &version.plant.site.id;
            let rows = serving.series.raw(site, &bounds, &name, range, after, limit + 1);
            rows.map_err(|error| ApiError::storage(&error))
        })
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| {
        let cursor = row.cursor.text();
        let url = format!("{path}?from={}&to={}&limit={limit}&after={cursor}", range.start, range.end);
        (cursor, url)
    });
    let shapes: Vec<SampleShape> = rows.iter().map(sample_shape).collect();
    Ok(query::page(&shapes, next))
}

fn cursor(text: &str) -> Result<Cursor, ApiError> {
    Cursor::parse(text).ok_or_else(|| {
        ApiError::parameter(
            "after",
            text,
            "原样使用上一页的 next-cursor",
            "use next-cursor of the page before as it is",
        )
    })
}

/// Where a tag's samples come from: the bindings of its work unit, or any agent that declares a tag the plant does
/// not use.
fn bounds_of(serving: &Serving, version: &PlantVersion, name: &TagName) -> Result<Vec<Bound>, ApiError> {
    let unit = version.plant.work_unit(name.work_unit());
    if let Some(unit) = unit.filter(|unit| unit.roles.values().any(|tag| tag == name)) {
        return Ok(bounds(unit));
    }
    let ever = Interval { start: Timestamp::from_nanos(i64::MIN), end: Timestamp::from_nanos(i64::MAX) };
    let declaring = maps(serving, &version.plant.site.id)?;
    let found: BTreeMap<_, _> = declaring
        .iter()
        .filter(|map| map.tag_index(name).is_some())
        .map(|map| (map.agent.clone(), Bound { agent: map.agent.clone(), interval: ever }))
        .collect();
    if found.is_empty() {
        return Err(ApiError::no_tag(name.work_unit().as_str(), name.tag()));
    }
    Ok(found.into_values().collect())
}

fn sample_shape(row: &RawRow) -> SampleShape {
    let entry = &row.map.tags[usize::from(row.tag)];
    let sample = &row.sample;
    let status = row.value.as_ref().err().copied().unwrap_or(sample.status);
    let scanned = row.map.groups.get(usize::from(entry.group)).map(|group| group.kind);
    SampleShape {
        at: sample.at.to_string(),
        source_time: sample.source_time.map(|at| at.to_string()),
        server_time: sample.server_time.map(|at| at.to_string()),
        observed_time: sample.observed_time.to_string(),
        request_time: sample.request_time.map(|at| at.to_string()),
        received_time: row.block.received.to_string(),
        value: row.value.as_ref().ok().map(any_value),
        exact: row.value.as_ref().ok().and_then(exact),
        unit: entry.unit.clone(),
        quality: vocabulary::quality(status.quality()).to_owned(),
        status: vocabulary::status(status),
        status_code: status.0,
        raw_hex: sample.raw.as_ref().and_then(|raw| raw_hex(raw, entry, row.words.len(), status)),
        words: row.words.iter().map(|word| format!("0x{word:04x}")).collect(),
        place: vocabulary::place(&entry.place),
        by: match scanned {
            Some(GroupKind::Event { .. }) if sample.life_sign => "life-sign",
            Some(GroupKind::Event { .. }) => "event",
            _ => "scan",
        }
        .to_owned(),
        block_hash: row.block.hash.to_string(),
        log_index: row.block.log_index.to_string(),
        agent: row.block.agent.to_string(),
        epoch: row.block.epoch.to_string(),
        sequence: row.block.sequence.to_string(),
    }
}

fn any_value(value: &Value) -> AnyValue {
    match value {
        Value::Bool(bit) => AnyValue::Bit(*bit),
        Value::Exact(exact) => AnyValue::Number(exact.to_f64()),
        Value::Float(float) => AnyValue::Number(*float),
        Value::Text(text) => AnyValue::Text(text.clone()),
    }
}

fn exact(value: &Value) -> Option<String> {
    match value {
        Value::Exact(exact) => Some(exact.to_string()),
        _ => None,
    }
}

/// The bits as read, in as many digits as the type has; a failed read has none.
fn raw_hex(raw: &Raw, entry: &TagEntry, words: usize, status: StatusCode) -> Option<String> {
    let Raw::Bits(bits) = raw else { return None };
    if words == 0 && status.quality() == shopfloor::sample::Quality::Bad && *bits == 0 {
        return None;
    }
    let digits = match (words, entry.data_type) {
        (1.., _) => words * 4,
        (_, DataType::Bool | DataType::U8 | DataType::I8) => 2,
        (_, DataType::U16 | DataType::I16) => 4,
        (_, DataType::U32 | DataType::I32 | DataType::F32) => 8,
        (_, DataType::U64 | DataType::I64 | DataType::F64 | DataType::Text) => 16,
    };
    let mask = if digits >= 16 { u64::MAX } else { (1 << (digits * 4)) - 1 };
    Some(format!("0x{:0digits$x}", bits & mask))
}
