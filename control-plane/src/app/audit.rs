//! The audit trail: what enters it, and reading it.

use crate::{
    domain::{
        actor::{Actor, Origin},
        audit::{Line, redacted},
    },
    store::audit::NewEvent,
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    id::{AuditEventId, JobId, OrganisationId, ProjectId},
    problem::ProblemCode,
};
use serde::Serialize;
use serde_json::Value;

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
