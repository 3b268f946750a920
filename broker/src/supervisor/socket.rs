//! The supervisor's own API: HTTP on a unix socket in the node directory.
//!
//! Owns the routes of [`broker_api::paths::supervisor`]. The socket's mode (0600, in a directory of
//! 0700) is what keeps others out. Holds no state of its own.

use super::Supervisor;
use crate::answer::{refuse, to_its_end};
use crate::directory::short_path;
use crate::error_text;
use crate::spec;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use broker_api::paths::supervisor as paths;
use broker_api::refusal::RefusalCode;
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
use tokio::net::UnixListener;

/// A spec is some tens of KiB: certificates and an address for every broker.
pub const MAX_SPEC_BYTES: usize = 1 << 20;
const STOP_DEADLINE_MS: u64 = 60_000;

/// Listens on `path`, in place of whatever an earlier supervisor left there.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_directory, short) = short_path(path)?;
    let listener = UnixListener::bind(short)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub fn router(supervisor: Arc<Supervisor>) -> Router {
    Router::new()
        .route(paths::STATUS, get(status))
        .route(paths::SPEC, put(put_spec))
        .route(paths::STOP, post(stop))
        .route(paths::REPLACE_GATEWAY, post(replace_gateway))
        .layer(DefaultBodyLimit::max(MAX_SPEC_BYTES))
        .with_state(supervisor)
}

async fn status(State(supervisor): State<Arc<Supervisor>>) -> Response {
    Json(supervisor.status()).into_response()
}

async fn put_spec(State(supervisor): State<Arc<Supervisor>>, body: Bytes) -> Response {
    let applied = match spec::parse(&body) {
        Ok(spec) => {
            let supervisor = supervisor.clone();
            to_its_end(async move { supervisor.apply(spec).await }).await
        }
        Err(error) => Err(error),
    };
    match applied {
        Ok(()) => Json(supervisor.status()).into_response(),
        Err(error) => refuse(error.code(), error_text(&error), error.generation()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopQuery {
    deadline_ms: Option<u64>,
}

async fn stop(State(supervisor): State<Arc<Supervisor>>, query: Query<StopQuery>) -> Response {
    let deadline = Duration::from_millis(query.deadline_ms.unwrap_or(STOP_DEADLINE_MS));
    let stopping = supervisor.clone();
    to_its_end(async move { stopping.stop(deadline).await }).await;
    Json(supervisor.status()).into_response()
}

async fn replace_gateway(State(supervisor): State<Arc<Supervisor>>) -> Response {
    match supervisor.replace_gateway().await {
        Ok(()) => Json(supervisor.status()).into_response(),
        Err(detail) => refuse(RefusalCode::Unavailable, detail, None),
    }
}
