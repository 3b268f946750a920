//! Sign-in and who is signed in.

use crate::{
    id::{ApiKeyId, OrganisationId, ProjectId, ServiceAccountId, UserId},
    tenancy::Role,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// `POST /v1/auth/token`: one of three grants.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "grant_type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TokenRequest {
    Password {
        email: String,
        #[schema(format = Password)]
        password: String,
    },
    /// Rotates: the token given is spent, and using it again ends the session (RFC 9700 §4.14).
    RefreshToken {
        refresh_token: String,
    },
    ApiKey {
        api_key: String,
    },
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { email, .. } => f.debug_struct("Password").field("email", email).finish_non_exhaustive(),
            Self::RefreshToken { .. } => f.write_str("RefreshToken"),
            Self::ApiKey { .. } => f.write_str("ApiKey"),
        }
    }
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenResponse {
    /// JWT (RFC 9068), 15 minutes.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// Null for the `api-key` grant.
    pub refresh_token: Option<String>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// `POST /v1/auth/revoke` (RFC 7009): a refresh token ends its session, an API key ends for good.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    pub token: String,
}

impl fmt::Debug for RevokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevokeRequest")
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// `user` or `service-account`.
    pub kind: String,
    pub user_id: Option<UserId>,
    pub service_account_id: Option<ServiceAccountId>,
    /// E-mail address or account name.
    pub name: String,
    pub organisation_id: OrganisationId,
    pub organisation: String,
    /// Role in the organisation.
    pub role: Option<Role>,
    /// May use the operator API.
    pub operator: bool,
    pub projects: Vec<ProjectMembership>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectMembership {
    pub id: ProjectId,
    pub name: String,
    pub role: Role,
}

/// Change the own password.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    #[schema(format = Password)]
    pub current_password: String,
    /// 12 to 128 characters.
    #[schema(format = Password)]
    pub new_password: String,
}

impl fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangePassword")
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateServiceAccount {
    /// Unique in the project.
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub description: String,
}

/// JSON merge patch (RFC 7396) of a service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateServiceAccount {
    #[serde(default, deserialize_with = "crate::patch::not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub role: Option<Role>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "crate::patch::null_resets", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccount {
    pub id: ServiceAccountId,
    pub project_id: ProjectId,
    pub name: String,
    pub role: Role,
    pub description: String,
    pub keys: Vec<ApiKey>,
    pub created_at: DateTime<Utc>,
    pub etag: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    #[serde(default)]
    pub description: String,
    /// Rights that the key keeps of its account's role; all of them when empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// None: it does not expire.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub description: String,
    /// First characters of the key, to tell it by.
    pub hint: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Answer to making a key: the only time that the key itself is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedApiKey {
    #[serde(flatten)]
    pub key: ApiKey,
    /// `slk_…`.
    pub secret: String,
}

impl fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedApiKey").field("key", &self.key).finish_non_exhaustive()
    }
}
