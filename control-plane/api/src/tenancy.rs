//! Organisations, projects, members, roles, quotas.

use crate::id::{OrganisationId, ProjectId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// Roles of api.md §1. What each may do is one table: control-plane `domain::rights`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Owner,
    Admin,
    Operator,
    Developer,
    Viewer,
    Auditor,
    Billing,
}

impl Role {
    pub const ALL: &'static [Self] =
        &[Self::Owner, Self::Admin, Self::Operator, Self::Developer, Self::Viewer, Self::Auditor, Self::Billing];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Billing => "billing",
        }
    }
}

/// Why a text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role")]
pub struct ParseRoleError;

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or(ParseRoleError)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Project {
    pub id: ProjectId,
    pub organisation_id: OrganisationId,
    pub name: String,
    pub description: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub etag: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// 2 to 64 letters, digits, `-` and `_`; unique in the organisation.
    pub name: String,
    #[serde(default)]
    pub description: String,
}

/// JSON merge patch (RFC 7396) of a project.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProject {
    #[serde(default, deserialize_with = "crate::patch::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::patch::null_resets", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Member {
    pub user_id: UserId,
    pub email: String,
    pub display_name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// Add a person to a project, or to the organisation; makes the account if there is none.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    pub email: String,
    pub role: Role,
    #[serde(default)]
    pub display_name: String,
    /// First password of a new account, 12 to 128 characters.
    #[serde(default)]
    #[schema(format = Password)]
    pub password: Option<String>,
}

impl fmt::Debug for PutMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutMember").field("email", &self.email).field("role", &self.role).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMember {
    pub role: Role,
}

/// A role, and the rights that it includes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoleDoc {
    pub role: Role,
    /// `instance-create`, `job-read`…: what problems and scopes of API keys name.
    pub rights: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Quota {
    /// `instances`.
    pub name: String,
    pub limit: u32,
    pub used: u32,
}
