//! `/health` for supervisors and `/metrics` for Prometheus.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::TextEncoder;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Serving, web};
use crate::serve::api::error::ApiError;

/// Whether the collector does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `degraded` when a check failed.
    #[schema(example = "ok")]
    pub status: String,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub ok: bool,
    /// What was found, in Chinese.
    pub zh: String,
    /// What was found, in English.
    pub en: String,
}

/// Whether the collector does its work: 200, or 503 when it does not.
#[utoipa::path(get, path = "/health", tag = "service",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub async fn health(State(serving): State<Arc<Serving>>) -> Response {
    let store = serving.clone().work({
        let serving = Arc::clone(&serving);
        move || serving.store.log.leaf(0).map_err(|error| ApiError::storage(&error))
    });
    let readable = store.await.is_ok();
    let refuses = gauge(&serving, "collector_disk_refuses") == Some(true);
    let connected = gauge(&serving, "collector_mqtt_connected");
    let checks = vec![
        check("log", readable, "日志可读", "the log can be read", "日志不可读", "the log cannot be read"),
        check(
            "disk",
            !refuses,
            "磁盘可写",
            "the disk takes writes",
            "磁盘拒绝写入, 暂停确认",
            "the disk refuses writes, nothing is acknowledged",
        ),
        check(
            "broker",
            connected != Some(false),
            "已连接 MQTT 代理",
            "connected to the MQTT broker",
            "未连接 MQTT 代理",
            "not connected to the MQTT broker",
        ),
    ];
    let ok = checks.iter().all(|check| check.ok);
    let mut checks = checks;
    let built = web::is_built();
    // Said, but no reason to restart anything.
    checks.push(Check {
        name: "web".to_owned(),
        ok: true,
        zh: if built { "网页应用已内置" } else { "网页应用未构建" }.to_owned(),
        en: if built { "the web application is embedded" } else { "web not built" }.to_owned(),
    });
    checks.extend(mirror(&serving));
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = Health { status: if ok { "ok" } else { "degraded" }.to_owned(), checks };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn check(name: &str, ok: bool, good_zh: &str, good_en: &str, bad_zh: &str, bad_en: &str) -> Check {
    let (zh, en) = if ok { (good_zh, good_en) } else { (bad_zh, bad_en) };
    Check { name: name.to_owned(), ok, zh: zh.to_owned(), en: en.to_owned() }
}

/// How far the mirror is, where there is one. It is a copy: said, but no reason to restart anything either.
fn mirror(serving: &Serving) -> Option<Check> {
    let up = gauge(serving, "collector_mirror_up")?;
    let (lag, parked) =
        (number(serving, "collector_mirror_lag_leaves")?, number(serving, "collector_mirror_parked_lines")?);
    let (zh, en) = if up {
        ("镜像正常", "the mirror takes lines")
    } else {
        ("镜像受阻, 正在重试", "the mirror takes no lines, tried again")
    };
    Some(Check {
        name: "mirror".to_owned(),
        ok: true,
        zh: format!("{zh}; 落后 {lag} 个日志叶, 搁置 {parked} 行"),
        en: format!("{en}; {lag} leaves behind, {parked} lines parked"),
    })
}

/// Whether a gauge of this process stands above zero; `None` if there is none of that name.
fn gauge(serving: &Serving, name: &str) -> Option<bool> {
    number(serving, name).map(|number| number > 0.0)
}

/// Where a gauge of this process stands; `None` if there is none of that name.
fn number(serving: &Serving, name: &str) -> Option<f64> {
    let families = serving.registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    family.get_metric().first().map(|metric| metric.get_gauge().get_value())
}

/// The process's own metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn metrics(State(serving): State<Arc<Serving>>) -> Result<Response, ApiError> {
    let text = TextEncoder::new().encode_to_string(&serving.registry.gather()).map_err(|e| ApiError::storage(&e))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
