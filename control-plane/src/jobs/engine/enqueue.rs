//! Putting a job into the caller's transaction.

use super::{lease::params_context, registry::describe, workflow::Workflow};
use crate::{
    clock::Clock,
    secrets::{Keyring, SecretError},
    store::{
        Connection, StoreError,
        jobs::{self, NewRow, NewStep},
    },
};
use chrono::{DateTime, Utc};
use control_plane_api::id::{JobId, OrganisationId, ProjectId};
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
    Seal(#[source] SecretError),
    /// [`StoreError::JobActive`] when another job changes the resource now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Adds the job to the caller's transaction, of either role; runners hear of it when that commits.
pub async fn enqueue<W: Workflow>(
    tx: &mut Connection,
    keyring: &Keyring,
    clock: &Clock,
    job: NewJob<W>,
) -> Result<JobId, EnqueueError> {
    let unwritable = |source| EnqueueError::Params { kind: W::KIND, source };
    let params = serde_json::to_value(&job.params).map_err(unwritable)?;
    let secrets = serde_json::to_vec(&job.secrets).map_err(unwritable)?;
    let sealed = match secrets.as_slice() {
        b"null" => None,
        text => Some(keyring.seal(&params_context(job.id), text).map_err(EnqueueError::Seal)?),
    };
    let kind = describe::<W>();
    let steps: Vec<_> = kind
        .steps
        .iter()
        .map(|step| NewStep { name: step.name, title: step.title, by_broker: step.by_broker })
        .collect();
    let row = NewRow {
        id: job.id,
        org: job.org,
        project: job.project,
        kind: W::KIND,
        exclusive: W::EXCLUSIVE,
        params_version: W::VERSION,
        params: &params,
        params_sealed: sealed.as_deref(),
        resource: job.resource.as_ref().map(|of| (of.kind, of.id, of.name.as_str())),
        actor: &job.actor,
        request_id: &job.request_id,
        priority: job.priority,
        run_after: job.run_after,
        steps: &steps,
    };
    jobs::insert(tx, &row, clock.now()).await?;
    Ok(job.id)
}
