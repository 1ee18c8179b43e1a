//! Projects: the list, one with its criteria and contract lines, and the same as a printed sheet and as a workbook.
//!
//! Nothing is judged while a request waits. Where the answer is not there yet, list and project say how far it is;
//! the sheet and the workbook, which are signed and filed, wait a little and are refused rather than written early.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use shopfloor::id::ProjectId;

use super::error::{ApiError, ErrorBody};
use crate::evaluate::project::Standing;
use crate::evaluate::project::detail::View;
use crate::evaluate::project::shape::{ProjectDetail, ProjectRow};
use crate::ledger::project::ProjectHistory;
use crate::report::html::policy;
use crate::report::project::{book::book, sheet};
use crate::serve::Serving;
use crate::workbook;

/// How often and how long a sheet waits for the answer: a quarter of a minute.
const LOOKS: u32 = 60;
const BETWEEN: Duration = Duration::from_millis(250);

/// The media type of XLSX.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// All projects, by id.
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects", responses((status = 200, body = Vec<ProjectRow>)))]
pub async fn projects(State(serving): State<Arc<Serving>>) -> Result<Json<Vec<ProjectRow>>, ApiError> {
    let rows = serving.clone().work(move || {
        let histories = serving.store.ledger.projects();
        histories.iter().map(|history| serving.project_row(history)).collect::<Result<Vec<_>, _>>()
    });
    Ok(Json(rows.await?))
}

/// One project: registration, delivery, criteria with both windows, verdicts and what would settle them.
#[utoipa::path(get, path = "/api/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "project id")),
    responses((status = 200, body = ProjectDetail), (status = 404, body = ErrorBody)))]
pub async fn project(
    State(serving): State<Arc<Serving>>,
    Path(project): Path<String>,
) -> Result<Json<ProjectDetail>, ApiError> {
    let history = find(&serving, &project)?;
    let detail = serving.clone().work(move || serving.project_detail(&history).map(|(detail, _)| detail));
    Ok(Json(detail.await?))
}

/// 《项目指标核验单》: a page of its own for printing, in Chinese.
#[utoipa::path(get, path = "/api/v1/projects/{project}/sheet", tag = "projects",
    params(("project" = String, Path, description = "project id")),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sheet_page(
    State(serving): State<Arc<Serving>>,
    Path(project): Path<String>,
) -> Result<Response, ApiError> {
    let (detail, zone) = settled(&serving, &project).await?;
    let page = sheet::sheet(&detail, &zone);
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(policy) = HeaderValue::from_str(&format!("{}; frame-ancestors 'none'", policy(sheet::STYLE))) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// The same as a workbook.
#[utoipa::path(get, path = "/api/v1/projects/{project}/sheet.xlsx", tag = "projects",
    params(("project" = String, Path, description = "project id")),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", body = Vec<u8>),
        (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sheet_book(
    State(serving): State<Arc<Serving>>,
    Path(project): Path<String>,
) -> Result<Response, ApiError> {
    let (detail, zone) = settled(&serving, &project).await?;
    let bytes = workbook::write(&book(&detail, &zone, serving.now())).map_err(|error| ApiError::storage(&error))?;
    let mut response = ([(header::CONTENT_TYPE, XLSX)], bytes).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // An id is safe in a file name.
    let name = format!("attachment; filename=\"{}.xlsx\"", detail.facts.id);
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The project of an id.
fn find(serving: &Serving, project: &str) -> Result<ProjectHistory, ApiError> {
    let id = project.parse::<ProjectId>().ok();
    id.and_then(|id| serving.store.ledger.project(&id)).ok_or_else(|| ApiError::no_project(project))
}

/// The project once its answer is current; E-2504 if that takes too long.
async fn settled(serving: &Arc<Serving>, project: &str) -> Result<(ProjectDetail, TimeZone), ApiError> {
    let mut percent = 0;
    for _ in 0..LOOKS {
        let history = find(serving, project)?;
        let asked = Arc::clone(serving);
        let (detail, zone) = serving.clone().work(move || asked.project_detail(&history)).await?;
        if let (Some(zone), "current") = (zone, detail.facts.state.code.as_str()) {
            return Ok((detail, zone));
        }
        percent = detail.facts.state.percent;
        if detail.facts.state.code == "no-plant" {
            break;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(ApiError::not_finished(project, percent))
}

impl Serving {
    /// What can be said about a project now.
    pub fn project_standing(&self, history: &ProjectHistory) -> Result<Standing, ApiError> {
        self.projects.standing(history, self.now()).map_err(|error| ApiError::storage(&error))
    }

    /// A project as a row of a list.
    pub fn project_row(&self, history: &ProjectHistory) -> Result<ProjectRow, ApiError> {
        let standing = self.project_standing(history)?;
        let software = self.software();
        let view = View { store: &self.store, history, standing: &standing, now: self.now(), software: &software };
        view.row().map_err(|error| ApiError::storage(&error))
    }

    /// A project as a whole, and the zone of its site if that is known.
    pub fn project_detail(&self, history: &ProjectHistory) -> Result<(ProjectDetail, Option<TimeZone>), ApiError> {
        let standing = self.project_standing(history)?;
        let software = self.software();
        let view = View { store: &self.store, history, standing: &standing, now: self.now(), software: &software };
        let detail = view.detail().map_err(|error| ApiError::storage(&error))?;
        let plant = self.store.ledger.plant(&history.current().project.site);
        Ok((detail, plant.map(|version| version.plant.site.time_zone.clone())))
    }
}
