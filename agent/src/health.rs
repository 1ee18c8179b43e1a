//! `/health` and `/metrics` on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What `/health` answers.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    /// `ok`, or `degraded` when a hand is needed.
    pub status: &'static str,
    /// Program and version.
    pub software: &'static str,
    /// Site of this agent.
    pub site: String,
    /// This agent.
    pub agent: String,
    /// The key its blocks are signed with.
    pub public_key: String,
    /// How far the chain has come.
    pub progress: crate::Progress,
    /// Whether the disk refuses writes.
    pub disk_refuses: bool,
}

/// Makes the answer anew for each request.
pub type Report = Arc<dyn Fn() -> Health + Send + Sync>;

/// A listener on `address`; a task that serves it until `stop`.
pub async fn serve(
    address: SocketAddr,
    report: Report,
    metrics: Metrics,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(async move || metrics.text()))
        .with_state(report);
    let served = async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "serving /health ended");
        }
    };
    Ok((bound, served))
}

async fn health(State(report): State<Report>) -> (StatusCode, Json<Health>) {
    let health = report();
    let code = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health))
}
