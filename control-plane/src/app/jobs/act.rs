//! What users may do to a job.

use super::{show, workflow};
use crate::{
    app::{Answer, App, AppError, Begun, IdempotencyKey, Refusal, Write, audit::Entry},
    domain::{actor::ProjectScope, rights::Right},
    jobs::engine::result_context,
    store::{
        jobs as queue,
        jobs_view::{self, JobRecord},
    },
};
use control_plane_api::{
    id::JobId,
    job::{Job, JobState, RevealedResult},
    problem::ProblemCode,
};
use serde_json::{Map, Value, json};

fn not_allowed(record: &JobRecord, en: &str, zh: &str) -> Refusal {
    Refusal::new(ProblemCode::ActionNotAllowed).detail(en, zh).with("state", json!(record.state))
}

/// Asks the job to stop and undo what it did.
pub async fn cancel_job(
    app: &App,
    scope: &ProjectScope,
    id: JobId,
    key: Option<IdempotencyKey>,
) -> Result<Answer<Job>, AppError> {
    act(app, scope, id, key, "cancel_job").await
}

/// Lets a stuck job go on where it stopped.
pub async fn retry_job(
    app: &App,
    scope: &ProjectScope,
    id: JobId,
    key: Option<IdempotencyKey>,
) -> Result<Answer<Job>, AppError> {
    act(app, scope, id, key, "retry_job").await
}

async fn act(
    app: &App,
    scope: &ProjectScope,
    id: JobId,
    key: Option<IdempotencyKey>,
    action: &'static str,
) -> Result<Answer<Job>, AppError> {
    scope.require(Right::JobWrite)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = jobs_view::lock(&mut write.tx, id).await?.ok_or_else(AppError::not_found)?;
    let now = app.clock.now();
    if action == "cancel_job" {
        if workflow::kind(&record.kind).is_none_or(|kind| !kind.cancellable) {
            let en = "This kind of job cannot be cancelled.";
            return Err(not_allowed(&record, en, "此类任务不能取消。").into());
        }
        if !queue::request_cancel(&mut write.tx, id, now).await? {
            let en = "Only a job that is queued or running can be cancelled.";
            return Err(not_allowed(&record, en, "只能取消排队中或运行中的任务。").into());
        }
    } else if !queue::retry(&mut write.tx, id, now).await? {
        return Err(not_allowed(&record, "Only a stuck job can be retried.", "只能重试卡住的任务。").into());
    }
    let view = show(app, &mut write.tx, id).await?;
    write.commit(Entry::new(action).on("job", id).job(id), view).await
}

/// Removes the record of a job that has ended (product.md §7: one that succeeded or failed).
pub async fn delete_job(app: &App, scope: &ProjectScope, id: JobId) -> Result<(), AppError> {
    scope.require(Right::JobWrite)?;
    let mut write = Write::start(app, &scope.actor, scope).await?;
    let record = jobs_view::lock(&mut write.tx, id).await?.ok_or_else(AppError::not_found)?;
    if !record.state.ended() {
        let en = "The record of a job can be removed only when the job has ended.";
        return Err(not_allowed(&record, en, "任务结束后才能删除其记录。").into());
    }
    jobs_view::delete(&mut write.tx, id).await?;
    write.commit(Entry::new("delete_job").on("job", id), ()).await?;
    Ok(())
}

/// Shows the secrets of a job's result, once, to who started it. A GET must be safe and may be logged and cached, so that
/// this is an action of its own; with an idempotency key a lost answer can be asked for again.
pub async fn reveal_job_result(
    app: &App,
    scope: &ProjectScope,
    id: JobId,
    key: Option<IdempotencyKey>,
) -> Result<Answer<RevealedResult>, AppError> {
    scope.require(Right::JobRead)?;
    let mut write = match Write::begin(app, &scope.actor, scope, key).await? {
        Begun::Replayed(answer) => return Ok(answer),
        Begun::Fresh(write) => write,
    };
    let record = jobs_view::lock(&mut write.tx, id).await?.ok_or_else(AppError::not_found)?;
    if record.actor != scope.actor.label() {
        let en = format!("Only {}, who started the job, is shown its secrets.", record.actor);
        let zh = format!("只有发起任务的 {} 可以查看其中的机密信息。", record.actor);
        return Err(Refusal::new(ProblemCode::Forbidden).detail(en, zh).into());
    }
    let Some(sealed) = jobs_view::take_sealed_result(&mut write.tx, id).await? else {
        let en = match record.state {
            JobState::Succeeded => "The job left no secrets, or they were shown before.",
            _ => "The job has left no secrets; it shows them when it has succeeded.",
        };
        return Err(not_allowed(&record, en, "任务没有机密信息，或已经显示过。").into());
    };
    let text = app.keyring.open(&result_context(id), &sealed)?;
    let secrets: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|_| AppError::Internal(format!("the sealed result of {id} is no JSON object")))?;
    write.commit(Entry::new("reveal_job_result").on("job", id).job(id), RevealedResult { secrets }).await
}
