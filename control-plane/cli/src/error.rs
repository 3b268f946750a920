//! What can go wrong, and the exit code that a script sees.
//!
//! Owns the one error type of the program. Texts say what, where and what would help; the code is part
//! of the contract (docs/reference/cli.md, "Exit codes").

use crate::problem::ProblemReport;
use control_plane_api::job::Job;
use std::{io, path::PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes; 0 is success. `130` is what a shell reports for an interrupt.
pub mod exit {
    pub const FAULT: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_FOUND: u8 = 3;
    pub const REFUSED: u8 = 4;
    pub const AUTH: u8 = 5;
    pub const QUOTA: u8 = 6;
    pub const JOB_FAILED: u8 = 7;
    pub const TIMEOUT: u8 = 8;
    pub const NETWORK: u8 = 10;
    pub const INTERRUPTED: u8 = 130;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line itself, or a question that nobody is there to answer.
    #[error("{0}")]
    Usage(String),
    #[error("{message}")]
    NotFound {
        message: String,
        /// Names that look like the one given.
        near: Vec<String>,
    },
    #[error("not confirmed: nothing was changed")]
    NotConfirmed,
    #[error("{0}")]
    SignedOut(String),
    #[error("{}", .0.title)]
    Problem(Box<ProblemReport>),
    #[error("job {} {}", .0.id, job_outcome(.0))]
    Job(Box<Job>),
    #[error("{what} is not done after {seconds} s")]
    Timeout { what: String, seconds: u64, resume: String },
    #[error("stopped watching; {what} goes on")]
    Interrupted { what: String, resume: String },
    #[error("{url} cannot be reached")]
    Network { url: String, source: reqwest::Error },
    #[error("the answer of {what} cannot be read: {reason}")]
    Answer { what: String, reason: String },
    #[error("{path}: {doing}")]
    File { path: PathBuf, doing: &'static str, source: io::Error },
    #[error("{path}: {reason}")]
    Config { path: PathBuf, reason: String },
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The reader went away (`| head`): not a fault.
    #[error("closed pipe")]
    ClosedPipe,
}

fn job_outcome(job: &Job) -> String {
    let state = crate::render::enum_text(&job.state);
    match &job.problem {
        Some(problem) => match &problem.step {
            Some(step) => format!("{state} at step {step}: {}", problem.detail),
            None => format!("{state}: {}", problem.detail),
        },
        None => state,
    }
}

impl From<io::Error> for Error {
    /// Only standard output is written through `?`; files name their path themselves.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ClosedPipe } else { Self::Output(error) }
    }
}

impl Error {
    pub fn file(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, doing, source }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::NotFound { .. } => exit::NOT_FOUND,
            Self::NotConfirmed => exit::REFUSED,
            Self::SignedOut(_) => exit::AUTH,
            Self::Problem(problem) => problem.exit_code(),
            Self::Job(_) => exit::JOB_FAILED,
            Self::Timeout { .. } => exit::TIMEOUT,
            Self::Interrupted { .. } => exit::INTERRUPTED,
            Self::Network { .. } => exit::NETWORK,
            Self::Answer { .. } | Self::File { .. } | Self::Config { .. } | Self::Output(_) => exit::FAULT,
            Self::ClosedPipe => 0,
        }
    }

    /// The lines for standard error: the fault, its causes, and what to do.
    pub fn lines(&self) -> Vec<String> {
        if let Self::Problem(problem) = self {
            return problem.lines();
        }
        let mut lines = vec![format!("error: {self}")];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            lines.push(format!("  because: {error}"));
            cause = error.source();
        }
        lines.extend(self.hints().into_iter().map(|hint| format!("  hint: {hint}")));
        lines
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { near, .. } if !near.is_empty() => vec![format!("did you mean {}?", near.join(", "))],
            Self::SignedOut(_) => vec!["sign in with `sluice login`, or set SLUICE_API_KEY".to_owned()],
            Self::Job(job) => {
                let mut hints = vec![format!("its steps: `sluice job get {}`", job.id)];
                if job.retryable {
                    hints.push(format!("run it again: `sluice job retry {}`", job.id));
                }
                hints
            }
            Self::Timeout { resume, .. } | Self::Interrupted { resume, .. } => {
                vec![format!("watch it again: `{resume}`")]
            }
            Self::Network { .. } => {
                vec![
                    "is the address right (`sluice profile list`, --url, SLUICE_URL), and does the service run?".into(),
                ]
            }
            Self::Answer { .. } => {
                vec!["does the address lead to a Sluice of this version? `sluice version` tells".into()]
            }
            _ => Vec::new(),
        }
    }
}
