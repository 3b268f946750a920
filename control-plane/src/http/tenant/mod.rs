//! `/v1`: what tenants use.

pub mod projects;

use crate::http::ApiRouter;

pub fn router() -> ApiRouter {
    ApiRouter::new().merge(projects::router())
}
