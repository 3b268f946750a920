//! What can go wrong in the store. SQLSTATEs and constraint names are given their meaning here and nowhere else.

use sqlx::error::ErrorKind;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A name that must be unique is in use; `pointer` is the field of the request that carried it.
    #[error("{what} is taken")]
    Taken { what: &'static str, pointer: &'static str },
    /// Another job is changing the resource.
    #[error("a job is active on the resource")]
    JobActive,
    /// Still referred to by others, or refers to nothing.
    #[error("a reference stands in the way ({constraint})")]
    Reference { constraint: String },
    /// The database is not reached, is starting or stopping, or has no connection free; or the transaction lost a race.
    /// Worth trying again.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A value of the request that the database has no room for: U+0000 in a text, a time of before it begins.
    #[error("a value cannot be stored")]
    Unstorable(#[source] sqlx::Error),
    /// A row holds what this version of the program does not know.
    #[error("row of {table} cannot be read: {reason}")]
    Corrupt { table: &'static str, reason: String },
    #[error("database error")]
    Other(#[source] sqlx::Error),
}

/// Unique constraints that a request can run into: the constraint, what it is about, the field.
const UNIQUE: &[(&str, &str, &str)] = &[
    ("organisations_name_key", "the organisation's name", "/name"),
    ("users_email_key", "the e-mail address", "/email"),
    ("projects_name_key", "the project's name", "/name"),
    ("service_accounts_name_key", "the service account's name", "/name"),
    ("instances_name_key", "the instance's name", "/name"),
];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let constraint = database.constraint().unwrap_or_default();
                if database.kind() == ErrorKind::UniqueViolation {
                    if constraint == "jobs_one_active" {
                        return Self::JobActive;
                    }
                    if let Some((_, what, pointer)) = UNIQUE.iter().find(|(name, ..)| *name == constraint) {
                        return Self::Taken { what, pointer };
                    }
                }
                if database.kind() == ErrorKind::ForeignKeyViolation {
                    return Self::Reference { constraint: constraint.to_owned() };
                }
                // 08 connection, 40 lost race, 53 out of resources, 57P shutdown.
                let state = database.code().unwrap_or_default();
                if ["08", "40", "53", "57P"].iter().any(|class| state.starts_with(class)) {
                    return Self::Unavailable(error);
                }
                // 22008 a time out of range, 22021 and 22P05 U+0000 in a text or in JSON.
                if ["22008", "22021", "22P05"].contains(&state.as_ref()) {
                    return Self::Unstorable(error);
                }
                Self::Other(error)
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
                Self::Unavailable(error)
            }
            _ => Self::Other(error),
        }
    }
}
