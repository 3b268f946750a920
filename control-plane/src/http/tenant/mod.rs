//! `/v1`: what tenants use.

pub mod auth;
pub mod me;
pub mod projects;

use crate::http::ApiRouter;

pub fn router() -> ApiRouter {
    ApiRouter::new().merge(auth::router()).merge(me::router()).merge(projects::router())
}
