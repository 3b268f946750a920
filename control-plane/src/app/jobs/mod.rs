//! Jobs as their users see them: list, show, cancel, retry, forget, reveal, watch.

mod act;
mod feed;
mod watch;

pub use act::{cancel_job, delete_job, retry_job, reveal_job_result};
pub use feed::JobFeed;
pub use watch::{JobWatch, ProjectWatch, Watched, wait_for_end, watch_job, watch_project};

use crate::{
    app::{App, AppError, Refusal, etag, instances, page::PageRequest},
    domain::{actor::ProjectScope, plan, rights::Right},
    jobs::{
        engine::{EnqueueError, KindInfo, StepInfo, Workflow, describe},
        workflow,
    },
    store::{
        TenantTx, jobs as queue,
        jobs_view::{self, Filter, JobRecord, Place},
    },
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{InstanceId, JobId},
    instance::PlannedStep,
    job::{Job, JobFilter, JobProblem, JobState, JobStep, ResourceRef},
    page::{Page, PageQuery},
    problem::{FieldError, ProblemCode},
};

impl From<EnqueueError> for AppError {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Store(error) => error.into(),
            EnqueueError::Seal(error) => error.into(),
            error @ EnqueueError::Params { .. } => Self::Internal(error.to_string()),
        }
    }
}

pub async fn get_job(app: &App, scope: &ProjectScope, id: JobId) -> Result<Job, AppError> {
    scope.require(Right::JobRead)?;
    let mut tx = app.db.tenant(scope).await?;
    show(app, &mut tx, id).await
}

/// The job as it is in this transaction.
pub(crate) async fn show(app: &App, tx: &mut TenantTx, id: JobId) -> Result<Job, AppError> {
    let record = jobs_view::find(tx, id).await?.ok_or_else(AppError::not_found)?;
    let steps = jobs_view::steps(tx, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(view(record, steps, app.clock.now()))
}

/// The newest first.
pub async fn list_jobs(
    app: &App,
    scope: &ProjectScope,
    filter: &JobFilter,
    query: &PageQuery,
) -> Result<Page<Job>, AppError> {
    scope.require(Right::JobRead)?;
    let request = PageRequest::<Place>::parse(query)?;
    let filter = parse(filter)?;
    let mut tx = app.db.tenant(scope).await?;
    let rows = jobs_view::list(&mut tx, &filter, request.after.as_ref(), request.fetch()).await?;
    let total = if request.count { Some(jobs_view::count(&mut tx, &filter).await?) } else { None };
    let ids: Vec<JobId> = rows.iter().map(|row| row.id).collect();
    let mut steps = jobs_view::steps(&mut tx, &ids).await?;
    let now = app.clock.now();
    let rows: Vec<(JobRecord, Vec<JobStep>)> = rows
        .into_iter()
        .map(|row| {
            let steps = steps.remove(&row.id).unwrap_or_default();
            (row, steps)
        })
        .collect();
    let place = |(row, _): &(JobRecord, Vec<JobStep>)| Place { created_at: row.created_at, id: row.id };
    Ok(request.page(rows, place, |(row, steps)| view(row, steps, now), total))
}

fn parse(query: &JobFilter) -> Result<Filter, Refusal> {
    let states = instances::split(query.state.as_deref());
    let unknown = |state: &&String| serde_json::from_value::<JobState>(state.as_str().into()).is_err();
    let faults: Vec<FieldError> = states
        .iter()
        .filter(unknown)
        .map(|state| {
            let known = "queued, running, cancelling, unwinding, succeeded, failed, cancelled, stuck";
            FieldError::new("state", "unknown-value", format!("{state:?} is no state; accepted: {known}"))
                .with("accepted", known)
        })
        .collect();
    if !faults.is_empty() {
        return Err(Refusal { errors: faults, ..Refusal::new(ProblemCode::MalformedRequest) });
    }
    Ok(Filter {
        states,
        kind: query.kind.clone(),
        instance: query.instance.clone().map(|text| (text.parse().ok(), text)),
        actor: query.actor.clone(),
        from: query.from,
        to: query.to,
    })
}

fn view(record: JobRecord, steps: Vec<JobStep>, now: DateTime<Utc>) -> Job {
    // A job of another version of this program is shown by what its rows say.
    let kind = workflow::kind(&record.kind);
    let cancellable = matches!(record.state, JobState::Queued | JobState::Running)
        && kind.as_ref().is_some_and(|kind| kind.cancellable);
    Job {
        id: record.id,
        project_id: record.project,
        title: kind.as_ref().map_or_else(|| record.kind.clone(), |kind| kind.title.to_owned()),
        eta_seconds: eta_seconds(&record, kind.as_ref(), now),
        kind: record.kind,
        resource: record.resource.map(|(kind, id, name)| {
            let id = if kind == "instance" { InstanceId::from_uuid(id).to_string() } else { id.to_string() };
            ResourceRef { kind, id, name }
        }),
        state: record.state,
        progress_percent: record.progress_percent,
        steps,
        params: record.params,
        result: record.result,
        secrets_waiting: record.secrets_waiting,
        problem: record.problem.map(|(code, detail, step)| JobProblem { code, detail, step }),
        actor: record.actor,
        cancellable,
        retryable: record.state == JobState::Stuck,
        created_at: record.created_at,
        started_at: record.started_at,
        ended_at: record.ended_at,
        etag: etag(record.revision),
    }
}

/// By what the runner expects from history; before it has begun, by what the steps take as a rule.
fn eta_seconds(record: &JobRecord, kind: Option<&KindInfo>, now: DateTime<Utc>) -> Option<u64> {
    match (record.state, record.expected_end_at, kind) {
        (JobState::Queued, None, Some(kind)) => {
            Some(kind.steps.iter().map(|step| step.limits.expected.as_secs()).sum())
        }
        (_, Some(end), _) => Some((end - now).num_seconds().max(0).unsigned_abs()),
        _ => None,
    }
}

/// Steps of a job that would be started, and the seconds that it would take: by history, or as a rule.
pub(crate) async fn planned<W: Workflow>(app: &App) -> Result<(Vec<PlannedStep>, u64), AppError> {
    planned_for::<W>(app, &[]).await
}

/// The same for a job with steps that go by brokers.
pub(crate) async fn planned_for<W: Workflow>(app: &App, brokers: &[i32]) -> Result<(Vec<PlannedStep>, u64), AppError> {
    let kind = describe::<W>();
    let mut connection = app.db.system_connection().await?;
    let history = queue::step_seconds(&mut *connection, kind.kind, kind.version).await?;
    let seconds = |(position, step): (usize, &StepInfo)| {
        let known = history.iter().find(|(at, _)| usize::try_from(*at) == Ok(position)).map(|(_, seconds)| *seconds);
        known.unwrap_or(step.limits.expected.as_secs_f64())
    };
    let total: f64 = kind.steps.iter().enumerate().map(seconds).sum();
    let of = |step: &StepInfo| if step.by_broker { brokers } else { &[] };
    let steps = kind.steps.iter().map(|step| plan::step(step.name, step.title, of(step))).collect();
    // A time of jobs: far from what a u64 cannot hold, and never negative.
    Ok((steps, total.ceil().max(0.0) as u64))
}
