//! The HTTP API, version 1: its routes and the OpenAPI document that lists them.
//!
//! JSON throughout; times are RFC 3339 in UTC; exact numbers stand as text beside their decimals; texts for people
//! come in both languages. There is no method but GET.

pub mod blocks;
pub mod equipment;
pub mod error;
pub mod maturity;
pub mod projects;
pub mod query;
pub mod record_shape;
pub mod region;
pub mod region_shape;
pub mod sites;
pub mod tags;
pub mod timeline;
pub mod unit_shape;
pub mod units;
pub mod vocabulary;
pub mod windows;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Serving, health, live};

/// Title and tags of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Plumbline 准绳",
        description = "Figures of pilot factories with their bounds and coverage, and everything they were worked out from. Read-only.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "plant", description = "工厂模型: sites, equipment"),
        (name = "figures", description = "指标: work units, windows, timelines, energy"),
        (name = "projects", description = "项目: registration, delivery, criteria and verdicts"),
        (name = "record", description = "记录: tags, samples, blocks, agents, the log"),
        (name = "live", description = "实时: server-sent events"),
        (name = "service", description = "运行: health and metrics")
    ),
    components(schemas(live::SampleEvent, live::ProgressEvent))
)]
struct Document;

/// All routes, and the document that lists exactly these.
pub fn routes() -> (Router<Arc<Serving>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(sites::overview))
        .routes(routes!(sites::sites))
        .routes(routes!(equipment::equipment))
        .routes(routes!(equipment::networked))
        .routes(routes!(equipment::equipment_book))
        .routes(routes!(maturity::maturity))
        .routes(routes!(sites::agents))
        .routes(routes!(sites::log))
        .routes(routes!(units::units))
        .routes(routes!(units::unit))
        .routes(routes!(windows::windows))
        .routes(routes!(windows::window))
        .routes(routes!(timeline::timeline))
        .routes(routes!(timeline::energy))
        .routes(routes!(tags::tags))
        .routes(routes!(tags::samples))
        .routes(routes!(blocks::block))
        .routes(routes!(blocks::block_bytes))
        .routes(routes!(region::region))
        .routes(routes!(region::region_book))
        .routes(routes!(projects::projects))
        .routes(routes!(projects::project))
        .routes(routes!(projects::sheet_page))
        .routes(routes!(projects::sheet_book))
        .routes(routes!(live::events))
        .routes(routes!(health::health))
        .routes(routes!(health::metrics))
        .split_for_parts()
}
