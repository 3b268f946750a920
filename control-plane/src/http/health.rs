//! Health, readiness, version. Without sign-in, and outside the documents' paths of tenants.

use crate::{app::App, http::ApiRouter};
use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use utoipa_axum::routes;

/// A database that takes longer than this to answer is not one to send requests to.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

pub fn router() -> ApiRouter {
    ApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(version))
}

/// Is the process alive
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok"
}

/// Should requests be sent here
///
/// 503 while the process starts or stops, or cannot reach its database.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = String, content_type = "text/plain")))]
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    match tokio::time::timeout(PING_TIMEOUT, app.db.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready"),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "database not reached");
            (StatusCode::SERVICE_UNAVAILABLE, "database not reached")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "database too slow"),
    }
}

/// Version of the service
#[utoipa::path(get, path = "/version", tag = "health", responses((status = 200, body = Value)))]
async fn version() -> Json<Value> {
    Json(json!({ "name": "sluice-control-plane", "version": env!("CARGO_PKG_VERSION") }))
}
