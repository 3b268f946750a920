//! A runner's hold on a job, and the only way by which it writes.

use super::{
    error::{StepError, chain},
    progress::Weights,
};
use crate::{
    clock::Clock,
    secrets::Keyring,
    store::{
        Connection, Database, StoreError, SystemTx,
        jobs::{self, BrokerPart, Claim, Event},
    },
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::JobId,
    job::{JobState, StepState},
    problem::ProblemCode,
};
use serde_json::{Map, Value};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Progress is written at most this often, and at once when its text changes.
const PERCENT_EVERY: chrono::Duration = chrono::Duration::seconds(1);

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) keyring: Keyring,
    pub(super) claim: Claim,
    pub(super) length: Duration,
    pub(super) weights: Weights,
    /// Rung when the job needs a look before the next renewal.
    pub(super) bell: Arc<Notify>,
    scratch: Mutex<Map<String, Value>>,
    reported: Mutex<Option<Reported>>,
}

#[derive(Debug, Clone)]
struct Reported {
    position: usize,
    detail: String,
    percent: u32,
    at: DateTime<Utc>,
}

/// Why a lease stopped being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Another runner has the job, or may have.
    Lost,
    /// Somebody asked for the job to be cancelled.
    Cancelling,
}

impl Lease {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        database: Database,
        clock: Clock,
        keyring: Keyring,
        claim: Claim,
        length: Duration,
        weights: Weights,
        bell: Arc<Notify>,
        scratch: Value,
    ) -> Self {
        let scratch = match scratch {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Self {
            database,
            clock,
            keyring,
            claim,
            length,
            weights,
            bell,
            scratch: Mutex::new(scratch),
            reported: Mutex::new(None),
        }
    }

    /// A transaction that holds the job's row, and the state it is in.
    pub(super) async fn begin(&self) -> Result<(SystemTx, JobState), StepError> {
        let mut tx = self.database.system().await?;
        match jobs::lock(&mut tx, &self.claim, self.clock.now()).await? {
            Some(state) => Ok((tx, state)),
            None => Err(StepError::LeaseLost),
        }
    }

    /// Prolongs the lease for as long as it is polled; returns when the step that runs must be dropped.
    ///
    /// A renewal that fails is tried again until the lease has certainly ended: a database that is away for a second
    /// must not stop jobs.
    pub(super) async fn hold(&self) -> Kept {
        let mut failing_since = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.length / 4) => {}
                () = self.bell.notified() => {}
            }
            let now = self.clock.now();
            match self.renew(now).await {
                Ok(Some(JobState::Cancelling)) => return Kept::Cancelling,
                Ok(Some(_)) => failing_since = None,
                Ok(None) => return Kept::Lost,
                Err(error) => {
                    let since = *failing_since.get_or_insert(now);
                    tracing::warn!(job.id = %self.claim.job, %error, "could not renew the lease of a job");
                    if now - since > chrono::Duration::from_std(self.length).unwrap_or_default() {
                        return Kept::Lost;
                    }
                }
            }
        }
    }

    async fn renew(&self, now: DateTime<Utc>) -> Result<Option<JobState>, StoreError> {
        let mut connection = self.database.system_connection().await?;
        jobs::renew(&mut *connection, &self.claim, self.length, now).await
    }

    /// Like [`Lease::hold`], while undoing: there a cancellation is no news.
    pub(super) async fn hold_through(&self) -> Kept {
        loop {
            if self.hold().await == Kept::Lost {
                return Kept::Lost;
            }
        }
    }

    pub(super) async fn event(&self, tx: &mut Connection, event: Event<'_>) -> Result<(), StepError> {
        Ok(jobs::event(tx, self.claim.job, self.claim.org, event, self.clock.now()).await?)
    }

    pub(super) async fn report(&self, position: usize, detail: String, percent: u32) -> Result<(), StepError> {
        let now = self.clock.now();
        let previous = self.reported.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = previous.filter(|last| last.position == position && last.detail == detail)
            && (last.percent == percent || now - last.at < PERCENT_EVERY)
        {
            return Ok(());
        }
        let (mut tx, _) = self.begin().await?;
        jobs::progress(&mut tx, self.claim.job, position, &detail, self.weights.percent(position, percent)).await?;
        self.event(&mut tx, Event { name: "progress", step: None, attempt: 0, detail: Some(&detail) }).await?;
        tx.commit().await?;
        let reported = Reported { position, detail, percent, at: now };
        *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = Some(reported);
        Ok(())
    }

    /// A repeat is written again, as another line of the history; the broker keeps the time at which it came into its state.
    pub(super) async fn report_broker(
        &self,
        position: usize,
        node_id: i32,
        state: StepState,
        detail: &str,
        percent: u32,
    ) -> Result<(), StepError> {
        let part = BrokerPart { node_id, state, detail };
        let (mut tx, _) = self.begin().await?;
        jobs::broker(&mut tx, &self.claim, position, part, self.clock.now()).await?;
        let percent = self.weights.percent(position, percent);
        jobs::progress(&mut tx, self.claim.job, position, detail, percent).await?;
        self.event(&mut tx, Event { name: "progress", step: None, attempt: 0, detail: Some(detail) }).await?;
        Ok(tx.commit().await?)
    }

    pub(super) fn recall(&self, key: &str) -> Option<Value> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) async fn keep_value(&self, key: &str, value: Value) -> Result<(), StepError> {
        let (mut tx, _) = self.begin().await?;
        jobs::keep(&mut tx, self.claim.job, key, &value).await?;
        tx.commit().await?;
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
        Ok(())
    }

    pub(super) async fn set_result(
        &self,
        tx: &mut Connection,
        result: &Value,
        once: Option<Value>,
    ) -> Result<(), StepError> {
        let sealed = once
            .map(|secret| self.keyring.seal(&result_context(self.claim.job), secret.to_string().as_bytes()))
            .transpose()
            .map_err(|error| {
                StepError::transient(ProblemCode::Internal, "the result could not be sealed", chain(&error))
            })?;
        Ok(jobs::set_result(tx, self.claim.job, result, sealed.as_deref()).await?)
    }
}

/// What secret parameters of a job are sealed for.
pub(super) fn params_context(job: JobId) -> String {
    format!("jobs:{job}:params")
}

/// What the secret part of a job's result is sealed for.
pub fn result_context(job: JobId) -> String {
    format!("jobs:{job}:result")
}
