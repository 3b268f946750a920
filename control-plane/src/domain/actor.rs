//! Who asks, and what they may do where.

use crate::domain::rights::{Right, rights_of};
use control_plane_api::{
    id::{ApiKeyId, OrganisationId, ProjectId, ServiceAccountId, SessionId, UserId},
    tenancy::Role,
};
use std::{collections::BTreeSet, net::IpAddr};

/// The authenticated party behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    User { id: UserId, email: String, session: SessionId },
    ServiceAccount { id: ServiceAccountId, name: String, key: ApiKeyId },
}

/// Where a request came from, for the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub request_id: String,
    pub source_ip: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// Who asks: a principal, its organisation and roles as they are now, not as they were when a token was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub principal: Principal,
    pub organisation: OrganisationId,
    /// Holds in every project of the organisation.
    pub organisation_role: Option<Role>,
    /// Memberships, in addition.
    pub projects: Vec<(ProjectId, Role)>,
    /// May use the operator API.
    pub operator: bool,
    /// What an API key is narrowed to; everything when `None`.
    pub scopes: Option<BTreeSet<Right>>,
    pub origin: Origin,
}

/// The actor lacks a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the right {right} is missing")]
pub struct Forbidden {
    pub right: Right,
}

impl Actor {
    /// As the audit trail and jobs show it: `user:alice@example.com`, `service-account:ci`.
    pub fn label(&self) -> String {
        match &self.principal {
            Principal::User { email, .. } => format!("user:{email}"),
            Principal::ServiceAccount { name, .. } => format!("service-account:{name}"),
        }
    }

    /// What idempotency keys and rate limits are counted by; never reused.
    pub fn key(&self) -> String {
        match &self.principal {
            Principal::User { id, .. } => id.to_string(),
            Principal::ServiceAccount { id, .. } => id.to_string(),
        }
    }

    /// Rights over the organisation itself.
    pub fn organisation_rights(&self) -> BTreeSet<Right> {
        self.narrow(self.organisation_role.map(rights_of).unwrap_or_default())
    }

    /// Rights in a project of the actor's organisation: those of the organisation role and of the membership.
    pub fn project_rights(&self, project: ProjectId) -> BTreeSet<Right> {
        let member = self.projects.iter().filter(|(id, _)| *id == project).map(|(_, role)| *role);
        self.narrow(self.organisation_role.into_iter().chain(member).flat_map(rights_of).collect())
    }

    /// Sees this project at all: whoever has a role there, however little it includes.
    pub fn sees(&self, project: ProjectId) -> bool {
        self.organisation_role.is_some() || self.projects.iter().any(|(id, _)| *id == project)
    }

    pub fn require(&self, right: Right) -> Result<(), Forbidden> {
        if self.organisation_rights().contains(&right) { Ok(()) } else { Err(Forbidden { right }) }
    }

    fn narrow(&self, rights: BTreeSet<Right>) -> BTreeSet<Right> {
        match &self.scopes {
            Some(scopes) => rights.intersection(scopes).copied().collect(),
            None => rights,
        }
    }
}

/// An actor in a project that it sees. Whoever holds one may tell that the project exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectScope {
    pub actor: Actor,
    pub project: ProjectId,
    pub rights: BTreeSet<Right>,
}

impl ProjectScope {
    /// `None` when the actor may not know of the project.
    pub fn enter(actor: Actor, project: ProjectId) -> Option<Self> {
        let rights = actor.project_rights(project);
        actor.sees(project).then_some(Self { actor, project, rights })
    }

    pub fn require(&self, right: Right) -> Result<(), Forbidden> {
        if self.rights.contains(&right) { Ok(()) } else { Err(Forbidden { right }) }
    }
}
