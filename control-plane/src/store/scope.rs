//! What a tenant's transaction may touch.

use crate::domain::actor::{Actor, ProjectScope};
use control_plane_api::id::{OrganisationId, ProjectId};

/// An organisation and, for what belongs to a project, the project.
///
/// Statements compare `project_id` with [`TenantTx::project`](crate::store::TenantTx::project), which is SQL null outside a project:
/// a function that needs a project finds nothing without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub organisation: OrganisationId,
    pub project: Option<ProjectId>,
}

impl Scope {
    pub fn organisation(organisation: OrganisationId) -> Self {
        Self { organisation, project: None }
    }

    pub fn project(organisation: OrganisationId, project: ProjectId) -> Self {
        Self { organisation, project: Some(project) }
    }
}

impl From<&Actor> for Scope {
    fn from(actor: &Actor) -> Self {
        Self::organisation(actor.organisation)
    }
}

impl From<&ProjectScope> for Scope {
    fn from(scope: &ProjectScope) -> Self {
        Self::project(scope.actor.organisation, scope.project)
    }
}
