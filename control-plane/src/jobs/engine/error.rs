//! How a step fails.

use crate::store::StoreError;
use control_plane_api::problem::ProblemCode;
use std::{error::Error, fmt::Write as _};

/// Why a step failed: one text for the job's user, one for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub code: ProblemCode,
    /// A sentence for the user, without secrets and without our inside.
    pub detail: String,
    /// The chain of errors, for operators and the log.
    pub internal: String,
}

/// What a step, its undo or its commit answers when it could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// May succeed when tried again: it is, with back-off, until the step's deadline.
    #[error("{}: {}", .0.detail, .0.internal)]
    Transient(Cause),
    /// Will not succeed by itself.
    #[error("{}: {}", .0.detail, .0.internal)]
    Permanent(Cause),
    /// The claim is no longer ours: whatever the step saw, it must not act on it.
    #[error("the lease of the job was lost")]
    LeaseLost,
    /// The job was cancelled while the step ran.
    #[error("the job was cancelled")]
    Cancelled,
}

impl StepError {
    pub fn transient(code: ProblemCode, detail: impl Into<String>, cause: impl AsRef<str>) -> Self {
        Self::Transient(Cause { code, detail: detail.into(), internal: cause.as_ref().to_owned() })
    }

    pub fn permanent(code: ProblemCode, detail: impl Into<String>, cause: impl AsRef<str>) -> Self {
        Self::Permanent(Cause { code, detail: detail.into(), internal: cause.as_ref().to_owned() })
    }
}

/// A fault of the database is worth another try: statements are tested, connections break.
impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::transient(ProblemCode::Internal, "the catalogue could not be reached", chain(&error))
    }
}

/// An error and its sources on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
