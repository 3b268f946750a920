//! Routes of the control API: parse, ask [`NodeControl`], answer. Paths are [`broker_api::paths`].

use super::state::NodeControl;
use crate::answer::{refuse, to_its_end};
use crate::error_text;
use crate::supervisor::MAX_SPEC_BYTES;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use broker_api::connections::{
    AskUnkept, CloseConnections, ClosedConnections, ListConnections, MAX_CLOSED, MAX_LISTED,
};
use broker_api::paths;
use broker_api::refusal::RefusalCode;
use broker_api::status::NodeState;
use broker_api::topics::ChangeTopic;
use serde::de::DeserializeOwned;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn router(node: Arc<NodeControl>) -> Router {
    Router::new()
        .route(paths::STATUS, get(status))
        .route(paths::SPEC, put(put_spec))
        .route(paths::CONNECTIONS, post(connections))
        .route(paths::CLOSE_CONNECTIONS, post(close_connections))
        .route(paths::UNKEPT_CONNECTIONS, post(unkept_connections))
        .route(paths::PARTITIONS, get(partitions))
        .route(paths::GROUPS, get(groups))
        .route(paths::TOPICS, post(change_topic))
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

async fn connections(State(node): State<Arc<NodeControl>>, body: Bytes) -> Response {
    let asked: ListConnections = match parsed(&body) {
        Ok(asked) => asked,
        Err(detail) => return refuse(RefusalCode::Malformed, detail, None),
    };
    if !(1..=MAX_LISTED).contains(&asked.limit) {
        let detail = format!("limit is {}; 1 to {MAX_LISTED} are accepted", asked.limit);
        return refuse(RefusalCode::Malformed, detail, None);
    }
    Json(node.gateway().list_connections(&asked)).into_response()
}

async fn close_connections(State(node): State<Arc<NodeControl>>, body: Bytes) -> Response {
    let which: CloseConnections = match parsed(&body) {
        Ok(which) => which,
        Err(detail) => return refuse(RefusalCode::Malformed, detail, None),
    };
    let wrong = match &which {
        CloseConnections::Ids(ids) => (ids.len() > MAX_CLOSED).then(|| format!("{MAX_CLOSED} ids at most")),
        CloseConnections::Filter(filter) => {
            filter.is_empty().then(|| "a filter names ip, user or client_id".to_owned())
        }
    };
    if let Some(detail) = wrong {
        return refuse(RefusalCode::Malformed, detail, None);
    }
    Json(ClosedConnections { closed: node.gateway().close_connections(&which) }).into_response()
}

async fn unkept_connections(State(node): State<Arc<NodeControl>>, body: Bytes) -> Response {
    let asked: AskUnkept = match parsed(&body) {
        Ok(asked) => asked,
        Err(detail) => return refuse(RefusalCode::Malformed, detail, None),
    };
    match tokio::task::spawn_blocking(move || node.gateway().unkept_connections(&asked)).await {
        Ok(Ok(unkept)) => Json(unkept).into_response(),
        Ok(Err(error)) => refuse(RefusalCode::Unservable, error_text(&error), None),
        Err(error) => refuse(RefusalCode::Unavailable, format!("connections can't be looked at now: {error}"), None),
    }
}

async fn partitions(State(node): State<Arc<NodeControl>>) -> Response {
    match node.gateway().partitions().await {
        Ok(partitions) => Json(partitions).into_response(),
        Err(error) => refuse(RefusalCode::Unavailable, format!("partitions can't be counted now: {error}"), None),
    }
}

async fn groups(State(node): State<Arc<NodeControl>>) -> Response {
    match node.gateway().groups().await {
        Ok(groups) => Json(groups).into_response(),
        Err(error) => refuse(RefusalCode::Unavailable, format!("groups can't be counted now: {error}"), None),
    }
}

async fn change_topic(State(node): State<Arc<NodeControl>>, body: Bytes) -> Response {
    let asked: ChangeTopic = match parsed(&body) {
        Ok(asked) => asked,
        Err(detail) => return refuse(RefusalCode::Malformed, detail, None),
    };
    match to_its_end(async move { node.gateway().change_topic(&asked).await }).await {
        Ok(outcome) => Json(outcome).into_response(),
        Err(error) => refuse(RefusalCode::Unavailable, format!("Kafka did not answer: {error}"), None),
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not understood: {error}"))
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
