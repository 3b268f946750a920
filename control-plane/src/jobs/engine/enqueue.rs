//! Putting a job into the caller's transaction.

use super::{registry::describe, workflow::Workflow};
use crate::{
    clock::Clock,
    secrets::Keyring,
    store::jobs::{self, NewRow},
};
use chrono::{DateTime, Utc};
use control_plane_api::id::{JobId, OrganisationId, ProjectId};
use sqlx::PgConnection;
use uuid::Uuid;

/// What a job changes. One active job at a time may.
#[derive(Debug, Clone)]
pub struct Resource {
    /// `instance`.
    pub kind: &'static str,
    pub id: Uuid,
    pub name: String,
}

/// A job to be started.
#[derive(Debug)]
pub struct NewJob<W: Workflow> {
    pub id: JobId,
    pub org: OrganisationId,
    pub project: ProjectId,
    pub params: W::Params,
    pub secrets: W::Secrets,
    pub resource: Option<Resource>,
    pub actor: String,
    pub request_id: String,
    /// Higher goes first; 0 for what a tenant asked for.
    pub priority: i32,
    /// Not before; now for at once.
    pub run_after: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    #[error("parameters of a {kind} job cannot be written as JSON")]
    Params {
        kind: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("secrets of a job cannot be sealed")]
    Seal(#[source] crate::secrets::SecretError),
    /// Another job changes the resource now.
    #[error("another job is changing the resource")]
    Busy,
    #[error("the job cannot be written")]
    Store(#[source] sqlx::Error),
}
