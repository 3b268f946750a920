//! `/v1`: what tenants use.

pub mod access;
pub mod acls;
pub mod audit;
pub mod auth;
pub mod bandwidth;
pub mod capacity;
pub mod catalogue;
pub mod certificates;
pub mod client_connections;
pub mod client_quotas;
pub mod connection;
pub mod connection_limits;
pub mod errors;
pub mod failed_creations;
pub mod instances;
pub mod jobs;
pub mod kafka_rights;
pub mod kafka_users;
pub mod me;
pub mod members;
pub mod metrics;
pub mod projects;
pub mod quotes;
pub mod service_accounts;
pub mod topics;
pub mod usage;

use crate::http::ApiRouter;

pub fn router() -> ApiRouter {
    ApiRouter::new()
        .merge(auth::router())
        .merge(errors::router())
        .merge(me::router())
        .merge(projects::router())
        .merge(members::router())
        .merge(service_accounts::router())
        .merge(audit::router())
        .merge(catalogue::router())
        .merge(quotes::router())
        .merge(instances::router())
        .merge(failed_creations::router())
        .merge(access::router())
        .merge(bandwidth::router())
        .merge(capacity::router())
        .merge(connection::router())
        .merge(connection_limits::router())
        .merge(certificates::router())
        .merge(kafka_users::router())
        .merge(kafka_rights::router())
        .merge(acls::router())
        .merge(topics::router())
        .merge(client_connections::router())
        .merge(client_quotas::router())
        .merge(usage::router())
        .merge(metrics::router())
        .merge(jobs::router())
}
