//! The audit trail: what enters it, and reading it.

use crate::{
    app::{App, AppError, page::PageRequest},
    domain::{
        actor::{Actor, Origin, ProjectScope},
        audit::{GENESIS, Line, chain, redacted},
        rights::Right,
    },
    store::{
        Database, Scope,
        audit::{self, NewEvent, StoredEvent},
    },
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    audit::{AuditEvent, AuditFilter},
    id::{AuditEventId, JobId, OrganisationId, ProjectId},
    page::{Page, PageQuery},
    problem::ProblemCode,
};
use futures::{Stream, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// An entry about to be written: what was done to what.
#[derive(Debug, Clone)]
pub struct Entry {
    action: &'static str,
    resource: Option<(&'static str, String)>,
    job: Option<JobId>,
    detail: Value,
}

impl Entry {
    /// `action`: the operation id of the API, `create_project`.
    pub fn new(action: &'static str) -> Self {
        Self { action, resource: None, job: None, detail: Value::Object(serde_json::Map::new()) }
    }

    /// What it was done to: `on("instance", id)`.
    pub fn on(mut self, kind: &'static str, id: impl ToString) -> Self {
        self.resource = Some((kind, id.to_string()));
        self
    }

    pub fn job(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// What was asked for. Fields that carry secrets are taken out.
    pub fn detail(mut self, request: &impl Serialize) -> Self {
        self.detail = redacted(serde_json::to_value(request).unwrap_or_default());
        self
    }

    /// It was done by `actor`.
    pub fn accepted(self, actor: &Actor, project: Option<ProjectId>, now: DateTime<Utc>) -> NewEvent {
        self.event(actor.organisation, actor.label(), &actor.origin, project, None, now)
    }

    /// It was refused or failed with `problem`.
    pub fn refused(
        self,
        organisation: OrganisationId,
        actor: String,
        origin: &Origin,
        project: Option<ProjectId>,
        problem: ProblemCode,
        now: DateTime<Utc>,
    ) -> NewEvent {
        self.event(organisation, actor, origin, project, Some(problem), now)
    }

    /// It was done before the caller was an [`Actor`], by signing in.
    pub fn by_origin(
        self,
        organisation: OrganisationId,
        actor: String,
        origin: &Origin,
        now: DateTime<Utc>,
    ) -> NewEvent {
        self.event(organisation, actor, origin, None, None, now)
    }

    fn event(
        self,
        organisation: OrganisationId,
        actor: String,
        origin: &Origin,
        project: Option<ProjectId>,
        problem: Option<ProblemCode>,
        now: DateTime<Utc>,
    ) -> NewEvent {
        let result = match problem {
            None => "accepted",
            Some(code) if code.status() >= 500 => "failed",
            Some(_) => "refused",
        };
        let (resource_type, resource_id) = self.resource.map(|(kind, id)| (kind.to_owned(), id)).unzip();
        NewEvent {
            organisation,
            line: Line {
                id: AuditEventId::generate().uuid(),
                project_id: project.map(ProjectId::uuid),
                actor,
                action: self.action.to_owned(),
                resource_type,
                resource_id,
                result: result.to_owned(),
                problem_code: problem.map(|code| code.as_str().to_owned()),
                source_ip: origin.source_ip.map(|address| address.to_string()),
                user_agent: origin.user_agent.clone(),
                request_id: origin.request_id.clone(),
                job_id: self.job.map(JobId::uuid),
                detail: self.detail,
                created_at: now,
            },
        }
    }
}

/// A change that was refused, in a transaction of its own.
pub async fn record_refusal(
    app: &App,
    actor: &Actor,
    project: Option<ProjectId>,
    action: &'static str,
    path: &str,
    problem: ProblemCode,
) -> Result<(), AppError> {
    let entry = Entry::new(action).detail(&serde_json::json!({ "path": path }));
    let event = entry.refused(actor.organisation, actor.label(), &actor.origin, project, problem, app.clock.now());
    let mut tx = app.db.tenant(actor).await?;
    audit::append(&mut tx, &event).await?;
    Ok(tx.commit().await?)
}

/// A place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub organisation: OrganisationId,
    pub seq: i64,
    pub what: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub lines: u64,
    pub organisations: u64,
    pub faults: Vec<Fault>,
}

/// Lines read at a time.
const BATCH: i64 = 5_000;

/// Walks every organisation's chain. Lines cut off at the end of a chain leave no trace in it: compare `lines` with what was exported.
pub async fn verify(db: &Database) -> Result<Report, AppError> {
    let mut conn = db.system_connection().await?;
    let mut report = Report::default();
    let mut last: Option<(OrganisationId, i64, Vec<u8>)> = None;
    loop {
        let after = last.as_ref().map(|(organisation, seq, _)| (*organisation, *seq));
        let events = audit::walk(&mut conn, after, BATCH).await?;
        if events.is_empty() {
            return Ok(report);
        }
        for event in events {
            let (previous_seq, previous) = match last {
                Some((organisation, seq, hash)) if organisation == event.organisation => (seq, hash),
                _ => {
                    report.organisations += 1;
                    (0, GENESIS.to_vec())
                }
            };
            let fault = if event.seq != previous_seq + 1 {
                Some("lines before it are missing")
            } else if event.previous_hash != previous {
                Some("it does not follow the line before it")
            } else if event.hash != chain(&previous, event.organisation.uuid(), event.seq, &event.line) {
                Some("it was altered")
            } else {
                None
            };
            report.lines += 1;
            report.faults.extend(fault.map(|what| Fault { organisation: event.organisation, seq: event.seq, what }));
            last = Some((event.organisation, event.seq, event.hash));
        }
    }
}

/// Whose trail is read: the organisation's, or what happened in one project.
#[derive(Debug, Clone)]
pub enum Trail {
    Organisation(Actor),
    Project(ProjectScope),
}

impl Trail {
    fn check(&self) -> Result<Scope, AppError> {
        match self {
            Self::Organisation(actor) => actor.require(Right::AuditRead)?,
            Self::Project(scope) => scope.require(Right::AuditRead)?,
        }
        Ok(match self {
            Self::Organisation(actor) => actor.into(),
            Self::Project(scope) => scope.into(),
        })
    }
}

/// Newest first.
pub async fn list_events(
    app: &App,
    trail: &Trail,
    filter: AuditFilter,
    query: &PageQuery,
) -> Result<Page<AuditEvent>, AppError> {
    let scope = trail.check()?;
    let request = PageRequest::<i64>::parse(query)?;
    let mut tx = app.db.tenant(scope).await?;
    let filter = store_filter(filter);
    let rows = audit::list(&mut tx, &filter, request.after, request.fetch()).await?;
    let total = if request.count { Some(audit::count(&mut tx, &filter).await?) } else { None };
    Ok(request.page(rows, |row| row.seq, view, total))
}

/// All lines that match, newest first, read from the database as they are taken.
pub fn export_events(
    app: Arc<App>,
    trail: &Trail,
    filter: AuditFilter,
) -> Result<impl Stream<Item = Result<AuditEvent, AppError>> + Send + use<>, AppError> {
    let scope = trail.check()?;
    let filter = store_filter(filter);
    let pages = stream::try_unfold(None, move |before: Option<i64>| {
        let (app, filter) = (app.clone(), filter.clone());
        async move {
            let mut tx = app.db.tenant(scope).await?;
            let rows = audit::list(&mut tx, &filter, before, BATCH).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { return Ok::<_, AppError>(None) };
            let events = stream::iter(rows.into_iter().map(|row| Ok(view(row))));
            Ok(Some((events, Some(last))))
        }
    });
    Ok(pages.try_flatten())
}

fn store_filter(filter: AuditFilter) -> audit::EventFilter {
    let AuditFilter { actor, action, resource_id, result, from, to } = filter;
    audit::EventFilter { actor, action, resource_id, result, from, to }
}

fn view(event: StoredEvent) -> AuditEvent {
    let line = event.line;
    AuditEvent {
        id: AuditEventId::from_uuid(line.id),
        project_id: line.project_id.map(ProjectId::from_uuid),
        actor: line.actor,
        action: line.action,
        resource_type: line.resource_type,
        resource_id: line.resource_id,
        result: line.result,
        problem_code: line.problem_code,
        source_ip: line.source_ip,
        user_agent: line.user_agent,
        request_id: line.request_id,
        job_id: line.job_id.map(JobId::from_uuid),
        detail: line.detail,
        created_at: line.created_at,
    }
}
