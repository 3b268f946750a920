//! The REST API: routers, extractors, middleware, problems.
//!
//! A handler parses (extractors), calls one function of `app`, and maps its result. Two audiences have two documents: `tenant` and
//! `operator`; every route is registered by `routes!`, so that nothing is served undocumented. An endpoint is one file and
//! one line in its audience's `router`. May use app, domain (types of actors and rights), telemetry and control-plane-api; no
//! SQL, no rules.

pub mod accepted;
pub mod conditional;
pub mod context;
pub mod docs;
pub mod documents;
pub mod extract;
mod field_text;
pub mod health;
pub mod limits;
pub mod middleware;
pub mod operator;
pub mod problem;
pub mod respond;
pub mod server;
pub mod tenant;

pub use extract::{Idempotent, IfMatch, NoBody, ResourcePath, ValidJson, ValidQuery};
pub use problem::HttpError;
pub use respond::{Created, Linked, Listed, Replayable, Tagged};

use crate::app::App;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
use limits::{Limits, Rate};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

/// A router whose handlers get the [`App`] and whose operations are in a document.
pub type ApiRouter = OpenApiRouter<Arc<App>>;

/// What the API allows its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Of each user and service account.
    pub callers: Rate,
    /// Of each address.
    pub sign_ins: Rate,
    /// Requests worked on at once.
    pub concurrency: usize,
    pub timeout: Duration,
}

/// Everything that is served to the outside. Fails only if the documents cannot be written as JSON.
pub fn router(app: Arc<App>, settings: Settings) -> Result<Router, serde_json::Error> {
    let (routes, api) = documents::routes();
    let limits = Arc::new(Limits::new(settings.callers, settings.sign_ins));
    let bounds =
        middleware::Bounds { slots: Arc::new(Semaphore::new(settings.concurrency)), timeout: settings.timeout };
    Ok(routes
        .merge(docs::router(&api)?)
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(from_fn(respond::link_next))
        .layer(from_fn(conditional::not_modified))
        .layer(from_fn_with_state((app.clone(), Arc::new(api.queries())), middleware::known_parameters))
        .layer(from_fn_with_state((app.clone(), Arc::new(api.ids())), middleware::audit_refusals))
        .layer(DefaultBodyLimit::max(extract::MAX_BODY_BYTES))
        .layer(from_fn_with_state(bounds, middleware::bound))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn(problem::render))
        .layer(from_fn(middleware::protect))
        .layer(from_fn_with_state((app.clone(), limits), middleware::observe))
        .with_state(app))
}
