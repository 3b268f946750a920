//! Kafka users of an instance: who may log in to it, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// A Kafka user. Its password is known to Kafka alone, and not in clear.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KafkaUser {
    pub name: String,
    /// It is refused on every broker, and keeps its password.
    pub disabled: bool,
    /// Who made it; null for a user from before this was kept.
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When it was last disabled, enabled, or got a password.
    pub updated_at: DateTime<Utc>,
    pub etag: String,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKafkaUser {
    /// 4 to 64 letters, digits, `-` and `_`, beginning with a letter; not beginning with `sluice`.
    pub name: String,
    /// 8 to 32 characters, three of: upper case, lower case, digit, special; not beginning with `-`. Without it one is
    /// made, and shown once, in the job's result.
    #[serde(default)]
    #[schema(format = Password)]
    pub password: Option<String>,
}

impl fmt::Debug for CreateKafkaUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateKafkaUser").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateKafkaUser {
    /// True refuses its logins and closes its connections; false lets it in again with the password that it has.
    pub disabled: bool,
}

#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetKafkaUserPassword {
    /// As for a new user. Without it one is made, and shown once, in the job's result.
    #[serde(default)]
    #[schema(format = Password)]
    pub password: Option<String>,
}

impl fmt::Debug for ResetKafkaUserPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetKafkaUserPassword").finish_non_exhaustive()
    }
}
