//! The REST API: routers, extractors, middleware, problems.
//!
//! A handler parses (extractors), calls one function of `app`, and maps its result. Two audiences have two documents: `tenant` and
//! `operator`; every route is registered by `routes!`, so that nothing is served undocumented. An endpoint is one file and
//! one line in its audience's `router`. May use app, domain (types of actors and rights) and control-plane-api; no SQL, no rules.

pub mod accepted;
pub mod conditional;
pub mod context;
pub mod extract;
pub mod operator;
pub mod problem;
pub mod respond;
pub mod tenant;

pub use extract::{Idempotent, IfMatch, NoBody, ResourcePath, ValidJson, ValidQuery};
pub use problem::HttpError;
pub use respond::{Created, Replayable, Tagged};

use crate::app::App;
use axum::{Router, middleware};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// A router whose handlers get the [`App`] and whose operations are in a document.
pub type ApiRouter = OpenApiRouter<Arc<App>>;

/// Everything that is served to the outside.
pub fn router(app: Arc<App>) -> Router {
    let (tenant, _document) = tenant::router().split_for_parts();
    let (operator, _document) = operator::router().split_for_parts();
    tenant
        .merge(operator)
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(middleware::from_fn(conditional::not_modified))
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn(context::enter))
        .with_state(app)
}
