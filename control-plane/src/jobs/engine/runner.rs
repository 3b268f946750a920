//! Claims jobs and runs each of them until it ends, waits, or is no longer ours.

use super::{
    metrics::{Ended, Metrics},
    progress::WeightCache,
    registry::Registry,
    work::Work,
};
use crate::{
    clock::Clock,
    secrets::Keyring,
    store::{
        Database, StoreError,
        jobs::{self, ClaimLimits, ClaimedRow},
    },
};
use control_plane_api::{id::JobId, job::JobState};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

/// How a runner's work on a job came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The job is in a state that it does not leave by itself.
    Ended(JobState),
    /// It waits for another try; the lease is given back.
    Waiting,
    /// The lease was lost: another runner has the job or will.
    Lost,
    /// This runner stops; the lease is given back.
    Stopped,
    /// The database failed under us; the lease will end by itself.
    Failed,
}

/// Claims jobs and runs them. Cheap to clone.
#[derive(Debug)]
pub struct Runner<E> {
    pub(super) shared: Arc<Shared<E>>,
}

impl<E> Clone for Runner<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Shared<E> {
    pub(super) database: Database,
    pub(super) registry: Registry<E>,
    pub(super) environment: E,
    pub(super) keyring: Keyring,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) lease: Duration,
    /// Names the lease in the table: process and a random part.
    pub(super) owner: String,
    pub(super) stop: CancellationToken,
    pub(super) weights: WeightCache,
}

impl<E: Send + Sync + 'static> Runner<E> {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        database: Database,
        registry: Registry<E>,
        environment: E,
        keyring: Keyring,
        clock: Clock,
        metrics: Metrics,
        lease: Duration,
        owner: String,
    ) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared {
            database,
            registry,
            environment,
            keyring,
            clock,
            metrics,
            lease,
            owner,
            stop,
            weights: WeightCache::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Claims up to `jobs` jobs that are ready, and no more than `per_tenant` of one tenant.
    pub async fn claim(&self, jobs: i64, per_tenant: i64) -> Result<Vec<ClaimedRow>, StoreError> {
        let Shared { database, owner, clock, lease, metrics, .. } = &*self.shared;
        let now = clock.now();
        let mut connection = database.system_connection().await?;
        let limits = ClaimLimits { jobs, per_tenant, lease: *lease };
        let claimed = jobs::claim(&mut *connection, owner, limits, now).await?;
        for row in &claimed {
            metrics.claim_seconds.observe((now - row.run_after).as_seconds_f64().max(0.0));
        }
        Ok(claimed)
    }

    /// Runs a claimed job. `bell`: rung when the job should look at its row before the next renewal.
    pub async fn run(&self, row: ClaimedRow, bell: Arc<Notify>) -> Turn {
        let id = JobId::from_uuid(row.id);
        let kind = row.kind.clone();
        let span = info_span!("job", job.id = %id, job.kind = kind, request.id = row.request_id);
        let turn = async {
            match Work::prepare(&self.shared, row, bell).await {
                Ok(work) => work.drive().await,
                Err(turn) => turn,
            }
        }
        .instrument(span)
        .await;
        match turn {
            Turn::Ended(state) => {
                self.shared.metrics.ended.get_or_create(&Ended { kind: kind.clone(), state: name(state) }).inc();
                tracing::info!(job.id = %id, job.kind = kind, job.state = name(state), "job ended");
            }
            Turn::Lost => {
                self.shared.metrics.leases_lost.inc();
                tracing::warn!(job.id = %id, job.kind = kind, "lost the lease of a job; another runner goes on with it");
            }
            Turn::Waiting | Turn::Stopped | Turn::Failed => {
                tracing::debug!(job.id = %id, job.kind = kind, ?turn, "left a job");
            }
        }
        turn
    }
}

pub(super) fn name(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Stuck => "stuck",
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Cancelling => "cancelling",
        JobState::Unwinding => "unwinding",
    }
}
