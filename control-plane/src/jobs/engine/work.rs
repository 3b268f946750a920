//! One claimed job: steps forward, undo backward, and what is recorded of both.

use super::{
    backoff,
    context::JobHandle,
    error::{Cause, StepError, chain},
    lease::{Kept, Lease, params_context},
    metrics::StepLabels,
    progress::Weights,
    registry::{AnyWorkflow, Call, Opened, StepInfo},
    runner::{Shared, Turn, name},
    workflow::OnFailure,
};
use crate::store::{
    StoreError,
    jobs::{self, Claim, ClaimedRow, Event, Fault, Try},
};
use control_plane_api::{
    id::{JobId, OrganisationId, ProjectId},
    job::JobState,
    problem::ProblemCode,
};
use futures::FutureExt;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tracing::{Instrument, info_span};

/// A step that was begun so often in a row and never came to an end has most likely taken its runner down each time.
const MOST_CRASHES: i32 = 20;
/// Tries of an undo before a person must look: with back-off about ten minutes.
const MOST_UNDO_ATTEMPTS: i32 = 25;

/// A claimed job with everything that its steps need.
pub(super) struct Work<'a, E> {
    shared: &'a Shared<E>,
    workflow: &'a Arc<dyn AnyWorkflow<E>>,
    opened: Opened,
    job: JobHandle,
    lease: Lease,
    state: JobState,
    step: usize,
    spread: f64,
}

/// Why the work on a job stops before its end.
enum Halt {
    Turn(Turn),
    Step(StepError),
}

impl From<StepError> for Halt {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

impl<'a, E: Send + Sync + 'static> Work<'a, E> {
    pub(super) async fn prepare(shared: &'a Shared<E>, row: ClaimedRow, bell: Arc<Notify>) -> Result<Self, Turn> {
        let id = JobId::from_uuid(row.id);
        let org = OrganisationId::from_uuid(row.org_id);
        let claim = Claim { job: id, org, owner: shared.owner.clone(), fence: row.fence };
        let workflow = shared.registry.get(&row.kind, row.params_version);
        let weights = match workflow {
            Some(workflow) => weigh(shared, workflow, &row).await,
            None => Weights::new([], &[]),
        };
        let lease = Lease::new(
            shared.database.clone(),
            shared.clock.clone(),
            shared.keyring.clone(),
            claim,
            shared.lease,
            weights,
            bell,
            row.scratch.clone(),
        );
        let opened = match (workflow, row.state()) {
            (None, _) => Err(Cause {
                code: ProblemCode::Internal,
                detail: "this version of the service does not know jobs of this kind".into(),
                internal: format!("no workflow {} version {} is registered", row.kind, row.params_version),
            }),
            (_, None) => Err(Cause {
                code: ProblemCode::Internal,
                detail: "this version of the service does not know the state of the job".into(),
                internal: format!("unknown state {}", row.state),
            }),
            (Some(workflow), Some(state)) => open(shared, workflow, &row).map(|opened| (workflow, state, opened)),
        };
        let (workflow, state, opened) = match opened {
            Ok(all) => all,
            Err(cause) => return Err(stick(&lease, None, &cause).await),
        };
        let job = JobHandle {
            id,
            org,
            project: ProjectId::from_uuid(row.project_id),
            resource: row.resource_id,
            actor: row.actor,
            request_id: row.request_id,
        };
        let step = usize::try_from(row.step).unwrap_or(0);
        // Any number that differs from job to job will do.
        let spread = f64::from(row.id.as_bytes()[15]) / 255.0;
        Ok(Self { shared, workflow, opened, job, lease, state, step, spread })
    }

    fn call(&self) -> Call<'_, E> {
        Call {
            job: &self.job,
            opened: &self.opened,
            environment: &self.shared.environment,
            lease: &self.lease,
            position: self.step,
        }
    }

    fn info(&self) -> Result<&StepInfo, StepError> {
        self.workflow.info().steps.get(self.step).ok_or_else(|| {
            let inside = format!("the row is at step {}, {} has fewer", self.step, self.workflow.info().kind);
            StepError::permanent(ProblemCode::Internal, "the job is at a step that is unknown here", inside)
        })
    }

    pub(super) async fn drive(mut self) -> Turn {
        loop {
            let halt = match self.state {
                JobState::Running => self.forward().await,
                JobState::Cancelling | JobState::Unwinding => self.back().await,
                other => return Turn::Ended(other),
            };
            match halt {
                Ok(()) => {}
                Err(Halt::Turn(Turn::Stopped)) => return self.give_back().await,
                Err(Halt::Turn(turn)) => return turn,
                Err(Halt::Step(StepError::LeaseLost)) => return Turn::Lost,
                Err(Halt::Step(StepError::Cancelled)) => self.state = JobState::Cancelling,
                Err(Halt::Step(error)) => {
                    tracing::error!(job.id = %self.job.id, %error, "could not record the progress of a job");
                    return Turn::Failed;
                }
            }
        }
    }

    /// Runs the present step; on success the next one is present.
    async fn forward(&mut self) -> Result<(), Halt> {
        let info = self.info()?.clone();
        let Try { attempts: attempt, crashes, step_since } = self.begin_step(&info).await?;
        let clock = Instant::now();
        let mut outcome = if crashes > MOST_CRASHES {
            Err(crashed_too_often(info.name, crashes))
        } else {
            let span = info_span!("step", job.step = info.name, attempt);
            self.guarded(info.limits.attempt, self.workflow.run(self.call()).instrument(span), false).await?
        };
        if outcome.is_ok() {
            outcome = self.finish_step(&info, attempt).await;
        }
        let labels = StepLabels { kind: self.workflow.info().kind, step: info.name };
        self.shared.metrics.step_seconds.get_or_create(&labels).observe(clock.elapsed().as_secs_f64());
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ (StepError::LeaseLost | StepError::Cancelled)) => Err(error.into()),
            Err(StepError::Transient(cause)) if self.shared.clock.now() - step_since < span(info.limits.deadline) => {
                self.shared.metrics.step_failures.get_or_create(&labels).inc();
                Err(Halt::Turn(self.retry_later(&info, attempt, &cause).await?))
            }
            Err(StepError::Transient(mut cause)) => {
                cause.detail = format!("{}; given up after {} s", cause.detail, info.limits.deadline.as_secs());
                self.fail(&info, attempt, &cause, &labels).await
            }
            Err(StepError::Permanent(cause)) => self.fail(&info, attempt, &cause, &labels).await,
        }
    }

    async fn begin_step(&self, info: &StepInfo) -> Result<Try, StepError> {
        let (mut tx, state) = self.lease.begin().await?;
        if state == JobState::Cancelling {
            return Err(StepError::Cancelled);
        }
        let begun = jobs::start_step(&mut tx, self.job.id, self.step, self.shared.clock.now()).await?;
        let event = Event { name: "step-started", step: Some(info.name), attempt: begun.attempts, detail: None };
        self.lease.event(&mut tx, event).await?;
        tx.commit().await?;
        Ok(begun)
    }

    async fn finish_step(&mut self, info: &StepInfo, attempt: i32) -> Result<(), StepError> {
        let (mut tx, state) = self.lease.begin().await?;
        if state == JobState::Cancelling {
            return Err(StepError::Cancelled);
        }
        let next = self.step + 1;
        let now = self.shared.clock.now();
        self.workflow.commit(&mut tx, self.call()).await?;
        let left = chrono::Duration::from_std(self.lease.weights.left(next)).unwrap_or_default();
        let percent = self.lease.weights.percent(next, 0);
        jobs::finish_step(&mut tx, self.job.id, self.step, percent, Some(now + left), now).await?;
        self.lease
            .event(&mut tx, Event { name: "step-succeeded", step: Some(info.name), attempt, detail: None })
            .await?;
        let last = next == self.workflow.info().steps.len();
        if last {
            jobs::end(&mut tx, self.job.id, JobState::Succeeded, now).await?;
            self.lease.event(&mut tx, ended("succeeded")).await?;
        }
        tx.commit().await?;
        if last {
            self.state = JobState::Succeeded;
        }
        self.step = next;
        Ok(())
    }

    async fn retry_later(&self, info: &StepInfo, attempt: i32, cause: &Cause) -> Result<Turn, StepError> {
        let detail = format!("{}; it is tried again", cause.detail);
        let wait = backoff::delay(attempt.unsigned_abs(), self.spread);
        self.record_failure("step-failed", info, attempt, &detail, cause, wait).await
    }

    async fn record_failure(
        &self,
        event: &'static str,
        info: &StepInfo,
        attempt: i32,
        detail: &str,
        cause: &Cause,
        wait: Duration,
    ) -> Result<Turn, StepError> {
        tracing::warn!(
            job.id = %self.job.id, job.kind = self.workflow.info().kind, job.step = info.name, attempt, event,
            cause = cause.internal, "{detail}"
        );
        let (mut tx, state) = self.lease.begin().await?;
        self.lease.event(&mut tx, Event { name: event, step: Some(info.name), attempt, detail: Some(detail) }).await?;
        // A cancellation that came meanwhile is not kept waiting.
        let wait = if state == JobState::Cancelling && self.state == JobState::Running { Duration::ZERO } else { wait };
        jobs::release(&mut tx, &self.lease.claim, self.shared.clock.now() + span(wait)).await?;
        tx.commit().await?;
        Ok(Turn::Waiting)
    }

    /// The step has failed for good.
    async fn fail(&mut self, info: &StepInfo, attempt: i32, cause: &Cause, labels: &StepLabels) -> Result<(), Halt> {
        self.shared.metrics.step_failures.get_or_create(labels).inc();
        tracing::warn!(
            job.id = %self.job.id, job.kind = self.workflow.info().kind, job.step = info.name, attempt,
            cause = cause.internal, "a step failed for good: {}", cause.detail
        );
        if self.workflow.info().on_failure == OnFailure::Hold {
            return Err(Halt::Turn(stick(&self.lease, Some(info.name), cause).await));
        }
        let (mut tx, _) = self.lease.begin().await?;
        let failed = Event { name: "step-failed", step: Some(info.name), attempt, detail: Some(&cause.detail) };
        self.lease.event(&mut tx, failed).await?;
        let fault = fault(Some(info.name), cause);
        jobs::start_unwinding(&mut tx, self.job.id, self.step, fault, self.shared.clock.now()).await?;
        tx.commit().await?;
        self.state = JobState::Unwinding;
        Ok(())
    }

    /// Undoes the present step; on success the one before it is present, or the job has ended.
    async fn back(&mut self) -> Result<(), Halt> {
        let info = self.info()?.clone();
        let (mut tx, _) = self.lease.begin().await?;
        let Try { attempts: attempt, crashes, .. } =
            jobs::start_undo(&mut tx, self.job.id, self.shared.clock.now()).await?;
        let started = Event { name: "undo-started", step: Some(info.name), attempt, detail: None };
        self.lease.event(&mut tx, started).await?;
        tx.commit().await?;
        let mut outcome = if crashes > MOST_CRASHES {
            Err(crashed_too_often(info.name, crashes))
        } else {
            let span = info_span!("undo", job.step = info.name, attempt);
            self.guarded(info.limits.attempt, self.workflow.undo(self.call()).instrument(span), true).await?
        };
        if outcome.is_ok() {
            outcome = self.finish_undo(&info, attempt).await;
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ (StepError::LeaseLost | StepError::Cancelled)) => Err(error.into()),
            Err(StepError::Transient(cause) | StepError::Permanent(cause)) => {
                let labels = StepLabels { kind: self.workflow.info().kind, step: info.name };
                self.shared.metrics.step_failures.get_or_create(&labels).inc();
                if attempt >= MOST_UNDO_ATTEMPTS || crashes > MOST_CRASHES {
                    return Err(Halt::Turn(stick(&self.lease, Some(info.name), &cause).await));
                }
                let wait = backoff::delay(attempt.unsigned_abs(), self.spread);
                let detail = format!("{}; the undo is tried again", cause.detail);
                Err(Halt::Turn(self.record_failure("undo-failed", &info, attempt, &detail, &cause, wait).await?))
            }
        }
    }

    async fn finish_undo(&mut self, info: &StepInfo, attempt: i32) -> Result<(), StepError> {
        let now = self.shared.clock.now();
        let (mut tx, state) = self.lease.begin().await?;
        jobs::finish_undo(&mut tx, self.job.id, self.step, now).await?;
        self.lease
            .event(&mut tx, Event { name: "undo-succeeded", step: Some(info.name), attempt, detail: None })
            .await?;
        let first = self.step == 0;
        let end = if state == JobState::Cancelling { JobState::Cancelled } else { JobState::Failed };
        if first {
            let (code, detail) = jobs::cause(&mut tx, self.job.id).await?;
            let code = code.and_then(|code| ProblemCode::ALL.iter().copied().find(|known| known.as_str() == code));
            let cause = Cause {
                code: code.unwrap_or(ProblemCode::JobCancelled),
                detail: detail.unwrap_or_else(|| "the job was cancelled".into()),
                internal: String::new(),
            };
            self.workflow.undone(&mut tx, self.call(), &cause).await?;
            jobs::end(&mut tx, self.job.id, end, now).await?;
            self.lease.event(&mut tx, ended(name(end))).await?;
        }
        tx.commit().await?;
        if first {
            self.state = end;
        } else {
            self.step -= 1;
        }
        Ok(())
    }

    /// Polls `work` beside the renewal of the lease, for `limit` at most. A panic is a permanent failure.
    async fn guarded(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<(), StepError>>,
        undoing: bool,
    ) -> Result<Result<(), StepError>, Halt> {
        let hold = async { if undoing { self.lease.hold_through().await } else { self.lease.hold().await } };
        tokio::select! {
            outcome = tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind()) => Ok(match outcome {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(panicked(panic.as_ref())),
                Err(_) => Err(StepError::transient(
                    ProblemCode::Timeout, format!("it took longer than {limit:?}"), "cut off by the engine",
                )),
            }),
            kept = hold => Err(Halt::Step(match kept {
                Kept::Lost => StepError::LeaseLost,
                Kept::Cancelling => StepError::Cancelled,
            })),
            () = self.shared.stop.cancelled() => Err(Halt::Turn(Turn::Stopped)),
        }
    }

    /// This runner stops: others go on at once.
    async fn give_back(&self) -> Turn {
        let outcome = async {
            let mut tx = self.shared.database.system().await?;
            jobs::release(&mut tx, &self.lease.claim, self.shared.clock.now()).await?;
            tx.commit().await
        };
        if let Err(error) = outcome.await {
            tracing::warn!(job.id = %self.job.id, %error, "could not give a job back; its lease will end by itself");
        }
        Turn::Stopped
    }
}

fn ended(state: &'static str) -> Event<'static> {
    Event { name: "ended", step: None, attempt: 0, detail: Some(state) }
}

fn span(time: Duration) -> chrono::Duration {
    chrono::Duration::from_std(time).unwrap_or(chrono::Duration::MAX)
}

fn fault<'a>(step: Option<&'a str>, cause: &'a Cause) -> Fault<'a> {
    Fault { code: cause.code.as_str(), detail: &cause.detail, step, internal: &cause.internal }
}

fn crashed_too_often(step: &str, crashes: i32) -> StepError {
    let inside = format!("{step} was begun {crashes} times in a row and came to no end");
    StepError::permanent(ProblemCode::Internal, "the step was begun too often without an end", inside)
}

fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into());
    StepError::permanent(ProblemCode::Internal, "the step ran into a fault of the service", format!("panic: {text}"))
}

/// Leaves the job to a person.
async fn stick(lease: &Lease, step: Option<&str>, cause: &Cause) -> Turn {
    let outcome: Result<(), StepError> = async {
        let (mut tx, _) = lease.begin().await?;
        jobs::stick(&mut tx, lease.claim.job, fault(step, cause)).await?;
        lease.event(&mut tx, Event { name: "stuck", step: None, attempt: 0, detail: Some(&cause.detail) }).await?;
        Ok(tx.commit().await?)
    }
    .await;
    match outcome {
        Ok(()) => {
            tracing::error!(job.id = %lease.claim.job, cause = cause.internal, "job is stuck: {}", cause.detail);
            Turn::Ended(JobState::Stuck)
        }
        Err(StepError::LeaseLost) => Turn::Lost,
        Err(error) => {
            tracing::error!(job.id = %lease.claim.job, %error, "could not record that a job is stuck");
            Turn::Failed
        }
    }
}

fn open<E: Send + Sync + 'static>(
    shared: &Shared<E>,
    workflow: &Arc<dyn AnyWorkflow<E>>,
    row: &ClaimedRow,
) -> Result<Opened, Cause> {
    let id = JobId::from_uuid(row.id);
    let secrets = match &row.params_sealed {
        Some(sealed) => Some(shared.keyring.open(&params_context(id), sealed).map_err(|error| Cause {
            code: ProblemCode::Internal,
            detail: "the secrets of the job cannot be opened".into(),
            internal: chain(&error),
        })?),
        None => None,
    };
    workflow.open(&row.params, secrets.as_deref())
}

/// How long steps of the kind take, as known here; asked anew every half minute.
async fn weigh<E: Send + Sync + 'static>(
    shared: &Shared<E>,
    workflow: &Arc<dyn AnyWorkflow<E>>,
    row: &ClaimedRow,
) -> Weights {
    let info = workflow.info();
    if let Some(weights) = shared.weights.get(info.kind, info.version) {
        return weights;
    }
    // Only the percent shown depends on it.
    let history = async {
        let mut connection = shared.database.system_connection().await?;
        jobs::step_seconds(&mut *connection, &row.kind, row.params_version).await
    };
    let weights = Weights::new(info.steps.iter().map(|step| step.limits.expected), &history.await.unwrap_or_default());
    shared.weights.put(info.kind, info.version, weights.clone());
    weights
}
