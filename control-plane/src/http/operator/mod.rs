//! `/operator/v1`: what operators of the platform use. To everybody else it does not exist.

pub mod capacity;
pub mod catalogue;
pub mod connection_limits;
pub mod metrics;

use crate::http::ApiRouter;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .merge(catalogue::router())
        .merge(capacity::router())
        .merge(connection_limits::router())
        .merge(metrics::router())
}
