//! What a step sees of its job, and no more.

use super::{error::StepError, lease::Lease, workflow::Workflow};
use crate::{clock::Clock, store::SystemTx};
use control_plane_api::{
    id::{JobId, OrganisationId, ProjectId},
    job::StepState,
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use uuid::Uuid;

/// Who the job is for.
#[derive(Debug, Clone)]
pub struct JobHandle {
    pub id: JobId,
    pub org: OrganisationId,
    pub project: ProjectId,
    pub resource: Option<Uuid>,
    pub actor: String,
    pub request_id: String,
}

/// Parameters, environment and the fenced way to the database.
pub struct StepContext<'a, W: Workflow> {
    pub job: &'a JobHandle,
    pub params: &'a W::Params,
    pub secrets: &'a W::Secrets,
    pub environment: &'a W::Environment,
    pub(super) lease: &'a Lease,
    /// Position of the step that runs.
    pub(super) position: usize,
}

impl<W: Workflow> StepContext<'_, W> {
    pub fn clock(&self) -> &Clock {
        &self.lease.clock
    }

    /// A transaction in which the job is locked and the claim has been checked: what is written in it is written by the
    /// one runner that holds the job. Keep it short; never call out of the process inside.
    pub async fn transaction(&self) -> Result<SystemTx, StepError> {
        Ok(self.lease.begin().await?.0)
    }

    /// Tells users what the step is doing or waiting for. `percent` is of this step. Repeats are free.
    pub async fn progress(&self, detail: impl Into<String>, percent: u32) -> Result<(), StepError> {
        self.lease.report(self.position, detail.into(), percent).await
    }

    /// Tells users what became of one broker in a step that goes by brokers: what was done, why it could not be, or what
    /// it is tried again for, in a sentence that names the broker. `percent` is of this step.
    pub async fn broker_done(
        &self,
        node_id: i32,
        outcome: &Result<String, StepError>,
        percent: u32,
    ) -> Result<(), StepError> {
        let (state, detail) = match outcome {
            Ok(what) => (StepState::Succeeded, what.as_str()),
            // The step comes again.
            Err(StepError::Transient(cause)) => (StepState::Running, cause.detail.as_str()),
            Err(StepError::Permanent(cause)) => (StepState::Failed, cause.detail.as_str()),
            // Another runner tells, or the undo.
            Err(StepError::LeaseLost | StepError::Cancelled) => return Ok(()),
        };
        self.lease.report_broker(self.position, node_id, state, detail, percent).await
    }

    /// What this or an earlier step kept under `key`; `None` also when it has another shape than `T`.
    pub fn recall<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.lease.recall(key).and_then(|value| serde_json::from_value(value).ok())
    }

    /// Keeps a value, never a secret, for later steps and for a repeat of this one.
    pub async fn keep<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<(), StepError> {
        self.lease.keep_value(key, serde_json::json!(value)).await
    }

    /// Leaves the job's result in the transaction of [`super::Step::commit`]. `once` is sealed, and shown once.
    pub async fn set_result<T, S>(&self, tx: &mut SystemTx, result: &T, once: Option<&S>) -> Result<(), StepError>
    where
        T: Serialize + Sync,
        S: Serialize + Sync,
    {
        self.lease.set_result(tx, &serde_json::json!(result), once.map(|secret| serde_json::json!(secret))).await
    }
}

impl<W: Workflow> fmt::Debug for StepContext<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext").field("kind", &W::KIND).field("job", &self.job).finish_non_exhaustive()
    }
}
