//! Use cases: authorise → load → decide (domain) → write, enqueue and audit in one transaction.
//!
//! A use case is a function `verb_noun(app, actor or scope, request) -> Result<_, AppError>`; those that write return an [`Answer`]
//! and end in [`Write::commit`], which takes the audit entry, so that none is forgotten. May use domain, store, auth, secrets, jobs
//! (to enqueue), kafka and, to ask brokers what only they know, nodes. Knows no HTTP: no status, no header, no axum type.

pub mod acls;
pub mod audit;
pub mod auth;
pub mod bootstrap;
pub mod catalogue;
pub mod certificates;
pub mod client_connections;
pub mod client_quotas;
pub mod connection;
pub mod error;
pub mod failed_creations;
pub mod instances;
pub mod jobs;
mod kafka;
pub mod kafka_rights;
pub mod kafka_users;
pub mod keys;
pub mod me;
pub mod members;
pub mod page;
pub mod projects;
pub mod quotes;
pub mod service_accounts;
pub mod topics;
pub mod usage;
pub mod write;

pub use error::{AppError, Refusal};
pub use write::{Answer, Begun, IdempotencyKey, Write};

use crate::{
    auth::{password::Passwords, token::Tokens},
    clock::Clock,
    kafka::KafkaControl,
    nodes::NodeControl,
    secrets::Keyring,
    store::Database,
    telemetry::metrics::Metrics,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What use cases work with. One for the life of the process, behind an `Arc`.
#[derive(Debug)]
pub struct App {
    pub db: Database,
    pub clock: Clock,
    pub keyring: Keyring,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub sign_in: auth::SignInPolicy,
    /// Wakes who watches jobs.
    pub feed: jobs::JobFeed,
    /// To ask brokers who is connected.
    pub nodes: Arc<dyn NodeControl>,
    /// To read what only Kafka knows.
    pub kafka: Arc<dyn KafkaControl>,
    pub metrics: Metrics,
    /// Cancelled when the process begins to stop: long answers (streams, waits) end then.
    pub stopping: CancellationToken,
}

/// The entity tag of a row at this revision.
pub fn etag(revision: i64) -> String {
    format!("r{revision}")
}

/// Refuses a change that was made from another version than the present one. `if_match`: the tags that the caller
/// accepts; `None` when it does not care.
pub fn check_etag(if_match: Option<&[String]>, revision: i64) -> Result<(), AppError> {
    check_tag(if_match, &etag(revision))
}

/// The same for what has another tag than its revision.
pub fn check_tag(if_match: Option<&[String]>, present: &str) -> Result<(), AppError> {
    match if_match {
        Some(tags) if !tags.iter().any(|tag| tag == present || tag == "*") => {
            Err(Refusal::new(control_plane_api::problem::ProblemCode::EtagMismatch).with("etag", present).into())
        }
        _ => Ok(()),
    }
}
