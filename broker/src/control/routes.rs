//! Routes of the control API: parse, ask [`NodeControl`], answer. Paths are [`broker_api::paths`].

use super::state::NodeControl;
use crate::answer::{refuse, to_its_end};
use crate::error_text;
use crate::supervisor::MAX_SPEC_BYTES;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use broker_api::paths;
use broker_api::refusal::RefusalCode;
use broker_api::status::NodeState;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn router(node: Arc<NodeControl>) -> Router {
    Router::new()
        .route(paths::STATUS, get(status))
        .route(paths::SPEC, put(put_spec))
        .route(paths::HEALTH, get(async || "ok\n"))
        .route(paths::READY, get(ready))
        .route(paths::METRICS, get(metrics))
        .fallback(async || refuse(RefusalCode::NotFound, "no such path".to_owned(), None))
        .layer(DefaultBodyLimit::max(MAX_SPEC_BYTES))
        .with_state(node)
}

async fn status(State(node): State<Arc<NodeControl>>) -> Response {
    Json(node.status().await).into_response()
}

async fn put_spec(State(node): State<Arc<NodeControl>>, body: Bytes) -> Response {
    let accepting = node.clone();
    match to_its_end(async move { accepting.accept(&body).await }).await {
        Ok(()) => Json(node.status().await).into_response(),
        Err(error) => refuse(error.code(), error_text(&error), error.generation()),
    }
}

async fn ready(State(node): State<Arc<NodeControl>>) -> Response {
    let status = node.status().await;
    match status.state {
        NodeState::Ready => "ready\n".into_response(),
        _ => refuse(RefusalCode::Unavailable, status.reason, None),
    }
}

async fn metrics(State(node): State<Arc<NodeControl>>) -> Response {
    match node.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => refuse(RefusalCode::Unavailable, error.to_string(), None),
    }
}
