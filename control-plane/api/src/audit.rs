//! The audit trail: every write and every sign-in.

use crate::id::{AuditEventId, JobId, ProjectId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub project_id: Option<ProjectId>,
    /// `user:alice@example.com`, `service-account:ci`, `platform`.
    pub actor: String,
    /// Operation id, as in the OpenAPI document: `create_instance`.
    pub action: String,
    pub resource_type: Option<String>,
    pub resource_id: Option<String>,
    /// `accepted`, `refused` or `failed`.
    pub result: String,
    /// Problem code, when it was not accepted.
    pub problem_code: Option<String>,
    /// Address of the caller.
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: String,
    pub job_id: Option<JobId>,
    /// What was asked for, without secrets.
    pub detail: serde_json::Value,
    pub created_at: DateTime<Utc>,
}

/// Filters of the audit list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource_id: Option<String>,
    pub result: Option<String>,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
}
