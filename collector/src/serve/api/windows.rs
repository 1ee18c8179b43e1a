//! Results of hours, shifts and days, and the way each was worked out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shopfloor::evaluate::{self, Input as Read, Window, WindowKind};
use shopfloor::plant::WorkUnit;
use shopfloor::time::{HOUR, Interval, Timestamp};
use utoipa::IntoParams;

use super::error::{ApiError, ErrorBody};
use super::query::{self, Params};
use super::units::find;
use crate::evaluate::convert;
use crate::evaluate::pipeline::{Evaluated, KEPT};
use crate::evaluate::project::Standing;
use crate::evaluate::result::{BlockName, BlockSpan, Input, KeptVersion, WindowDetail, WindowResult};
use crate::ledger::PlantVersion;
use crate::series::derived::{Kept, Key};
use crate::series::index::BlockRef;
use crate::serve::Serving;

const DAY: i64 = 24 * HOUR;
/// Longest range of one request: a leap year and a day.
const RANGE_MAX: i64 = 367 * DAY;
/// Longest stretch that is looked for among windows, or worked out while somebody waits.
const SPAN_MAX: i64 = 8 * DAY;
const LIMIT: usize = 200;
const LIMIT_MAX: usize = 1000;

/// Which windows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WindowParams {
    /// `hour`, `shift` (default) or `day`.
    pub kind: Option<String>,
    /// First instant (RFC 3339) or a date of the site. Default: seven days ago.
    pub from: Option<String>,
    /// First instant after, or a date. Default: now.
    pub to: Option<String>,
    /// At most this many, 1 to 1000; 200 if absent.
    pub limit: Option<String>,
    /// Cursor of the next page.
    pub after: Option<String>,
}

/// Windows that have begun and touch the range, oldest first.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units/{unit}/windows", tag = "figures",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id"), WindowParams),
    responses((status = 200, body = Vec<WindowResult>), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn windows(
    State(serving): State<Arc<Serving>>,
    Path((site, unit)): Path<(String, String)>,
    Params(params): Params<WindowParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let version = serving.plant(&site)?;
    find(&version, &unit)?;
    let now = serving.now();
    let kind = kind(params.kind.as_deref())?.unwrap_or(WindowKind::Shift);
    let zone = query::zone_of(&headers, &version.plant.site.time_zone);
    let default = Interval { start: now.plus(-7 * DAY), end: now.plus(1) };
    let range = query::range(params.from.as_deref(), params.to.as_deref(), &zone, default, RANGE_MAX)?;
    let limit = query::limit(params.limit.as_deref(), LIMIT, LIMIT_MAX)?;
    let after = params.after.as_deref().map(|text| query::instant("after", text, &zone)).transpose()?;
    let path = format!("/api/v1/sites/{site}/work-units/{unit}/windows");
    let (found, next) = serving
        .clone()
        .work(move || {
            let unit = find(&version, &unit)?;
            list(&serving, &version, unit, kind, range, after, limit, now)
        })
        .await?;
    let next = next.map(|at| {
        let url = format!("{path}?kind={}&from={}&to={}&limit={limit}&after={at}", kind.code(), range.start, range.end);
        (at.to_string(), url)
    });
    Ok(query::page(&found, next))
}

#[allow(clippy::too_many_arguments)] // one request, already parsed
fn list(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
    kind: WindowKind,
    range: Interval,
    after: Option<Timestamp>,
    limit: usize,
    now: Timestamp,
) -> Result<(Vec<WindowResult>, Option<Timestamp>), ApiError> {
    let windows = evaluate::windows(&version.plant, &unit.id, kind, range);
    let begun = windows.into_iter().filter(|window| window.interval.start < now);
    let mut wanted = begun.filter(|window| after.is_none_or(|after| window.interval.start > after)).peekable();
    let mut found = Vec::new();
    let mut last = None;
    while found.len() < limit
        && let Some(window) = wanted.next()
    {
        let result = serving.pipeline.window(version, unit, &window, now);
        found.push(result.map_err(|error| ApiError::evaluate(&error))?);
        last = Some(window.interval.start);
    }
    Ok((found, last.filter(|_| wanted.peek().is_some())))
}

/// The kind that a parameter names.
pub fn kind(text: Option<&str>) -> Result<Option<WindowKind>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let found = WindowKind::from_code(text).filter(|kind| *kind != WindowKind::Span);
    found
        .map(Some)
        .ok_or_else(|| ApiError::parameter("kind", text, "写成 hour、shift 或 day", "write hour, shift or day"))
}

/// Which kind the window is, where several have the same ends.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KindParams {
    /// `hour`, `shift` or `day`; the first of shift, day, hour that fits if absent. `span`: a window of a project of
    /// this site, or any stretch of at most 8 days; computed, never kept.
    pub kind: Option<String>,
}

/// One window with its inputs, the lines of its calculation, its blocks and the versions that were kept.
#[utoipa::path(get, path = "/api/v1/sites/{site}/work-units/{unit}/windows/{start}/{end}", tag = "figures",
    params(("site" = String, Path, description = "site id"), ("unit" = String, Path, description = "work unit id"),
        ("start" = String, Path, description = "first instant of the window"),
        ("end" = String, Path, description = "first instant after it"), KindParams),
    responses((status = 200, body = WindowDetail), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub async fn window(
    State(serving): State<Arc<Serving>>,
    Path((site, unit, start, end)): Path<(String, String, String, String)>,
    Params(params): Params<KindParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let version = serving.plant(&site)?;
    find(&version, &unit)?;
    let zone = &version.plant.site.time_zone;
    let asked = Interval { start: query::instant("start", &start, zone)?, end: query::instant("end", &end, zone)? };
    let stretch = params.kind.as_deref() == Some(WindowKind::Span.code());
    let kind = if stretch { None } else { kind(params.kind.as_deref())? };
    let detail = serving
        .clone()
        .work(move || {
            let unit = find(&version, &unit)?;
            if stretch {
                return span_detail(&serving, &version, unit, asked)?.ok_or_else(|| ApiError::no_window(&start, &end));
            }
            let window = matching(&version, unit, asked, kind).ok_or_else(|| ApiError::no_window(&start, &end))?;
            detail(&serving, &version, unit, &window)
        })
        .await?;
    Ok(tagged(&headers, Json(detail)))
}

/// Adds an entity tag, or answers 304 where the client has that version. A live window's time goes on, so its tag
/// holds how far it was evaluated.
fn tagged(asked: &HeaderMap, detail: Json<WindowDetail>) -> Response {
    let result = &detail.result;
    let tag = format!("\"{}-{}-{}\"", result.data_version, result.version, result.evaluated_until);
    if asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let mut response = detail.into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn matching(version: &PlantVersion, unit: &WorkUnit, asked: Interval, kind: Option<WindowKind>) -> Option<Window> {
    if asked.is_empty() || asked.nanos() > SPAN_MAX {
        return None;
    }
    let kinds = kind.map_or_else(|| KEPT.to_vec(), |kind| vec![kind]);
    kinds.into_iter().find_map(|kind| {
        let windows = evaluate::windows(&version.plant, &unit.id, kind, asked);
        windows.into_iter().find(|window| window.interval == asked)
    })
}

fn detail(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
    window: &Window,
) -> Result<WindowDetail, ApiError> {
    let now = serving.now();
    let evaluated =
        serving.pipeline.evaluated(version, unit, window, now).map_err(|error| ApiError::evaluate(&error))?;
    let site = &version.plant.site.id;
    let key = Key { site: site.clone(), unit: unit.id.clone(), kind: window.kind, window: window.interval };
    let versions = serving.pipeline.versions(&key).map_err(|error| ApiError::evaluate(&error))?;
    Ok(described(version, unit, &evaluated, &versions))
}

fn described(version: &PlantVersion, unit: &WorkUnit, evaluated: &Evaluated, versions: &[Kept]) -> WindowDetail {
    WindowDetail {
        result: evaluated.shape.clone(),
        inputs: inputs(version, unit, evaluated),
        formula: convert::formula(&evaluated.result.formula),
        blocks: block_span(evaluated),
        versions: versions.iter().map(kept_version).collect(),
    }
}

/// A stretch that is nobody's window. Weeks are worked out in the background, for a project; a request waits for
/// days at most. `None` if it is too long and no project's window.
fn span_detail(
    serving: &Serving,
    version: &PlantVersion,
    unit: &WorkUnit,
    asked: Interval,
) -> Result<Option<WindowDetail>, ApiError> {
    let site = &version.plant.site;
    let histories = serving.store.ledger.projects();
    let owner = histories.iter().find(|history| {
        let project = &history.current().project;
        let windows = project.windows(&site.time_zone);
        project.site == site.id && (windows.baseline == asked || windows.after == asked)
    });
    let worked_out = match owner {
        Some(history) => match serving.project_standing(history)? {
            Standing::Current(_) => true,
            Standing::Recomputing { .. } => false,
            Standing::NoPlant => return Ok(None),
            Standing::Computing { percent } => {
                return Err(ApiError::not_finished(history.current().project.id.as_str(), percent));
            }
        },
        None => false,
    };
    if asked.is_empty() || owner.is_none() && asked.nanos() > SPAN_MAX {
        return Ok(None);
    }
    let spans = serving.projects.spans();
    let found = spans.get(&serving.pipeline, version, unit, asked, serving.now(), worked_out);
    match found.map_err(|error| ApiError::evaluate(&error))? {
        Ok(span) => Ok(Some(described(version, unit, &span.evaluated, &[]))),
        Err(refused) => Err(ApiError::evaluation(&refused.en)),
    }
}

fn inputs(version: &PlantVersion, unit: &WorkUnit, evaluated: &Evaluated) -> Vec<Input> {
    let evaluated_interval = evaluated.result.evaluated;
    let blocks = evaluated.blocks.inside;
    let shape = |input: &Read| Input {
        tag: input.tag.tag().to_owned(),
        role: input.role.code().to_owned(),
        samples: input.samples,
        good: input.good,
        bad: input.bad,
        first: input.first.map(|at| at.to_string()),
        last: input.last.map(|at| at.to_string()),
        blocks,
        samples_url: format!(
            "/api/v1/sites/{}/tags/{}/{}/samples?from={}&to={}",
            version.plant.site.id,
            unit.id,
            input.tag.tag(),
            evaluated_interval.start,
            evaluated_interval.end
        ),
    };
    evaluated.result.inputs.iter().map(shape).collect()
}

fn block_span(evaluated: &Evaluated) -> Option<BlockSpan> {
    let blocks = &evaluated.blocks;
    let (first, last) = (blocks.first.as_ref()?, blocks.recent.last()?);
    Some(BlockSpan { count: blocks.count, first: block_name(first), last: block_name(last) })
}

fn block_name(block: &BlockRef) -> BlockName {
    BlockName {
        hash: block.hash.to_string(),
        log_index: block.log_index.to_string(),
        agent: block.agent.to_string(),
        sequence: block.sequence.to_string(),
    }
}

fn kept_version(kept: &Kept) -> KeptVersion {
    KeptVersion {
        version: kept.version,
        state: kept.state.clone(),
        data_version: kept.data_version.clone(),
        at: kept.made_at.to_string(),
        cause: kept.cause.as_deref().and_then(|cause| serde_json::from_str(cause).ok()),
    }
}
